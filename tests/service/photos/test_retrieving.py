"""Photos that are not home: the next in line, or the reason why not, and begun again."""

from __future__ import annotations

from datetime import timedelta

import aiohttp

from service.backends import ledger
from service.database.engine import Connection
from service.media.storage import LocalStorage
from service.retrieval import queue
from tests.fakes.photos import NOW, AddHome, Feed, answer
from tests.fakes.rows import add_backend, add_photo


async def test_a_waiting_file_is_202_and_becomes_the_next_in_line(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    backend = await add_backend(connection)
    due = NOW - timedelta(hours=1)
    earlier = await add_photo(connection, home=False, backend_id=backend, next_retrieval_attempt=due)
    photo = await add_photo(
        connection,
        home=False,
        backend_id=backend,
        retrieval_attempts=2,
        next_retrieval_attempt=due + timedelta(minutes=5),
    )
    async with client.get(f"/api/v1/photos/{photo}/thumbnail") as response:
        assert response.status == 202
    response = await client.get(f"/api/v1/photos/{photo}/file")
    assert await answer(response, 202) == {"retrieval_status": "pending", "retrieval_attempts": 2}
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Cache-Control"] == "no-store"
    claimed = [await queue.claim(connection, [backend], 1, newest_first=False) for _ in range(2)]
    assert [photo.id for (photo,) in claimed] == [photo, earlier]


async def test_what_will_not_come_home_is_404_with_the_reason(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    for status in ("failed", "gone"):
        photo = await add_photo(connection, home=False, retrieval_status=status, retrieval_error="HTTP 500")
        for path in ("file", "thumbnail"):
            body = await answer(await client.get(f"/api/v1/photos/{photo}/{path}"), 404)
            assert body["error"]["details"] == {"retrieval_status": status, "retrieval_error": "HTTP 500"}


async def test_a_failed_retrieval_starts_again_when_asked(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    backend = await add_backend(connection)
    values = {"retrieval_status": "failed", "retrieval_attempts": 5, "next_retrieval_attempt": None}
    photo = await add_photo(connection, home=False, backend_id=backend, **values)
    body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 202)
    assert body == {"retrieval_status": "pending", "retrieval_attempts": 0}
    assert (await feed.next("photo.updated"))["retrieval_status"] == "pending"
    assert (await queue.claim(connection, [backend], 1))[0].id == photo
    assert (await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 202))[
        "retrieval_status"
    ] == "retrieving"


async def test_what_is_home_or_has_no_server_cannot_be_retrieved(
    client: aiohttp.ClientSession, connection: Connection, add_home: AddHome
) -> None:
    home = await add_home()
    orphan = await add_photo(connection, home=False, retrieval_status="failed")
    for photo in (home, orphan):
        body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 409)
        assert body["error"]["code"] == "conflict"


async def test_what_was_home_and_has_lost_its_file_is_retrieved_again(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome, feed: Feed
) -> None:
    backend = await add_backend(connection)
    photo, orphan = await add_home(backend_id=backend), await add_home()
    await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 409)
    for row in await connection.fetch("SELECT local_storage_path FROM photos"):
        storage.unlink(row["local_storage_path"])
    body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 202)
    assert body == {"retrieval_status": "pending", "retrieval_attempts": 0}
    assert (await feed.next("photo.updated"))["retrieval_status"] == "pending"
    counts = (await ledger.read(connection, {})).backends[str(backend)]
    assert (counts.made, counts.retrieved, counts.waiting, counts.home) == (1, 0, 1, False)
    assert (await queue.claim(connection, [backend], 1))[0].id == photo
    body = await answer(await client.post(f"/api/v1/photos/{orphan}/retrieval"), 409)
    assert "server" in body["error"]["message"]
