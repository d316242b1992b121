"""The source images that an image's metadata and graph name, with the role of each (recorded lineage)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from service.media.metadata.graphs import Graph

MAX_NAME = 255
MAX_SOURCES = 200
"""Names kept of one image; the rest is dropped."""
MAX_AHEAD = 100
"""Nodes that are searched for what an image is used for."""
UNKNOWN = "image"

# Words in a node's type or field, or in a key of the metadata, and the role that an image has there.
ROLES = (
    ("mask", "mask"),
    ("control", "control"),
    ("t2i_adapter", "control"),
    ("t2iadapter", "control"),
    ("ip_adapter", "reference"),
    ("ipadapter", "reference"),
    ("reference", "reference"),
    ("ref_image", "reference"),
    ("redux", "reference"),
    ("kontext", "reference"),
    ("text_encoder", "reference"),
    ("init_image", "init image"),
    ("initial_image", "init image"),
    ("fill", "init image"),
    ("canvas", "canvas"),
    ("paste", "canvas"),
)
ENCODERS = ("i2l", "vae_encode")
"""Endings of the types of nodes that turn an image into latents."""


class SourceImage(msgspec.Struct, frozen=True, order=True):
    image_name: str
    role: str


def source_images(own_name: str | None, metadata: Mapping[str, Any] | None, graph: Graph | None) -> list[SourceImage]:
    """Every image name in metadata or graph that is not the image's own. A name whose role is told in one place has no
    second entry without a role."""
    roles: dict[str, set[str]] = {}
    for name, role in chain(_in_metadata(metadata or {}), _in_graph(graph) if graph else ()):
        if len(roles) > MAX_SOURCES:
            break
        if name and name != own_name and len(name) <= MAX_NAME and _is_text(name):
            roles.setdefault(name, set()).add(role)
    found = [
        SourceImage(name, role)
        for name, its_roles in roles.items()
        for role in sorted(its_roles - {UNKNOWN} or {UNKNOWN})
    ]
    return found[:MAX_SOURCES]


def _in_graph(graph: Graph) -> Iterator[tuple[str, str]]:
    for node, fields in graph.nodes.items():
        if graph.kind(node) == "core_metadata":
            yield from _in_metadata(fields)
            continue
        for field, value in fields.items():
            for name, path in _names(value):
                own = _role(graph.kind(node), field) or _role_of_words("_".join(path))
                for role in {own} if own else _roles_ahead(graph, node):
                    yield name, role


def _roles_ahead(graph: Graph, node: str) -> set[str]:
    """The roles in the first nodes that use the image, beyond nodes that only change its size or look."""
    seen, level = {node}, [node]
    while level and len(seen) < MAX_AHEAD:
        ahead = [end for here in level for end in graph.destinations(here)][:MAX_AHEAD]
        roles = {role for there, field in ahead if (role := _role(graph.kind(there), field))}
        if roles:
            return roles
        level = [there for there in dict.fromkeys(there for there, _ in ahead) if there not in seen]
        seen.update(level)
    return {UNKNOWN}


def _role(kind: str, field: str) -> str | None:
    """The role of an image in that field of a node of that type."""
    if "mask" in field:
        return "mask"
    if kind.endswith(ENCODERS):
        return "init image"
    # A node that makes a mask of an image says nothing about the image.
    kind = kind.replace("mask", "") if "canvas" in kind else kind
    role = _role_of_words(f"{kind} {field}")
    return None if role == "mask" else role


def _role_of_words(words: str) -> str | None:
    words = words.lower()
    return next((role for word, role in ROLES if word in words), None)


def _in_metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, path in _names(dict(metadata)):
        # The innermost key with a role counts: the canvas' own record has masks, controls and references.
        roles = (_role_of_words(key) for key in reversed(path))
        yield name, next((role for role in roles if role), UNKNOWN)


def _names(value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Image names with the keys that lead to each: `{image_name}` anywhere, and the text of `init_image`."""
    ahead: list[tuple[Any, tuple[str, ...]]] = [(value, ())]
    while ahead:
        here, path = ahead.pop()
        if isinstance(here, dict):
            for key, inner in here.items():
                if key == "image_name" and isinstance(inner, str):
                    yield inner, path
                elif key == "init_image" and isinstance(inner, str):
                    yield inner, (*path, key)
                else:
                    ahead.append((inner, (*path, str(key))))
        elif isinstance(here, list):
            ahead += [(inner, path) for inner in here]


def _is_text(name: str) -> bool:
    """Whether PostgreSQL can hold it."""
    return "\0" not in name and name == name.encode(errors="replace").decode()
