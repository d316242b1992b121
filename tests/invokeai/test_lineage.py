"""Where each picture came from, against a real InvokeAI: steps made from steps, uploads, and InvokeAI's own work."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from tests.fakes import batches
from tests.fakes.process import DarkroomProcess
from tests.invokeai.pictures import png, unlike_any_other
from tests.invokeai.server import Json, RealInvokeAI

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(600)]


async def lineage(darkroom: DarkroomProcess, photo: Json) -> Json:
    return dict(await darkroom.get(f"/photos/{photo['id']}/lineage"))


def ids(photos: list[Json]) -> set[str]:
    return {photo["id"] for photo in photos}


def edges(body: Json) -> set[tuple[str, str, str | None, str]]:
    found = [(edge["from"], edge["to"], edge["step_id"], edge["role"]) for edge in body["edges"]]
    assert len(found) == len(set(found))
    return set(found)


def made_by(step: Json, source: Json) -> set[tuple[str, str, str | None, str]]:
    return {(source["id"], photo["id"], step["id"], "init image") for photo in step["alternatives"]}


async def four(darkroom: DarkroomProcess, session: Json, **step: Any) -> Json:
    """A completed step of four in the session."""
    step["parameters"] = {"width": 64, "height": 64, "steps": 4, "seed": random.randrange(2**31)} | step["parameters"]
    model = await darkroom.model("sd-1")
    posted = await darkroom.generate(model, session_id=session["id"], batch_size=4, **step)
    ended = await darkroom.until_step(posted["id"], "completed")
    assert (len(ended["items"]), len(ended["alternatives"])) == (4, 4)
    return ended


async def select(darkroom: DarkroomProcess, step: Json, place: int) -> Json:
    photo = step["alternatives"][place]
    status, answer = await darkroom.call("PUT", f"/api/v1/steps/{step['id']}/selection", {"photo_id": photo["id"]})
    assert (status, answer["selected_image_id"]) == (200, photo["id"])
    return dict(photo)


async def test_three_levels_of_steps_and_a_branch_are_one_family(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    uploads = await invokeai.user_images()
    session = await darkroom.post("/sessions", {"name": "three levels"})
    first = await four(darkroom, session, prompt="a lighthouse at dusk", parameters={})
    root = await select(darkroom, first, 1)
    second = await four(
        darkroom, session, prompt="a lighthouse at dawn", parent_id=first["id"], source_photo_id=root["id"],
        parameters={"strength": 0.6, "steps": 6},
    )  # fmt: skip
    middle = await select(darkroom, second, 2)
    branch = await four(
        darkroom, session, prompt="a lighthouse at dusk", negative_prompt="blurry, fog", parent_id=first["id"],
        source_photo_id=root["id"], parameters={"strength": 0.8},
    )  # fmt: skip
    aside = await select(darkroom, branch, 0)
    third = await four(
        darkroom, session, prompt="a lighthouse at dawn", parent_id=second["id"], source_photo_id=middle["id"],
        parameters={"strength": 0.3, "steps": 6},
    )  # fmt: skip
    last = await select(darkroom, third, 3)
    steps = [first, second, branch, third]

    # From its first picture one sees all that came of it; from the others, what they came from and what came of them.
    family = await lineage(darkroom, root)
    descendants = [photo for step in (second, branch, third) for photo in step["alternatives"]]
    assert ids(family["nodes"]) == {root["id"], *ids(descendants)}
    assert edges(family) == made_by(second, root) | made_by(branch, root) | made_by(third, middle)
    assert (family["nodes"][0]["id"], family["missing"], family["truncated"]) == (root["id"], [], False)
    assert ids(family["nodes"][-4:]) == ids(third["alternatives"]), "the farthest come last"
    ancestors = await lineage(darkroom, last)
    assert [photo["id"] for photo in ancestors["nodes"]] == [last["id"], middle["id"], root["id"]]
    assert edges(ancestors) == {
        (middle["id"], last["id"], third["id"], "init image"),
        (root["id"], middle["id"], second["id"], "init image"),
    }
    beside = await lineage(darkroom, aside)
    assert [photo["id"] for photo in beside["nodes"]] == [aside["id"], root["id"]]
    for photo in first["alternatives"]:
        if photo["id"] != root["id"]:
            assert len((await lineage(darkroom, photo))["nodes"]) == 1

    # What changed from one to the next.
    changes = {edge["to"]: edge["changes"] for edge in [*ancestors["edges"], *beside["edges"]]}
    assert changes[middle["id"]]["prompt"] == {"added": ["dawn"], "removed": ["dusk"]}
    assert changes[middle["id"]]["negative_prompt"] == {"added": [], "removed": []}
    assert parameters(changes[middle["id"]]) == {
        "seed": (root["seed"], middle["seed"]),
        "steps": (4, 6),
        "strength": (None, 0.6),
    }
    assert changes[last["id"]]["prompt"] == {"added": [], "removed": []}
    assert parameters(changes[last["id"]]) == {"seed": (middle["seed"], last["seed"]), "strength": (0.6, 0.3)}
    assert changes[aside["id"]]["negative_prompt"] == {"added": ["fog"], "removed": []}

    # Sixteen images were asked for and are here as they are there, once; no source was uploaded.
    photos = await darkroom.until_home(16)
    assert len(darkroom.files()) == 16 + len(steps), "a selected file has a second name"
    for photo in photos:
        whole = hashlib.sha256(await invokeai.file(photo["invoke_id"])).hexdigest()
        assert hashlib.sha256(await darkroom.file(photo)).hexdigest() == whole == photo["sha256"]
    for step in steps:
        assert await invokeai.saved(step["batch_id"]) == {photo["invoke_id"] for photo in step["alternatives"]}
        assert (await invokeai.queue("GET", f"b/{step['batch_id']}/status"))["total"] == 4
    assert not {name for name in await invokeai.user_images() - uploads if await names_a_darkroom_photo(invokeai, name)}


async def names_a_darkroom_photo(invokeai: RealInvokeAI, name: str) -> bool:
    """Others may use this server: their uploads tell nothing of Darkroom in their metadata."""
    return "darkroom" in str(await invokeai.call("GET", f"/api/v1/images/i/{name}/metadata"))


def parameters(changes: Json) -> dict[str, tuple[Any, Any]]:
    return {one["name"]: (one["before"], one["after"]) for one in changes["parameters"]}


async def test_an_upload_is_the_source_of_what_was_made_from_it(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    status, source = await darkroom.upload(png(unlike_any_other(80, 56)))
    assert status == 201
    session = await darkroom.post("/sessions", {"name": "from an upload"})
    step = await four(darkroom, session, source_photo_id=source["id"], parameters={"strength": 0.5})
    family = await lineage(darkroom, source)
    assert ids(family["nodes"]) == {source["id"], *ids(step["alternatives"])}
    assert edges(family) == made_by(step, source)
    assert family["missing"] == [], "its name at InvokeAI is no second source"
    assert {edge["changes"] is None for edge in family["edges"]} == {True}, "an upload tells nothing of its making"

    # What a person makes in InvokeAI from that upload of ours is made from the same photo.
    made = await darkroom.get(f"/photos/{step['alternatives'][0]['id']}")
    graph = batches.image_to_image(
        await invokeai.model("sd-1"),
        made["generation_params"]["init_image"],
        size=(80, 56),
        seed=random.randrange(2**31),
    )
    await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
    photos = await darkroom.until_home(6)
    [mirrored] = [photo for photo in photos if photo["source"] == "mirrored"]
    assert (source["id"], mirrored["id"], None, "init image") in edges(await lineage(darkroom, mirrored))
    assert (await lineage(darkroom, mirrored))["missing"] == []


async def test_what_invokeai_made_by_itself_from_an_image_of_the_library_is_its_child(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    session = await darkroom.post("/sessions", {"name": "in InvokeAI"})
    step = await four(darkroom, session, parameters={})
    source = step["alternatives"][0]
    model = await invokeai.model("sd-1")
    upload = await invokeai.upload(png(unlike_any_other(64, 64)))
    for name, prompt in ((source["invoke_id"], "from the library"), (upload, "from elsewhere")):
        graph = batches.image_to_image(
            model, name, strength=0.5, prompt=prompt, seed=random.randrange(2**31), metadata={"strength": 0.5}
        )
        graph["nodes"]["core_metadata"]["generation_mode"] = "img2img"
        await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
    photos = {photo["generation_prompt"]: photo for photo in await darkroom.until_home(6)}

    child, orphan = photos["from the library"], photos["from elsewhere"]
    family = await lineage(darkroom, source)
    assert [photo["id"] for photo in family["nodes"]] == [source["id"], child["id"]]
    assert (edges(family), family["missing"]) == ({(source["id"], child["id"], None, "init image")}, [])
    [edge] = family["edges"]
    assert edge["changes"]["prompt"] == {
        "added": ["from", "the", "library"],
        "removed": ["a", "lighthouse", "at", "dusk"],
    }
    alone = await lineage(darkroom, orphan)
    assert ([photo["id"] for photo in alone["nodes"]], alone["edges"]) == ([orphan["id"]], [])
    assert alone["missing"] == [{"to": orphan["id"], "image_name": upload, "role": "init image"}]
