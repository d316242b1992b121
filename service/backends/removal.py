"""Removing a backend: nothing of it is left waiting for a server that will not be asked again."""

from __future__ import annotations

from uuid import UUID

from service.backends.registry import Registry
from service.correlation.outcome import lock_step, refresh_step
from service.database.engine import Connection, Database
from service.errors import Conflict, NotFound
from service.live.announce import Announcer

REMOVED = "backend removed"
AT_ONCE = 2000

OPEN_WORK = """
    SELECT (SELECT count(*) FROM photos WHERE backend_id = $1 AND retrieval_status IN ('pending', 'retrieving')
               AND purged_at IS NULL) AS photos_waiting,
           (SELECT count(*) FROM generation_steps s
             WHERE s.status IN ('pending', 'processing') AND s.deleted_at IS NULL
               AND s.id IN (SELECT step_id FROM step_batches WHERE backend_id = $1)) AS live_steps
"""
DISABLE = "UPDATE backends SET enabled = false WHERE id = $1 AND enabled RETURNING id"
ENABLE = "UPDATE backends SET enabled = true WHERE id = $1"
LIVE_STEPS = """
    SELECT DISTINCT s.id FROM generation_steps s JOIN step_batches b ON b.step_id = s.id
     WHERE b.backend_id = $1 AND s.status IN ('pending', 'processing') ORDER BY s.id
"""
GIVE_UP_BATCHES = """
    UPDATE step_batches SET state = 'refused', refusal = $3, answered_at = coalesce(answered_at, now())
     WHERE step_id = $1 AND backend_id = $2 AND state <> 'refused'
"""
GIVE_UP_ITEMS = """
    UPDATE queue_items i SET settled_at = now(),
           status = CASE WHEN i.status IN ('completed', 'failed', 'canceled') THEN i.status ELSE 'gone' END
      FROM step_batches b
     WHERE b.batch_id = i.batch_id AND i.step_id = $1 AND b.backend_id = $2 AND i.settled_at IS NULL
"""
GIVE_UP_PHOTOS = """
    UPDATE photos SET retrieval_status = 'failed', retrieval_error = $3, next_retrieval_attempt = NULL,
           retrieval_claim = NULL, retrieval_lease_until = NULL
     WHERE id IN (SELECT id FROM photos WHERE backend_id = $1 AND retrieval_status IN ('pending', 'retrieving')
                     AND purged_at IS NULL ORDER BY id LIMIT $2 FOR UPDATE)
    RETURNING id
"""
# The foreign key would do this in one statement, of a million rows perhaps.
FORGET = """
    UPDATE photos SET backend_id = NULL
     WHERE id IN (SELECT id FROM photos WHERE backend_id = $1 AND retrieval_status NOT IN ('pending', 'retrieving')
                     AND purged_at IS NULL LIMIT $2 FOR UPDATE)
    RETURNING id
"""
LOCK = "SELECT FROM backends WHERE id = $1 FOR UPDATE"
IS_OPEN = f"""
    SELECT EXISTS ({LIVE_STEPS}) OR EXISTS (
        SELECT FROM photos WHERE backend_id = $1 AND retrieval_status IN ('pending', 'retrieving')
           AND purged_at IS NULL)
"""


async def remove(
    database: Database, registry: Registry, announcer: Announcer, backend_id: UUID, *, confirmed: bool
) -> None:
    """Raises NotFound; Conflict when photos wait or steps run there and this is not `confirmed`.

    Confirmed: those photos are `failed: backend removed`, those steps end with what they have. Its connection ends
    first, so nothing new arrives from there; what is asked of it meanwhile is given up too. An interrupted removal
    leaves it disabled, to be removed again.
    """
    async with database.connection() as connection:
        if await connection.fetchrow("SELECT FROM backends WHERE id = $1", backend_id) is None:
            raise NotFound("there is no such server")
        if not confirmed:
            await _refuse_open_work(connection, backend_id)
        was_enabled = await connection.fetchrow(DISABLE, backend_id) is not None
    its_connection = registry.get(backend_id)
    await registry.reload()
    if not confirmed:
        await _look_again(database, registry, backend_id, was_enabled)
    while True:
        await _give_up_steps(database, announcer, backend_id)
        await _give_up_photos(database, announcer, backend_id)
        await _forget(database, backend_id)
        if await _delete(database, backend_id):
            break
    if its_connection is not None:
        registry.tell_gone(its_connection.tracking.live_items)
    await registry.reload()
    announcer.leave_gap()  # every photo and step it ever had names it no more
    announcer.ledger_changed()


async def _refuse_open_work(connection: Connection, backend_id: UUID) -> None:
    row = await connection.fetchrow(OPEN_WORK, backend_id)
    if row and (row["photos_waiting"] or row["live_steps"]):
        raise Conflict(
            "photos are still to be brought home from this server, or steps still run there:"
            " remove it with confirm=true to give them up",
            dict(row),
        )


async def _look_again(database: Database, registry: Registry, backend_id: UUID, was_enabled: bool) -> None:
    """Something may have arrived until its connection ended."""
    async with database.connection() as connection:
        try:
            await _refuse_open_work(connection, backend_id)
        except Conflict:
            if was_enabled:
                await connection.execute(ENABLE, backend_id)
                await registry.reload()
            raise


async def _give_up_steps(database: Database, announcer: Announcer, backend_id: UUID) -> None:
    async with database.connection() as connection:
        steps = [row["id"] for row in await connection.fetch(LIVE_STEPS, backend_id)]
    for step_id in steps:
        async with database.transaction() as connection:
            await lock_step(connection, step_id)
            await connection.execute(GIVE_UP_BATCHES, step_id, backend_id, REMOVED)
            await connection.execute(GIVE_UP_ITEMS, step_id, backend_id)
            await refresh_step(connection, step_id)
        announcer.steps_updated([step_id])


async def _give_up_photos(database: Database, announcer: Announcer, backend_id: UUID) -> None:
    while True:
        async with database.connection() as connection:
            given_up = await connection.fetch(GIVE_UP_PHOTOS, backend_id, AT_ONCE, REMOVED)
        if not given_up:
            return
        announcer.photos_failed([row["id"] for row in given_up])


async def _forget(database: Database, backend_id: UUID) -> None:
    async with database.connection() as connection:
        while await connection.fetch(FORGET, backend_id, AT_ONCE):
            pass


async def _delete(database: Database, backend_id: UUID) -> bool:
    """False when something has begun there meanwhile. Once the row is locked no step can be made or retried there: who
    does so has locked it, too, before anything else (`studio.choice.hold`)."""
    async with database.transaction() as connection:
        await connection.execute(LOCK, backend_id)
        if await connection.fetchval(IS_OPEN, backend_id):
            return False
        await connection.execute("DELETE FROM backends WHERE id = $1", backend_id)
    return True
