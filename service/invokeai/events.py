"""What InvokeAI says, in events and REST answers: what we use, optional where some version lacks it (FACTS §11)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

REDACTED = "redacted"
"""What multiuser servers put in place of another user's ids (FACTS §9)."""


class Said(Struct, frozen=True, kw_only=True):
    """Base of everything InvokeAI says. Its times come without a zone and mean UTC (FACTS §7)."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, datetime) and value.tzinfo is None:
                force_setattr(self, name, value.replace(tzinfo=UTC))


def image_names(result: Any) -> tuple[str, ...]:
    """Every `{image_name}` anywhere in a node's result, in order, each once (rule 4)."""
    names: dict[str, None] = {}
    waiting = [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = value.get("image_name")
            if isinstance(name, str) and name:
                names[name] = None
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
    return tuple(names)


# --- Parts ---


class QueueCounts(Said, frozen=True, kw_only=True):
    """The queue as a whole, with the item it runs now."""

    item_id: int | None = None
    batch_id: str | None = None
    session_id: str | None = None
    pending: int = 0
    in_progress: int = 0
    waiting: int = 0
    completed: int = 0
    failed: int = 0
    canceled: int = 0
    total: int = 0


class Invocation(Said, frozen=True, kw_only=True):
    """The node that runs; its other inputs are left out."""

    id: str
    type: str
    is_intermediate: bool = False


class PreviewImage(Said, frozen=True, kw_only=True):
    """Width and height are the final picture's; the JPEG in `dataURL` is smaller (FACTS §5)."""

    width: int
    height: int
    dataURL: str  # noqa: N815 (InvokeAI's name)


class FieldValue(Said, frozen=True, kw_only=True):
    """What a batch's `data` put into a node of this item."""

    node_path: str
    field_name: str
    value: Any = None


# --- Queue events (FACTS §2) ---


class QueueEvent(Said, frozen=True, kw_only=True):
    queue_id: str
    timestamp: int = 0


class BatchEnqueued(QueueEvent, frozen=True, kw_only=True):
    batch_id: str
    enqueued: int = 0
    requested: int = 0
    origin: str | None = None
    user_id: str | None = None


class ItemEvent(QueueEvent, frozen=True, kw_only=True):
    item_id: int
    batch_id: str
    session_id: str
    origin: str | None = None
    destination: str | None = None
    user_id: str | None = None


class ItemStatusChanged(ItemEvent, frozen=True, kw_only=True):
    """`status_sequence` is missing before 6.13; `waiting` exists since 6.14 (FACTS §11)."""

    status: str
    status_sequence: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    queue_counts: QueueCounts | None = msgspec.field(default=None, name="queue_status")


class InvocationEvent(ItemEvent, frozen=True, kw_only=True):
    invocation: Invocation | None = None
    invocation_source_id: str = ""


class InvocationStarted(InvocationEvent, frozen=True, kw_only=True):
    pass


class InvocationProgress(InvocationEvent, frozen=True, kw_only=True):
    """`percentage` is 0..1, null outside denoising."""

    message: str = ""
    percentage: float | None = None
    image: PreviewImage | None = None
    device: str | None = None


class InvocationComplete(InvocationEvent, frozen=True, kw_only=True):
    """`image_names` is all that is kept of the node's result."""

    result: Any = None
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.result is not None:
            force_setattr(self, "image_names", image_names(self.result))
            force_setattr(self, "result", None)


class InvocationError(InvocationEvent, frozen=True, kw_only=True):
    error_type: str | None = None
    error_message: str | None = None


class ItemsCanceled(QueueEvent, frozen=True, kw_only=True):
    canceled_item_ids: list[int]


class ItemsRetried(QueueEvent, frozen=True, kw_only=True):
    """Names the old items; the new ones show up by themselves (FACTS §3)."""

    retried_item_ids: list[int]


class QueueCleared(QueueEvent, frozen=True, kw_only=True):
    user_id: str | None = None


class ModelsChanged(Said, frozen=True, kw_only=True):
    """A model was installed. InvokeAI has no event for a deleted one."""

    key: str | None = None


AnyItemEvent = ItemStatusChanged | InvocationStarted | InvocationProgress | InvocationComplete | InvocationError
Event = BatchEnqueued | AnyItemEvent | ItemsCanceled | ItemsRetried | QueueCleared | ModelsChanged

EVENTS: dict[str, type[Event]] = {
    "batch_enqueued": BatchEnqueued,
    "queue_item_status_changed": ItemStatusChanged,
    "invocation_started": InvocationStarted,
    "invocation_progress": InvocationProgress,
    "invocation_complete": InvocationComplete,
    "invocation_error": InvocationError,
    "queue_items_canceled": ItemsCanceled,
    "queue_items_retried": ItemsRetried,
    "queue_cleared": QueueCleared,
    "model_install_complete": ModelsChanged,
}


def decode(name: str, payload: Any) -> Event | None:
    """None for an event we do not use; raises `msgspec.ValidationError` for a malformed one."""
    kind = EVENTS.get(name)
    return None if kind is None else msgspec.convert(payload, kind)


# --- REST answers (FACTS §7) ---


class SessionResults(Said, frozen=True, kw_only=True):
    results: dict[str, Any] = {}


class ItemReading(Said, frozen=True, kw_only=True):
    """What every reading of an item tells. GET omits nulls, the others carry them."""

    item_id: int
    batch_id: str
    status: str
    origin: str | None = None
    destination: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    parent_item_id: int | None = None
    user_id: str | None = None
    field_values: list[FieldValue] | None = None


class ItemSummary(ItemReading, frozen=True, kw_only=True):
    """A reading without session: no session id, no results, no sequence."""


class QueueItem(ItemReading, frozen=True, kw_only=True):
    """`image_names` is all that is kept of the session; empty while the item runs (FACTS §4)."""

    session_id: str
    status_sequence: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    retried_from_item_id: int | None = None
    session: SessionResults | None = None
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.session is not None:
            force_setattr(self, "image_names", image_names(self.session.results))
            force_setattr(self, "session", None)


class BatchStatus(QueueCounts, frozen=True, kw_only=True):
    """An unknown batch is all zeros with a null origin (FACTS §7)."""

    origin: str | None = None
    destination: str | None = None


class QueueStatus(QueueCounts, frozen=True, kw_only=True):
    is_started: bool = True
    is_processing: bool = False


class EnqueueResult(Said, frozen=True, kw_only=True):
    """`enqueued` may be less than `requested`, even 0: a full queue. `item_ids` ascend; None before 6.0."""

    batch_id: str
    enqueued: int
    requested: int
    item_ids: list[int] | None = None


class ImageDTO(Said, frozen=True, kw_only=True):
    image_name: str
    image_category: str
    image_origin: str
    width: int
    height: int
    created_at: datetime
    is_intermediate: bool
    session_id: str | None = None
    node_id: str | None = None
    starred: bool = False
    has_workflow: bool = False
    board_id: str | None = None


class ImagePage(Said, frozen=True, kw_only=True):
    items: list[ImageDTO]
    total: int
    limit: int
    offset: int


class Model(Said, frozen=True, kw_only=True):
    key: str
    hash: str
    name: str
    base: str
    type: str
    format: str | None = None
    description: str | None = None
    default_settings: dict[str, Any] | None = None
