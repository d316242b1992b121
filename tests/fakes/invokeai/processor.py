"""Runs every node of any graph, as InvokeAI does (FACTS §3, §5)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from service.demo.answers import new_id
from service.demo.png import Pixels
from service.demo.processor import CanceledError, Processor, Run, error_of
from service.demo.queue import Item
from tests.fakes.invokeai.graphs import Execution, Prepared
from tests.fakes.invokeai.http import without_nulls
from tests.fakes.invokeai.images import FullImages
from tests.fakes.invokeai.queue import FullQueue

Json = dict[str, Any]

_TENSORS_KEPT = 10_000


class NodeError(Exception):
    """A node that fails; `kind` is the exception's name as InvokeAI reports it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Tensors:
    """Latents and prompts by the name results carry; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def keep(self, prefix: str, value: Any) -> str:
        name = f"{prefix}_{new_id()}"
        self._kept[name] = value
        if len(self._kept) > _TENSORS_KEPT:
            self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> Any:
        return self._kept[name]


class Node(Run):
    """One node while it runs: its inputs, and what it may use."""

    processor: FullProcessor

    def __init__(self, processor: FullProcessor, item: Item, execution: Execution, prepared: Prepared) -> None:
        super().__init__(processor, item, prepared.source_id, prepared.shown)
        self.prepared, self.fields = prepared, prepared.invocation
        self.models, self.images, self.tensors = processor.models, processor.images, processor.tensors
        self._graph = execution.graph

    async def load(self, model: Json, submodel: str) -> None:
        await self.progress(f"Loading model {model['name']} ({submodel})")
        told = {"config": self.models.get(model["key"], {}), "submodel_type": submodel, "user_id": self.item.user_id}
        for moment in ("started", "complete"):
            await self.processor.tell(f"model_load_{moment}", told)

    async def pixels(self, name: str) -> Pixels:
        if self.images.find(name) is None:
            raise NodeError("ImageRecordNotFoundException", "Image record not found")
        return await asyncio.to_thread(self.images.pixels, name)

    async def keep(self, pixels: Pixels) -> Json:
        """Saves an image; the result that names it."""
        return await self.save(pixels, without_nulls(self._graph))


class FullProcessor(Processor):
    """`perform` runs one node and answers its result; NodeError says why not. `before_node` is awaited before each."""

    queue: FullQueue
    images: FullImages

    def __init__(
        self,
        *parts: Any,
        perform: Callable[[Node], Awaitable[Json]],
        before_node: Callable[[Item, Prepared], Awaitable[None]],
        step_seconds: float,
    ) -> None:
        super().__init__(*parts, step_seconds=step_seconds)
        self.tensors = Tensors()
        self._perform, self._before_node = perform, before_node

    async def run_item(self, item: Item) -> None:
        execution = self.queue.execution(item)
        status, error, node = "completed", {}, None
        try:
            for prepared in execution.steps():
                node = Node(self, item, execution, prepared)
                await self._run_node(node, execution)
        except CanceledError:
            status = "canceled"
        except Exception as problem:  # noqa: BLE001 any error of a node fails its item
            status, error = "failed", _error(problem)
            if node is not None:
                execution.fail(node.prepared, error["error_traceback"])
        await self.queue.finish(item, status, execution.session(item.session_id), error)
        if error and node is not None:  # after the status event, which says the same (FACTS §3)
            await node.tell("error", **error)

    async def _run_node(self, node: Node, execution: Execution) -> None:
        node.check()
        await self._before_node(node.item, node.prepared)
        node.check()
        await node.tell("started")
        result = await self._perform(node)
        node.check()
        execution.complete(node.prepared, result)
        await node.tell("complete", result=result)
        await asyncio.sleep(0)


def _error(problem: Exception) -> Json:
    told = error_of(problem)
    if isinstance(problem, NodeError):
        trace = f"Traceback (most recent call last):\n{problem.kind}: {problem}\n"
        told |= {"error_type": problem.kind, "error_traceback": trace}
    return told
