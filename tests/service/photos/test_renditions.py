"""Two renditions of each photo: named in lists, made when they are asked for, and gone with their photo (whole upload
or nothing)."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pyvips

from service.database.engine import Connection
from service.library.renditions import Renditions
from service.media.imaging import Imaging
from service.media.layout import large_path
from service.media.storage import LocalStorage
from tests.fakes.photos import NOW, THUMBNAIL, AddHome, Feed, answer
from tests.fakes.pictures import png_of
from tests.fakes.rows import add_photo

WIDE = {"content": png_of(1600, 800), "width": 1600, "height": 800}


async def size_of(response: aiohttp.ClientResponse) -> tuple[int, int]:
    assert (response.status, response.headers["Content-Type"]) == (200, "image/webp"), await response.read()
    image = pyvips.Image.new_from_buffer(await response.read(), "")
    return image.width, image.height


async def status_of(client: aiohttp.ClientSession, path: str) -> int:
    async with client.get(path) as response:
        await response.read()
        return response.status


async def shown(client: aiohttp.ClientSession, photo: UUID) -> Any:
    return await answer(await client.get(f"/api/v1/photos/{photo}"), 200)


async def large_file(connection: Connection, storage: LocalStorage, photo: UUID) -> Path:
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", photo)
    return storage.path(large_path(path))


async def large_bytes(connection: Connection, photo: UUID) -> int | None:
    found: int | None = await connection.fetchval("SELECT large_bytes FROM photos WHERE id = $1", photo)
    return found


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded."""
    files: list[Path] = []
    render = Imaging.render

    def counted(imaging: Imaging, path: Path, *args: Any, **options: Any) -> Any:
        files.append(path)
        return render(imaging, path, *args, **options)

    monkeypatch.setattr(Imaging, "render", counted)
    return files


# --- Named ---


async def test_a_photo_names_its_renditions_with_their_sizes(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection
) -> None:
    photo = await add_home(**WIDE, thumbnail_width=360, thumbnail_height=180)
    found = await shown(client, photo)
    small, large = found["image_set"]
    assert (small["url"], small["width"], small["height"]) == (found["thumbnail_url"], 360, 180)
    assert (large["width"], large["height"]) == (1080, 540)
    assert await size_of(await client.get(large["url"])) == (1080, 540)
    listed = await answer(await client.get("/api/v1/photos"), 200)
    assert listed["items"][0]["image_set"] == found["image_set"]
    waiting = await add_photo(connection, home=False, width=1600, height=800)
    assert (await shown(client, waiting))["image_set"] == []
    assert (await shown(client, await add_home(**WIDE, thumbnail=None)))["image_set"] == []


async def test_what_is_no_larger_than_the_small_one_has_one_rendition(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, decoded: list[Path]
) -> None:
    photo = await add_home(content=png_of(360, 200), width=360, height=200, thumbnail_width=360, thumbnail_height=200)
    assert [one["width"] for one in (await shown(client, photo))["image_set"]] == [360]
    async with client.get(f"/api/v1/photos/{photo}/thumbnail?size=large") as response:
        assert (response.status, await response.read()) == (200, THUMBNAIL)
    assert decoded == []


async def test_the_small_rendition_of_the_first_release_is_300_long(
    client: aiohttp.ClientSession, add_home: AddHome
) -> None:
    small, large = (await shown(client, await add_home(**WIDE)))["image_set"]
    assert (small["width"], small["height"], large["width"]) == (300, 150, 1080)


async def test_a_size_that_does_not_exist_is_refused(client: aiohttp.ClientSession, add_home: AddHome) -> None:
    body = await answer(await client.get(f"/api/v1/photos/{await add_home()}/thumbnail?size=huge"), 400)
    assert body["error"]["code"] == "validation_error"


# --- Made ---


