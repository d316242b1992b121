"""The index of the search is as the photos are, through changes, purges and kills; what it has not yet is found too."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.library import search_index, search_lookup
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos
from service.library.search_index import IndexPosition, index_changes, load
from tests.fakes.rows import add_photo
from tests.fakes.search import index_all

WORDS = "castle cat hill river 城堡 straße café blue_hair 8k".split()  # noqa: SIM905
PHOTOS = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, retrieval_status,
           next_retrieval_attempt, generation_prompt, generation_negative_prompt, model_name)
    SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid, n || '.png', 64, 64,
           'image/png', now(), 'mirrored', n || '.png', 'failed', NULL,
           'word' || n % 10 || ' every only' || n, 'ugly', 'flux'
      FROM generate_series(1, $1::int) n
"""
FILLING = """
import asyncio, sys
from service.database.engine import Database
from service.library.search_index import SearchIndex
asyncio.run(SearchIndex(Database(sys.argv[1])).run())
"""
TAKEN_AWAY = ("generation_prompt", "generation_negative_prompt", "model_name", "caption")


async def found(connection: Connection, q: str, **filters: Any) -> set[UUID]:
    answer = await list_photos(connection, PhotoFilters(q=q, **filters), Page(limit=200))
    return {photo.id for photo in answer.items}


async def assert_counts_are_exact(connection: Connection) -> None:
    counted: Counter[str] = Counter()
    moments: dict[str, list[int]] = {}
    for row in await connection.fetch("SELECT * FROM photo_search"):
        for word in search_index.Entry(**row).vocabulary():
            counted[word] += 1
            moments.setdefault(word, []).append(row["photo_id"].int >> 80)
    words = {row["word"]: row for row in await connection.fetch("SELECT * FROM search_words")}
    assert {word: row["photos"] for word, row in words.items()} == dict(counted)
    for word, row in words.items():
        assert row["oldest"] <= min(moments[word])
        assert max(moments[word]) <= row["newest"]


