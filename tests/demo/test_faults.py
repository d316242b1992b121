"""Each fault of the scripted InvokeAI does what it says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from service.demo.answers import stamp
from tests.fakes import answers, batches
from tests.fakes.listener import Listener

QUEUE = "/api/v1/queue/default"


async def total_of(http: aiohttp.ClientSession, batch_id: str) -> int:
    async with http.get(f"{QUEUE}/b/{batch_id}/status") as response:
        return int((await response.json())["total"])


async def test_a_route_rule_applies_as_often_as_told_and_counts(invokeai, http):
    rule = invokeai.on("/app/version$", answers.status(500), times=2)
    codes = []
    for _ in range(3):
        async with http.get("/api/v1/app/version") as response:
            codes.append(response.status)
    assert codes == [500, 500, 200]
    assert rule.hits == 2


async def test_a_route_can_answer_with_the_web_app(invokeai, http):
    invokeai.on("/item_ids$", answers.html())
    async with http.get(f"{QUEUE}/item_ids") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_a_route_can_answer_a_conflict_with_detail(invokeai, http):
    invokeai.on("/full$", answers.status(409, "storage maintenance"))
    image = invokeai.add_image()
    async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
        assert response.status == 409
        assert await response.json() == {"detail": "storage maintenance"}


async def test_a_stalled_route_answers_when_its_gate_opens(invokeai, http):
    gate = asyncio.Event()
    rule = invokeai.on("/status$", answers.after(gate))
    request = asyncio.create_task(http.get(f"{QUEUE}/status").__aenter__())
    await rule.wait()
    assert not request.done()
    gate.set()
    response = await request
    assert response.status == 200
    response.release()


@pytest.mark.parametrize(("when", "arrives"), [("before", 0), ("during", 2), ("after", 2)])
async def test_a_cut_post_has_its_effect_or_not(invokeai, http, when, arrives):
    invokeai.cut_enqueue(when)
    body = batches.batch(batches.blank(), batch_id="ours", data=None) | {}
    body["batch"]["runs"] = 2
    with pytest.raises(aiohttp.ClientError):
        async with http.post(f"{QUEUE}/enqueue_batch", json=body) as response:
            await response.read()
    assert await total_of(http, "ours") == arrives


async def test_a_late_effect_arrives_after_the_post_broke(invokeai, http):
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    with pytest.raises(aiohttp.ClientError):
        await http.post(f"{QUEUE}/enqueue_batch", json=batches.batch(batches.blank(), batch_id="ours"))
    assert await total_of(http, "ours") == 0
    gate.set()
    await invokeai.until(lambda: invokeai.queue.batch_status("default", "ours")["total"] == 1)


async def test_a_full_queue_takes_what_fits(invokeai):
    invokeai.queue.max_queue_size = 3
    invokeai.queue.started = False
    body = batches.batch(batches.blank())
    body["batch"]["runs"] = 5
    first = await invokeai.enqueue(body)
    assert (first["enqueued"], first["requested"], len(first["item_ids"])) == (3, 5, 3)
    second = await invokeai.enqueue(batches.batch(batches.blank()))
    assert (second["enqueued"], second["item_ids"]) == (0, [])


@pytest.mark.parametrize("how", ["truncated", "too long"])
async def test_a_file_can_break_off(invokeai, http, how):
    image = invokeai.add_image(size=(200, 100))
    invokeai.break_file(how, image.image_name)
    with pytest.raises(aiohttp.ClientError):
        async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
            await response.read()


@pytest.mark.parametrize("how", ["shortened", "corrupted", "too short"])
async def test_a_file_can_be_wrong_without_the_wire_telling(invokeai, http, how):
    image = invokeai.add_image(size=(200, 100), metadata={"padding": "x" * 2000})
    true = invokeai.images.path(image.image_name).read_bytes()
    invokeai.break_file(how, image.image_name)
    async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
        data = await response.read()
        assert response.status == 200
        assert int(response.headers["Content-Length"]) == len(data)
    assert data != true
    async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
        assert await response.read() == true


async def test_a_file_can_be_missing_while_its_record_is_there(invokeai, http):
    image = invokeai.add_image()
    invokeai.break_file("missing", image.image_name)
    async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
        assert (response.status, response.content_type) == (404, "application/json")
    async with http.get(f"/api/v1/images/i/{image.image_name}") as response:
        assert response.status == 200


async def test_dropped_sockets_hear_no_goodbye_and_may_come_back(invokeai):
    async with Listener(invokeai.url) as listener:
        await invokeai.drop_sockets()
        await listener.until(lambda: listener.goodbye)
        assert listener.goodbye == "transport error"
    async with Listener(invokeai.url) as listener:
        assert listener.goodbye is None


async def test_a_server_side_disconnect_says_goodbye(invokeai):
    async with Listener(invokeai.url) as listener:
        await invokeai.disconnect_sockets()
        await listener.until(lambda: listener.goodbye)
        assert listener.goodbye == "server disconnect"


async def test_events_can_be_dropped_repeated_and_held_back(invokeai):
    gate = asyncio.Event()
    dropped = invokeai.drop_events("invocation_started")
    invokeai.repeat_events("invocation_complete", copies=3, times=1)
    invokeai.delay_events(gate, "queue_item_status_changed", lambda event: event.payload["status"] == "in_progress")
    async with Listener(invokeai.url) as listener:
        answer = await invokeai.enqueue(batches.batch(batches.blank()))
        item_id = answer["item_ids"][0]
        await listener.until_ended(item_id)
        assert listener.statuses(item_id) == ["completed"]
        assert listener.names().count("invocation_complete") == 3
        assert "invocation_started" not in listener.names()
        assert dropped.hits == 1
        gate.set()
        await listener.until(lambda: listener.statuses(item_id) == ["completed", "in_progress"])


async def test_an_item_can_be_held_before_a_node_and_canceled_there(invokeai):
    hold = invokeai.hold("denoise")
    async with Listener(invokeai.url) as listener:
        model = invokeai.models.select(bases=["sd-1"], kind="main")[0]
        await invokeai.enqueue(batches.batch(batches.text_to_image(model)))
        item = await hold.reached()
        assert item.status == "in_progress"
        await invokeai.queue.cancel(item)
        hold.release()
        await listener.until_ended(item.item_id)
        await invokeai.until(lambda: item.session is not None)
        assert item.session["results"], "what its nodes had made is still shown after a cancel"
        assert listener.statuses(item.item_id) == ["in_progress", "canceled"]


async def test_refused_connections_come_back_on_the_same_port_with_the_same_state(invokeai):
    hold = invokeai.hold("img")
    await invokeai.enqueue(batches.batch(batches.blank()))
    item = await hold.reached()
    url = invokeai.url
    await invokeai.refuse()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/api/v1/app/version")
        hold.release()
        await invokeai.until_ended(item.item_id)
        await invokeai.accept()
        async with http.get(f"{url}{QUEUE}/i/{item.item_id}") as response:
            assert (await response.json())["status"] == "completed"


async def test_after_a_kill_what_ran_is_canceled_without_an_event_and_what_was_pending_runs(invokeai):
    hold = invokeai.hold("img")
    body = batches.batch(batches.blank())
    body["batch"]["runs"] = 3
    ids = sorted((await invokeai.enqueue(body))["item_ids"])
    await hold.reached()
    before, url = len(invokeai.produced), invokeai.url
    async with Listener(invokeai.url) as listener:
        await invokeai.kill()
        await listener.until(lambda: listener.goodbye)
        assert listener.goodbye == "transport error"
    hold.release()
    await invokeai.restart()
    assert invokeai.url == url
    await invokeai.until_ended(*ids)
    items = [invokeai.queue.items[item_id] for item_id in ids]
    assert [item.status for item in items] == ["canceled", "completed", "completed"]
    assert (items[0].status_sequence, items[0].session, items[0].error_type) == (2, None, None)
    told = [event.payload.get("item_id") for event in invokeai.produced[before:]]
    assert ids[0] not in told


async def test_images_and_items_survive_a_restart_and_item_ids_are_not_reused(invokeai, http):
    first = (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"][0]
    await invokeai.until_ended(first)
    image = invokeai.images.select()[0]
    data = invokeai.images.path(image.image_name).read_bytes()
    invokeai.queue.prune("default", None)
    await invokeai.kill()
    await invokeai.restart()
    assert invokeai.images.get(image.image_name).dto() == image.dto()
    async with http.get(f"/api/v1/images/i/{image.image_name}/full") as response:
        assert await response.read() == data
    second = (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"][0]
    assert second == first + 1


async def test_a_new_database_starts_item_ids_again_and_knows_no_image(invokeai, http):
    await invokeai.enqueue(batches.batch(batches.blank()))
    image = invokeai.add_image()
    url = invokeai.url
    await invokeai.new_database()
    assert invokeai.url == url
    assert (await invokeai.enqueue(batches.batch(batches.blank())))["item_ids"] == [1]
    async with http.get(f"/api/v1/images/i/{image.image_name}") as response:
        assert response.status == 404


async def test_the_clock_can_be_off_in_the_date_header_and_in_records(invokeai, http):
    invokeai.clock_offset = timedelta(hours=-3)
    async with http.get("/api/v1/app/version") as response:
        told = parsedate_to_datetime(response.headers["Date"])
    assert timedelta(hours=2, minutes=59) < datetime.now(UTC) - told < timedelta(hours=3, minutes=1)
    assert invokeai.add_image().created_at < stamp(datetime.now(UTC) - timedelta(hours=2))


async def test_direct_images_are_listed_as_uploads_and_canvas_saves_are(invokeai, http):
    upload, save = invokeai.add_upload(), invokeai.add_canvas_save(metadata={"positive_prompt": "hills"})
    async with http.get("/api/v1/images/?is_intermediate=false") as response:
        listed = {dto["image_name"]: dto for dto in (await response.json())["items"]}
    assert listed[upload.image_name]["image_category"] == "user"
    assert listed[save.image_name]["image_category"] == "general"
    assert {dto["session_id"] for dto in listed.values()} == {None}
    async with http.get(f"/api/v1/images/i/{save.image_name}/metadata") as response:
        assert await response.json() == {"positive_prompt": "hills"}