async def test_a_large_one_asked_for_by_several_is_made_once_and_kept(
    client: aiohttp.ClientSession,
    add_home: AddHome,
    connection: Connection,
    storage: LocalStorage,
    decoded: list[Path],
) -> None:
    photo = await add_home(**WIDE)
    before = await shown(client, photo)
    url = before["image_set"][1]["url"]
    responses = await asyncio.gather(*(client.get(url) for _ in range(5)))
    assert [await size_of(response) for response in responses] == [(1080, 540)] * 5
    assert len(decoded) == 1
    file = await large_file(connection, storage, photo)
    assert file.read_bytes() == await responses[0].read()
    assert await large_bytes(connection, photo) == file.stat().st_size
    assert (await shown(client, photo))["image_set"] == before["image_set"], "its first making changes no address"


async def test_where_none_are_kept_it_is_made_for_the_request_alone(
    client: aiohttp.ClientSession,
    add_home: AddHome,
    connection: Connection,
    storage: LocalStorage,
    limits: SimpleNamespace,
) -> None:
    limits.large_renditions = False
    photo = await add_home(**WIDE)
    assert await size_of(await client.get(f"/api/v1/photos/{photo}/thumbnail?size=large")) == (1080, 540)
    assert not (await large_file(connection, storage, photo)).exists()
    assert await large_bytes(connection, photo) is None


@pytest.mark.parametrize("how", ["missing", "cut"])
async def test_one_whose_file_is_not_there_is_made_again_and_has_another_address(
    client: aiohttp.ClientSession,
    add_home: AddHome,
    connection: Connection,
    storage: LocalStorage,
    feed: Feed,
    how: str,
) -> None:
    photo = await add_home(**WIDE, large_bytes=5000)
    file = await large_file(connection, storage, photo)
    if how == "cut":
        file.write_bytes(THUMBNAIL[:-1])
    url = (await shown(client, photo))["image_set"][1]["url"]
    assert await size_of(await client.get(url)) == (1080, 540)
    assert file.stat().st_size == await large_bytes(connection, photo)
    told = await feed.next("photo.updated")
    assert told["image_set"][1]["url"] != url
    assert await size_of(await client.get(told["image_set"][1]["url"])) == (1080, 540)


async def test_a_small_one_made_again_has_another_address_and_its_new_size(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage, feed: Feed
) -> None:
    photo = await add_home(**WIDE)
    before = await shown(client, photo)
    storage.unlink(await connection.fetchval("SELECT local_thumbnail_path FROM photos WHERE id = $1", photo))
    assert await size_of(await client.get(before["thumbnail_url"])) == (360, 180)
    told = await feed.next("photo.updated")
    assert told["thumbnail_url"] != before["thumbnail_url"]
    assert [one["width"] for one in told["image_set"]] == [360, 1080]
    assert await size_of(await client.get(told["thumbnail_url"])) == (360, 180)


async def test_what_cannot_be_decoded_has_the_small_one_at_most(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection
) -> None:
    photo = await add_home(width=1600, height=800)
    async with client.get(f"/api/v1/photos/{photo}/thumbnail?size=large") as response:
        assert (response.status, await response.read()) == (200, THUMBNAIL)
    assert await large_bytes(connection, photo) == 0
    assert len((await shown(client, photo))["image_set"]) == 1


