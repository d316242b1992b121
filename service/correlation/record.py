"""Makes a photo row of an image that InvokeAI has, exactly once, and files it under its step, in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.bus.bus import Bus
from service.correlation.gallery_marks import GalleryMarks
from service.correlation.step_resolver import PRIVATE, StepResolver
from service.correlation.tracking import Tracking
from service.correlation.unreadable import UnreadableImages
from service.database.engine import Connection, Database
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, UnreadableImage
from service.photos import photo_sources
from service.photos.image_rows import ImageRow, Owner, insert_image, unknown_images
from service.steps.queue_items import RECORDING, clear_identity_since
from service.steps.status import lock_step, refresh_step

log = structlog.get_logger()


class ServerIdentity(Protocol):
    """Whether the server at one connection's address is the one whose images and items are recorded (recognised servers
    only); `backends.recognition` answers it."""

    def require(self) -> None:
        """Raises `InvokeError` unless it was recognised since the connection began."""

    async def confirm(self) -> None:
        """Asks the server again whether it is the recorded one. Await it after the server was found to lack something,
        before anything follows from that, since another server may have taken its place unnoticed. Raises `InvokeError`
        unless it is recognised now."""


class Settling(msgspec.Struct, frozen=True):
    """An ended item that was read: with these names recorded, nothing more is expected of it (pure correlation)."""

    batch_id: str
    item_id: int
    step_id: UUID
    image_names: tuple[str, ...]


AT_ONCE = 32
"""Items that browsers are told of before their writers have a turn: half a backlog."""
UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.CheckViolationError, ValueError)
"""Errors of the database or its driver for a value that cannot be stored."""


SETTLE = """
    UPDATE queue_items SET settled_at = now()
     WHERE batch_id = $1 AND item_id = $2 AND settled_at IS NULL
       AND status IN ('completed', 'failed', 'canceled', 'gone')
