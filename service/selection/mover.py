"""Moves the files of photos that became their step's selection, or no longer are it (safe selection).

The wanted paths follow from the rows of steps; the rows of photos have the present ones, and `file_moves` has all names
that there may be besides. A move gives the new names, commits the row, removes the old names, and deletes the note.
After a kill anywhere it is done again from the beginning; what is done already costs nothing. No transaction is open
during work on files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Self
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import DatabaseAway, DataFolderAway
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.runtime.waiting import finish_before_cancel
from service.selection import moves
from service.selection.files import NotWhole, bring_back, give_names, remove_names, take_names
from service.selection.moves import State

log = structlog.get_logger()

MOVE_TIMEOUT: Final = 5.0
"""Seconds for which a request waits for the files of its photos."""
TRIES: Final = 5
AT_ONCE: Final = 200
FIRST: Final = UUID(int=0)


class FileMover:
    """Moves files: one move at a time of each photo; different photos do not wait for each other."""

    def __init__(self, database: Database, storage: LocalStorage, bus: Bus) -> None:
        self._database = database
        self._storage = storage
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: set[UUID] = set()
        """Photos that are being moved, or will be once they are home."""
        self._left: set[UUID] = set()
        """Photos with another file at one of their names. It is logged once in a run of the process."""

        bus.came_home.listen(self._came_home)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends. The next start makes the moves that are left."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def holding(self, photo_id: UUID) -> AbstractAsyncContextManager[None]:
        """A lock: while it is held, the photo's files are not moved."""
        lock = self._locks.get(photo_id)
        if lock is None:
            lock = self._locks[photo_id] = asyncio.Lock()
        return lock

    async def check_folder(self) -> None:
        """Raises `DataFolderAway`."""
        try:
            await asyncio.to_thread(self._storage.check_mounted)
        except OSError as error:
            raise DataFolderAway(f"the data folder cannot be read: {error.strerror or error}") from error

    # --- When ---

    async def move_soon(self, photo_ids: Sequence[UUID]) -> None:
        """Moves the files, and returns once they are moved, or after some seconds; slow moves go on by themselves."""
        if photo_ids:
            await asyncio.wait({self.start(photo_id) for photo_id in photo_ids}, timeout=MOVE_TIMEOUT)

    def start(self, photo_id: UUID) -> asyncio.Task[None]:
        task = asyncio.create_task(self._attempt(photo_id), name=f"move files of {photo_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _came_home(self, photo_id: UUID) -> None:
        """Starts a move if the photo is awaited."""
        if photo_id in self._awaited:
            self.start(photo_id)

    async def sweep(self) -> None:
        """For the supervisor, every minute and at start: makes the moves that are left."""
        try:
            await self.check_folder()
        except DataFolderAway:
            return
        behind = FIRST
        while True:
            async with self._database.connection() as connection:
                rows = await moves.waiting(connection, behind, AT_ONCE)
            for row in rows:
                if not row.is_due:
                    self._awaited.add(row.photo_id)
                elif row.photo_id not in self._left:
                    await self._attempt(row.photo_id)
            if len(rows) < AT_ONCE:
                return
            behind = rows[-1].photo_id

    async def _attempt(self, photo_id: UUID) -> None:
        try:
            await self.settle(photo_id)
        except DatabaseAway:
            log.info("files not moved yet", photo=str(photo_id), reason="the database is away")
        except OSError as error:
            log.warning("files not moved yet", photo=str(photo_id), reason=error.strerror or str(error))

    # --- How ---

    async def settle(self, photo_id: UUID) -> None:
        """Gives the photo's files the names that they are to have, and no other. Raises `OSError`."""
        async with self.holding(photo_id):
            # Before its row is read: it may come home right after.
            self._awaited.add(photo_id)
            for _ in range(TRIES):
                state = await self._read(photo_id)
                if state is None or (state.version is None and not state.is_home):
                    self._awaited.discard(photo_id)
                    return
                if await self._step(state):
                    return

    async def restore(self, photo_id: UUID, path: str, sha256: str) -> bool:
        """Whether a file that was found wrong is right now: it was read wrongly, or was made again from another of the
        photo's names. Call it while the photo is held."""
        state = await self._read(photo_id)
        if state is None or state.is_purged or (state.path, state.sha256) != (path, sha256):
            return False
        try:
            is_whole = await finish_before_cancel(
                asyncio.to_thread(bring_back, self._storage, path, state.names, sha256)
            )
        except OSError as error:
            log.warning("file not brought back", photo=str(photo_id), reason=error.strerror or str(error))
            return False
        if is_whole and state.step_id is not None:
            async with self._database.connection() as connection:
                await moves.note(connection, photo_id, state.names)
            self.start(photo_id)
        return is_whole

    async def _read(self, photo_id: UUID) -> State | None:
        async with self._database.connection() as connection:
            return await moves.read(connection, photo_id)

    async def _step(self, state: State) -> bool:
        """One step of a move. False if the row has changed and has to be read again."""
        if state.is_purged:
            names = state.noted or ()
            gone = not names or await finish_before_cancel(asyncio.to_thread(remove_names, self._storage, names))
            return not gone or await self._forget(state)
        if not state.is_home or state.path is None:
            return True
        wanted = state.wanted
        if wanted[0] != state.path and not {state.path, *wanted} <= set(state.noted or ()):
            async with self._database.connection() as connection:
                await moves.note(connection, state.photo_id, [state.path, *wanted])
            return False
        if not await self._give(state, wanted):
            return True
        if wanted[0] != state.path:
            async with self._database.connection() as connection:
                if not await moves.move(connection, state, wanted[0], thumbnail_path(wanted[0])):
                    return False
            log.info("files moved", photo=str(state.photo_id), path=wanted[0])
        return await self._take(state, wanted)

    async def _give(self, state: State, wanted: Sequence[str]) -> bool:
        """Gives the new names. False for a photo whose file is lost: its next reader reports that."""
        path, size, sha256 = state.path or "", state.file_size or 0, state.sha256 or ""

        def give() -> None:
            give_names(self._storage, path, state.thumbnail, wanted, file_size=size, sha256=sha256)

        try:
            await finish_before_cancel(asyncio.to_thread(give))
        except NotWhole:
            if not await self._is_restored(state):
                log.warning("file not moved: it is not whole", photo=str(state.photo_id), path=state.path)
                return False
            await finish_before_cancel(asyncio.to_thread(give))
        return True

    async def _is_restored(self, state: State) -> bool:
        back = asyncio.to_thread(bring_back, self._storage, state.path or "", state.names, state.sha256 or "")
        return await finish_before_cancel(back)

    async def _take(self, state: State, wanted: Sequence[str]) -> bool:
        superfluous = {state.path or "", *(state.noted or ())} - set(wanted)
        left = await finish_before_cancel(asyncio.to_thread(take_names, self._storage, wanted[0], superfluous))
        if left:
            log.warning("other files at names of this photo are left alone", photo=str(state.photo_id), names=left)
            self._left.add(state.photo_id)
            return True
        return await self._forget(state)

    async def _forget(self, state: State) -> bool:
        async with self._database.connection() as connection:
            done = await moves.forget(connection, state)
        if done:
            self._awaited.discard(state.photo_id)
            self._left.discard(state.photo_id)
        return done
