"""The envelopes of REST answers, opened by the client (FACTS §7), and what they say of the server."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from service.invokeai.events import Int64, QueueCounts


class ServerInfo(Struct, frozen=True):
    """Read anew on each connect. `routes` are OpenAPI paths, e.g. `/api/v1/queue/{queue_id}/item_ids`: all there are
    where the server has `listed` them, else those of `versions.SINCE` that its version has."""

    version: str
    routes: frozenset[str]
    multiuser: bool
    demo: bool
    listed: bool = True


class Version(Struct):
    """`demo` is the mark of Darkroom's own stand-in."""

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
    batch_id: str


class Enqueued(Struct):
    """`item_ids` come in either order; older servers have none (FACTS §3, §11, §12)."""

    enqueued: int
    requested: int
    batch: Batch
    item_ids: list[Int64] | None = None


class ItemIds(Struct):
    item_ids: list[int]


class ListedItem(Struct):
    item_id: int
    priority: int = 0


class ListPage(Struct):
    items: list[ListedItem]
    has_more: bool = False


class Canceled(Struct):
    canceled: int


class Retried(Struct):
    retried_item_ids: list[int]


class Models(Struct):
    models: list[msgspec.Raw]
    """Each a `Model`, read one by one."""


class ListedImages(Struct):
    """A page of images as it came; each item an `ImageDTO`, read one by one."""

    items: list[msgspec.Raw]
    total: int
    limit: int
    offset: int


class NamedImage(Struct):
    """As much of an image's record as tells which it is."""

    image_name: str


class ImageNames(Struct):
    image_names: list[str]


class Named(Struct):
    image_name: str


class Newest(Struct):
    """The newest images, by name alone, and how many there are."""

    items: list[Named]
    total: int


class Total(Struct):
    """A page of which only the count matters."""

    total: int
