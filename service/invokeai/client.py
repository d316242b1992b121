"""InvokeAI's REST API, with the fallbacks older servers need (FACTS §7, §11)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from service.errors import InvokeNotFound
from service.invokeai.answers import (
    AuthStatus,
    Canceled,
    Enqueued,
    ItemIds,
    ListedItem,
    ListPage,
    Models,
    OpenAPI,
    QueueAndProcessor,
    Retried,
    ServerInfo,
    Version,
)
from service.invokeai.events import (
    BatchStatus,
    EnqueueResult,
    ImageDTO,
    ImagePage,
    ItemReading,
    ItemSummary,
    Model,
    QueueItem,
    QueueStatus,
)
from service.invokeai.files import RemoteFile
from service.invokeai.transport import Credentials, Transport

__all__ = ["Credentials", "InvokeClient", "ServerInfo"]

Reading = TypeVar("Reading", bound=ItemReading)
Found = TypeVar("Found")

ITEMS_PER_CALL = 50
"""A whole item is 21 KB (FACTS §5)."""
SUMMARIES_PER_CALL = 500
IMAGES_PER_CALL = 200
LIST_PAGE = 500


class InvokeClient:
    """One server, one queue. Every call returns or raises an `InvokeError`, within the timeout for each request."""

    def __init__(
        self,
        url: str,
        queue_id: str = "default",
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        *,
        session: aiohttp.ClientSession,
    ) -> None:
        self.queue_id = queue_id
        self.info: ServerInfo | None = None
        self._transport = Transport(url, credentials, timeout, session)
        self._call = self._transport.call

    @property
    def url(self) -> str:
        return self._transport.url

    @property
    def timeout(self) -> float:
        return self._transport.timeout

    @property
    def session(self) -> aiohttp.ClientSession:
        return self._transport.session

    @property
    def token(self) -> str | None:
        """Of the present login; None on single-user servers."""
        return self._transport.token

    def server_time(self) -> datetime | None:
        """Now on the server's clock, to the second; None before the first answer."""
        return self._transport.server_time()

    # --- The server ---

    async def connect(self) -> ServerInfo:
        """Reads version and routes, and logs in where the server wants it."""
        version = await self._version()
        openapi = await self._call("GET", "/openapi.json", OpenAPI)
        routes = frozenset(openapi.paths)
        multiuser = False
        if "/api/v1/auth/status" in routes:
            multiuser = (await self._call("GET", "/api/v1/auth/status", AuthStatus)).multiuser_enabled
        if multiuser:
            await self.queue_status()  # answers 401 unless our token is good
        self.info = ServerInfo(version.version, routes, multiuser, version.demo)
        return self.info

    async def version(self) -> str:
        return (await self._version()).version

    async def _version(self) -> Version:
        return await self._call("GET", "/api/v1/app/version", Version)

    async def models(self) -> list[Model]:
        return (await self._call("GET", "/api/v2/models/", Models)).models

    # --- The queue ---

    async def queue_status(self) -> QueueStatus:
        answer = await self._call("GET", self._queue("status"), QueueAndProcessor)
        counts = msgspec.structs.asdict(answer.queue)
        return QueueStatus(
            **counts, is_started=answer.processor.is_started, is_processing=answer.processor.is_processing
        )

    async def enqueue_batch(self, body: dict[str, Any]) -> EnqueueResult:
        """Sent once: after `InvokeInterrupted` or `InvokeFailed` the effect is unknown (rule 7)."""
        path = self._queue("enqueue_batch")
        answer = await self._call("POST", path, Enqueued, body=body, idempotent=False)
        ids = None if answer.item_ids is None else sorted(answer.item_ids)
        return EnqueueResult(
            batch_id=answer.batch.batch_id, enqueued=answer.enqueued, requested=answer.requested, item_ids=ids
        )

    async def batch_status(self, batch_id: str) -> BatchStatus:
        return await self._call("GET", self._queue(f"b/{_quoted(batch_id)}/status"), BatchStatus)

    async def item(self, item_id: int) -> QueueItem:
        return await self._call("GET", self._queue(f"i/{item_id}"), QueueItem)

    async def items(self, item_ids: Sequence[int]) -> list[QueueItem]:
        """Unknown ids are left out."""
        return await self._whole_items(item_ids, QueueItem, list[QueueItem])

    async def summaries(self, item_ids: Sequence[int]) -> list[ItemSummary]:
        """Unknown ids are left out. Before 6.14 they are read from whole items."""
        if not await self._has("item_summaries_by_ids"):
            return await self._whole_items(item_ids, ItemSummary, list[ItemSummary])
        path = self._queue("item_summaries_by_ids")
        return await self._in_pieces(path, "item_ids", item_ids, SUMMARIES_PER_CALL, list[ItemSummary])

    async def _whole_items(
        self, item_ids: Sequence[int], one: type[Reading], many: type[list[Reading]]
    ) -> list[Reading]:
        if await self._has("items_by_ids"):
            return await self._in_pieces(self._queue("items_by_ids"), "item_ids", item_ids, ITEMS_PER_CALL, many)
        return await _found(lambda item_id: self._call("GET", self._queue(f"i/{item_id}"), one), item_ids)

    async def _in_pieces(
        self, path: str, key: str, values: Sequence[Any], size: int, many: type[list[Found]]
    ) -> list[Found]:
        """POST reads by ids or names, so many at a time."""
        found: list[Found] = []
        for start in range(0, len(values), size):
            found += await self._call("POST", path, many, body={key: values[start : start + size]})
        return found

    async def item_ids(self) -> list[int]:
        """Of all items the queue knows, ended ones too, ascending."""
        if await self._has("item_ids"):
            query = [("order_dir", "ASC")]
            answer = await self._call("GET", self._queue("item_ids"), ItemIds, query=query)
            return sorted(answer.item_ids)
        if await self._has("list"):
            return sorted([item.item_id async for item in self._listed()])
        return sorted(item.item_id for item in await self._call("GET", self._queue("list_all"), list[ListedItem]))

    async def _listed(self) -> AsyncIterator[ListedItem]:
        """Cursor pages, 5.0 to 6.6: the last item's id and priority ask for what follows it."""
        query = [("limit", str(LIST_PAGE))]
        while True:
            page = await self._call("GET", self._queue("list"), ListPage, query=query)
            for item in page.items:
                yield item
            if not page.has_more or not page.items:
                return
            last = page.items[-1]
            query = [("limit", str(LIST_PAGE)), ("cursor", str(last.item_id)), ("priority", str(last.priority))]

    async def cancel_item(self, item_id: int) -> None:
        await self._call("PUT", self._queue(f"i/{item_id}/cancel"), msgspec.Raw)

    async def cancel_batches(self, batch_ids: Sequence[str]) -> int:
        """How many items it canceled. Pending ones get no event of their own (FACTS §3)."""
        path, body = self._queue("cancel_by_batch_ids"), {"batch_ids": list(batch_ids)}
        return (await self._call("PUT", path, Canceled, body=body)).canceled

    async def retry_items(self, item_ids: Sequence[int]) -> list[int]:
        """The old ids of what is run again as new items (FACTS §3); since 5.9. Sent once: twice would make two."""
        path = self._queue("retry_items_by_id")
        answer = await self._call("PUT", path, Retried, body=list(item_ids), idempotent=False)
        return answer.retried_item_ids

    # --- Images ---

    async def image(self, name: str) -> ImageDTO:
        """`InvokeNotFound` means it is deleted."""
        return await self._call("GET", _image(name), ImageDTO)

    async def images_by_names(self, names: Sequence[str]) -> list[ImageDTO]:
        """Unknown names are left out."""
        path = "/api/v1/images/images_by_names"
        if path not in (await self._info()).routes:
            return await _found(self.image, names)
        return await self._in_pieces(path, "image_names", names, IMAGES_PER_CALL, list[ImageDTO])

    async def images_page(
        self,
        limit: int,
        offset: int,
        *,
        is_intermediate: bool | None = None,
        categories: Sequence[str] = (),
        starred_first: bool = True,
        order: Literal["ASC", "DESC"] = "DESC",
    ) -> ImagePage:
        query = [("limit", str(limit)), ("offset", str(offset)), ("order_dir", order)]
        query += [("starred_first", _flag(starred_first))]
        query += [("categories", category) for category in categories]
        if is_intermediate is not None:
            query += [("is_intermediate", _flag(is_intermediate))]
        return await self._call("GET", "/api/v1/images/", ImagePage, query=query)

    async def metadata(self, name: str) -> dict[str, Any] | None:
        """The image's core_metadata; None when it has none."""
        metadata = msgspec.json.decode(await self._call("GET", _image(name, "metadata"), msgspec.Raw))
        return metadata if isinstance(metadata, dict) else None

    async def upload(
        self,
        content: bytes,
        filename: str,
        *,
        content_type: str = "image/png",
        category: str = "user",
        is_intermediate: bool = False,
    ) -> ImageDTO:
        def form() -> aiohttp.FormData:
            data = aiohttp.FormData()
            data.add_field("file", content, filename=filename, content_type=content_type)
            return data

        query = [("image_category", category), ("is_intermediate", _flag(is_intermediate))]
        path = "/api/v1/images/upload"
        return await self._call("POST", path, ImageDTO, query=query, form=form, idempotent=False)

    @asynccontextmanager
    async def open_file(self, name: str) -> AsyncIterator[RemoteFile]:
        """The original. A 404 here alone does not mean that it is deleted (FACTS §10)."""
        async with self._transport.stream(_image(name, "full")) as response:
            yield RemoteFile(response)

    @asynccontextmanager
    async def open_thumbnail(self, name: str) -> AsyncIterator[RemoteFile]:
        async with self._transport.stream(_image(name, "thumbnail")) as response:
            yield RemoteFile(response)

    # --- Routes ---

    def _queue(self, route: str) -> str:
        return f"/api/v1/queue/{_quoted(self.queue_id)}/{route}"

    async def _info(self) -> ServerInfo:
        return self.info or await self.connect()

    async def _has(self, route: str) -> bool:
        return f"/api/v1/queue/{{queue_id}}/{route}" in (await self._info()).routes


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _image(name: str, route: str = "") -> str:
    return f"/api/v1/images/i/{_quoted(name)}" + (f"/{route}" if route else "")


def _flag(value: bool) -> str:
    return "true" if value else "false"


async def _found(read: Callable[[Any], Awaitable[Found]], keys: Sequence[Any]) -> list[Found]:
    """One by one, for servers without the bulk route; leaves out what does not exist."""
    found: list[Found] = []
    for key in keys:
        try:
            found.append(await read(key))
        except InvokeNotFound:
            continue
    return found
