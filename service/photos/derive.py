"""Derives all columns that come from a photo's file, from one reading of it (one background pass).

Retrieval calls it for new photos, the background pass for those that were here before. A later release adds columns to
`Derived` and `derive`, and raises `VERSION` by one: the pass then reads every photo whose `derived` is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from service.database.engine import Connection
from service.database.params_summary import SMALL, kept, summary
from service.media.metadata.invokeai import made_with
from service.media.metadata.parameters import GenerationParameters, embedded, is_kept, large_one_at_a_time
from service.media.metadata.source_images import SourceImage
from service.media.png import Png
from service.photos import photo_sources
from service.runtime.bounded_json import decode

log = structlog.get_logger()

VERSION = 3
"""2: width and height of images that their files turn, and thumbnails of strips. 3: `params_summary`, and no metadata
above a megabyte; a row of version 2 has all that this needs."""
OF_ROW = 2
"""From this version on, no file has to be read."""


class Derived(msgspec.Struct, frozen=True):
    """The derived values. `parameters` is None if the file has no metadata, `size` if the file is no PNG."""

    parameters: GenerationParameters | None = None
    sources: Sequence[SourceImage] = ()
    size: tuple[int, int] | None = None
    """Width and height, as the image is shown."""


NOTHING = Derived()

# Metadata that the row has already stay. A photo that is no longer the one that was read is left alone.
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
           params_summary = coalesce(photos.params_summary, {summary("photos.generation_params")}, $14::jsonb),
           generation_params = coalesce({kept("photos.generation_params")}, $3::jsonb),
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

# Ordered by id, as all statements that lock several rows.
WRITE_OF_ROW = f"""
    WITH before AS (
        SELECT id, pg_column_size(generation_params) >= {SMALL} AS is_new FROM photos
         WHERE id = ANY($1::uuid[]) AND derived >= {OF_ROW} AND derived < {VERSION} ORDER BY id FOR NO KEY UPDATE)
    UPDATE photos SET derived = {VERSION}, params_summary = coalesce(params_summary, {summary()}),
           generation_params = {kept()}
      FROM before WHERE photos.id = before.id
    RETURNING photos.id, coalesce(is_new, false) AS is_new
"""


def derive(image_name: str | None, png: Png | None, served: bytes | None = None) -> Derived:
    """Derives all values. `served` is InvokeAI's own answer for the image's metadata. CPU work (blocks): a graph may
    have thousands of nodes."""
    texts = (served, *((png.metadata, png.graph, png.workflow) if png else ()))
    with large_one_at_a_time(sum(len(text) for text in texts if text)):
        return _derive(image_name, png, served)


def _derive(image_name: str | None, png: Png | None, served: bytes | None) -> Derived:
    text: str | bytes | None = served
    metadata = _read(served) if served else None
    if not metadata and png is not None:
        text = png.metadata
        metadata = embedded(text)
    keeps = is_kept(text or "")
    if png is None:
        return Derived(*made_with(image_name, metadata, None, None, keeps=keeps))
    made = made_with(image_name, metadata, png.graph, png.workflow, keeps=keeps)
    return Derived(*made, (png.width, png.height))


def _read(served: bytes) -> dict[str, Any] | None:
    try:
        found = decode(served)
    except (ValueError, RecursionError) as error:
        log.warning("metadata cannot be read", reason=str(error))
        return None
    return found if isinstance(found, dict) else None


async def write(connection: Connection, photo_id: UUID, sha256: str, derived: Derived) -> bool:
    """Fills empty columns of a photo that is home. True if that changed what is shown; nothing is written if it is no
    longer the photo that was read."""
    async with connection.transaction():
        photos = await photo_sources.lock(connection, photo_id, derived.sources)
        changed: bool | None = await connection.fetchval(WRITE, photo_id, sha256, *columns(derived))
        if changed is not None:
            await photo_sources.record(connection, photo_id, derived.sources, photos)
    return bool(changed)


async def write_of_row(connection: Connection, photo_ids: Sequence[UUID]) -> list[UUID]:
    """Derives from rows alone what this release adds, for photos derived up to `OF_ROW` (one background pass). Returns
    those that show more now."""
    return [row["id"] for row in await connection.fetch(WRITE_OF_ROW, photo_ids) if row["is_new"]]


def columns(derived: Derived) -> tuple[Any, ...]:
    """The values of the columns from `generation_params` to `height`, and of `params_summary`."""
    known = derived.parameters or GenerationParameters()
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
        known.summary,
    )
