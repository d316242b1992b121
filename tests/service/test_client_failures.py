"""What the client makes of an InvokeAI that refuses, cuts, stalls, lies, or answers with another's page."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from service.errors import (
    InvokeConflict,
    InvokeError,
    InvokeFailed,
    InvokeGatewayRefused,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai import answers, files, queue
from service.invokeai.client import InvokeClient
from tests.fakes.raw_invokeai import (
    QUEUE,
    Answer,
    RawInvokeAI,
    client_session,
    cut,
    cut_short,
    data,
    free_port,
    json,
    page,
    raw_invokeai,
    stall,
    text,
    trickle,
)

VERSION = "/api/v1/app/version"
ENQUEUE = f"{QUEUE}/enqueue_batch"
ENQUEUED = {"queue_id": "default", "enqueued": 1, "requested": 1, "batch": {"batch_id": "b"}, "item_ids": [1]}
RETRY = f"{QUEUE}/retry_items_by_id"
UPLOAD = "/api/v1/images/upload"
FILE = "/api/v1/images/i/a.png/full"

Call = Callable[[InvokeClient], Awaitable[Any]]


async def enqueue(client: InvokeClient) -> Any:
    return await client.enqueue_batch({"prepend": False, "batch": {}})


async def retry(client: InvokeClient) -> Any:
    return await client.retry_items([1])


async def upload(client: InvokeClient) -> Any:
    return await client.upload(b"png", "a.png")


async def download(client: InvokeClient) -> bytes:
    async with client.open_file("a.png") as file:
        return b"".join([chunk async for chunk in file.iter()])


def bad(body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=400, content_type="application/json")

    return answer


ONCE = [(ENQUEUE, enqueue), (RETRY, retry), (UPLOAD, upload)]


@pytest.fixture
async def server() -> AsyncIterator[RawInvokeAI]:
    async with raw_invokeai() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
def client(server: RawInvokeAI, session: aiohttp.ClientSession) -> InvokeClient:
    return InvokeClient(server.url, timeout=2, session=session)


@pytest.mark.parametrize("call", [InvokeClient.version, enqueue, download, upload])
async def test_a_refused_connection_was_never_sent(session: aiohttp.ClientSession, call: Call) -> None:
    port = free_port()
    with pytest.raises(InvokeUnreachable, match=f"^127.0.0.1:{port} cannot be reached: connection refused$"):
        await call(InvokeClient(f"http://127.0.0.1:{port}", session=session))


async def test_a_name_without_an_address_was_never_sent(session: aiohttp.ClientSession) -> None:
    with pytest.raises(InvokeUnreachable):
        await enqueue(InvokeClient("http://nowhere.invalid:9090", session=session))


async def test_a_url_that_is_none_was_never_sent(session: aiohttp.ClientSession) -> None:
    for url in ("nonsense", "http://my..server:9090", f"http://{'a' * 64}.example:9090"):
        with pytest.raises(InvokeUnreachable):
            await InvokeClient(url, session=session).version()


async def test_a_read_that_was_cut_is_read_again(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, cut, json({"version": "6.14.2"}))
    assert await client.version() == "6.14.2"


def endless(packed: bool) -> Answer:
    """JSON that does not end; packed, 200 MB of it in 200 KB."""
    packer = zlib.compressobj(wbits=31)
    spaces = bytes(b" " * 2**20)
    bomb = b"".join(packer.compress(spaces) for _ in range(200)) + packer.flush() if packed else b""

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if packed:
            await response.write(bomb)
            return response
        while True:
            await response.write(spaces)

    return answer


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(
    server: RawInvokeAI, client: InvokeClient, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setitem(answers.LONGEST, answers.Version, 2**20)
    server.on(VERSION, endless(packed))
    tracemalloc.start()
    try:
        with pytest.raises(InvokeInterrupted, match="longer than 1 MB"):
            await client.version()
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("answer", [cut, cut_short(b'{"vers', 100), text("Bad Gateway", 502)])
async def test_a_read_is_tried_twice_and_no_more(server: RawInvokeAI, client: InvokeClient, answer: Any) -> None:
    server.on(VERSION, answer)
    with pytest.raises((InvokeInterrupted, InvokeFailed)):
        await client.version()
    assert len(server.to(VERSION)) == 2


async def test_storage_maintenance_is_waited_out(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, json({"detail": "maintenance"}, 409), json({"version": "6.14.2"}))
    assert await client.version() == "6.14.2"
    server.on(VERSION, json({"detail": "maintenance"}, 409))
    with pytest.raises(InvokeConflict, match="maintenance"):
        await client.version()


@pytest.mark.parametrize(("path", "call"), ONCE)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (cut, InvokeInterrupted),
        (cut_short(b'{"queue_id"', 100), InvokeInterrupted),
        (json("not what was asked for"), InvokeInterrupted),
        (text("Internal Server Error", 500), InvokeFailed),
        (text("upstream timed out", 504), InvokeFailed),
        (text("Request Timeout", 408), InvokeFailed),
        (json({"detail": "later"}, 409), InvokeConflict),
        (text("Too Many Requests", 429), InvokeConflict),
        (json({"detail": "no"}, 400), InvokeRefused),
    ],
)
async def test_what_must_not_happen_twice_is_sent_once(
    server: RawInvokeAI, client: InvokeClient, path: str, call: Call, answer: Any, error: type[InvokeError]
) -> None:
    server.on(path, answer)
    with pytest.raises(error):
        await call(client)
    assert len(server.to(path)) == 1


async def test_a_post_unanswered_in_time_is_ambiguous_and_sent_once(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(ENQUEUE, stall())
    with pytest.raises(InvokeInterrupted, match="2 s"):
        await enqueue(client)
    assert len(server.to(ENQUEUE)) == 1


async def test_a_timeout_below_a_stall_of_the_server_is_not_taken(session: aiohttp.ClientSession) -> None:
    assert InvokeClient("http://127.0.0.1:1", timeout=0.1, session=session).timeout == 2.0


async def test_a_post_goes_over_a_connection_of_its_own(server: RawInvokeAI, client: InvokeClient) -> None:
    """A kept connection that died unnoticed would turn a plain refusal into an ambiguous one (idempotent submit)."""
    server.on(VERSION, json({"version": "6.14.2"}))
    server.on(ENQUEUE, json(ENQUEUED))
    await client.version()
    await client.version()
    await enqueue(client)
    first, second = (request.peer for request in server.to(VERSION))
    assert first == second
    assert server.to(ENQUEUE)[0].peer != first


async def test_an_answer_before_the_server_dies_is_an_answer(server: RawInvokeAI, client: InvokeClient) -> None:
    body = b'{"queue_id":"default","enqueued":1,"requested":1,"batch":{"batch_id":"b"},"item_ids":[1]}'
    server.on(ENQUEUE, cut_short(body, len(body)))
    assert (await enqueue(client)).item_ids == [1]


async def test_cancelling_a_call_is_not_an_error_of_invokeai(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, stall())
    calling = asyncio.create_task(client.version())
    await server.until_asked(VERSION, 1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


@pytest.mark.parametrize("call", [InvokeClient.version, InvokeClient.models, enqueue, download])
async def test_the_web_apps_page_means_no_such_route(client: InvokeClient, call: Call) -> None:
    with pytest.raises(InvokeNoSuchRoute):
        await call(client)


async def test_only_invokeais_own_404_means_that_nothing_is_there(server: RawInvokeAI, client: InvokeClient) -> None:
    path = "/api/v1/images/i/a.png"
    server.on(path, json({"detail": "Not Found"}, 404))
    with pytest.raises(InvokeNotFound):
        await client.image("a.png")
    for not_its_own in (text("404 page not found", 404), json({"message": "no such pod"}, 404), text("", 405)):
        server.on(path, not_its_own)
        with pytest.raises(InvokeNoSuchRoute):
            await client.image("a.png")


@pytest.mark.parametrize("body", [b'{"detail": "\xff"}', b'{"detail": ' + b"[" * 9000, b'{"version": "\xff"}'])
async def test_what_is_no_text_is_no_answer(server: RawInvokeAI, client: InvokeClient, body: bytes) -> None:
    server.on(VERSION, data(body, "application/json"))
    with pytest.raises(InvokeInterrupted, match="unreadable answer"):
        await client.version()
    server.on(FILE, bad(body))
    with pytest.raises(InvokeRefused):
        await download(client)


async def test_a_refusal_repeats_invokeais_words_in_few(server: RawInvokeAI, client: InvokeClient) -> None:
    problems = [{"type": "t", "loc": ["body", "batch", "graph"], "msg": "x" * 12_800, "input": {"nodes": {}}}] * 9
    server.on(ENQUEUE, json({"detail": problems}, 422))
    with pytest.raises(InvokeRefused) as refusal:
        await enqueue(client)
    assert refusal.value.status == 422
    assert refusal.value.words.startswith("body.batch.graph: xxx")
    assert len(refusal.value.words) <= 500
    server.on(ENQUEUE, json({"detail": "the queue is closed"}, 403))
    with pytest.raises(InvokeRefused, match="the queue is closed"):
        await enqueue(client)


async def test_a_status_no_standard_names_is_still_told_apart(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(ENQUEUE, text("origin is unreachable", 523))
    with pytest.raises(InvokeFailed, match="origin is unreachable"):
        await enqueue(client)


async def test_a_redirect_is_not_followed_with_our_token(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, text("", 307, Location="http://elsewhere.invalid/login?state=secret"))
    with pytest.raises(InvokeGatewayRefused, match=r"redirects to http://elsewhere\.invalid/login: if that") as refusal:
        await client.version()
    assert "secret" not in str(refusal.value)


async def test_a_file_that_ends_early_breaks_off(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(FILE, cut_short(b"x" * 100, 1000, "image/png"))
    with pytest.raises(InvokeInterrupted):
        await download(client)


async def test_a_file_that_stalls_breaks_off(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(FILE, stall(b"x" * 100))
    with pytest.raises(InvokeInterrupted):
        await download(client)


async def test_a_file_that_trickles_breaks_off(
    server: RawInvokeAI, client: InvokeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WINDOW", 0.3)
    server.on(FILE, trickle(b"x", pieces=1000, seconds=0.05))
    with pytest.raises(InvokeInterrupted, match="stalled"):
        await download(client)


async def test_a_slow_file_comes_whole(
    server: RawInvokeAI, client: InvokeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WINDOW", 0.3)
    piece = b"x" * files.LEAST
    server.on(FILE, trickle(piece, pieces=10, seconds=0.1))
    assert await download(client) == piece * 10


async def test_what_reads_slowly_itself_blames_nobody(
    server: RawInvokeAI, client: InvokeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WINDOW", 0.1)
    server.on(FILE, data(b"x" * 1000))
    async with client.open_file("a.png") as file:
        async for _ in file.iter(size=300):
            await asyncio.sleep(0.1)


async def test_a_file_that_never_begins_breaks_off(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(FILE, stall())
    with pytest.raises(InvokeInterrupted):
        await download(client)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (page, InvokeNoSuchRoute),
        (json({"detail": "Not Found"}, 404), InvokeNotFound),
        (text("Internal Server Error", 500), InvokeFailed),
        (json({"detail": "maintenance"}, 409), InvokeConflict),
        (cut_short(b"", 100, "text/html"), InvokeInterrupted),
    ],
)
async def test_a_file_that_is_none_says_why(
    server: RawInvokeAI, client: InvokeClient, answer: Any, error: type[InvokeError]
) -> None:
    server.on(FILE, answer)
    with pytest.raises(error):
        await download(client)
    assert len(server.to(FILE)) == 1


async def test_a_download_left_in_the_middle_frees_its_connection(
    server: RawInvokeAI, client: InvokeClient, session: aiohttp.ClientSession
) -> None:
    server.on(FILE, stall(b"x" * 100))
    server.on(VERSION, json({"version": "6.14.2"}))
    async with client.open_file("a.png") as file:
        async for chunk in file.iter():
            assert chunk
            break
    server.on(FILE, data(b"whole"))
    assert await download(client) == b"whole"


# --- odd answers of a server that means harm ---


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 1900 00:00:00 +2359",
        "Mon, 01 Jan 2300 00:00:00 GMT",
        "yesterday",
    ],
)
async def test_a_date_that_is_far_out_is_no_clock(server: RawInvokeAI, client: InvokeClient, date: str) -> None:
    server.on(VERSION, json({"version": "6.14.2"}, Date=date))
    assert await client.version() == "6.14.2"
    assert client.server_time() is None


async def test_a_list_of_items_without_an_end_is_unreadable(
    server: RawInvokeAI, client: InvokeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of it would pass for the whole, and what is not in it for gone."""
    monkeypatch.setattr(queue, "MOST_LISTED", 3000)

    async def endless_list(request: web.Request) -> web.StreamResponse:
        first = int(request.query.get("cursor", "0"))
        items = [{"item_id": first + number} for number in range(1, 501)]
        return web.json_response({"items": items, "has_more": True})

    server.serves("/api/v1/queue/{queue_id}/list", version="5.15.0")
    server.on(f"{QUEUE}/list", endless_list)
    with pytest.raises(InvokeUnreadable, match="has no end"):
        await client.item_ids()
    assert len(server.to(f"{QUEUE}/list")) == 7


