"""Every list is read along an index, in its order: flat at any depth and size."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.database.engine import Connection, Database
from service.library import cursor
from service.library.cursor import Position
from service.library.filters import PhotoFilters, select
from service.library.queries import BY_IDS, Page, page_query
from service.library.sql import Arguments
from service.media.identity import new_id

# While hardly anything is in the trash, the primary key does as well.
LIVE = "(ix_photos_live|pk_photos)"
# Twenty thousand photos over a year, of uneven kinds.
FILL = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id,
           retrieval_status, next_retrieval_attempt, model_key, model_name, model_base, favorite, rating, deleted_at,
           file_size, sha256, local_storage_path, generation_prompt, tags)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid,
           md5(n::text) || '.png', 64, 64, 'image/png', at, n % 10 > 0, 'mirrored', n || '.png',
           'completed', NULL, 'key' || n % 7, 'name' || n % 7, CASE WHEN n % 5 = 0 THEN 'sd-1' ELSE 'sdxl' END,
           n % 50 = 0, n % 6, CASE WHEN n % 20 = 0 THEN at END, 9, 'ab', n::text, 'word' || n % 1000,
           ARRAY['tag' || n % 500]
      FROM (SELECT n, timestamptz '2026-01-01' + n * interval '26 minutes' AS at FROM generate_series(1, 20000) n) rows
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        await connection.execute(FILL)
        await connection.execute("VACUUM ANALYZE photos")
        yield connection


async def plan_of(connection: Connection, query: str, *arguments: Any) -> str:
    return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))


def asked(filters: PhotoFilters, page: Page) -> tuple[str, list[Any]]:
    arguments = Arguments()
    query = page_query(filters, select(filters, arguments), page, arguments)
    return query, arguments.values


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, LIVE),
        ({"order": "oldest"}, LIVE),
        ({"order": "rating"}, "ix_photos_rating"),
        ({"order": "name"}, "ix_photos_name"),
        ({"trashed": True}, "ix_photos_trash"),
        ({"base": ["sd-1"]}, "ix_photos_model_base"),
        ({"favorite": True}, "ix_photos_favorite"),
        ({"generated": False}, "ix_photos_generated"),
        ({"model": ["key3"]}, "ix_photos_model"),
        ({"model": ["key3", "name4"]}, "ix_photos_model_name"),
        ({"created_from": "2026-05-01", "created_to": "2026-05-02"}, LIVE),
    ],
)
@pytest.mark.parametrize("paged", [False, True])
async def test_a_page_walks_the_index_of_its_filter_in_order(
    connection: Connection, filters: dict[str, Any], index: str, paged: bool
) -> None:
    wanted = PhotoFilters(**filters)
    keys: dict[str, str | int] = {"rating": 3, "name": "8"}
    at = Position(new_id(), keys.get(wanted.order))
    page = Page(limit=50, cursor=cursor.encode(wanted, at) if paged else None)
    query, values = asked(wanted, page)
    plan = await plan_of(connection, query, *values)
    assert re.search(rf"Index (Only )?Scan (Backward )?using {index} on photos", plan), plan
    assert "Seq Scan on photos" not in plan


async def test_every_page_of_a_filter_begins_where_the_one_before_ended(connection: Connection) -> None:
    """Not at the first match, to walk on from there."""
    for filters in ({"model": ["key3"]}, {"base": ["sd-1"]}, {"source": ["mirrored"]}, {"generated": False}):
        for order, operator in (("newest", "<"), ("oldest", ">")):
            wanted = PhotoFilters(**filters, order=order)
            page = Page(cursor=cursor.encode(wanted, Position(new_id())))
            query, values = asked(wanted, page)
            condition = next(
                line for line in (await plan_of(connection, query, *values)).splitlines() if "ROW(" in line
            )
            assert condition.strip().startswith("Index Cond:")
            assert f", id) {operator} ROW(" in condition


async def test_a_rare_word_a_tag_or_a_seed_is_found_by_its_own_index(connection: Connection) -> None:
    for filters, index in (
        ({"q": "word7"}, "ix_photos_search"),
        ({"tag": ["tag7"]}, "ix_photos_tags"),
        ({"seed": [7]}, "ix_photos_seed"),
    ):
        query, values = asked(PhotoFilters(**filters), Page())
        await connection.execute("SET plan_cache_mode = force_custom_plan")
        assert index in await plan_of(connection, query, *values)


async def test_photos_are_read_by_their_key(connection: Connection) -> None:
    plan = await plan_of(connection, BY_IDS, [new_id(), new_id()])
    assert "Index Scan using pk_photos" in plan
