"""Every list is read along an index, in its order: flat at any depth and size."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.library import cursor, queries
from service.library.cursor import Position
from service.library.filters import PhotoFilters, select
from service.library.queries import BY_IDS, Page, list_photos, page_query, planning
from service.library.sql import Arguments
from service.media.identity import new_id

USES = 8
PREPARED = "SELECT name, parameter_types::text[] FROM pg_prepared_statements WHERE statement = $1"
# While hardly anything is in the trash, the primary key does as well.
LIVE = "(ix_photos_live|pk_photos)"
# Twenty thousand photos over a year, of uneven kinds.
FILL = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id,
           retrieval_status, next_retrieval_attempt, model_key, model_name, model_base, favorite, rating, deleted_at,
           file_size, sha256, local_storage_path, generation_prompt, tags)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid,
           md5(n::text) || '.png', 64, 64, 'image/png', at, n % 10 > 0, 'mirrored', n || '.png',
           CASE WHEN n % 200 = 1 THEN 'failed' ELSE 'completed' END, NULL,
           'key' || n % 7, 'name' || n % 7, CASE WHEN n % 5 = 0 THEN 'sd-1' ELSE 'sdxl' END,
           n % 50 = 0, CASE WHEN n % 1000 = 1 THEN 5 ELSE n % 5 END, CASE WHEN n % 20 = 0 THEN at END,
           9, 'ab', n::text, 'word' || n % 1000, ARRAY['tag' || n % 500]
      FROM (SELECT n, timestamptz '2026-01-01' + n * interval '26 minutes' AS at FROM generate_series(1, 20000) n) rows
"""

ALBUM, OTHER_ALBUM = UUID(int=1), UUID(int=2)
# The oldest five thousand photos are in one album, each twentieth is in the other, in no order of their own.
FILL_ALBUMS = """
    INSERT INTO album_photo (album_id, photo_id, position)
    SELECT CASE WHEN n <= 5000 THEN $1::uuid ELSE $2 END, id, row_number() OVER (ORDER BY md5(n::text))
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM photos) rows WHERE n <= 5000 OR n % 20 = 0
"""
FILL_TINY_ALBUMS = """
    WITH tiny AS (
        INSERT INTO albums (id, name) SELECT gen_random_uuid(), 'tiny' FROM generate_series(1, 600) RETURNING id)
    INSERT INTO album_photo (album_id, photo_id, position)
    SELECT tiny.id, p.id, 1 FROM tiny, (SELECT id FROM photos LIMIT 1) p
"""


@pytest.fixture(scope="module")
async def filled_url(module_database_url: str) -> str:
    database = Database(module_database_url)
    async with database.connection() as connection:
        await connection.execute(FILL)
        await connection.execute(
            "INSERT INTO albums (id, name) VALUES ($1, 'Coast'), ($2, 'Others')", ALBUM, OTHER_ALBUM
        )
        await connection.execute(FILL_ALBUMS, ALBUM, OTHER_ALBUM)
        await connection.execute(FILL_TINY_ALBUMS)
        await connection.execute("VACUUM ANALYZE albums, album_photo")
        await connection.execute("VACUUM ANALYZE photos")
    await database.close()
    return module_database_url


@pytest.fixture
async def connection(filled_url: str) -> AsyncIterator[Connection]:
    """A new one, which has prepared nothing yet."""
    database = Database(filled_url)
    async with database.connection() as connection:
        yield connection
    await database.close()


def asked(filters: PhotoFilters, page: Page) -> tuple[str, list[Any]]:
    arguments = Arguments()
    query = page_query(filters, select(filters, arguments), page, arguments)
    return query, arguments.values


async def plan_of(connection: Connection, filters: PhotoFilters, page: Page, before: PhotoFilters | None = None) -> str:
    """How the page is read once the connection has read it, or the one of `before`, so often that PostgreSQL may keep a
    plan for all values."""
    for _ in range(USES):
        await list_photos(connection, before or filters, page)
    query, values = asked(filters, page)
    name, types = await connection.fetchrow(PREPARED, query) or pytest.fail("the list runs another statement")
    literals = [
        await connection.fetchval(f"SELECT quote_literal($1::{kind}::text)", value)
        for kind, value in zip(types, values, strict=True)
    ]
    given = f"({', '.join(literals)})" if literals else ""
    async with planning(connection, filters, select(filters, Arguments())):
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE {name}{given}"))


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
    plan = await plan_of(connection, wanted, page)
    assert re.search(rf"Index (Only )?Scan (Backward )?using {index} on photos", plan), plan
    assert "Seq Scan on photos" not in plan