async def test_a_list_of_items_that_repeats_itself_is_unreadable(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves("/api/v1/queue/{queue_id}/list", version="5.15.0")
    server.on(f"{QUEUE}/list", json({"items": [{"item_id": 1}], "has_more": True}))
    with pytest.raises(InvokeUnreadable, match="has no end"):
        await client.item_ids()


async def test_names_that_are_none_are_no_names(server: RawInvokeAI, client: InvokeClient) -> None:
    impossible = ["a\0b.png", "../a.png", "x" * 5000, "", "a\nb.png"]
    server.on("/api/v1/images/names", json({"image_names": ["a.png", *impossible, "b.png"]}))
    assert await client.image_names() == ["a.png", "b.png"]
    items = [{"image_name": name} for name in ["a.png", *impossible]]
    server.on("/api/v1/images/", json({"items": items, "total": 6}))
    assert [image.image_name for image in (await client.newest_images(10)).items] == ["a.png"]


@pytest.mark.parametrize("answer", [answers.Version, answers.QueueAndProcessor, answers.AuthStatus, answers.Newest])
def test_an_answer_of_a_few_values_is_read_up_to_four_megabytes(answer: type[Any]) -> None:
    assert answers.LONGEST[answer] == 4 * 2**20


async def test_of_the_openapi_so_many_paths_are_kept(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves(*(f"/api/v1/{number}" for number in range(20_000)), "/" + "x" * 1000)
    info = await client.connect()
    assert len(info.routes) == 2000
    assert max(map(len, info.routes)) < 255


async def test_a_servers_words_in_an_error_are_cut(server: RawInvokeAI, client: InvokeClient) -> None:
    server.on(VERSION, json({"detail": "x" * 1_000_000}, 400))
    with pytest.raises(InvokeError) as refused:
        await client.version()
    assert len(str(refused.value)) < 600
