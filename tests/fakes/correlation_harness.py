"""Correlation with what it needs and no more: a real database, a scripted InvokeAI, a registry with one backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from service.backends import queries
from service.backends.connection import BackendConnection
from service.backends.registry import Registry
from service.backends.resources import resources
from service.backends.schemas import BackendPatch
from service.bus.bus import Bus
from service.bus.live_state import Ledger
from service.bus.previews import Previews
from service.database.engine import Database
from service.live.announce import Announcer, Readers
from service.live.hub import Hub
from service.runtime.supervisor import Supervisor
from tests.fakes import batches
from tests.fakes.rows import add_backend, add_batch, add_session, add_step
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.waiting import eventually

Json = dict[str, Any]
PATIENCE = 15


async def _nothing(ids: Sequence[UUID]) -> dict[UUID, Any]:
    return {}


async def _no_ledger() -> Ledger:
    zero = {"expected": 0, "made": 0, "retrieved": 0, "waiting": 0, "failed": 0, "gone": 0, "home": True}
    return msgspec.convert({"total": zero, "backends": {}}, Ledger)


class CorrelationHarness:
    """`ours` posts a batch of a step of ours, `theirs` one of somebody else's; `until` waits for the database."""

    def __init__(
        self,
        database: Database,
        invokeai: ScriptedInvokeAI,
        registry: Registry,
        backend_id: UUID,
        supervisor: Supervisor,
        hub: Hub,
        bus: Bus,
    ) -> None:
        self.database = database
        self.hub = hub
        self.bus = bus
        self.supervisor = supervisor
        self.invokeai = invokeai
        self.registry = registry
        self.backend_id = backend_id
        self.seen_batches: list[str] = []
        bus.batch_seen.listen(lambda backend_id, batch_id: self.seen_batches.append(batch_id))

    @property
    def connection(self) -> BackendConnection:
        connection = self.registry.get(self.backend_id)
        assert connection is not None
        return connection

    async def patch(self, **values: Any) -> None:
        """Changes the backend as its API does."""
        async with self.database.connection() as connection:
            await queries.patch(connection, self.backend_id, BackendPatch(**values))
        await self.registry.reload()

    def restarts(self, task: str) -> int:
        """How often the task whose name ends so has failed and begun again."""
        return sum(report.restarts for report in self.supervisor.report() if report.name.endswith(task))

    async def step(self, seeds: Sequence[int] = (1,), **batch: Any) -> tuple[UUID, str]:
        """A step with one batch, as the submitter leaves it after InvokeAI's answer."""
        async with self.database.transaction() as connection:
            session = await add_session(connection)
            step = await add_step(connection, session, batch_size=len(seeds), backend_id=self.backend_id)
            values = {"wanted": len(seeds), "seeds": list(seeds), "state": "enqueued", "enqueued": len(seeds), **batch}
            batch_id = await add_batch(connection, step, self.backend_id, **values)
            await connection.execute("UPDATE step_batches SET answered_at = now() WHERE batch_id = $1", batch_id)
        return step, batch_id

    async def post(self, graph: Json, step: UUID, batch_id: str, **options: Any) -> list[int]:
        """InvokeAI gets the batch; the ids of its items, oldest first."""
        options = {"origin": "darkroom", "destination": f"step:{step}", "batch_id": batch_id, **options}
        answer = await self.invokeai.enqueue(batches.batch(graph, **options))
        return sorted(answer["item_ids"])

    async def enqueue_own(self, graph: Json, *, items: int = 1) -> tuple[UUID, list[int]]:
        step, batch_id = await self.step(range(items))
        return step, await self.post(graph, step, batch_id, runs=items)

    async def enqueue_foreign(self, graph: Json, **options: Any) -> list[int]:
        answer = await self.invokeai.enqueue(batches.batch(graph, origin="webui", destination="gallery", **options))
        return sorted(answer["item_ids"])

    async def fetch(self, query: str, *values: Any) -> list[Mapping[str, Any]]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(query, *values))

    async def until(self, met: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
        await eventually(met, seconds)

    async def until_step(self, step: UUID, status: str) -> Mapping[str, Any]:
        """The step once it has that status; tells what it had instead."""
        row: Mapping[str, Any] = {}

        async def met() -> bool:
            nonlocal row
            [row] = await self.fetch("SELECT * FROM generation_steps WHERE id = $1", step)
            return bool(row["status"] == status)

        try:
            await self.until(met)
        except TimeoutError:
            items = await self.fetch("SELECT item_id, status, error, settled_at, absent_since FROM queue_items")
            raise AssertionError(f"{row['status']}, not {status}: {row['error_message']}; {items}") from None
        return row

    async def until_photos(self, count: int) -> list[Mapping[str, Any]]:
        """All photos, oldest first, once there are that many."""

        async def met() -> bool:
            return len(await self.fetch("SELECT id FROM photos")) >= count

        await self.until(met)
        photos = await self.fetch(
            "SELECT p.*, a.step_id FROM photos p LEFT JOIN step_alternatives a ON a.photo_id = p.id ORDER BY p.id"
        )
        assert len(photos) == count
        return photos

    async def until_connected(self) -> None:
        async def met() -> bool:
            read = self.connection.queue_reader.read_from and self.connection.gallery.read_from
            return self.connection.state == "connected" and read is not None

        await self.until(met)


@asynccontextmanager
async def correlation_harness(
    database: Database, invokeai: ScriptedInvokeAI, *, credentials: Json | None = None, **backend: Any
) -> AsyncIterator[CorrelationHarness]:
    """Connected, its queue and gallery read; the InvokeAI is started already."""
    async with database.connection() as connection:
        url = f"http://{invokeai.host}:{invokeai.port}"
        logins = msgspec.json.encode({url: credentials} if credentials else {}).decode()
        backend_id = await add_backend(connection, url=url, logins=logins, **backend)
    supervisor = Supervisor()
    hub, bus = Hub("test"), Bus()
    async with aiohttp.ClientSession() as http:
        registry = Registry(
            database=database,
            bus=bus,
            previews=Previews(),
            supervisor=supervisor,
            http=http,
            timeout=5,
            watched=lambda: hub.watched,
        )
        readers = Readers(_nothing, _nothing, _nothing, _nothing, _no_ledger, partial(resources, database, registry))
        harness = CorrelationHarness(database, invokeai, registry, backend_id, supervisor, hub, bus)
        await registry.reload()
        supervisor.start("announcer", Announcer(hub, readers, bus).run)
        try:
            await harness.until_connected()
            yield harness
        finally:
            await registry.stop()
            await supervisor.aclose()
