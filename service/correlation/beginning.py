"""Since when images of one backend are taken (rule 6): the moment of adding it, kept on InvokeAI's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from service.database.engine import Connection, Database
from service.invokeai.client import InvokeClient
from service.invokeai.server import CLOCK_STEP

OLDER_NAMES = 1000
SET_BACK = timedelta(minutes=5)
"""How much older than the server's present time an image may be that was made since its clock was set back."""

# How long ago it was added is measured on the database's clock alone, once, and never taken to be less than nothing.
LEARN = """
    UPDATE backends
       SET gallery_beginning = $2::timestamptz - greatest(now() - created_at, interval '0') - $3::interval
     WHERE id = $1 AND gallery_beginning IS NULL
"""
READ = "SELECT coalesce(gallery_beginning, created_at) FROM backends WHERE id = $1"
LOWER = "UPDATE backends SET gallery_beginning = $2 WHERE id = $1 AND gallery_beginning > $2"
READ_OLDER = "SELECT gallery_older FROM backends WHERE id = $1"
KEEP_OLDER = "UPDATE backends SET gallery_older = $2 WHERE id = $1 AND gallery_older IS NULL"


class Beginning:
    """It is learned once, at the first answer that tells InvokeAI's time: no clock is compared with another later."""

    def __init__(self, backend_id: UUID, client: InvokeClient, database: Database) -> None:
        self._backend_id = backend_id
        self._client = client
        self._database = database
        self._older: frozenset[str] | None = None

    async def since(self) -> datetime | None:
        """Images made before are not taken. None when the backend was removed."""
        server_now = self._client.server_time()
        async with self._database.connection() as connection:
            if server_now is not None:
                await connection.execute(LEARN, self._backend_id, server_now, CLOCK_STEP)
            beginning: datetime | None = await connection.fetchval(READ, self._backend_id)
        if beginning is not None and server_now is not None and server_now < beginning:
            return server_now - SET_BACK  # the clock was set back; the next gallery reading learns how far
        return beginning

    async def lower(self, to: datetime) -> None:
        """What the server makes now has times from `to` on; earlier than the beginning when its clock was set back."""
        async with self._database.connection() as connection:
            await connection.execute(LOWER, self._backend_id, to)

    # --- after a clock was set back, times alone do not tell old images from new ones ---

    async def older(self, connection: Connection, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that were there before, as far as they are kept."""
        if self._older is None:
            kept: list[str] | None = await connection.fetchval(READ_OLDER, self._backend_id)
            if kept is None:
                return frozenset()
            self._older = frozenset(kept)
        return self._older.intersection(names)

    async def keep_older(self, names: Sequence[str]) -> None:
        """Once, when the gallery is first read."""
        async with self._database.connection() as connection:
            await connection.execute(KEEP_OLDER, self._backend_id, list(names[:OLDER_NAMES]))
