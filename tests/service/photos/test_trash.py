"""Into the trash, out again, and emptied."""

from __future__ import annotations

from uuid import uuid4

import aiohttp

from service.database.engine import Connection
from service.media.layout import completed_path
from service.media.storage import LocalStorage
from tests.fakes.photos import NOW, AddHome, Feed, answer
from tests.fakes.rows import add_alternative, add_photo, add_session, add_step, insert


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
    async with client.get(f"/api/v1/photos/{photo}/thumbnail") as response:
        assert response.status == 200
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
    storage.share(path, completed_path(NOW, photo))
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
