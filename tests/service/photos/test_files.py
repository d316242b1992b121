"""Originals and thumbnails: whole, in part, unchanged, and missing."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.database.engine import Connection
from service.library import file_routes
from service.media.storage import LocalStorage
from tests.fakes.photos import ORIGINAL, THUMBNAIL, AddHome, answer
from tests.fakes.rows import add_photo


async def test_the_original_comes_byte_for_byte_with_what_caches_need(
    client: aiohttp.ClientSession, add_home: AddHome
) -> None:
    photo = await add_home(filename="dawn – 1.png")
    response = await client.get(f"/api/v1/photos/{photo}/file")
    assert response.status == 200
    assert await response.read() == ORIGINAL
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Length"] == str(len(ORIGINAL))
    assert response.headers["ETag"] == f'"{hashlib.sha256(ORIGINAL).hexdigest()}"'
    assert "immutable" in response.headers["Cache-Control"]
    assert response.headers["Content-Disposition"] == (
        "inline; filename=\"dawn _ 1.png\"; filename*=UTF-8''dawn%20%E2%80%93%201.png"
    )
    again = await client.get(f"/api/v1/photos/{photo}/file", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == response.headers["ETag"]
    download = await client.get(f"/api/v1/photos/{photo}/file?download")
    assert download.headers["Content-Disposition"].startswith("attachment;")
    await download.read()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=1000-", 1000, len(ORIGINAL)),
        ("bytes=-7", len(ORIGINAL) - 7, len(ORIGINAL)),
        (f"bytes=0-{'9' * 5000}", 0, len(ORIGINAL)),
    ],
)
async def test_a_part_of_the_original(
    client: aiohttp.ClientSession, add_home: AddHome, asked: str, start: int, end: int
) -> None:
    photo = await add_home()
    response = await client.get(f"/api/v1/photos/{photo}/file", headers={"Range": asked})
    assert response.status == 206
    assert await response.read() == ORIGINAL[start:end]
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(ORIGINAL)}"
    assert response.headers["Content-Length"] == str(end - start)


async def test_ranges_that_cannot_be_are_416_and_several_are_the_whole(
    client: aiohttp.ClientSession, add_home: AddHome
) -> None:
    photo = await add_home()
    beyond = await client.get(f"/api/v1/photos/{photo}/file", headers={"Range": f"bytes={len(ORIGINAL)}-"})
    assert (await answer(beyond, 416))["error"]["code"] == "range_not_satisfiable"
    assert beyond.headers["Content-Range"] == f"bytes */{len(ORIGINAL)}"
    for headers in ({"Range": "bytes=0-1,5-6"}, {"Range": "bytes=0-1", "If-Range": '"other"'}):
        whole = await client.get(f"/api/v1/photos/{photo}/file", headers=headers)
        assert (whole.status, await whole.read()) == (200, ORIGINAL)


async def test_a_file_that_is_not_sent_is_closed(
    client: aiohttp.ClientSession, add_home: AddHome, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    open_file = storage.open

    def remembered(path: str) -> Any:
        opened.append(open_file(path))
        return opened[-1]

    def broken(*_: Any) -> Any:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(storage, "open", remembered)
    photo = await add_home()
    async with client.get(f"/api/v1/photos/{photo}/file", headers={"Range": f"bytes={'9' * 5000}-"}) as response:
        assert response.status == 416
    monkeypatch.setattr(file_routes, "wanted_range", broken)
    async with client.get(f"/api/v1/photos/{photo}/file") as response:
        assert response.status == 500
    assert [file.closed for file in opened] == [True, True]


async def test_head_tells_the_same_without_the_bytes(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection
) -> None:
    photo, waiting = await add_home(), await add_photo(connection, home=False)
    for path, content in (("file", ORIGINAL), ("thumbnail", THUMBNAIL)):
        response = await client.head(f"/api/v1/photos/{photo}/{path}", headers={"Range": "bytes=999999999-"})
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(content)))
        assert "ETag" in response.headers
        assert (await client.head(f"/api/v1/photos/{waiting}/{path}")).status == 202
        assert (await client.head(f"/api/v1/photos/{uuid4()}/{path}")).status == 404


async def test_an_empty_file_is_served_as_such(client: aiohttp.ClientSession, add_home: AddHome) -> None:
    response = await client.get(f"/api/v1/photos/{await add_home(content=b'')}/file")
    assert (response.status, response.headers["Content-Length"], await response.read()) == (200, "0", b"")


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody(
    client: aiohttp.ClientSession, add_home: AddHome
) -> None:
    photo = await add_home(content=ORIGINAL * 20)
    response = await client.get(f"/api/v1/photos/{photo}/file")
    await response.content.readexactly(10)
    response.close()
    whole = await client.get(f"/api/v1/photos/{photo}/file")
    assert await whole.read() == ORIGINAL * 20


async def test_a_file_just_moved_by_a_selection_is_found_under_its_new_name(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage, monkeypatch: Any
) -> None:
    photo = await add_home()
    new = "photos/generated/sessions/selected.png"
    loop, opened = asyncio.get_running_loop(), storage.open

    def open_just_after_the_move(path: str) -> Any:
        if path != new:
            storage.share(path, new)
            moving = connection.execute("UPDATE photos SET local_storage_path = $2 WHERE id = $1", photo, new)
            asyncio.run_coroutine_threadsafe(moving, loop).result(10)
            storage.unlink(path)
        return opened(path)

    monkeypatch.setattr(storage, "open", open_just_after_the_move)
    response = await client.get(f"/api/v1/photos/{photo}/file")
    assert (response.status, await response.read()) == (200, ORIGINAL)


async def test_thumbnails_are_webp_and_kept_in_memory(
    client: aiohttp.ClientSession, add_home: AddHome, storage: LocalStorage, connection: Connection
) -> None:
    photo = await add_home()
    url = (await answer(await client.get(f"/api/v1/photos/{photo}"), 200))["thumbnail_url"]
    response = await client.get(url)
    assert (response.status, await response.read()) == (200, THUMBNAIL)
    assert response.headers["Content-Type"] == "image/webp"
    assert "immutable" in response.headers["Cache-Control"]
    path = await connection.fetchval("SELECT local_thumbnail_path FROM photos WHERE id = $1", photo)
    storage.unlink(path)
    assert await (await client.get(url)).read() == THUMBNAIL
    assert (await client.get(url, headers={"If-None-Match": response.headers["ETag"]})).status == 304


async def test_a_photo_without_thumbnail_says_so(client: aiohttp.ClientSession, add_home: AddHome) -> None:
    body = await answer(await client.get(f"/api/v1/photos/{await add_home(thumbnail=None)}/thumbnail"), 404)
    assert body["error"]["details"] == {"reason": "no_thumbnail"}
