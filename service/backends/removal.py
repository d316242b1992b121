"""Removing a backend: its waiting photos fail, and its running steps end."""

from __future__ import annotations

from uuid import UUID

from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.errors import Conflict, NotFound
from service.steps.status import lock_step, refresh_step

REMOVED = "backend removed"
AT_ONCE = 2000

OPEN_WORK = """
    SELECT (SELECT count(*) FROM photos WHERE backend_id = $1 AND retrieval_status IN ('pending', 'retrieving')
               AND purged_at IS NULL) AS photos_waiting,
           (SELECT count(*) FROM generation_steps s
             WHERE s.status IN ('pending', 'processing') AND s.deleted_at IS NULL
               AND s.id IN (SELECT step_id FROM step_batches WHERE backend_id = $1)) AS live_steps
"""
# While its provider cannot be asked, a machine may run.
RUNNING_POD = "SELECT state FROM pods WHERE backend_id = $1 AND (state <> 'stopped' OR wanted = 'running')"
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
# The foreign key would do this in one statement, perhaps of a million rows.
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


async def remove(database: Database, registry: Registry, bus: Bus, backend_id: UUID, *, confirmed: bool) -> None:
    """Removes a backend; its photos stay.

    Raises NotFound, and Conflict when it is not `confirmed` and photos wait or steps run there, or its rented machine
    is not known to be stopped. That machine is left as it is. When confirmed, waiting photos become `failed: backend
    removed`, and running steps end with what they have. The connection ends first, so that nothing new comes from
    there; requests to it that are under way are given up. A removal that was interrupted leaves the backend disabled,
    to be removed again.
    """
    async with database.connection() as connection:
        if await connection.fetchrow("SELECT FROM backends WHERE id = $1", backend_id) is None:
            raise NotFound("there is no such server")
        if not confirmed:
            await _refuse_open_work(connection, backend_id)
            await _refuse_running_pod(connection, backend_id)
        was_enabled = await connection.fetchrow(DISABLE, backend_id) is not None
    its_connection = registry.get(backend_id)
    await registry.reload()
    if not confirmed:
        await _look_again(database, registry, backend_id, was_enabled)
    while True:
        await _give_up_steps(database, bus, backend_id)
        await give_up_photos(database, bus, backend_id)
        await _forget(database, backend_id)
        if await _delete(database, backend_id):
            break
    if its_connection is not None:
        registry.tell_gone(its_connection.tracking.live_items)
    await registry.reload()
    bus.too_much_changed()  # every photo and step it ever had names it no more
    bus.ledger_changed()


async def _refuse_open_work(connection: Connection, backend_id: UUID) -> None:
    row = await connection.fetchrow(OPEN_WORK, backend_id)
    if row and (row["photos_waiting"] or row["live_steps"]):
        raise Conflict(
            "photos are still to be brought home from this server, or steps still run there:"
            " remove it with confirm=true to give them up",
            dict(row),
        )


async def _refuse_running_pod(connection: Connection, backend_id: UUID) -> None:
    state = await connection.fetchval(RUNNING_POD, backend_id)
    if state is None:
        return
    how = {"unknown": "it is not known whether its machine runs", "failed": "its machine is not known to be stopped"}
    raise Conflict(
        f"{how.get(state, f'its machine is {state}')}: stop it first. Removed with confirm=true, it is left as it is,"
        " and Darkroom will not stop it: look at the provider's page whether it is billed",
        {"pod_state": state},
    )


async def _look_again(database: Database, registry: Registry, backend_id: UUID, was_enabled: bool) -> None:
    """Looks again: until the connection ended, an image may have been recorded, or the pod may have been started."""
    async with database.connection() as connection:
        try:
            await _refuse_open_work(connection, backend_id)
            await _refuse_running_pod(connection, backend_id)
        except Conflict:
            if was_enabled:
                await connection.execute(ENABLE, backend_id)
                await registry.reload()
            raise


async def _give_up_steps(database: Database, bus: Bus, backend_id: UUID) -> None:
    async with database.connection() as connection:
        steps = [row["id"] for row in await connection.fetch(LIVE_STEPS, backend_id)]
    for step_id in steps:
        async with database.transaction() as connection:
            await lock_step(connection, step_id)
            await connection.execute(GIVE_UP_BATCHES, step_id, backend_id, REMOVED)
            await connection.execute(GIVE_UP_ITEMS, step_id, backend_id)
            await refresh_step(connection, step_id)
        bus.changed("step.updated", [step_id])


async def give_up_photos(database: Database, bus: Bus, backend_id: UUID) -> None:
    while True:
        async with database.connection() as connection:
            given_up = await connection.fetch(GIVE_UP_PHOTOS, backend_id, AT_ONCE, REMOVED)
        if not given_up:
            return
        bus.changed("photo.failed", [row["id"] for row in given_up])


async def _forget(database: Database, backend_id: UUID) -> None:
    async with database.connection() as connection:
        while await connection.fetch(FORGET, backend_id, AT_ONCE):
            pass


async def _delete(database: Database, backend_id: UUID) -> bool:
    """False when a step or photo began there in between. Once the row is locked no step can be made or retried there:
    who does so has locked it before anything else (`studio.choice.hold`)."""
    async with database.transaction() as connection:
        await connection.execute(LOCK, backend_id)
        if await connection.fetchval(IS_OPEN, backend_id):
            return False
        await connection.execute("DELETE FROM backends WHERE id = $1", backend_id)
    return True
