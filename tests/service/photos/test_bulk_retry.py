"""Many photos are fetched again at once: those named, or all that a list shows."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.database.engine import Connection, Database
from service.photos import retries
from tests.fakes.photos import NOW, Feed, answer
from tests.fakes.rows import add_backend, add_photo
from tests.fakes.search import index_all

FAILED = {"retrieval_status": "failed", "retrieval_attempts": 5, "retrieval_error": "HTTP 500"}
GONE = {"retrieval_status": "gone", "retrieval_error": "deleted there", "missing_since": NOW}


async def add(connection: Connection, backend: UUID | None, **values: Any) -> UUID:
    values = {"next_retrieval_attempt": None, **values}
    return await add_photo(connection, home=False, backend_id=backend, **values)


async def statuses(connection: Connection, *photos: UUID) -> list[str]:
    rows = await connection.fetch("SELECT id, retrieval_status FROM photos")
    known = {row["id"]: row["retrieval_status"] for row in rows}
    return [known[photo] for photo in photos]


async def bulk(client: aiohttp.ClientSession, status: int = 200, **body: Any) -> Any:
    return await answer(await client.post("/api/v1/photos/bulk", json={"action": "retry", **body}), status)


async def test_a_filter_retries_what_it_shows_and_nothing_that_is_home_lost_its_server_or_was_purged(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    backend = await add_backend(connection)
    failed, gone = await add(connection, backend, **FAILED), await add(connection, backend, **GONE)
    delayed = await add(connection, backend, retrieval_attempts=2, retrieval_error="cut", next_retrieval_attempt=NOW)
    home = await add_photo(connection, backend_id=backend)
    orphan = await add(connection, None, **FAILED)
    trashed = await add(connection, backend, deleted_at=NOW, **FAILED)
    purged = await add(connection, backend, deleted_at=NOW, purged_at=NOW, **GONE)
    shown = {"status": ["pending", "failed", "gone"]}
    assert await bulk(client, filter=shown) == {"changed": 3, "undo": None}
    told = [(await feed.next("photo.updated"))["id"] for _ in range(3)]
    assert set(told) == {str(photo) for photo in (failed, gone, delayed)}
    rows = await connection.fetch(
        "SELECT retrieval_attempts, missing_since, next_retrieval_attempt <= now() AS due FROM photos"
        " WHERE id = ANY($1)",
        [failed, gone, delayed],
    )
    assert {tuple(row) for row in rows} == {(0, None, True)}
    others = await statuses(connection, home, orphan, trashed, purged)
    assert others == ["completed", "failed", "failed", "gone"]
    assert await bulk(client, filter=shown) == {"changed": 0, "undo": None}, "sent twice, it is done once"
    assert await bulk(client, filter={"trashed": True}) == {"changed": 1, "undo": None}


async def test_a_search_retries_what_it_finds(
    client: aiohttp.ClientSession, connection: Connection, database: Database
) -> None:
    backend = await add_backend(connection)
    prompts = ("red boats", "green hills", "a boat by the crème brûlée")
    boats, hills, brulee = [await add(connection, backend, generation_prompt=prompt, **FAILED) for prompt in prompts]
    await index_all(database)
    assert (await bulk(client, filter={"q": "boat -brulee"}))["changed"] == 1
    assert await statuses(connection, boats, hills, brulee) == ["pending", "failed", "failed"]


async def test_ids_retry_those_photos_alone(client: aiohttp.ClientSession, connection: Connection) -> None:
    backend = await add_backend(connection)
    one, other = [await add(connection, backend, **GONE) for _ in range(2)]
    assert (await bulk(client, ids=[str(one), str(one), str(uuid4())]))["changed"] == 1
    assert await statuses(connection, one, other) == ["pending", "gone"]


async def test_what_came_after_the_newest_that_was_seen_is_left_alone(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    backend = await add_backend(connection)
    seen, later = [await add(connection, backend, id=UUID(int=n), **FAILED) for n in (1, 2)]
    assert (await bulk(client, filter={"status": ["failed"]}, newest_id=str(seen)))["changed"] == 1
    assert await statuses(connection, seen, later) == ["pending", "failed"]


async def test_more_than_fit_into_one_batch_are_all_retried(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    backend = await add_backend(connection)
    count = retries.AT_ONCE * 2 + 3
    await connection.execute(
        "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,"
        " retrieval_status, next_retrieval_attempt) SELECT gen_random_uuid(), 'f', 1, 1, 'image/png', now(),"
        " 'mirrored', 'name ' || n, $1, 'gone', NULL FROM generate_series(1, $2) n",
        backend,
        count,
    )
    assert (await bulk(client, filter={"status": ["gone"]}))["changed"] == count


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "filter": {}},
        {"filter": {"retrieval": ["failed"]}},
        {"filter": {"status": ["lost"]}},
        {"filter": {"width_min": 2**31}},
        {"filter": {"rating_min": -1}},
        {"filter": {"q": "\0"}},
        {"filter": {}, "action": "add_to_album"},
        {"filter": {}, "value": 1},
        {"ids": ["not an id"]},
        {"ids": [], "newest_id": str(UUID(int=1))},
    ],
)
async def test_what_cannot_be_is_400(client: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    assert (await bulk(client, 400, **body))["error"]["code"] == "validation_error"
