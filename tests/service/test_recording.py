"""From InvokeAI's images to rows (sighted is not made, exactly once): whose work an image is, in any order of
knowing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from service.correlation import image_lookups
from service.correlation.record import Settling
from service.errors import InvokeError, InvokeFailed, InvokeInterrupted
from service.invokeai.bad_records import images_of
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.rows import add_backend, add_item, add_photo


async def test_an_image_whose_session_we_never_learned_is_filed_by_its_metadata(harness: CorrelationHarness) -> None:
    step, batch_id = await harness.step()
    harness.invokeai.add_image(session_id="unheard of", metadata={"darkroom_batch": batch_id})
    await harness.connection.gallery.read()
    [photo] = await harness.until_photos(1)
    assert (photo["step_id"], photo["source"]) == (step, "generated")
    assert batch_id in harness.seen_batches, "an image that names a batch is its arrival (idempotent submit)"


async def test_metadata_naming_no_batch_of_ours_is_somebody_elses(harness: CorrelationHarness) -> None:
    harness.invokeai.add_canvas_save(metadata={"darkroom_batch": "another library's"})
    await harness.connection.gallery.read()
    [photo] = await harness.until_photos(1)
    assert photo["step_id"] is None


async def test_other_peoples_images_are_mirrored_by_default(harness: CorrelationHarness) -> None:
    await harness.enqueue_foreign(batches.blank())
    [photo] = await harness.until_photos(1)
    assert (photo["source"], photo["step_id"]) == ("mirrored", None)
    assert f"/mirror/{harness.backend_id}/" in photo["local_storage_path"]


async def second_address(harness: CorrelationHarness) -> Any:
    """The same server once more, by another name."""
    async with harness.database.connection() as connection:
        backend_id = await add_backend(connection, url=f"http://localhost:{harness.invokeai.port}")
    await harness.registry.reload()
    second = harness.registry.get(backend_id)
    assert second is not None

    async def read() -> bool:
        return second.state == "connected" and second.gallery.read_from is not None

    await harness.until(read)
    return second


async def test_one_server_by_two_addresses_brings_each_image_once_and_files_ours(harness: CorrelationHarness) -> None:
    await second_address(harness)
    step, _ = await harness.enqueue_own(batches.several_images(2), items=2)
    await harness.enqueue_foreign(batches.blank())
    await harness.until_step(step, "completed")
    photos = await harness.until_photos(5)
    assert sorted(photo["step_id"] == step for photo in photos) == [False, True, True, True, True]


async def test_what_the_other_address_brought_first_is_filed_under_its_step(harness: CorrelationHarness) -> None:
    second = await second_address(harness)
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()

    async def session_known() -> bool:
        return bool(await harness.fetch("SELECT FROM queue_items WHERE invoke_session_id IS NOT NULL"))

    await harness.until(session_known)
    harness.invokeai.drop_events()
    hold.release()
    await harness.invokeai.until_ended(item_id)
    assert await second.gallery.read() == 1
    harness.registry.request_reading(harness.backend_id)
    row = await harness.until_step(step, "completed")
    [photo] = await harness.until_photos(1)
    assert photo["step_id"] == step
    assert row["error_message"] is None


async def test_an_input_older_than_the_backend_is_left_to_import(harness: CorrelationHarness) -> None:
    """A node names its input as it names its output (FACTS §10)."""
    old = harness.invokeai.add_canvas_save(created_at=harness.invokeai.now() - timedelta(hours=1))
    await harness.enqueue_foreign(batches.echo(old.image_name))
    await harness.enqueue_foreign(batches.blank())
    [photo] = await harness.until_photos(1)
    assert photo["invoke_id"] != old.image_name


async def test_an_adopted_photo_has_what_its_step_knows(harness: CorrelationHarness) -> None:
    harness.invokeai.drop_events()
    async with harness.database.connection() as connection:
        source = await add_photo(connection)
    step, batch_id = await harness.step((7,))
    async with harness.database.connection() as connection:
        await connection.execute("UPDATE generation_steps SET source_photo_id = $2 WHERE id = $1", step, source)
    [item_id] = await harness.post(batches.blank(), step, batch_id)
    await harness.invokeai.until_ended(item_id)
    [image] = harness.invokeai.images.select(is_intermediate=False)
    async with harness.database.connection() as connection:
        await add_photo(connection, invoke_id=image.image_name, invoke_session_id=image.session_id, home=False)
    harness.registry.request_reading(harness.backend_id)
    await harness.until_step(step, "completed")
    [photo] = await harness.fetch("SELECT * FROM photos WHERE invoke_id = $1", image.image_name)
    assert (photo["source"], photo["generation_prompt"], photo["model_key"]) == ("generated", "a lighthouse", "k")
    assert photo["source_image_id"] == source


async def test_recording_an_image_again_fills_what_is_missing_and_moves_nothing(harness: CorrelationHarness) -> None:
    image = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    [before] = await harness.until_photos(1)
    step, batch_id = await harness.step((7,))
    async with harness.database.connection() as connection:
        await add_item(connection, batch_id, step, 5, ordinal=0, invoke_session_id="s")
    [dto] = await harness.connection.client.images_by_names([image.image_name])
    ours = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
    told: list[tuple[str, list[UUID]]] = []
    harness.bus.changed.listen(lambda type, ids: told.append((type, list(ids))))
    assert await harness.connection.recorder.record([ours]) == []
    [after] = await harness.until_photos(1)
    assert told == [("photo.updated", [before["id"]]), ("step.updated", [step])]
    assert (after["id"], after["local_storage_path"]) == (before["id"], before["local_storage_path"])
    assert (after["step_id"], after["generation_prompt"], after["seed"]) == (step, "a lighthouse", 7)


async def test_a_tombstone_is_left_as_it_is(harness: CorrelationHarness) -> None:
    image = harness.invokeai.add_canvas_save()
    await harness.connection.gallery.read()
    async with harness.database.connection() as connection:
        await connection.execute("UPDATE photos SET purged_at = now(), retrieval_status = 'gone'")
    [before] = await harness.fetch("SELECT * FROM photos")
    step, batch_id = await harness.step((7,))
    async with harness.database.connection() as connection:
        await add_item(connection, batch_id, step, 5, ordinal=0, invoke_session_id="s")
    [dto] = await harness.connection.client.images_by_names([image.image_name])
    ours = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
    assert await harness.connection.recorder.record([ours]) == []
    assert await harness.fetch("SELECT * FROM photos") == [before]
    assert await harness.fetch("SELECT FROM step_alternatives") == []


async def test_an_item_is_settled_only_once_the_database_has_its_end(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()

    async def runs() -> bool:
        return bool(await harness.fetch("SELECT FROM queue_items WHERE status = 'in_progress'"))

    await harness.until(runs)
    [row] = await harness.fetch("SELECT batch_id FROM queue_items")
    for batch_id in (row["batch_id"], "unknown"):
        await harness.connection.recorder.record([], [Settling(batch_id, item_id, step, ())])
    tracked = harness.connection.tracking.get(row["batch_id"], item_id)
    assert tracked is not None
    assert not tracked.known.settled
    assert await harness.fetch("SELECT FROM queue_items WHERE settled_at IS NOT NULL") == []
    hold.release()
    await harness.until_step(step, "completed")


@pytest.mark.parametrize("trouble", [answers.status(403), answers.status(500), answers.html()])
async def test_an_image_whose_metadata_cannot_be_read_holds_up_no_other(
    harness: CorrelationHarness, trouble: Any
) -> None:
    images = [harness.invokeai.add_canvas_save() for _ in range(3)]
    harness.invokeai.on(f"{images[1].image_name}/metadata$", trouble, times=None)
    assert await harness.connection.gallery.read() == 3


@pytest.mark.parametrize("trouble", [answers.status(502), answers.html()], ids=["502", "html"])
async def test_while_the_server_answers_nothing_at_all_no_reading_is_complete(
    harness: CorrelationHarness, trouble: Any
) -> None:
    """A proxy that fails for everything tells nothing of one image's metadata."""
    harness.invokeai.add_canvas_save()
    harness.invokeai.on("/metadata$", trouble, times=None)
    rule = harness.invokeai.on("/app/version$", trouble, times=None)
    before = harness.connection.gallery.read_from
    with pytest.raises(InvokeError):
        await harness.connection.gallery.read()
    assert harness.connection.gallery.read_from == before
    assert await harness.fetch("SELECT FROM photos") == []
    rule.remove()
    await harness.connection.gallery.read()
    await harness.until_photos(1)


