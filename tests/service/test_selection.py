"""A step's selection: its files move safely, and every address works meanwhile (safe selection)."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.bus.bus import Bus
from service.database.engine import Database
from service.media.layout import completed_path, generated_path, large_path, selected_path, thumbnail_path
from service.media.storage import MARKER, LocalStorage
from service.retrieval import queue
from service.retrieval.queue import Claimed, Home
from service.retrieval.sweep import Sweep
from service.selection import moves
from tests.fakes import ScriptedInvokeAI, answers, rows
from tests.fakes.passing import passing
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness
from tests.fakes.selecting import Selecting


@pytest.fixture
def made(database: Database, database_url: str, tmp_path: Path, invokeai: ScriptedInvokeAI) -> Selecting:
    return Selecting(database, invokeai, tmp_path / "data", database_url)


@pytest.fixture
async def opened(made: Selecting) -> AsyncIterator[Selecting]:
    async with made.open():
        yield made


def fails(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture(params=["links", "no links"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk with second names, and a network share without."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", fails(errno.EOPNOTSUPP))
    return str(request.param)


@pytest.mark.usefixtures("disk")
async def test_chosen_changed_chosen_again_and_taken_back_the_files_are_where_the_choice_puts_them(
    opened: Selecting, disk: str
) -> None:
    photos = await opened.fill(3)
    step = await opened.select(photos[0])
    assert step["selected_image_id"] == str(photos[0])
    assert [photo["selected"] for photo in step["alternatives"]] == [True, False, False]
    await opened.assert_in_place()
    first = selected_path(opened.session, opened.step, photos[0])
    second = completed_path((await opened.selection())["selected_at"], photos[0])
    storage = opened.storage
    assert storage.path(first).samefile(storage.path(second)) is (disk == "links")

    again = await opened.select(photos[0])
    assert again["selected_at"] == step["selected_at"]
    await opened.assert_in_place()

    for photo in (photos[1], photos[2], photos[0]):
        assert (await opened.select(photo))["selected_image_id"] == str(photo)
        await opened.assert_in_place()
    taken_back = await opened.select(None)
    assert (taken_back["selected_image_id"], taken_back["selected_at"]) == (None, None)
    await opened.assert_in_place()
    assert (await opened.select(None))["selected_image_id"] is None


async def test_what_is_not_an_alternative_of_the_step_is_refused(opened: Selecting) -> None:
    photos = await opened.fill(2)
    other = Selecting(opened.database, opened.invokeai, opened.data, opened.url)
    await other.add_step()
    assert (await opened.select(photos[0], 400, other.step))["error"]["code"] == "validation_error"
    assert (await opened.select(uuid4(), 400))["error"]["code"] == "validation_error"
    assert (await opened.select(photos[0], 404, uuid4()))["error"]["code"] == "not_found"
    for body in ({}, {"photo_id": "x"}, {"photo_id": str(photos[0]), "more": 1}):
        async with opened.darkroom.http.put(f"/api/v1/steps/{opened.step}/selection", json=body) as response:
            assert response.status == 400
    await opened.select(photos[0])
    async with opened.database.connection() as connection:
        await connection.execute("UPDATE generation_steps SET deleted_at = now() WHERE id = $1", opened.step)
    await opened.select(photos[1], 404)
    assert (await opened.selection())["selected_image_id"] == photos[0]


async def test_browsers_are_told_of_both_photos_the_step_and_the_session(opened: Selecting) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    async with opened.darkroom.feed() as feed:
        await feed.next()
        await opened.select(photos[1])
        told: dict[tuple[str, str], Any] = {}
        wanted = {("photo.updated", str(photo)) for photo in photos}
        wanted |= {("step.updated", str(opened.step)), ("session.updated", str(opened.session))}
        while not wanted <= told.keys():
            message = await feed.next()
            told[message["type"], (message["data"] or {}).get("id")] = message["data"]
    assert told["photo.updated", str(photos[0])]["selected"] is False
    assert told["photo.updated", str(photos[1])]["selected"] is True
    assert told["step.updated", str(opened.step)]["selected_image_id"] == str(photos[1])
    assert told["session.updated", str(opened.session)]["cover_photo_id"] == str(photos[1])


# --- Not home yet ---


async def test_chosen_while_it_waits_for_its_server_it_is_moved_once_it_is_home(opened: Selecting) -> None:
    (first,) = await opened.fill(1)
    opened.invokeai.on("/full$", answers.status(503, "busy"), times=None)
    late = await opened.add_alternative(200)
    await opened.select(first)
    step = await opened.select(late)
    assert step["selected_image_id"] == str(late)
    assert (await opened.row(late))["local_storage_path"] == generated_path(opened.session, opened.step, late)
    assert (await opened.row(first))["local_storage_path"] == generated_path(opened.session, opened.step, first)
    opened.invokeai._route_rules.clear()
    async with opened.database.connection() as connection:
        await connection.execute("UPDATE photos SET next_retrieval_attempt = now()")
    await opened.until_home(late)
    await opened.until(late, lambda row: "/selected/" in row["local_storage_path"])
    await until_settled(opened)
    await opened.assert_in_place()


@pytest.mark.parametrize("changes", [["choose"], ["choose", "unchoose"], ["choose", "unchoose", "choose"]])
async def test_chosen_while_it_is_being_fetched_it_ends_where_the_last_choice_puts_it(
    opened: Selecting, changes: list[str]
) -> None:
    await opened.fill(1)
    gate = asyncio.Event()
    held = opened.invokeai.on("/full$", answers.after(gate))
    late = await opened.add_alternative(200)
    opened.darkroom.app.state["retrieval"].wake()
    await held.wait()
    for change in changes:
        await opened.select(late if change == "choose" else None)
    assert (await opened.row(late))["retrieval_status"] == "retrieving"
    gate.set()
    await opened.until_home(late)
    await until_settled(opened)
    await opened.assert_in_place()


@pytest.mark.parametrize("status", ["failed", "gone"])
async def test_what_failed_or_is_gone_may_be_chosen_and_moves_nothing(opened: Selecting, status: str) -> None:
    (first,) = await opened.fill(1)
    async with opened.database.connection() as connection:
        lost = await opened.add_alternative(90)
        await connection.execute(
            "UPDATE photos SET retrieval_status = $2, next_retrieval_attempt = NULL WHERE id = $1", lost, status
        )
    await opened.select(first)
    assert (await opened.select(lost))["selected_image_id"] == str(lost)
    await opened.sweep()
    assert opened.files() == await opened.places(lost)
    async with opened.darkroom.http.post(f"/api/v1/photos/{lost}/retrieval") as response:
        assert response.status in (200, 202)
    await opened.until_home(lost)
    await until_settled(opened)
    await opened.assert_in_place()


async def until_settled(opened: Selecting) -> None:
    async with asyncio.timeout(20):
        while await opened.moving():
            await asyncio.sleep(0.02)


# --- What may become of a photo ---


async def test_the_trash_keeps_the_selection_and_so_does_coming_back(opened: Selecting) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    async with opened.darkroom.http.delete(f"/api/v1/photos/{photos[0]}") as response:
        assert response.status in (200, 204)
    assert (await opened.selection())["selected_image_id"] == photos[0]
    await opened.assert_in_place()
    async with opened.darkroom.http.post(f"/api/v1/photos/{photos[0]}/restore") as response:
        assert response.status in (200, 204)
    assert (await opened.selection())["selected_image_id"] == photos[0]
    await opened.assert_in_place()


@pytest.mark.usefixtures("disk")
async def test_purged_it_leaves_no_name_and_its_step_has_no_selection(opened: Selecting) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    await opened.darkroom.http.delete(f"/api/v1/photos/{photos[0]}")
    async with opened.darkroom.http.delete("/api/v1/photos/trash") as response:
        assert await response.json() == {"changed": 1}
    assert await opened.selection() == {"selected_image_id": None, "selected_at": None}
    await opened.sweep()
    await opened.assert_in_place(photos[0])
    assert (await opened.select(photos[0], 400))["error"]["code"] == "validation_error"


async def test_purged_while_nothing_can_be_removed_it_loses_every_name_once_that_can_be(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a kill between the purge's commit and the removal: the day of its second name is no longer in its step."""
    photos = await opened.fill(2)
    await opened.select(photos[0])
    await opened.darkroom.http.delete(f"/api/v1/photos/{photos[0]}")
    before = opened.files()
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "unlink", fails(errno.EROFS))
        async with opened.darkroom.http.delete("/api/v1/photos/trash") as response:
            assert response.status == 200
        await opened.sweep()
        assert opened.files() == before
    async with opened.database.connection() as connection:
        await connection.execute("UPDATE photos SET purged_at = now() - interval '1 hour' WHERE purged_at IS NOT NULL")
    await opened.sweep()
    await Sweep(opened.database, opened.storage, Bus()).run()
    await opened.assert_in_place(photos[0])


