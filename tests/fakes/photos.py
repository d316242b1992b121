"""Photos over HTTP, without the rest of the service: what the tests of their routes share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp

from service.live.hub import Hub
from tests.fakes.hub_messages import next_message

ORIGINAL = bytes(range(256)) * 4000
THUMBNAIL = b"RIFF\x08\0\0\0WEBPVP8 "
NOW = datetime.now(UTC)

AddHome = Callable[..., Awaitable[UUID]]


class Feed:
    """What browsers are told of durable changes."""

    def __init__(self, hub: Hub) -> None:
        self._client = hub.subscribe()

    async def next(self, wanted: str) -> Any:
        """The data of the next message of that type."""
        while True:
            message = await next_message(self._client)
            if message["type"] == wanted:
                return message["data"]


async def answer(response: aiohttp.ClientResponse, status: int) -> Any:
    body = await response.json()
    assert response.status == status, body
    return body
