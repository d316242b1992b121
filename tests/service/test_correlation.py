"""Correlation by all its rules against InvokeAI's traffic, told by a scripted InvokeAI over real sockets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from service.backends.identity_choice import confirm_same
from service.correlation import queue_reader
from service.invokeai.subscription import SubscriptionState
from service.steps import item_state as correlate
from service.steps.item_state import NO_LONGER_THERE, RESTARTED
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.scripted import Hold


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absence is proved, and silence broken, in fractions of a second."""
    monkeypatch.setattr(correlate, "ABSENCE", 0.2)
    monkeypatch.setattr(queue_reader, "ABSENCE", -0.5)
    monkeypatch.setattr(queue_reader, "QUIET", 0.5)


def names(photos: list[Any]) -> list[str]:
    return sorted(photo["invoke_id"] for photo in photos)


def saved(invokeai: ScriptedInvokeAI) -> list[str]:
    return sorted(image.image_name for image in invokeai.images.select(is_intermediate=False))


async def test_what_an_item_of_ours_made_is_filed_under_its_step(harness: CorrelationHarness) -> None:
    step, _ = await harness.enqueue_own(batches.blank(), items=2)
    row = await harness.until_step(step, "completed")
    photos = await harness.until_photos(2)
    assert names(photos) == saved(harness.invokeai)
    assert {photo["step_id"] for photo in photos} == {step}
    assert {photo["source"] for photo in photos} == {"generated"}
    assert all(f"/{step}/variants/" in photo["local_storage_path"] for photo in photos)
    assert row["error_message"] is None


async def test_several_images_of_one_item_are_all_its_work_once_each_though_collect_repeats_them(
    harness: CorrelationHarness,
) -> None:
    step, _ = await harness.enqueue_own(batches.several_images(3))
    await harness.until_step(step, "completed")
    photos = await harness.until_photos(3)
    assert {photo["step_id"] for photo in photos} == {step}


async def test_a_node_cache_hit_stays_the_work_of_the_item_that_made_it(harness: CorrelationHarness) -> None:
    first, _ = await harness.enqueue_own(batches.blank(use_cache=True))
    await harness.until_step(first, "completed")
    second, _ = await harness.enqueue_own(batches.blank(use_cache=True))
    row = await harness.until_step(second, "failed")
    [photo] = await harness.until_photos(1)
    assert photo["step_id"] == first
    assert row["error_message"] == "InvokeAI finished without making an image"


async def test_a_primitive_that_echoes_its_input_makes_nothing(harness: CorrelationHarness) -> None:
    upload = harness.invokeai.add_upload()
    step, _ = await harness.enqueue_own(batches.echo(upload.image_name))
    await harness.until_step(step, "failed")
    await harness.until_photos(0)


async def test_intermediate_images_are_not_photos(harness: CorrelationHarness) -> None:
    step, _ = await harness.enqueue_own(batches.blank(is_intermediate=True))
    await harness.until_step(step, "failed")
    await harness.until_photos(0)


async def test_what_a_failed_item_saved_before_it_failed_is_kept_and_the_failure_told(
    harness: CorrelationHarness,
) -> None:
    step, _ = await harness.enqueue_own(batches.failing(after_image=True))
    row = await harness.until_step(step, "completed")
    [photo] = await harness.until_photos(1)
    assert photo["step_id"] == step
    assert row["error_message"] is None, "the seed has its image"


async def test_an_item_that_fails_at_once_fails_the_step_in_invokeais_words(harness: CorrelationHarness) -> None:
    step, _ = await harness.enqueue_own(batches.failing())
    row = await harness.until_step(step, "failed")
    [item] = harness.invokeai.queue.items.values()
    assert item.error_message
    assert item.error_message in row["error_message"]


