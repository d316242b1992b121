"""InvokeAI 7 (FACTS §12): what its new pages put into the gallery, and what its queue tells otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.studio_harness import MODEL, studio_harness, until_made

QUEUE = "/api/v1/queue/default"


@pytest.fixture
async def seven(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "seven", version="7")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def harness(database: Database, seven: ScriptedInvokeAI) -> AsyncIterator[CorrelationHarness]:
    async with correlation_harness(database, seven) as harness:
        yield harness


async def posted(invokeai: ScriptedInvokeAI, path: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession(invokeai.url) as http, http.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def copied(harness: CorrelationHarness, *names: str) -> None:
    """A project is duplicated in InvokeAI."""
    status, _ = await posted(harness.invokeai, "/api/v1/images/copy", {"image_names": names})
    assert status == 201


async def test_layers_of_the_canvas_are_not_mirrored_whoever_names_them(harness: CorrelationHarness) -> None:
    layer = harness.invokeai.add_layer()
    saved = harness.invokeai.add_canvas_save()
    harness.connection.lookups.add(layer.image_name)
    assert await harness.connection.gallery.read() == 1
    await harness.enqueue_foreign(batches.echo(layer.image_name))
    await harness.enqueue_foreign(batches.blank())
    photos = await harness.until_photos(2)
    assert photos[0]["invoke_id"] == saved.image_name
    assert layer.image_name not in {photo["invoke_id"] for photo in photos}


async def test_a_copy_of_our_picture_is_no_alternative_and_no_second_photo(harness: CorrelationHarness) -> None:
    step, batch_id = await harness.step()
    graph = batches.text_to_image(harness.invokeai.main_model(), metadata={"darkroom_batch": batch_id})
    await harness.post(graph, step, batch_id)
    await harness.until_step(step, "completed")
    [photo] = await harness.until_photos(1)
    await copied(harness, photo["invoke_id"])
    assert len(harness.invokeai.images.select(is_intermediate=False)) == 2
    assert await harness.connection.gallery.read() == 0
    await harness.until_photos(1)


async def test_a_copy_of_somebody_elses_picture_and_a_canvas_save_are_mirrored(harness: CorrelationHarness) -> None:
    """They name no batch of ours: nobody but InvokeAI has them."""
    harness.invokeai.drop_events()
    first = harness.invokeai.add_canvas_save(metadata={"darkroom_batch": "another library's"})
    await copied(harness, first.image_name)
    assert await harness.connection.gallery.read() == 2
    assert harness.seen_batches == []


async def test_a_copy_is_not_taken_for_the_arrival_of_its_batch(harness: CorrelationHarness) -> None:
    _, batch_id = await harness.step()
    harness.invokeai.add_canvas_save(metadata={"darkroom_batch": batch_id})
    assert await harness.connection.gallery.read() == 0
    assert harness.seen_batches == []


async def test_pictures_deleted_in_invokeai_before_they_were_seen_are_told_as_deleted(
    harness: CorrelationHarness,
) -> None:
    harness.invokeai.drop_events()
    step, item_ids = await harness.enqueue_own(batches.blank(), items=2)
    await harness.invokeai.until_ended(*item_ids)
    newest, _ = harness.invokeai.images.select(is_intermediate=False)
    harness.invokeai.images.remove([newest.image_name])
    _, items = await posted(harness.invokeai, f"{QUEUE}/items_by_ids", {"item_ids": item_ids})
    assert sorted(len(item["session"]["results"]) for item in items) == [0, 1], "results of deleted images are left out"
    harness.registry.request_reading(harness.backend_id)
    row = await harness.until_step(step, "completed")
    assert row["error_message"] == "1 of 2 made: deleted in InvokeAI"


async def test_item_ids_come_ascending_and_each_picture_still_has_its_seed(
    database: Database, seven: ScriptedInvokeAI
) -> None:
    async with studio_harness(database, seven) as studio:
        step_id = await studio.create(MODEL, batch_size=4)
        await until_made(studio, step_id, 100, 101, 102, 103)
        step = await studio.step(step_id)
        assert [item.ordinal for item in step.items] == [0, 1, 2, 3]
        assert [photo.seed for photo in step.alternatives] == [100, 101, 102, 103]
    _, answer = await posted(seven, f"{QUEUE}/enqueue_batch", batches.batch(batches.blank(), runs=3))
    assert answer["item_ids"] == sorted(answer["item_ids"])


async def test_two_items_run_at_once_and_the_later_ends_first(harness: CorrelationHarness) -> None:
    step, batch_id = await harness.step((7, 8, 9))
    holds = [harness.invokeai.hold("img", item_id) for item_id in (1, 2)]
    first, second, third = await harness.post(batches.blank(), step, batch_id, runs=3)
    for hold in holds:
        await hold.reached()

    harness.registry.request_reading(harness.backend_id)

    async def both_run() -> bool:
        return [item.status for item in harness.registry.live_items()] == ["in_progress", "in_progress", "pending"]

    await harness.until(both_run)
    assert harness.connection.queue.in_progress == 2
    holds[1].release()
    await harness.invokeai.until_ended(second, third)
    assert not harness.invokeai.queue.items[first].ended
    holds[0].release()
    row = await harness.until_step(step, "completed")
    assert row["error_message"] is None
    photos = await harness.until_photos(3)
    assert {photo["step_id"] for photo in photos} == {step}
