"""Runs one item after another: in_progress, its nodes, and how it ended (FACTS §3, §5)."""

from __future__ import annotations

import asyncio
import traceback
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from service.demo.context import Context, NodeError, Tensors
from service.demo.events import Events
from service.demo.graph import Execution, Prepared
from service.demo.images import Images, Source
from service.demo.invocations import invoke
from service.demo.items import Item, PoisonError, without_nulls
from service.demo.models import Models
from service.demo.queue import Queue

Json = dict[str, Any]
BeforeNode = Callable[[Item, Prepared], Awaitable[None]]

_CACHE_SIZE = 512


class CanceledError(Exception):
    """The item has ended while it ran; its node stops at its next step."""


class NodeCache:
    """Results of nodes with `use_cache`, by all their inputs (FACTS §4, §5). Forgets images that are deleted."""

    def __init__(self) -> None:
        self._results: OrderedDict[bytes, Json] = OrderedDict()

    @staticmethod
    def _key(invocation: Json) -> bytes:
        return msgspec.json.encode({name: value for name, value in invocation.items() if name != "id"})

    def get(self, invocation: Json) -> Json | None:
        return self._results.get(self._key(invocation)) if invocation["use_cache"] else None

    def put(self, invocation: Json, result: Json) -> None:
        if invocation["use_cache"]:
            self._results[self._key(invocation)] = result
            if len(self._results) > _CACHE_SIZE:
                self._results.popitem(last=False)

    def forget_image(self, image_name: str) -> None:
        name = image_name.encode()
        for key in [key for key, result in self._results.items() if name in msgspec.json.encode(result)]:
            del self._results[key]


class Processor:
    """Runs items, one in each task of `run`, which never ends by itself; cancel the task to stop."""

    def __init__(
        self,
        queue: Queue,
        events: Events,
        images: Images,
        models: Models,
        *,
        step_seconds: float,
        before_node: BeforeNode,
        has_board: Callable[[str], bool],
    ) -> None:
        self._queue, self._events, self._images, self._models = queue, events, images, models
        self._step_seconds = step_seconds
        self._before_node = before_node
        self._has_board = has_board
        self._tensors = Tensors()
        self.cache = NodeCache()

    async def run(self) -> None:
        while True:
            self._queue.changed.clear()
            item = self._queue.next_pending() if self._queue.started else None
            if item is None:
                await self._queue.changed.wait()
                continue
            try:
                graph = item.graph()
            except PoisonError:
                await self._queue.changed.wait()
                continue
            await self._queue.start(item)
            await self._run_item(item, graph)

    async def _run_item(self, item: Item, graph: Json) -> None:
        execution = Execution(graph)
        status, error = "completed", None
        failed: tuple[Prepared, Json] | None = None
        try:
            for prepared in execution.steps():
                self._check(item)
                try:
                    await self._run_node(item, execution, prepared)
                except CanceledError:
                    raise
                except Exception as problem:  # noqa: BLE001 whatever a node raises fails its item
                    error = _error(problem)
                    failed = prepared, error
                    execution.fail(prepared, error["error_traceback"])
                    status = "failed"
                    break
        except CanceledError:
            status = "canceled"
        await self._queue.finish(item, status, execution.session(item.session_id), error)
        if failed:  # after the status event, which says the same (FACTS §3)
            await self._events.invocation("error", item, failed[0].shown, failed[0].source_id, **failed[1])

    def _check(self, item: Item) -> None:
        if item.status != "in_progress" or item.item_id not in self._queue.items:
            raise CanceledError

    async def _run_node(self, item: Item, execution: Execution, prepared: Prepared) -> None:
        await self._before_node(item, prepared)
        self._check(item)
        await self._events.invocation("started", item, prepared.shown, prepared.source_id)
        result = self.cache.get(prepared.invocation)
        if result is None:
            result = await invoke(self._context(item, execution, prepared))
            self._check(item)
            self.cache.put(prepared.invocation, result)
        execution.complete(prepared, result)
        await self._events.invocation("complete", item, prepared.shown, prepared.source_id, result=result)
        await asyncio.sleep(0)

    def _context(self, item: Item, execution: Execution, prepared: Prepared) -> Context:
        async def progress(message: str, percentage: float | None = None, image: Json | None = None) -> None:
            """A progress event; when the item is over by then it is its last, told all the same (FACTS §3)."""
            more = {"message": message, "percentage": percentage, "image": image, "device": None}
            await self._events.invocation("progress", item, prepared.shown, prepared.source_id, **more)
            self._check(item)

        async def load(model: Json, submodel: str) -> None:
            await progress(f"Loading model {model['name']} ({submodel})")
            config = self._models.get(model["key"]) or {}
            await self._events.model_load("started", config, submodel, item.user_id)
            await self._events.model_load("complete", config, submodel, item.user_id)

        return Context(
            prepared=prepared,
            models=self._models,
            images=self._images,
            tensors=self._tensors,
            source=Source(session_id=item.session_id, user_id=item.user_id),
            texts=_texts(item, execution, prepared),
            has_board=self._has_board,
            step_seconds=self._step_seconds,
            progress=progress,
            load=load,
        )


def _texts(item: Item, execution: Execution, prepared: Prepared) -> dict[str, str]:
    """The PNG's text chunks: metadata where the node has some, the workflow, and always the graph (FACTS §7)."""
    parts = {
        "invokeai_metadata": prepared.invocation.get("metadata"),
        "invokeai_workflow": item.work.workflow,
        "invokeai_graph": without_nulls(execution.graph),
    }
    return {name: msgspec.json.encode(part).decode() for name, part in parts.items() if part is not None}


def _error(problem: Exception) -> Json:
    if isinstance(problem, NodeError):
        kind, trace = problem.kind, f"Traceback (most recent call last):\n{problem.kind}: {problem}\n"
    else:
        kind, trace = type(problem).__name__, "".join(traceback.format_exception(problem))
    return {"error_type": kind, "error_message": str(problem), "error_traceback": trace}
