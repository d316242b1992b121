"""Which models photos and steps name is read along indexes, one entry for each model, however many photos there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from service.database.engine import Connection, Database
from service.models.queries import ALL_WITH_LORA, AS_ALL_WITH_LORA, model_detail
from service.models.use import KEYS_OF_PHOTOS, KEYS_OF_STEPS, NAMES_OF_PHOTOS, read_models

MODELS = 50
# Of ten thousand photos some tell a name alone, some are in the trash; every fourth was made by a step.
PHOTOS = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id,
           retrieval_status, next_retrieval_attempt, model_key, model_hash, model_name, model_base, deleted_at,
           file_size, sha256, local_storage_path, loras)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid,
           md5(n::text) || '.png', 64, 64, 'image/png', at, true, 'mirrored', n || '.png', 'completed', NULL,
           CASE WHEN n % 20 > 0 THEN 'key' || n % $1 END, 'hash' || n % $1, 'name' || n % $1, 'sdxl',
           CASE WHEN n % 30 = 0 THEN at END, 9, 'ab', n::text,
           CASE WHEN n < 500 THEN ARRAY['Once', 'once'] WHEN n % 3 = 0 THEN ARRAY['Often', 'often'] END
      FROM (SELECT n, timestamptz '2026-01-01' + n * interval '26 minutes' AS at FROM generate_series(1, 10000) n) rows
"""
STEPS = """
    INSERT INTO generation_steps (id, session_id, prompt, model_key, model_hash, model_name, position)
    SELECT gen_random_uuid(), $1, 'hills', 'key' || n % $2, 'hash' || n % $2, 'name' || n % $2, n
      FROM generate_series(1, 2500) n
"""


@pytest.fixture(scope="module")
async def filled_url(module_database_url: str) -> str:
    database = Database(module_database_url)
    async with database.connection() as connection:
        await connection.execute(PHOTOS, MODELS)
        session = await connection.fetchval(
            "INSERT INTO generation_sessions (id, name) VALUES (gen_random_uuid(), 'an evening') RETURNING id"
        )
        await connection.execute(STEPS, session, MODELS)
        await connection.execute("VACUUM ANALYZE photos")
        await connection.execute("VACUUM ANALYZE generation_steps")
    await database.close()
    return module_database_url


@pytest.fixture
async def connection(filled_url: str) -> AsyncIterator[Connection]:
    database = Database(filled_url)
    async with database.connection() as connection:
        yield connection
    await database.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (KEYS_OF_PHOTOS, "ix_photos_model"),
        (NAMES_OF_PHOTOS, "ix_photos_model_name"),
        (KEYS_OF_STEPS, "ix_generation_steps_model"),
    ],
)
async def test_one_entry_is_read_for_each_model(connection: Connection, query: str, index: str) -> None:
    [explained] = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING off) {query}")
    scans = list(scans_of(explained["Plan"]))
    assert {scan.get("Index Name") for scan in scans} == {index}, explained
    assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans) <= MODELS + 1, explained


def scans_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in node:
        yield node
    for child in node.get("Plans", []):
        yield from scans_of(child)


async def test_all_of_them_are_found(connection: Connection) -> None:
    models = await read_models(connection)
    assert {model.key for model in models.named} == {f"key{n}" for n in range(MODELS)}


async def test_a_models_photos_are_all_it_has_by_key_and_by_name(connection: Connection) -> None:
    detail = await model_detail(connection, "key7", 12)
    wanted = "SELECT count(*) FROM photos WHERE model_name = 'name7' AND deleted_at IS NULL"
    assert detail.photo_count == await connection.fetchval(wanted)
    newest = "SELECT id FROM photos WHERE model_name = 'name7' AND deleted_at IS NULL ORDER BY id DESC LIMIT 12"
    assert [photo.id for photo in detail.newest_photos] == [row["id"] for row in await connection.fetch(newest)]


async def test_the_newest_with_a_lora_are_found_among_recent_photos_or_else_by_the_index_of_loras(
    connection: Connection,
) -> None:
    newest = "SELECT id FROM photos WHERE loras @> ARRAY[$1::text] AND deleted_at IS NULL ORDER BY id DESC LIMIT 12"
    for key in ("often", "once"):
        detail = await model_detail(connection, key, 12)
        assert [photo.id for photo in detail.newest_photos] == [
            row["id"] for row in await connection.fetch(newest, key)
        ]
    async with connection.transaction(readonly=True):
        await connection.execute(AS_ALL_WITH_LORA)
        plan = await connection.fetch(f"EXPLAIN {ALL_WITH_LORA}", ["often"], 12)
    assert "Bitmap Index Scan on ix_photos_loras" in "\n".join(row[0] for row in plan)