@asynccontextmanager
async def filling(database_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The task as a process of its own, which is killed at the end."""
    folder = Path(search_index.__file__).parents[2]
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILLING, database_url, env=os.environ | {"PYTHONPATH": str(folder)}
    )
    try:
        async with asyncio.timeout(60):
            yield running
    finally:
        running.kill()
        await running.wait()


async def test_the_index_follows_whatever_is_done_to_photos(database: Database, connection: Connection) -> None:
    rng = random.Random(3)
    photos = [
        await add_photo(
            connection,
            created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n),
            generation_prompt=" ".join(rng.choices(WORDS, k=3)),
            generation_negative_prompt=rng.choice(WORDS),
            model_name=rng.choice(WORDS),
            tags=rng.choices(WORDS, k=2),
        )
        for n in range(30)
    ]
    await index_all(database)
    await assert_counts_are_exact(connection)
    for step in range(120):
        photo, kind = rng.choice(photos), rng.randrange(5)
        if kind == 0:
            await connection.execute("UPDATE photos SET purged_at = now() WHERE id = $1", photo)
        elif kind == 1:
            await connection.execute("UPDATE photos SET tags = $2 WHERE id = $1", photo, rng.choices(WORDS, k=1))
        elif kind == 2:
            column = rng.choice(TAKEN_AWAY)
            await connection.execute(f"UPDATE photos SET {column} = NULL WHERE id = $1", photo)
        else:
            column = rng.choice(TAKEN_AWAY)
            await connection.execute(f"UPDATE photos SET {column} = $2 WHERE id = $1", photo, rng.choice(WORDS))
        if step % 7 == 0:
            await asyncio.gather(*(index_changes(database) for _ in range(3)))
    while await index_changes(database):
        pass
    await assert_counts_are_exact(connection)
    for row in await connection.fetch("SELECT * FROM photos"):
        texts = {**row, "prompt": row["generation_prompt"], "negative": row["generation_negative_prompt"]}
        texts |= {"model": row["model_name"], "loras": row["loras"] or []}
        kept = await connection.fetchrow("SELECT * FROM photo_search WHERE photo_id = $1", row["id"])
        if row["purged_at"] is None:
            assert search_index.Entry(**(kept or {})) == search_index.entry_of(texts)
        else:
            assert kept is None


async def test_what_changed_last_is_found_first_however_much_else_has(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index_all(database)
    monkeypatch.setattr(search_index, "CHANGES_AT_ONCE", 5)
    for _ in range(12):
        await add_photo(connection, generation_prompt="much else")
    photo = await add_photo(connection, generation_prompt="a lighthouse")
    assert await found(connection, "lighthouse") == set()
    await index_changes(database)
    assert await found(connection, "lighthouse") == {photo}


async def test_what_says_nothing_of_a_photo_is_no_change_of_its_words(
    database: Database, connection: Connection
) -> None:
    photo = await add_photo(connection, generation_prompt="a lighthouse")
    await index_all(database)
    await connection.execute("UPDATE photos SET favorite = true, rating = 3, generation_prompt = generation_prompt")
    await connection.execute("UPDATE photos SET retrieval_attempts = 1, deleted_at = now() WHERE id = $1", photo)
    assert await connection.fetchval("SELECT count(*) FROM search_changes") == 0
    assert await found(connection, "lighthouse", trashed=True) == {photo}


async def test_photos_from_before_the_index_are_found_while_it_is_filled(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "FILL_AT_ONCE", 2)
    before = [
        await add_photo(
            connection,
            created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n),
            generation_prompt="A Lighthouse, blue_hair, 美丽的城堡",
            generation_negative_prompt="hands",
            model_name="Dreamy XL",
            seed=7,
        )
        for n in range(5)
    ]
    other = await add_photo(connection, created_at=datetime(2025, 1, 1, tzinfo=UTC), generation_prompt="hands, a map")
    progress = IndexPosition()
    while True:
        for typed in ("lighthouse", "light -map", "blue_hair", "城堡", '"a lighthouse"', "negative:hands", "seed:7"):
            for order in ("newest", "name"):
                assert await found(connection, typed, order=order) == set(before), (typed, progress)
        assert await found(connection, "model:dreamy or map") == {*before, other}
        if progress.behind is None:
            break
        progress = await search_index.fill(database, progress)
    assert progress.indexed == 6


async def test_a_filling_that_is_killed_goes_on_and_counts_nothing_twice(
    database: Database, connection: Connection, database_url: str
) -> None:
    await connection.execute(PHOTOS, 7_000)
    await connection.execute("DELETE FROM search_changes")  # as if they had been there before the trigger
    async with database.connection() as other:
        # It has written its first photos, and cannot note that it has.
        locking = other.transaction()
        await locking.start()
        await other.execute("LOCK TABLE settings IN EXCLUSIVE MODE")
        async with filling(database_url):
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.02)
        await locking.rollback()
    assert (await load(connection)).behind == search_index.NEWEST
    async with filling(database_url):
        while not (await load(connection)).indexed:
            await asyncio.sleep(0.01)
    async with filling(database_url):
        while (await load(connection)).behind is not None:
            await asyncio.sleep(0.02)
    assert (await load(connection)).indexed == 7_000
    await assert_counts_are_exact(connection)
    assert await connection.fetchval("SELECT photos FROM search_words WHERE word = 'every'") == 7_000
    assert len(await found(connection, "word3")) == 200


async def test_an_index_that_an_earlier_release_made_otherwise_is_made_again(
    database: Database, connection: Connection
) -> None:
    photo = await add_photo(connection, generation_prompt="a lighthouse")
    await index_all(database)
    await connection.execute("UPDATE photo_search SET words = ' former '")
    await connection.execute(
        "UPDATE settings SET value = jsonb_set(value, '{version}', '0') WHERE key = 'search_index'"
    )
    assert await found(connection, "lighthouse") == {photo}
    await index_all(database)
    assert await connection.fetchval("SELECT words FROM photo_search") == " a lighthouse "


@pytest.mark.parametrize(
    ("typed", "most"),
    [("every", 60), ("ever", 60), ("ver", 60), ("word3", 600), ("every -word3", 80), ('"only77"', 5), ("nowhere", 0)],
)
async def test_a_search_reads_no_more_of_the_index_than_its_page_needs(
    many: Database, typed: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is frequent is walked through until the page is full, what is rare is read by its words."""
    monkeypatch.setattr(search_lookup, "FEW", 100)
    async with many.connection() as connection:
        before = await rows_read(connection)
        page = await list_photos(connection, PhotoFilters(q=typed), Page(limit=50))
        assert len(page.items) == min(50, most) or len(page.items) <= most <= 5
        assert await rows_read(connection) - before <= most


async def rows_read(connection: Connection) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    return await connection.fetchval(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'photo_search'"
    )


@pytest.fixture(scope="module")
async def many(module_database_url: str) -> AsyncIterator[Database]:
    database = Database(module_database_url)
    async with database.connection() as connection:
        await connection.execute(PHOTOS, 6_000)
        await index_all(database)
        await connection.execute("VACUUM ANALYZE photo_search")
        await connection.execute("VACUUM ANALYZE search_words")
    yield database
    await database.close()
