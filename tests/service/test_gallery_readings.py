"""The gallery reading: what it takes, how far back it goes, and what may happen while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from service.backends import queries
from service.backends.schemas import BackendPatch
from service.correlation import gallery
from service.database.engine import Database
from service.demo.answers import Handler
from service.demo.images import Image
from service.errors import InvokeError
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.waiting import eventually


def saved(invokeai: ScriptedInvokeAI) -> list[str]:
    return sorted(image.image_name for image in invokeai.images.select(is_intermediate=False))


async def watermark(harness: CorrelationHarness) -> datetime:
    [row] = await harness.fetch("SELECT gallery_watermark FROM backends WHERE id = $1", harness.backend_id)
    return row["gallery_watermark"]


def add_images(harness: CorrelationHarness, count: int, **options: Any) -> list[Image]:
    return [harness.invokeai.add_canvas_save(**options) for _ in range(count)]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "PAGE", 2)


async def test_mirror_own_takes_ours_only(database: Database, invokeai: ScriptedInvokeAI) -> None:
    async with correlation_harness(database, invokeai, mirror="own") as harness:
        [item_id] = await harness.enqueue_foreign(batches.blank())
        await invokeai.until_ended(item_id)
        step, _ = await harness.enqueue_own(batches.blank())
        await harness.until_step(step, "completed")
        await harness.connection.gallery.read()
        [photo] = await harness.until_photos(1)
        assert photo["step_id"] == step


async def test_the_gallery_reading_finds_what_no_event_told(harness: CorrelationHarness) -> None:
    harness.invokeai.drop_events()
    canvas = harness.invokeai.add_canvas_save()
    harness.invokeai.add_upload()
    harness.invokeai.add_image(is_intermediate=True)
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await harness.invokeai.until_ended(item_id)
    assert await harness.connection.gallery.read() == 2
    photos = await harness.until_photos(2)
    assert canvas.image_name in [photo["invoke_id"] for photo in photos]
    assert await harness.connection.gallery.read() == 0, "and again adds nothing"


async def test_images_we_uploaded_ourselves_are_not_mirrored_back(harness: CorrelationHarness) -> None:
    image = harness.invokeai.add_canvas_save()
    async with harness.database.connection() as connection:
        await connection.execute(
            "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, retrieval_status,"
            " file_size, sha256, local_storage_path) VALUES (gen_random_uuid(), 'a.png', 1, 1, 'image/png', now(),"
            " 'uploaded', 'completed', 1, 'ab', 'photos/uploaded/a.png')"
        )
        await connection.execute(
            "INSERT INTO backend_uploads (backend_id, photo_id, image_name) SELECT $1, id, $2 FROM photos",
            harness.backend_id,
            image.image_name,
        )
    assert await harness.connection.gallery.read() == 0


async def test_images_older_than_the_backend_are_left_to_import(harness: CorrelationHarness) -> None:
    harness.invokeai.add_canvas_save(created_at=harness.invokeai.now() - timedelta(minutes=1))
    assert await harness.connection.gallery.read() == 0


async def test_a_server_clock_behind_ours_hides_nothing(database: Database, invokeai: ScriptedInvokeAI) -> None:
    invokeai.clock_offset = -timedelta(hours=3)
    async with correlation_harness(database, invokeai) as harness:
        invokeai.drop_events()
        await harness.enqueue_foreign(batches.blank())
        await harness.invokeai.until(lambda: len(saved(invokeai)) == 1)
        assert await harness.connection.gallery.read() == 1


async def test_a_server_clock_set_back_pulls_the_watermark_back(harness: CorrelationHarness) -> None:
    harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    harness.invokeai.clock_offset = -timedelta(hours=3)
    harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    await harness.connection.gallery.read()
    await harness.until_photos(2)


async def test_a_purged_photo_never_comes_back(harness: CorrelationHarness) -> None:
    [_item_id] = await harness.enqueue_foreign(batches.blank())
    await harness.until_photos(1)
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET purged_at = now(), retrieval_status = 'gone', next_retrieval_attempt = NULL"
        )
    await harness.connection.gallery.read()
    [photo] = await harness.until_photos(1)
    assert photo["purged_at"] is not None
    assert photo["retrieval_status"] == "gone"


async def test_a_pass_during_which_images_were_deleted_starts_again(
    harness: CorrelationHarness, small_pages: None
) -> None:
    """Deleting shifts the pages: what would have come first on the next one is skipped."""
    images = add_images(harness, 6)

    async def delete_meanwhile(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        harness.invokeai.images.delete([images[5].image_name, images[4].image_name])
        return answer

    rule = harness.invokeai.on("/images/$", delete_meanwhile, method="GET")
    await harness.connection.gallery.read()
    assert rule.hits == 1
    photos = await harness.until_photos(6)
    assert {image.image_name for image in images} == {photo["invoke_id"] for photo in photos}


async def test_images_that_arrive_during_a_pass_hide_none_and_double_none(
    harness: CorrelationHarness, small_pages: None
) -> None:
    add_images(harness, 5)

    async def add_meanwhile(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        add_images(harness, 1)
        return answer

    harness.invokeai.on("/images/$", add_meanwhile, method="GET", times=2)
    await harness.connection.gallery.read()
    await harness.connection.gallery.read()
    await harness.until_photos(7)


async def test_images_made_in_the_same_moment_are_all_taken(harness: CorrelationHarness, small_pages: None) -> None:
    add_images(harness, 5, created_at=harness.invokeai.now())
    assert await harness.connection.gallery.read() == 5


async def test_only_a_complete_pass_moves_the_watermark_and_the_time_it_was_read(
    harness: CorrelationHarness, small_pages: None
) -> None:
    reading = harness.connection.gallery

    async def has_read() -> bool:
        return reading.read_from is not None

    await eventually(has_read)  # by itself, once it is connected
    await reading.read()
    before, read_from = await watermark(harness), reading.read_from
    add_images(harness, 4)

    async def fail_second(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await (answers.status(409)(request, handler) if request.query["offset"] == "2" else handler(request))

    rule = harness.invokeai.on("/images/$", fail_second, method="GET", times=None)
    with pytest.raises(InvokeError):
        await reading.read()
    assert (await watermark(harness), reading.read_from) == (before, read_from)
    rule.remove()
    await reading.read()
    assert await watermark(harness) > before
    assert reading.read_from != read_from
    await harness.until_photos(4)


async def test_after_a_clock_was_set_back_all_since_the_last_pass_is_read(harness: CorrelationHarness) -> None:
    """However long ago that pass was, and however much older the new images look."""
    now = harness.invokeai.now()
    add_images(harness, 1)
    await harness.connection.gallery.read()
    later = timedelta(minutes=20)
    harness.invokeai.clock_offset = later - timedelta(hours=3)
    add_images(harness, 1, created_at=now + timedelta(minutes=2) - timedelta(hours=3))
    clock = harness.connection.gallery._clock
    harness.connection.gallery._clock = lambda: clock() + later.total_seconds()
    await harness.connection.client.version()
    assert await harness.connection.gallery.read() == 1


async def test_the_watermark_never_lies_ahead_of_the_servers_clock(harness: CorrelationHarness) -> None:
    add_images(harness, 1, created_at=harness.invokeai.now() + timedelta(hours=1))
    await harness.connection.gallery.read()
    assert await watermark(harness) <= harness.invokeai.now()


async def test_from_own_to_all_the_socket_stays_and_everybodys_images_are_taken(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "OVERLAP", timedelta(0))
    connection = harness.connection
    await harness.patch(mirror="own")
    harness.invokeai.drop_events()
    now = harness.invokeai.now()
    for seconds in (0.1, 0.2):
        add_images(harness, 1, created_at=now + timedelta(seconds=seconds))
    await connection.gallery.read()
    await harness.until_photos(0)
    await harness.patch(mirror="all")
    await harness.until_photos(2)
    assert harness.connection is connection


async def take_everybodys(harness: CorrelationHarness) -> None:
    """The row says so already; the connection has not been told yet."""
    async with harness.database.connection() as connection:
        await queries.patch(connection, harness.backend_id, BackendPatch(mirror="all"))


async def add_two_of_others(harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """While only ours are taken: the younger hides the older from a pass that begins at it."""
    monkeypatch.setattr(gallery, "OVERLAP", timedelta(0))
    await harness.patch(mirror="own")
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE backends SET gallery_beginning = now() - interval '1 hour', gallery_watermark = NULL"
        )
    for minutes in (20, 10):
        add_images(harness, 1, created_at=harness.invokeai.now() - timedelta(minutes=minutes))


async def test_a_reading_before_the_connection_is_told_to_take_everybodys_images_takes_them(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_two_of_others(harness, monkeypatch)
    await take_everybodys(harness)
    assert await harness.connection.gallery.read() == 2


async def test_a_reading_begun_for_ours_alone_hides_none_when_everybodys_come_to_be_taken(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_two_of_others(harness, monkeypatch)
    marks = harness.connection.recorder.marks
    move = marks.move

    async def move_late(*values: Any) -> None:
        monkeypatch.setattr(marks, "move", move)
        await take_everybodys(harness)
        await move(*values)

    monkeypatch.setattr(marks, "move", move_late)
    assert await harness.connection.gallery.read() == 0
    await harness.registry.reload()
    await harness.until_photos(2)


async def test_a_reading_asked_for_while_one_runs_follows_it(harness: CorrelationHarness) -> None:
    first = harness.connection.gallery.read_from

    async def ask_meanwhile(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        add_images(harness, 1)
        harness.registry.request_gallery_reading(harness.backend_id)
        return answer

    harness.invokeai.on("/images/$", ask_meanwhile, method="GET")
    harness.registry.request_gallery_reading(harness.backend_id)
    await harness.until_photos(1)
    assert harness.connection.gallery.read_from != first


async def test_a_watermark_pulled_back_during_a_pass_stays_there(
    harness: CorrelationHarness, small_pages: None
) -> None:
    """By another process, say, or a server clock that was set back."""
    await harness.connection.gallery.read()
    add_images(harness, 3)

    async def pull_back(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.query["offset"] != "0":
            await harness.fetch("UPDATE backends SET gallery_watermark = '2026-01-01 00:00+00'")
        return await handler(request)

    harness.invokeai.on("/images/$", pull_back, method="GET", times=None)
    await harness.connection.gallery.read()
    assert await watermark(harness) == datetime(2026, 1, 1, tzinfo=UTC)
