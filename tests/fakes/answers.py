"""What a scripted route answers instead of, around, or after the real answer."""

from __future__ import annotations

import asyncio

from aiohttp import web

from service.demo.answers import Handler, json_answer
from tests.fakes.invokeai.http import web_app
from tests.fakes.rules import Answer


def status(code: int, detail: str = "scripted") -> Answer:
    """An error in InvokeAI's JSON form; 500 is plain text, as an unhandled exception gives."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if code == 500:
            return web.Response(status=500, text="Internal Server Error")
        return json_answer({"detail": detail}, code)

    return answer


def html() -> Answer:
    """200 text/html: the web app, as for a path the server does not know (FACTS §7)."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web_app()

    return answer


def body(data: bytes, content_type: str = "application/json", code: int = 200) -> Answer:
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(body=data, status=code, content_type=content_type)

    return answer


def redirect(location: str) -> Answer:
    """As a gateway sends to its login."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    return answer


def after(gate: asyncio.Event | float) -> Answer:
    """The true answer, once the gate opens or so many seconds have passed."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await _wait(gate)
        return await handler(request)

    return answer


def stalled_body(gate: asyncio.Event, first: int = 100) -> Answer:
    """The true answer's headers and first bytes at once, the rest when the gate opens."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        response = _copy(whole, len(_bytes(whole)))
        await response.prepare(request)
        await response.write(_bytes(whole)[:first])
        await gate.wait()
        await response.write(_bytes(whole)[first:])
        await response.write_eof()
        return response

    return answer


def endless(first: bytes = b"", content_type: str = "application/json") -> Answer:
    """A body that does not end, as fast as it is taken."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        await response.write(first)
        while True:
            await response.write(bytes(64 * 1024))

    return answer


def cut() -> Answer:
    """The connection breaks before the request has any effect."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        return _abort(request)

    return answer


def cut_after_effect() -> Answer:
    """The request takes effect, then the connection breaks instead of an answer."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return _abort(request)

    return answer


def cut_in_answer(first: int = 20) -> Answer:
    """The request takes effect, and the connection breaks in the middle of the answer."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        response = _copy(whole, len(_bytes(whole)))
        await response.prepare(request)
        await response.write(_bytes(whole)[:first])
        return _abort(request, response)

    return answer


def late_effect(gate: asyncio.Event | float, running: set[asyncio.Task[web.StreamResponse]]) -> Answer:
    """The connection breaks at once; the request takes effect later, when the gate opens (FACTS §10)."""

    async def run(request: web.Request, handler: Handler) -> web.StreamResponse:
        await _wait(gate)
        return await handler(request)

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        task = asyncio.create_task(run(request, handler), name="late effect")
        running.add(task)
        task.add_done_callback(running.discard)
        return _abort(request)

    return answer


def truncated(keep: float = 0.5) -> Answer:
    """The right length is announced, only the first part of the body comes, then the connection breaks."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        response = _copy(whole, len(_bytes(whole)))
        await response.prepare(request)
        await response.write(_bytes(whole)[: int(len(_bytes(whole)) * keep)])
        return _abort(request, response)

    return answer


def shortened(keep: float = 0.5) -> Answer:
    """A shorter body under its own, smaller length: nothing on the wire is wrong, the file is."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        data = _bytes(whole)
        return web.Response(body=data[: int(len(data) * keep)], headers=_headers(whole))

    return answer


def corrupted(at: float = 0.5) -> Answer:
    """One bit of the body flipped; its length is right."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        data = bytearray(_bytes(whole))
        data[int(len(data) * at)] ^= 0x10
        return web.Response(body=bytes(data), headers=_headers(whole))

    return answer


def wrong_length(more: int) -> Answer:
    """A content-length that differs by `more`: the connection closes early, or the client reads too little."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await _whole(request, handler)
        data = _bytes(whole)
        response = _copy(whole, len(data) + more)
        await response.prepare(request)
        await response.write(data[: len(data) + more])
        if more < 0:
            await response.write_eof()
            return response
        return _abort(request, response)

    return answer


async def _wait(gate: asyncio.Event | float) -> None:
    if isinstance(gate, asyncio.Event):
        await gate.wait()
    else:
        await asyncio.sleep(gate)


async def _whole(request: web.Request, handler: Handler) -> web.Response:
    response = await handler(request)
    assert isinstance(response, web.Response)
    return response


def _bytes(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def _headers(response: web.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.lower() != "content-length"}


def _copy(response: web.Response, length: int) -> web.StreamResponse:
    copy = web.StreamResponse(status=response.status, headers=_headers(response))
    copy.content_length = length
    return copy


def _abort(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response()
