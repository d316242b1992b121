"""Structs of InvokeAI's REST answers that only the client sees (FACTS §7), and ServerInfo."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from service.invokeai.bounds import Id, Int64
from service.invokeai.events import BatchStatus, ImageDTO, QueueCounts


class ServerInfo(Struct, frozen=True):
    """What a server can do, read at each connect. `routes` are OpenAPI paths, e.g. `/api/v1/queue/{queue_id}/item_ids`:
    all of its routes if the server has `listed` them, else those of `versions.SINCE` that its version has."""

    version: str
    routes: frozenset[str]
    multiuser: bool
    demo: bool
    listed: bool = True


class Version(Struct):
    """`demo` marks Darkroom's own demo server."""

    version: str
    demo: bool = False


class OpenAPI(Struct):
    paths: dict[str, msgspec.Raw]


class AuthStatus(Struct):
    multiuser_enabled: bool = False


class Processor(Struct):
    is_started: bool = True
    is_processing: bool = False


class QueueAndProcessor(Struct):
    queue: QueueCounts
    processor: Processor


class Batch(Struct):
    batch_id: Id


class Enqueued(Struct):
    """`item_ids` come in either order; older servers have none (FACTS §3, §11, §12)."""

    enqueued: Int64
    requested: Int64
    batch: Batch
    item_ids: list[Int64] | None = None


class ItemIds(Struct):
    item_ids: list[Int64]


class ListedItem(Struct):
    item_id: Int64
    priority: Int64 = 0


class ListPage(Struct):
    items: list[ListedItem]
    has_more: bool = False


class Canceled(Struct):
    canceled: Int64


class Retried(Struct):
    retried_item_ids: list[Int64]


class Models(Struct):
    models: list[msgspec.Raw]
    """Each is a `Model`, decoded one by one."""


class ListedImages(Struct):
    """A page of images, not yet decoded. Each item is an `ImageDTO`, decoded one by one."""

    items: list[msgspec.Raw]
    total: Int64
    limit: Int64
    offset: Int64


class NamedImage(Struct):
    """The name from an image's record."""

    image_name: str


class ImageNames(Struct):
    image_names: list[str]


class Named(Struct):
    image_name: str


class Newest(Struct):
    """The names of the newest images, and the total."""

    items: list[Named]
    total: Int64


class Total(Struct):
    """The total of a page."""

    total: Int64


SHORT: Final = 4 * 1024 * 1024
MANY_NAMES: Final = 64 * 1024 * 1024
LONGEST: Final[dict[Any, int]] = {
    Version: SHORT,
    AuthStatus: SHORT,
    QueueAndProcessor: SHORT,
    BatchStatus: SHORT,
    Enqueued: SHORT,
    Canceled: SHORT,
    Retried: SHORT,
    Newest: SHORT,
    Total: SHORT,
    ImageDTO: SHORT,
    ImageNames: MANY_NAMES,
    list[ListedItem]: MANY_NAMES,
}
"""Longest answer in bytes, for types that differ from the default: a few values, the names of a million images, or a
whole queue of items with their graphs."""
