"""REST answers in InvokeAI's form: JSON, errors as `{"detail"}`, its ids and its times (FACTS §7)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer other than success: its status and `detail`."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def json_answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


async def read_json(request: web.Request) -> Any:
    body = await request.read()
    return msgspec.json.decode(body) if body else None


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return json_answer({"detail": problem.detail}, problem.status)


def new_id() -> str:
    return str(uuid.uuid4())


def stamp(moment: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm`, UTC without a zone."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
