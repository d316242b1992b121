"""From an image InvokeAI has to a photo row, exactly once (rule 5): whose work it is, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.correlation.beginning import Beginning
from service.correlation.items import RECORDING, something_recorded
from service.correlation.outcome import lock_step, refresh_step
from service.correlation.owners import PRIVATE, Owner, Owners
from service.correlation.unreadable import UnreadableImages
from service.database.engine import Connection, Database
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, UnreadableImage
from service.live.announce import Announcer
from service.media.identity import photo_id
from service.media.layout import generated_path, mirror_path

log = structlog.get_logger()


class Settling(msgspec.Struct, frozen=True):
    """An ended item that was read: with these names recorded, nothing more is expected of it (rule 3)."""

    batch_id: str
    item_id: int
    step_id: UUID
    image_names: tuple[str, ...]


class Recorded(msgspec.Struct, frozen=True):
    added: tuple[UUID, ...]
    filed: tuple[UUID, ...]
    """Already here, and found now to be a step's work."""
    reopened: tuple[UUID, ...]
    """They were lost, and are to be fetched again."""
    steps: tuple[UUID, ...]
    """Steps that have something new, or are settled further."""

    def __add__(self, other: Recorded) -> Recorded:
        return Recorded(
            self.added + other.added,
            self.filed + other.filed,
            self.reopened + other.reopened,
            self.steps + other.steps,
        )


UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.CheckViolationError, ValueError)
"""What the database, or its driver, says of a value that it cannot hold."""


# Nothing that InvokeAI names again is lost (rule 9): what was gone there, or was given up with its server, waits again.
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
SETTLE = """
    UPDATE queue_items SET settled_at = now()
     WHERE batch_id = $1 AND item_id = $2 AND settled_at IS NULL
       AND status IN ('completed', 'failed', 'canceled', 'gone')
"""
IS_SETTLED = "SELECT FROM queue_items WHERE batch_id = $1 AND item_id = $2 AND settled_at IS NOT NULL"
UPLOADS = "SELECT image_name FROM backend_uploads WHERE backend_id = $1 AND image_name = ANY($2)"
KNOWN = f"SELECT invoke_id FROM photos known WHERE invoke_id = ANY($1) AND (purged_at IS NOT NULL OR NOT {LOST})"


