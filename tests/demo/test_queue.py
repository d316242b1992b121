"""The demo's queue behaves as FACTS §3, §4, §6 and §7 tell of the real one."""

from __future__ import annotations

import pytest

from tests.fakes import batches
from tests.fakes.demo import QUEUE, answer_of, datum, run, sd1
from tests.fakes.listener import Listener


async def test_lists_of_one_group_are_zipped_groups_multiply_and_runs_repeat_the_whole(invokeai):
    invokeai.queue.started = False
    data = [[datum("seed", 1, 2), datum("positive_prompt", "a", "b")], [datum("negative_prompt", "x", "y")]]
    body = batches.batch(batches.text_to_image(sd1(invokeai)), data=data)
    body["batch"]["runs"] = 2
    answer = await invokeai.enqueue(body)
    ids = answer["item_ids"]
    assert ids == sorted(ids, reverse=True), "newest first"
    values = [tuple(value["value"] for value in invokeai.queue.items[item_id].field_values) for item_id in sorted(ids)]
    assert values == [(1, "a", "x"), (1, "a", "y"), (2, "b", "x"), (2, "b", "y")] * 2


async def test_item_k_in_ascending_order_carries_value_k_into_its_picture(invokeai, http):
    ids = await run(invokeai, batches.text_to_image(sd1(invokeai)), data=batches.seeds(70, 71, 72))
    for item_id, seed in zip(ids, (70, 71, 72), strict=True):
        item = invokeai.queue.items[item_id]
        (name,) = {r["image"]["image_name"] for r in item.session["results"].values() if "image" in r}
        metadata = await answer_of(http.get(f"/api/v1/images/i/{name}/metadata"))
        assert metadata["seed"] == seed
        assert invokeai.images.get(name).session_id == item.session_id


async def test_a_chosen_batch_id_posted_twice_just_adds_items(invokeai, http):
    await run(invokeai, batches.blank(), batch_id="chosen")
    again = await invokeai.enqueue(batches.batch(batches.blank(), batch_id="chosen"))
    assert again["item_ids"] == [2, 1], "the answer names all of that batch"
    await invokeai.until_ended(2)
    assert (await answer_of(http.get(f"{QUEUE}/b/chosen/status")))["total"] == 2


