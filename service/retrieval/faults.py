"""Whose fault a failed download is (rule 9): the photo's, which costs it an attempt, or its backend's or our disk's."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from service.errors import (
    DatabaseAway,
    InvokeConflict,
    InvokeError,
    InvokeFailed,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnauthorized,
    InvokeUnreachable,
)
from service.invokeai.client import InvokeClient
from service.retrieval.queue import Claimed

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
CONFLICT_DELAY = 10.0
BENEFIT_OF_DOUBT = 3600.0
"""Seconds for which a backend that answers, but fails one photo after the other, is blamed instead of them: two photos
broken for good must end as failed some time, or the backend is never home (rule 10)."""
IN_A_ROW = 600.0
"""Seconds after which a failure is no longer in a row with the one before."""


class StorageTrouble(Exception):
    """Our own disk's trouble: full, read-only, gone. It says nothing of photo or backend."""


@dataclass(frozen=True)
class Gone:
    """InvokeAI has deleted the image."""

    reason: str


@dataclass(frozen=True)
class Failure:
    """A failure that counts."""

    reason: str


@dataclass(frozen=True)
class Postponed:
    """Costs no attempt; the photo is due again after `delay` seconds, once its backend is not paused."""

    reason: str
    delay: float = 0.0


Verdict = Gone | Failure | Postponed


@dataclass
class _Pause:
    until: float = 0.0
    length: float = FIRST_PAUSE


@dataclass
class _Suspicion:
    """An unbroken row of 5xx, web pages and timeouts from a backend that otherwise answers."""

    photo_id: UUID
    since: float
    last: float


class Faults:
    """Remembers, per backend, what went wrong in a row, and how long to leave it in peace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[UUID | None, _Pause] = {}
        self._suspicions: dict[UUID, _Suspicion] = {}

    def pause_left(self, backend_id: UUID) -> float:
        """Seconds during which nothing of this backend's should be claimed; 0 when it may be."""
        ends = [pause.until for key in (backend_id, None) if (pause := self._pauses.get(key))]
        return max(0.0, max(ends, default=0.0) - self._clock())

    def succeeded(self, backend_id: UUID) -> None:
        """A photo came home: backend and disk are well."""
        self.reconnected(backend_id)
        self._pauses.pop(None, None)

    def reconnected(self, backend_id: UUID) -> None:
        """What was held against the backend before no longer counts."""
        self._pauses.pop(backend_id, None)
        self._suspicions.pop(backend_id, None)

    async def judge(self, claimed: Claimed, error: Exception, client: InvokeClient) -> Verdict:
        """What follows from the error, asking InvokeAI where that decides it."""
        reason = str(error) or type(error).__name__
        if isinstance(error, InvokeUnreachable | InvokeUnauthorized):
            self._pause(claimed.backend_id)
            return Postponed(reason)
        if isinstance(error, InvokeFailed | InvokeNoSuchRoute | InvokeInterrupted):
            return await self._judge_suspicious(claimed, reason, client)
        if isinstance(error, StorageTrouble | DatabaseAway):
            self._pause(None)
            return Postponed(reason)
        if isinstance(error, InvokeRefused) and not await self._is_well(claimed.backend_id, client):
            # A gateway before it that wants a login, or to be paid, refuses whatever is asked for.
            return Postponed(reason)
        return await self._judge_proper(claimed, error, reason, client)

    async def _judge_proper(self, claimed: Claimed, error: Exception, reason: str, client: InvokeClient) -> Verdict:
        """The backend gave this photo a proper answer, so the row of suspicious ones is broken."""
        self._suspicions.pop(claimed.backend_id, None)
        if isinstance(error, InvokeConflict):
            return Postponed(reason, CONFLICT_DELAY * random.uniform(0.75, 1.25))
        if isinstance(error, InvokeNotFound):
            return await self._judge_missing(claimed, client)
        return Failure(reason)

    async def _judge_missing(self, claimed: Claimed, client: InvokeClient) -> Verdict:
        """InvokeAI commits a record before it writes the file: only a missing record means deleted."""
        try:
            await client.image(claimed.image_name)
        except InvokeNotFound:
            return Gone("InvokeAI no longer has this image: it was deleted there")
        except InvokeError as error:
            return await self.judge(claimed, error, client)
        return Failure("InvokeAI has the record of this image, but not its file")

    async def _judge_suspicious(self, claimed: Claimed, reason: str, client: InvokeClient) -> Verdict:
        now = self._clock()
        before = self._suspicions.get(claimed.backend_id)
        if before and now - before.last > IN_A_ROW:
            before = None
        self._suspicions[claimed.backend_id] = _Suspicion(claimed.id, before.since if before else now, now)
        if not await self._is_well(claimed.backend_id, client):
            return Postponed(reason)
        if before and before.photo_id != claimed.id and now - before.since < BENEFIT_OF_DOUBT:
            self._pause(claimed.backend_id)
            return Postponed(reason)
        return Failure(reason)

    async def _is_well(self, backend_id: UUID, client: InvokeClient) -> bool:
        """Whether it tells at least its version; one that does not is left in peace."""
        try:
            await client.version()
        except InvokeError:
            self._suspicions.pop(backend_id, None)
            self._pause(backend_id)
            return False
        return True

    def _pause(self, key: UUID | None) -> None:
        """Twice as long as the last; photos that fail together extend nothing."""
        pause = self._pauses.setdefault(key, _Pause())
        if pause.until > self._clock():
            return
        pause.until = self._clock() + pause.length * random.uniform(0.75, 1.25)
        pause.length = min(pause.length * 2, LONGEST_PAUSE)