async def test_when_the_server_is_cut_off_no_metadata_are_asked_for_behind_the_failure(
    harness: CorrelationHarness,
) -> None:
    for _ in range(20):
        harness.invokeai.add_canvas_save()
    rule = harness.invokeai.on("/metadata$", answers.cut(), times=None)
    with pytest.raises(InvokeInterrupted):
        await harness.connection.gallery.read()
    asked = rule.hits
    assert asked < 20
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "image metadata" and not task.cancelling()]


async def test_metadata_that_names_what_no_database_can_hold_names_no_batch(harness: CorrelationHarness) -> None:
    harness.invokeai.add_canvas_save(metadata={"darkroom_batch": "a\0b"})
    assert await harness.connection.gallery.read() == 1


async def test_a_name_that_cannot_be_looked_up_holds_up_no_other(harness: CorrelationHarness) -> None:
    async def some_fail(request: Any, handler: Any) -> Any:
        asked = (await request.json())["image_names"]
        return await (answers.status(500)(request, handler) if bad.image_name in asked else handler(request))

    harness.invokeai.drop_events()
    good, bad = (harness.invokeai.add_canvas_save() for _ in range(2))
    harness.invokeai.on("/images_by_names$", some_fail, times=None)
    for name in ("../secrets", "a\0b", "x" * 300, bad.image_name, good.image_name):
        harness.connection.lookups.add(name)
    [photo] = await harness.until_photos(1)
    assert photo["invoke_id"] == good.image_name


