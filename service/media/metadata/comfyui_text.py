"""Finds the prompts of a ComfyUI sampler: through conditionings, encoders, and nodes that join texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.media.metadata.comfyui_graph import ComfyGraph, Link
from service.media.metadata.values import number

MAX_PROMPT = 100_000
MAX_ALL = 20 * MAX_PROMPT
"""Characters of all texts that are joined on the way."""
MAX_DEPTH = 100
"""Nested nodes that join texts. Nodes that pass on one text do not count."""
READY = ("populated_text", "populated_prompt")
"""Inputs that have a text after its wildcards were replaced."""
TEXTS = (
    "text",
    "prompt",
    "string",
    "str",
    "value",
    "clip_l",
    "clip_g",
    "t5xxl",
    "llama",
    "bert",
    "mt5xl",
    "any",
    "input",
)
NUMBERED = ("text", "string", "str", "prompt", "conditioning", "input")
DELIMITERS = ("delimiter", "separator")
NO_TEXT = ("clip", "model", "vae", "image", "control", "latent", "mask", "pixels", "samples", "seed", "noise", "style")
"""Beginnings of the names of links that lead to no text."""


class Prompts:
    """Reads prompts. `guidance` is the guidance found on the way to a positive prompt."""

    def __init__(self, graph: ComfyGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[str, str], str | None] = {}
        self.guidance: Any = None
        self._room = MAX_ALL

    def of(self, sampler: str, sign: str) -> str | None:
        """`sign` is `positive` or `negative`."""
        inputs = self._graph.inputs[sampler]
        own = inputs.get(sign)
        for giver in ("guider", "text_embeds"):
            for node in self._graph.along(inputs.get(giver), self._graph.getter(giver)):
                own = own or self._of_giver(node, sign)
        if own is None and sign == "positive":
            own = inputs.get("conditioning")
        return (self._text(own, sign, 0) or "").strip() or None

    def _of_giver(self, node: str, sign: str) -> Any:
        inputs = self._graph.inputs[node]
        names = (sign, f"{sign}_prompt", *(("conditioning", "cond1") if sign == "positive" else ()))
        return next((inputs[name] for name in names if name in inputs), None)

    def _text(self, value: Any, sign: str, depth: int) -> str | None:
        """The text of an input's value: the text itself, or the text of the node that it links to."""
        if isinstance(value, str):
            return value[:MAX_PROMPT]
        if not isinstance(value, Link) or depth > MAX_DEPTH:
            return None
        passed = list(self._path(value.node, sign))
        if (passed[-1], sign) in self._known:
            found = self._known[passed[-1], sign]
        else:
            # While it is being read: a circle has no text.
            self._known.update(dict.fromkeys(((node, sign) for node in passed), None))
            found = self._joined(passed[-1], sign, depth)
        self._known.update(dict.fromkeys(((node, sign) for node in passed), found))
        return found

    def _path(self, node: str, sign: str) -> Iterator[str]:
        """The path from this node on while each node has its text from one other alone, up to a node that is known
        already."""
        seen = set[str]()
        while node not in seen:
            yield node
            seen.add(node)
            parts = list(self._parts(node, sign))
            if (node, sign) in self._known or len(parts) != 1 or not isinstance(parts[0], Link):
                return
            node = parts[0].node

    def _joined(self, node: str, sign: str, depth: int) -> str | None:
        parts = list(self._parts(node, sign))
        texts = (self._text(part, sign, depth + 1) for part in parts)
        found = dict.fromkeys(text for text in texts if text)
        inputs = self._graph.inputs[node]
        given = next((inputs[name] for name in DELIMITERS if isinstance(inputs.get(name), str)), None)
        is_of_strings = any(
            name.startswith(("string", "text_")) and name not in ("text_g", "text_l") for name in inputs
        )
        delimiter = given.replace("\\n", "\n") if given is not None else " " if is_of_strings else "\n"
        joined = delimiter.join(found)[: min(MAX_PROMPT, self._room)]
        self._room -= len(joined)
        return joined or None

    def _parts(self, node: str, sign: str) -> Iterator[Any]:
        """The texts of the node, and its links to other texts."""
        if "zeroout" in self._graph.kinds[node].lower():
            return
        inputs = self._graph.inputs[node]
        if sign == "positive" and self.guidance is None and number(inputs.get("guidance")) is not None:
            self.guidance = inputs["guidance"]
        if ready := next((inputs[name] for name in READY if isinstance(inputs.get(name), str)), None):
            yield ready
            return
        if sign in inputs:
            yield inputs[sign]
            return
        named = [value for name, value in inputs.items() if _is_text(name, value)]
        yield from named or [link for name, link in self._graph.links(node) if not name.lower().startswith(NO_TEXT)]


def _is_text(name: str, value: Any) -> bool:
    if not isinstance(value, str | Link) or name in DELIMITERS:
        return False
    begin, _, end = name.partition("_")
    is_numbered = begin.rstrip("0123456789") in NUMBERED and (len(end) <= 2 or end in ("to", "from"))
    return name in TEXTS or is_numbered