# --- What the disk does ---


async def test_without_the_data_folder_nothing_is_chosen(opened: Selecting) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    marker = opened.data / MARKER
    kept = marker.read_bytes()
    marker.unlink()
    assert (await opened.select(photos[1], 503))["error"]["code"] == "unavailable"
    assert (await opened.selection())["selected_image_id"] == photos[0]
    marker.write_bytes(kept)
    await opened.select(photos[1])
    await opened.assert_in_place()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO])
async def test_a_disk_that_takes_nothing_keeps_the_files_where_they_were_until_it_does(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    before = opened.files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fails(number))
        step = await opened.select(photos[1])
        assert step["selected_image_id"] == str(photos[1])
        assert opened.files() == before
        for photo in photos:
            assert await opened.read(photo, "file") == opened.original(photo)
        await opened.sweep()
        assert opened.files() == before
    await opened.sweep()
    await opened.assert_in_place()


async def test_a_copy_that_found_no_room_leaves_nothing_behind_and_is_made_later(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo,) = await opened.fill(1)
    before = opened.files()
    monkeypatch.setattr(os, "link", fails(errno.EPERM))
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "publish", fails(errno.ENOSPC))
        await opened.select(photo)
        assert opened.files() == before
    await opened.sweep()
    await opened.assert_in_place()