async def test_while_no_name_can_be_looked_up_all_of_them_wait(harness: CorrelationHarness) -> None:
    harness.invokeai.drop_events()
    images = [harness.invokeai.add_canvas_save() for _ in range(2)]
    rule = harness.invokeai.on("/images_by_names$", answers.status(500), times=None)
    with pytest.raises(InvokeFailed):
        await images_of(harness.connection.client, [image.image_name for image in images])
    for image in images:
        harness.connection.lookups.add(image.image_name)
    await rule.wait(rule.hits + 1)
    rule.remove()
    await harness.until_photos(2)


async def test_more_sightings_than_can_wait_are_found_by_readings(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_lookups, "LIMIT", 1)
    harness.invokeai.drop_events()
    for image in [harness.invokeai.add_canvas_save() for _ in range(3)]:
        harness.connection.lookups.add(image.image_name)
    await harness.until_photos(3)


@pytest.mark.parametrize("status", [401, 409])
async def test_while_no_metadata_are_told_for_a_login_or_maintenance_nobodys_images_are_none(
    harness: CorrelationHarness, status: int
) -> None:
    """Whose it is cannot be told then: taken for somebody else's, it would stay where it was filed."""
    step, batch_id = await harness.step()
    rule = harness.invokeai.on("/metadata$", answers.status(status), times=None)
    harness.invokeai.add_image(session_id="unheard of", metadata={"darkroom_batch": batch_id})
    with pytest.raises(InvokeError):
        await harness.connection.gallery.read()
    assert await harness.fetch("SELECT FROM photos") == []
    rule.remove()
    await harness.connection.gallery.read()
    [photo] = await harness.until_photos(1)
    assert photo["step_id"] == step


async def test_recording_an_image_again_takes_nothing_away(harness: CorrelationHarness) -> None:
    """As a gallery reading of another address tells it: nobody's, or by other words (exactly once)."""
    image = harness.invokeai.add_canvas_save()
    async with harness.database.connection() as connection:
        first = await add_backend(connection)
        for backend_id in (first, None):
            await connection.execute("DELETE FROM photos")
            await add_photo(
                connection, invoke_id=image.image_name, source="generated", backend_id=backend_id,
                generation_prompt="mine", local_storage_path="photos/here.png",
            )  # fmt: skip
            [dto] = await harness.connection.client.images_by_names([image.image_name])
            told = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
            await harness.connection.recorder.record([told])
            row = await connection.fetchrow("SELECT * FROM photos")
            assert (row["source"], row["generation_prompt"], row["local_storage_path"], row["invoke_session_id"]) == (
                "generated", "mine", "photos/here.png", "s",
            )  # fmt: skip
            assert row["backend_id"] == (backend_id or harness.backend_id)


async def test_an_upload_whose_metadata_name_a_batch_of_ours_is_not_its_work(harness: CorrelationHarness) -> None:
    """One of our own pictures, uploaded to InvokeAI again."""
    _, batch_id = await harness.step()
    upload = harness.invokeai.add_upload(metadata={"darkroom_batch": batch_id})
    [dto] = await harness.connection.client.images_by_names([upload.image_name])
    await harness.connection.recorder.record([dto])
    assert await harness.fetch("SELECT FROM photos") == []
