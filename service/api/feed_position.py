"""Adds the header `Darkroom-Feed` to JSON answers: the feed's position before the read."""

from __future__ import annotations

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.live.hub import Hub

HEADER: Final = "Darkroom-Feed"


class FeedPosition(ASGIMiddleware):
    """Adds `Darkroom-Feed: <epoch>:<seq>` to JSON answers: everything up to that `seq` is in the answer."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "GET" or not scope["path"].startswith("/api/v1/"):
            await next_app(scope, receive, send)
            return
        hub: Hub = scope["litestar_app"].state["hub"]
        # Before anything is read: a message is published only after its change is committed.
        position = f"{hub.epoch}:{hub.seq}"

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders(message)
                if headers.get("content-type", "").startswith("application/json"):
                    headers[HEADER] = position
            await send(message)

        await next_app(scope, receive, add)
