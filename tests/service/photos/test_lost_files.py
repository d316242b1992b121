"""A file that is missing, cut or damaged is not served: it is fetched again, or named as lost (rows are true)."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.backends import ledger
from service.database.engine import Connection
from service.media.storage import MARKER, LocalStorage
from service.retrieval import queue
from tests.fakes.photos import ORIGINAL, THUMBNAIL, AddHome, Feed, answer
from tests.fakes.pictures import png_of
from tests.fakes.rows import add_backend, add_photo

WRONG = {
    "cut": ORIGINAL[:-1],
    "grown": ORIGINAL + b"\0",
    "emptied": b"",
    "removed": None,
}
FLIPPED = bytes([ORIGINAL[0] ^ 1]) + ORIGINAL[1:]


async def path_of(connection: Connection, photo: UUID, column: str = "local_storage_path") -> str:
    return str(await connection.fetchval(f"SELECT {column} FROM photos WHERE id = $1", photo))


async def damage(storage: LocalStorage, path: str, content: bytes | None) -> None:
    if content is None:
        storage.unlink(path)
    else:
        storage.path(path).write_bytes(content)


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_of_another_size_is_not_served_but_next_in_line(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    add_home: AddHome,
    feed: Feed,
    how: str,
    method: str,
) -> None:
    backend = await add_backend(connection)
    await add_photo(connection, home=False, backend_id=backend)
    photo = await add_home(backend_id=backend)
    path = await path_of(connection, photo)
    await damage(storage, path, WRONG[how])
    response = await client.request(method, f"/api/v1/photos/{photo}/file", headers={"Range": "bytes=0-9"})
    assert response.status == 202
    assert "ETag" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    told = await feed.next("photo.updated")
    assert (told["id"], told["retrieval_status"]) == (str(photo), "pending")
    assert "missing" in told["retrieval_error"] if how == "removed" else "damaged" in told["retrieval_error"]
    counts = (await ledger.read(connection, {})).backends[str(backend)]
    assert (counts.retrieved, counts.waiting, counts.home) == (0, 2, False)
    (claimed,) = await queue.claim(connection, [backend], 1, newest_first=False)
    assert claimed.id == photo
    assert storage.exists(path) is (how != "removed"), "nothing is deleted by a check"


async def test_without_a_server_it_has_failed_and_the_file_is_kept(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome, feed: Feed
) -> None:
    photo = await add_home()
    path = await path_of(connection, photo)
    await damage(storage, path, ORIGINAL[:-1])
    body = await answer(await client.get(f"/api/v1/photos/{photo}/file"), 404)
    assert body["error"]["details"]["retrieval_status"] == "failed"
    assert "no server" in body["error"]["details"]["retrieval_error"]
    assert (await feed.next("photo.failed"))["id"] == str(photo)
    assert storage.path(path).read_bytes() == ORIGINAL[:-1]


async def test_where_the_disk_has_gone_no_photo_is_to_blame(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome
) -> None:
    storage.create_marker(uuid4())
    photo = await add_home(backend_id=await add_backend(connection))
    storage.path(await path_of(connection, photo)).unlink()
    storage.path(await path_of(connection, photo, "local_thumbnail_path")).unlink()
    (storage.root / MARKER).unlink()
    for method, path in (("GET", "file"), ("GET", "thumbnail"), ("POST", "retrieval")):
        response = await client.request(method, f"/api/v1/photos/{photo}/{path}")
        assert (await answer(response, 503))["error"]["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
    assert await path_of(connection, photo, "retrieval_status") == "completed"


# --- Asked for by hand ---


async def test_a_retrieval_of_a_whole_file_says_that_it_is_whole(
    client: aiohttp.ClientSession, connection: Connection, add_home: AddHome
) -> None:
    photo = await add_home(backend_id=await add_backend(connection))
    body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 409)
    assert body["error"]["message"] == "this photo is home, and its file is whole"
    assert await path_of(connection, photo, "retrieval_status") == "completed"


@pytest.mark.parametrize("content", [FLIPPED, ORIGINAL[:-1], None])
async def test_a_retrieval_of_a_damaged_one_fetches_it_again(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    add_home: AddHome,
    content: bytes | None,
) -> None:
    photo, orphan = await add_home(backend_id=await add_backend(connection)), await add_home()
    for each in (photo, orphan):
        await damage(storage, await path_of(connection, each), content)
    body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 202)
    assert body == {"retrieval_status": "pending", "retrieval_attempts": 0}
    body = await answer(await client.post(f"/api/v1/photos/{orphan}/retrieval"), 409)
    assert "no server" in body["error"]["details"]["retrieval_error"]
    assert await path_of(connection, orphan, "retrieval_status") == "failed"


async def test_a_lost_file_that_was_put_back_is_home_without_a_server(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome, feed: Feed
) -> None:
    photo = await add_home()
    path = await path_of(connection, photo)
    storage.unlink(path)
    await answer(await client.get(f"/api/v1/photos/{photo}/file"), 404)
    await damage(storage, path, FLIPPED)
    await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 409)
    await damage(storage, path, ORIGINAL)
    body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 200)
    assert body["retrieval_status"] == "completed"
    assert (await feed.next("photo.ready"))["retrieval_error"] is None
    assert await (await client.get(f"/api/v1/photos/{photo}/file")).read() == ORIGINAL


# --- Thumbnails ---


@pytest.mark.parametrize("left", [None, THUMBNAIL[:-1], b""])
async def test_a_thumbnail_that_is_missing_or_cut_is_made_again_from_the_original(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome, left: bytes | None
) -> None:
    photo = await add_home(content=png_of(400, 300))
    path = await path_of(connection, photo, "local_thumbnail_path")
    await damage(storage, path, left)
    responses = await asyncio.gather(*(client.get(f"/api/v1/photos/{photo}/thumbnail") for _ in range(5)))
    contents = {await response.read() for response in responses}
    assert [response.status for response in responses] == [200] * 5
    assert contents == {storage.path(path).read_bytes()}
    assert contents.pop()[8:12] == b"WEBP"


async def test_a_lost_original_is_noticed_by_its_thumbnail_too(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome
) -> None:
    whole = png_of(400, 300)
    photo = await add_home(content=whole, backend_id=await add_backend(connection))
    storage.unlink(await path_of(connection, photo, "local_thumbnail_path"))
    await damage(storage, await path_of(connection, photo), whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    await answer(await client.get(f"/api/v1/photos/{photo}/thumbnail"), 202)
    assert await path_of(connection, photo, "retrieval_status") == "pending"


async def test_what_cannot_be_decoded_has_no_thumbnail_and_is_no_lost_file(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, add_home: AddHome
) -> None:
    photo = await add_home(backend_id=await add_backend(connection))
    storage.unlink(await path_of(connection, photo, "local_thumbnail_path"))
    body = await answer(await client.get(f"/api/v1/photos/{photo}/thumbnail"), 404)
    assert body["error"]["details"] == {"reason": "no_thumbnail"}
    assert await path_of(connection, photo, "retrieval_status") == "completed"
