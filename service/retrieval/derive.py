"""All that is derived from a photo's file, of one reading of it (rule 20): by retrieval for what comes home, and by the
background pass for what was here before.

What a later release derives as well is added to `Derived` and `derive`, and `VERSION` goes up by one: the pass then
reads every photo whose `derived` is less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.media.png import Png
from service.retrieval import source_images
from service.retrieval.graphs import graph_metadata, read_graph, read_workflow
from service.retrieval.parameters import Parameters, embedded, parameters
from service.retrieval.source_images import SourceImage

VERSION = 1


class Derived(msgspec.Struct, frozen=True):
    """`parameters` is None when nothing is known of the photo's making."""

    parameters: Parameters | None = None
    sources: Sequence[SourceImage] = ()


NOTHING = Derived()

# What the row knows already stays. A photo that is no longer what was read is left alone.
WRITE = f"""
    UPDATE photos SET derived = {VERSION},
           generation_params = coalesce(generation_params, $3::jsonb),
           generation_prompt = coalesce(generation_prompt, $4),
           generation_negative_prompt = coalesce(generation_negative_prompt, $5),
           model_key = coalesce(model_key, $6), model_hash = coalesce(model_hash, $7),
           model_name = coalesce(model_name, $8), model_base = coalesce(model_base, $9),
           loras = coalesce(loras, $10::text[]), seed = coalesce(seed, $11::numeric)
     WHERE id = $1 AND sha256 = $2 AND retrieval_status = 'completed' AND purged_at IS NULL
    RETURNING id
"""


def derive(image_name: str | None, png: Png | None, served: Mapping[str, Any] | None = None) -> Derived:
    """`served` is the metadata InvokeAI's own route has of the image. CPU work: a graph may have thousands of nodes."""
    metadata = served or embedded(png.metadata if png else None)
    graph, kept_in = _graph(png)
    of_graph = graph_metadata(graph) if graph else {}
    sources = source_images.source_images(image_name, metadata, graph)
    if metadata:
        # A workflow may have saved some of it only, and the graph knows the rest.
        return Derived(_completed(parameters(metadata), parameters(of_graph)), sources)
    if of_graph:
        return Derived(parameters(of_graph | {"taken_from": kept_in}), sources)
    return Derived(None, sources)


async def write(connection: Connection, photo_id: UUID, sha256: str, derived: Derived) -> bool:
    """Fills what the row of a photo that is home does not know yet. False when it is no longer the photo that was
    read."""
    async with connection.transaction():
        photos = await source_images.lock(connection, photo_id, derived.sources)
        written = await connection.fetchval(WRITE, photo_id, sha256, *columns(derived.parameters)) is not None
        if written:
            await source_images.record(connection, photo_id, derived.sources, photos)
    return written


def columns(known: Parameters | None) -> tuple[Any, ...]:
    """The values of the columns from `generation_params` to `seed`."""
    known = known or Parameters()
    return (
        known.metadata,
        known.prompt,
        known.negative_prompt,
        known.model_key,
        known.model_hash,
        known.model_name,
        known.model_base,
        known.loras,
        known.seed,
    )


def _graph(png: Png | None) -> tuple[Any, str]:
    """The graph that ran, else the workflow it was made from; and which of them it is."""
    if png is None:
        return None, ""
    graph = read_graph(png.graph)
    return (graph, "graph") if graph else (read_workflow(png.workflow), "workflow")


def _completed(known: Parameters, other: Parameters) -> Parameters:
    """`known`, with what only `other` knows. A model and its base are one statement, of either."""
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
