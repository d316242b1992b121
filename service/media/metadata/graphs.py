"""Reads the graph or workflow that InvokeAI stores inside an image, and the metadata that follow from it.

A value that depends on more than the graph (a random number, a text put together from others) is left out. So is one on
which two generations that the graph ends in disagree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service.media.metadata.json_text import decode_table, listed, table

Json = dict[str, Any]
Source = tuple[str, str]
"""The node an edge begins at, and its output."""

VALUES = frozenset({"string", "integer", "float", "boolean"})
"""Types of nodes whose output `value` is their input of the same name."""
MODEL_PATHS = ("unet", "transformer")
SETTINGS = {
    "steps": ("steps", "num_steps"),
    "cfg_scale": ("cfg_scale",),
    "guidance": ("guidance", "guidance_scale"),
    "scheduler": ("scheduler",),
}
"""The names of values in `core_metadata`, and in nodes that denoise."""
METADATA_FIELDS = ("positive_prompt", "negative_prompt", "seed", "model", "loras", *SETTINGS)
MAX_NODES = 2_000
MAX_PATH = 200
"""Nodes that one value is followed through."""
MAX_MAKERS = 100
"""Generations of one graph that are compared."""


class Graph:
    """Nodes by id, and the edges that lead into each of their fields."""

    def __init__(self, nodes: Mapping[str, Json], edges: list[tuple[Source, Source]]) -> None:
        self.nodes = nodes
        self._into: dict[str, list[tuple[str, Source]]] = {}
        self._out_of: dict[str, list[tuple[str, Source]]] = {}
        for (source, output), (destination, field) in edges:
            if source in nodes and destination in nodes:
                self._into.setdefault(destination, []).append((field, (source, output)))
                self._out_of.setdefault(source, []).append((output, (destination, field)))

    def kind(self, node: str) -> str:
        return str(self.nodes[node].get("type"))

    def sources(self, node: str, wanted: Callable[[str], bool] = lambda _: True) -> list[Source]:
        """The sources of the edges into these fields of the node."""
        return [source for field, source in self._into.get(node, ()) if wanted(field)]

    def destinations(self, node: str) -> list[Source]:
        """The nodes and fields that its outputs lead to."""
        return [destination for _, destination in self._out_of.get(node, ())]

    def value(self, node: str, field: str) -> Any:
        """The field's value when the graph runs; None if the graph alone does not tell it."""
        seen = set[Source]()
        while (node, field) not in seen and len(seen) < MAX_PATH:
            seen.add((node, field))
            sources = self.sources(node, lambda into, field=field: into == field)  # type: ignore[misc]
            if not sources:
                return self.nodes[node].get(field)
            # Of two edges into one field InvokeAI keeps the last.
            node, output = sources[-1]
            if self.kind(node) == "model_identifier" and output == "model":
                continue
            if self.kind(node) not in VALUES or output != "value":
                return None
            field = "value"
        return None

    def results(self) -> Iterator[str]:
        """Nodes that may have made the image: the ends of the graph, and those that save an image and pass it on."""
        for node, fields in self.nodes.items():
            leads = self._out_of.get(node, ())
            hands_on = any(output == "image" for output, _ in leads)
            if not leads or (hands_on and fields.get("is_intermediate") is False):
                yield node

    def back_to(self, start: list[str], found: Callable[[str], bool]) -> list[str]:
        """The first `found` node on each path back from these nodes."""
        hits, seen, ahead = [], set(start), deque(start)
        while ahead:
            node = ahead.popleft()
            if found(node):
                hits.append(node)
                continue
            before = [source for source, _ in self.sources(node) if source not in seen]
            seen.update(before)
            ahead += before
        return hits


def read_graph(text: str | None) -> Graph | None:
    """Reads InvokeAI's `invokeai_graph`; None if it cannot be read."""
    found = decode_table(text)
    nodes = {id: node for id, node in table(found.get("nodes")).items() if isinstance(node, dict)}
    edges = []
    for edge in listed(found.get("edges")):
        source, destination = _end(table(edge).get("source")), _end(table(edge).get("destination"))
        if source and destination:
            edges.append((source, destination))
    return Graph(nodes, edges) if 0 < len(nodes) <= MAX_NODES else None


def read_workflow(text: str | None) -> Graph | None:
    """Reads InvokeAI's `invokeai_workflow`, which its workflow editor saves, as a graph."""
    found = decode_table(text)
    nodes: dict[str, Json] = {}
    for node in listed(found.get("nodes")):
        data = table(table(node).get("data"))
        inputs = table(data.get("inputs"))
        if isinstance(table(node).get("id"), str) and isinstance(data.get("type"), str):
            fields = {name: table(field).get("value") for name, field in inputs.items()}
            nodes[node["id"]] = fields | {"type": data["type"], "is_intermediate": data.get("isIntermediate")}
    edges = []
    for edge in map(table, listed(found.get("edges"))):
        ends = [edge.get(name) for name in ("source", "sourceHandle", "target", "targetHandle")]
        if all(isinstance(end, str) for end in ends):
            edges.append(((ends[0], ends[1]), (ends[2], ends[3])))
    return Graph(nodes, edges) if 0 < len(nodes) <= MAX_NODES else None  # type: ignore[arg-type]


