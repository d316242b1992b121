"""Uploading a photo: the body it comes in, its name, and what is here already (whole upload or nothing)."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from service.database.engine import Connection, Database
from service.library.search_index import index_changes
from service.media.storage import LocalStorage
from service.uploads import body as bodies
from service.uploads import intake
from service.uploads.intake import Uploads
from tests.fakes.photos import NOW, AddHome, Feed, answer
from tests.fakes.pictures import png_of
from tests.fakes.upload_files import sample
from tests.service.photos.uploading import (
    BOUNDARY,
    body,
    connected,
    files,
    form,
    head,
    nothing_is_left,
    originals,
    part,
    status_of,
    upload,
)

PICTURE = png_of(1600, 800)
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def posted(client: aiohttp.ClientSession, content: bytes, **headers: str) -> tuple[int, str]:
    async with client.post("/api/v1/photos", data=content, headers=HEADERS | headers) as response:
        found = await response.json()
        return response.status, found.get("error", {}).get("message", "")


# --- A photo like any other ---


async def test_an_uploaded_picture_is_a_photo_like_any_other(
    client: aiohttp.ClientSession, storage: LocalStorage, feed: Feed
) -> None:
    photo = await upload(client, PICTURE, "Sunset.png")
    assert not photo["duplicate"]
    assert (await feed.next("photo.added"))["id"] == photo["id"]
    assert (await feed.next("photo.ready"))["retrieval_status"] == "completed"
    assert [source["width"] for source in photo["image_set"]] == [360, 1080]
    assert len(files(storage)) == 3
    listed = (await answer(await client.get("/api/v1/photos"), 200))["items"]
    del photo["duplicate"]
    assert listed == [photo]
    for source in photo["image_set"]:
        async with client.get(source["url"]) as response:
            assert response.status == 200
    async with client.get(photo["url"], headers={"Range": "bytes=1-3"}) as response:
        assert (response.status, await response.read()) == (206, b"PNG")


async def test_how_a_picture_was_made_is_read_and_found(
    client: aiohttp.ClientSession, connection: Connection, database: Database
) -> None:
    photo = await upload(client, sample("meta-invokeai.png"))
    assert (photo["seed"], photo["model_name"], photo["is_generated"]) == (42, "tiny", True)
    assert (await upload(client, sample("meta-a1111.png")))["seed"] == 1234567890
    assert (await upload(client, sample("meta-xmp-rating.png")))["rating"] == 4
    await index_changes(database)
    found = await answer(await client.get("/api/v1/photos", params={"q": "seed:42"}), 200)
    assert [each["id"] for each in found["items"]] == [photo["id"]]


async def test_where_no_large_renditions_are_kept_none_is_made(
    client: aiohttp.ClientSession, storage: LocalStorage, limits: Any
) -> None:
    limits.large_renditions = False
    photo = await upload(client, PICTURE)
    assert len(files(storage)) == 2
    async with client.get(photo["image_set"][1]["url"]) as response:
        assert response.status == 200


# --- The body ---


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (body(part(PICTURE), part(png_of(9, 9))), 400, "more than one part"),
        (body(part(PICTURE), part(b"x", "caption")), 400, "more than one part"),
        (body(part(PICTURE, "picture")), 400, "the part is named 'picture'"),
        (body(), 400, "no part"),
        (b"", 400, "cannot be read"),
        (b"no form at all", 400, "cannot be read"),
        (body(part(PICTURE))[:-10], 400, "cannot be read"),
        (part(PICTURE), 400, "cannot be read"),
        (body(part(b"")), 415, "empty"),
    ],
    ids=["two", "another field", "another name", "none", "empty", "no form", "cut end", "no end", "empty file"],
)
async def test_anything_but_one_file_part_is_refused(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    content: bytes,
    status: int,
    words: str,
) -> None:
    found, message = await posted(client, content)
    assert (found, words in message) == (status, True), message
    assert await nothing_is_left(connection, storage)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 415),
        ("image/png", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        (f"multipart/form-data; boundary={'x' * 2000}", 400),
        ("multipart/mixed; boundary=x", 415),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, kind: str, status: int
) -> None:
    found, _ = await posted(client, body(part(PICTURE)), **{"Content-Type": kind})
    assert found == status
    assert await nothing_is_left(connection, storage)


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, uploads: Uploads
) -> None:
    whole = body(part(png_of(9, 9) + os.urandom(3_000_000)))
    async with connected(client) as (_, writer):
        writer.write(head(client, len(whole)) + whole[:2_000_000])
        async with asyncio.timeout(10):
            while not uploads.under_way:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        while uploads.under_way:
            await asyncio.sleep(0.01)
    assert await nothing_is_left(connection, storage)


async def test_a_body_that_stalls_is_given_up(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.3)
    async with connected(client) as (reader, writer):
        writer.write(head(client, 100_000) + part(PICTURE)[:20_000])
        assert await status_of(reader) == 408
    assert await nothing_is_left(connection, storage)


async def test_a_body_that_takes_too_long_altogether_is_given_up(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LONGEST_BODY", 0.5)
    async with connected(client) as (reader, writer):
        writer.write(head(client, 1_000_000) + part(PICTURE)[:-2])
        status = asyncio.create_task(status_of(reader))
        while not status.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert await status == 408
    assert await nothing_is_left(connection, storage)


async def test_three_gigabytes_are_refused_by_their_declared_length(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    async with connected(client) as (reader, writer):
        writer.write(head(client, 3_000_000_000) + part(PICTURE)[:1000])
        assert await status_of(reader) == 413
    assert await nothing_is_left(connection, storage)


async def test_a_body_without_length_is_refused_once_it_is_too_long(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    """And the service answers others while it comes."""
    piece = os.urandom(250_000)
    async with connected(client) as (reader, writer):
        writer.write(head(client, None))
        status = asyncio.create_task(status_of(reader))
        for number in range(40):
            content = part(png_of(9, 9)) if number == 0 else piece
            writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            await writer.drain()
            await answer(await client.get("/api/v1/photos?count=false"), 200)
            if status.done():
                break
        assert await status == 413
    assert await nothing_is_left(connection, storage)


async def test_the_form_around_a_file_may_not_be_the_larger_part(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    whole = body(part(PICTURE)) + bytes(5_000_000)
    async with connected(client) as (reader, writer):
        writer.write(head(client, None) + f"{len(whole):x}\r\n".encode() + whole)
        assert await status_of(reader) == 413
    status, _ = await posted(client, body(part(PICTURE, filename="n" * 20_000)))
    assert status == 400
    assert await nothing_is_left(connection, storage)


async def test_in_pieces_of_any_size_it_is_the_same_file(client: aiohttp.ClientSession, storage: LocalStorage) -> None:
    content = png_of(60, 40) + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r"
    whole = body(part(content))
    async with connected(client) as (reader, writer):
        writer.write(head(client, len(whole)))
        for at in range(0, len(whole), 7):
            writer.write(whole[at : at + 7])
            await asyncio.sleep(0)
        assert await status_of(reader) == 201
    assert any(storage.path(f"photos/{name}").read_bytes() == content for name in files(storage))


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "AT_ONCE", 2)


async def test_more_uploads_than_there_are_places_wait_for_their_turn(
    two_at_once: None, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [png_of(40 + number, 30) for number in range(12)]
    photos = await asyncio.gather(*(upload(client, picture) for picture in pictures))
    assert len({photo["id"] for photo in photos}) == 12
    monkeypatch.setattr(intake, "MOST_WAITING", 0)
    async with client.post("/api/v1/photos", data=form(PICTURE)) as response:
        assert (response.status, "Retry-After" in response.headers) == (503, True)


# --- Names ---


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Sunset.png", "Sunset.png"),
        ("Sunset.PNG", "Sunset.PNG"),
        ("IMG_0001.jpeg", "IMG_0001.png"),
        ("no ending", "no ending.png"),
        ("version 1.5", "version 1.5.png"),
        ("../../etc/passwd", "passwd.png"),
        ("..", "upload.png"),
        ("C:\\Users\\me\\x.png", "x.png"),
        ("/absolute/x.png", "x.png"),
        (".png", "png.png"),
        ("", "upload.png"),
        ("a\0b\x07c\x1b[31m.png", "abc[31m.png"),
        ("line\u2028break.png", "linebreak.png"),
        ("\u202egnp.exe", "gnp.exe.png"),
        ("a\u200fb\u2066c.png", "abc.png"),
        ("夕焼け 🌅.png", "夕焼け 🌅.png"),
        ("cafe\u0301.png", "café.png"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
        ("🌅" * 300, "🌅" * 251 + ".png"),
        ("script.svg", "script.png"),
        ("<b>bold</b>.png", "b>.png"),
        ('quo"te.png', 'quo"te.png'),
    ],
)
async def test_a_file_name_is_kept_as_one_line_that_leads_nowhere(
    client: aiohttp.ClientSession, storage: LocalStorage, given: str, kept: str
) -> None:
    escaped = given.replace('"', "%22")
    async with client.post("/api/v1/photos", data=body(part(PICTURE, filename=escaped)), headers=HEADERS) as response:
        photo = await answer(response, 201)
    assert photo["filename"] == kept
    assert all(photo["id"] in name for name in files(storage))
    async with client.get(f"{photo['url']}?download") as response:
        assert response.headers["Content-Disposition"].startswith("attachment")


async def test_a_file_name_in_no_known_encoding_is_no_error(client: aiohttp.ClientSession) -> None:
    content = body(part(PICTURE)).replace(b"x.png", b"caf\xe9.png", 1)
    async with client.post("/api/v1/photos", data=content, headers=HEADERS) as response:
        assert (await answer(response, 201))["filename"] == "caf\ufffd.png"


# --- The same bytes again ---


async def test_the_same_file_again_is_the_photo_that_is_here(
    client: aiohttp.ClientSession, storage: LocalStorage
) -> None:
    photo = await upload(client, PICTURE, "first.png")
    again = await upload(client, PICTURE, "second.png", status=200)
    assert again == photo | {"duplicate": True}
    assert len(files(storage)) == 3


async def test_the_same_file_many_times_at_once_is_one_photo(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    async def send() -> Any:
        async with client.post("/api/v1/photos", data=form(PICTURE)) as response:
            assert response.status in (200, 201)
            return await response.json()

    photos = await asyncio.gather(*(send() for _ in range(8)))
    assert len({photo["id"] for photo in photos}) == 1
    assert sorted(photo["duplicate"] for photo in photos) == [False, *[True] * 7]
    assert await connection.fetchval("SELECT count(*) FROM photos") == 1
    assert len(originals(storage)) == 1


async def test_the_bytes_of_a_photo_that_came_from_a_server_are_that_photo(
    client: aiohttp.ClientSession, add_home: AddHome
) -> None:
    photo = await add_home(content=PICTURE)
    assert (await upload(client, PICTURE, status=200))["id"] == str(photo)


async def test_a_trashed_photo_comes_out_of_the_trash_when_it_is_uploaded_again(
    client: aiohttp.ClientSession, add_home: AddHome, feed: Feed
) -> None:
    photo = await add_home(content=PICTURE, deleted_at=NOW)
    again = await upload(client, PICTURE, status=200)
    assert (again["id"], again["deleted_at"], again["duplicate"]) == (str(photo), None, True)
    assert (await feed.next("photo.updated"))["deleted_at"] is None


async def test_a_photo_that_an_upload_takes_out_of_the_trash_counts_in_its_albums_again(
    client: aiohttp.ClientSession, add_home: AddHome, feed: Feed
) -> None:
    photo = str(await add_home(content=PICTURE))
    album = await answer(await client.post("/api/v1/albums", json={"name": "Coast"}), 201)
    await client.post(f"/api/v1/albums/{album['id']}/photos", json={"photo_ids": [photo]})
    await client.delete(f"/api/v1/photos/{photo}")
    while (await feed.next("album.updated"))["photo_count"] != 0:
        pass
    await upload(client, PICTURE, status=200)
    while (await feed.next("album.updated"))["photo_count"] != 1:
        pass


async def test_what_was_purged_can_be_uploaded_again(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    photo = await upload(client, PICTURE)
    await client.delete(f"/api/v1/photos/{photo['id']}")
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    assert await nothing_is_left(connection, storage)
    assert (await upload(client, PICTURE))["id"] != photo["id"]


async def test_a_lost_upload_has_failed_with_the_reason_until_it_is_uploaded_again(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, feed: Feed
) -> None:
    photo = await upload(client, PICTURE)
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", UUID(photo["id"]))
    storage.unlink(path)
    async with client.get(photo["url"]) as response:
        assert response.status == 404
    lost = await feed.next("photo.failed")
    assert "missing" in lost["retrieval_error"]
    assert "no server" in lost["retrieval_error"]
    again = await upload(client, PICTURE, status=200)
    assert (again["id"], again["retrieval_status"], again["retrieval_error"]) == (photo["id"], "completed", None)
    async with client.get(photo["url"]) as response:
        assert await response.read() == PICTURE
    assert len(files(storage)) == 3


async def test_an_upload_finds_out_itself_that_a_file_was_lost(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    photo = await upload(client, PICTURE)
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", UUID(photo["id"]))
    storage.path(path).write_bytes(b"cut")
    assert (await upload(client, PICTURE, status=200))["id"] == photo["id"]
    assert storage.path(path).read_bytes() == PICTURE


async def test_the_file_of_an_upload_is_compared_with_its_checksum_whatever_its_kind(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage
) -> None:
    """As the background pass does; nothing else is known of a JPEG."""
    photo = await upload(client, sample("jpeg-rgb.jpg"))
    again = f"/api/v1/photos/{photo['id']}/retrieval"
    words = (await answer(await client.post(again), 409))["error"]["message"]
    assert "whole" in words
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", UUID(photo["id"]))
    content = bytearray(storage.path(path).read_bytes())
    content[500] ^= 1
    storage.path(path).write_bytes(content)
    lost = (await answer(await client.post(again), 409))["error"]
    assert "no server" in lost["message"]
    assert "not those that came" in lost["details"]["retrieval_error"]


async def test_renditions_of_an_upload_are_made_again_when_they_are_lost(
    client: aiohttp.ClientSession, storage: LocalStorage, thumbnails: Any
) -> None:
    for content in (sample("avif.avif"), sample("tiff-2pages.tif"), sample("gif-animated.gif"), PICTURE):
        photo = await upload(client, content)
        for name in files(storage):
            if name.startswith("thumbnails/"):
                storage.unlink(f"photos/{name}")
        thumbnails.drop([UUID(photo["id"])])
        for source in photo["image_set"]:
            async with client.get(source["url"]) as response:
                assert response.status == 200, await response.text()


# --- Trouble of our own ---


@pytest.mark.parametrize("call", ["append", "publish"])
async def test_a_disk_that_takes_no_more_is_said_and_nothing_is_left(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(LocalStorage, call, full)
        async with client.post("/api/v1/photos", data=form(PICTURE)) as response:
            assert response.status == 503
            assert "No space left" in (await response.json())["error"]["message"]
    assert await nothing_is_left(connection, storage)
    await upload(client, PICTURE)


async def test_what_others_need_of_the_disk_is_left_free(
    client: aiohttp.ClientSession, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, free=10**6))
    async with client.post("/api/v1/photos", data=form(PICTURE)) as response:
        assert response.status == 503
    assert await nothing_is_left(connection, storage)
