"""Correlation, pure: from what is known of a queue item and one observation to what is known now, and new facts.
No I/O, no clock, no framework. A higher `status_sequence` wins; an observation without one only moves the item forward:
pending < in_progress = waiting < terminal. A terminal state absorbs, but an image sighted is always a fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.invokeai.events import (
    AnyItemEvent,
    InvocationComplete,
    InvocationProgress,
    ItemStatusChanged,
    ItemSummary,
    QueueItem,
)

GONE = "gone"
"""Our own status for an item that InvokeAI no longer has. InvokeAI's own word for the item outweighs it."""

TERMINAL = frozenset({"completed", "failed", "canceled", GONE})
RANK = {"pending": 0, "in_progress": 1, "waiting": 1, "completed": 2, "failed": 2, "canceled": 2}
ABSENCE = 30.0
"""How many seconds apart two readings must lack an item before it counts as gone (derived step status)."""
RESTARTED = "InvokeAI was restarted"
NO_LONGER_THERE = "InvokeAI no longer has this work (queue cleared or pruned)"


Key = tuple[str, int]
"""Batch and item id: item ids restart with a new InvokeAI database."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one queue item."""

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
    """It was read once after it ended, or given up: nothing more is expected of it."""
    sighted: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        return self.batch_id, self.item_id

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL


class Reading(msgspec.Struct, frozen=True):
    """One item as REST told it. A summary has neither session nor results (FACTS §6)."""

    item: QueueItem | ItemSummary
    across_reconnect: bool = False
    """First read after a time without events: a cancel found here was announced to nobody (FACTS §6, kill)."""


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """A reading that lacked the item: begun at `began_at`, answered at `known_at`, on the monotonic clock."""

    began_at: float
    known_at: float
    after_answer: bool
    """Whether the POST was answered, or given up, when it began; else it proves nothing."""
    gallery_read_from: float | None
    """When the last complete gallery reading began."""


class Canceled(msgspec.Struct, frozen=True):
    """The item's id was in a `queue_items_canceled`: pending items get no status event of their own (FACTS §3)."""


Observation = AnyItemEvent | Reading | Absence | Canceled


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an observation adds to what was known of an item."""

    changed: bool
    """Something that is kept has changed (status, session, times, error, absence)."""
    session_learned: bool
    ended: bool
    """It has just become terminal: to be read once."""
    sighted: tuple[str, ...]
    """A node's result named these images; whether the item made them is for their DTOs to say (sighted is not made)."""
    progress: InvocationProgress | None
    read: tuple[str, ...] | None
    """It was read after its end: once these images are recorded, it is settled. Every name, not only the new ones: what
    was sighted before may still wait to be recorded."""


def correlate(known: Known, observation: Observation) -> tuple[Known, Facts]:
    """What is known after the observation, and the facts it adds; the same observation again adds none that is kept."""
    if isinstance(observation, Absence):
        now = _absent(known, observation)
    elif isinstance(observation, Canceled):
        now = _moved(known, "canceled", None)
    elif isinstance(observation, Reading):
        now = _read(known, observation)
    elif isinstance(observation, ItemStatusChanged):
        error = _words(observation)
        now = _moved(known, observation.status, observation.status_sequence, error=error, times=observation)
        now = _learned(now, observation.session_id)
    else:
        # A node speaks, so the item runs: its `in_progress` may have been missed (FACTS §6).
        now = _learned(_moved(known, "in_progress", None), observation.session_id, _names(observation))
    whole = observation.item if isinstance(observation, Reading) else None
    is_over = isinstance(whole, QueueItem) and whole.status in TERMINAL and not now.settled
    return now, Facts(
        changed=msgspec.structs.replace(now, sighted=known.sighted) != known,
        session_learned=now.session_id is not None and known.session_id is None,
        ended=now.ended and not now.settled and (not known.ended or now.status != known.status),
        sighted=tuple(name for name in _names(observation) if name not in known.sighted),
        progress=observation if isinstance(observation, InvocationProgress) and not now.ended else None,
        read=_names(observation) if is_over else None,
    )


def _names(observation: Observation) -> tuple[str, ...]:
    """The images that it names."""
    told = observation.item if isinstance(observation, Reading) else observation
    return told.image_names if isinstance(told, QueueItem | InvocationComplete) else ()


def _learned(known: Known, session_id: str, names: Sequence[str] = ()) -> Known:
    session_id = known.session_id or session_id
    return msgspec.structs.replace(known, session_id=session_id, sighted=known.sighted.union(names))


def _read(known: Known, reading: Reading) -> Known:
    item = reading.item
    whole = item if isinstance(item, QueueItem) else None
    error = _words(whole) if whole else None
    unannounced = item.status == "canceled" and not known.ended and reading.across_reconnect
    if unannounced and error is None and (item.started_at or known.started_at):
        error = RESTARTED
    now = _moved(known, item.status, whole.status_sequence if whole else None, error=error, times=item)
    now = msgspec.structs.replace(now, absent_since=None)
    return _learned(now, whole.session_id, whole.image_names) if whole else now


def _absent(known: Known, absence: Absence) -> Known:
    if known.settled or not absence.after_answer:
        return known
    if known.absent_since is None:
        return msgspec.structs.replace(known, absent_since=absence.known_at)
    lacked_twice = absence.began_at - known.absent_since >= ABSENCE
    gallery_between = absence.gallery_read_from is not None and absence.gallery_read_from >= known.absent_since
    if not (lacked_twice and gallery_between):
        return known
    if known.ended:
        return msgspec.structs.replace(known, settled=True)
    return msgspec.structs.replace(known, status=GONE, error=NO_LONGER_THERE, settled=True)


def _moved(
    known: Known,
    status: str,
    sequence: int | None,
    *,
    error: str | None = None,
    times: ItemStatusChanged | QueueItem | ItemSummary | None = None,
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
        # An item runs once and ends once, so an end outweighs any number that an earlier state carried.
        return known.status == GONE or not known.ended
    if sequence is not None and known.status_sequence is not None:
        return sequence > known.status_sequence
    # The same state told with its number is news: later ones can be compared with it.
    forward = RANK[status] - RANK[known.status]
    return forward > 0 or (forward == 0 and sequence is not None)


def _words(said: ItemStatusChanged | QueueItem) -> str | None:
    """InvokeAI's own words; some failures have a type and an empty message (graphs.md, LoRA of another base)."""
    kind, message = _storable(said.error_type), _storable(said.error_message)
    if kind and message:
        return message if message.startswith(kind) else f"{kind}: {message}"
    return message or kind or None


def _storable(text: str | None) -> str:
    """Without what PostgreSQL's text cannot hold; lone surrogates are in no JSON that can be read."""
    return (text or "").replace("\0", "")
