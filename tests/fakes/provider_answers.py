"""What RunPod, or Cloudflare before it, answers instead of carrying an order out, or after it did.

Each is a `tests.fakes.rules.Answer`, as are `answers.cut`, `cut_after_effect`, `cut_in_answer`, `late_effect`, `after`,
`redirect` and `endless`. Texts and statuses are those that were seen or that its documents name.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from service.demo.answers import Handler
from tests.fakes.rules import Answer

NO_GPU = "There are not enough free GPUs on the host machine to start this pod."
NO_MEMORY = "There is not enough free memory on the host machine to start this pod."
NO_BALANCE = (
    "Insufficient balance to resume this on-demand pod. You need at least $3.59 (current: $3.01, deficit: $0.58)."
)
SPOT = "Cannot resume a spot pod as an on demand pod."
NOT_NOW = "Action not valid for current pod status"
UNKNOWN_OUTCOME = "Something went wrong. Please try again later or contact support."


def refusal(status: int, detail: str, *, errors: list[str] | None = None, **headers: str) -> web.Response:
    """`application/problem+json`, as v2 answers errors."""
    title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}.get(status, "Error")
    body: dict[str, Any] = {"title": title, "status": status, "detail": detail}
    if errors is not None:
        body["errors"] = errors
    content = msgspec.json.encode(body)
    return web.Response(body=content, status=status, content_type="application/problem+json", headers=headers)


def problem(status: int, detail: str, *, errors: list[str] | None = None, **headers: str) -> Answer:
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return refusal(status, detail, errors=errors, **headers)

    return answer


def no_gpu(status: int = 400, detail: str = NO_GPU) -> Answer:
    """The start is refused and the pod stays EXITED."""
    return problem(status, detail)


def old_no_gpu() -> Answer:
    """The same as v1 said it."""
    return body({"error": f"start pod: {NO_GPU}", "status": 500}, 500)


def too_many(retry_after: str | None = "12") -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return problem(429, "rate limit exceeded for the minute window", **headers)


def unauthorized() -> Answer:
    return problem(401, "missing bearer token")


def forbidden() -> Answer:
    return problem(403, "access denied")


def unknown_pod() -> Answer:
    return problem(404, "pod not found")


def turned_away() -> Answer:
    """Cloudflare does not like the User-Agent."""
    return page(403, "error code: 1010")


def page(status: int = 200, text: str = "<!doctype html><title>Please wait</title>") -> Answer:
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type="text/html")

    return answer


def body(content: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        data = content if isinstance(content, bytes) else msgspec.json.encode(content)
        return web.Response(body=data, status=status, content_type="application/json", headers=headers)

    return answer


def done_but(then: Answer) -> Answer:
    """The order is carried out, and answered like this all the same."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return await then(request, handler)

    return answer


def silent() -> Answer:
    """No answer at all, until the client goes; with `done_but`, after the order was carried out."""

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a future without a result has none")

    return answer


def gateway(status: int) -> Answer:
    """Cloudflare's page: 502 and 504 while nothing listens in the container, 524 after 100 seconds, 520 to 523."""
    return page(status, f"<!doctype html><title>Error {status}</title><center>cloudflare</center>")


def empty(status: int = 404) -> Answer:
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=status)

    return answer
