"""REST calls for the queue, with fallbacks for older servers (FACTS §3, §6, §7, §11)."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from service.errors import InvokeFailed, InvokeNotFound, InvokeUnreadable
from service.invokeai.answers import Canceled, Enqueued, ItemIds, ListedItem, ListPage, QueueAndProcessor, Retried
from service.invokeai.events import BatchStatus, EnqueueResult, ItemReading, ItemSummary, QueueItem, QueueStatus
from service.invokeai.server import Found, Server, one_by_one, quoted
from service.invokeai.versions import QUEUE

log = structlog.get_logger()

Reading = TypeVar("Reading", bound=ItemReading)

ITEMS_PER_CALL = 50
"""A whole item is 21 KB (FACTS §5)."""
SUMMARIES_PER_CALL = 500
LIST_PAGE = 500
MOST_LISTED = 300_000
"""Items that are read page by page. A server whose list has no end would never be read to the end."""


class QueueCalls(Server):
    """Calls for items and batches."""

    async def queue_status(self) -> QueueStatus:
        answer = await self._call("GET", self._queue("status"), QueueAndProcessor)
        counts = msgspec.structs.asdict(answer.queue)
        return QueueStatus(
            **counts, is_started=answer.processor.is_started, is_processing=answer.processor.is_processing
        )

    async def enqueue_batch(self, body: dict[str, Any]) -> EnqueueResult:
        """Sent once: after `InvokeInterrupted` or `InvokeFailed` the effect is unknown (idempotent submit)."""
        path = self._queue("enqueue_batch")
        answer = await self._call("POST", path, Enqueued, body=body, idempotent=False)
        ids = None if answer.item_ids is None else sorted(answer.item_ids)
        return EnqueueResult(
            batch_id=answer.batch.batch_id, enqueued=answer.enqueued, requested=answer.requested, item_ids=ids
        )

    async def batch_status(self, batch_id: str) -> BatchStatus:
        return await self._call("GET", self._queue(f"b/{quoted(batch_id)}/status"), BatchStatus)

    async def item(self, item_id: int) -> QueueItem:
        """The item. `InvokeNotFound` means that it is gone: pruned, cleared or deleted."""
        return await self._about(item_id, self._call("GET", self._queue(f"i/{item_id}"), QueueItem))

    async def items(self, item_ids: Sequence[int]) -> list[QueueItem]:
        """Whole items. Unknown ids are left out, and items that cannot be read or kept."""
        return await self._whole_items(item_ids, QueueItem)

    async def summaries(self, item_ids: Sequence[int]) -> list[ItemSummary]:
        """Summaries of items. Unknown ids are left out, and items that cannot be read or kept. Before 6.14 they are
        made from whole items."""
        return await self._by(
            f"{QUEUE}/item_summaries_by_ids",
            lambda: self._by_ids("item_summaries_by_ids", item_ids, SUMMARIES_PER_CALL, ItemSummary),
            lambda: self._whole_items(item_ids, ItemSummary),
        )

    async def _by_ids(self, route: str, item_ids: Sequence[int], size: int, kind: type[Reading]) -> list[Reading]:
        parts = await self._in_pieces(self._queue(route), "item_ids", item_ids, size, list[msgspec.Raw])
        found, refused = one_by_one(parts, kind)
        for _, why in refused:
            log.warning("item_not_readable", url=self.url, reason=why)
        return found

    async def _whole_items(self, item_ids: Sequence[int], one: type[Reading]) -> list[Reading]:
        return await self._by(
            f"{QUEUE}/items_by_ids",
            lambda: self._by_ids("items_by_ids", item_ids, ITEMS_PER_CALL, one),
            lambda: self._one_by_one(item_ids, one),
        )

    async def _one_by_one(self, item_ids: Sequence[int], one: type[Reading]) -> list[Reading]:
        found: list[Reading] = []
        known: set[int] | None = None
        for item_id in item_ids:
            try:
                found.append(await self._call("GET", self._queue(f"i/{item_id}"), one))
            except (InvokeNotFound, InvokeUnreadable):
                continue
            except InvokeFailed:
                # Old servers answer so for an item they do not know. Their long list tells: it is asked for once.
                known = set(await self.item_ids()) if known is None else known
                if item_id in known:
                    raise
        return found

    async def _about(self, item_id: int, answer: Awaitable[Found]) -> Found:
        """The item; None if the server does not know it. Old servers answer 500 then: their list of ids tells it from a
        failure."""
        try:
            return await answer
        except InvokeFailed:
            if f"{QUEUE}/item_ids" in (await self._info()).routes or item_id in await self.item_ids():
                raise
            raise InvokeNotFound(404, f"queue item {item_id} not found") from None

    async def item_ids(self) -> list[int]:
        """Ids of all items the queue knows, ended ones too, ascending."""
        return sorted(await self._by(f"{QUEUE}/item_ids", self._all_ids, self._ids_of_items))

    async def _all_ids(self) -> list[int]:
        query = [("order_dir", "ASC")]
        return (await self._call("GET", self._queue("item_ids"), ItemIds, query=query)).item_ids

    async def _ids_of_items(self) -> list[int]:
        return await self._by(f"{QUEUE}/list", self._listed, self._list_all)

    async def _list_all(self) -> list[int]:
        return [item.item_id for item in await self._call("GET", self._queue("list_all"), list[ListedItem])]

    async def _listed(self) -> list[int]:
        """Ids by cursor pages, 5.0 to 6.6: the last item's id and priority ask for the items after it. A list without
        an end is unreadable: a part of it would pass for the whole."""
        ids: dict[int, None] = {}
        query = [("limit", str(LIST_PAGE))]
        while True:
            page = await self._call("GET", self._queue("list"), ListPage, query=query)
            before = len(ids)
            ids.update((item.item_id, None) for item in page.items)
            if not page.has_more or not page.items:
                return list(ids)
            if len(ids) == before or len(ids) > MOST_LISTED:
                raise InvokeUnreadable("the list of queue items has no end")
            last = page.items[-1]
            query = [("limit", str(LIST_PAGE)), ("cursor", str(last.item_id)), ("priority", str(last.priority))]

    async def cancel_item(self, item_id: int) -> None:
        """Cancels an item. `InvokeNotFound` when it is gone. The answer comes before the running node has stopped."""
        path = self._queue(f"i/{item_id}/cancel")
        await self._about(item_id, self._call("PUT", path, msgspec.Raw))

    async def cancel_batches(self, batch_ids: Sequence[str]) -> int:
        """Cancels batches and returns how many items that canceled. Pending ones get no event of their own
        (FACTS §3)."""
        path, body = self._queue("cancel_by_batch_ids"), {"batch_ids": list(batch_ids)}
        return (await self._call("PUT", path, Canceled, body=body)).canceled

    async def retry_items(self, item_ids: Sequence[int]) -> list[int]:
        """Retries items and returns the old ids of those that run again as new items (FACTS §3); since 5.9. Sent once:
        twice would make two."""
        path = self._queue("retry_items_by_id")
        answer = await self._call("PUT", path, Retried, body=list(item_ids), idempotent=False)
        return answer.retried_item_ids
