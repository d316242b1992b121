"""Troubles of database and data folder, found by trying, each named by a code and a sentence."""

from __future__ import annotations

import asyncio
import errno
from datetime import UTC, datetime
from typing import Final, Literal

import structlog

from service.bus.live_state import Trouble
from service.database.engine import Database
from service.media.storage import LocalStorage

log = structlog.get_logger()

CHECK_SECONDS: Final = 3.0

Code = Literal[
    "database_away",
    "database_read_only",
    "disk_failing",
    "disk_full",
    "disk_stalled",
    "no_permission",
    "read_only",
    "too_many_files",
    "wrong_folder",
]
WORDS: Final[dict[Code, str]] = {
    "database_away": "The database does not answer. Nothing can be shown or brought home until it does.",
    "database_read_only": "The database accepts no changes, so nothing can be brought home.",
    "disk_failing": "The data folder cannot be written safely, so no pictures are brought home",
    "disk_full": "The disk of the data folder is nearly full. No pictures are brought home until there is more room.",
    "disk_stalled": "The disk of the data folder does not answer, so no pictures are brought home.",
    "no_permission": "Darkroom may not write in its data folder, so no pictures are brought home.",
    "read_only": "The disk of the data folder is read-only, so no pictures are brought home.",
    "too_many_files": "Darkroom has as many files and connections open as this system allows.",
    "wrong_folder": "The data folder is not the one that was opened: its disk is no longer mounted, or another is."
    " No pictures are brought home.",
}
CODES: Final[dict[int | None, Code]] = {
    errno.EACCES: "no_permission",
    errno.EDQUOT: "disk_full",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
    errno.ENODEV: "wrong_folder",
    errno.ENOSPC: "disk_full",
    errno.EPERM: "no_permission",
    errno.EROFS: "read_only",
}
DATABASE_CODES: Final[frozenset[Code]] = frozenset({"database_away", "database_read_only"})


class Readiness:
    """Looks when it is asked, and once a minute for the log. Requests at the same time share one look."""

    def __init__(self, database: Database, storage: LocalStorage) -> None:
        self._database = database
        self._storage = storage
        self._known: dict[Code, Trouble] = {}
        self._look: asyncio.Task[list[Trouble]] | None = None
        self._trial: asyncio.Task[None] | None = None

    async def troubles(self) -> list[Trouble]:
        """The troubles at this moment; empty when everything works."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._find(), name="readiness")
        return await asyncio.shield(self._look)

    async def watch(self) -> None:
        """For the supervisor: logs when a trouble begins and ends, even if nobody asks."""
        await self.troubles()

    async def close(self) -> None:
        for task in (self._look, self._trial):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def _find(self) -> list[Trouble]:
        found = await asyncio.gather(self._database_trouble(), self._data_trouble())
        now = datetime.now(UTC)
        troubles: dict[Code, Trouble] = {}
        for code, words in filter(None, found):
            known = self._known.get(code)
            troubles[code] = Trouble(code=code, since=known.since if known else now, words=words)
            if known is None:
                log.warning("trouble", code=code, words=words)
        for code in self._known.keys() - troubles.keys():
            log.info("trouble is over", code=code)
        self._known = troubles
        return list(troubles.values())

    async def _database_trouble(self) -> tuple[Code, str] | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS), self._database.connection() as connection:
                read_only = await connection.fetchval("SELECT current_setting('transaction_read_only')::bool")
        except Exception as error:  # noqa: BLE001 - whatever it is, the database cannot be used
            cause = error.__cause__
            ours = isinstance(cause, OSError) and CODES.get(cause.errno) == "too_many_files"
            code: Code = "too_many_files" if ours else "database_away"
            return code, WORDS[code]
        return ("database_read_only", WORDS["database_read_only"]) if read_only else None

    async def _data_trouble(self) -> tuple[Code, str] | None:
        # A disk that does not answer holds its thread until it does: the next look waits for the same trial again.
        if self._trial is None or self._trial.done():
            self._trial = asyncio.create_task(asyncio.to_thread(self._storage.try_out), name="trial of the data folder")
        done, _ = await asyncio.wait({self._trial}, timeout=CHECK_SECONDS)
        if not done:
            return "disk_stalled", WORDS["disk_stalled"]
        error = self._trial.exception()
        if error is None:
            return None
        if not isinstance(error, OSError):
            raise error
        code = CODES.get(error.errno, "disk_failing")
        return code, f"{WORDS[code]}: {error.strerror or error}." if code == "disk_failing" else WORDS[code]