"""
IS_SETTLED = "SELECT FROM queue_items WHERE batch_id = $1 AND item_id = $2 AND settled_at IS NOT NULL"
UPLOADS = "SELECT image_name FROM backend_uploads WHERE backend_id = $1 AND image_name = ANY($2)"


class Recorder:
    """Records images of one backend. `mirror` says whether images of no step are taken too (gallery reading), unless
    the call says it."""

    def __init__(
        self, backend_id: UUID, client: InvokeClient, database: Database, bus: Bus, tracking: Tracking, *, mirror: bool
    ) -> None:
        self.backend_id = backend_id
        self.mirror = mirror
        self._client = client
        self._database = database
        self._steps = StepResolver(client, database)
        self._bus = bus
        self._tracking = tracking
        self.recorded_at: float | None = None
        """When, on the process's monotonic clock, a photo was last added, or found to be there after all."""
        self.intermediate: Callable[[Sequence[str]], None] = lambda _: None
        """Hears the names of intermediate images, which are not recorded."""
        self.unreadable = UnreadableImages(backend_id, bus)
        self.marks = GalleryMarks(backend_id, client, database)

    async def unknown(self, names: Sequence[str]) -> list[str]:
        """The names that belong to no photo and no tombstone, and those of lost photos."""
        async with self._database.connection() as connection:
            return await unknown_images(connection, names)

    async def record(
        self,
        images: Sequence[ImageDTO],
        settlings: Sequence[Settling] = (),
        *,
        since: datetime | None = None,
        mirror: bool | None = None,
    ) -> list[UUID]:
        """Records the images that are to be taken, those of no step only if made since then, and settles items. Returns
        the added photos. Raises InvokeError; then nothing was written. An image that the database cannot store is left
        out, and reported."""
        self.intermediate([image.image_name for image in images if image.is_intermediate])
        images = [image for image in images if not image.is_intermediate]
        batches = await self._steps.batches_named(images)
        mirroring = self.mirror if mirror is None else mirror
        added: list[UUID] = []
        parts: list[tuple[Sequence[ImageDTO], Sequence[Settling]]] = [(images, settlings)]
        for some, settled in parts:
            try:
                added += await self._record(some, settled, batches, since, mirroring)
            except UNSTORABLE as why:
                if not some:
                    raise
                if len(some) > 1 or settled:
                    parts += [*(([image], ()) for image in some), ((), settled)]  # to find the one by itself
                else:
                    unreadable = UnreadableImage(some[0].image_name, f"the database cannot hold it: {why}")
                    self.unreadable.found([unreadable])
        return added

    async def _record(
        self,
        images: Sequence[ImageDTO],
        settlings: Sequence[Settling],
        batches: dict[str, str],
        since: datetime | None,
        mirroring: bool,
    ) -> list[UUID]:
        async with self._database.transaction() as connection:
            await connection.execute(RECORDING)
            owners = await self._steps.owners(connection, images, batches)
            copies = await self._steps.copies(connection, images, batches)
            taken = await self._to_take(connection, images, owners, copies, since, mirroring)
            if taken:
                await photo_sources.before_recording_images(connection)
            steps = {owner.step_id for owner in owners.values()} | {settling.step_id for settling in settlings}
            for step_id in sorted(steps):
                await lock_step(connection, step_id)
            if owners:  # their places may have been learned until the steps were locked
                owners = await self._steps.owners(connection, images, batches)
            rows = list[tuple[ImageDTO, ImageRow]]()
            for image in taken:
                row = await insert_image(connection, self.backend_id, image, owners.get(image.image_name))
                if row is not None:
                    rows.append((image, row))
            added = {image.image_name: row.photo_id for image, row in rows if row.is_new}
            if added:
                await photo_sources.link(connection, added)
                await clear_identity_since(connection, self.backend_id)
            touched = {owners[image.image_name].step_id for image, row in rows if row.is_placed}
            settled = [settling for settling in settlings if await self._settle(connection, settling, touched)]
            touched |= {step_id for step_id in sorted(steps) if await refresh_step(connection, step_id)}
        await self._tell(rows, touched)
        for settling in settled:
            self._tracking.settled(settling.batch_id, settling.item_id)
        made = {image.image_name for image in images if image.session_id}
        for batch_id in {batch_id for name, batch_id in batches.items() if name in made}:
            self._bus.batch_seen(self.backend_id, batch_id)
        return list(added.values())

    async def _settle(self, connection: Connection, settling: Settling, touched: set[UUID]) -> bool:
        """False when the item has not ended, as the database knows it: a later reading settles it."""
        key = settling.batch_id, settling.item_id
        if await connection.execute(SETTLE, *key) == "UPDATE 1":
            touched.add(settling.step_id)
            return True
        return await connection.fetchrow(IS_SETTLED, *key) is not None

    async def _tell(self, rows: Sequence[tuple[ImageDTO, ImageRow]], steps: Collection[UUID]) -> None:
        # Which item made which photo, before the photos are told of: browsers know then in whose place each stands.
        made = [(image.session_id, row.photo_id) for image, row in rows if image.session_id]
        items = dict.fromkeys(item for made_by in made if (item := self._tracking.recorded(*made_by)) is not None)
        try:
            for told, tracked in enumerate(items, start=1):
                self._bus.item_changed(tracked.item)
                if told % AT_ONCE == 0:
                    await asyncio.sleep(0)  # writers take their turn, or every browser's backlog would overflow
        finally:
            self._tell_photos(rows, steps)

    def _tell_photos(self, rows: Sequence[tuple[ImageDTO, ImageRow]], steps: Collection[UUID]) -> None:
        added = [row.photo_id for _, row in rows if row.is_new]
        reopened = [row.photo_id for _, row in rows if row.is_reopened]
        filed = [row.photo_id for _, row in rows if row.is_placed and not row.is_new]
        if added:
            self._bus.changed("photo.added", added)
        if reopened:
            log.info("images_named_again", backend_id=str(self.backend_id), photos=len(reopened))
        if added or reopened:
            self.recorded_at = time.monotonic()
            self._bus.retrieval_due()
        if filed or reopened:
            self._bus.changed("photo.updated", dict.fromkeys(filed + reopened))
        if steps:
            self._bus.changed("step.updated", steps)
        if added or reopened or steps:
            self._bus.ledger_changed()

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
        here_already = copies | {row["image_name"] for row in rows} | await self.marks.older(connection, names)

        def mirrored(image: ImageDTO) -> bool:
            made_there = image.image_category not in PRIVATE and image.image_name not in here_already
            return mirroring and made_there and (since is None or image.created_at >= since)

        return [image for image in images if image.image_name in owners or mirrored(image)]
