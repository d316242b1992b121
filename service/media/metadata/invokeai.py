"""Reads metadata of InvokeAI's images: metadata, graph, workflow; `sd-metadata` and `Dream` before version 3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from service.media.metadata.graphs import graph_metadata, read_graph, read_workflow
from service.media.metadata.json_text import decode_table, listed, table
from service.media.metadata.parameters import GenerationParameters, embedded, is_kept, parameters
from service.media.metadata.schedulers import invokeai_scheduler
from service.media.metadata.source_images import SourceImage, source_images
from service.media.metadata.values import number, whole

NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
"""In prompts of InvokeAI 1 and 2."""
DREAM_OPTION = re.compile(r"(?:^|\s)-([A-Za-z])\s*([^\s\"-]\S*)")
DREAM = {"s": "steps", "S": "seed", "C": "cfg_scale", "A": "scheduler", "W": "width", "H": "height", "f": "strength"}


class MadeWith(NamedTuple):
    parameters: GenerationParameters | None = None
    sources: Sequence[SourceImage] = ()


def made_with(
    image_name: str | None,
    metadata: Mapping[str, Any] | None,
    graph_text: str | None,
    workflow_text: str | None,
    *,
    keeps: bool = True,
) -> MadeWith:
    """Parameters by the metadata (not stored without `keeps`); if there are none, by the graph that ran, else by the
    workflow it was made from. CPU work: a graph may have thousands of nodes."""
    graph, kept_in = read_graph(graph_text), "graph"
    if graph is None:
        graph, kept_in = read_workflow(workflow_text), "workflow"
    of_graph = graph_metadata(graph) if graph else {}
    known: GenerationParameters | None = None
    if metadata:
        # A workflow may have saved only some values, and the graph has the rest.
        known = _completed(parameters(metadata, keeps=keeps), parameters(of_graph))
    elif of_graph:
        known = parameters(of_graph | {"taken_from": kept_in})
    return MadeWith(known, source_images(image_name, metadata, graph))


def read_invokeai(texts: Mapping[str, str]) -> MadeWith:
    """Parameters by the texts inside a file, of any version."""
    text = texts.get("invokeai_metadata")
    graph, workflow = texts.get("invokeai_graph"), texts.get("invokeai_workflow")
    found = made_with(None, embedded(text), graph, workflow, keeps=is_kept(text or ""))
    if found.parameters is not None:
        return found
    before_3 = _of_version_2(decode_table(texts.get("sd-metadata"))) or _of_dream(texts.get("Dream", ""))
    return MadeWith(parameters(before_3) if before_3 else None, found.sources)


def _of_version_2(metadata: Mapping[str, Any]) -> dict[str, Any]:
    image = table(metadata.get("image")) or next(map(table, listed(metadata.get("images"))), {})
    if not image:
        return {}
    parts = image.get("prompt")
    prompts = [parts] if isinstance(parts, str) else [table(part).get("prompt") for part in listed(parts)]
    model = {"name": metadata.get("model_weights"), "hash": metadata.get("model_hash")}
    numbers = {name: image.get(name) for name in ("seed", "steps", "cfg_scale", "width", "height", "strength")}
    return _words(
        " ".join(prompt for prompt in prompts if isinstance(prompt, str)),
        numbers | {"scheduler": image.get("sampler")},
        model,
        metadata.get("app_version"),
    )


def _of_dream(text: str) -> dict[str, Any]:
    """Parses a command of InvokeAI 1: `"a prompt" -s 50 -S 42 …`."""
    text = text.strip()
    end = text.rfind('"')
    prompt, options = (text[1:end], text[end + 1 :]) if text.startswith('"') and end > 0 else (text, "")
    if not options and (first := re.search(r"\s-[A-Za-z]\s*\d", text)):
        prompt, options = text[: first.start()].strip('" '), text[first.start() :]
    given = {DREAM[letter]: value for letter, value in DREAM_OPTION.findall(options) if letter in DREAM}
    return _words(prompt, given, {}, None) if prompt else {}


def _words(prompt: str, given: Mapping[str, Any], model: Mapping[str, Any], app_version: Any) -> dict[str, Any]:
    """The values under the names of version 3."""
    scheduler = given.get("scheduler")
    found = {
        "positive_prompt": " ".join(NEGATIVE.sub(" ", prompt).split()),
        "negative_prompt": ", ".join(part.strip() for part in NEGATIVE.findall(prompt) if part.strip()),
        **{name: whole(given.get(name)) for name in ("seed", "steps", "width", "height")},
        **{name: number(given.get(name)) for name in ("cfg_scale", "strength")},
        "scheduler": invokeai_scheduler(scheduler) if isinstance(scheduler, str) else None,
        "model": {name: value for name, value in model.items() if isinstance(value, str) and value} or None,
        "app_version": app_version if isinstance(app_version, str) else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _completed(known: GenerationParameters, other: GenerationParameters) -> GenerationParameters:
    """`known`, completed by `other`. A model and its base are one statement, taken from one of them."""
    model = known if known.model_key or known.model_name else other
    return msgspec.structs.replace(
        known,
        prompt=known.prompt if known.prompt is not None else other.prompt,
        negative_prompt=known.negative_prompt if known.negative_prompt is not None else other.negative_prompt,
        model_key=model.model_key,
        model_hash=model.model_hash,
        model_name=model.model_name,
        model_base=model.model_base,
        loras=known.loras if known.loras is not None else other.loras,
        seed=known.seed if known.seed is not None else other.seed,
    )
