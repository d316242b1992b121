"""What a node has at hand while it runs, and the table of what each node type does."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from service.demo.clock import new_id
from service.demo.graph import Prepared
from service.demo.images import ImageNotFoundError, Images, Source
from service.demo.models import Models
from service.demo.painter import Scene
from service.demo.png import Pixels

Json = dict[str, Any]

_TENSORS_KEPT = 10_000


class NodeError(Exception):
    """A node that fails; `kind` is the exception's name as InvokeAI reports it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Latents:
    """What a latents or noise name stands for: a scene at a size, or an image to start from."""

    width: int
    height: int
    seed: int = 0
    scene: Scene | None = None
    image_name: str | None = None
    strength: float = 1.0


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


@dataclass
class Context:
    """What one node may use while it runs. `progress` reports, and raises when the item has been canceled."""

    prepared: Prepared
    models: Models
    images: Images
    tensors: Tensors
    source: Source
    texts: dict[str, str]
    has_board: Callable[[str], bool]
    step_seconds: float
    progress: Callable[..., Awaitable[None]]
    load: Callable[[Json, str], Awaitable[None]]

    @property
    def fields(self) -> Json:
        return self.prepared.invocation

    async def pixels(self, name: str) -> Pixels:
        try:
            return await asyncio.to_thread(self.images.pixels, name)
        except ImageNotFoundError as missing:
            raise NodeError("ImageRecordNotFoundException", "Image record not found") from missing

    async def save(self, pixels: Pixels) -> Json:
        await self.progress("Saving image")
        board = self.fields.get("board")
        on_board = board is not None and self.has_board(board["board_id"])  # a deleted board is passed over (FACTS §4)
        source = replace(
            self.source,
            is_intermediate=self.fields["is_intermediate"],
            node_id=self.prepared.id,
            board_id=board["board_id"] if board and on_board else None,
        )
        data, thumbnail = await asyncio.to_thread(self.images.encode, pixels, self.texts)
        return image_result(self.images.add(data, thumbnail, source).dto())


def image_result(dto: Json) -> Result:
    return {"image": {"image_name": dto["image_name"]}, "width": dto["width"], "height": dto["height"]}


Result = dict[str, Any]
Invocation = Callable[[Context], Awaitable[Result]]
INVOCATIONS: dict[str, Invocation] = {}


def invocation(name: str) -> Callable[[Invocation], Invocation]:
    def register(function: Invocation) -> Invocation:
        INVOCATIONS[name] = function
        return function

    return register
