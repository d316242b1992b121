"""Finds the step that an image belongs to (sighted is not made): its session's item tells, else its own metadata."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from service.database.engine import Connection, Database
from service.invokeai.bad_records import metadata_of
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO
from service.photos.image_rows import Owner
from service.steps.queue_items import POSITION

PRIVATE = frozenset({"user", "other"})
"""Categories of what people upload, and of what InvokeAI 7's canvas keeps for itself (FACTS §4, §10, §12)."""


OWNER = f"""
    SELECT s.id AS step_id, s.session_id, {POSITION} AS position, s.prompt, s.negative_prompt,
           s.model_key, s.model_hash, s.model_name, s.source_photo_id, b.seeds[i.ordinal + 1] AS seed
"""
# Whichever backend tells of it: one server may be known by two addresses, and sessions and batches have unique ids.
OWNER_BY_SESSION = (
    "SELECT i.invoke_session_id AS key, o.* FROM queue_items i, LATERAL ("
    + OWNER
    + """ FROM step_batches b JOIN generation_steps s ON s.id = b.step_id WHERE b.batch_id = i.batch_id) o
          WHERE i.invoke_session_id = ANY($1)"""
)
OWNER_BY_BATCH = (
    "SELECT b.batch_id AS key, o.* FROM step_batches b, LATERAL ("
    + OWNER
    + """ FROM generation_steps s LEFT JOIN queue_items i ON false WHERE s.id = b.step_id) o
          WHERE b.batch_id = ANY($1)"""
)
OUR_BATCHES = "SELECT batch_id FROM step_batches WHERE batch_id = ANY($1)"


class StepResolver:
    """Finds the steps of one backend's images."""

    def __init__(self, client: InvokeClient, database: Database) -> None:
        self._client = client
        self._database = database

    async def batches_named(self, images: Sequence[ImageDTO]) -> dict[str, str]:
        """Image name → `darkroom_batch` of its metadata, for images whose session is none of ours. It names the step
        of an image with a session, and tells a copy from other images without one (`copies`). Raises
        InvokeError while the server cannot be asked."""
        sessions = [image.session_id for image in images if image.session_id]
        async with self._database.connection() as connection:
            ours = {row["key"] for row in await connection.fetch(OWNER_BY_SESSION, sessions)}
        unknown = [image for image in images if image.session_id not in ours and image.image_category not in PRIVATE]
        metadata = await metadata_of(self._client, [image.image_name for image in unknown])
        named = {name: told.get("darkroom_batch") for name, told in metadata.items()}
        # Anybody may have written it: no batch of ours has an id no database can hold.
        return {name: id for name, id in named.items() if isinstance(id, str) and id.isprintable()}

    async def owners(
        self, connection: Connection, images: Sequence[ImageDTO], batches: dict[str, str]
    ) -> dict[str, Owner]:
        """Image name → owner; a session known to be ours outweighs what the metadata says. No queue item made an image
        without a session, so it belongs to no step."""
        made = {image.image_name: image.session_id for image in images if image.session_id}
        by_session = _by_key(await connection.fetch(OWNER_BY_SESSION, list(made.values())))
        by_batch = _by_key(await connection.fetch(OWNER_BY_BATCH, [batches[name] for name in made if name in batches]))
        owners = {}
        for name, session_id in made.items():
            owner = by_session.get(session_id) or by_batch.get(batches.get(name, ""))
            if owner is not None:
                owners[name] = owner
        return owners

    async def copies(
        self, connection: Connection, images: Sequence[ImageDTO], batches: dict[str, str]
    ) -> frozenset[str]:
        """The images that are copies of ours, made by duplicating or importing a project in InvokeAI: no queue item
        made them, and their metadata name a batch of ours (FACTS §12)."""
        named = {image.image_name: batches.get(image.image_name) for image in images if not image.session_id}
        ours = {row["batch_id"] for row in await connection.fetch(OUR_BATCHES, [b for b in named.values() if b])}
        return frozenset(name for name, batch_id in named.items() if batch_id in ours)


def _by_key(rows: list[asyncpg.Record]) -> dict[str, Owner]:
    return {row["key"]: msgspec.convert(dict(row), Owner) for row in rows}
