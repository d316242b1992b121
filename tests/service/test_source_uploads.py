"""Sources of steps at their server (source is a photo): which name, what is sent, and that it is sent once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import pyvips

from service.backends.removal import remove
from service.demo import png
from service.demo.images import Image
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.invokeai.pictures import read_texts
from tests.fakes.rows import add_backend
from tests.fakes.studio_harness import MODEL, StudioHarness, posts, until_made
from tests.fakes.upload_files import BLUE, GREEN, RED, WHITE, quarters, sample, saved
from tests.fakes.waiting import eventually

UPLOAD = "/images/upload$"
QUARTERS = saved(quarters(), ".png")


def sent(invokeai: ScriptedInvokeAI) -> int:
    """How many uploads it was asked to take."""
    return sum("/images/upload" in path for _, path in invokeai.requests)


def uploads(invokeai: ScriptedInvokeAI) -> list[Image]:
    """What it has of them."""
    return invokeai.images.select(categories=("user",))


def source_of(invokeai: ScriptedInvokeAI, item_id: int = 1) -> str:
    """The name of the image in the first node that reads one."""
    nodes = invokeai.queue.items[item_id].graph()["nodes"].values()
    [name] = [node["image"]["image_name"] for node in nodes if node.get("image")]
    return str(name)


def corners(pixels: Any) -> list[tuple[int, ...]]:
    height, width = pixels.shape[:2]
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [tuple(int(value) for value in pixels[place]) for place in places]


async def test_a_photo_is_uploaded_once_and_used_by_its_name_there(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    step_id = await studio.create(MODEL, source_photo_id=photo, batch_size=2, parameters={"strength": 0.4})
    await until_made(studio, step_id, 100, 101)
    [image] = uploads(invokeai)
    assert (image.is_intermediate, image.session_id, image.width, image.height) == (True, None, 96, 64)
    assert source_of(invokeai) == image.image_name
    graph = invokeai.queue.items[1].graph()
    assert graph["nodes"]["denoise"]["denoising_start"] == 0.6
    assert graph["nodes"]["metadata"]["init_image"] == image.image_name
    again = await studio.create(MODEL, source_photo_id=photo, parameters={"seed": 7})
    await until_made(studio, again, 7)
    assert sent(invokeai) == 1
    rows = await studio.fetch("SELECT image_name, photo_id FROM backend_uploads")
    assert [tuple(row) for row in rows] == [(image.image_name, photo)]
    assert await studio.fetch("SELECT FROM source_uploads") == []


async def test_what_is_made_descends_from_its_source_and_the_source_is_no_result(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(saved(quarters(192, 128), ".png"))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    made = await studio.fetch("SELECT invoke_id, source_image_id FROM photos WHERE id <> $1", photo)
    assert [row["source_image_id"] for row in made] == [photo]
    nodes = invokeai.queue.items[1].graph()["nodes"]
    assert {"crop", "resize", "encode"} <= nodes.keys()
    intermediate = [image for image in invokeai.images.select(is_intermediate=True) if image.session_id]
    assert len(intermediate) == 2  # of crop and resize; neither has become a photo


async def test_an_image_of_the_server_itself_is_used_by_its_own_name(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    image = invokeai.add_image(size=(64, 64))
    photo = await studio.keep_photo(QUARTERS, invoke_id=image.image_name, backend_id=studio.backend_id)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert source_of(invokeai) == image.image_name
    assert sent(invokeai) == 0


@pytest.mark.parametrize("known_as", ["another queue", "removed"])
async def test_an_image_of_the_same_server_known_otherwise_is_used_by_its_own_name(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, known_as: str
) -> None:
    image = invokeai.add_image(size=(64, 64))
    other = None
    if known_as == "another queue":
        async with studio.database.connection() as connection:
            other = await add_backend(connection, url=invokeai.url, queue_id="other", enabled=False)
    photo = await studio.keep_photo(QUARTERS, invoke_id=image.image_name, backend_id=other)
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    assert (source_of(invokeai), sent(invokeai)) == (image.image_name, 0)


async def test_an_image_of_another_server_is_uploaded(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    async with studio.database.connection() as connection:
        other = await add_backend(connection, enabled=False)
    photo = await studio.keep_photo(QUARTERS, invoke_id="elsewhere.png", backend_id=other)
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    assert [source_of(invokeai)] == [upload.image_name for upload in uploads(invokeai)]


async def test_a_large_source_has_more_time_than_other_requests(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    noise = pyvips.Image.gaussnoise(700, 700, mean=128, sigma=60).bandjoin([1, 2]).cast("uchar")
    photo = await studio.keep_photo(saved(noise.copy(interpretation="srgb"), ".png"))
    connection = studio.registry.get(studio.backend_id)
    assert connection is not None
    invokeai.on(UPLOAD, answers.after(connection.client.timeout + 1))
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    assert sent(invokeai) == len(uploads(invokeai)) == 1
    assert not any("search_term=" in path for _, path in invokeai.requests), "it was never in doubt"


async def test_an_image_that_the_server_no_longer_has_is_uploaded_from_here(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    image, other = invokeai.add_image(size=(64, 64)), invokeai.add_image()
    await studio.keep_photo(b"another", invoke_id=other.image_name, backend_id=studio.backend_id)
    photo = await studio.keep_photo(QUARTERS, invoke_id=image.image_name, backend_id=studio.backend_id)
    invokeai.images.remove([image.image_name])
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert [source_of(invokeai)] == [upload.image_name for upload in uploads(invokeai)]


async def test_an_upload_that_was_deleted_there_is_uploaded_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    [first] = uploads(invokeai)
    invokeai.images.remove([first.image_name])
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo, parameters={"seed": 7}), 7)
    [second] = uploads(invokeai)
    assert source_of(invokeai, 2) == second.image_name != first.image_name
    [row] = await studio.fetch("SELECT image_name FROM backend_uploads")
    assert row["image_name"] == second.image_name


async def test_a_source_deleted_after_it_was_brought_is_brought_again_before_the_batch_is_sent(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    models = invokeai.on("/enqueue_batch$", answers.status(409, "maintenance"))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await models.wait()
    await studio.until_states(step_id, "prepared")
    invokeai.images.remove([image.image_name for image in uploads(invokeai)])
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 2
    assert await studio.states(step_id) == ["enqueued"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("jpeg-orientation6.jpg", (64, 96), [BLUE, RED, WHITE, GREEN]),
        ("png-exif-orientation6.png", (64, 96), [BLUE, RED, WHITE, GREEN]),
        ("png-rgb16.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("png-grey16.png", (96, 64), [(64,) * 3, (193,) * 3] * 2),
        ("png-palette.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("png-palette-trns.png", (96, 64), [(*RED, 255), (*GREEN, 128), (*BLUE, 0), (*WHITE, 255)]),
        ("png-greyalpha8.png", (96, 64), [(64, 64, 64, 190), (193, 193, 193, 61)] * 2),
        ("png-icc-p3.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("png-apng-2frames.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("png-crc-of-text-wrong.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("gif-animated.gif", (96, 64), [(*RED, 255), (*GREEN, 255), (*BLUE, 255), (*WHITE, 255)]),
        ("tiff-16bit.tif", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("avif.avif", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("webp-alpha.webp", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("jpeg-cut-last-2.jpg", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("meta-invokeai.png", (96, 64), [RED, GREEN, BLUE, WHITE]),
        ("png-panorama-30000x300.png", (4096, 41), [RED, GREEN, BLUE, WHITE]),
    ],
)
async def test_the_server_gets_the_pixels_that_are_shown_here(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, name: str, size: tuple[int, int], expected: list[Any]
) -> None:
    photo = await studio.keep_photo(sample(name))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    [image] = uploads(invokeai)
    assert (image.width, image.height) == size
    found = corners(invokeai.images.pixels(image.image_name))
    assert np.abs(np.array(found) - np.array(expected)).max() <= 2
    assert set(json.loads(image.metadata or "")) == {"darkroom_source"}
    texts = read_texts(invokeai.images.path(image.image_name).read_bytes())
    assert texts.keys() == {"invokeai_metadata"}


async def test_a_cmyk_jpeg_is_sent_in_rgb(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    photo = await studio.keep_photo(saved(quarters().colourspace("cmyk"), ".jpg", Q=95), mime_type="image/jpeg")
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    [image] = uploads(invokeai)
    red, green, blue, white = corners(invokeai.images.pixels(image.image_name))
    assert len(red) == 3
    assert red[0] > 150 > max(red[1:])
    assert green[1] > 150 > max(green[0], green[2])
    assert blue[2] > 100 > max(blue[:2])
    assert min(white) > 220


async def test_a_photo_that_cannot_be_decoded_fails_the_step_with_words(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(b"whole, and no picture")
    step = await studio.until_status(await studio.create(MODEL, source_photo_id=photo), "failed")
    assert "the source photo cannot be decoded" in (step.error_message or "")
    assert (sent(invokeai), posts(invokeai)) == (0, 0)


async def test_a_source_that_is_trashed_is_used_and_one_that_is_purged_fails_the_step(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    trashed, purged = await studio.keep_photo(QUARTERS), await studio.keep_photo(sample("png-rgb16.png"))
    await invokeai.refuse()
    first = await studio.create(MODEL, source_photo_id=trashed)
    second = await studio.create(MODEL, source_photo_id=purged, parameters={"seed": 7})
    await studio.fetch("UPDATE photos SET deleted_at = $1", datetime.now(UTC))
    await studio.fetch("UPDATE photos SET purged_at = $2 WHERE id = $1", purged, datetime.now(UTC))
    await invokeai.accept()
    await until_made(studio, first, 100)
    step = await studio.until_status(second, "failed")
    assert step.error_message == "the photo that it was to be made from was deleted for good"
    assert posts(invokeai) == 1
    await studio.retry(second)
    await studio.until_status(second, "failed")
    assert posts(invokeai) == 1


async def test_a_source_purged_while_its_server_is_away_fails_the_step(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    await invokeai.kill()
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await studio.fetch("UPDATE photos SET deleted_at = now(), purged_at = now() WHERE id = $1", photo)
    studio.bus.submission_due()
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "the photo that it was to be made from was deleted for good"
    await invokeai.restart()


async def test_an_image_of_another_user_is_not_used_but_uploaded_from_here(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    image = invokeai.add_image(size=(64, 64))
    photo = await studio.keep_photo(QUARTERS, invoke_id=image.image_name, backend_id=studio.backend_id)
    invokeai.on(f"/i/{image.image_name}$", answers.status(403, "Not authorized to access this image"), times=1)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert [source_of(invokeai)] == [upload.image_name for upload in uploads(invokeai)]


async def test_a_source_purged_when_it_was_brought_already_fails_the_step(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    refusal = invokeai.on("/enqueue_batch$", answers.status(409, "maintenance"))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await refusal.wait()
    await studio.fetch("UPDATE photos SET deleted_at = now(), purged_at = now() WHERE id = $1", photo)
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "the photo that it was to be made from was deleted for good"


async def test_a_batch_waits_while_its_source_is_lost_and_goes_on_when_it_is_home(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    [row] = await studio.fetch("SELECT local_storage_path, sha256 FROM photos WHERE id = $1", photo)
    file = studio.storage.path(row["local_storage_path"])
    file.unlink()
    step_id = await studio.create(MODEL, source_photo_id=photo)

    async def waits() -> bool:
        return (await studio.step(step_id)).waiting_for == "source_file"

    await eventually(waits)
    other = await studio.create(MODEL, parameters={"seed": 7})
    await until_made(studio, other, 7)
    assert (await studio.step(step_id)).status == "pending"
    assert sent(invokeai) == 0
    file.write_bytes(QUARTERS)
    assert await studio.integrity.found_again(photo, row["local_storage_path"], row["sha256"])
    studio.bus.came_home(photo)
    await until_made(studio, step_id, 100)


async def test_steps_that_come_together_send_their_source_once(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    step_ids = [await studio.create(MODEL, source_photo_id=photo, parameters={"seed": n}) for n in range(1, 6)]
    await out.wait()
    step_ids.append(await studio.create(MODEL, source_photo_id=photo, parameters={"seed": 6}))
    gate.set()
    for seed, step_id in enumerate(step_ids, 1):
        await until_made(studio, step_id, seed)
    assert sent(invokeai) == len(uploads(invokeai)) == 1


async def test_a_slow_upload_holds_up_neither_other_batches_nor_cancels(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    slow, known = await studio.keep_photo(QUARTERS), await studio.keep_photo(saved(quarters(64, 64), ".png"))
    await until_made(studio, await studio.create(MODEL, source_photo_id=known), 100)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    waiting = await studio.create(MODEL, source_photo_id=slow, parameters={"seed": 1})
    unwanted = await studio.create(MODEL, source_photo_id=slow, parameters={"seed": 2})
    await out.wait()
    await until_made(studio, await studio.create(MODEL, parameters={"seed": 3}), 3)
    await until_made(studio, await studio.create(MODEL, source_photo_id=known, parameters={"seed": 4}), 4)
    await studio.cancel(unwanted)
    assert (await studio.step(unwanted)).status == "canceled"
    assert (await studio.step(waiting)).waiting_for == "source_upload"
    gate.set()
    await until_made(studio, waiting, 1)
    assert await studio.states(unwanted) == ["refused"]
    assert len(invokeai.queue.items) == 4


@pytest.mark.parametrize(
    "answer",
    [answers.cut_after_effect(), answers.cut_in_answer()],
    ids=["cut after its effect", "cut in the answer"],
)
async def test_an_upload_whose_answer_is_lost_is_found_by_its_token(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, answer: Any
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    invokeai.on(UPLOAD, answer)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 1
    assert [source_of(invokeai)] == [image.image_name for image in uploads(invokeai)]


async def test_an_upload_that_takes_effect_late_is_found(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    photo = await studio.keep_photo(QUARTERS)
    came: list[bytes] = []

    async def cut(request: Any, handler: Any) -> Any:
        came.append((await request.post())["file"].file.read())
        return await answers.cut()(request, handler)

    out = invokeai.on(UPLOAD, cut)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await out.wait()
    await invokeai.until(lambda: any("search_term=" in path for _, path in invokeai.requests))
    data, thumbnail = invokeai.images.encode(png.decode(came[0]), read_texts(came[0]))
    invokeai.images.add(data, thumbnail, image_category="user", image_origin="external", is_intermediate=True)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == len(uploads(invokeai)) == 1


@pytest.mark.parametrize("answer", [answers.cut(), answers.status(500), answers.status(503)], ids=["cut", "500", "503"])
async def test_an_upload_without_effect_is_sent_again_after_the_window(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, answer: Any
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    invokeai.on(UPLOAD, answer)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 2
    assert len(uploads(invokeai)) == 1


async def test_a_record_whose_file_was_not_written_is_not_taken_for_the_upload(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    """The disk there is full: InvokeAI has committed the record, and answers 500."""
    photo = await studio.keep_photo(QUARTERS)

    async def full(request: Any, handler: Any) -> Any:
        await handler(request)
        [image] = uploads(invokeai)
        path = invokeai.images.path(image.image_name)
        path.write_bytes(path.read_bytes()[:100])
        return await answers.status(500)(request, handler)

    invokeai.on(UPLOAD, full)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 2
    assert source_of(invokeai) == uploads(invokeai)[0].image_name


@pytest.mark.parametrize("status", [415, 413, 422])
async def test_an_upload_that_is_refused_fails_the_step_in_invokeais_words(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, status: int
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    invokeai.on(UPLOAD, answers.status(status, "Not an image"))
    step = await studio.until_status(await studio.create(MODEL, source_photo_id=photo), "failed")
    assert step.error_message == "InvokeAI did not take the source photo: Not an image"
    assert (sent(invokeai), posts(invokeai)) == (1, 0)
    await studio.retry(step.id)
    await until_made(studio, step.id, 100)


@pytest.mark.parametrize("answer", [answers.status(409, "maintenance"), answers.html()], ids=["409", "html"])
async def test_an_upload_that_certainly_had_no_effect_is_sent_again_soon(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, answer: Any
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    invokeai.on(UPLOAD, answer)
    await until_made(studio, await studio.create(MODEL, source_photo_id=photo), 100)
    assert sent(invokeai) == 2


async def test_a_step_is_canceled_while_its_source_is_brought(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await out.wait()
    await studio.cancel(step_id)
    assert ((await studio.step(step_id)).status, await studio.states(step_id)) == ("canceled", ["refused"])
    gate.set()

    async def kept() -> bool:
        return bool(await studio.fetch("SELECT FROM backend_uploads"))

    await eventually(kept)
    assert posts(invokeai) == 0
    await studio.retry(step_id)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 1


async def test_a_server_that_is_removed_while_it_gets_a_source_takes_its_steps_with_it(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await out.wait()
    await remove(studio.database, studio.registry, studio.bus, studio.backend_id, confirmed=True)
    studio.bus.submission_due()
    gate.set()
    step = await studio.until_status(step_id, "failed")
    assert (step.error_message, step.waiting_for) == ("backend removed", None)
    assert await studio.fetch("SELECT FROM source_uploads") == []
    assert posts(invokeai) == 0


async def test_a_deleted_step_sends_nothing(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    photo = await studio.keep_photo(QUARTERS)
    await invokeai.refuse()
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await studio.delete(step_id)
    await invokeai.accept()
    await until_made(studio, await studio.create(MODEL), 100)
    assert (sent(invokeai), posts(invokeai)) == (0, 1)
    assert await studio.states(step_id) == ["refused"]


async def test_a_server_that_was_away_gets_the_source_when_it_is_back(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    photo = await studio.keep_photo(QUARTERS)
    await invokeai.refuse()
    step_id = await studio.create(MODEL, source_photo_id=photo)
    assert (await studio.step(step_id)).waiting_for == "source_upload"
    await invokeai.accept()
    await until_made(studio, step_id, 100)
    assert (await studio.step(step_id)).waiting_for is None
    assert sent(invokeai) == 1


async def test_a_lookup_that_fails_decides_nothing(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    image = invokeai.add_image(size=(64, 64))
    photo = await studio.keep_photo(QUARTERS, invoke_id=image.image_name, backend_id=studio.backend_id)
    failing = invokeai.on(f"/i/{image.image_name}$", answers.status(500), times=3)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await failing.wait(3)
    await until_made(studio, step_id, 100)
    assert sent(invokeai) == 0


async def test_a_source_is_not_mirrored_back(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    photo = await studio.keep_photo(QUARTERS)
    step_id = await studio.create(MODEL, source_photo_id=photo)
    await until_made(studio, step_id, 100)
    [upload] = uploads(invokeai)
    invokeai.images.update(upload, is_intermediate=False, image_category="general")
    made = invokeai.add_canvas_save()
    studio.registry.request_reading(studio.backend_id)

    async def mirrored() -> bool:
        return bool(await studio.fetch("SELECT FROM photos WHERE invoke_id = $1", made.image_name))

    await eventually(mirrored)
    assert await studio.fetch("SELECT FROM photos WHERE invoke_id = $1", upload.image_name) == []
