"""From what InvokeAI has to rows (rules 4, 5): whose work an image is, exactly once, whatever was known when."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from service.correlation import sightings
from service.correlation.record import Settling
from service.demo.images import Filter
from service.errors import InvokeError, InvokeFailed, InvokeInterrupted
from tests.fakes import answers, batches
from tests.fakes.correlated import Correlated
from tests.fakes.rows import add_backend, add_item, add_photo


async def test_an_image_whose_session_we_never_learned_is_filed_by_its_metadata(house: Correlated) -> None:
    step, batch_id = await house.step()
    house.invokeai.add_image(session_id="unheard of", metadata={"darkroom_batch": batch_id})
    await house.connection.gallery.read()
    [photo] = await house.until_photos(1)
    assert (photo["step_id"], photo["source"]) == (step, "generated")
    assert batch_id in house.seen_batches, "an image that names a batch is its arrival (rule 7)"


async def test_metadata_naming_no_batch_of_ours_is_somebody_elses(house: Correlated) -> None:
    house.invokeai.add_canvas_save(metadata={"darkroom_batch": "another library's"})
    await house.connection.gallery.read()
    [photo] = await house.until_photos(1)
    assert photo["step_id"] is None


async def test_other_peoples_images_are_mirrored_by_default(house: Correlated) -> None:
    await house.theirs(batches.blank())
    [photo] = await house.until_photos(1)
    assert (photo["source"], photo["step_id"]) == ("mirrored", None)
    assert f"/mirror/{house.backend_id}/" in photo["local_storage_path"]


async def second_address(house: Correlated) -> Any:
    """The same server once more, by another name."""
    async with house.database.connection() as connection:
        backend_id = await add_backend(connection, url=f"http://localhost:{house.invokeai.port}")
    await house.registry.reload()
    second = house.registry.get(backend_id)
    assert second is not None

    async def read() -> bool:
        return second.state == "connected" and second.gallery.read_from is not None

    await house.until(read)
    return second


async def test_one_server_by_two_addresses_brings_each_image_once_and_files_ours(house: Correlated) -> None:
    await second_address(house)
    step, _ = await house.ours(batches.several_images(2), items=2)
    await house.theirs(batches.blank())
    await house.until_step(step, "completed")
    photos = await house.until_photos(5)
    assert sorted(photo["step_id"] == step for photo in photos) == [False, True, True, True, True]


async def test_what_the_other_address_brought_first_is_filed_under_its_step(house: Correlated) -> None:
    second = await second_address(house)
    hold = house.invokeai.hold("img")
    step, [item_id] = await house.ours(batches.blank())
    await hold.reached()

    async def session_known() -> bool:
        return bool(await house.fetch("SELECT FROM queue_items WHERE invoke_session_id IS NOT NULL"))

    await house.until(session_known)
    house.invokeai.drop_events()
    hold.release()
    await house.invokeai.until_ended(item_id)
    assert await second.gallery.read() == 1
    house.registry.request_reading(house.backend_id)
    row = await house.until_step(step, "completed")
    [photo] = await house.until_photos(1)
    assert photo["step_id"] == step
    assert row["error_message"] is None


async def test_an_input_older_than_the_backend_is_left_to_import(house: Correlated) -> None:
    """A node names its input as it names its output (FACTS §10)."""
    old = house.invokeai.add_canvas_save(created_at=house.invokeai.now() - timedelta(hours=1))
    await house.theirs(batches.echo(old.image_name))
    await house.theirs(batches.blank())
    [photo] = await house.until_photos(1)
    assert photo["invoke_id"] != old.image_name


async def test_an_adopted_photo_has_what_its_step_knows(house: Correlated) -> None:
    house.invokeai.drop_events()
    async with house.database.connection() as connection:
        source = await add_photo(connection)
    step, batch_id = await house.step((7,))
    async with house.database.connection() as connection:
        await connection.execute("UPDATE generation_steps SET source_photo_id = $2 WHERE id = $1", step, source)
    [item_id] = await house.post(batches.blank(), step, batch_id)
    await house.invokeai.until_ended(item_id)
    [image] = house.invokeai.images.select(Filter(is_intermediate=False))
    async with house.database.connection() as connection:
        await add_photo(connection, invoke_id=image.image_name, invoke_session_id=image.session_id, home=False)
    house.registry.request_reading(house.backend_id)
    await house.until_step(step, "completed")
    [photo] = await house.fetch("SELECT * FROM photos WHERE invoke_id = $1", image.image_name)
    assert (photo["source"], photo["generation_prompt"], photo["model_key"]) == ("generated", "a lighthouse", "k")
    assert photo["source_image_id"] == source


async def test_recording_an_image_again_fills_what_is_missing_and_moves_nothing(house: Correlated) -> None:
    image = house.invokeai.add_canvas_save()
    await house.connection.gallery.read()
    [before] = await house.until_photos(1)
    step, batch_id = await house.step((7,))
    async with house.database.connection() as connection:
        await add_item(connection, batch_id, step, 5, ordinal=0, invoke_session_id="s")
    [dto] = await house.connection.client.images_by_names([image.image_name])
    ours = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
    recorded = await house.connection.recorder.record([ours])
    [after] = await house.until_photos(1)
    assert (recorded.added, recorded.filed, recorded.steps) == ((), (before["id"],), (step,))
    assert (after["id"], after["local_storage_path"]) == (before["id"], before["local_storage_path"])
    assert (after["step_id"], after["generation_prompt"], after["seed"]) == (step, "a lighthouse", 7)


async def test_a_tombstone_is_left_as_it_is(house: Correlated) -> None:
    image = house.invokeai.add_canvas_save()
    await house.connection.gallery.read()
    async with house.database.connection() as connection:
        await connection.execute("UPDATE photos SET purged_at = now(), retrieval_status = 'gone'")
    [before] = await house.fetch("SELECT * FROM photos")
    step, batch_id = await house.step((7,))
    async with house.database.connection() as connection:
        await add_item(connection, batch_id, step, 5, ordinal=0, invoke_session_id="s")
    [dto] = await house.connection.client.images_by_names([image.image_name])
    ours = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
    assert (await house.connection.recorder.record([ours])).added == ()
    assert await house.fetch("SELECT * FROM photos") == [before]
    assert await house.fetch("SELECT FROM step_alternatives") == []


async def test_an_item_is_settled_only_once_the_database_has_its_end(house: Correlated) -> None:
    hold = house.invokeai.hold("img")
    step, [item_id] = await house.ours(batches.blank())
    await hold.reached()

    async def runs() -> bool:
        return bool(await house.fetch("SELECT FROM queue_items WHERE status = 'in_progress'"))

    await house.until(runs)
    [row] = await house.fetch("SELECT batch_id FROM queue_items")
    for batch_id in (row["batch_id"], "unknown"):
        await house.connection.recorder.record([], [Settling(batch_id, item_id, step, ())])
    tracked = house.connection.tracking.get(row["batch_id"], item_id)
    assert tracked is not None
    assert not tracked.known.settled
    assert await house.fetch("SELECT FROM queue_items WHERE settled_at IS NOT NULL") == []
    hold.release()
    await house.until_step(step, "completed")


@pytest.mark.parametrize("trouble", [answers.status(403), answers.status(500), answers.html()])
async def test_an_image_whose_metadata_cannot_be_read_holds_up_no_other(house: Correlated, trouble: Any) -> None:
    images = [house.invokeai.add_canvas_save() for _ in range(3)]
    house.invokeai.on(f"{images[1].image_name}/metadata$", trouble, times=None)
    assert await house.connection.gallery.read() == 3


@pytest.mark.parametrize("trouble", [answers.status(502), answers.html()], ids=["502", "html"])
async def test_while_the_server_answers_nothing_at_all_no_reading_is_complete(house: Correlated, trouble: Any) -> None:
    """A proxy that fails for everything tells nothing of one image's metadata."""
    house.invokeai.add_canvas_save()
    house.invokeai.on("/metadata$", trouble, times=None)
    rule = house.invokeai.on("/app/version$", trouble, times=None)
    before = house.connection.gallery.read_from
    with pytest.raises(InvokeError):
        await house.connection.gallery.read()
    assert house.connection.gallery.read_from == before
    assert await house.fetch("SELECT FROM photos") == []
    rule.remove()
    await house.connection.gallery.read()
    await house.until_photos(1)


