"""The task that watches one pod: reads it, starts it for work, and stops it when it is idle and all is home.

Each decision is made by `decide`, of a row that is locked, and written before anything is sent. An order is written,
committed, marked as sent, committed, and only then sent, once; readings tell what it did. A kill at any moment leaves a
row from which the next process goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import aiohttp
import structlog

from service.backends.connection import Parked
from service.backends.registry import Registry
from service.bus.bus import Bus
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Connection, Database
from service.media.identity import new_id
from service.pods import decide, rows
from service.pods.decide import Facts
from service.pods.kinds import provider_for
from service.pods.proof import Interrupted, NotHome, is_quiet, look_home
from service.pods.provider import Later, NotKnown, Outcome, PodReading, Provider, ProviderAway
from service.pods.rows import Configured, OrderKind, PodRow
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

PRESSING, QUIET = 10.0, 60.0
"""Seconds between two readings: while something is under way, and otherwise."""
LONGEST_WAIT: Final = 600.0
"""Seconds that a provider may ask us to wait."""
CALL_TIMEOUT: Final = 150.0
"""Seconds for one call of a provider, which ends by itself within about a minute."""
TICK, QUIET_TICK = 1.0, 5.0
"""Seconds between two turns when nothing wakes it: while the pod runs or is about to, and otherwise."""
ENDS_WITHIN: Final = 15.0
"""Seconds from the order to stop until InvokeAI is gone, if the order is carried out."""
UNSENT: Final = "a step waits to be sent to it"
LOGGED: Final = frozenset({"state", "words", "alarm", "stop_refused", "wanted"})
SILENT: Final = frozenset({"read_at", "run_cost"})
"""Columns that change with each reading. Browsers are not told of these alone."""

Change = Callable[[PodRow, datetime], PodRow]


class PodChanged(Exception):
    """The row is gone, or names another pod: this watch is over."""


class Watch:
    """Watches one pod. `run` has to be supervised. Nothing that its provider does delays another pod."""

    def __init__(
        self,
        configured: Configured,
        database: Database,
        registry: Registry,
        bus: Bus,
        http: aiohttp.ClientSession,
        *,
        settings: RuntimeSettings,
    ) -> None:
        self.configured = configured
        self.backend_id = configured.backend_id
        self._database = database
        self._registry = registry
        self._bus = bus
        self._http = http
        self._settings = settings
        self._tick = TICK
        self._ordered_at: float | None = None
        self._woken = asyncio.Event()
        self._interrupted = False
        self._read_at: float | None = None
        """When the provider was last asked, on the process's monotonic clock."""
        self._read_in = 0.0
        self._not_before = 0.0
        """The provider is not asked before then, because it said so (429)."""
        self._said: PodReading | None = None
        self._away: str | None = None
        self._away_since: float | None = None
        self._ready_at = time.monotonic()
        self._proved = False
        self._unsent_since: float | None = None
        self._moved: object = None
        self._checked_at = time.monotonic()

    def wake(self, *, read: bool = False, interrupt: bool = False) -> None:
        """Its row, its work or its server has changed. `read`: the provider is asked first."""
        if read:
            self._read_in = 0.0
        self._interrupted |= interrupt
        self._woken.set()

    def follow(self, configured: Configured | None) -> bool:
        """Takes over a new name, and whether it is switched on; False if another watch is needed, or none."""
        mine = self.configured
        if configured is None or (configured.kind, configured.mark) != (mine.kind, mine.mark):
            return False
        self.configured = configured
        return True

    async def run(self) -> None:
        try:
            provider = provider_for(self.configured.kind, self.configured.provider, http=self._http)
        except ValueError as error:
            await self._cannot_be_asked(str(error))
            return
        try:
            await self._change(decide.after_restart)
            while True:
                self._woken.clear()
                self._interrupted = False
                await self._turn(provider)
                await wait_for_event(self._woken, self._tick)
        except PodChanged:
            log.info("pod_no_longer_watched", backend=self.configured.name)
        finally:
            await provider.close()

    async def _cannot_be_asked(self, words: str) -> None:
        self._away, self._away_since = words, self._away_since or time.monotonic()
        facts = await self._facts()
        await self._change(lambda row, now: decide.turn(row, facts, now, new_id()))

    async def _turn(self, provider: Provider) -> None:
        if self._is_reading_due():
            await self._read(provider)
        row, now, facts = await self._decide()
        if self._away is not None or self._said is None or time.monotonic() < self._not_before:
            return
        kind = decide.unsent_order(row)
        if kind is not None:
            await self._send(provider, row, kind)
        elif decide.needs_proof(row, facts, now) or (self._is_check_due() and decide.may_stop(row, now)):
            await self._stop_when_home(provider)

    # --- the row ---

    async def _change(self, change: Change) -> tuple[PodRow, datetime]:
        """Writes `change` and returns the new row and the time. `change` is called again once the row is locked. Raises
        PodChanged."""
        async with self._database.connection() as connection:
            before, now = self._mine(await rows.read(connection, self.backend_id))
        after = change(before, now)
        if after != before:
            async with self._database.transaction() as connection:
                before, now = self._mine(await rows.lock(connection, self.backend_id))
                after = change(before, now)
                await rows.write(connection, before, after)
        self._tell(before, after)
        return after, now

    def _mine(self, found: tuple[PodRow, datetime] | None) -> tuple[PodRow, datetime]:
        """Raises PodChanged if the row names another pod: what was decided for the former one is not written
        into it."""
        if found is None or found[0].mark != self.configured.mark:
            raise PodChanged
        return found

    def _tell(self, before: PodRow, after: PodRow) -> None:
        changed = [name for name in rows.COLUMNS if getattr(before, name) != getattr(after, name)]
        if LOGGED.intersection(changed):
            log.info("pod", backend=self.configured.name, **{name: getattr(after, name) for name in sorted(LOGGED)})
        why = decide.parked(after)
        self._registry.park(self.backend_id, Parked(why, decide.was_home(after)) if why is not None else None)
        if SILENT.issuperset(changed):
            return
        self._bus.backend_changed(self.backend_id)
        if before.held_at is not None and after.held_at is None:
            self._bus.submission_due()

    async def _facts(self) -> Facts:
        async with self._database.connection() as connection:
            work = await rows.newest_work(connection, self.backend_id)
        server = self._registry.get(self.backend_id)
        ready, now = server is not None and server.state == "connected", time.monotonic()
        if ready:
            self._ready_at = now
        is_unsent = work is not None and ready and not self._is_at_work()
        self._unsent_since = (self._unsent_since or now) if is_unsent else None
        return Facts(
            work=work,
            unsent_for=now - self._unsent_since if self._unsent_since is not None else 0.0,
            ready=ready,
            away_for=None if ready else now - self._ready_at,
            provider_away=self._away,
            provider_away_for=now - self._away_since if self._away_since is not None else 0.0,
            exists=self._said is None or self._said.exists,
            port_declared=self._said is None or self._said.port_declared,
            enabled=self.configured.enabled,
            proved=self._proved,
        )

    async def _decide(self) -> tuple[PodRow, datetime, Facts]:
        facts, order_id = await self._facts(), new_id()
        busy, moved = self._is_busy(facts), self._has_moved()

        def decided(row: PodRow, now: datetime) -> PodRow:
            turned = decide.turn(decide.taken_back(row, now), facts, now, order_id)
            return decide.idle(turned, now, busy=busy, moved=moved)

        row, now = await self._change(decided)
        if row.wanted != "stopped" or (facts.ready and self._is_long_since_order()):
            self._proved = False
        pressing = decide.is_pressing(row)
        if pressing:
            self._read_in = min(self._read_in, PRESSING)
        self._tick = TICK if pressing or row.said == "running" else QUIET_TICK
        return row, now, facts

    def _is_long_since_order(self) -> bool:
        return self._ordered_at is not None and time.monotonic() - self._ordered_at > ENDS_WITHIN

    # --- the provider ---

    def _is_reading_due(self) -> bool:
        if time.monotonic() < self._not_before:
            return False
        return self._read_at is None or time.monotonic() - self._read_at >= self._read_in

    async def _read(self, provider: Provider) -> None:
        self._read_at, self._read_in = time.monotonic(), QUIET
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                said = await provider.read()
        except (ProviderAway, TimeoutError) as error:
            self._away = error.words if isinstance(error, ProviderAway) else "it did not answer"
            self._away_since = self._away_since or self._read_at
            self._read_at, self._read_in = time.monotonic(), PRESSING
            self._wait_as_asked(error.seconds if isinstance(error, ProviderAway) else None)
            return
        before = self._said
        self._said, self._away, self._away_since = said, None, None
        if said.state == "running" and (before is None or before.state != "running"):
            self._ready_at = time.monotonic()
        facts = await self._facts()
        await self._change(lambda row, now: decide.after_reading(row, said, facts, now))

    def _wait_as_asked(self, seconds: float | None) -> None:
        if seconds is not None:
            self._not_before = time.monotonic() + min(seconds, LONGEST_WAIT)

    async def _send(self, provider: Provider, row: PodRow, kind: OrderKind) -> None:
        """Sends the order once, unless something else is wanted by now."""
        order_id = row.order_id
        marked = False

        def mark(row: PodRow, now: datetime) -> PodRow:
            nonlocal marked
            marked = row.order_id == order_id and decide.unsent_order(row) == kind
            return decide.sent(row, now) if marked else row

        row, _ = await self._change(mark)
        if not marked:
            return
        log.info("pod_ordered", backend=self.configured.name, order=kind, number=row.orders)
        self._ordered_at = time.monotonic()
        outcome = await self._answer(provider, kind)
        log.info("pod_answered", backend=self.configured.name, order=kind, outcome=type(outcome).__name__)
        self._wait_as_asked(outcome.seconds if isinstance(outcome, Later) else None)
        facts = await self._facts()
        await self._change(
            lambda row, now: decide.after_outcome(row, outcome, facts, now) if row.order_id == order_id else row
        )
        self.wake(read=True)

    async def _answer(self, provider: Provider, kind: OrderKind) -> Outcome:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await (provider.start() if kind == "start" else provider.stop())
        except TimeoutError:
            return NotKnown("its provider did not answer")

    # --- idle, and then home ---

    def _is_busy(self, facts: Facts) -> bool:
        """Something is in its queue, of anybody, or is to be submitted. A browser can have one of its live items open
        only while that item is in the queue."""
        return facts.work is not None or (facts.ready and self._is_at_work())

    def _is_at_work(self) -> bool:
        server = self._registry.get(self.backend_id)
        if server is None:
            return False
        queue, tracking = server.queue, server.tracking
        return bool(queue.pending or queue.in_progress or tracking.ours_live or tracking.foreign_live)

    def _has_moved(self) -> bool:
        """Whether an event, a reading or an image told of work since this was last asked."""
        server = self._registry.get(self.backend_id)
        moved = server.moved if server is not None else None
        before, self._moved = self._moved, moved
        return before is not None and moved is not None and moved != before

    def _is_check_due(self) -> bool:
        """Whether `idle_check_seconds` have passed since the last check."""
        now = time.monotonic()
        if now - self._checked_at < self._settings.current.idle_check_seconds:
            return False
        self._checked_at = now
        return True

    async def _stop_when_home(self, provider: Provider) -> None:
        """Stopped only when home: submissions are held, everything is read, and the stop is ordered only when all is
        home. It is sent at once, since the proof is about that moment."""
        held, _ = await self._change(decide.hold)
        found: NotHome | Interrupted | PodRow | None = await self._look(held)
        if found is None:
            found = await self._order_stop()
        match found:
            case NotHome(words, certain):
                log.info("pod_not_stopped", backend=self.configured.name, why=words)
                await self._change(lambda row, now: decide.refuse_stop(row, words, now, certain=certain))
            case Interrupted():
                await self._change(lambda row, _: decide.release(row))
            case PodRow() if decide.unsent_order(found) == "stop":
                # The database may have been slow. If the order is not sent now, the next turn takes it back.
                if is_quiet(self._registry.get(self.backend_id)):
                    await self._send(provider, found, "stop")
            case PodRow():
                await self._change(lambda row, _: decide.release(row))

    async def _look(self, held: PodRow) -> NotHome | Interrupted | None:
        objection = decide.root_objection(held)
        if objection is not None:
            return NotHome(objection, certain=True)
        async with self._database.connection() as connection:
            if await self._has_unsent(connection, held):
                return NotHome(UNSENT, certain=True)
        return await look_home(self._registry, self._database, self.backend_id, interrupted=lambda: self._interrupted)

    async def _has_unsent(self, connection: Connection, row: PodRow) -> bool:
        """Whether anything is to be submitted. Work that came after the first order to stop waits until the pod has
        stopped, and starts it again."""
        return row.orders == 0 and await rows.has_unsent(connection, self.backend_id)

    async def _order_stop(self) -> NotHome | PodRow:
        """Writes the stop, unless something is to be submitted by now, or the pod is not to be stopped any more."""
        order_id = new_id()
        async with self._database.transaction() as connection:
            before, now = self._mine(await rows.lock(connection, self.backend_id))
            if await self._has_unsent(connection, before):
                return NotHome(UNSENT, certain=True)
            after = decide.proved_home(before, now, order_id)
            await rows.write(connection, before, after)
        self._proved = after.order_id == order_id
        self._tell(before, after)
        return after
