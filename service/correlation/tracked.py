"""One queue item in memory: its state, whose it is, its progress, and how browsers see it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from service.bus.live_state import Item, ItemProgress, Progress
from service.invokeai.events import FieldValue, InvocationProgress
from service.steps.item_state import Known
from service.steps.queue_items import OwnBatch


class ProgressRate(msgspec.Struct, frozen=True):
    """The rate of the present stretch of work: its first fraction, and when that was (monotonic seconds)."""

    since: float
    fraction: float
    latest: float

    def after(self, fraction: float, now: float) -> ProgressRate:
        """The rate after one more fraction. A smaller fraction begins a new stretch (a second denoise, an upscale)."""
        if fraction < self.latest:
            return ProgressRate(now, fraction, fraction)
        return ProgressRate(self.since, self.fraction, fraction)

    def eta(self, now: float) -> float | None:
        """Seconds left at the average rate of this stretch; None before there is a rate."""
        done = self.latest - self.fraction
        if done <= 0 or now <= self.since:
            return None
        return (now - self.since) * (1 - self.latest) / done


class Tracked:
    """One item with its progress."""

    def __init__(self, backend_id: UUID, known: Known, batch: OwnBatch | None) -> None:
        self.backend_id = backend_id
        self.known = known
        self.batch = batch
        """None if it is not ours."""
        self.ordinal: int | None = None
        self.retried_from: int | None = None
        self.kept_place = self.place
        self.progress: Progress | None = None
        self.rate: ProgressRate | None = None
        self.photo_ids: set[UUID] = set()
        """The photos that it made, as far as they are recorded."""
        self.being_kept = False
        """Whether its row is being written: until then `known` may be ahead of what is committed."""
        self.heard_by: int | None = None
        """The number of the connection that last told of it."""
        self.shown = False
        """Whether browsers, and for ours the database, have it."""

    @property
    def place(self) -> tuple[int | None, int | None]:
        """Its place in its batch; in `kept_place` as the database has it."""
        return self.ordinal, self.retried_from

    @property
    def step_id(self) -> UUID | None:
        return self.batch.step_id if self.batch else None

    @property
    def unseen(self) -> bool:
        """Whether it stands for an item that nobody has seen: kept for its step, and never shown as an item."""
        return self.known.item_id < 0

    def learn_ordinal(self, field_values: Sequence[FieldValue] | None) -> None:
        """The item's place in its batch, from the seed InvokeAI put into it; a retried item inherits it so."""
        if self.ordinal is not None or self.batch is None or not field_values:
            return
        for field in field_values:
            if field.node_path == "seed" and field.field_name == "value" and field.value in self.batch.seeds:
                self.ordinal = self.batch.seeds.index(field.value)

    def progressed(self, event: InvocationProgress, preview_url: str | None, now: float) -> ItemProgress:
        """Its progress after one more event; a preview stays until a newer one comes."""
        before, eta = self.progress, None
        if event.percentage is not None:
            first = ProgressRate(now, event.percentage, event.percentage)
            self.rate = self.rate.after(event.percentage, now) if self.rate else first
            eta = self.rate.eta(now)
        size = event.image or before
        self.progress = Progress(
            percentage=event.percentage,
            message=event.message,
            device=event.device,
            eta_seconds=eta,
            preview_url=preview_url or (before.preview_url if before else None),
            width=size.width if size else None,
            height=size.height if size else None,
        )
        return ItemProgress(
            backend_id=self.backend_id,
            item_id=self.known.item_id,
            batch_id=self.known.batch_id,
            step_id=self.step_id,
            **msgspec.structs.asdict(self.progress),
        )

    @property
    def item(self) -> Item:
        known = self.known
        return Item(
            backend_id=self.backend_id,
            item_id=known.item_id,
            batch_id=known.batch_id,
            step_id=self.step_id,
            ordinal=self.ordinal,
            status=known.status,  # type: ignore[arg-type]  # correlate lets only known statuses in
            error=known.error,
            created_at=known.created_at,
            started_at=known.started_at,
            completed_at=known.completed_at,
            progress=self.progress,
            photo_ids=sorted(self.photo_ids),
        )