async def test_when_the_server_is_cut_off_no_metadata_are_asked_for_behind_the_failure(house: Correlated) -> None:
    for _ in range(20):
        house.invokeai.add_canvas_save()
    rule = house.invokeai.on("/metadata$", answers.cut(), times=None)
    with pytest.raises(InvokeInterrupted):
        await house.connection.gallery.read()
    asked = rule.hits
    assert asked < 20
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "image metadata" and not task.cancelling()]


async def test_metadata_that_names_what_no_database_can_hold_names_no_batch(house: Correlated) -> None:
    house.invokeai.add_canvas_save(metadata={"darkroom_batch": "a\0b"})
    assert await house.connection.gallery.read() == 1


async def test_a_name_that_cannot_be_looked_up_holds_up_no_other(house: Correlated) -> None:
    async def some_fail(request: Any, handler: Any) -> Any:
        asked = (await request.json())["image_names"]
        return await (answers.status(500)(request, handler) if bad.image_name in asked else handler(request))

    house.invokeai.drop_events()
    good, bad = (house.invokeai.add_canvas_save() for _ in range(2))
    house.invokeai.on("/images_by_names$", some_fail, times=None)
    for name in ("../secrets", "a\0b", "x" * 300, bad.image_name, good.image_name):
        house.connection.sight(name)
    [photo] = await house.until_photos(1)
    assert photo["invoke_id"] == good.image_name


