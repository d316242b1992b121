"""The bus: parts of the service publish what happened, and do not know who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Literal, TypeVarTuple, Unpack
from uuid import UUID

from service.bus.live_state import BulkProgress, Item, ItemProgress, QueueStatus

Args = TypeVarTuple("Args")

Change = Literal[
    "photo.added",
    "photo.ready",
    "photo.failed",
    "photo.updated",
    "photo.removed",
    "step.updated",
    "session.updated",
    "session.removed",
    "album.updated",
    "album.removed",
    "models.updated",
]
"""The type of the feed's message about the change."""


class Topic(Generic[*Args]):
    """A topic. Call it to publish. Listeners are called at once, in the order in which they began to listen, and must
    return at once."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Unpack[Args]], None]] = []

    def listen(self, listener: Callable[[Unpack[Args]], None]) -> None:
        self._listeners.append(listener)

    def __call__(self, *args: *Args) -> None:
        for listener in self._listeners:
            listener(*args)


class Bus:
    """The bus of the process. Publish a change after its commit."""

    def __init__(self) -> None:
        # --- what changed ---
        self.changed: Topic[Change, Iterable[UUID]] = Topic()
        """These resources changed; for `models.updated` the id is the backend's."""
        self.too_much_changed: Topic[()] = Topic()
        """More changed than can be reported one by one: browsers read again."""
        self.ledger_changed: Topic[()] = Topic()
        self.settings_changed: Topic[Sequence[str]] = Topic()
        """Runtime settings of these names."""
        self.bulk_progress: Topic[BulkProgress] = Topic()
        """Progress of a bulk change. The last message of a call has `done` = `total`."""
        self.backend_changed: Topic[UUID] = Topic()
        """The card of this backend changed."""

        # --- live state ---
        self.item_changed: Topic[Item] = Topic()
        self.item_progressed: Topic[ItemProgress] = Topic()
        self.queue_changed: Topic[QueueStatus] = Topic()

        # --- wake-ups ---
        self.retrieval_due: Topic[()] = Topic()
        """New photos may be waiting to be retrieved."""
        self.submission_due: Topic[()] = Topic()
        """A batch may have to be submitted or canceled."""
        self.batch_seen: Topic[UUID, str] = Topic()
        """InvokeAI (backend id) has this batch of ours: an event, item or image named it (idempotent submit)."""
        self.connected: Topic[UUID] = Topic()
        """A backend is connected, again or for the first time."""
        self.models_changed: Topic[UUID] = Topic()
        """The models of this backend may have changed."""
        self.came_home: Topic[UUID] = Topic()
        """The file of this photo is here now."""
        self.files_gone: Topic[Iterable[UUID]] = Topic()
        """The files of these photos are missing or not whole."""
        self.gone_confirmed: Topic[UUID] = Topic()
        """The owner confirmed: images that this backend's InvokeAI does not know were deleted there."""
        self.trouble: Topic[UUID, str, str | None] = Topic()
        """A backend has this trouble (its code), in words; None: no longer."""
