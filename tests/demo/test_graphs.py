"""The demo's graphs run, fail, repeat and name images as FACTS §3, §4, §10 and graphs.md tell of the real ones."""

from __future__ import annotations

from tests.fakes import batches
from tests.fakes.demo import answer_of, run, sd1
from tests.fakes.listener import Listener


async def test_failed_is_told_before_the_nodes_error_and_what_was_saved_stays(invokeai):
    async with Listener(invokeai.url) as listener:
        await invokeai.enqueue(batches.batch(batches.failing(after_image=True)))
        await listener.until(lambda: "invocation_error" in listener.names())
        assert listener.names()[-2:] == ["queue_item_status_changed", "invocation_error"]
        told = listener.events[-2][1]
        assert (told["status"], told["error_type"]) == ("failed", "ImageRecordNotFoundException")
        assert told["error_message"] == listener.events[-1][1]["error_message"] == "Image record not found"
    assert [image.is_intermediate for image in invokeai.images.select()] == [False]


async def test_an_unknown_model_fails_the_item_with_its_words(invokeai):
    graph = batches.text_to_image(sd1(invokeai) | {"key": "00000000-0000-0000-0000-000000000000"})
    (item_id,) = await run(invokeai, graph)
    item = invokeai.queue.items[item_id]
    assert (item.status, item.error_message) == ("failed", "Unknown model 00000000-0000-0000-0000-000000000000")


async def test_a_missing_edge_and_a_bad_size_fail_only_when_run(invokeai):
    graph = batches.text_to_image(sd1(invokeai))
    graph["edges"] = [edge for edge in graph["edges"] if edge["destination"]["field"] != "unet"]
    (first,) = await run(invokeai, graph)
    (second,) = await run(invokeai, batches.blank(width=-5))
    (third,) = await run(invokeai, {"id": "empty", "nodes": {}, "edges": []})
    items = invokeai.queue.items
    assert items[first].error_type == "RequiredConnectionException"
    assert items[second].error_type == "ValueError"
    assert items[third].status == "completed"


async def test_cached_nodes_report_the_same_image_again_and_show_no_progress(invokeai):
    graph = batches.blank(use_cache=True)
    async with Listener(invokeai.url) as listener:
        ids = await run(invokeai, graph)
        ids += await run(invokeai, graph)
        await listener.until_ended(*ids)
        names = [p["result"]["image"]["image_name"] for n, p in listener.events if n == "invocation_complete"]
        assert len(names) == 2
        assert len(set(names)) == 1
        assert not [p for n, p in listener.events if n == "invocation_progress" and p["item_id"] == ids[1]]
    (image,) = invokeai.images.select()
    assert image.session_id == invokeai.queue.items[ids[0]].session_id
    invokeai.images.remove([image.image_name])
    invokeai.cache.forget_image(image.image_name)
    await run(invokeai, graph)
    assert len(invokeai.images.select()) == 1, "a deleted image is not answered from the cache"


async def test_one_item_makes_several_images_and_collect_repeats_their_names(invokeai):
    async with Listener(invokeai.url) as listener:
        (item_id,) = await run(invokeai, batches.several_images(3))
        await listener.until_ended(item_id)
        results = [p["result"] for n, p in listener.events if n == "invocation_complete"]
    made = [result["image"] for result in results if "image" in result]
    collected = next(result["collection"] for result in results if result["type"] == "collect_output")
    assert [invokeai.images.get(image["image_name"]).width for image in made] == [64, 128, 192]
    assert collected == made
    session = invokeai.queue.items[item_id].session
    assert len(session["source_prepared_mapping"]["img"]) == 3


async def test_one_result_can_hold_several_images(invokeai):
    (item_id,) = await run(invokeai, batches.three_maps())
    results = invokeai.queue.items[item_id].session["results"].values()
    (maps,) = [result for result in results if result["type"] == "pbr_maps-output"]
    names = {maps[name]["image_name"] for name in ("normal_map", "roughness_map", "displacement_map")}
    finals = invokeai.images.select(is_intermediate=False)
    assert {image.image_name for image in finals} == names


async def test_the_image_primitive_reports_an_existing_image_of_another_session(invokeai):
    image = invokeai.add_upload()
    (item_id,) = await run(invokeai, batches.echo(image.image_name))
    (result,) = invokeai.queue.items[item_id].session["results"].values()
    assert result["image"]["image_name"] == image.image_name
    assert len(invokeai.images.select()) == 1


async def test_image_to_image_names_only_its_own_result(invokeai):
    source = invokeai.add_upload(size=(64, 64), shade=250)
    (item_id,) = await run(invokeai, batches.image_to_image(sd1(invokeai), source.image_name, strength=0.5))
    item = invokeai.queue.items[item_id]
    named = {r["image"]["image_name"] for r in item.session["results"].values() if "image" in r}
    assert len(named) == 1
    assert source.image_name not in named
    (name,) = named
    assert invokeai.images.get(name).session_id == item.session_id


async def test_an_image_of_another_size_than_the_noise_fails_as_the_real_one(invokeai):
    source = invokeai.add_upload(size=(128, 64))
    (item_id,) = await run(invokeai, batches.image_to_image(sd1(invokeai), source.image_name))
    assert invokeai.queue.items[item_id].error_message == "Incompatible 'noise' and 'latents' shapes"


async def test_sdxl_and_a_lora_run_and_a_lora_of_another_base_fails_without_words(invokeai):
    model = invokeai.models.select(bases=["sdxl"], kind="main")[0]
    lora = invokeai.models.select(bases=["sdxl"], kind="lora")[0]
    other = invokeai.models.select(bases=["sd-1"], kind="lora")[0]
    (plain,) = await run(invokeai, batches.sdxl_text_to_image(model))
    (with_lora,) = await run(invokeai, batches.sdxl_text_to_image(model, lora=lora))
    (wrong,) = await run(invokeai, batches.sdxl_text_to_image(model, lora=other))
    items = invokeai.queue.items
    assert [items[item_id].status for item_id in (plain, with_lora, wrong)] == ["completed", "completed", "failed"]
    assert (items[wrong].error_type, items[wrong].error_message) == ("AssertionError", "")


async def test_an_item_naming_a_deleted_board_saves_its_image_uncategorised(invokeai, http):
    board = await answer_of(http.post("/api/v1/boards/?board_name=b"))
    await run(invokeai, batches.text_to_image(sd1(invokeai), board_id=board["board_id"]))
    assert [image.board_id for image in invokeai.images.select()] == [board["board_id"]]
    await answer_of(http.delete(f"/api/v1/boards/{board['board_id']}"))
    await run(invokeai, batches.text_to_image(sd1(invokeai), seed=9, board_id=board["board_id"]))
    assert {image.board_id for image in invokeai.images.select()} == {None}
