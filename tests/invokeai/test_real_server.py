"""Darkroom against a real InvokeAI: what the promise says, and what a fake could only repeat."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from service.steps.item_state import NO_LONGER_THERE
from tests.fakes import batches
from tests.fakes.process import DarkroomProcess
from tests.invokeai.server import RealInvokeAI

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(600)]


def fresh_seed() -> int:
    """InvokeAI answers from its node cache when it has seen a seed before: no progress then (FACTS §5)."""
    return random.randrange(2**31)


@pytest.mark.parametrize("base", ["sd-1", "sdxl"])
async def test_a_batch_of_four_comes_home_byte_for_byte_and_is_seen_while_it_is_made(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, base: str
) -> None:
    model, seed = await darkroom.model(base), fresh_seed()
    # Enough steps to last beyond one interval of progress, which six of a tiny model do not.
    parameters = {"width": 64, "height": 64, "steps": 30, "seed": seed}
    async with darkroom.feed() as heard:
        posted = await darkroom.generate(model, batch_size=4, parameters=parameters)
        assert posted["status"] == "pending"
        step = await darkroom.until_step(posted["id"], "completed")
    photos = step["alternatives"]
    assert len(photos) == 4
    assert [photo["seed"] for photo in photos] == [seed, seed + 1, seed + 2, seed + 3]
    for photo in photos:
        assert photo["generation_prompt"] == "a lighthouse at dusk"
        assert photo["generation_negative_prompt"] == "blurry"
        assert (photo["model_key"], photo["model_name"]) == (model["key"], model["name"])
        assert (await darkroom.get(f"/photos/{photo['id']}"))["generation_params"]["seed"] == photo["seed"]
        assert (photo["session_id"], photo["step_id"]) == (step["session_id"], step["id"])
        assert await darkroom.file(photo) == await invokeai.file(photo["invoke_id"])
    assert len(darkroom.files()) == 4
    told = {message["type"] for message in heard}
    assert {"hello", "step.updated", "item.updated", "item.progress", "photo.added", "photo.ready"} <= told
    progress = [message["data"] for message in heard if message["type"] == "item.progress"]
    assert any(p["percentage"] for p in progress)
    assert any(p["preview_url"] for p in progress)
    durable = [
        m["seq"]
        for m in heard
        if m["type"] not in ("hello", "item.progress", "backend.status", "queue.status", "ledger")
    ]
    assert durable == list(range(durable[0], durable[0] + len(durable))), "no durable message is missing"


async def test_the_selection_of_a_step_moves_files_and_changes_no_byte(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    posted = await darkroom.generate(model, batch_size=4, parameters=parameters)
    made = (await darkroom.until_step(posted["id"], "completed"))["alternatives"]
    assert len(made) == 4
    whole = {photo["id"]: hashlib.sha256(await invokeai.file(photo["invoke_id"])).hexdigest() for photo in made}
    folder = f"generated/sessions/{posted['session_id']}/{posted['id']}"

    async def select(photo_id: str | None) -> None:
        status, step = await darkroom.call("PUT", f"/api/v1/steps/{posted['id']}/selection", {"photo_id": photo_id})
        assert status == 200, step
        assert step["selected_image_id"] == photo_id
        places = {f"{folder}/{'selected' if id == photo_id else 'variants'}/{id}.png" for id in whole}
        if photo_id is not None:
            places.add(f"generated/completed/{step['selected_at'][:10]}/{photo_id}.png")
        photos = darkroom.data / "photos"
        found = {str(path.relative_to(photos)): path for path in darkroom.files()}
        assert found.keys() == places
        for path in found.values():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == whole[path.stem]
        for photo in (await darkroom.get(f"/steps/{posted['id']}"))["alternatives"]:
            assert photo["selected"] == (photo["id"] == photo_id)
            assert hashlib.sha256(await darkroom.file(photo)).hexdigest() == whole[photo["id"]] == photo["sha256"]

    await select(made[0]["id"])
    await select(made[2]["id"])
    await select(None)


async def test_what_the_owner_says_of_a_photo_outlives_the_trash(darkroom: DarkroomProcess) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    posted = await darkroom.generate(model, batch_size=2, parameters=parameters)
    photo, _ = (await darkroom.until_step(posted["id"], "completed"))["alternatives"]
    marks = {
        "favorite": True,
        "rating": 4,
        "pick": "pick",
        "caption": "the best",
        "tags": ["sea"],
        "filename": "sea.png",
    }
    status, _ = await darkroom.call("PATCH", f"/api/v1/photos/{photo['id']}", marks)
    assert status == 200
    album = await darkroom.post("/albums", {"name": "Coast"})
    await darkroom.post(f"/albums/{album['id']}/photos", {"photo_ids": [photo["id"]]})
    await darkroom.call("PUT", f"/api/v1/steps/{posted['id']}/selection", {"photo_id": photo["id"]})
    before = await darkroom.get(f"/photos/{photo['id']}")
    content = await darkroom.file(photo)
    await darkroom.call("DELETE", f"/api/v1/photos/{photo['id']}")
    assert (await darkroom.get(f"/albums/{album['id']}"))["photo_count"] == 0
    await darkroom.post(f"/photos/{photo['id']}/restore")
    after = await darkroom.get(f"/photos/{photo['id']}")
    assert after == before
    assert after.items() >= marks.items()
    assert (after["albums"], after["selected"]) == ([{"id": album["id"], "name": "Coast"}], True)
    assert (await darkroom.get(f"/albums/{album['id']}"))["photo_count"] == 1
    assert await darkroom.file(photo) == content


async def test_an_image_of_invokeai_that_is_uploaded_elsewhere_is_found_by_its_prompt(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model, seed = await invokeai.model("sd-1"), fresh_seed()
    graph = batches.text_to_image(model, prompt="a tiny harbour", seed=seed)
    await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
    [photo] = await darkroom.until_home(1)
    content = await darkroom.file(photo)
    status, same = await darkroom.upload(content)
    assert (status, same["id"], same["duplicate"]) == (200, photo["id"], True)
    # Bytes behind the end of a PNG are its owner's own: another file of the same picture.
    status, uploaded = await darkroom.upload(content + b"mine")
    assert (status, uploaded["source"], uploaded["duplicate"]) == (201, "uploaded", False)
    assert (uploaded["generation_prompt"], uploaded["seed"]) == ("a tiny harbour", seed)
    assert uploaded["model_key"] == photo["model_key"]

    async def found() -> bool:
        ids = {one["id"] for one in (await darkroom.get("/photos?q=harbour"))["items"]}
        return ids == {photo["id"], uploaded["id"]}

    assert await darkroom.until(found)


async def test_images_enqueued_in_invokeai_itself_are_mirrored_live(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await invokeai.model("sd-1")
    graph = batches.text_to_image(model, prompt="made over there", seed=fresh_seed())
    await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
    [photo] = await darkroom.until_home(1)
    assert (photo["source"], photo["generation_prompt"]) == ("mirrored", "made over there")
    assert photo["step_id"] is None
    assert await darkroom.file(photo) == await invokeai.file(photo["invoke_id"])


async def test_an_item_of_ours_that_fails_at_invokeai_fails_the_step_in_its_words(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    unbalanced = '("a lighthouse", "a whale").blend(1, 1, 1)'  # three weights for two prompts
    step = await darkroom.generate(model, prompt=unbalanced, parameters=parameters)
    ended = await darkroom.until_step(step["id"], "failed")
    [item] = ended["items"]
    told = await invokeai.queue("GET", f"i/{item['item_id']}")
    assert told["status"] == item["status"] == "failed"
    assert told["error_message"] in ended["error_message"]


async def test_an_item_that_fails_keeps_what_it_saved_and_its_words_are_told(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    graph = batches.failing(after_image=True)
    async with darkroom.feed() as heard:
        await invokeai.queue("POST", "enqueue_batch", batches.batch(graph))

        async def failed() -> list[str]:
            items = [message["data"] for message in heard if message["type"] == "item.updated"]
            return list({item["error"] for item in items if item["status"] == "failed"})  # once more with its photo

        [words] = await darkroom.until(failed)
    assert "does-not-exist.png" in words or "ImageFileNotFound" in words or "ImageRecordNotFound" in words
    [photo] = await darkroom.until_home(1)
    assert photo["source"] == "mirrored"


async def test_a_model_nobody_has_fails_the_step_and_says_which(darkroom: DarkroomProcess) -> None:
    nobodys = {"key": "no-such-key", "hash": "blake3:0", "name": "Imaginary XL"}
    step = await darkroom.generate(nobodys)
    ended = await darkroom.until_step(step["id"], "failed", seconds=60)
    assert "Imaginary XL" in ended["error_message"] or "no-such-key" in ended["error_message"]


async def test_cancel_while_running_stops_it_and_the_step_says_so(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 256, "height": 256, "steps": 60, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=3, parameters=parameters)

    async def running() -> bool:
        now = await darkroom.get(f"/steps/{step['id']}")
        return any(item["status"] == "in_progress" and item["progress"] for item in now["items"])

    await darkroom.until(running)
    await darkroom.post(f"/steps/{step['id']}/cancel")
    ended = await darkroom.until_step(step["id"], "canceled", "completed")
    statuses = [item["status"] for item in ended["items"]]
    assert set(statuses) <= {"canceled", "completed"}
    assert statuses[-1] == "canceled", "three of sixty steps each take longer than a cancel"
    told = [(await invokeai.queue("GET", f"i/{item['item_id']}"))["status"] for item in ended["items"]]
    assert told == statuses
    assert len(ended["alternatives"]) == statuses.count("completed")
    await invokeai.until_idle(60)


async def test_a_retry_makes_what_was_canceled(darkroom: DarkroomProcess, invokeai: RealInvokeAI) -> None:
    model, seed = await darkroom.model("sd-1"), fresh_seed()
    step = await darkroom.generate(
        model, batch_size=2, parameters={"width": 256, "height": 256, "steps": 40, "seed": seed}
    )
    await darkroom.until(lambda: _has_items(darkroom, step["id"], 2))
    await darkroom.post(f"/steps/{step['id']}/cancel")
    await darkroom.until_step(step["id"], "canceled", "completed")
    await darkroom.post(f"/steps/{step['id']}/retry")
    ended = await darkroom.until_step(step["id"], "completed")
    assert sorted(photo["seed"] for photo in ended["alternatives"]) == [seed, seed + 1]
    assert ended["error_message"] is None


async def _has_items(darkroom: DarkroomProcess, step_id: str, count: int) -> bool:
    return len((await darkroom.get(f"/steps/{step_id}"))["items"]) >= count


async def test_a_batch_whose_events_were_all_missed_is_home_after_the_next_start(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 128, "height": 128, "steps": 30, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=3, parameters=parameters)
    await darkroom.until(lambda: _has_items(darkroom, step["id"], 3))
    await darkroom.stop()
    queue = (await invokeai.queue("GET", "status"))["queue"]
    assert queue["pending"] + queue["in_progress"] > 0, "there is something to miss"
    await invokeai.until_idle()
    await darkroom.start()
    ended = await darkroom.until_step(step["id"], "completed")
    assert len(ended["alternatives"]) == 3


async def test_kill_9_in_the_middle_of_ten_ends_with_ten_photos_and_ten_files(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 8, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=10, parameters=parameters)

    async def midway() -> bool:
        return len(await darkroom.photos()) >= 3

    await darkroom.until(midway)
    await darkroom.kill()
    await darkroom.start()
    ended = await darkroom.until_step(step["id"], "completed")
    photos = await darkroom.until_home(10)
    assert len(ended["alternatives"]) == 10
    assert len({photo["invoke_id"] for photo in photos}) == 10
    assert len(darkroom.files()) == 10, "no duplicate, no orphan"
    for photo in photos:
        assert await darkroom.file(photo) == await invokeai.file(photo["invoke_id"])


async def test_a_queue_pruned_under_us_loses_no_image(darkroom: DarkroomProcess, invokeai: RealInvokeAI) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=3, parameters=parameters)
    await darkroom.until(lambda: _has_items(darkroom, step["id"], 3))
    await darkroom.kill()
    await invokeai.until_idle()
    await invokeai.queue("PUT", "prune")
    await darkroom.start()
    ended = await darkroom.until_step(step["id"], "completed")
    assert len(ended["alternatives"]) == 3


async def test_a_queue_cleared_under_us_ends_the_step(darkroom: DarkroomProcess, invokeai: RealInvokeAI) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 256, "height": 256, "steps": 60, "seed": fresh_seed()}
    step = await darkroom.generate(model, batch_size=3, parameters=parameters)
    await darkroom.until(lambda: _has_items(darkroom, step["id"], 3))
    await invokeai.queue("PUT", "clear")
    ended = await darkroom.until_step(step["id"], "failed", "canceled", "completed")
    made = len(ended["alternatives"])
    assert made < 3
    assert {item["status"] for item in ended["items"]} <= {"completed", "canceled", "gone"}
    if made:
        assert ended["error_message"].startswith(f"{made} of 3 made: ")
    else:
        # The item that ran is told to be canceled (FACTS §3), unless none ran yet.
        assert (ended["status"], ended["error_message"]) in [("canceled", None), ("failed", NO_LONGER_THERE)]


async def test_an_item_retried_in_invokeais_own_way_reopens_the_step(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    if not await invokeai.has("/api/v1/queue/{queue_id}/retry_items_by_id"):
        pytest.skip("a server from before 5.9 has no retry")
    model, seed = await darkroom.model("sd-1"), fresh_seed()
    parameters = {"width": 256, "height": 256, "steps": 40, "seed": seed}
    step = await darkroom.generate(model, parameters=parameters)
    await darkroom.until(lambda: _has_items(darkroom, step["id"], 1))
    [item] = (await darkroom.get(f"/steps/{step['id']}"))["items"]
    await invokeai.queue("PUT", f"i/{item['item_id']}/cancel")
    await darkroom.until_step(step["id"], "canceled")
    await invokeai.queue("PUT", "retry_items_by_id", [item["item_id"]])
    ended = await darkroom.until_step(step["id"], "completed")
    assert [photo["seed"] for photo in ended["alternatives"]] == [seed]


async def test_the_input_of_an_image_to_image_graph_is_not_filed_as_its_result(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await invokeai.model("sd-1")
    first = batches.text_to_image(model, prompt="the source", seed=fresh_seed())
    await invokeai.queue("POST", "enqueue_batch", batches.batch(first))
    [source] = await darkroom.until_home(1)
    upload = await invokeai.upload(await invokeai.file(source["invoke_id"]))
    for name in (source["invoke_id"], upload):
        graph = batches.image_to_image(model, name, prompt="the result", seed=fresh_seed())
        graph["nodes"]["echo"] = {
            "id": "echo",
            "type": "image",
            "image": {"image_name": name},
            "is_intermediate": False,
        }
        await invokeai.queue("POST", "enqueue_batch", batches.batch(graph))
    await invokeai.until_idle()
    photos = await darkroom.until_home(3)
    assert sorted(photo["generation_prompt"] for photo in photos) == ["the result", "the result", "the source"]
    assert upload not in {photo["invoke_id"] for photo in photos}


async def test_an_input_named_by_an_item_of_ours_is_not_filed_under_its_step(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await invokeai.model("sd-1")
    first = batches.text_to_image(model, prompt="the source", seed=fresh_seed())
    await invokeai.queue("POST", "enqueue_batch", batches.batch(first))
    [source] = await darkroom.until_home(1)
    step = await darkroom.generate(
        await darkroom.model("sd-1"), parameters={"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    )
    step = await darkroom.until_step(step["id"], "completed")
    # More of the same batch, as a client that posts twice makes it, and done before it could be canceled as excess.
    await darkroom.stop()
    graph = batches.image_to_image(model, source["invoke_id"], prompt="the result", seed=fresh_seed())
    graph["nodes"]["echo"] = {
        "id": "echo",
        "type": "image",
        "image": {"image_name": source["invoke_id"]},
        "is_intermediate": False,
    }
    ours = {"origin": "darkroom", "destination": f"step:{step['id']}", "batch_id": step["batch_id"]}
    await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, **ours))
    await invokeai.until_idle()
    await darkroom.start()

    async def filed() -> list[str]:
        now = await darkroom.get(f"/steps/{step['id']}")
        return [photo["invoke_id"] for photo in now["alternatives"]] if len(now["alternatives"]) > 1 else []

    alternatives = await darkroom.until(filed)
    photos = {photo["invoke_id"]: photo for photo in await darkroom.until_home(3)}
    assert sorted(alternatives) == sorted(set(photos) - {source["invoke_id"]})
    assert photos[source["invoke_id"]]["step_id"] is None


async def test_the_ledger_is_home_at_the_end(darkroom: DarkroomProcess) -> None:
    model = await darkroom.model("sd-1")
    step = await darkroom.generate(
        model, batch_size=2, parameters={"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
    )
    await darkroom.until_step(step["id"], "completed")

    async def home() -> dict[str, Any] | None:
        ledger = (await darkroom.get("/backends"))["items"][0]["ledger"]
        return ledger if ledger["home"] and ledger["expected"] == ledger["made"] else None

    ledger = await darkroom.until(home, 30)
    assert (ledger["made"], ledger["retrieved"], ledger["waiting"], ledger["failed"]) == (2, 2, 0, 0)


async def test_a_second_darkroom_over_the_same_server_takes_our_images_as_other_peoples(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, public_folder: Path
) -> None:
    other = DarkroomProcess(public_folder / "other", DARKROOM_INVOKEAI_URL=invokeai.address)
    await other.start()
    await invokeai.let_in(other)
    await other.connected()
    try:
        model = await darkroom.model("sd-1")
        step = await darkroom.generate(model, parameters={"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()})
        await darkroom.until_step(step["id"], "completed")
        [photo] = await other.until_home(1)
        assert (photo["source"], photo["step_id"]) == ("mirrored", None)
    finally:
        await other.stop()
