"""Structs of live state on the bus, as REST and the feed show them: items, progress, queue counts, ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

ItemStatus = Literal["pending", "in_progress", "waiting", "completed", "failed", "canceled", "gone"]
BackendState = Literal["connected", "connecting", "unreachable", "unauthorized", "unrecognised", "disabled"]
PodState = Literal["stopped", "starting", "running", "stopping", "failed", "unknown"]

BulkChangeAction = Literal[
    "trash",
    "restore",
    "purge",
    "retry",
    "favorite",
    "unfavorite",
    "rate",
    "pick",
    "tag",
    "untag",
    "add_to_album",
    "remove_from_album",
]
BulkAction = Literal[BulkChangeAction, "undo"]


class Resource(msgspec.Struct, kw_only=True, frozen=True):
    """Base of all structs of REST and the feed."""


class Progress(Resource, frozen=True, kw_only=True):
    """Progress of a running item. `percentage` is 0–1, or null while InvokeAI does not tell."""

    percentage: float | None
    message: str
    device: str | None
    eta_seconds: float | None
    preview_url: str | None
    width: int | None
    height: int | None


class ItemProgress(Progress, frozen=True, kw_only=True):
    backend_id: UUID
    item_id: int
    batch_id: str
    step_id: UUID | None


class Item(Resource, frozen=True, kw_only=True):
    """A queue item of InvokeAI's; `step_id` null when it is not ours."""

    backend_id: UUID
    item_id: int
    batch_id: str
    step_id: UUID | None
    ordinal: int | None
    status: ItemStatus
    error: str | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    progress: Progress | None
    photo_ids: list[UUID]
    """The photos that it made, as far as they are recorded and not purged, oldest first."""


class QueueCounts(Resource, frozen=True, kw_only=True):
    pending: int
    in_progress: int
    ours: int
    """How many of these are ours."""


class QueueStatus(QueueCounts, frozen=True, kw_only=True):
    backend_id: UUID


class Trouble(Resource, frozen=True, kw_only=True):
    """A problem of Darkroom, or of a server that answers, until it is solved."""

    code: str
    """Stable, for programs, e.g. `no_events`, `disk_full`."""
    since: datetime
    words: str
    """One sentence for the owner."""


class BackendLedger(Resource, frozen=True, kw_only=True):
    """made = retrieved + waiting + failed + gone; expected = made + live items + what batches still want."""

    expected: int
    made: int
    retrieved: int
    waiting: int
    failed: int
    gone: int
    home: bool


class Ledger(Resource, frozen=True, kw_only=True):
    total: BackendLedger
    backends: dict[str, BackendLedger]


class BulkProgress(Resource, frozen=True, kw_only=True):
    """Progress of a bulk change."""

    id: UUID
    """The id of the bulk call."""
    action: BulkAction
    done: int
    total: int | None
    """Null while it is unknown; equal to `done` when the call has ended."""