@pytest.mark.parametrize(
    ("order", "index", "condition"),
    [
        ("position", "ix_album_photo_order", 'ROW("position", photo_id) > ROW('),
        ("newest", "pk_album_photo", "photo_id < "),
        ("oldest", "pk_album_photo", "photo_id > "),
    ],
)
@pytest.mark.parametrize("more", [{}, {"favorite": True, "model": ["key3"]}])
async def test_a_page_of_an_album_walks_its_own_index_from_where_the_one_before_ended(
    connection: Connection, order: Any, index: str, condition: str, more: dict[str, Any]
) -> None:
    """Also once a plan is kept that was made for another album, of another size."""
    wanted, other = (
        PhotoFilters(album_id=[ALBUM], order=order, **more),
        PhotoFilters(album_id=[OTHER_ALBUM], order=order),
    )
    at = Position(new_id(), 7 if order == "position" else None)
    for page in (Page(), Page(cursor=cursor.encode(wanted, at))):
        before = other if page.cursor is None and not more else None
        plan = await plan_of(connection, wanted, page, before=before)
        assert re.search(rf"Index Only Scan (Backward )?using {index} on album_photo", plan), plan
        assert "Seq Scan on photos" not in plan
        assert "Sort Key: m.photo_id" not in plan
        assert page.cursor is None or condition in plan, plan


async def test_every_page_of_a_filter_begins_where_the_one_before_ended(connection: Connection) -> None:
    """Not at the first match, to walk on from there."""
    for filters in ({"model": ["key3"]}, {"base": ["sd-1"]}, {"source": ["mirrored"]}, {"generated": False}):
        for order, operator in (("newest", "<"), ("oldest", ">")):
            wanted = PhotoFilters(**filters, order=order)
            page = Page(cursor=cursor.encode(wanted, Position(new_id())))
            condition = next(line for line in (await plan_of(connection, wanted, page)).splitlines() if "ROW(" in line)
            assert condition.strip().startswith("Index Cond:")
            assert f", id) {operator} ROW(" in condition


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"tag": ["tag7"]}, "ix_photos_tags"),
        ({"seed": [7]}, "ix_photos_seed"),
        ({"status": ["failed"]}, "ix_photos_not_home"),
        ({"status": ["failed", "gone"]}, "ix_photos_not_home"),
        ({"status": ["failed"], "order": "oldest"}, "ix_photos_not_home"),
        ({"status": ["failed"], "model": ["key3"]}, "ix_photos_not_home"),
        ({"status": ["failed"], "created_from": "2026-02-01"}, "ix_photos_not_home"),
    ],
)
async def test_what_is_rare_is_found_by_its_own_index(
    connection: Connection, filters: dict[str, Any], index: str
) -> None:
    plan = await plan_of(connection, PhotoFilters(**filters), Page())
    assert index in plan, plan


async def test_a_plan_made_for_what_is_common_is_not_kept_for_what_is_rare(connection: Connection) -> None:
    plan = await plan_of(connection, PhotoFilters(rating_min=5), Page(), before=PhotoFilters(rating_min=1))
    assert "ix_photos_rating" in plan, plan


async def test_photos_are_read_by_their_key(connection: Connection) -> None:
    plan = await connection.fetch(f"EXPLAIN {BY_IDS}", [new_id(), new_id()])
    assert "Index Scan using pk_photos" in "\n".join(row[0] for row in plan)


async def test_a_search_that_takes_too_long_is_given_up_in_words(
    connection: Connection, filled_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but what must not be there, and of that there is everything: no index finds it."""
    usual = await connection.fetchval("SHOW statement_timeout")
    monkeypatch.setattr(queries, "LONGEST_SECONDS", 0.05)
    other = Database(filled_url)
    async with other.transaction() as holder:
        await holder.execute("LOCK TABLE photos IN ACCESS EXCLUSIVE MODE")  # a fast machine would find it in time
        with pytest.raises(ValidationError, match="takes too long"):
            await list_photos(connection, PhotoFilters(q="-word7"), Page())
    await other.close()
    assert await connection.fetchval("SHOW statement_timeout") == usual
    assert (await list_photos(connection, PhotoFilters(), Page(count=False))).items
