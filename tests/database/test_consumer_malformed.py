"""Events that no database can hold: each is reported and let go, and the consumer goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from service.database.engine import Database
from tests.fakes.consumer_harness import ConsumerHarness, consumer_harness


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_id": "a\0b"},
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
    harness: ConsumerHarness, changes: dict[str, Any]
) -> None:
    task = asyncio.create_task(harness.consumer.run())
    for name in ("queue_item_status_changed", "invocation_complete", "batch_enqueued"):
        harness.offer(name, harness.ids(status="in_progress", status_sequence=1, enqueued=1) | changes)
    surrogate = msgspec.json.encode(harness.ids(status="in_progress", batch_id="SURROGATE"))
    harness.consumer.offer("queue_item_status_changed", surrogate.replace(b"SURROGATE", b"\\ud800"))
    harness.offer("queue_item_status_changed", harness.ids(9, status="in_progress", status_sequence=1))
    async with asyncio.timeout(10):
        await harness.consumer.settle_queue()
    assert not task.done()
    assert harness.consumer.failures == 0
    assert await harness.row(9) is not None
    task.cancel()