async def test_a_large_one_of_a_photo_purged_while_it_is_made_is_not_kept(
    client: aiohttp.ClientSession,
    add_home: AddHome,
    connection: Connection,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = await add_home(**WIDE, deleted_at=NOW)
    begun, go_on, render = threading.Event(), threading.Event(), Imaging.render

    def held(*args: Any, **options: Any) -> Any:
        made = render(*args, **options)
        begun.set()
        assert go_on.wait(20)
        return made

    monkeypatch.setattr(Imaging, "render", held)
    asked = asyncio.create_task(client.get(f"/api/v1/photos/{photo}/thumbnail?size=large"))
    assert await asyncio.to_thread(begun.wait, 20)
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    go_on.set()
    response = await asked
    assert (response.status, await response.read() != b"") == (404, True)
    assert [file for file in storage.root.rglob("*") if file.is_file()] == []


async def test_the_large_one_goes_with_its_photo(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage
) -> None:
    photo = await add_home(**WIDE)
    assert await status_of(client, f"/api/v1/photos/{photo}/thumbnail?size=large") == 200
    assert (await large_file(connection, storage, photo)).exists()
    await connection.execute("UPDATE photos SET deleted_at = $2 WHERE id = $1", photo, NOW)
    await answer(await client.delete("/api/v1/photos/trash"), 200)
    assert [file for file in storage.root.rglob("*") if file.is_file()] == []
    assert await status_of(client, f"/api/v1/photos/{photo}/thumbnail?size=large") == 404


async def test_what_nobody_waits_for_any_more_is_not_made(
    renditions: Renditions, add_home: AddHome, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, render = threading.Event(), Imaging.render

    def held(*args: Any, **options: Any) -> Any:
        assert go_on.wait(20)
        return render(*args, **options)

    monkeypatch.setattr(Imaging, "render", held)
    originals = [await renditions.lacks_large(await add_home(**WIDE)) for _ in range(4)]
    asked = [asyncio.create_task(renditions.make(original, large=True)) for original in originals if original]
    await asyncio.sleep(0.1)
    asked[3].cancel()
    await asyncio.gather(asked[3], return_exceptions=True)
    go_on.set()
    assert all(await asyncio.gather(*asked[:3]))
    assert len(decoded) == 3


# --- Read ---


async def test_a_disk_that_sleeps_keeps_nothing_else_waiting(
    client: aiohttp.ClientSession,
    add_home: AddHome,
    connection: Connection,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, sleeping, next_to_it = await add_home(), await add_home(), await add_home()
    assert await status_of(client, f"/api/v1/photos/{here}/thumbnail") == 200
    path = await connection.fetchval("SELECT local_thumbnail_path FROM photos WHERE id = $1", sleeping)
    awake, real_open = threading.Event(), os.open

    def open_slowly(name: Any, *options: Any, **named: Any) -> int:
        if str(name) == storage.name(path):
            awake.wait(60)
        return real_open(name, *options, **named)

    monkeypatch.setattr(os, "open", open_slowly)
    waiting = asyncio.create_task(status_of(client, f"/api/v1/photos/{sleeping}/thumbnail"))
    await asyncio.sleep(0.2)
    for asked in (here, next_to_it):
        assert await status_of(client, f"/api/v1/photos/{asked}/thumbnail") == 200
    assert await status_of(client, "/api/v1/photos") == 200
    assert not waiting.done()
    awake.set()
    assert await waiting == 200


async def test_the_thumbnail_of_a_listed_photo_is_found_where_it_was_moved_and_not_once_it_is_purged(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage
) -> None:
    photo, purged = await add_home(), await add_home()
    assert await status_of(client, "/api/v1/photos") == 200
    old = await connection.fetchval("SELECT local_thumbnail_path FROM photos WHERE id = $1", photo)
    new = f"{old}.moved.webp"
    storage.path(old).rename(storage.path(new))
    await connection.execute("UPDATE photos SET local_thumbnail_path = $2 WHERE id = $1", photo, new)
    assert await status_of(client, f"/api/v1/photos/{photo}/thumbnail") == 200
    await connection.execute("UPDATE photos SET deleted_at = $2 WHERE id = $1", purged, NOW)
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    assert await status_of(client, f"/api/v1/photos/{purged}/thumbnail") == 404


async def test_many_at_once_are_each_answered_with_their_own(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection
) -> None:
    contents = {await add_home(thumbnail=(c := THUMBNAIL[:-1] + bytes([n]))): c for n in range(120)}
    waiting, unknown = await add_photo(connection, home=False), UUID(int=7)
    asked = [*contents, waiting, unknown]
    responses = await asyncio.gather(*(client.get(f"/api/v1/photos/{photo}/thumbnail") for photo in asked))
    assert [response.status for response in responses] == [200] * 120 + [202, 404]
    bodies = [await response.read() for response in responses]
    assert bodies[:120] == list(contents.values())
