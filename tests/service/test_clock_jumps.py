"""Clocks set by an hour or a day, InvokeAI's and the database's: nothing live stays away, nothing older comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from service.database.engine import Database
from service.demo.images import Image
from service.steps import item_state as correlate
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.studio_harness import MODEL, StudioHarness, posts, until_made

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = pytest.mark.parametrize("jump", [HOUR, DAY, -HOUR, -DAY], ids=["+1h", "+1d", "-1h", "-1d"])
BEFORE = [timedelta(minutes=1), timedelta(minutes=50), timedelta(hours=5), timedelta(hours=30)]


@pytest.fixture
async def harness(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[CorrelationHarness]:
    """Added beside a gallery of some images."""
    for age in BEFORE:
        invokeai.add_canvas_save(created_at=invokeai.now() - age)
    async with correlation_harness(database, invokeai) as harness:
        yield harness


async def come_home(harness: CorrelationHarness, *images: Image) -> None:
    """These and no others."""
    await harness.until_photos(len(images))
    photos = await harness.fetch("SELECT invoke_id FROM photos")
    assert {photo["invoke_id"] for photo in photos} == {image.image_name for image in images}


@JUMPS
async def test_when_invokeais_clock_is_set_new_images_come_and_those_of_before_do_not(
    harness: CorrelationHarness, jump: timedelta
) -> None:
    first = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    harness.invokeai.clock_offset = jump
    second = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    third = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    await come_home(harness, first, second, third)
    harness.invokeai.clock_offset = timedelta(0)
    fourth = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    await come_home(harness, first, second, third, fourth)


@JUMPS
async def test_when_invokeais_clock_is_set_what_an_event_names_comes_at_once(
    harness: CorrelationHarness, jump: timedelta
) -> None:
    harness.invokeai.clock_offset = jump
    await harness.connection.client.version()
    [item_id] = await harness.enqueue_foreign(batches.blank())
    [photo] = await harness.until_photos(1)
    assert photo["invoke_session_id"] == harness.invokeai.queue.items[item_id].session_id


@JUMPS
async def test_when_invokeais_clock_is_set_while_we_are_away_new_images_come(
    harness: CorrelationHarness, jump: timedelta
) -> None:
    await harness.connection.gallery.read()
    harness.invokeai.clock_offset = jump
    image = harness.invokeai.add_canvas_save()
    await harness.registry.reload(anew=[harness.backend_id])
    await come_home(harness, image)


@JUMPS
async def test_when_the_databases_clock_is_set_the_beginning_stays_where_it_was(
    harness: CorrelationHarness, jump: timedelta
) -> None:
    """Its own moments look older or younger than they are."""
    image = harness.invokeai.add_canvas_save()
    await harness.fetch("UPDATE backends SET created_at = created_at - $1::interval", jump)
    await harness.registry.reload(anew=[harness.backend_id])
    await harness.until_connected()
    await harness.connection.gallery.read()
    await come_home(harness, image)


async def test_a_server_that_is_first_reached_long_after_it_was_added_brings_all_since_then(
    database: Database, invokeai: ScriptedInvokeAI
) -> None:
    await invokeai.refuse()
    between = invokeai.add_canvas_save(created_at=invokeai.now() - HOUR)
    invokeai.add_canvas_save(created_at=invokeai.now() - 3 * HOUR)
    adding = asyncio.create_task(added_two_hours_ago(database, invokeai, between), name="adding")
    await asyncio.sleep(0.1)
    await invokeai.accept()
    await adding


async def added_two_hours_ago(database: Database, invokeai: ScriptedInvokeAI, expected: Image) -> None:
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE backends ALTER created_at SET DEFAULT now() - interval '2 hours'")
    try:
        async with correlation_harness(database, invokeai) as harness:
            await come_home(harness, expected)
    finally:
        async with database.connection() as connection:
            await connection.execute("ALTER TABLE backends ALTER created_at SET DEFAULT now()")


async def test_an_absence_that_the_database_dates_a_day_back_ends_no_item_early(harness: CorrelationHarness) -> None:
    """The first of two readings that lack it was by an earlier process, or the database's clock was set forward."""
    harness.invokeai.add_canvas_save()  # by which the server is recognised though its queue is empty
    await harness.connection.gallery.read()
    harness.invokeai.queue.started = False
    step, [_] = await harness.enqueue_own(batches.blank())

    async def known() -> bool:
        return bool(await harness.fetch("SELECT FROM queue_items WHERE invoke_session_id IS NOT NULL"))

    harness.registry.request_reading(harness.backend_id)
    await harness.until(known)
    harness.invokeai.drop_events()
    await harness.invokeai.queue.clear("default", None)
    await harness.fetch("UPDATE queue_items SET absent_since = now() - interval '1 day'")
    await harness.registry.reload(anew=[harness.backend_id])
    await harness.until_connected()
    for _ in range(2):
        await harness.connection.queue_reader.read_everything()
        await harness.connection.gallery.read()
    [item] = await harness.fetch("SELECT status, absent_since FROM queue_items")
    assert (item["status"], item["absent_since"] is not None) == ("pending", True)
    [row] = await harness.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
    assert row["status"] == "processing"


@JUMPS
async def test_an_item_that_is_gone_ends_whatever_the_databases_clock_says(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    monkeypatch.setattr(correlate, "ABSENCE", 0.2)
    harness.invokeai.queue.started = False
    step, _ = await harness.enqueue_own(batches.blank())
    harness.invokeai.drop_events()
    await harness.invokeai.queue.clear("default", None)
    await harness.connection.queue_reader.read_everything()
    shift = "UPDATE step_batches SET answered_at = answered_at + $1::interval, posted_at = posted_at + $1::interval"
    await harness.fetch(shift, jump)
    await harness.fetch("UPDATE queue_items SET absent_since = absent_since + $1::interval", jump)
    await harness.connection.gallery.read()
    await asyncio.sleep(0.3)
    await harness.connection.queue_reader.read_everything()
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == correlate.NO_LONGER_THERE


@JUMPS
async def test_a_post_in_doubt_is_neither_given_up_early_nor_kept_for_ever(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, jump: timedelta
) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=2)
    await studio.until_states(step_id, "posted")
    invokeai.clock_offset = jump
    await studio.fetch("UPDATE step_batches SET posted_at = posted_at + $1::interval", jump)

    def asked() -> int:
        return sum("/b/" in path for _, path in invokeai.requests)

    before = asked()
    studio.bus.submission_due()
    await invokeai.until(lambda: asked() > before)
    assert await studio.states(step_id) == ["posted"]
    if jump > timedelta(0):
        await studio.until_states(step_id, "lost", "enqueued")
        await until_made(studio, step_id, 100, 101)
        assert posts(invokeai) == 2
    else:
        gate.set()
        await until_made(studio, step_id, 100, 101)
        assert posts(invokeai) == 1


@JUMPS
async def test_a_batch_that_was_finished_and_pruned_is_known_by_its_image_whatever_the_clocks_say(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, jump: timedelta
) -> None:
    rule = invokeai.on("/b/.*/status$", answers.status(503), times=None)
    invokeai.drop_events()
    invokeai.cut_enqueue("during")
    step_id = await studio.create(MODEL, batch_size=2)
    await invokeai.until(lambda: len(invokeai.queue.items) == 2)
    await invokeai.until_ended(*invokeai.queue.items)
    invokeai.queue.prune("default", None)
    invokeai.clock_offset = jump
    rule.remove()
    await studio.until_states(step_id, "enqueued")
    assert posts(invokeai) == 1
