"""What crashes leave behind: leases nobody renews, temporary files nobody owns, files of purged photos."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from service.database.engine import Database
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage, Stray
from service.retrieval import queue
from service.retrieval.download import remove

log = structlog.get_logger()

BATCH = 500
# Longer than a worker needs to notice that its claim is gone: it may still be about to publish the file.
PURGED_LONG_AGO = "now() - interval '2 minutes'"
PURGED_FILES = f"""
    SELECT id, local_storage_path AS path, local_thumbnail_path AS thumbnail FROM photos
     WHERE purged_at < {PURGED_LONG_AGO} AND local_storage_path IS NOT NULL ORDER BY purged_at LIMIT {BATCH}
"""
FORGET_FILES = """
    UPDATE photos SET local_storage_path = NULL, local_thumbnail_path = NULL
     WHERE id = ANY($1::uuid[]) AND purged_at IS NOT NULL
"""
HELD_CLAIMS = """
    SELECT retrieval_claim FROM photos WHERE retrieval_status = 'retrieving' AND retrieval_claim = ANY($1::uuid[])
"""


async def take_back(database: Database, storage: LocalStorage, *, expired_only: bool) -> int:
    """Leases become due again, their temporary files go first. All of them only while no worker runs."""
    taken = 0
    async with database.connection() as connection:
        for lease in await queue.leases(connection, expired_only=expired_only):
            await asyncio.to_thread(remove, storage, lease.path, lease.claim)
            taken += await queue.take_back(connection, lease.claim, expired_only=expired_only)
    if taken:
        log.info("leases taken back", photos=taken)
    return taken


class Sweep:
    """For the supervisor, every minute. The first also walks the library for temporary files of earlier processes."""

    def __init__(self, database: Database, storage: LocalStorage, wake_retrieval: Callable[[], None]) -> None:
        self._database = database
        self._storage = storage
        self._wake_retrieval = wake_retrieval
        self._began = time.time()
        self._walked = False

    async def run(self) -> None:
        await take_back(self._database, self._storage, expired_only=True)
        self._wake_retrieval()
        await self._purged_files()
        if not self._walked:
            await self._strays()
            self._walked = True

    async def _purged_files(self) -> None:
        """A purge removes the files itself; this finishes one that was cut short, and forgets the paths (rule 11)."""
        async with self._database.connection() as connection:
            while rows := await connection.fetch(PURGED_FILES):
                for row in rows:
                    await asyncio.to_thread(_remove, self._storage, row["path"], row["thumbnail"])
                await connection.execute(FORGET_FILES, [row["id"] for row in rows])

    async def _strays(self) -> None:
        strays = await asyncio.to_thread(lambda: list(self._storage.all_strays(before=self._began)))
        async with self._database.connection() as connection:
            for start in range(0, len(strays), BATCH):
                some = strays[start : start + BATCH]
                held = await connection.fetch(HELD_CLAIMS, [stray.token for stray in some])
                await asyncio.to_thread(_unlink_unowned, some, {row["retrieval_claim"] for row in held})


def _remove(storage: LocalStorage, path: str, thumbnail: str | None) -> None:
    for name in {path, thumbnail_path(path), thumbnail or path}:
        storage.unlink(name)
        for stray in storage.strays(name):
            stray.path.unlink(missing_ok=True)


def _unlink_unowned(strays: Sequence[Stray], held: set[UUID]) -> None:
    for stray in strays:
        if stray.token not in held:
            log.info("temporary file removed", name=stray.path.name)
            stray.path.unlink(missing_ok=True)
