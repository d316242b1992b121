"""Decides whether a failed download is the photo's fault or that of server, path or disk (retrieval in the table)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from service.bus.bus import Bus
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
from service.retrieval.comparison import FileComparison
from service.retrieval.download import LargerThanRoom, TooLongForDisk
from service.retrieval.evidence import Evidence
from service.retrieval.missing import AbsenceCheck, Presence, is_recorded
from service.retrieval.queue import Claimed
from service.runtime.backoff import Backoff, backoff_seconds

DELAYS = {LargerThanRoom: 60.0, InvokeConflict: 10.0}
"""Seconds after which a photo is tried again whose trouble says nothing of others."""
UNSTEADY_DELAY = 10.0
FILES_DAMAGED, FILES_FAILING = "files_damaged", "files_failing"
ANSWERS_WRONGLY, IMAGES_MISSING = "answers_wrongly", "images_missing"
"""Codes of a server's troubles (api.md)."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds."""

    first_pause: float = 2.0
    longest_pause: float = 60.0
    """Seconds between two tries while nothing comes from a server, at most."""
    doubt: float = 3600.0
    """For each photo beyond the first that fails in a row on a server none of whose images can be compared, the server
    is blamed for so long: two photos broken for good must end as failed some time, or it is never home (ledger
    and home)."""
    longest_doubt: float = 86_400.0
    in_a_row: float = 1200.0
    """After so long a failure is no longer in a row with the one before."""
    missing_gap: float = 180.0
    """Seconds between the two looks that make a photo gone."""
    reconnect_gap: float = 60.0
    """At least, between two attempts of a failed photo that follow reconnects."""


@dataclass(frozen=True)
class Absent:
    """InvokeAI has other images and no record of this one: it is gone if that was so some minutes ago already."""

    reason: str


@dataclass(frozen=True)
class Failure:
    """A failure that counts."""

    reason: str


@dataclass(frozen=True)
class Postponed:
    """No attempt is counted. The photo is due again after `delay` seconds, once its backend is not paused.
    `forget_missing`: the missing record proves nothing any more."""

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
    backoff: Backoff


@dataclass
class _FailureSeries:
    """Failures of one server's files since the last one that came whole."""

    since: float
    last: float
    failures: dict[UUID, int] = field(default_factory=dict)
    """Failures of each photo."""


