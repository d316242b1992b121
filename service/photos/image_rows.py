"""The photo row of an image that InvokeAI has, exactly once, and its place among the alternatives of its step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.invokeai.events import ImageDTO
from service.media.identity import photo_id
from service.media.layout import generated_path, mirror_path

MOST_AHEAD = timedelta(days=1)
"""How far InvokeAI's clock may be ahead: no time zone is further."""

# Nothing that InvokeAI names again is lost (retrieval in the table): what was gone there, or was given up with its
# server, waits again.
LOST = "(known.retrieval_status = 'gone' OR known.retrieval_status = 'failed' AND known.backend_id IS NULL)"
INSERT = f"""
    INSERT INTO photos AS known
           (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id, backend_id,
            invoke_session_id, local_storage_path, generation_prompt, generation_negative_prompt,
            model_key, model_hash, model_name, source_image_id, seed)
    VALUES ($1, $2, $3, $4, 'image/png', $5, true, $6, $2, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT (invoke_id) DO UPDATE SET
           retrieval_status = CASE WHEN {LOST} THEN 'pending' ELSE known.retrieval_status END,
           retrieval_attempts = CASE WHEN {LOST} THEN 0 ELSE known.retrieval_attempts END,
           next_retrieval_attempt = CASE WHEN {LOST} THEN now() ELSE known.next_retrieval_attempt END,
           missing_since = CASE WHEN NOT {LOST} THEN known.missing_since END,
           source = CASE WHEN excluded.source = 'generated' THEN 'generated' ELSE known.source END,
           backend_id = CASE WHEN {LOST} THEN excluded.backend_id
                             ELSE coalesce(known.backend_id, excluded.backend_id) END,
           invoke_session_id = coalesce(known.invoke_session_id, excluded.invoke_session_id),
           generation_prompt = coalesce(known.generation_prompt, excluded.generation_prompt),
           generation_negative_prompt =
               coalesce(known.generation_negative_prompt, excluded.generation_negative_prompt),
           model_key = coalesce(known.model_key, excluded.model_key),
           model_hash = coalesce(known.model_hash, excluded.model_hash),
           model_name = coalesce(known.model_name, excluded.model_name),
           source_image_id = coalesce(known.source_image_id, excluded.source_image_id),
           seed = coalesce(known.seed, excluded.seed)
     WHERE known.purged_at IS NULL
    RETURNING id, xmax = 0 AS inserted,
              xmax <> 0 AND retrieval_status = 'pending' AND next_retrieval_attempt = now() AS reopened
"""
ALTERNATIVE = """
    INSERT INTO step_alternatives (step_id, photo_id, position) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING photo_id
"""
KNOWN = f"SELECT invoke_id FROM photos known WHERE invoke_id = ANY($1) AND (purged_at IS NOT NULL OR NOT {LOST})"


class Owner(msgspec.Struct, frozen=True):
    """The step an image belongs to, and what the step knows of it before any file is home."""

    step_id: UUID
    session_id: UUID
    position: int
    prompt: str
    negative_prompt: str
    model_key: str
    model_hash: str
    model_name: str | None
    source_photo_id: UUID | None
    seed: int | None


class ImageRow(msgspec.Struct, frozen=True):
    photo_id: UUID
    is_new: bool
    is_reopened: bool
    """It was given up (`LOST`), and is to be fetched again."""
    is_placed: bool
    """It has just become an alternative of its step."""


async def unknown_images(connection: Connection, names: Sequence[str]) -> list[str]:
    """The names that belong to no photo and no tombstone, and those of lost photos."""
    known = {row["invoke_id"] for row in await connection.fetch(KNOWN, names)}
    return [name for name in names if name not in known]


async def insert_image(
    connection: Connection, backend_id: UUID, image: ImageDTO, owner: Owner | None
) -> ImageRow | None:
    """Fills what is missing of a row that is there, and never moves a file; None for a tombstone."""
    created_at = plausible(image.created_at, datetime.now(UTC))
    new_id = photo_id(created_at)
    if owner is None:
        path = mirror_path(backend_id, created_at, new_id)
        made_by: tuple[object, ...] = (None,) * 7
    else:
        path = generated_path(owner.session_id, owner.step_id, new_id)
        model = owner.model_key, owner.model_hash, owner.model_name
        made_by = owner.prompt, owner.negative_prompt, *model, owner.source_photo_id, owner.seed
    row = await connection.fetchrow(
        INSERT,
        new_id,
        image.image_name,
        image.width,
        image.height,
        created_at,
        "generated" if owner else "mirrored",
        backend_id,
        image.session_id,
        path,
        *made_by,
    )
    if row is None:
        return None
    placed = owner and await connection.fetchval(ALTERNATIVE, owner.step_id, row["id"], owner.position)
    return ImageRow(row["id"], row["inserted"], row["reopened"], placed is not None)


def plausible(created_at: datetime, now: datetime) -> datetime:
    """A photo from the far future would be the newest of the library for ever: it counts as made when it came."""
    return created_at if created_at <= now + MOST_AHEAD else now