async def test_a_canceled_item_keeps_what_it_had_saved(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("coll")
    step, [item_id] = await harness.enqueue_own(batches.several_images(2))
    await hold.reached()
    await harness.connection.client.cancel_item(item_id)
    hold.release()
    await harness.until_step(step, "completed")
    photos = await harness.until_photos(2)
    assert {photo["step_id"] for photo in photos} == {step}


async def test_a_bulk_cancel_ends_running_and_pending_items(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, _ = await harness.enqueue_own(batches.blank(), items=3)
    await hold.reached()
    [row] = await harness.fetch("SELECT batch_id FROM step_batches")
    await harness.connection.client.cancel_batches([row["batch_id"]])
    hold.release()
    await harness.until_step(step, "canceled")


async def test_whatever_events_say_twice_is_recorded_once(harness: CorrelationHarness) -> None:
    harness.invokeai.repeat_events(copies=3)
    step, _ = await harness.enqueue_own(batches.several_images(2))
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_with_every_event_lost_the_readings_bring_everything(
    harness: CorrelationHarness, short_windows: None
) -> None:
    harness.invokeai.drop_events()
    step, ids = await harness.enqueue_own(batches.blank(), items=2)
    await harness.invokeai.until_ended(*ids)
    harness.registry.request_reading(harness.backend_id)
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_what_ended_while_the_socket_was_away_is_read_on_reconnect(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, ids = await harness.enqueue_own(batches.blank(), items=2)
    await hold.reached()
    await harness.invokeai.refuse()
    hold.release()
    await harness.invokeai.until_ended(*ids)
    await harness.invokeai.accept()
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_a_server_killed_mid_batch_leaves_nothing_processing_and_no_saved_image_behind(
    harness: CorrelationHarness,
) -> None:
    hold = harness.invokeai.hold("coll")
    step, [item_id] = await harness.enqueue_own(batches.several_images(2))
    other, _ = await harness.enqueue_own(batches.blank())
    await hold.reached()
    await harness.invokeai.kill()
    hold.release()
    await harness.invokeai.restart()
    await harness.until_step(other, "completed")
    await harness.until_photos(3)
    row = await harness.until_step(step, "completed")
    [item] = await harness.fetch("SELECT status, error FROM queue_items WHERE item_id = $1", item_id)
    assert (item["status"], item["error"]) == ("canceled", RESTARTED)
    assert row["error_message"] is None


async def running_step(harness: CorrelationHarness) -> tuple[Hold, UUID]:
    """A step whose one item runs, as the database knows, and goes on when it is let."""
    hold = harness.invokeai.hold("img")
    step, _ = await harness.enqueue_own(batches.blank())
    await hold.reached()

    async def running() -> bool:
        return bool(await harness.fetch("SELECT FROM queue_items WHERE status = 'in_progress'"))

    await harness.until(running)
    return hold, step


async def test_a_running_item_killed_before_it_saved_anything_fails_as_restarted(harness: CorrelationHarness) -> None:
    hold, step = await running_step(harness)
    await harness.invokeai.kill()
    hold.release()
    await harness.invokeai.restart()
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == RESTARTED


async def test_a_restart_is_told_as_one_though_the_first_reading_after_it_fails(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "FIRST_WAIT", 0.1)
    hold, step = await running_step(harness)
    await harness.invokeai.kill()
    hold.release()
    failing = harness.invokeai.on("/items_by_ids$", answers.status(500), times=2)
    await harness.invokeai.restart()
    await failing.wait()
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == RESTARTED


async def test_a_restart_that_rest_tells_of_before_the_socket_is_back_is_told_as_one(
    harness: CorrelationHarness,
) -> None:
    hold, step = await running_step(harness)
    await harness.supervisor.stop(next(r.name for r in harness.supervisor.report() if r.name.endswith("socket")))
    harness.connection._subscribed(SubscriptionState.UNREACHABLE, None)
    await harness.invokeai.kill()
    hold.release()
    await harness.invokeai.restart()
    await harness.connection.identity.admit()
    harness.registry.request_reading(harness.backend_id)
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == RESTARTED


async def test_a_step_has_started_as_soon_as_its_first_item_has(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, _ = await harness.enqueue_own(batches.blank())
    await hold.reached()

    async def started() -> bool:
        [row] = await harness.fetch("SELECT status, started_at FROM generation_steps WHERE id = $1", step)
        return row["status"] == "processing" and row["started_at"] is not None

    await harness.until(started)
    hold.release()


async def test_a_queue_cleared_under_us_ends_the_step_and_says_so(
    harness: CorrelationHarness, short_windows: None
) -> None:
    await harness.connection.client._call("PUT", "/api/v1/queue/default/processor/pause", dict)
    step, _ = await harness.enqueue_own(batches.blank(), items=2)
    harness.registry.request_reading(harness.backend_id)

    async def seen() -> bool:
        return len(await harness.fetch("SELECT FROM queue_items")) == 2

    await harness.until(seen)
    await harness.connection.client._call("PUT", "/api/v1/queue/default/clear", dict)
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == NO_LONGER_THERE


async def test_items_cleared_before_we_ever_saw_them_count_by_the_batchs_total(
    harness: CorrelationHarness, short_windows: None
) -> None:
    step, _ = await harness.step((1, 2))
    harness.registry.request_reading(harness.backend_id)
    row = await harness.until_step(step, "failed")
    assert row["error_message"] == NO_LONGER_THERE


async def test_a_queue_pruned_before_we_read_the_item_loses_no_image(
    harness: CorrelationHarness, short_windows: None
) -> None:
    harness.invokeai.drop_events()
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await harness.invokeai.until_ended(item_id)
    await harness.connection.client._call("PUT", "/api/v1/queue/default/prune", dict)
    await harness.connection.gallery.read()
    harness.registry.request_reading(harness.backend_id)

    async def ended() -> bool:
        [row] = await harness.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
        return row["status"] in ("completed", "failed")

    await harness.until(ended)
    await harness.until_photos(1)


async def test_an_item_retried_in_invokeai_reopens_its_step(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()
    await harness.connection.client.cancel_item(item_id)
    hold.release()
    await harness.until_step(step, "canceled")
    await harness.connection.client.retry_items([item_id])
    await harness.until_step(step, "completed")
    await harness.until_photos(1)


async def test_a_new_invokeai_database_behind_the_same_url_confuses_no_item(harness: CorrelationHarness) -> None:
    first, _ = await harness.enqueue_own(batches.blank())
    await harness.until_step(first, "completed")
    await harness.invokeai.new_database()

    async def unrecognised() -> bool:
        return harness.connection.state == "unrecognised"

    await harness.until(unrecognised)
    async with harness.database.connection() as connection:
        await confirm_same(connection, harness.backend_id, harness.connection.row.url)
    await harness.registry.reload(anew=[harness.backend_id])
    await harness.until_connected()
    second, ids = await harness.enqueue_own(batches.blank())
    assert ids == [1], "ids start again"
    await harness.until_step(second, "completed")
    photos = await harness.until_photos(2)
    assert [photo["step_id"] for photo in photos] == [first, second]
