"""The consumer: what is said of the queue becomes rows, messages and requests, in order (events are hints to sighted is
not made, derived step status)."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

import pytest

from service.correlation.exchange import ItemAbsence, UnseenItems
from service.database.engine import Database
from service.steps.item_state import RESTARTED
from tests.fakes.consumer_harness import AT, ConsumerHarness, absence, consumer_harness
from tests.fakes.rows import add_batch, add_item
from tests.fakes.said import socket_event


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


async def test_an_item_of_ours_is_kept_shown_and_read_after_its_end(harness: ConsumerHarness) -> None:
    await harness.status("in_progress", 1, started_at="2026-11-22 12:00:00.000")
    assert (await harness.step())["status"] == "processing"
    await harness.status("completed", 2, completed_at="2026-11-22 12:00:09.000")
    row = await harness.row()
    assert row is not None
    assert (row["status"], row["status_sequence"], row["invoke_session_id"]) == ("completed", 2, "session-7")
    assert row["settled_at"] is None, "it ended, but has not been read"
    assert harness.requests.read == [7]
    heard = [message["data"]["status"] for message in await harness.published() if message["type"] == "item.updated"]
    assert heard == ["in_progress", "completed"]


async def test_the_reading_after_the_end_asks_to_settle_with_all_its_images(harness: ConsumerHarness) -> None:
    await harness.status("completed", 2)
    results = {"a": {"image": {"image_name": "one.png"}}, "b": {"image": {"image_name": "two.png"}}}
    await harness.read(status="completed", status_sequence=2, session={"results": results})
    assert harness.lookups.settled == [(harness.batch_id, 7, ("one.png", "two.png"))]


async def test_an_items_place_is_its_seed_in_the_batch_whatever_order_ids_have(harness: ConsumerHarness) -> None:
    await harness.read(8, status="pending", seed=41)
    await harness.read(7, status="pending", seed=42)
    first, second = await harness.row(8), await harness.row(7)
    assert first is not None
    assert second is not None
    assert (first["ordinal"], second["ordinal"]) == (0, 1)


async def test_an_item_retried_in_invokeai_inherits_the_place_and_reopens_the_step(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        for item_id, ordinal in ((7, 0), (8, 1)):
            await add_item(
                connection, harness.batch_id, harness.step_id, item_id, ordinal=ordinal, status="failed", settled_at=AT
            )
        await connection.execute("UPDATE generation_steps SET status = 'failed', completed_at = $1", AT)
    await harness.status("in_progress", 1, 9)
    await harness.read(9, status="in_progress", seed=42, retried_from_item_id=8)
    row = await harness.row(9)
    assert row is not None
    assert (row["ordinal"], row["retried_from_item_id"]) == (1, 8)
    step = await harness.step()
    assert (step["status"], step["completed_at"]) == ("processing", None)


async def test_a_destination_naming_no_step_of_ours_is_not_ours(harness: ConsumerHarness) -> None:
    await harness.receive(
        "queue_item_status_changed", 7, status="in_progress", status_sequence=1, batch_id="other",
        destination=f"step:{uuid4()}",
    )  # fmt: skip
    assert await harness.row() is None
    assert [item.step_id for item in harness.tracking.live_items] == [None]


async def test_other_peoples_redacted_events_are_ignored(harness: ConsumerHarness) -> None:
    for redacted in ({"user_id": "redacted"}, {"batch_id": "redacted"}):
        await harness.receive("queue_item_status_changed", status="in_progress", status_sequence=1, **redacted)
    assert harness.tracking.live_items == []


async def test_events_of_another_queue_are_ignored(harness: ConsumerHarness) -> None:
    await harness.status("in_progress", 1, queue_id="other")
    assert harness.tracking.live_items == []


async def test_foreign_images_are_sighted_too_and_foreign_items_are_never_stored(harness: ConsumerHarness) -> None:
    await harness.receive("invocation_complete", batch_id="other", origin=None, destination="gallery",
                    result={"image": {"image_name": "theirs.png"}})  # fmt: skip
    assert harness.lookups.added == ["theirs.png"]
    assert await harness.row() is None


async def test_a_cancel_read_before_its_event_is_heard_is_somebodys_cancel(harness: ConsumerHarness) -> None:
    """The reading after a connect may overtake the events of what began since: those will come."""
    await harness.status("in_progress", 1, started_at="2026-11-22 12:00:00.000")
    await harness.read(7, status="canceled", across_reconnect=True)
    row = await harness.row()
    assert row is not None
    assert (row["status"], row["error"]) == ("canceled", None)


async def test_a_cancel_that_no_connection_told_of_was_a_restart(harness: ConsumerHarness) -> None:
    await harness.status("in_progress", 1, started_at="2026-11-22 12:00:00.000")
    harness.consumer.disconnected()
    await harness.read(7, status="canceled", across_reconnect=True)
    row = await harness.row()
    assert row is not None
    assert (row["status"], row["error"]) == ("canceled", RESTARTED)


async def test_a_bulk_cancel_ends_pending_items_that_get_no_event_of_their_own(harness: ConsumerHarness) -> None:
    await harness.read(7, status="pending", seed=41)
    await harness.consumer.apply(
        socket_event("queue_items_canceled", {"queue_id": "default", "canceled_item_ids": [7, 99]})
    )
    row = await harness.row()
    assert row is not None
    assert row["status"] == "canceled"
    assert harness.requests.read == [7], "what a canceled item saved is kept"


@pytest.mark.parametrize(
    ("name", "payload"), [("queue_cleared", {}), ("queue_items_retried", {"retried_item_ids": [3]})]
)
async def test_what_names_no_new_item_makes_everything_be_read(
    harness: ConsumerHarness, name: str, payload: dict[str, Any]
) -> None:
    await harness.consumer.apply(socket_event(name, {"queue_id": "default", **payload}))
    assert harness.requests.read_all == 1


async def test_an_enqueued_batch_of_ours_is_told_and_others_are_not(harness: ConsumerHarness) -> None:
    for batch_id, origin in ((harness.batch_id, "darkroom"), ("x", "darkroom"), (harness.batch_id, "other")):
        payload = {"queue_id": "default", "batch_id": batch_id, "origin": origin, "enqueued": 2, "requested": 2}
        await harness.consumer.apply(socket_event("batch_enqueued", payload))
    assert harness.batches_seen == [harness.batch_id]
    assert harness.requests.read_soon == 2


async def test_a_batch_of_which_nothing_was_taken_or_nothing_may_be_known_is_not_looked_for(
    harness: ConsumerHarness,
) -> None:
    said = {"queue_id": "default", "batch_id": "x", "enqueued": 2, "requested": 2}
    for unlike in ({"enqueued": 0}, {"batch_id": "redacted"}, {"user_id": "redacted"}, {"queue_id": "other"}):
        await harness.consumer.apply(socket_event("batch_enqueued", said | unlike))
    assert harness.requests.read_soon == 0


async def test_progress_reaches_browsers_and_never_the_database(harness: ConsumerHarness) -> None:
    await harness.status("in_progress", 1)
    before = await harness.row()
    await harness.receive("invocation_progress", message="Denoising", percentage=0.25)
    assert await harness.row() == before
    progress = [message for message in await harness.published() if message["type"] == "item.progress"]
    assert [message["data"]["percentage"] for message in progress] == [0.25]
    assert progress[0]["data"]["step_id"] == str(harness.step_id)


async def test_after_the_end_progress_is_ignored(harness: ConsumerHarness) -> None:
    await harness.status("canceled", 2)
    await harness.receive("invocation_progress", message="Denoising", percentage=0.25)
    assert not [message for message in await harness.published() if message["type"] == "item.progress"]


async def test_the_same_item_id_in_a_new_invokeai_database_is_another_item(harness: ConsumerHarness) -> None:
    await harness.status("completed", 2)
    async with harness.database.connection() as connection:
        batch = await add_batch(
            connection, harness.step_id, harness.backend_id, seeds=[50], state="enqueued", enqueued=1
        )
    await harness.status("in_progress", 1, batch_id=batch, session_id="fresh")
    async with harness.database.connection() as connection:
        rows = await connection.fetch("SELECT status FROM queue_items WHERE item_id = 7 ORDER BY status")
    assert [row["status"] for row in rows] == ["completed", "in_progress"]


async def test_items_absent_twice_are_gone_and_the_step_says_why(harness: ConsumerHarness) -> None:
    await harness.read(7, status="pending", seed=41)
    for seconds in (1, 40):
        await harness.consumer.apply(ItemAbsence(harness.batch_id, 7, absence(seconds)))
        await harness.consumer.apply(UnseenItems(harness.batch_id, (1,), absence(seconds)))
    step = await harness.step()
    assert step["status"] == "failed"
    assert step["error_message"] == "InvokeAI no longer has this work (queue cleared or pruned)"


async def test_after_a_restart_what_was_unsettled_is_known_again(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        await add_item(connection, harness.batch_id, harness.step_id, 7, ordinal=0, status="in_progress")
        await add_item(connection, harness.batch_id, harness.step_id, 8, ordinal=1, status="completed", settled_at=AT)
    await harness.consumer.own_items.load()
    assert [item.item_id for item in harness.tracking.live_items] == [7]


async def test_the_database_absorbs_after_the_end_whoever_writes(harness: ConsumerHarness) -> None:
    await harness.status("completed", 2)
    forgetful = ConsumerHarness(harness.database, harness.backend_id, harness.step_id, harness.batch_id)
    forgetful.tracking.track(harness.batch_id, 7, await forgetful.consumer.own_items.batch(harness.batch_id))
    await forgetful.status("in_progress", 1)
    row = await harness.row()
    assert row is not None
    assert row["status"] == "completed"


async def test_progress_tells_what_is_left_and_forgets_no_preview(harness: ConsumerHarness) -> None:
    """A text-only progress between previews, and a picture that is no JPEG, take nothing away (FACTS §5)."""
    moments = iter((10.0, 11.0, 12.0))
    harness.clock = lambda: next(moments)
    jpeg = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff picture").decode()
    image = {"width": 64, "height": 48, "dataURL": jpeg}
    await harness.status("in_progress", 1)
    await harness.receive("invocation_progress", message="Denoising", percentage=0.0, image=image)
    await harness.receive(
        "invocation_progress", message="Denoising", percentage=0.25, image={**image, "dataURL": "data:,no"}
    )
    progress = harness.tracking.progress_of(7)
    assert progress is not None
    assert (progress.percentage, progress.eta_seconds) == (0.25, pytest.approx(3.0))
    assert progress.preview_url is not None
    await harness.receive("invocation_progress", message="Running VAE decoder", percentage=None)
    told = harness.tracking.progress_of(7)
    assert told is not None
    assert (told.percentage, told.eta_seconds, told.preview_url) == (None, None, progress.preview_url)


async def test_the_queues_counts_are_told_with_every_change_of_status(harness: ConsumerHarness) -> None:
    await harness.status("in_progress", 1, queue_status={"pending": 3, "in_progress": 1})
    [told] = [message["data"] for message in await harness.published() if message["type"] == "queue.status"]
    assert (told["pending"], told["in_progress"], told["ours"]) == (3, 1, 1)
    assert (harness.tracking.pending, harness.tracking.in_progress) == (3, 1)
