"""Structs of InvokeAI's queue events and REST records, with the fields that we use (FACTS §11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from service.invokeai.bounds import (
    LONGEST_EVENT,
    LONGEST_NAME,
    LONGEST_RESULT,
    MOST_IDS,
    MOST_NAMES,
    Id,
    Int32,
    Int64,
    Name,
    SessionId,
    Word,
    cut,
    in_utc,
    is_image_name,
    label,
    printable,
)

REDACTED = "redacted"
"""Multiuser servers put this in place of another user's ids (FACTS §9)."""

CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "batch_id": printable,
    "session_id": printable,
    "created_at": in_utc,
    "started_at": in_utc,
    "completed_at": in_utc,
    "error_type": label,
    "error_message": cut,
    "message": label,
    "device": label,
}
"""What to do with a field of this name. A ValueError makes its struct malformed."""

NOTHING: Final = msgspec.Raw(b"null")

_checked: dict[type, tuple[tuple[str, Callable[[Any], Any]], ...]] = {}


class InvokeStruct(Struct, frozen=True, kw_only=True):
    """Base of all structs from InvokeAI. A value that the database cannot hold makes it malformed: too large numbers,
    too long names, ids with unprintable characters, times beyond the year 9999. Texts are cut."""

    def __post_init__(self) -> None:
        kind = type(self)
        checks = _checked.get(kind)
        if checks is None:
            checks = tuple((name, CHECKS[name]) for name in self.__struct_fields__ if name in CHECKS)
            _checked[kind] = checks
        for name, check in checks:
            value = getattr(self, name)
            if value is not None:
                kept = check(value)
                if kept is not value:
                    force_setattr(self, name, kept)


def image_names(result: Any) -> tuple[str, ...]:
    """Every `{image_name}` anywhere in a node's result, in order, each once (sighted is not made); at most
    MOST_NAMES."""
    names: dict[str, None] = {}
    waiting = [result]
    while waiting and len(names) < MOST_NAMES:
        value = waiting.pop()
        if isinstance(value, dict):
            name = value.get("image_name")
            if isinstance(name, str) and name:
                names[name[: LONGEST_NAME + 1]] = None  # so that a longer name stays invalid
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
    return tuple(names)


def _names_told(results: Iterable[msgspec.Raw]) -> tuple[str, ...]:
    """The image names in several nodes' results. A result that is longer than any real one is skipped: the gallery
    tells of its images."""
    names: dict[str, None] = {}
    for result in results:
        if len(memoryview(result)) <= LONGEST_RESULT and len(names) < MOST_NAMES:
            names.update(dict.fromkeys(image_names(msgspec.json.decode(result))))
    return tuple(names)[:MOST_NAMES]


# --- Parts of events ---


class QueueCounts(InvokeStruct, frozen=True, kw_only=True):
    """Counts of the whole queue, and the item that it runs now."""

    item_id: Int64 | None = None
    pending: Int64 = 0
    in_progress: Int64 = 0
    waiting: Int64 = 0
    completed: Int64 = 0
    failed: Int64 = 0
    canceled: Int64 = 0
    total: Int64 = 0


class PreviewImage(InvokeStruct, frozen=True, kw_only=True):
    """Width and height are the final picture's; the JPEG in `dataURL` is smaller (FACTS §5)."""

    width: Int32
    height: Int32
    dataURL: str  # noqa: N815 (InvokeAI's name)


class FieldValue(InvokeStruct, frozen=True, kw_only=True):
    """A value that a batch's `data` put into a node of this item, if it is short: a number, a name."""

    node_path: Name
    field_name: Name
    value: Any = None


LONGEST_VALUE = 1000
MOST_VALUES = 100


def _values_told(told: list[msgspec.Raw] | None) -> tuple[FieldValue, ...]:
    """The values that can be read and are short."""
    values = []
    for value in (told or ())[:MOST_VALUES]:
        if len(memoryview(value)) <= LONGEST_VALUE:
            with suppress(msgspec.ValidationError):
                values.append(msgspec.json.decode(value, type=FieldValue))
    return tuple(values)


# --- Queue events (FACTS §2) ---


class QueueEvent(InvokeStruct, frozen=True, kw_only=True):
    queue_id: Name


class BatchEnqueued(QueueEvent, frozen=True, kw_only=True):
    batch_id: Id
    enqueued: Int64 = 0
    requested: Int64 = 0
    origin: Name | None = None
    user_id: Name | None = None


class ItemEvent(QueueEvent, frozen=True, kw_only=True):
    item_id: Int64
    batch_id: Id
    session_id: Id
    origin: Name | None = None
    destination: Name | None = None
    user_id: Name | None = None


class ItemStatusChanged(ItemEvent, frozen=True, kw_only=True):
    """`status_sequence` is missing before 6.13; `waiting` exists since 6.14 (FACTS §11)."""

    status: Word
    status_sequence: Int32 | None = None
    error_type: str | None = None
    error_message: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    queue_counts: QueueCounts | None = msgspec.field(default=None, name="queue_status")


