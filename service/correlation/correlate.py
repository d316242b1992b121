"""Correlation, pure (rule 3): what is known of a queue item, and one observation, give what is known now and facts.

No I/O, no clock, no framework. A higher `status_sequence` wins; an observation without one only moves the item forward:
pending < in_progress = waiting < terminal. A terminal state absorbs, but an image sighted is always a fact.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.invokeai.events import (
    AnyItemEvent,
    InvocationComplete,
    InvocationEvent,
    InvocationProgress,
    ItemStatusChanged,
    ItemSummary,
    PreviewImage,
    QueueItem,
)

GONE = "gone"
"""Our own word for an item InvokeAI no longer has; anything InvokeAI itself says of the item outweighs it."""

TERMINAL = frozenset({"completed", "failed", "canceled", GONE})
RANK = {"pending": 0, "in_progress": 1, "waiting": 1, "completed": 2, "failed": 2, "canceled": 2}
ABSENCE = 30.0
"""How many seconds apart two readings must lack an item before it counts as gone (rule 8)."""
RESTARTED = "InvokeAI was restarted"
NO_LONGER_THERE = "InvokeAI no longer has this work (queue cleared or pruned)"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one queue item; `(batch_id, item_id)` identifies it: item ids restart with a new database."""

    batch_id: str
    item_id: int
    status: str = "pending"
    status_sequence: int | None = None
    session_id: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    absent_since: float | None = None
    """When a reading first lacked it, on this process's monotonic clock: no other clock may end an item."""
    settled: bool = False
    """Read once after it ended, or given up on: nothing more is expected of it."""
    sighted: frozenset[str] = frozenset()

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One item as REST told it."""

    status: str
    status_sequence: int | None = None
    session_id: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    image_names: tuple[str, ...] = ()
    across_reconnect: bool = False
    """First read after a time without events: a cancel found here was announced to nobody (FACTS §6, kill)."""
    whole: bool = True
    """False for a summary, which has neither session nor results (FACTS §6)."""


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """A reading that lacked the item: begun at `began_at`, answered at `known_at`, on the monotonic clock."""

    began_at: float
    known_at: float
    after_answer: bool
    """Whether the POST's fate was known when it began; else it proves nothing."""
    gallery_read_from: float | None
    """When the last complete gallery reading began."""


class Canceled(msgspec.Struct, frozen=True):
    """The item's id was in a `queue_items_canceled`: pending items get no status event of their own (FACTS §3)."""


Observation = AnyItemEvent | Reading | Absence | Canceled


class ItemChanged(msgspec.Struct, frozen=True):
    """Something that is kept has changed (status, session, times, error, absence)."""


class ItemStarted(msgspec.Struct, frozen=True):
    """It runs now, and did not before."""


class ItemProgressed(msgspec.Struct, frozen=True):
    percentage: float | None
    message: str
    device: str | None
    image: PreviewImage | None


class SessionLearned(msgspec.Struct, frozen=True):
    session_id: str


class ImageSighted(msgspec.Struct, frozen=True):
    """A node's result named this image; whether the item made it is for its DTO to say (rule 4)."""

    image_name: str


class ItemEnded(msgspec.Struct, frozen=True):
    """It has just become terminal: to be read once."""


class ItemRead(msgspec.Struct, frozen=True):
    """It was read after its end: once these are recorded, it is settled."""

    image_names: tuple[str, ...]


Fact = ItemChanged | ItemStarted | ItemProgressed | SessionLearned | ImageSighted | ItemEnded | ItemRead


def correlate(known: Known, observation: Observation) -> tuple[Known, tuple[Fact, ...]]:
    """What is known after the observation, and the facts it adds; the same observation again adds none that is kept."""
    if isinstance(observation, Absence):
        return _absent(known, observation)
    if isinstance(observation, ItemStatusChanged):
        now = _moved(
            known,
            observation.status,
            observation.status_sequence,
            error=_words(observation),
            times=observation,
        )
        now = msgspec.structs.replace(now, session_id=now.session_id or observation.session_id)
        return now, _changes(known, now)
    if isinstance(observation, Reading):
        return _read(known, observation)
    if isinstance(observation, Canceled):
        now = _moved(known, "canceled", None)
        return now, _changes(known, now)
    return _invoked(known, observation)


def reading(item: QueueItem | ItemSummary, *, across_reconnect: bool = False) -> Reading:
    """What REST said of an item, as an observation."""
    told = Reading(
        status=item.status,
        created_at=item.created_at,
        started_at=item.started_at,
        completed_at=item.completed_at,
        across_reconnect=across_reconnect,
        whole=isinstance(item, QueueItem),
    )
    if not isinstance(item, QueueItem):
        return told
    return msgspec.structs.replace(
        told,
        status_sequence=item.status_sequence,
        session_id=item.session_id,
        error=_words(item),
        image_names=item.image_names,
    )


