"""Who waits for a lock in the test's own database; others may be on the same server."""

from __future__ import annotations

import asyncio

from service.database.engine import Connection

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def until_waiting_for_a_lock(connection: Connection, waiting: int = 1) -> None:
    """Until so many sessions wait; call it from one that does not."""
    async with asyncio.timeout(10):
        while await connection.fetchval(WAITING) < waiting:
            await asyncio.sleep(0.01)