async def test_while_no_name_can_be_looked_up_all_of_them_wait(house: Correlated) -> None:
    house.invokeai.drop_events()
    images = [house.invokeai.add_canvas_save() for _ in range(2)]
    rule = house.invokeai.on("/images_by_names$", answers.status(500), times=None)
    with pytest.raises(InvokeFailed):
        await house.connection.sightings._images([image.image_name for image in images])
    for image in images:
        house.connection.sight(image.image_name)
    await rule.wait(rule.hits + 1)
    rule.remove()
    await house.until_photos(2)


async def test_more_sightings_than_can_wait_are_found_by_readings(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "LIMIT", 1)
    house.invokeai.drop_events()
    for image in [house.invokeai.add_canvas_save() for _ in range(3)]:
        house.connection.sight(image.image_name)
    await house.until_photos(3)


@pytest.mark.parametrize("status", [401, 409])
async def test_while_no_metadata_are_told_for_a_login_or_maintenance_nobodys_images_are_none(
    house: Correlated, status: int
) -> None:
    """Whose it is cannot be told then: taken for somebody else's, it would stay where it was filed."""
    step, batch_id = await house.step()
    rule = house.invokeai.on("/metadata$", answers.status(status), times=None)
    house.invokeai.add_image(session_id="unheard of", metadata={"darkroom_batch": batch_id})
    with pytest.raises(InvokeError):
        await house.connection.gallery.read()
    assert await house.fetch("SELECT FROM photos") == []
    rule.remove()
    await house.connection.gallery.read()
    [photo] = await house.until_photos(1)
    assert photo["step_id"] == step


async def test_recording_an_image_again_takes_nothing_away(house: Correlated) -> None:
    """As a gallery reading of another address tells it: nobody's, or by other words (rule 5)."""
    image = house.invokeai.add_canvas_save()
    async with house.database.connection() as connection:
        first = await add_backend(connection)
        for backend_id in (first, None):
            await connection.execute("DELETE FROM photos")
            await add_photo(
                connection, invoke_id=image.image_name, source="generated", backend_id=backend_id,
                generation_prompt="mine", local_storage_path="photos/here.png",
            )  # fmt: skip
            [dto] = await house.connection.client.images_by_names([image.image_name])
            told = type(dto)(**{name: getattr(dto, name) for name in dto.__struct_fields__} | {"session_id": "s"})
            await house.connection.recorder.record([told])
            row = await connection.fetchrow("SELECT * FROM photos")
            assert (row["source"], row["generation_prompt"], row["local_storage_path"], row["invoke_session_id"]) == (
                "generated", "mine", "photos/here.png", "s",
            )  # fmt: skip
            assert row["backend_id"] == (backend_id or house.backend_id)


async def test_an_upload_whose_metadata_name_a_batch_of_ours_is_not_its_work(house: Correlated) -> None:
    """One of our own pictures, uploaded to InvokeAI again."""
    _, batch_id = await house.step()
    upload = house.invokeai.add_upload(metadata={"darkroom_batch": batch_id})
    [dto] = await house.connection.client.images_by_names([upload.image_name])
    await house.connection.recorder.record([dto])
    assert await house.fetch("SELECT FROM photos") == []
