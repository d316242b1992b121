"""The parameters of a request for images, and a graph of nodes and edges."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class ModelRef(Struct, frozen=True):
    """A model as graphs name it. InvokeAI needs all five fields and uses the key."""

    key: str
    hash: str
    name: str
    base: str
    type: str


class Lora(Struct, frozen=True):
    model: ModelRef
    weight: float = 0.75


class Source(Struct, frozen=True):
    """The source image of an image-to-image request: its name at InvokeAI, and its size there."""

    image_name: str
    width: int
    height: int
    strength: float
    """Denoising strength: 0 keeps the source, 1 ignores it."""


class Request(Struct, frozen=True, kw_only=True):
    """One batch: an image for each seed, made from `source` if there is one. `vae` replaces the model's own."""

    model: ModelRef
    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    cfg_scale: float
    scheduler: str
    seeds: list[int]
    batch_id: str
    step_id: str
    vae: ModelRef | None = None
    loras: tuple[Lora, ...] = ()
    source: Source | None = None


class Graph:
    """Nodes and edges. An edge is written `connect("loader.unet", "denoise.unet")`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: list[tuple[str, str]] = []

    def add(self, node_id: str, kind: str, **fields: Any) -> None:
        """Adds a node. Its images are intermediate and its result cacheable unless `fields` say otherwise."""
        base = {"id": node_id, "type": kind, "is_intermediate": True, "use_cache": True}
        self._nodes[node_id] = base | msgspec.to_builtins(fields)

    def connect(self, source: str, destination: str) -> None:
        """Adds an edge. Of two edges into one field InvokeAI silently keeps the last; only collect nodes take
        several."""
        kind = self._nodes[_end(destination)["node_id"]]["type"]
        if kind != "collect" and any(taken == destination for _, taken in self._edges):
            raise ValueError(f"{destination} is connected already")
        if _end(source)["node_id"] not in self._nodes:
            raise ValueError(f"no node for {source}")
        self._edges.append((source, destination))

    def body(self) -> dict[str, Any]:
        edges = [{"source": _end(source), "destination": _end(destination)} for source, destination in self._edges]
        return {"id": self._name, "nodes": self._nodes, "edges": edges}


def _end(end: str) -> dict[str, str]:
    node_id, field = end.split(".")
    return {"node_id": node_id, "field": field}
