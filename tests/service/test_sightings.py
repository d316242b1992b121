"""From a name in a node's result to a photo (sighted is not made): looked up in batches, beside the events, recorded
whole."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from service.correlation import record
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness

LOOK_UP = "/images_by_names$"


def look_ups(harness: CorrelationHarness) -> int:
    return sum(path.endswith("/images_by_names") for _, path in harness.invokeai.requests)


async def test_events_go_on_while_a_name_is_looked_up(harness: CorrelationHarness) -> None:
    gate = asyncio.Event()
    stalled = harness.invokeai.on(LOOK_UP, answers.after(gate))
    first, _ = await harness.enqueue_own(batches.blank())
    await stalled.wait()
    hold = harness.invokeai.hold("img")
    _, [second] = await harness.enqueue_own(batches.blank())
    await hold.reached()

    async def runs() -> bool:
        rows = await harness.fetch("SELECT status FROM queue_items WHERE item_id = $1", second)
        return [row["status"] for row in rows] == ["in_progress"]

    await harness.until(runs)
    assert await harness.fetch("SELECT FROM photos") == []
    gate.set()
    await harness.until_step(first, "completed")
    hold.release()


async def test_names_sighted_meanwhile_are_looked_up_together(harness: CorrelationHarness) -> None:
    gate = asyncio.Event()
    stalled = harness.invokeai.on(LOOK_UP, answers.after(gate))
    first, _ = await harness.enqueue_own(batches.blank())
    await stalled.wait()
    steps = [(await harness.enqueue_own(batches.several_images(4)))[0] for _ in range(3)]

    async def all_heard_of() -> bool:
        return len(await harness.fetch("SELECT FROM queue_items WHERE status = 'completed'")) == 4

    await harness.until(all_heard_of)
    gate.set()
    for step in (first, *steps):
        await harness.until_step(step, "completed")
    await harness.until_photos(13)
    assert look_ups(harness) <= 4


async def test_every_image_field_of_a_result_is_a_sighting(harness: CorrelationHarness) -> None:
    step, _ = await harness.enqueue_own(batches.three_maps())
    await harness.until_step(step, "completed")
    photos = await harness.until_photos(3)
    assert {photo["step_id"] for photo in photos} == {step}, (
        "the intermediate image they were made from is none of them"
    )


async def test_a_photo_is_announced_once_though_it_is_told_of_by_events_readings_and_gallery(
    harness: CorrelationHarness,
) -> None:
    added: list[UUID] = []
    harness.bus.changed.listen(lambda type, ids: added.extend(ids if type == "photo.added" else ()))
    harness.invokeai.repeat_events()
    step, _ = await harness.enqueue_own(batches.several_images(2))
    await harness.until_step(step, "completed")
    await harness.connection.queue_reader.read_everything()
    await harness.connection.gallery.read()
    photos = await harness.until_photos(2)
    [dto, _] = await harness.connection.client.images_by_names([photo["invoke_id"] for photo in photos])
    assert await harness.connection.recorder.record([dto]) == []
    assert sorted(added) == [photo["id"] for photo in photos]


async def test_an_item_is_settled_with_its_last_image_or_not_at_all(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction: a step must not end while an image of it is not recorded."""
    insert, broken = record.insert_image, True

    async def insert_or_not(*arguments: Any) -> Any:
        if broken:
            raise ConnectionError("the database went away")
        return await insert(*arguments)

    monkeypatch.setattr(record, "insert_image", insert_or_not)
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await harness.invokeai.until_ended(item_id)

    async def failed() -> bool:
        return harness.restarts("sightings") > 0

    await harness.until(failed)
    [item] = await harness.fetch("SELECT settled_at FROM queue_items")
    assert item["settled_at"] is None
    [row] = await harness.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
    assert row["status"] == "processing"
    broken = False
    await harness.until_step(step, "completed")
