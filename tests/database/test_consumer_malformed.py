"""Events that no database can hold: each is reported and let go, and the consumer goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.database.engine import Database
from tests.fakes.consuming import House, house_of


@pytest.fixture
async def house(database: Database) -> House:
    return await house_of(database)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_id": "a\0b"},
        {"batch_id": "\ud800"},
        {"session_id": "a\0b"},
        {"session_id": "s" * 5_000_000},
        {"item_id": 2**63},
        {"item_id": 1.5},
        {"status_sequence": 2**31},
        {"created_at": "9999-12-31T23:59:59-12:00"},
    ],
    ids=lambda changes: "-".join(changes) + "-" + ascii(next(iter(changes.values())))[:10],
)
async def test_an_event_that_cannot_be_kept_does_not_restart_the_consumer(
    house: House, changes: dict[str, Any]
) -> None:
    task = asyncio.create_task(house.consumer.run())
    for name in ("queue_item_status_changed", "invocation_complete", "batch_enqueued"):
        house.consumer.offer(name, house.ids(status="in_progress", status_sequence=1, enqueued=1) | changes)
    house.consumer.offer("queue_item_status_changed", house.ids(9, status="in_progress", status_sequence=1))
    async with asyncio.timeout(10):
        await house.consumer.settle_queue()
    assert not task.done()
    assert house.consumer.failures == 0
    assert await house.row(9) is not None
    task.cancel()
