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
from service.media.metadata.invokeai import made_with
from service.media.metadata.parameters import Parameters, embedded
from service.media.metadata.source_images import SourceImage
from service.media.png import Png
from service.retrieval import photo_sources

VERSION = 2
"""2: width and height of pictures that their files turn, and thumbnails of strips."""


class Derived(msgspec.Struct, frozen=True):
    """`parameters` is None when nothing is known of the photo's making, `size` when the file is no PNG."""

    parameters: Parameters | None = None
    sources: Sequence[SourceImage] = ()
    size: tuple[int, int] | None = None
    """Width and height, as the picture is shown."""


NOTHING = Derived()

# What the row knows of its making already stays. A photo that is no longer what was read is left alone.
SHOWN = (
    "generation_params",
    "generation_prompt",
    "generation_negative_prompt",
    "model_key",
    "model_hash",
    "model_name",
    "model_base",
    "loras",
    "seed",
    "width",
    "height",
)
WRITE = f"""
    WITH before AS (SELECT id, {", ".join(SHOWN)} FROM photos WHERE id = $1 FOR NO KEY UPDATE)
    UPDATE photos SET derived = {VERSION},
           generation_params = coalesce(photos.generation_params, $3::jsonb),
           generation_prompt = coalesce(photos.generation_prompt, $4),
           generation_negative_prompt = coalesce(photos.generation_negative_prompt, $5),
           model_key = coalesce(photos.model_key, $6), model_hash = coalesce(photos.model_hash, $7),
           model_name = coalesce(photos.model_name, $8), model_base = coalesce(photos.model_base, $9),
           loras = coalesce(photos.loras, $10::text[]), seed = coalesce(photos.seed, $11::numeric),
           width = coalesce($12, photos.width), height = coalesce($13, photos.height)
      FROM before
     WHERE photos.id = before.id AND sha256 = $2 AND retrieval_status = 'completed' AND purged_at IS NULL
    RETURNING ({", ".join(f"before.{column}" for column in SHOWN)})
        IS DISTINCT FROM ({", ".join(f"photos.{column}" for column in SHOWN)})
"""


def derive(image_name: str | None, png: Png | None, served: Mapping[str, Any] | None = None) -> Derived:
    """`served` is the metadata InvokeAI's own route has of the image. CPU work: a graph may have thousands of nodes."""
    if png is None:
        return Derived(*made_with(image_name, served, None, None))
    metadata = served or embedded(png.metadata)
    return Derived(*made_with(image_name, metadata, png.graph, png.workflow), (png.width, png.height))


async def write(connection: Connection, photo_id: UUID, sha256: str, derived: Derived) -> bool:
    """Fills what the row of a photo that is home does not know yet. True when that changed what is shown of it; nothing
    is written where it is no longer the photo that was read."""
    async with connection.transaction():
        photos = await photo_sources.lock(connection, photo_id, derived.sources)
        changed: bool | None = await connection.fetchval(WRITE, photo_id, sha256, *columns(derived))
        if changed is not None:
            await photo_sources.record(connection, photo_id, derived.sources, photos)
    return bool(changed)


def columns(derived: Derived) -> tuple[Any, ...]:
    """The values of the columns from `generation_params` to `height`."""
    known = derived.parameters or Parameters()
    width, height = derived.size or (None, None)
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
        width,
        height,
    )
