"""One backend's lane: its submissions and, beside them, its cancels (rule 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.studio import batches, decide
from service.studio.batches import Batch
from service.studio.cancellation import Cancellation
from service.studio.connections import Connections, client_of
from service.studio.posting import Posting, Progress
from service.waiting import happened

log = structlog.get_logger()

IDLE = 30.0
"""Seconds between looks at the tables when nothing asks for one."""
SEEN_LIMIT = 10_000

Turn = Callable[[InvokeClient], Awaitable[float | None]]


class Lane:
    """One backend's submissions and, beside them, its cancels: a slow backend holds up nobody else, a slow POST no
    cancel."""

    def __init__(self, backend_id: UUID, database: Database, connections: Connections, posting: Posting) -> None:
        self.backend_id = backend_id
        self._database = database
        self._connections = connections
        self._posting = posting
        self._cancellation = Cancellation(backend_id, database, connections)
        self._to_submit = asyncio.Event()
        self._to_cancel = asyncio.Event()
        self._seen: set[str] = set()
        self._doubtful: set[str] = set()
        """Batches that were sent or asked for, and whose fate is not known yet."""
        self._asked: dict[str, int] = {}
        self._ask_at: dict[str, float] = {}
        self._held = 0
        self._held_until = 0.0
        self._unready: dict[str, tuple[float, int]] = {}
        """When a batch that alone could not be sent is tried again, and how often it was."""
        self._tasks = [
            asyncio.create_task(self._keep_on(self._submit, self._to_submit), name=f"submit {backend_id}"),
            asyncio.create_task(self._keep_on(self._cancel, self._to_cancel), name=f"cancel {backend_id}"),
        ]

    def wake(self) -> None:
        """Something may be possible now that was not before."""
        self._held_until = 0.0
        self._unready = {batch_id: (0.0, tries) for batch_id, (_, tries) in self._unready.items()}
        self._to_submit.set()
        self._to_cancel.set()

    def batch_seen(self, batch_id: str) -> None:
        if len(self._seen) < SEEN_LIMIT:
            self._seen.add(batch_id)
            self._cancellation.batch_seen(batch_id)
        self._to_submit.set()
        self._to_cancel.set()

    async def close(self) -> None:
        """What is out now stays posted, and is asked for at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_on(self, turn: Turn, woken: asyncio.Event) -> None:
        """Turn after turn: at once when there is more to do, else when woken or when the next is due."""
        failures = 0
        while True:
            woken.clear()
            pause: float | None = None
            try:
                client = client_of(self._connections, self.backend_id)
                if client is not None:
                    pause = await turn(client)
                failures = 0
            except Exception:
                log.exception("submission_failed", backend=str(self.backend_id))
                failures += 1
                pause = decide.gap(failures)
            await happened(woken, IDLE if pause is None else min(pause, IDLE))

    async def _cancel(self, client: InvokeClient) -> float | None:
        return await self._cancellation.turn(client)

    async def _submit(self, client: InvokeClient) -> float | None:
        """Asks for what is in doubt and due, then sends the next prepared batch."""
        async with self._database.connection() as connection:
            open_batches = await batches.open_batches(connection, self.backend_id)
        self._forget_all_but({batch.batch_id for batch in open_batches})
        doubtful = [batch for batch in open_batches if batch.state == "posted" or self._is_seen(batch)]
        settled = [batch for batch in doubtful if await self._ask_if_due(client, batch)]
        if settled:
            return 0
        prepared = [batch for batch in open_batches if batch not in doubtful]
        waits = list(self._ask_at.values())
        if prepared:
            batch = min(prepared, key=self._ready_at)  # of those that are ready, the oldest
            due = max(self._held_until, self._ready_at(batch))
            if self._now() >= due:
                await self._send(client, batch)
                return 0
            waits.append(due)
        return max(0.0, min(waits) - self._now()) if waits else None

    def _ready_at(self, batch: Batch) -> float:
        """When it may be tried; 0 where nothing speaks against it."""
        at, _ = self._unready.get(batch.batch_id, (0.0, 0))
        return at if at > self._now() else 0.0

    async def _send(self, client: InvokeClient, batch: Batch) -> None:
        self._doubtful.add(batch.batch_id)
        progress = await self._posting.send(client, batch)
        self._to_cancel.set()  # Its step may have been canceled while the POST was out.
        if progress is Progress.UNREADY:
            _, tries = self._unready.get(batch.batch_id, (0.0, 0))
            self._unready[batch.batch_id] = self._now() + decide.gap(tries + 2), tries + 1
        elif progress is Progress.HELD:
            self._held_until = self._now() + decide.gap(self._held + 2)
            self._held += 1
        else:
            self._held = 0

    async def _ask_if_due(self, client: InvokeClient, batch: Batch) -> bool:
        """True when its fate is known now."""
        if self._ask_at.get(batch.batch_id, 0.0) > self._now() and batch.batch_id not in self._seen:
            return False
        self._doubtful.add(batch.batch_id)
        if await self._posting.ask(client, batch, seen=lambda: self._is_seen(batch)) is Progress.OPEN:
            asked = self._asked[batch.batch_id] = self._asked.get(batch.batch_id, 0) + 1
            deadline = self._posting.deadline(client, batch)
            self._ask_at[batch.batch_id] = self._now() + decide.question_gap(asked, self._now(), deadline)
            return False
        self._to_cancel.set()
        return True

    def _is_seen(self, batch: Batch) -> bool:
        return batch.seen or batch.batch_id in self._seen

    def _forget_all_but(self, open_ids: set[str]) -> None:
        self._seen &= open_ids
        self._posting.forget(self._doubtful - open_ids)
        self._doubtful &= open_ids
        for batch_id in self._asked.keys() - open_ids:
            del self._asked[batch_id]
            self._ask_at.pop(batch_id, None)
        for batch_id in self._unready.keys() - open_ids:
            del self._unready[batch_id]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
