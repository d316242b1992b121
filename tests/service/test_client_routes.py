"""What the client asks, and what it makes of the answers, on this and on older servers."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest

from service.errors import InvokeFailed, InvokeNotFound, InvokeTooLong
from service.invokeai.client import InvokeClient
from tests.fakes.raw_invokeai import (
    QUEUE,
    SINCE_6_14,
    RawInvokeAI,
    client_session,
    data,
    gzipped,
    json,
    raw_invokeai,
    text,
)

VERSION = "/api/v1/app/version"
STATUS = f"{QUEUE}/status"
ENQUEUE = f"{QUEUE}/enqueue_batch"


def item(item_id: int, **more: Any) -> dict[str, Any]:
    return {"item_id": item_id, "status": "pending", "batch_id": "b", "session_id": f"s{item_id}", "priority": 0} | more


def dto(name: str) -> dict[str, Any]:
    return {
        "image_name": name,
        "image_category": "general",
        "image_origin": "internal",
        "width": 64,
        "height": 64,
        "created_at": "2026-11-22 20:58:15.892",
        "is_intermediate": False,
        "session_id": "s",
    }


@pytest.fixture
async def server() -> AsyncIterator[RawInvokeAI]:
    async with raw_invokeai() as server:
        server.serves(*SINCE_6_14)
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
def client(server: RawInvokeAI, session: aiohttp.ClientSession) -> InvokeClient:
    return InvokeClient(server.url, timeout=5, session=session)


async def test_connecting_tells_version_routes_and_kind(server: RawInvokeAI, client: InvokeClient) -> None:
    info = await client.connect()
    assert (info.version, info.multiuser, info.demo) == ("6.14.2", False, False)
    assert "/api/v1/queue/{queue_id}/item_ids" in info.routes
    assert client.info is info
    server.serves(version="6.13.0", demo=True, highlights=None)
    info = await client.connect()
    assert (info.version, info.demo, info.routes) == ("6.13.0", True, frozenset())


async def test_a_server_behind_a_sub_path_is_asked_there(session: aiohttp.ClientSession, server: RawInvokeAI) -> None:
    server.on("/invoke/api/v1/app/version", json({"version": "6.14.2"}))
    assert await InvokeClient(f"{server.url}/invoke/", session=session).version() == "6.14.2"


async def test_packed_answers_are_read(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, gzipped)
    assert await client.version() == "6.14.2"
    assert "gzip" in server.to(VERSION)[0].headers["Accept-Encoding"]


async def test_the_servers_clock_is_known_from_its_answers(server: RawInvokeAI, client: InvokeClient) -> None:
    assert client.server_time() is None
    ahead = datetime.now(UTC) + timedelta(hours=5)
    server.on(VERSION, json({"version": "6.14.2"}, Date=format_datetime(ahead, usegmt=True)))
    await client.version()
    server_time = client.server_time()
    assert server_time is not None
    assert abs(server_time - ahead) < timedelta(minutes=1)


async def test_a_date_that_is_none_leaves_the_clock_unknown(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, json({"version": "6.14.2"}, Date="yesterday"))
    await client.version()
    assert client.server_time() is None


async def test_the_queues_status_is_one_struct(server: RawInvokeAI, client: InvokeClient) -> None:
    counts = {"item_id": 7, "batch_id": "b", "session_id": "s", "pending": 2, "in_progress": 1, "total": 9}
    server.on(STATUS, json({"queue": counts, "processor": {"is_started": False, "is_processing": True}}))
    status = await client.queue_status()
    assert (status.pending, status.in_progress, status.waiting, status.total, status.item_id) == (2, 1, 0, 9, 7)
    assert (status.is_started, status.is_processing) == (False, True)


async def test_item_ids_of_a_batch_ascend(server: RawInvokeAI, client: InvokeClient) -> None:
    answer = {"enqueued": 4, "requested": 4, "batch": {"batch_id": "mine", "graph": {}}, "item_ids": [6, 5, 4, 3]}
    server.on(ENQUEUE, json(answer))
    result = await client.enqueue_batch({"prepend": False, "batch": {"batch_id": "mine"}})
    assert (result.batch_id, result.item_ids) == ("mine", [3, 4, 5, 6])
    assert server.to(ENQUEUE)[0].json() == {"prepend": False, "batch": {"batch_id": "mine"}}
    assert server.to(ENQUEUE)[0].headers["Content-Type"] == "application/json"


async def test_a_full_queue_and_a_server_without_item_ids_are_told(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(ENQUEUE, json({"enqueued": 0, "requested": 4, "batch": {"batch_id": "b"}, "priority": 0}))
    result = await client.enqueue_batch({})
    assert (result.enqueued, result.requested, result.item_ids) == (0, 4, None)


async def test_items_with_long_workflows_are_read_in_smaller_pieces(server: RawInvokeAI, client: InvokeClient) -> None:
    def whole(*ids: int) -> Any:
        return json([item(one, workflow={"nodes": "x" * 7_000_000}) for one in ids])

    server.on(f"{QUEUE}/items_by_ids", whole(1, 2, 3), whole(1, 2), whole(3))
    assert [found.item_id for found in await client.items([1, 2, 3])] == [1, 2, 3]
    asked = [request.json()["item_ids"] for request in server.to(f"{QUEUE}/items_by_ids")]
    assert asked == [[1, 2, 3], [1, 2], [3]]


async def test_one_item_that_is_too_long_is_asked_for_once(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/items_by_ids", json([item(1, workflow={"nodes": "x" * 17_000_000})]))
    with pytest.raises(InvokeTooLong):
        await client.items([1])
    assert len(server.to(f"{QUEUE}/items_by_ids")) == 1


async def test_a_queue_of_items_with_long_prompts_is_listed(server: RawInvokeAI, client: InvokeClient) -> None:
    prompts = [{"node_path": "prompt", "field_name": "value", "value": "x" * 20_000}]
    server.serves("/api/v1/queue/{queue_id}/list", "/api/v1/queue/{queue_id}/list_all")
    page = {"has_more": False, "items": [item(one, field_values=prompts) for one in range(500)]}
    server.on(f"{QUEUE}/list", json(page))
    assert await client.item_ids() == list(range(500))


async def test_a_queue_of_whole_items_is_listed(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list_all")
    server.on(f"{QUEUE}/list_all", json([item(one, session={"graph": "x" * 20_000}) for one in range(1000)]))
    assert await client.item_ids() == list(range(1000))


async def test_many_items_are_read_in_pieces(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/items_by_ids", json([item(1)]), json([item(2)]), json([]))
    assert [found.item_id for found in await client.items(list(range(1, 121)))] == [1, 2]
    asked = [request.json()["item_ids"] for request in server.to(f"{QUEUE}/items_by_ids")]
    assert [len(ids) for ids in asked] == [50, 50, 20]
    assert [item_id for ids in asked for item_id in ids] == list(range(1, 121))


async def test_nothing_asked_for_asks_nothing(server: RawInvokeAI, client: InvokeClient) -> None:
    assert await client.items([]) == []
    assert await client.images_by_names([]) == []
    assert await client.summaries([]) == []
    assert {request.method for request in server.received} == {"GET"}


async def test_summaries_come_from_their_own_route(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/item_summaries_by_ids", json([item(3, status="waiting", device="cpu")]))
    (summary,) = await client.summaries([3])
    assert (summary.item_id, summary.status) == (3, "waiting")


async def test_before_6_14_summaries_come_from_items(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/items_by_ids", "/api/v1/queue/{queue_id}/item_ids")
    server.on(f"{QUEUE}/items_by_ids", json([item(3, session={"results": {}})]))
    assert [summary.item_id for summary in await client.summaries([3])] == [3]


async def test_before_6_9_items_are_read_one_by_one(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list_all")
    server.on(f"{QUEUE}/i/2", json(item(2)))
    server.on(f"{QUEUE}/i/4", json({"detail": "Queue item with id 4 not found in queue default"}, 404))
    assert [found.item_id for found in await client.items([2, 4])] == [2]
    assert server.to(f"{QUEUE}/list_all") == [], "it holds every session there ever was (FACTS §5)"


async def test_in_5_15_several_unknown_items_cost_one_look_at_the_list(
    server: RawInvokeAI, client: InvokeClient
) -> None:
    server.serves("/api/v1/queue/{queue_id}/list")
    server.on(f"{QUEUE}/list", json({"limit": 500, "has_more": False, "items": [item(1), item(5)]}))
    server.on(f"{QUEUE}/i/1", json(item(1)))
    for path in (f"{QUEUE}/i/2", f"{QUEUE}/i/3", f"{QUEUE}/i/5"):
        server.on(path, text("Internal Server Error", 500))
    assert [found.item_id for found in await client.items([1, 2, 3])] == [1]
    assert len(server.to(f"{QUEUE}/list")) == 1
    with pytest.raises(InvokeFailed):
        await client.items([5])


async def test_in_5_15_an_unknown_item_is_told_from_a_failure(server: RawInvokeAI, client: InvokeClient) -> None:
    """It answers both with 500 and plain text."""
    server.serves("/api/v1/queue/{queue_id}/list")
    server.on(f"{QUEUE}/list", json({"limit": 500, "has_more": False, "items": [item(1)]}))
    for path in (f"{QUEUE}/i/1", f"{QUEUE}/i/2", f"{QUEUE}/i/2/cancel"):
        server.on(path, text("Internal Server Error", 500))
    with pytest.raises(InvokeNotFound):
        await client.item(2)
    with pytest.raises(InvokeNotFound):
        await client.cancel_item(2)
    with pytest.raises(InvokeFailed):
        await client.item(1)


async def test_a_failure_of_a_newer_server_stays_one(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/i/2", text("Internal Server Error", 500))
    with pytest.raises(InvokeFailed):
        await client.item(2)


async def test_all_ids_ascend_whatever_the_server_thinks(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/item_ids", json({"item_ids": [3, 1, 2], "total_count": 3}))
    assert await client.item_ids() == [1, 2, 3]
    assert server.to(f"{QUEUE}/item_ids")[0].query == [("order_dir", "ASC")]


async def test_up_to_6_6_all_ids_come_in_cursor_pages(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list", "/api/v1/queue/{queue_id}/list_all")
    first = {"limit": 2, "has_more": True, "items": [item(9, priority=1), item(1)]}
    server.on(f"{QUEUE}/list", json(first), json({"limit": 2, "has_more": False, "items": [item(2)]}))
    assert await client.item_ids() == [1, 2, 9]
    assert server.to(f"{QUEUE}/list")[1].query == [("limit", "500"), ("cursor", "1"), ("priority", "0")]


async def test_a_page_that_promises_more_and_has_none_ends_the_list(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list")
    server.on(f"{QUEUE}/list", json({"has_more": True, "items": []}))
    assert await client.item_ids() == []


async def test_from_6_7_to_6_8_all_ids_come_from_whole_items(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list_all")
    server.on(f"{QUEUE}/list_all", json([item(3, session={"graph": {}}), item(1)]))
    assert await client.item_ids() == [1, 3]


async def test_cancelling_and_retrying(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(f"{QUEUE}/i/5/cancel", json(item(5, status="canceled")))
    server.on(f"{QUEUE}/cancel_by_batch_ids", json({"canceled": 3}))
    server.on(f"{QUEUE}/retry_items_by_id", json({"queue_id": "default", "retried_item_ids": [5]}))
    await client.cancel_item(5)
    assert await client.cancel_batches(["a", "b"]) == 3
    assert await client.retry_items([5, 6]) == [5]
    sent = {request.path: (request.method, request.body) for request in server.received}
    assert sent[f"{QUEUE}/i/5/cancel"] == ("PUT", b"")
    assert sent[f"{QUEUE}/cancel_by_batch_ids"] == ("PUT", b'{"batch_ids":["a","b"]}')
    assert sent[f"{QUEUE}/retry_items_by_id"] == ("PUT", b"[5,6]")


async def test_images_are_read_by_names_or_one_by_one(server: RawInvokeAI, client: InvokeClient) -> None:
    by_names = "/api/v1/images/images_by_names"
    server.on(by_names, json([dto("a.png")]))
    assert [found.image_name for found in await client.images_by_names(["a.png", "b.png"])] == ["a.png"]
    assert server.to(by_names)[0].json() == {"image_names": ["a.png", "b.png"]}
    server.serves()
    await client.connect()
    server.on("/api/v1/images/i/a.png", json(dto("a.png")))
    server.on("/api/v1/images/i/b.png", json({"detail": "Not Found"}, 404))
    assert [found.image_name for found in await client.images_by_names(["a.png", "b.png"])] == ["a.png"]
    assert len(server.to(by_names)) == 1


async def test_a_page_of_the_gallery_is_asked_for_exactly(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on("/api/v1/images/", json({"limit": 2, "offset": 4, "total": 9, "items": [dto("a.png")]}))
    page = await client.images_page(
        2, 4, is_intermediate=False, categories=["general", "other"], starred_first=False, order="ASC"
    )
    assert (page.total, page.items[0].image_name) == (9, "a.png")
    assert server.to("/api/v1/images/")[0].query == [
        ("limit", "2"),
        ("offset", "4"),
        ("order_dir", "ASC"),
        ("starred_first", "false"),
        ("categories", "general"),
        ("categories", "other"),
        ("is_intermediate", "false"),
    ]


async def test_metadata_is_an_object_or_nothing(server: RawInvokeAI, client: InvokeClient) -> None:
    path = "/api/v1/images/i/a.png/metadata"
    server.on(path, json({"seed": 2**63, "darkroom_batch": "b"}), json(None), json("text"))
    assert await client.metadata("a.png") == {"seed": 2**63, "darkroom_batch": "b"}
    assert await client.metadata("a.png") is None
    assert await client.metadata("a.png") is None


async def test_a_name_cannot_leave_its_segment_of_the_path(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on("/api/v1/images/i/..%2F..%2Fapp%2Fversion%3F%23", json({"detail": "Not Found"}, 404))
    with pytest.raises(InvokeNotFound):
        await client.image("../../app/version?#")


async def test_a_file_is_streamed_unpacked_with_its_length(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on("/api/v1/images/i/a.png/full", data(b"\x89PNG" * 100_000))
    async with client.open_file("a.png") as file:
        assert (file.content_type, file.content_length) == ("image/png", 400_000)
        chunks = [chunk async for chunk in file.iter(65_536)]
    assert b"".join(chunks) == b"\x89PNG" * 100_000
    assert max(map(len, chunks)) <= 65_536
    assert server.received[-1].headers["Accept-Encoding"] == "identity"


async def test_a_proxy_that_packs_files_all_the_same_tells_no_length(server: RawInvokeAI, client: InvokeClient) -> None:
    packed = zlib.compress(b"webp" * 1000)
    server.on("/api/v1/images/i/a.png/thumbnail", data(packed, "image/webp", **{"Content-Encoding": "deflate"}))
    async with client.open_thumbnail("a.png") as file:
        assert (file.content_type, file.content_length) == ("image/webp", None)
        assert b"".join([chunk async for chunk in file.iter()]) == b"webp" * 1000


async def test_an_upload_is_a_form_with_its_category(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on("/api/v1/images/upload", json(dto("up.png"), 201))
    uploaded = await client.upload(b"the bytes", "source.png")
    assert uploaded.image_name == "up.png"
    (sent,) = server.to("/api/v1/images/upload")
    assert sent.query == [("image_category", "user"), ("is_intermediate", "false")]
    assert b'name="file"; filename="source.png"' in sent.body
    assert b"the bytes" in sent.body