# --- Lost and found ---


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("which", ["selected", "completed"])
async def test_a_selection_that_lost_one_of_its_names_has_it_again_from_the_other(
    opened: Selecting, which: str
) -> None:
    (photo,) = await opened.fill(1)
    await opened.select(photo)
    lost = (await opened.row(photo))["local_storage_path"]
    if which == "completed":
        lost = completed_path((await opened.selection())["selected_at"], photo)
    opened.storage.unlink(lost)
    requests = len(opened.invokeai.requests)
    assert await opened.read(photo, "file") == opened.original(photo)
    if which == "completed":
        await opened.darkroom.app.state["file_mover"].settle(photo)
    await until_settled(opened)
    await opened.assert_in_place()
    assert not [path for _, path in opened.invokeai.requests[requests:] if path.endswith("/full")]
    assert (await opened.row(photo))["retrieval_status"] == "completed"


async def test_a_selection_that_is_cut_is_whole_again_by_the_copy_of_its_other_name(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", fails(errno.ENOTSUP))
    (photo,) = await opened.fill(1)
    await opened.select(photo)
    opened.storage.path((await opened.row(photo))["local_storage_path"]).write_bytes(b"cut")
    assert await opened.read(photo, "file") == opened.original(photo)
    await until_settled(opened)
    await opened.assert_in_place()


async def test_asked_to_fetch_a_selection_again_it_is_first_looked_for_under_its_other_name(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", fails(errno.ENOTSUP))
    (photo,) = await opened.fill(1)
    await opened.select(photo)
    file = opened.storage.path((await opened.row(photo))["local_storage_path"])
    file.write_bytes(bytes(len(file.read_bytes())))
    async with opened.darkroom.http.post(f"/api/v1/photos/{photo}/retrieval") as response:
        assert response.status == 200
    await until_settled(opened)
    await opened.assert_in_place()


async def test_a_selection_that_is_damaged_under_both_names_comes_from_its_server_for_both(opened: Selecting) -> None:
    (photo,) = await opened.fill(1)
    await opened.select(photo)
    opened.storage.path((await opened.row(photo))["local_storage_path"]).write_bytes(b"cut")
    async with opened.darkroom.http.get(f"/api/v1/photos/{photo}/file") as response:
        assert response.status in (200, 202)  # its server may be quicker than the answer
    await opened.until_home(photo)
    await until_settled(opened)
    await opened.assert_in_place()


async def test_a_library_put_back_from_before_the_move_finds_its_files_where_they_are(opened: Selecting) -> None:
    """As after a dump of the database that is older than the pictures."""
    (photo,) = await opened.fill(1)
    path = (await opened.row(photo))["local_storage_path"]
    await opened.select(photo)
    async with opened.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET local_storage_path = $2, local_thumbnail_path = $3 WHERE id = $1",
            photo,
            path,
            thumbnail_path(path),
        )
        await connection.execute("UPDATE generation_steps SET selected_image_id = NULL, selected_at = NULL")
    assert await opened.read(photo, "file") == opened.original(photo)
    await until_settled(opened)
    names = {name for name in opened.files() if "/completed/" not in name}
    assert names == await opened.places()


async def test_another_file_at_one_of_its_names_is_left_alone(opened: Selecting) -> None:
    photos = await opened.fill(2)
    foreign = generated_path(opened.session, opened.step, photos[0])
    link = opened.storage.path(foreign)
    whole = link.read_bytes()
    await opened.select(photos[0])
    opened.storage.replace(foreign, b"the owner's own", uuid4())
    async with opened.database.connection() as connection:
        await connection.execute("INSERT INTO file_moves VALUES ($1, ARRAY[$2::text])", photos[0], foreign)
    await opened.sweep()
    await opened.sweep()
    assert link.read_bytes() == b"the owner's own"
    assert await opened.read(photos[0], "file") == whole


async def test_large_renditions_are_counted_once_and_removed_under_both_names(opened: Selecting) -> None:
    photos = await opened.fill(2)
    await opened.select(photos[0])
    sizes = [(await opened.row(photo))["large_bytes"] for photo in photos]
    state = opened.darkroom.app.state
    counted = await state["renditions"].count_large()
    assert (counted.photos, counted.bytes) == (2, sum(sizes))
    await state["renditions"].discard_large(100)
    assert not [name for name in opened.files() if name.endswith(".large.webp")]
    assert (await opened.read(photos[0], "thumbnail?size=large"))[8:12] == b"WEBP"
    completed = completed_path((await opened.selection())["selected_at"], photos[0])
    async with asyncio.timeout(20):
        while not opened.storage.exists(large_path(completed)):
            await asyncio.sleep(0.02)


async def test_a_rendition_that_is_being_made_while_its_photo_moves_is_kept_beside_it(
    opened: Selecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo,) = await opened.fill(1)
    state, loop = opened.darkroom.app.state, asyncio.get_running_loop()
    await state["renditions"].discard_large(100)
    imaging = state["imaging"]
    render = imaging.render

    def chosen_meanwhile(*arguments: Any, **options: Any) -> Any:
        made = render(*arguments, **options)
        asyncio.run_coroutine_threadsafe(opened.select(photo), loop).result(20)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(imaging, "render", chosen_meanwhile)
        assert (await opened.read(photo, "thumbnail?size=large"))[8:12] == b"WEBP"
    await opened.assert_in_place()
    assert (await opened.row(photo))["large_bytes"] > 0


async def test_the_pass_over_photos_gives_a_selection_its_second_name_again(database: Database, tmp_path: Path) -> None:
    async with retrieval_harness(database, tmp_path) as harness, passing(harness):
        await give_second_name_again(harness)


async def give_second_name_again(harness: RetrievalHarness) -> None:
    async with harness.database.connection() as connection:
        session = await rows.add_session(connection)
        step = await rows.add_step(connection, session)
    photo = await harness.photo(harness.server.add_image(size=(300, 200)))
    async with harness.database.connection() as connection:
        await rows.add_alternative(connection, step, photo)
        await connection.execute("UPDATE generation_steps SET selected_image_id = $1, selected_at = now()", photo)
        await connection.execute(
            "UPDATE photos SET local_storage_path = $2 WHERE id = $1", photo, selected_path(session, step, photo)
        )
        selected_at = await connection.fetchval("SELECT selected_at FROM generation_steps")
    harness.start()
    row = await harness.until_status(photo, "completed")
    second = completed_path(selected_at, photo)
    async with asyncio.timeout(30):
        while not harness.storage.exists(second) or not harness.storage.exists(thumbnail_path(second)):
            await asyncio.sleep(0.02)
    assert harness.storage.path(second).samefile(harness.file(row))


# --- At once ---


async def test_two_browsers_that_choose_differently_at_once_leave_one_selection(opened: Selecting) -> None:
    photos = await opened.fill(3)
    for _ in range(10):
        await asyncio.gather(*(opened.select(photo) for photo in (*photos, None, *photos)))
        await until_settled(opened)
        await opened.assert_in_place()


@pytest.mark.usefixtures("disk")
async def test_readers_notice_nothing_of_two_hundred_changes_of_mind(opened: Selecting) -> None:
    photos = await opened.fill(2)
    small = {photo: await opened.read(photo, "thumbnail") for photo in photos}
    large = {photo: await opened.read(photo, "thumbnail?size=large") for photo in photos}
    state, done, reads = opened.darkroom.app.state, asyncio.Event(), 0

    async def keep_reading(photo: UUID) -> None:
        nonlocal reads
        while not done.is_set():
            state["thumbnails"].drop([photo])  # else the disk is not asked
            assert await opened.read(photo, "file") == opened.original(photo)
            assert await opened.read(photo, "thumbnail") == small[photo]
            assert await opened.read(photo, "thumbnail?size=large") == large[photo]
            reads += 1

    async def keep_changing() -> None:
        for number in range(200):
            await opened.select([*photos, None][number % 3])
        done.set()

    async with asyncio.TaskGroup() as tasks:
        for photo in photos * 2:
            tasks.create_task(keep_reading(photo))
        tasks.create_task(keep_changing())
    assert reads > 50
    async with opened.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM photos WHERE retrieval_status = 'completed'") == 2
    await opened.assert_in_place()


async def test_purging_and_choosing_at_once_ends_in_one_or_the_other(opened: Selecting) -> None:
    photos = await opened.fill(4)
    for photo in photos[:3]:
        await opened.darkroom.http.delete(f"/api/v1/photos/{photo}")

    async def choose(photo: UUID) -> int:
        body = {"photo_id": str(photo)}
        async with opened.darkroom.http.put(f"/api/v1/steps/{opened.step}/selection", json=body) as response:
            return response.status

    async def purge() -> None:
        async with opened.darkroom.http.delete("/api/v1/photos/trash") as response:
            assert response.status == 200

    statuses = await asyncio.gather(*(choose(photo) for photo in photos[:3]), purge(), choose(photos[3]))
    assert set(statuses) <= {200, 400, None}
    await until_settled_by_sweeps(opened)
    assert (await opened.selection())["selected_image_id"] in (None, photos[3])
    await opened.assert_in_place(*photos[:3])


async def until_settled_by_sweeps(opened: Selecting) -> None:
    async with asyncio.timeout(20):
        while await opened.moving():
            await opened.sweep()
            await asyncio.sleep(0.05)


async def test_a_worker_that_lost_its_photo_to_another_leaves_no_file_where_it_was(opened: Selecting) -> None:
    """Its lease ran out, another brought the photo home, and the owner chose it: then the first one is done."""
    (photo,) = await opened.fill(1)
    await opened.select(photo)
    path = generated_path(opened.session, opened.step, photo)
    opened.storage.replace(path, opened.original(photo), uuid4())
    async with opened.database.connection() as connection:
        row = await opened.row(photo)
        claimed = Claimed(photo, row["backend_id"], row["invoke_id"], path, uuid4(), 0, False, 1)
        home = Home(row["file_size"], row["sha256"], None, None, None, False)
        assert not await queue.finish(connection, claimed, home, None)
        assert not await queue.adopt(connection, claimed, home, None)
        await moves.note_elsewhere(connection, photo, path)
    await opened.sweep()
    await opened.assert_in_place()


def test_a_day_is_that_of_utc() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert "/2026-11-22/" in completed_path(late, uuid4())
