"""ComfyUI's two graph formats, both read as nodes with inputs: `prompt`, which ran, and `workflow`, the editor's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from service.media.metadata.json_text import listed, table
from service.media.metadata.values import Json

MAX_NODES = 20_000
MAX_PATH = 300
"""Nodes of one path that are followed. There may be as many paths as nodes."""
BYPASSED = 4
MUTED = 2
# The values of a node's widgets in their order, for the editor's format, which has no names. None is a button.
WIDGETS: dict[str, tuple[str | None, ...]] = {
    "KSampler": ("seed", None, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", None, "steps", "cfg", "sampler_name", "scheduler"),
    "SamplerCustom": ("add_noise", "noise_seed", None, "cfg"),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSD3": ("clip_l", "clip_g", "t5xxl"),
    "CLIPTextEncodeSDXLRefiner": ("ascore", "width", "height", "text"),
    "CLIPTextEncodeSDXL": (
        "width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l",
    ),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "UnetLoaderGGUF": ("unet_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "EmptyLatentImage": ("width", "height"),
    "EmptySD3LatentImage": ("width", "height"),
    "ModelSamplingFlux": ("max_shift", "base_shift", "width", "height"),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
    "PrimitiveNode": ("value",),
    "PrimitiveInt": ("value",),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
}  # fmt: skip


class Link(NamedTuple):
    node: str
    output: int


class ComfyGraph:
    """`inputs` of a node are plain values and `Link`s to other nodes."""

    def __init__(self, kinds: Mapping[str, str], inputs: Mapping[str, Json]) -> None:
        self.kinds = kinds
        self.inputs = inputs

    def links(self, node: str) -> Iterator[tuple[str, Link]]:
        for name, value in self.inputs[node].items():
            if isinstance(value, Link):
                yield name, value

    def getter(self, name: str) -> Callable[[str], Any]:
        """A function that returns this input of a node, for `along`."""
        return lambda node: self.inputs[node].get(name)

    def outputs(self) -> list[str]:
        """Nodes that may have saved the image: those that save, those that show, and then all without outputs."""
        sources = {link.node for node in self.inputs for _, link in self.links(node)}
        ends = [node for node in self.inputs if node not in sources] or list(self.inputs)
        return sorted(
            ends, key=lambda node: (not _has(self.kinds[node], "save"), not _has(self.kinds[node], "preview"))
        )

    def levels_behind(self, start: list[str]) -> Iterator[list[str]]:
        """The nodes that these depend on, the nearest first, each once."""
        seen, level = set(start), start
        while level:
            yield level
            behind = (link.node for node in level for _, link in self.links(node))
            level = [node for node in dict.fromkeys(behind) if node not in seen]
            seen.update(level)

    def along(self, link: Any, onward: Callable[[str], Any]) -> Iterator[str]:
        """The nodes of one path, from a link back against its direction."""
        seen: set[str] = set()
        while isinstance(link, Link) and link.node not in seen and len(seen) < MAX_PATH:
            seen.add(link.node)
            yield link.node
            link = onward(link.node)


def _has(kind: str, word: str) -> bool:
    return word in kind.lower()


def read_prompt(found: Any) -> ComfyGraph | None:
    """The graph; None if it is none."""
    nodes = {id: node for id, node in table(found).items() if isinstance(table(node).get("class_type"), str)}
    if not 0 < len(nodes) <= MAX_NODES:
        return None
    kinds = {id: node["class_type"] for id, node in nodes.items()}
    inputs = {
        id: {name: _link_or_value(value, nodes) for name, value in table(node.get("inputs")).items()}
        for id, node in nodes.items()
    }
    return ComfyGraph(kinds, inputs)


def _link_or_value(value: Any, nodes: Mapping[str, Any]) -> Any:
    """The link, or the value. A link is a list of the node and the number of its output."""
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int and str(value[0]) in nodes:
            return Link(str(value[0]), value[1])
        return None
    return value


def read_workflow(found: Any) -> ComfyGraph | None:
    """The graph; None if it is none. Muted nodes are left out, as when it runs."""
    workflow = table(found)
    nodes = {
        str(node["id"]): node
        for node in map(table, listed(workflow.get("nodes")))
        if isinstance(node.get("id"), str | int) and isinstance(node.get("type"), str) and node.get("mode") != MUTED
    }
    if not 0 < len(nodes) <= MAX_NODES:
        return None
    links = dict(_links(listed(workflow.get("links"))))
    kinds = {id: "Reroute" if node.get("mode") == BYPASSED else node["type"] for id, node in nodes.items()}
    inputs = {}
    for id, node in nodes.items():
        inputs[id] = {} if kinds[id] == "Reroute" else dict(_widgets(node))
        for entry in map(table, listed(node.get("inputs"))):
            link = links.get(entry["link"]) if isinstance(entry.get("link"), int) else None
            if link is not None and link.node in nodes and isinstance(entry.get("name"), str):
                inputs[id][entry["name"]] = link
    return ComfyGraph(kinds, inputs)


def _links(entries: list[Any]) -> Iterator[tuple[int, Link]]:
    """The links: lists of id, node, output, node, input and type; newer editors write tables."""
    for entry in entries:
        link = (
            entry if isinstance(entry, list) else [table(entry).get(key) for key in ("id", "origin_id", "origin_slot")]
        )
        if len(link) >= 3 and isinstance(link[0], int) and isinstance(link[1], str | int) and isinstance(link[2], int):
            yield link[0], Link(str(link[1]), link[2])


def _widgets(node: Json) -> Iterator[tuple[str, Any]]:
    values = node.get("widgets_values")
    if isinstance(values, dict):
        yield from values.items()
        return
    names = WIDGETS.get(node["type"])
    if names is None:
        # An unknown node: its first text.
        texts = [value for value in listed(values) if isinstance(value, str)]
        yield from [("text", texts[0])] if texts else []
        return
    for name, value in zip(names, listed(values), strict=False):
        if name is not None and isinstance(value, str | int | float):
            yield name, value