def graph_metadata(graph: Graph) -> Json:
    """The metadata that follow from the graph, under the names of InvokeAI's `core_metadata`."""
    makers = sorted(set(graph.back_to(list(graph.results()), lambda node: _makes(graph, node))))
    told = [_of_maker(graph, maker) for maker in makers[:MAX_MAKERS]]
    told += [_of_metadata_node(graph, node) for node in graph.nodes if graph.kind(node) == "core_metadata"]
    agreed: Json = {}
    for name in METADATA_FIELDS:
        values = [values[name] for values in told if values.get(name) not in (None, "", [])]
        if values and all(value == values[0] for value in values):
            agreed[name] = values[0]
    return agreed


def _makes(graph: Graph, node: str) -> bool:
    """Whether the node makes an image from a prompt: it gets conditioning, or takes prompt and model itself."""
    if graph.sources(node, lambda field: _is_conditioning(field, "positive")):
        return True
    return "model" in graph.nodes[node] and graph.value(node, "prompt") is not None


def _is_conditioning(field: str, sign: str) -> bool:
    return field.startswith(sign) and field.endswith("conditioning")


def _of_maker(graph: Graph, maker: str) -> Json:
    own_prompt = graph.value(maker, "prompt")
    model, loras = _model_and_loras(graph, maker)
    settings = {
        name: next((value for field in fields if _is_plain(value := graph.value(maker, field))), None)
        for name, fields in SETTINGS.items()
    }
    return {
        "positive_prompt": own_prompt if own_prompt is not None else _prompt(graph, maker, "positive"),
        "negative_prompt": graph.value(maker, "negative_prompt") or _prompt(graph, maker, "negative"),
        "seed": _seed(graph, maker),
        "model": model,
        "loras": loras,
        **settings,
    }


def _prompt(graph: Graph, maker: str, sign: str) -> str | None:
    """The single text that this conditioning comes from."""
    start = [source for source, _ in graph.sources(maker, lambda field: _is_conditioning(field, sign))]
    encoders = graph.back_to(start, lambda node: _takes_prompt(graph, node))
    texts = {text if isinstance(text := graph.value(node, "prompt"), str) else None for node in encoders}
    return texts.pop() if len(texts) == 1 else None


def _takes_prompt(graph: Graph, node: str) -> bool:
    return "prompt" in graph.nodes[node] or bool(graph.sources(node, lambda field: field == "prompt"))


def _seed(graph: Graph, maker: str) -> Any:
    """The node's seed, or that of the noise that it gets."""
    noise = [source for source, _ in graph.sources(maker, lambda field: field == "noise")]
    return graph.value(noise[-1] if noise else maker, "seed")


def _model_and_loras(graph: Graph, maker: str) -> tuple[Json | None, list[Json]]:
    """The model, found back along the model's path to the node that loads it, and the LoRAs on the way."""
    loras: list[Json] = []
    node, seen = maker, set[str]()
    while node not in seen:
        seen.add(node)
        loras += _loras(graph, node)
        model = graph.value(node, "model")
        if isinstance(model, dict):
            return model, loras
        before = graph.sources(node, lambda field: field in MODEL_PATHS)
        if before:
            node = before[-1][0]
    return None, loras


def _loras(graph: Graph, node: str) -> list[Json]:
    """LoRAs that the node adds, or gets from selectors."""
    given = [source for source, _ in graph.sources(node, lambda field: field == "loras")]
    selectors = [node, *graph.back_to(given, lambda selector: isinstance(graph.value(selector, "lora"), dict))]
    found = [
        {"model": lora, "weight": graph.value(selector, "weight")}
        for selector in selectors
        if isinstance(lora := graph.value(selector, "lora"), dict)
    ]
    # A loader that was filled in by hand has a list of `{lora, weight}`.
    entries = [entry for entry in map(table, listed(graph.value(node, "loras"))) if isinstance(entry.get("lora"), dict)]
    return found + [{"model": entry["lora"], "weight": entry.get("weight")} for entry in entries]


def _of_metadata_node(graph: Graph, node: str) -> Json:
    return {name: graph.value(node, name) for name in METADATA_FIELDS}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _end(end: Any) -> Source | None:
    node, field = table(end).get("node_id"), table(end).get("field")
    return (node, field) if isinstance(node, str) and isinstance(field, str) else None