async def test_prepended_items_run_first(invokeai):
    invokeai.queue.started = False
    later = (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"][0]
    answer = await invokeai.enqueue(batches.batch(batches.blank(), prepend=True))
    first = answer["item_ids"][0]
    assert answer["priority"] == 1
    invokeai.queue.started = True
    invokeai.queue.changed.set()
    await invokeai.until_ended(first, later)
    assert invokeai.queue.items[first].completed_at <= invokeai.queue.items[later].started_at


async def test_paused_the_queue_takes_items_and_runs_them_when_resumed(invokeai, http):
    paused = await answer_of(http.put(f"{QUEUE}/processor/pause"))
    assert paused == {"is_started": False, "is_processing": False}
    item_id = (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"][0]
    status = await answer_of(http.get(f"{QUEUE}/status"))
    assert (status["queue"]["pending"], status["processor"]["is_started"]) == (1, False)
    await answer_of(http.put(f"{QUEUE}/processor/resume"))
    await invokeai.until_ended(item_id)


async def test_while_an_item_runs_no_partial_results_are_shown(invokeai, http):
    hold = invokeai.hold("output")
    await invokeai.enqueue(batches.batch(batches.text_to_image(sd1(invokeai))))
    item = await hold.reached()
    shown = await answer_of(http.get(f"{QUEUE}/i/{item.item_id}"))
    assert (shown["status"], shown["session"]["results"]) == ("in_progress", {})
    hold.release()
    await invokeai.until_ended(item.item_id)
    done = await answer_of(http.get(f"{QUEUE}/i/{item.item_id}"))
    assert len(done["session"]["results"]) == 11


async def test_bulk_cancel_tells_of_the_running_item_and_names_the_pending_ones_once(invokeai, http):
    hold = invokeai.hold("denoise")
    async with Listener(invokeai.url) as listener:
        body = batches.batch(batches.text_to_image(sd1(invokeai)), data=batches.seeds(1, 2, 3), batch_id="b")
        await invokeai.enqueue(body)
        await hold.reached()
        answer = await answer_of(http.put(f"{QUEUE}/cancel_by_batch_ids", json={"batch_ids": ["b"]}))
        assert answer == {"canceled": 3}
        hold.release()
        await listener.until(lambda: "queue_items_canceled" in listener.names())
        assert listener.statuses(1) == ["in_progress", "canceled"]
        assert listener.statuses(2) == listener.statuses(3) == []
        canceled = next(payload for name, payload in listener.events if name == "queue_items_canceled")
        assert canceled["canceled_item_ids"] == [2, 3]
        running = [payload for name, payload in listener.events if payload.get("status") == "canceled"]
        assert running[0]["batch_status"]["canceled"] == 3
        sequences = [invokeai.queue.items[item_id].status_sequence for item_id in (1, 2, 3)]
        assert sequences == [2, 1, 1]
        assert await answer_of(http.put(f"{QUEUE}/cancel_by_batch_ids", json={"batch_ids": ["b"]})) == {"canceled": 0}


async def test_delete_all_except_current_takes_the_pending_rows_away(invokeai, http):
    hold = invokeai.hold("img")
    body = batches.batch(batches.blank(), batch_id="b")
    body["batch"]["runs"] = 3
    await invokeai.enqueue(body)
    await hold.reached()
    async with Listener(invokeai.url) as listener:
        assert await answer_of(http.put(f"{QUEUE}/delete_all_except_current")) == {"deleted": 2}
        await listener.until(lambda: "queue_items_canceled" in listener.names())
    assert (await answer_of(http.get(f"{QUEUE}/b/b/status")))["total"] == 1
    hold.release()
    await invokeai.until_ended(1)


async def test_deleting_a_running_item_cancels_it_and_it_is_gone(invokeai, http):
    hold = invokeai.hold("img")
    async with Listener(invokeai.url) as listener:
        await invokeai.enqueue(batches.batch(batches.blank()))
        await hold.reached()
        async with http.delete(f"{QUEUE}/i/1") as response:
            assert response.status == 200
        await listener.until(lambda: listener.statuses(1) == ["in_progress", "canceled"])
        hold.release()
        async with http.get(f"{QUEUE}/i/1") as response:
            assert response.status == 404


async def test_clear_deletes_everything_and_ids_go_on(invokeai, http):
    await run(invokeai, batches.blank())
    hold = invokeai.hold("img")
    await invokeai.enqueue(batches.batch(batches.blank(), batch_id="b"))
    await hold.reached()
    async with Listener(invokeai.url) as listener:
        assert await answer_of(http.put(f"{QUEUE}/clear")) == {"deleted": 2}
        await listener.until(lambda: "queue_cleared" in listener.names())
        assert listener.names() == ["queue_item_status_changed", "queue_cleared"]
    hold.release()
    assert (await answer_of(http.get(f"{QUEUE}/item_ids")))["total_count"] == 0
    status = await answer_of(http.get(f"{QUEUE}/b/b/status"))
    assert (status["total"], status["origin"]) == (0, None)
    assert await run(invokeai, batches.blank()) == [3]


async def test_prune_deletes_what_has_ended_without_a_word(invokeai, http):
    await run(invokeai, batches.blank())
    await invokeai.until(lambda: invokeai.produced[-1].payload.get("status") == "completed")
    before = len(invokeai.produced)
    assert await answer_of(http.put(f"{QUEUE}/prune")) == {"deleted": 1}
    assert len(invokeai.produced) == before
    async with http.get(f"{QUEUE}/i/1") as response:
        assert response.status == 404


async def test_a_retry_is_a_new_item_of_the_same_batch_and_completed_ones_are_passed_over(invokeai, http):
    failed = await run(invokeai, batches.failing(), batch_id="b")
    fine = await run(invokeai, batches.blank())
    async with Listener(invokeai.url) as listener:
        answer = await answer_of(http.put(f"{QUEUE}/retry_items_by_id", json=[*failed, *fine, 999]))
        assert answer == {"queue_id": "default", "retried_item_ids": failed}
        await listener.until_ended(3)
    again = await answer_of(http.get(f"{QUEUE}/i/3"))
    assert (again["batch_id"], again["retried_from_item_id"], again["status"]) == ("b", failed[0], "failed")
    assert (await answer_of(http.get(f"{QUEUE}/b/b/status")))["total"] == 2


async def test_a_wrong_typed_value_stops_the_queue_until_its_batch_is_canceled(invokeai, http):
    body = batches.batch(batches.text_to_image(sd1(invokeai)), data=[[datum("seed", "not a number")]], batch_id="bad")
    answer = await invokeai.enqueue(body)
    assert answer["enqueued"] == 1
    blocked = (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"][0]
    for method, path in (
        ("GET", "/i/1"),
        ("PUT", "/i/1/cancel"),
        ("DELETE", "/i/1"),
        ("GET", "/next"),
        ("GET", "/list_all"),
    ):
        async with http.request(method, QUEUE + path) as response:
            assert response.status == 500, path
    assert invokeai.queue.items[blocked].status == "pending"
    assert await answer_of(http.put(f"{QUEUE}/cancel_by_batch_ids", json={"batch_ids": ["bad"]})) == {"canceled": 1}
    await invokeai.until_ended(blocked)
    async with http.get(f"{QUEUE}/list_all") as response:
        assert response.status == 500
    await answer_of(http.put(f"{QUEUE}/prune"))
    assert await answer_of(http.get(f"{QUEUE}/list_all")) == []


async def test_events_reach_sockets_that_never_subscribed_and_name_their_queue(invokeai):
    async with Listener(invokeai.url) as listener:
        await listener._client.emit("unsubscribe_queue", {"queue_id": "default"})
        await invokeai.enqueue(batches.batch(batches.blank()), queue_id="other")
        await listener.until(lambda: "completed" in listener.statuses())
        assert {payload["queue_id"] for _, payload in listener.events} == {"other"}


async def test_the_polling_transport_fails_with_500(http):
    async with http.get("/ws/socket.io/?EIO=4&transport=polling") as response:
        assert response.status == 500


async def test_a_gallery_page_is_filtered_ordered_and_counted(invokeai, http):
    invokeai.add_upload()
    await run(invokeai, batches.blank(is_intermediate=True))
    ids = await run(invokeai, batches.text_to_image(sd1(invokeai), prompt="a red barn"), data=batches.seeds(1, 2))
    everything = await answer_of(http.get("/api/v1/images/?limit=2"))
    assert (everything["total"], len(everything["items"])) == (4, 2)
    finals = await answer_of(http.get("/api/v1/images/?is_intermediate=false&categories=general&starred_first=false"))
    sessions = [dto["session_id"] for dto in finals["items"]]
    assert sessions == [invokeai.queue.items[item_id].session_id for item_id in reversed(ids)], "newest first"
    oldest = finals["items"][-1]["image_name"]
    await answer_of(http.post("/api/v1/images/star", json={"image_names": [oldest]}))
    starred = await answer_of(http.get("/api/v1/images/?is_intermediate=false&categories=general"))
    assert starred["items"][0]["image_name"] == oldest
    found = await answer_of(http.get("/api/v1/images/names?search_term=red%20barn"))
    assert (found["total_count"], found["starred_count"]) == (2, 1)


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "..%2Fdemo.sqlite"])
async def test_a_name_with_a_slash_is_the_web_app_and_never_a_file(http, name):
    async with http.get(f"/api/v1/images/i/{name}/full") as response:
        assert (response.status, response.content_type) == (200, "text/html")
