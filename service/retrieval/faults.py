"""Whose fault a failed download is (rule 9): the photo's, which costs it an attempt, or that of server, path, disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from service.errors import (
    DatabaseAway,
    InvokeAnswered,
    InvokeConflict,
    InvokeError,
    InvokeNotFound,
    InvokeUnauthorized,
    InvokeUnreachable,
)
from service.invokeai.client import InvokeClient
from service.media.ingest import StorageTrouble
from service.media.png import Damaged
from service.retrieval.control import Control
from service.retrieval.evidence import Evidence
from service.retrieval.missing import Look, Missing, is_recorded
from service.retrieval.queue import Claimed

CONFLICT_DELAY, UNSTEADY_DELAY = 10.0, 10.0
FILES_DAMAGED, FILES_FAILING = "files_damaged", "files_failing"
ANSWERS_WRONGLY, IMAGES_MISSING = "answers_wrongly", "images_missing"
"""Codes of a server's troubles (api.md)."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds."""

    first_pause: float = 2.0
    longest_pause: float = 60.0
    """Between two tries while nothing comes from a server."""
    doubt: float = 3600.0
    """For each photo beyond the first that fails in a row on a server none of whose images can be compared, the server
    is blamed for so long: two photos broken for good must end as failed some time, or it is never home (rule 10)."""
    longest_doubt: float = 86_400.0
    in_a_row: float = 1200.0
    """After so long a failure is no longer in a row with the one before."""
    missing_gap: float = 180.0
    """Between the two looks that make a photo gone (rule 19)."""
    reconnect_gap: float = 60.0
    """At least, between two attempts of a failed photo that follow reconnects."""


@dataclass(frozen=True)
class Absent:
    """InvokeAI has other images and no record of this one: gone, when that was so some minutes ago already."""

    reason: str


@dataclass(frozen=True)
class Failure:
    """A failure that counts."""

    reason: str


@dataclass(frozen=True)
class Postponed:
    """Costs no attempt; the photo is due again after `delay` seconds, once its backend is not paused. `forget_missing`:
    that InvokeAI had no record of it proves nothing any more."""

    reason: str
    delay: float = 0.0
    forget_missing: bool = False


@dataclass(frozen=True)
class Unproved(Postponed):
    """InvokeAI has no record of the photo, and nothing there proves that it was deleted."""


Verdict = Absent | Failure | Postponed


@dataclass
class _Pause:
    until: float
    length: float


@dataclass
class _Row:
    """Failures of one server's files since one last came whole."""

    since: float
    last: float
    failures: dict[UUID, int] = field(default_factory=dict)
    """How many, by photo."""


