"""Photos over HTTP: lists, changes, files with ranges and revalidation, thumbnails, retrieval and the trash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.backends import ledger
from service.database.engine import Connection, Database
from service.library import file_routes, routes
from service.library.queries import photos_by_ids
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer, Readers
from service.live.hub import Hub
from service.live.messages import Ledger, Photo
from service.media.imaging import Imaging
from service.media.layout import completed_path, thumbnail_path
from service.media.storage import LocalStorage
from service.retrieval import queue
from service.retrieval.worker import Retrieval
from tests.fakes.heard import next_message
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step, insert
from tests.fakes.served import served

ORIGINAL = bytes(range(256)) * 4000
THUMBNAIL = b"RIFF....WEBPVP8 "
NOW = datetime.now(UTC)


class Feed:
    """What browsers are told of durable changes."""

    def __init__(self, hub: Hub) -> None:
        self._client = hub.subscribe()

    async def next(self, wanted: str) -> Any:
        """The data of the next message of that type."""
        while True:
            message = await next_message(self._client)
            if message["type"] == wanted:
                return message["data"]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
async def announcer(database: Database) -> AsyncIterator[Announcer]:
    async def photos(ids: Any) -> dict[UUID, Photo]:
        async with database.connection() as connection:
            return await photos_by_ids(connection, ids)

    async def nothing(ids: Any) -> dict[UUID, Any]:
        return {}

    async def read_ledger() -> Ledger:
        async with database.connection() as connection:
            return await ledger.read(connection, {})

    hub = Hub("test")
    announcer = Announcer(hub, Readers(photos, nothing, nothing, nothing, read_ledger))
    announcer.feed = Feed(hub)  # type: ignore[attr-defined]
    running = asyncio.create_task(announcer.run())
    yield announcer
    running.cancel()


@pytest.fixture
def retrieval(database: Database, storage: LocalStorage, announcer: Announcer) -> Retrieval:
    limits = SimpleNamespace(retrieval_max_attempts=5, thumbnail_quality=85)
    return Retrieval(
        database,
        storage,
        Imaging(10_000_000),
        lambda _: None,
        list,
        announcer=announcer,
        limits=lambda: limits,
        workers=1,
    )


@pytest.fixture
async def client(
    database: Database, storage: LocalStorage, announcer: Announcer, retrieval: Retrieval
) -> AsyncIterator[aiohttp.ClientSession]:
    thumbnails = Thumbnails()
    async with served(
        [*routes.routes, *file_routes.routes],
        database=database,
        storage=storage,
        announcer=announcer,
        retrieval=retrieval,
        thumbnails=thumbnails,
        trash=Trash(database, storage, thumbnails, announcer),
    ) as client:
        yield client


@pytest.fixture
def feed(announcer: Announcer) -> Feed:
    feed: Feed = announcer.feed  # type: ignore[attr-defined]
    return feed


AddHome = Callable[..., Awaitable[UUID]]


@pytest.fixture
def add_home(connection: Connection, storage: LocalStorage) -> AddHome:
    """A photo whose original and thumbnail are on disk."""

    async def add(content: bytes = ORIGINAL, thumbnail: bytes | None = THUMBNAIL, **values: Any) -> UUID:
        path = f"photos/generated/mirror/{uuid4()}.png"
        storage.replace(path, content, uuid4())
        if thumbnail is not None:
            storage.replace(thumbnail_path(path), thumbnail, uuid4())
            values["local_thumbnail_path"] = thumbnail_path(path)
        return await add_photo(
            connection,
            **{
                "local_storage_path": path,
                "sha256": hashlib.sha256(content).hexdigest(),
                "file_size": len(content),
                **values,
            },
        )

    return add


async def answer(response: aiohttp.ClientResponse, status: int) -> Any:
    body = await response.json()
    assert response.status == status, body
    return body


# --- lists ---


async def test_a_list_in_the_agreed_envelope(client: aiohttp.ClientSession, connection: Connection) -> None:
    ids = [str(await add_photo(connection, created_at=NOW + timedelta(seconds=n))) for n in range(3)]
    page = await answer(await client.get("/api/v1/photos?limit=2"), 200)
    assert set(page) == {"items", "total", "limit", "offset", "next_cursor"}
    assert [photo["id"] for photo in page["items"]] == ids[:0:-1]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    rest = await answer(await client.get("/api/v1/photos", params={"limit": 2, "cursor": page["next_cursor"]}), 200)
    assert [photo["id"] for photo in rest["items"]] == ids[:1]
    assert (rest["total"], rest["next_cursor"]) == (None, None)
    assert rest["items"] == [await answer(await client.get(f"/api/v1/photos/{ids[0]}"), 200)]
    assert (await answer(await client.get("/api/v1/photos?count=false"), 200))["total"] is None


async def test_filters_repeat_and_join(client: aiohttp.ClientSession, connection: Connection) -> None:
    a = await add_photo(connection, model_key="a", favorite=True)
    b = await add_photo(connection, model_name="b", favorite=True)
    await add_photo(connection, model_key="a")
    page = await answer(await client.get("/api/v1/photos?model=a&model=b&favorite=true&status=completed"), 200)
    assert [photo["id"] for photo in page["items"]] == [str(b), str(a)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=many",
        "offset=-1",
        "cursor=nonsense",
        "offset=0&cursor=x",
        "status=lost",
        "source=moon",
        "album_id=7",
        "favorite=maybe",
        "rating_min=6",
        "order=random",
        "created_from=soon",
        "modell=a",
        "q=%00",
        "model=%FF%FE%00",
    ],
)
async def test_a_query_that_cannot_be_is_answered_with_400(client: aiohttp.ClientSession, query: str) -> None:
    body = await answer(await client.get(f"/api/v1/photos?{query}"), 400)
    assert body["error"]["code"] == "validation_error"
    assert body["error"]["message"]


# --- one photo ---


async def test_changes_are_stored_answered_and_told(
    client: aiohttp.ClientSession, connection: Connection, feed: Feed
) -> None:
    photo = await add_photo(connection, caption="before", pick="reject")
    change = {
        "favorite": True,
        "rating": 4,
        "pick": None,
        "caption": "Dawn",
        "tags": [" sea ", "sky", "sea"],
        "filename": "dawn.png",
    }
    changed = await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 200)
    assert {name: changed[name] for name in change} == {**change, "tags": ["sea", "sky"]}
    assert await feed.next("photo.updated") == changed
    same = await answer(await client.patch(f"/api/v1/photos/{photo}", json={}), 200)
    assert same == changed
    cleared = await answer(await client.patch(f"/api/v1/photos/{photo}", json={"caption": None}), 200)
    assert cleared["caption"] is None
    assert cleared["rating"] == 4


@pytest.mark.parametrize(
    "change",
    [
        {"rating": 6},
        {"rating": None},
        {"favorite": "yes"},
        {"pick": "maybe"},
        {"tags": [""]},
        {"tags": ["a\0"]},
        {"tags": ["x" * 101]},
        {"tags": "sea"},
        {"caption": "a\0b"},
        {"caption": "x" * 10_001},
        {"filename": ""},
        {"filename": "../up.png"},
        {"filename": ".."},
        {"filename": "a\nb"},
        {"sha256": "x"},
        {"id": str(uuid4())},
        [],
    ],
)
async def test_a_change_that_cannot_be_changes_nothing(
    client: aiohttp.ClientSession, connection: Connection, change: Any
) -> None:
    photo = await add_photo(connection)
    body = await answer(await client.patch(f"/api/v1/photos/{photo}", json=change), 400)
    assert body["error"]["code"] == "validation_error"
    untouched = await answer(await client.get(f"/api/v1/photos/{photo}"), 200)
    assert (untouched["rating"], untouched["tags"], untouched["caption"]) == (0, [], None)


async def test_what_does_not_exist_or_is_purged_is_404_everywhere(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    purged = await add_photo(connection, deleted_at=NOW, purged_at=NOW)
    for photo in (uuid4(), purged):
        url = f"/api/v1/photos/{photo}"
        for response in (
            await client.get(url),
            await client.patch(url, json={"rating": 1}),
            await client.patch(url, json={}),
            await client.delete(url),
            await client.post(f"{url}/restore"),
            await client.post(f"{url}/retrieval"),
            await client.get(f"{url}/file"),
            await client.get(f"{url}/thumbnail"),
        ):
            assert (await answer(response, 404))["error"]["code"] == "not_found"


# --- files ---


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
    assert (await client.get(f"/api/v1/photos/{photo}/file", headers={"Range": f"bytes={'9' * 5000}-"})).status == 416
    monkeypatch.setattr(file_routes, "wanted_range", broken)
    assert (await client.get(f"/api/v1/photos/{photo}/file")).status == 500
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
            storage.link(path, new)
            moving = connection.execute("UPDATE photos SET local_storage_path = $2 WHERE id = $1", photo, new)
            asyncio.run_coroutine_threadsafe(moving, loop).result(10)
            storage.unlink(path)
        return opened(path)

    monkeypatch.setattr(storage, "open", open_just_after_the_move)
    response = await client.get(f"/api/v1/photos/{photo}/file")
    assert (response.status, await response.read()) == (200, ORIGINAL)


async def test_a_file_missing_from_the_folder_is_told_apart(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    photo = await add_photo(connection, local_thumbnail_path="photos/thumbnails/nowhere.webp")
    for path in ("file", "thumbnail"):
        body = await answer(await client.get(f"/api/v1/photos/{photo}/{path}"), 404)
        assert body["error"]["details"] == {"reason": "file_missing"}


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


# --- not home ---


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
    assert (await client.get(f"/api/v1/photos/{photo}/thumbnail")).status == 202
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
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    home = await add_photo(connection)
    orphan = await add_photo(connection, home=False, retrieval_status="failed")
    for photo in (home, orphan):
        body = await answer(await client.post(f"/api/v1/photos/{photo}/retrieval"), 409)
        assert body["error"]["code"] == "conflict"


# --- the trash ---


async def test_into_the_trash_and_out_again(client: aiohttp.ClientSession, connection: Connection, feed: Feed) -> None:
    photo = await add_photo(connection)
    for _ in range(2):
        response = await client.delete(f"/api/v1/photos/{photo}")
        assert (response.status, await response.read()) == (204, b"")
    assert (await feed.next("photo.updated"))["deleted_at"] is not None
    assert (await answer(await client.get("/api/v1/photos"), 200))["items"] == []
    trashed = await answer(await client.get("/api/v1/photos?trashed=true"), 200)
    assert [found["id"] for found in trashed["items"]] == [str(photo)]
    for _ in range(2):
        restored = await answer(await client.post(f"/api/v1/photos/{photo}/restore"), 200)
        assert restored["deleted_at"] is None
    assert (await feed.next("photo.updated"))["deleted_at"] is None


async def test_emptying_the_trash_removes_files_thumbnails_and_memory(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage, feed: Feed
) -> None:
    kept = await add_home()
    photo = await add_home(deleted_at=NOW)
    assert (await client.get(f"/api/v1/photos/{photo}/thumbnail")).status == 200
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    assert await feed.next("photo.removed") == {"id": str(photo)}
    for path in ("", "/file", "/thumbnail"):
        for asked, status in ((photo, 404), (kept, 200)):
            async with client.get(f"/api/v1/photos/{asked}{path}") as response:
                assert response.status == status
                assert await response.read()
    on_disk = [file for file in storage.root.rglob("*") if file.is_file()]
    assert len(on_disk) == 2
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 0}


async def test_a_purged_pick_loses_both_its_names_and_its_step_the_selection(
    client: aiohttp.ClientSession, add_home: AddHome, connection: Connection, storage: LocalStorage
) -> None:
    photo = await add_home(deleted_at=NOW)
    step = await add_step(connection, await add_session(connection), status="completed")
    await add_alternative(connection, step, photo)
    await connection.execute(
        "UPDATE generation_steps SET selected_image_id = $2, selected_at = $3 WHERE id = $1", step, photo, NOW
    )
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", photo)
    storage.link(path, completed_path(NOW, photo))
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    assert [file for file in storage.root.rglob("*") if file.is_file()] == []
    row = await connection.fetchrow("SELECT selected_image_id, selected_at FROM generation_steps")
    assert row is not None
    assert tuple(row) == (None, None)


async def test_a_cover_and_an_album_let_go_of_what_is_purged(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    photo, album = await add_photo(connection, deleted_at=NOW), uuid4()
    await insert(connection, "albums", id=album, name="Coast", cover_photo_id=photo)
    await insert(connection, "album_photo", album_id=album, photo_id=photo, position=0)
    assert await answer(await client.delete("/api/v1/photos/trash"), 200) == {"changed": 1}
    assert await connection.fetchval("SELECT count(*) FROM album_photo") == 0
    assert await connection.fetchval("SELECT cover_photo_id FROM albums") is None