def _invoked(known: Known, event: InvocationEvent) -> tuple[Known, tuple[Fact, ...]]:
    """A node speaks, so the item runs: its `in_progress` may have been missed (FACTS §6)."""
    now = _moved(known, "in_progress", None)
    now = msgspec.structs.replace(now, session_id=now.session_id or event.session_id)
    sightings: tuple[str, ...] = ()
    if isinstance(event, InvocationComplete):
        sightings = tuple(name for name in event.image_names if name not in now.sighted)
        now = msgspec.structs.replace(now, sighted=now.sighted | set(sightings))
    facts = _changes(known, now) + tuple(ImageSighted(name) for name in sightings)
    if isinstance(event, InvocationProgress) and not now.ended:
        facts += (ItemProgressed(event.percentage, event.message, event.device, event.image),)
    return now, facts


def _read(known: Known, reading: Reading) -> tuple[Known, tuple[Fact, ...]]:
    error = reading.error
    unannounced = reading.status == "canceled" and not known.ended and reading.across_reconnect
    if unannounced and error is None and (reading.started_at or known.started_at):
        error = RESTARTED
    now = _moved(known, reading.status, reading.status_sequence, error=error, times=reading)
    sightings = tuple(name for name in reading.image_names if name not in now.sighted)
    now = msgspec.structs.replace(
        now,
        session_id=now.session_id or reading.session_id,
        absent_since=None,
        sighted=now.sighted | set(sightings),
    )
    facts = _changes(known, now) + tuple(ImageSighted(name) for name in sightings)
    if reading.whole and reading.status in TERMINAL and not now.settled:
        # Every name, not only the new ones: what was sighted before may still wait to be recorded.
        facts += (ItemRead(reading.image_names),)
    return now, facts


def _absent(known: Known, absence: Absence) -> tuple[Known, tuple[Fact, ...]]:
    if known.settled or not absence.after_answer:
        return known, ()
    if known.absent_since is None:
        now = msgspec.structs.replace(known, absent_since=absence.known_at)
        return now, (ItemChanged(),)
    lacked_twice = absence.began_at - known.absent_since >= ABSENCE
    gallery_between = absence.gallery_read_from is not None and absence.gallery_read_from >= known.absent_since
    if not (lacked_twice and gallery_between):
        return known, ()
    if known.ended:
        now = msgspec.structs.replace(known, settled=True)
    else:
        now = msgspec.structs.replace(known, status=GONE, error=NO_LONGER_THERE, settled=True)
    return now, (ItemChanged(),)


def _moved(
    known: Known,
    status: str,
    sequence: int | None,
    *,
    error: str | None = None,
    times: ItemStatusChanged | Reading | None = None,
) -> Known:
    """The item after one word on its status; times and error fill what is missing, whichever order they come in."""
    if _supersedes(known, status, sequence):
        known = msgspec.structs.replace(
            known,
            status=status,
            status_sequence=sequence if sequence is not None else known.status_sequence,
            error=error if status in TERMINAL else None,
            settled=known.settled and known.status != GONE,
            absent_since=None if known.status == GONE else known.absent_since,
        )
    elif error is not None and known.error is None and known.status == status:
        known = msgspec.structs.replace(known, error=error)
    if times is None:
        return known
    return msgspec.structs.replace(
        known,
        created_at=known.created_at or times.created_at,
        started_at=known.started_at or times.started_at,
        completed_at=known.completed_at or (times.completed_at if status in TERMINAL else None),
    )


def _supersedes(known: Known, status: str, sequence: int | None) -> bool:
    if status not in RANK:
        return False
    if known.ended or RANK[status] == RANK["completed"]:
        # An item runs once and ends once, so an end outweighs whatever number an earlier state carried.
        return known.status == GONE or not known.ended
    if sequence is not None and known.status_sequence is not None:
        return sequence > known.status_sequence
    # The same state told with its number is news: later ones can be compared with it.
    forward = RANK[status] - RANK[known.status]
    return forward > 0 or (forward == 0 and sequence is not None)


def _changes(before: Known, now: Known) -> tuple[Fact, ...]:
    """The kept facts between two states of the item; sightings are not among them."""
    facts: tuple[Fact, ...] = ()
    if msgspec.structs.replace(now, sighted=before.sighted) != before:
        facts += (ItemChanged(),)
    if now.session_id is not None and before.session_id is None:
        facts += (SessionLearned(now.session_id),)
    if now.status == "in_progress" and before.status != "in_progress":
        facts += (ItemStarted(),)
    if now.ended and (not before.ended or now.status != before.status):
        facts += (ItemEnded(),)
    return facts


def _words(said: ItemStatusChanged | QueueItem) -> str | None:
    """InvokeAI's own words; some failures have a type and an empty message (graphs.md, LoRA of another base)."""
    kind, message = _storable(said.error_type), _storable(said.error_message)
    if kind and message:
        return message if message.startswith(kind) else f"{kind}: {message}"
    return message or kind or None


def _storable(text: str | None) -> str:
    """Without what PostgreSQL's text cannot hold: NUL characters and lone surrogates."""
    return (text or "").replace("\0", "").encode(errors="ignore").decode()
