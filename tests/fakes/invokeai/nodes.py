"""How any node is run: what it needs before, and the cache of results. The result is whole, as events carry it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from tests.fakes.invokeai import image_nodes, latent_nodes
from tests.fakes.invokeai.model_nodes import NODES
from tests.fakes.invokeai.node_types import NODE_TYPES
from tests.fakes.invokeai.processor import Node, NodeError

Json = dict[str, Any]

__all__ = ["NODES", "NodeCache", "image_nodes", "latent_nodes"]

_CACHE_SIZE = 512


class NodeCache:
    """Results of nodes with `use_cache`, by all their inputs (FACTS §4, §5). Forgets images that are deleted."""

    def __init__(self) -> None:
        self._results: OrderedDict[bytes, Json] = OrderedDict()

    async def perform(self, node: Node) -> Json:
        """The node's result; of the same node, the earlier one."""
        key = msgspec.json.encode({name: value for name, value in node.fields.items() if name != "id"})
        if node.fields["use_cache"] and key in self._results:
            return self._results[key]
        result = await perform(node)
        if node.fields["use_cache"]:
            self._results[key] = result
            if len(self._results) > _CACHE_SIZE:
                self._results.popitem(last=False)
        return result

    def forget_image(self, image_name: str) -> None:
        name = image_name.encode()
        for key in [key for key, result in self._results.items() if name in msgspec.json.encode(result)]:
            del self._results[key]


async def perform(node: Node) -> Json:
    for field in NODE_TYPES[node.fields["type"]].fields:
        if field.required and node.fields.get(field.name) is None:
            kind = "RequiredConnectionException" if field.wired else "MissingInputException"
            words = "missing connections" if field.wired else "missing value or connection"
            raise NodeError(kind, f"Node {node.prepared.id} {words} for field {field.name}")
    result = {"output_meta": None} | await NODES[node.fields["type"]](node)
    node.check()
    return result
