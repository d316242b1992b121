"""A browser at the feed, as far as the hub is concerned: what it is told of backends and items."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from service.api.resources import Hello
from service.live.hub import Client, Hub
from tests.fakes.consumer_harness import EMPTY
from tests.fakes.hub_messages import next_message

PATIENCE = 10


def subscribe_to_feed(hub: Hub) -> Client:
    feed = hub.subscribe()
    hub.hello(feed, Hello(epoch=hub.epoch, version="test", backends=[], steps=[], items=[], ledger=EMPTY))
    return feed


async def until_backend(feed: Client, backend_id: UUID, **values: Any) -> None:
    """Until it is told that the backend is so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await next_message(feed)
            if message["type"] == "backend.status" and message["data"]["id"] == str(backend_id):
                told = {name: message["data"][name] for name in values}
                if told == values:
                    return


async def until_item(feed: Client, item_id: int, status: str, backend_id: UUID | None = None) -> None:
    """Until it is told that the item, of any backend or of this one, is so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await next_message(feed)
            told = message["data"]
            if message["type"] != "item.updated" or (told["item_id"], told["status"]) != (item_id, status):
                continue
            if backend_id is None or told["backend_id"] == str(backend_id):
                return