class Recorder:
    """Records images of one backend. `mirror` tells whether images that are nobody's step are taken too (rule 6), where
    whoever records does not say."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        database: Database,
        announcer: Announcer,
        *,
        mirror: bool,
        photos_recorded: Callable[[], None],
        batch_seen: Callable[[str], None],
        settled: Callable[[str, int], None],
    ) -> None:
        self.backend_id = backend_id
        self.mirror = mirror
        self._client = client
        self._database = database
        self._owners = Owners(client, database)
        self._announcer = announcer
        self._photos_recorded = photos_recorded
        self._batch_seen = batch_seen
        self._settled = settled
        self.intermediate: Callable[[Sequence[str]], None] = lambda _: None
        """Hears the names of intermediate images, which are not recorded."""
        self.unreadable = UnreadableImages()
        self.beginning = Beginning(backend_id, client, database)

    async def unknown(self, names: Sequence[str]) -> list[str]:
        """Those of the names that no photo, and no tombstone, has; and those of photos that were lost."""
        async with self._database.connection() as connection:
            known = {row["invoke_id"] for row in await connection.fetch(KNOWN, list(names))}
        return [name for name in names if name not in known]

    async def record(
        self,
        images: Sequence[ImageDTO],
        settlings: Sequence[Settling] = (),
        *,
        since: datetime | None = None,
        mirror: bool | None = None,
    ) -> Recorded:
        """Takes what is to be taken of the images, nobody's step's only when made since then, and settles. Raises
        InvokeError; then nothing was written. An image that the database cannot hold is left out, and told."""
        self.intermediate([image.image_name for image in images if image.is_intermediate])
        images = [image for image in images if not image.is_intermediate]
        batches = await self._owners.named(images)
        mirroring = self.mirror if mirror is None else mirror
        try:
            return await self._record(images, settlings, batches, since, mirroring)
        except UNSTORABLE:
            if not images:
                raise
            recorded = Recorded((), (), (), ())
            for image in images:
                recorded += await self._record_alone(image, batches, since, mirroring)
            return recorded + await self._record([], settlings, {}, since, mirroring)

    async def _record_alone(
        self, image: ImageDTO, batches: dict[str, str], since: datetime | None, mirroring: bool
    ) -> Recorded:
        """One of several images that could not be recorded together."""
        batch_id = batches.get(image.image_name)
        own = {image.image_name: batch_id} if batch_id is not None else {}
        try:
            return await self._record([image], (), own, since, mirroring)
        except UNSTORABLE as why:
            self.unreadable.found([UnreadableImage(image.image_name, f"the database cannot hold it: {why}")])
            return Recorded((), (), (), ())

    async def _record(
        self,
        images: Sequence[ImageDTO],
        settlings: Sequence[Settling],
        batches: dict[str, str],
        since: datetime | None,
        mirroring: bool,
    ) -> Recorded:
        async with self._database.transaction() as connection:
            await connection.execute(RECORDING)
            owners = await self._owners.of(connection, images, batches)
            copies = await self._owners.copies(connection, images, batches)
            taken = await self._to_take(connection, images, owners, copies, since, mirroring)
            steps = {owner.step_id for owner in owners.values()} | {settling.step_id for settling in settlings}
            for step_id in sorted(steps):
                await lock_step(connection, step_id)
            if owners:  # their places may have been learned until the steps were locked
                owners = await self._owners.of(connection, images, batches)
            added, filed, reopened, touched = [], [], [], set()
            for image in taken:
                owner = owners.get(image.image_name)
                row_id, inserted, placed, again = await self._insert(connection, image, owner)
                if row_id is not None and inserted:
                    added.append(row_id)
                if row_id is not None and again:
                    reopened.append(row_id)
                if owner is not None and placed:
                    touched.add(owner.step_id)
                if row_id is not None and placed and not inserted:
                    filed.append(row_id)
            if added:
                await something_recorded(connection, self.backend_id)
            settled = [settling for settling in settlings if await self._settle(connection, settling, touched)]
            touched |= {step_id for step_id in sorted(steps) if await refresh_step(connection, step_id)}
        recorded = Recorded(tuple(added), tuple(filed), tuple(reopened), tuple(touched))
        sessions = {image.image_name for image in images if image.session_id}
        self._tell(recorded, settled, [batch_id for name, batch_id in batches.items() if name in sessions])
        return recorded

    async def _settle(self, connection: Connection, settling: Settling, touched: set[UUID]) -> bool:
        """False when the item has not ended, as the database knows it: a later reading settles it."""
        key = settling.batch_id, settling.item_id
        if await connection.execute(SETTLE, *key) == "UPDATE 1":
            touched.add(settling.step_id)
            return True
        return await connection.fetchrow(IS_SETTLED, *key) is not None

    def _tell(self, recorded: Recorded, settled: Sequence[Settling], batch_ids: Iterable[str]) -> None:
        if recorded.added:
            self._announcer.photos_added(recorded.added)
            self._photos_recorded()
        if recorded.reopened:
            log.info("images_named_again", backend_id=str(self.backend_id), photos=len(recorded.reopened))
            self._photos_recorded()
        if recorded.filed or recorded.reopened:
            self._announcer.photos_updated(dict.fromkeys(recorded.filed + recorded.reopened))
        if recorded.steps:
            self._announcer.steps_updated(recorded.steps)
        if recorded.added or recorded.reopened or recorded.steps:
            self._announcer.ledger_changed(self.backend_id)
        for settling in settled:
            self._settled(settling.batch_id, settling.item_id)
        for batch_id in set(batch_ids):
            self._batch_seen(batch_id)

    async def _to_take(
        self,
        connection: Connection,
        images: Sequence[ImageDTO],
        owners: dict[str, Owner],
        copies: frozenset[str],
        since: datetime | None,
        mirroring: bool,
    ) -> list[ImageDTO]:
        names = [image.image_name for image in images]
        rows = await connection.fetch(UPLOADS, self.backend_id, names)
        here_already = copies | {row["image_name"] for row in rows} | await self.beginning.older(connection, names)

        def mirrored(image: ImageDTO) -> bool:
            made_there = image.image_category not in PRIVATE and image.image_name not in here_already
            return mirroring and made_there and (since is None or image.created_at >= since)

        return [image for image in images if image.image_name in owners or mirrored(image)]

    async def _insert(
        self, connection: Connection, image: ImageDTO, owner: Owner | None
    ) -> tuple[UUID | None, bool, bool, bool]:
        """→ photo id, whether it is new, whether it became an alternative just now, whether it was lost; no id for a
        tombstone."""
        new_id = photo_id(image.created_at)
        path = self._path(new_id, image.created_at, owner)
        row = await connection.fetchrow(
            INSERT,
            new_id,
            image.image_name,
            image.width,
            image.height,
            image.created_at,
            "generated" if owner else "mirrored",
            self.backend_id,
            image.session_id,
            path,
            owner.prompt if owner else None,
            owner.negative_prompt if owner else None,
            owner.model_key if owner else None,
            owner.model_hash if owner else None,
            owner.model_name if owner else None,
            owner.source_photo_id if owner else None,
            owner.seed if owner else None,
        )
        if row is None:
            return None, False, False, False
        if owner is None:
            return row["id"], row["inserted"], False, row["reopened"]
        placed = await connection.fetchval(ALTERNATIVE, owner.step_id, row["id"], owner.position)
        return row["id"], row["inserted"], placed is not None, row["reopened"]

    def _path(self, new_id: UUID, created_at: datetime, owner: Owner | None) -> str:
        if owner is None:
            return mirror_path(self.backend_id, created_at, new_id)
        return generated_path(owner.session_id, owner.step_id, new_id)
