"""The demo's graphs run, fail, repeat and name images as FACTS §3, §4, §10 and graphs.md tell of the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.demo.images import Filter
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.listener import Listener

QUEUE = "/api/v1/queue/default"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(server: ScriptedInvokeAI) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


def sd1(server: ScriptedInvokeAI) -> dict[str, Any]:
    return server.models.select(bases=["sd-1"], kind="main")[0]


def datum(node: str, *items: Any) -> dict[str, Any]:
    return {"node_path": node, "field_name": "value", "items": list(items)}


async def answer_of(request: Any) -> Any:
    async with request as response:
        return await response.json()


async def run(server: ScriptedInvokeAI, graph: dict[str, Any], **options: Any) -> list[int]:
    ids = sorted((await server.enqueue(batches.batch(graph, **options)))["item_ids"])
    await server.until_ended(*ids)
    return ids


async def test_failed_is_told_before_the_nodes_error_and_what_was_saved_stays(server):
    async with Listener(server.url) as listener:
        await server.enqueue(batches.batch(batches.failing(after_image=True)))
        await listener.until(lambda: "invocation_error" in listener.names())
        assert listener.names()[-2:] == ["queue_item_status_changed", "invocation_error"]
        told = listener.heard[-2][1]
        assert (told["status"], told["error_type"]) == ("failed", "ImageRecordNotFoundException")
        assert told["error_message"] == listener.heard[-1][1]["error_message"] == "Image record not found"
    assert [image.is_intermediate for image in server.images.select(Filter())] == [False]


async def test_an_unknown_model_fails_the_item_with_its_words(server):
    graph = batches.text_to_image(sd1(server) | {"key": "00000000-0000-0000-0000-000000000000"})
    (item_id,) = await run(server, graph)
    item = server.queue.items[item_id]
    assert (item.status, item.error_message) == ("failed", "Unknown model 00000000-0000-0000-0000-000000000000")


async def test_a_missing_edge_and_a_bad_size_fail_only_when_run(server):
    graph = batches.text_to_image(sd1(server))
    graph["edges"] = [edge for edge in graph["edges"] if edge["destination"]["field"] != "unet"]
    (first,) = await run(server, graph)
    (second,) = await run(server, batches.blank(width=-5))
    (third,) = await run(server, {"id": "empty", "nodes": {}, "edges": []})
    items = server.queue.items
    assert items[first].error_type == "RequiredConnectionException"
    assert items[second].error_type == "ValueError"
    assert items[third].status == "completed"


async def test_cached_nodes_report_the_same_image_again_and_show_no_progress(server):
    graph = batches.blank(use_cache=True)
    async with Listener(server.url) as listener:
        ids = await run(server, graph)
        ids += await run(server, graph)
        await listener.until_ended(*ids)
        names = [p["result"]["image"]["image_name"] for n, p in listener.heard if n == "invocation_complete"]
        assert len(names) == 2
        assert len(set(names)) == 1
        assert not [p for n, p in listener.heard if n == "invocation_progress" and p["item_id"] == ids[1]]
    (image,) = server.images.select(Filter())
    assert image.session_id == server.queue.items[ids[0]].session_id
    server.images.remove([image.image_name])
    server.processor.cache.forget_image(image.image_name)
    await run(server, graph)
    assert len(server.images.select(Filter())) == 1, "a deleted image is not answered from the cache"


async def test_one_item_makes_several_images_and_collect_repeats_their_names(server):
    async with Listener(server.url) as listener:
        (item_id,) = await run(server, batches.several_images(3))
        await listener.until_ended(item_id)
        results = [p["result"] for n, p in listener.heard if n == "invocation_complete"]
    made = [result["image"] for result in results if "image" in result]
    collected = next(result["collection"] for result in results if result["type"] == "collect_output")
    assert [server.images.get(image["image_name"]).width for image in made] == [64, 128, 192]
    assert collected == made
    session = server.queue.items[item_id].session
    assert len(session["source_prepared_mapping"]["img"]) == 3


async def test_one_result_can_hold_several_images(server):
    (item_id,) = await run(server, batches.three_maps())
    results = server.queue.items[item_id].session["results"].values()
    (maps,) = [result for result in results if result["type"] == "pbr_maps-output"]
    names = {maps[name]["image_name"] for name in ("normal_map", "roughness_map", "displacement_map")}
    finals = server.images.select(Filter(is_intermediate=False))
    assert {image.image_name for image in finals} == names


async def test_the_image_primitive_reports_an_existing_image_of_another_session(server):
    image = server.add_upload()
    (item_id,) = await run(server, batches.echo(image.image_name))
    (result,) = server.queue.items[item_id].session["results"].values()
    assert result["image"]["image_name"] == image.image_name
    assert len(server.images.select(Filter())) == 1


async def test_image_to_image_names_only_its_own_result(server):
    source = server.add_upload(size=(64, 64), shade=250)
    (item_id,) = await run(server, batches.image_to_image(sd1(server), source.image_name, strength=0.5))
    item = server.queue.items[item_id]
    named = {r["image"]["image_name"] for r in item.session["results"].values() if "image" in r}
    assert len(named) == 1
    assert source.image_name not in named
    (name,) = named
    assert server.images.get(name).session_id == item.session_id


async def test_an_image_of_another_size_than_the_noise_fails_as_the_real_one(server):
    source = server.add_upload(size=(128, 64))
    (item_id,) = await run(server, batches.image_to_image(sd1(server), source.image_name))
    assert server.queue.items[item_id].error_message == "Incompatible 'noise' and 'latents' shapes"


async def test_sdxl_and_a_lora_run_and_a_lora_of_another_base_fails_without_words(server):
    model = server.models.select(bases=["sdxl"], kind="main")[0]
    lora = server.models.select(bases=["sdxl"], kind="lora")[0]
    other = server.models.select(bases=["sd-1"], kind="lora")[0]
    (plain,) = await run(server, batches.sdxl_text_to_image(model))
    (with_lora,) = await run(server, batches.sdxl_text_to_image(model, lora=lora))
    (wrong,) = await run(server, batches.sdxl_text_to_image(model, lora=other))
    items = server.queue.items
    assert [items[item_id].status for item_id in (plain, with_lora, wrong)] == ["completed", "completed", "failed"]
    assert (items[wrong].error_type, items[wrong].error_message) == ("AssertionError", "")


async def test_an_item_naming_a_deleted_board_saves_its_image_uncategorised(server, http):
    board = await answer_of(http.post("/api/v1/boards/?board_name=b"))
    await run(server, batches.text_to_image(sd1(server), board_id=board["board_id"]))
    assert [image.board_id for image in server.images.select(Filter())] == [board["board_id"]]
    await answer_of(http.delete(f"/api/v1/boards/{board['board_id']}"))
    await run(server, batches.text_to_image(sd1(server), seed=9, board_id=board["board_id"]))
    assert {image.board_id for image in server.images.select(Filter())} == {None}
