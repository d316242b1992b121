"""Steps that make pictures from a photo, against a real InvokeAI: the source gets there once, and is what is used."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import batches
from tests.fakes.process import DarkroomProcess
from tests.invokeai.pictures import Pixels, cmyk_jpeg, difference, pixels, png, unlike_any_other
from tests.invokeai.server import Json, RealInvokeAI
from tests.invokeai.tiny_lora import tiny_lora

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(600)]

UPLOADS = Path(__file__).parents[1] / "uploads"
ALIKE, OTHER = 3.0, 10.0
"""Of `difference`: two noises of the tiny model are about 40 apart."""


def asked(**more: Any) -> Json:
    return {"width": 64, "height": 64, "steps": 4, "seed": random.randrange(2**31), **more}


async def from_photo(darkroom: DarkroomProcess, photo: Json, batch_size: int = 1, **parameters: Any) -> Json:
    """A completed step made from the photo, as often as it was asked for and no more."""
    step = await darkroom.generate(
        await darkroom.model("sd-1"),
        source_photo_id=photo["id"],
        batch_size=batch_size,
        parameters=asked(**parameters),
    )
    assert step["source_photo_id"] == photo["id"]
    ended = await darkroom.until_step(step["id"], "completed")
    assert (len(ended["items"]), len(ended["alternatives"])) == (batch_size, batch_size)
    assert ended["waiting_for"] is None
    return ended


async def pictures_of(darkroom: DarkroomProcess, step: Json) -> list[Pixels]:
    """Of its alternatives, in order of their seeds."""
    alternatives = sorted(step["alternatives"], key=lambda photo: photo["seed"])
    return [pixels(await darkroom.file(photo)) for photo in alternatives]


async def is_here_as_there(darkroom: DarkroomProcess, invokeai: RealInvokeAI, photos: list[Json]) -> None:
    for photo in photos:
        content = await invokeai.file(photo["invoke_id"])
        assert await darkroom.file(photo) == content
        assert photo["sha256"] == hashlib.sha256(content).hexdigest()


async def uploaded(darkroom: DarkroomProcess, content: bytes) -> Json:
    status, photo = await darkroom.upload(content)
    assert status == 201, photo
    return dict(photo)


async def copies(invokeai: RealInvokeAI, before: set[str], picture: Pixels) -> list[str]:
    """Of a picture, among what was uploaded to InvokeAI since then. A colour may be off by the way it was converted."""
    found = []
    for name in await invokeai.user_images() - before:
        there = pixels(await invokeai.file(name))
        if there.shape == picture.shape and difference(there, picture) < ALIKE:
            found.append(name)
    return found


@pytest.mark.parametrize("kind", ["turned by its EXIF", "in CMYK", "of another shape", "with an alpha channel"])
async def test_an_upload_is_taken_to_the_server_once_and_upright(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, kind: str
) -> None:
    content = {
        "turned by its EXIF": (UPLOADS / "jpeg-orientation6.jpg").read_bytes,
        "in CMYK": lambda: cmyk_jpeg(unlike_any_other(64, 96)),
        "of another shape": lambda: png(unlike_any_other(101, 77)),
        "with an alpha channel": lambda: png(unlike_any_other(64, 96).bandjoin(128)),
    }[kind]()
    before = await invokeai.user_images()
    photo = await uploaded(darkroom, content)
    first = await from_photo(darkroom, photo, 2, width=64, height=96, strength=0.6)
    [name] = await copies(invokeai, before, pixels(content))
    second = await from_photo(darkroom, photo, 2, width=64, height=96, strength=0.4)
    assert await copies(invokeai, before, pixels(content)) == [name]

    made = [*first["alternatives"], *second["alternatives"]]
    assert {(one["width"], one["height"]) for one in made} == {(64, 96)}
    for one in made:
        metadata = one["generation_params"] or (await darkroom.get(f"/photos/{one['id']}"))["generation_params"]
        assert (metadata["generation_mode"], metadata["init_image"]) == ("img2img", name)
    await is_here_as_there(darkroom, invokeai, made)
    # The source is one photo, as before, and what is at the server does not come back.
    photos = await darkroom.until_home(5)
    assert {one["id"] for one in photos} == {photo["id"], *(one["id"] for one in made)}
    assert len(darkroom.files()) == 5


async def test_an_image_of_the_server_is_used_by_its_own_name(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    posted = await darkroom.generate(await darkroom.model("sd-1"), parameters=asked())
    [source] = (await darkroom.until_step(posted["id"], "completed"))["alternatives"]
    before = await invokeai.user_images()
    step = await from_photo(darkroom, source, 2)
    assert step["parameters"]["strength"] == 0.75, "unless one is given"
    assert await copies(invokeai, before, pixels(await darkroom.file(source))) == []
    for photo in step["alternatives"]:
        metadata = (await darkroom.get(f"/photos/{photo['id']}"))["generation_params"]
        assert (metadata["init_image"], metadata["strength"]) == (source["invoke_id"], 0.75)
    await is_here_as_there(darkroom, invokeai, step["alternatives"])
    assert len(await darkroom.until_home(3)) == 3


async def test_strength_0_gives_the_source_itself_and_strength_1_leaves_nothing_of_it(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    before = await invokeai.user_images()
    content = png(unlike_any_other(64, 64))
    photo = await uploaded(darkroom, content)
    model, seed = await darkroom.model("sd-1"), random.randrange(2**31)
    posted = await darkroom.generate(model, parameters=asked(seed=seed))
    [from_noise] = await pictures_of(darkroom, await darkroom.until_step(posted["id"], "completed"))

    nothing = await pictures_of(darkroom, await from_photo(darkroom, photo, 2, strength=0, seed=seed))
    everything = await pictures_of(darkroom, await from_photo(darkroom, photo, 1, strength=1, seed=seed))
    half = await pictures_of(darkroom, await from_photo(darkroom, photo, 1, strength=0.5, seed=seed))

    # The source, through the model's VAE alone, enqueued in InvokeAI. Encoding is random: it must be the image that was
    # encoded for the steps, which InvokeAI's node cache remembers (FACTS §13).
    [name] = await copies(invokeai, before, pixels(content))
    graph = through_the_vae(await invokeai.model("sd-1"), name)
    await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
    photos = await darkroom.until_home(7)
    [there_and_back] = [one for one in photos if one["source"] == "mirrored"]
    expected = pixels(await darkroom.file(there_and_back))
    assert [difference(picture, expected) for picture in nothing] == [0, 0]
    assert difference(everything[0], from_noise) < ALIKE
    assert difference(everything[0], expected) > OTHER
    assert difference(half[0], expected) > OTHER < difference(half[0], from_noise)


def through_the_vae(model: Json, image_name: str) -> Json:
    graph = batches.image_to_image(model, image_name)
    kept = {"model_loader", "encode", "output"}
    nodes = {name: node for name, node in graph["nodes"].items() if name in kept}
    edges = [e for e in graph["edges"] if {e["source"]["node_id"], e["destination"]["node_id"]} <= kept]
    return {**graph, "nodes": nodes, "edges": [*edges, batches.edge("encode", "latents", "output", "latents")]}


async def test_a_source_that_was_deleted_at_the_server_is_taken_there_again(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    before = await invokeai.user_images()
    content = png(unlike_any_other(64, 64))
    photo = await uploaded(darkroom, content)
    await from_photo(darkroom, photo, strength=0.3)
    [first] = await copies(invokeai, before, pixels(content))
    await invokeai.call("DELETE", f"/api/v1/images/i/{first}")
    step = await from_photo(darkroom, photo, 2, strength=0.3)
    [second] = await copies(invokeai, before, pixels(content))
    assert first != second
    await is_here_as_there(darkroom, invokeai, step["alternatives"])


async def test_killed_while_the_source_is_taken_to_the_server_it_is_there_once_and_nothing_is_made_twice(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    before = await invokeai.user_images()
    content = png(unlike_any_other(512, 512))
    photo = await uploaded(darkroom, content)
    model = await darkroom.model("sd-1")
    step = await darkroom.generate(
        model, source_photo_id=photo["id"], batch_size=4, parameters=asked(strength=0.5, steps=2)
    )
    async with asyncio.timeout(60):
        while not await invokeai.user_images() - before:
            await asyncio.sleep(0.005)
    await darkroom.kill()
    await darkroom.start()
    ended = await darkroom.until_step(step["id"], "completed")
    assert len(await copies(invokeai, before, pixels(content))) == 1
    assert len(ended["alternatives"]) == 4
    assert await invokeai.saved(ended["batch_id"]) == {one["invoke_id"] for one in ended["alternatives"]}
    status = await invokeai.queue("GET", f"b/{ended['batch_id']}/status")
    assert (status["total"], status["completed"]) == (4, 4)
    assert len(await darkroom.until_home(5)) == 5


@pytest.fixture
async def loras(invokeai: RealInvokeAI, public_folder: Path) -> dict[str, Json]:
    """By base, at the server before Darkroom asks for its models."""
    found = {}
    for base in ("sd-1", "sdxl"):
        file = public_folder / f"tiny-lora-{base.replace('-', '')}.safetensors"
        file.write_bytes(tiny_lora(base))
        lora = await invokeai.lora(base, file)
        if lora is None:
            pytest.skip(
                f"this InvokeAI does not take {file.name} for a LoRA of {base}: steps with LoRAs are not tested"
            )
        found[base] = lora
    return found


@pytest.mark.parametrize("has_source", [False, True], ids=["from noise", "from a photo"])
@pytest.mark.parametrize("base", ["sd-1", "sdxl"])
async def test_a_lora_changes_the_picture_and_is_told_with_it(
    loras: dict[str, Json], darkroom: DarkroomProcess, invokeai: RealInvokeAI, base: str, has_source: bool
) -> None:
    model, lora = await darkroom.model(base), loras[base]
    parameters, source_photo_id = asked(), None
    if has_source:
        source_photo_id = (await uploaded(darkroom, png(unlike_any_other(64, 64))))["id"]
        parameters["strength"] = 0.8
    pictures = {}
    for weight in (None, 0, 0.75):
        if weight is not None:
            parameters["loras"] = [{"key": lora["key"], "weight": weight}]
        posted = await darkroom.generate(model, source_photo_id=source_photo_id, parameters=parameters)
        [photo] = (await darkroom.until_step(posted["id"], "completed"))["alternatives"]
        await is_here_as_there(darkroom, invokeai, [photo])
        pictures[weight] = pixels(await darkroom.file(photo))
        metadata = (await darkroom.get(f"/photos/{photo['id']}"))["generation_params"]
        told = [(one["model"]["key"], one["weight"]) for one in metadata.get("loras") or []]
        assert told == ([] if weight is None else [(lora["key"], weight)])
    assert difference(pictures[None], pictures[0]) == 0, "the seed is the same"
    assert difference(pictures[None], pictures[0.75]) > OTHER / 2


async def test_a_lora_of_another_base_is_refused_in_words(loras: dict[str, Json], darkroom: DarkroomProcess) -> None:
    model = await darkroom.model("sd-1")
    session = await darkroom.post("/sessions", {"name": "another base"})
    body = {
        "prompt": "a pier",
        "model_key": model["key"],
        "model_hash": model["hash"],
        "model_name": model["name"],
        "parameters": asked(loras=[{"key": loras["sdxl"]["key"], "weight": 1}]),
    }
    status, answer = await darkroom.call("POST", f"/api/v1/sessions/{session['id']}/steps", body)
    assert status == 400
    assert "tiny-lora-sdxl" in answer["error"]["message"]
