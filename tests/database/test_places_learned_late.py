"""Where an image stands in its step may be learned while it is being recorded (sighted is not made)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.bus.bus import Bus
from service.correlation import record
from service.correlation.record import Recorder
from service.database.engine import Database
from service.invokeai.events import ImageDTO
from tests.fakes.consumer_harness import ConsumerHarness, consumer_harness


class Server:
    """All that is asked of it here is the time."""

    def server_time(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


def recorder_of(harness: ConsumerHarness) -> Recorder:
    return Recorder(
        harness.backend_id,
        Server(),  # type: ignore[arg-type]
        harness.database,
        Bus(),
        harness.tracking,
        mirror=True,
    )


async def test_a_place_learned_while_its_image_is_recorded_is_the_images(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    locking, go_on = asyncio.Event(), asyncio.Event()
    lock_step = record.lock_step

    async def lock_late(*values: Any) -> bool:
        locking.set()
        await go_on.wait()
        return await lock_step(*values)

    monkeypatch.setattr(record, "lock_step", lock_late)
    image = msgspec.convert(
        {
            "image_name": "one.png",
            "image_origin": "internal",
            "image_category": "general",
            "width": 64,
            "height": 64,
            "created_at": datetime.now(UTC),
            "session_id": "session-7",
            "is_intermediate": False,
        },
        ImageDTO,
    )
    await harness.status("in_progress", 1)
    recording = asyncio.create_task(recorder_of(harness).record([image]))
    await locking.wait()
    await harness.read(seed=42, status="completed", status_sequence=2)
    go_on.set()
    await recording
    async with harness.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT a.position & 0xffffffff AS place, p.seed::int"
            "  FROM step_alternatives a JOIN photos p ON p.id = a.photo_id"
        )
    assert row is not None
    assert tuple(row) == (1 << 8, 42)
