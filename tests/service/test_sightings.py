"""From a name in a node's result to a photo (rule 4): looked up in batches, beside the events, recorded whole."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.fakes import answers, batches
from tests.fakes.correlated import Correlated

LOOK_UP = "/images_by_names$"


def look_ups(house: Correlated) -> int:
    return sum(path.endswith("/images_by_names") for _, path in house.invokeai.requests)


async def test_events_go_on_while_a_name_is_looked_up(house: Correlated) -> None:
    gate = asyncio.Event()
    stalled = house.invokeai.on(LOOK_UP, answers.after(gate))
    first, _ = await house.ours(batches.blank())
    await stalled.wait()
    hold = house.invokeai.hold("img")
    _, [second] = await house.ours(batches.blank())
    await hold.reached()

    async def runs() -> bool:
        rows = await house.fetch("SELECT status FROM queue_items WHERE item_id = $1", second)
        return [row["status"] for row in rows] == ["in_progress"]

    await house.until(runs)
    assert await house.fetch("SELECT FROM photos") == []
    gate.set()
    await house.until_step(first, "completed")
    hold.release()


async def test_names_sighted_meanwhile_are_looked_up_together(house: Correlated) -> None:
    gate = asyncio.Event()
    stalled = house.invokeai.on(LOOK_UP, answers.after(gate))
    first, _ = await house.ours(batches.blank())
    await stalled.wait()
    steps = [(await house.ours(batches.several_images(4)))[0] for _ in range(3)]
    await house.invokeai.until_ended(1, 2, 3, 4)
    gate.set()
    for step in (first, *steps):
        await house.until_step(step, "completed")
    await house.until_photos(13)
    assert look_ups(house) <= 4


async def test_every_image_field_of_a_result_is_a_sighting(house: Correlated) -> None:
    step, _ = await house.ours(batches.three_maps())
    await house.until_step(step, "completed")
    photos = await house.until_photos(3)
    assert {photo["step_id"] for photo in photos} == {step}, (
        "the intermediate image they were made from is none of them"
    )


async def test_a_photo_is_announced_once_though_it_is_told_of_by_events_readings_and_gallery(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[UUID] = []
    monkeypatch.setattr(house.connection.recorder._announcer, "photos_added", added.extend)
    house.invokeai.repeat_events()
    step, _ = await house.ours(batches.several_images(2))
    await house.until_step(step, "completed")
    await house.connection.reconciler.read_everything()
    await house.connection.gallery.read()
    photos = await house.until_photos(2)
    [dto, _] = await house.connection.client.images_by_names([photo["invoke_id"] for photo in photos])
    assert (await house.connection.recorder.record([dto])).added == ()
    assert sorted(added) == [photo["id"] for photo in photos]


async def test_an_item_is_settled_with_its_last_image_or_not_at_all(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction: a step must not end while an image of it is not recorded."""
    recorder = house.connection.recorder
    insert, broken = recorder._insert, True

    async def insert_or_not(*arguments: Any) -> Any:
        if broken:
            raise ConnectionError("the database went away")
        return await insert(*arguments)

    monkeypatch.setattr(recorder, "_insert", insert_or_not)
    step, [item_id] = await house.ours(batches.blank())
    await house.invokeai.until_ended(item_id)

    async def failed() -> bool:
        return house.restarts("sightings") > 0

    await house.until(failed)
    [item] = await house.fetch("SELECT settled_at FROM queue_items")
    assert item["settled_at"] is None
    [row] = await house.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
    assert row["status"] == "processing"
    broken = False
    await house.until_step(step, "completed")
