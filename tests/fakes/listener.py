"""A socket client that writes down what it hears: for tests of the fakes themselves, and of what they are to match."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import socketio

Json = dict[str, Any]


class Listener:
    """Connects by websocket, subscribes to the default queue and keeps every event."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._url, self._token = url, token
        self.events: list[tuple[str, Json]] = []
        self.goodbye: str | None = None
        self._client = socketio.AsyncClient(reconnection=False)
        self._client.on("*", self._on_any)
        self._client.on("disconnect", self._on_disconnect)
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        auth = {"token": self._token} if self._token else None
        await self._client.connect(
            self._url, socketio_path="/ws/socket.io", transports=["websocket"], auth=auth, wait_timeout=10
        )
        await self._client.call("subscribe_queue", {"queue_id": "default"}, timeout=10)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.disconnect()

    async def _on_any(self, name: str, payload: Json) -> None:
        self.events.append((name, payload))
        self._changed.set()

    async def _on_disconnect(self, reason: str) -> None:
        self.goodbye = reason
        self._changed.set()

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def statuses(self, item_id: int | None = None) -> list[str]:
        """The statuses told of an item, or of all."""
        return [
            payload["status"]
            for name, payload in self.events
            if name == "queue_item_status_changed" and item_id in (None, payload["item_id"])
        ]

    async def until(self, met: Callable[[], Any], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def until_ended(self, *item_ids: int) -> None:
        ends = ("completed", "failed", "canceled")
        await self.until(lambda: all(set(self.statuses(item_id)) & set(ends) for item_id in item_ids))