class InvocationEvent(ItemEvent, frozen=True, kw_only=True):
    """An event of one node of an item."""


class InvocationStarted(InvocationEvent, frozen=True, kw_only=True):
    pass


class InvocationProgress(InvocationEvent, frozen=True, kw_only=True):
    """`percentage` is 0..1, null outside denoising."""

    message: str = ""
    percentage: float | None = None
    image: PreviewImage | None = None
    device: str | None = None


class InvocationComplete(InvocationEvent, frozen=True, kw_only=True):
    """The node's result is reduced to `image_names`."""

    result: msgspec.Raw = NOTHING
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        force_setattr(self, "image_names", _names_told([self.result]))
        force_setattr(self, "result", NOTHING)


class InvocationError(InvocationEvent, frozen=True, kw_only=True):
    error_type: str | None = None
    error_message: str | None = None


class ItemsCanceled(QueueEvent, frozen=True, kw_only=True):
    canceled_item_ids: Annotated[list[Int64], msgspec.Meta(max_length=MOST_IDS)]


class ItemsRetried(QueueEvent, frozen=True, kw_only=True):
    """Names the old items. Events of the new ones follow (FACTS §3)."""


class QueueCleared(QueueEvent, frozen=True, kw_only=True):
    pass


class ModelsChanged(InvokeStruct, frozen=True, kw_only=True):
    """A model was installed. InvokeAI has no event for a deleted one."""


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


def decode(name: str, payload: bytes) -> Event | None:
    """The event; None for one that we do not use. Raises `msgspec.ValidationError` for a malformed one."""
    kind = EVENTS.get(name)
    if kind is None:
        return None
    if len(payload) > LONGEST_EVENT and kind is not InvocationProgress:
        raise msgspec.ValidationError(f"{len(payload)} bytes")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise msgspec.ValidationError(str(error)) from error


# --- REST answers (FACTS §7) ---


class SessionResults(InvokeStruct, frozen=True, kw_only=True):
    results: dict[str, msgspec.Raw] = {}


class ItemReading(InvokeStruct, frozen=True, kw_only=True):
    """Fields of every reading of an item. GET omits nulls, the others carry them."""

    item_id: Int64
    batch_id: Id
    status: Word
    origin: Name | None = None
    destination: Name | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    parent_item_id: Int64 | None = None
    user_id: Name | None = None
    told_values: list[msgspec.Raw] | None = msgspec.field(default=None, name="field_values")
    field_values: tuple[FieldValue, ...] = msgspec.field(default=(), name="field_values_read")
    """The field values that are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        force_setattr(self, "field_values", _values_told(self.told_values))
        force_setattr(self, "told_values", None)


class ItemSummary(ItemReading, frozen=True, kw_only=True):
    """A reading of an item without its session: no session id, no results, no sequence."""


class QueueItem(ItemReading, frozen=True, kw_only=True):
    """A whole item. Its session is reduced to `image_names`, empty while the item runs (FACTS §4)."""

    session_id: Id
    status_sequence: Int32 | None = None
    error_type: str | None = None
    error_message: str | None = None
    retried_from_item_id: Int64 | None = None
    session: SessionResults | None = None
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        results = self.session.results.values() if self.session is not None else ()
        force_setattr(self, "image_names", _names_told(results))
        force_setattr(self, "session", None)


class BatchStatus(QueueCounts, frozen=True, kw_only=True):
    """An unknown batch is all zeros with a null origin (FACTS §7)."""

    origin: Name | None = None
    destination: Name | None = None


class QueueStatus(QueueCounts, frozen=True, kw_only=True):
    is_started: bool = True
    is_processing: bool = False


class EnqueueResult(InvokeStruct, frozen=True, kw_only=True):
    """InvokeAI's answer to a batch. `enqueued` is less than `requested`, even 0, if the queue is full. `item_ids`
    ascend; None before 6.0."""

    batch_id: Id
    enqueued: Int64
    requested: Int64
    item_ids: list[Int64] | None = None


class ImageDTO(InvokeStruct, frozen=True, kw_only=True):
    image_name: str
    image_category: Word
    image_origin: Word
    width: Int32
    height: Int32
    created_at: datetime
    is_intermediate: bool
    session_id: SessionId | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_image_name(self.image_name):
            raise ValueError(f"an image name that is none: {self.image_name[:60]!r}")


class UnreadableImage(Struct, frozen=True):
    """An image InvokeAI lists whose record cannot be read or kept."""

    name: str
    why: str


class ImagePage(Struct, frozen=True, kw_only=True):
    """Part of a list of images. The `unreadable` ones stood among the `items`."""

    items: list[ImageDTO]
    unreadable: list[UnreadableImage]
    total: int
    limit: int
    offset: int

    @property
    def listed(self) -> int:
        """How many entries of the list the page covers."""
        return len(self.items) + len(self.unreadable)
