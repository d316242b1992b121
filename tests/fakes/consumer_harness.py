"""A consumer with what surrounds it: a real database with one step of two seeds, and a browser's feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from service.api.resources import Hello
from service.bus.bus import Bus
from service.bus.live_state import Item, Ledger
from service.bus.previews import Previews
from service.correlation.consumer import Consumer
from service.correlation.exchange import ReadingRequests
from service.correlation.image_lookups import ImageLookups
from service.correlation.tracking import Tracking
from service.database.engine import Database
from service.invokeai.events import ItemSummary, QueueItem
from service.live.announce import show_live_state
from service.live.hub import Hub
from service.steps.item_state import Absence, Reading
from tests.fakes.hub_messages import next_message
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.rows import add_backend, add_batch, add_session, add_step
from tests.fakes.said import answered, socket_event

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class RecordedLookups(ImageLookups):
    """What the consumer hands on to be looked up, written down."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.settled: list[tuple[str, int, tuple[str, ...]]] = []

    def add(self, image_name: str) -> None:
        self.added.append(image_name)

    def settle(self, batch_id: str, item_id: int, step_id: UUID, image_names: Sequence[str]) -> None:
        self.settled.append((batch_id, item_id, tuple(image_names)))


class RecordedRequests(ReadingRequests):
    """Which readings the consumer asks for, written down."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.read_all = 0
        self.read_soon = 0

    def items(self, item_ids: Sequence[int]) -> None:
        self.read.extend(item_ids)

    def everything(self) -> None:
        self.read_all += 1

    def queue_soon(self) -> None:
        self.read_soon += 1


class ConsumerHarness:
    """A consumer with what surrounds it, one step of two seeds, and a browser's feed."""

    def __init__(self, database: Database, backend_id: UUID, step_id: UUID, batch_id: str) -> None:
        self.database, self.backend_id, self.step_id, self.batch_id = database, backend_id, step_id, batch_id
        self.hub = Hub("test")
        self.feed = self.hub.subscribe()
        self.hub.hello(
            self.feed,
            Hello(epoch=self.hub.epoch, version="test", backends=[], steps=[], items=[], ledger=EMPTY),
        )
        self.lookups, self.requests = RecordedLookups(), RecordedRequests()
        self.tracking = Tracking(backend_id, Previews())
        self.bus = Bus()
        show_live_state(self.bus, self.hub)
        self.batches_seen: list[str] = []
        self.models_changed: list[UUID] = []
        self.bus.batch_seen.listen(lambda _, batch_id: self.batches_seen.append(batch_id))
        self.bus.models_changed.listen(self.models_changed.append)
        self.clock: Callable[[], float] = time.monotonic
        self.consumer = Consumer(
            backend_id,
            "default",
            database=database,
            bus=self.bus,
            tracking=self.tracking,
            lookups=self.lookups,
            requests=self.requests,
            clock=self.now,
        )

    def now(self) -> float:
        return self.clock()

    def ids(self, item_id: int = 7, **more: Any) -> dict[str, Any]:
        return {
            "queue_id": "default",
            "item_id": item_id,
            "batch_id": self.batch_id,
            "session_id": f"session-{item_id}",
            "origin": "darkroom",
            "destination": f"step:{self.step_id}",
            "user_id": "system",
            **more,
        }

    def offer(self, name: str, payload: Any) -> None:
        """As the socket does."""
        self.consumer.offer(name, msgspec.json.encode(payload))

    async def receive(self, name: str, item_id: int = 7, **more: Any) -> None:
        await self.consumer.apply(socket_event(name, self.ids(item_id, **more)))

    async def status(self, word: str, sequence: int | None, item_id: int = 7, **more: Any) -> None:
        await self.receive("queue_item_status_changed", item_id, status=word, status_sequence=sequence, **more)

    async def read(
        self, item_id: int = 7, *, seed: int | None = None, across_reconnect: bool = False, **more: Any
    ) -> None:
        values = [] if seed is None else [{"node_path": "seed", "field_name": "value", "value": seed}]
        item = answered({**self.ids(item_id), "field_values": values, **more}, QueueItem)
        await self.consumer.apply(Reading(item, across_reconnect))

    async def read_summary(self, item_id: int, **more: Any) -> None:
        await self.consumer.apply(Reading(answered({**self.ids(item_id), **more}, ItemSummary)))

    async def until_waiting_for_a_lock(self, waiting: int = 1) -> None:
        async with self.database.connection() as connection:
            await until_waiting_for_a_lock(connection, waiting)

    async def row(self, item_id: int = 7) -> Mapping[str, Any] | None:
        async with self.database.connection() as connection:
            return await connection.fetchrow("SELECT * FROM queue_items WHERE item_id = $1", item_id)

    async def step(self) -> Mapping[str, Any]:
        async with self.database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM generation_steps WHERE id = $1", self.step_id)
        assert row is not None
        return row

    async def published(self) -> list[dict[str, Any]]:
        """What the browser was told so far."""
        messages = []
        async with asyncio.timeout(30):
            self.hub.publish("item.updated", MARK)
            while True:
                message = await next_message(self.feed)
                if message["data"].get("item_id") == -99:
                    return messages
                messages.append(message)


EMPTY = msgspec.convert(
    {
        "total": {"expected": 0, "made": 0, "retrieved": 0, "waiting": 0, "failed": 0, "gone": 0, "home": True},
        "backends": {},
    },
    Ledger,
)
MARK = Item(
    backend_id=uuid4(),
    item_id=-99,
    batch_id="mark",
    step_id=None,
    ordinal=None,
    status="completed",
    error=None,
    created_at=None,
    started_at=None,
    completed_at=None,
    progress=None,
    photo_ids=[],
)


async def consumer_harness(database: Database, **batch: Any) -> ConsumerHarness:
    """A backend, and a step of two seeds whose batch InvokeAI took."""
    async with database.connection() as connection:
        backend_id = await add_backend(connection)
        step_id = await add_step(connection, await add_session(connection), batch_size=2, backend_id=backend_id)
        values = {"wanted": 2, "seeds": [41, 42], "state": "enqueued", "enqueued": 2, "answered_at": AT, **batch}
        batch_id = await add_batch(connection, step_id, backend_id, **values)
    return ConsumerHarness(database, backend_id, step_id, batch_id)


def absence(seconds: float) -> Absence:
    """Of a reading begun so long after the batch was answered, a gallery reading not long before it."""
    return Absence(began_at=seconds, known_at=seconds, after_answer=seconds >= 0, gallery_read_from=seconds - 5)