class Faults:
    """Remembers failures in a row for each backend, and how long it is paused. Troubles for the server's card are
    published on the bus."""

    def __init__(
        self,
        evidence: Evidence,
        bus: Bus,
        timing: Timing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._evidence = evidence
        self._trouble = bus.trouble
        self.timing = timing
        self.healed: set[UUID] = set()
        """Servers whose files come whole again: the worker removes them here, and tries their failed photos again."""
        self._clock = clock
        self._comparison = FileComparison(evidence, clock)
        self._absence = AbsenceCheck(evidence, clock)
        self._pauses: dict[UUID | None, _Pause] = {}
        self._series: dict[UUID, _FailureSeries] = {}
        self._blamed: set[UUID] = set()
        """Servers whose card says that files do not come."""
        self._wrong: set[UUID] = set()
        """Servers whose card says that something other than InvokeAI answers."""
        self._unproved: dict[UUID, dict[UUID, int]] = {}
        """By server, the photos whose absence is not proved, and how often each was looked for."""

    # --- pauses ---

    def pause_left(self, backend_id: UUID) -> float:
        """Seconds during which nothing of this backend's should be claimed; 0 when it may be."""
        ends = [pause.until for key in (backend_id, None) if (pause := self._pauses.get(key))]
        return max(0.0, max(ends, default=0.0) - self._clock())

    def is_on_trial(self, backend_id: UUID) -> bool:
        """Whether only one photo at a time is tried, until backend or disk are well again."""
        return not self._pauses.keys().isdisjoint((backend_id, None))

    def succeeded(self, backend_id: UUID, photo_id: UUID) -> None:
        """A photo came home: backend, path and disk are well."""
        self._pauses.pop(None, None)
        self._is_found(backend_id, photo_id)
        self._answers_well(backend_id)
        self._path_is_well(backend_id)

    def reconnected(self, backend_id: UUID) -> None:
        """The backend reconnected: it is tried at once, and its card begins anew. Failures in a row stay: a socket that
        is lost again and again must not keep a broken photo from failing."""
        self._pauses.pop(backend_id, None)
        self._clear(backend_id)
        self._answers_well(backend_id)
        self.forget_missing(backend_id)

    def forget_missing(self, backend_id: UUID) -> None:
        """Forgets which photos may be missing there: they are looked for again."""
        if self._unproved.pop(backend_id, None) is not None:
            self._trouble(backend_id, IMAGES_MISSING, None)

    @property
    def suspected(self) -> set[UUID]:
        """Servers whose card shows a trouble that only another download can end."""
        return self._blamed | self._wrong | set(self._unproved)

    # --- verdicts ---

    async def judge(self, claimed: Claimed, error: Exception, client: InvokeClient) -> Verdict:
        """The verdict on an error; InvokeAI is asked if that decides it."""
        reason = str(error) or type(error).__name__
        if delay := next((delay for kind, delay in DELAYS.items() if isinstance(error, kind)), None):
            return Postponed(reason, delay * random.uniform(0.75, 1.25))
        if isinstance(error, InvokeUnreachable | InvokeUnauthorized | StorageTrouble | DatabaseAway):
            self._pause(None if isinstance(error, StorageTrouble | DatabaseAway) else claimed.backend_id)
            return Postponed(reason)
        if not await self._is_well(claimed.backend_id, client):
            return Postponed(reason)
        if isinstance(error, InvokeNotFound):
            return await self._judge_missing(claimed, client)
        if isinstance(error, TooLongForDisk):
            # Others wait, so that the disk is not filled again at once, by one after the other.
            self._pause(claimed.backend_id)
            return Failure(reason)
        code = FILES_DAMAGED if isinstance(error, Damaged) else FILES_FAILING
        return await self._judge_file(claimed, code, reason, client)

    async def _is_well(self, backend_id: UUID, client: InvokeClient) -> bool:
        """Whether it answers with its version. A server that answers anything else, such as a gateway that wants a
        login or has lost InvokeAI, proves nothing about a photo."""
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
                presence = Presence.RECORDED
            else:
                presence = await self._absence.check(claimed, client)
        except InvokeError as error:
            return await self.judge(claimed, error, client)
        if presence is Presence.UNPROVED:
            return self._not_proved(claimed)
        self._is_found(claimed.backend_id, claimed.id)
        if presence is Presence.MISSING:
            return Absent("InvokeAI no longer has this image: it was deleted there")
        if presence is Presence.UNSTEADY:
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
        delay = backoff_seconds(looks - 1, 5.0, longest)
        return Unproved("InvokeAI does not know this image, nor any other by which that could be proved", delay)

    def _is_found(self, backend_id: UUID, photo_id: UUID) -> None:
        """Notes that a record of this server was found, or that this photo's absence is proved."""
        missing = self._unproved.get(backend_id, {})
        missing.pop(photo_id, None)
        if not missing:
            self.forget_missing(backend_id)

    # --- files ---

    async def _judge_file(self, claimed: Claimed, code: str, reason: str, client: InvokeClient) -> Verdict:
        """The photo's own fault if another image of the server comes whole, or if there is no other."""
        backend_id = claimed.backend_id
        series = self._note(claimed)
        if backend_id in self._blamed and self.pause_left(backend_id):
            return self._blame_path(claimed, code, reason)  # it began before that was known
        whole = await self._comparison.files_arrive_whole(claimed, client)
        if whole:
            self._path_is_well(backend_id)
            return Failure(reason)
        first = len(series.failures) == 1
        if whole is None and first and not await self._evidence.others_wait(backend_id, claimed.id):
            return Failure(reason)
        if self._clock() - series.since >= self._doubt(series, whole):
            self._pause(backend_id)
            return Failure(reason)
        if whole is None and first:
            # Others show whether it is alone in this; until then it waits by itself.
            failures = series.failures[claimed.id] - 1
            return Postponed(reason, backoff_seconds(failures, self.timing.first_pause, self.timing.longest_pause))
        return self._blame_path(claimed, code, reason)

    def _note(self, claimed: Claimed) -> _FailureSeries:
        now = self._clock()
        series = self._series.get(claimed.backend_id)
        if series is None or now - series.last > self.timing.in_a_row:
            series = self._series[claimed.backend_id] = _FailureSeries(now, now)
        series.last = now
        series.failures[claimed.id] = series.failures.get(claimed.id, 0) + 1
        return series

    def _doubt(self, series: _FailureSeries, whole: bool | None) -> float:
        """How long the server is blamed: the more photos fail, the less likely each is broken; a comparison leaves
        little doubt."""
        doubt = self.timing.doubt * max(1, len(series.failures) - 1)
        return self.timing.longest_doubt if whole is False else min(doubt, self.timing.longest_doubt)

    def _blame_path(self, claimed: Claimed, code: str, reason: str) -> Postponed:
        """Blames the path. Another photo is tried next: this one may be broken besides."""
        self._pause(claimed.backend_id)
        words = {
            FILES_DAMAGED: "Image files arrive damaged from this server, whichever is fetched: something on the way"
            " changes them. They are tried again by themselves.",
            FILES_FAILING: "Image files cannot be fetched from this server, though it answers. They are tried again by"
            f" themselves. The last answer: {reason}",
        }[code]
        self._blame(claimed.backend_id, code, words)
        return Postponed(reason, self.pause_left(claimed.backend_id) + self.timing.first_pause / 2)

    def _blame(self, backend_id: UUID, code: str, words: str) -> None:
        self._blamed.add(backend_id)
        for one in (FILES_DAMAGED, FILES_FAILING):
            self._trouble(backend_id, one, words if one == code else None)

    def _path_is_well(self, backend_id: UUID) -> None:
        self._pauses.pop(backend_id, None)
        self._series.pop(backend_id, None)
        if self._clear(backend_id):
            self.healed.add(backend_id)

    def _clear(self, backend_id: UUID) -> bool:
        """Clears the card's trouble; False if it had none."""
        if backend_id not in self._blamed:
            return False
        self._blamed.discard(backend_id)
        for code in (FILES_DAMAGED, FILES_FAILING):
            self._trouble(backend_id, code, None)
        return True

    def _pause(self, key: UUID | None) -> None:
        """Pauses twice as long as the last time. Photos that fail together extend nothing."""
        now, timing = self._clock(), self.timing
        pause = self._pauses.setdefault(key, _Pause(0.0, Backoff(timing.first_pause, timing.longest_pause)))
        if pause.until > now:
            return
        pause.until = now + min(pause.backoff.next(), timing.longest_pause)