class Faults:
    """Remembers, per backend, what went wrong in a row, and for how long to ask it for nothing.

    `trouble` is told what to show on the server's card, by code, and None when that has ended; `healed` is told when
    files come whole again.
    """

    def __init__(
        self,
        evidence: Evidence,
        trouble: Callable[[UUID, str, str | None], None],
        healed: Callable[[UUID], None],
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._evidence = evidence
        self._trouble = trouble
        self._healed = healed
        self._timing = timing
        self._clock = clock
        self._control = Control(evidence, clock)
        self._missing = Missing(evidence, clock)
        self._pauses: dict[UUID | None, _Pause] = {}
        self._rows: dict[UUID, _Row] = {}
        self._blamed: set[UUID] = set()
        """Servers whose card says that files do not come."""
        self._wrong: set[UUID] = set()
        """Those whose card says that something other than InvokeAI answers."""
        self._unproved: dict[UUID, dict[UUID, int]] = {}
        """By server, the photos whose absence nothing there proves, and how often each was looked for."""

    # --- pauses ---

    def pause_left(self, backend_id: UUID) -> float:
        """Seconds during which nothing of this backend's should be claimed; 0 when it may be."""
        ends = [pause.until for key in (backend_id, None) if (pause := self._pauses.get(key))]
        return max(0.0, max(ends, default=0.0) - self._clock())

    def is_on_trial(self, backend_id: UUID) -> bool:
        """Whether one photo at a time tries if the backend is well again."""
        return backend_id in self._pauses

    def succeeded(self, backend_id: UUID, photo_id: UUID) -> None:
        """A photo came home: backend, path and disk are well."""
        self._pauses.pop(None, None)
        self._is_found(backend_id, photo_id)
        self._answers_well(backend_id)
        self._path_is_well(backend_id)

    def reconnected(self, backend_id: UUID) -> None:
        """It is tried at once, and its card begins anew. Failures in a row stay so: a socket that is lost again and
        again must not keep a broken photo from failing."""
        self._pauses.pop(backend_id, None)
        self._clear(backend_id)
        self._answers_well(backend_id)
        self.forget_missing(backend_id)

    def forget_missing(self, backend_id: UUID) -> None:
        """Which photos may be missing there is found out anew."""
        if self._unproved.pop(backend_id, None) is not None:
            self._trouble(backend_id, IMAGES_MISSING, None)

    @property
    def suspected(self) -> set[UUID]:
        """Servers whose card shows a trouble that only another download can end."""
        return self._blamed | self._wrong | set(self._unproved)

    # --- verdicts ---

    async def judge(self, claimed: Claimed, error: Exception, client: InvokeClient) -> Verdict:
        """What follows from the error, asking InvokeAI where that decides it."""
        reason = str(error) or type(error).__name__
        if isinstance(error, InvokeUnreachable | InvokeUnauthorized):
            self._pause(claimed.backend_id)
            return Postponed(reason)
        if isinstance(error, StorageTrouble | DatabaseAway):
            self._pause(None)
            return Postponed(reason)
        if isinstance(error, InvokeConflict):
            return Postponed(reason, CONFLICT_DELAY * random.uniform(0.75, 1.25))
        if not await self._is_well(claimed.backend_id, client):
            return Postponed(reason)
        if isinstance(error, InvokeNotFound):
            return await self._judge_missing(claimed, client)
        code = FILES_DAMAGED if isinstance(error, Damaged) else FILES_FAILING
        return await self._judge_file(claimed, code, reason, client)

    async def _is_well(self, backend_id: UUID, client: InvokeClient) -> bool:
        """Whether it tells at least its version. What answers anything else, such as a gateway that wants a login or
        has lost the server, says nothing of a photo."""
        try:
            await client.version()
        except InvokeError as error:
            self._pause(backend_id)
            if isinstance(error, InvokeAnswered):
                self._wrong.add(backend_id)
                words = f"Something other than InvokeAI answers here, so no image can be fetched: {error}"
                self._trouble(backend_id, ANSWERS_WRONGLY, words)
            return False
        self._answers_well(backend_id)
        return True

    def _answers_well(self, backend_id: UUID) -> None:
        if backend_id in self._wrong:
            self._wrong.discard(backend_id)
            self._trouble(backend_id, ANSWERS_WRONGLY, None)

    # --- no record, or no file ---

    async def _judge_missing(self, claimed: Claimed, client: InvokeClient) -> Verdict:
        """InvokeAI commits a record before it writes the file: only a missing record can mean deleted."""
        try:
            if await is_recorded(claimed.image_name, client):
                look = Look.RECORDED
            else:
                look = await self._missing.look(claimed, client)
        except InvokeError as error:
            return await self.judge(claimed, error, client)
        if look is Look.UNPROVED:
            return self._not_proved(claimed)
        self._is_found(claimed.backend_id, claimed.id)
        if look is Look.MISSING:
            return Absent("InvokeAI no longer has this image: it was deleted there")
        if look is Look.UNSTEADY:
            words = "InvokeAI says at one moment that it has an image, and at the next that it has not"
            return Postponed(words, UNSTEADY_DELAY, forget_missing=True)
        reason = "InvokeAI has the record of this image, but not its file"
        verdict = await self._judge_file(claimed, FILES_FAILING, reason, client)
        return (
            Postponed(verdict.reason, verdict.delay, forget_missing=True) if isinstance(verdict, Postponed) else verdict
        )

    def _not_proved(self, claimed: Claimed) -> Unproved:
        missing = self._unproved.setdefault(claimed.backend_id, {})
        missing[claimed.id] = looks = missing.get(claimed.id, 0) + 1
        words = (
            "InvokeAI knows neither the images that wait to be fetched nor any other that it made, by which it could be"
            " told that it is the same InvokeAI. If they were deleted there, say so; else they are asked for again."
        )
        self._trouble(claimed.backend_id, IMAGES_MISSING, words)
        longest = 60.0 if looks < 30 else 600.0
        delay = min(5.0 * 2 ** min(looks - 1, 10), longest) * random.uniform(0.75, 1.0)
        return Unproved("InvokeAI does not know this image, nor any other by which that could be proved", delay)

    def _is_found(self, backend_id: UUID, photo_id: UUID) -> None:
        """Something of this server is known again to be there, or this photo's absence is proved."""
        missing = self._unproved.get(backend_id, {})
        missing.pop(photo_id, None)
        if not missing:
            self.forget_missing(backend_id)

    # --- files ---

    async def _judge_file(self, claimed: Claimed, code: str, reason: str, client: InvokeClient) -> Verdict:
        """The photo's own fault where another image of the server comes whole, or where there is no other."""
        backend_id = claimed.backend_id
        row = self._note(claimed)
        if backend_id in self._blamed and self.pause_left(backend_id):
            return self._blame_path(claimed, code, reason)  # it began before that was known
        whole = await self._control.whole(claimed, client)
        if whole:
            self._path_is_well(backend_id)
            return Failure(reason)
        first = len(row.failures) == 1
        if whole is None and first and not await self._evidence.others_wait(backend_id, claimed.id):
            return Failure(reason)
        if self._clock() - row.since >= self._doubt(row, whole):
            self._pause(backend_id)
            return Failure(reason)
        if whole is None and first:
            # Others show whether it is alone in this; until then it waits by itself.
            pauses = self._timing.first_pause * 2 ** min(row.failures[claimed.id] - 1, 10)
            return Postponed(reason, min(pauses, self._timing.longest_pause))
        return self._blame_path(claimed, code, reason)

    def _note(self, claimed: Claimed) -> _Row:
        now = self._clock()
        row = self._rows.get(claimed.backend_id)
        if row is None or now - row.last > self._timing.in_a_row:
            row = self._rows[claimed.backend_id] = _Row(now, now)
        row.last = now
        row.failures[claimed.id] = row.failures.get(claimed.id, 0) + 1
        return row

    def _doubt(self, row: _Row, whole: bool | None) -> float:
        """The more photos fail, the less likely is each to be broken; a comparison leaves little doubt."""
        doubt = self._timing.doubt * max(1, len(row.failures) - 1)
        return self._timing.longest_doubt if whole is False else min(doubt, self._timing.longest_doubt)

    def _blame_path(self, claimed: Claimed, code: str, reason: str) -> Postponed:
        """Another photo tries next: this one may be broken besides."""
        self._pause(claimed.backend_id)
        words = {
            FILES_DAMAGED: "Image files arrive damaged from this server, whichever is fetched: something on the way"
            " changes them. They are tried again by themselves.",
            FILES_FAILING: "Image files cannot be fetched from this server, though it answers. They are tried again by"
            f" themselves. The last answer: {reason}",
        }[code]
        self._blame(claimed.backend_id, code, words)
        return Postponed(reason, self.pause_left(claimed.backend_id) + self._timing.first_pause / 2)

    def _blame(self, backend_id: UUID, code: str, words: str) -> None:
        self._blamed.add(backend_id)
        for one in (FILES_DAMAGED, FILES_FAILING):
            self._trouble(backend_id, one, words if one == code else None)

    def _path_is_well(self, backend_id: UUID) -> None:
        self._pauses.pop(backend_id, None)
        self._rows.pop(backend_id, None)
        if self._clear(backend_id):
            self._healed(backend_id)

    def _clear(self, backend_id: UUID) -> bool:
        """False when the card said nothing."""
        if backend_id not in self._blamed:
            return False
        self._blamed.discard(backend_id)
        for code in (FILES_DAMAGED, FILES_FAILING):
            self._trouble(backend_id, code, None)
        return True

    def _pause(self, key: UUID | None) -> None:
        """Twice as long as the last; photos that fail together extend nothing."""
        now, timing = self._clock(), self._timing
        pause = self._pauses.setdefault(key, _Pause(0.0, timing.first_pause))
        if pause.until > now:
            return
        pause.until = now + pause.length * random.uniform(0.75, 1.0)
        pause.length = min(pause.length * 2, timing.longest_pause)
