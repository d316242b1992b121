"""InvokeAI 7 (FACTS §12): what its new pages put into the gallery, and what its queue tells otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.database.engine import Database
from service.demo.images import Filter
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlated import Correlated, correlated
from tests.fakes.studio import MODEL, studio_house, until_made

QUEUE = "/api/v1/queue/default"


@pytest.fixture
async def seven(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "seven", version="7")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def house(database: Database, seven: ScriptedInvokeAI) -> AsyncIterator[Correlated]:
    async with correlated(database, seven) as house:
        yield house


async def posted(invokeai: ScriptedInvokeAI, path: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession(invokeai.url) as http, http.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def copied(house: Correlated, *names: str) -> None:
    """A project is duplicated in InvokeAI."""
    status, _ = await posted(house.invokeai, "/api/v1/images/copy", {"image_names": names})
    assert status == 201


async def test_layers_of_the_canvas_are_not_mirrored_whoever_names_them(house: Correlated) -> None:
    layer = house.invokeai.add_layer()
    saved = house.invokeai.add_canvas_save()
    house.connection.sight(layer.image_name)
    assert await house.connection.gallery.read() == 1
    await house.theirs(batches.echo(layer.image_name))
    await house.theirs(batches.blank())
    photos = await house.until_photos(2)
    assert photos[0]["invoke_id"] == saved.image_name
    assert layer.image_name not in {photo["invoke_id"] for photo in photos}


async def test_a_copy_of_our_picture_is_no_alternative_and_no_second_photo(house: Correlated) -> None:
    step, batch_id = await house.step()
    await house.post(batches.text_to_image(house.invokeai.main_model(), metadata={"darkroom_batch": batch_id}), step,
                     batch_id)  # fmt: skip
    await house.until_step(step, "completed")
    [photo] = await house.until_photos(1)
    await copied(house, photo["invoke_id"])
    assert len(house.invokeai.images.select(Filter(is_intermediate=False))) == 2
    assert await house.connection.gallery.read() == 0
    await house.until_photos(1)


async def test_a_copy_of_somebody_elses_picture_and_a_canvas_save_are_mirrored(house: Correlated) -> None:
    """They name no batch of ours: nobody but InvokeAI has them."""
    house.invokeai.drop_events()
    first = house.invokeai.add_canvas_save(metadata={"darkroom_batch": "another library's"})
    await copied(house, first.image_name)
    assert await house.connection.gallery.read() == 2
    assert house.seen_batches == []


async def test_a_copy_is_not_taken_for_the_arrival_of_its_batch(house: Correlated) -> None:
    _, batch_id = await house.step()
    house.invokeai.add_canvas_save(metadata={"darkroom_batch": batch_id})
    assert await house.connection.gallery.read() == 0
    assert house.seen_batches == []


async def test_pictures_deleted_in_invokeai_before_they_were_seen_are_told_as_deleted(house: Correlated) -> None:
    house.invokeai.drop_events()
    step, item_ids = await house.ours(batches.blank(), items=2)
    await house.invokeai.until_ended(*item_ids)
    newest, _ = house.invokeai.images.select(Filter(is_intermediate=False))
    house.invokeai.images.remove([newest.image_name])
    _, items = await posted(house.invokeai, f"{QUEUE}/items_by_ids", {"item_ids": item_ids})
    assert sorted(len(item["session"]["results"]) for item in items) == [0, 1], "results of deleted images are left out"
    house.registry.request_reading(house.backend_id)
    row = await house.until_step(step, "completed")
    assert row["error_message"] == "1 of 2 made: deleted in InvokeAI"


async def test_item_ids_come_ascending_and_each_picture_still_has_its_seed(
    database: Database, seven: ScriptedInvokeAI
) -> None:
    async with studio_house(database, seven) as studio:
        step_id = await studio.create(MODEL, batch_size=4)
        await until_made(studio, step_id, 100, 101, 102, 103)
        step = await studio.step(step_id)
        assert [item.ordinal for item in step.items] == [0, 1, 2, 3]
        assert [photo.seed for photo in step.alternatives] == [100, 101, 102, 103]
    _, answer = await posted(seven, f"{QUEUE}/enqueue_batch", batches.batch(batches.blank(), runs=3))
    assert answer["item_ids"] == sorted(answer["item_ids"])


async def test_two_items_run_at_once_and_the_later_ends_first(house: Correlated) -> None:
    step, batch_id = await house.step((7, 8, 9))
    holds = [house.invokeai.hold("img", item_id) for item_id in (1, 2)]
    first, second, third = await house.post(batches.blank(), step, batch_id, runs=3)
    for hold in holds:
        await hold.reached()

    house.registry.request_reading(house.backend_id)

    async def both_run() -> bool:
        return [item.status for item in house.registry.live_items()] == ["in_progress", "in_progress", "pending"]

    await house.until(both_run)
    assert house.connection.queue.in_progress == 2
    holds[1].release()
    await house.invokeai.until_ended(second, third)
    assert not house.invokeai.queue.items[first].ended
    holds[0].release()
    row = await house.until_step(step, "completed")
    assert row["error_message"] is None
    photos = await house.until_photos(3)
    assert {photo["step_id"] for photo in photos} == {step}
