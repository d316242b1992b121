"""Backend resources of REST and the feed, each made of row, connection, ledger and pod."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from service.api.resources import Backend, Pod
from service.backends import ledger
from service.backends.connection import BackendConnection, BackendRow
from service.backends.registry import Registry
from service.backends.rows import backend_rows
from service.bus.live_state import BackendLedger, Ledger, QueueCounts, Trouble
from service.database.engine import Connection, Database
from service.database.models import GONE
from service.errors import NotFound
from service.pods.resource import pod_resources

# Reads only what was not seen, along an index. The owner has seen what was trashed. A time in the future comes from a
# clock that was set back since.
UNSEEN_GONE = f"""
    SELECT b.id AS backend_id, unseen.n, coalesce(unseen.since, now()) AS since
      FROM (SELECT id, CASE WHEN gone_seen_at <= now() THEN gone_seen_at END AS seen_at FROM backends) b
     CROSS JOIN LATERAL (
           SELECT count(*) AS n, min(last_retrieval_attempt) AS since
             FROM (SELECT last_retrieval_attempt FROM photos
                    WHERE {GONE} AND backend_id = b.id
                      AND last_retrieval_attempt > coalesce(b.seen_at, '-infinity')
                    UNION ALL
                   SELECT NULL FROM photos
                    WHERE {GONE} AND backend_id = b.id AND last_retrieval_attempt IS NULL AND b.seen_at IS NULL) gone
           ) unseen
     WHERE unseen.n > 0
"""

NONE_IN_QUEUE = QueueCounts(pending=0, in_progress=0, ours=0)


async def resource(database: Database, registry: Registry, backend_id: UUID) -> Backend:
    """One backend. Raises NotFound."""
    for backend in await resources(database, registry):
        if backend.id == backend_id:
            return backend
    raise NotFound("there is no such server")


async def resources(database: Database, registry: Registry) -> list[Backend]:
    """All backends, oldest first."""
    backends, _ = await resources_and_ledger(database, registry)
    return backends


async def resources_and_ledger(database: Database, registry: Registry) -> tuple[list[Backend], Ledger]:
    """All backends and the ledger, from one reading of the ledger."""
    async with database.connection() as connection:
        rows = await backend_rows(connection)
        gone = await unseen_gone(connection)
        pods = await pod_resources(connection)
    now = await registry.ledger()
    return [
        _shown(
            row, registry.get(row.id), now.backends.get(str(row.id), ledger.EMPTY), gone.get(row.id), pods.get(row.id)
        )
        for row in rows
    ], now


async def unseen_gone(connection: Connection) -> dict[UUID, Trouble]:
    """By backend, the images that were deleted there before they came home and that the owner has not seen yet (ledger
    and home)."""
    troubles = {}
    for row in await connection.fetch(UNSEEN_GONE):
        one = "1 image was deleted in InvokeAI before it came home."
        words = one if row["n"] == 1 else f"{row['n']} images were deleted in InvokeAI before they came home."
        troubles[row["backend_id"]] = Trouble(code="images_gone", since=row["since"], words=words)
    return troubles


def _shown(
    row: BackendRow, connection: BackendConnection | None, ledger: BackendLedger, gone: Trouble | None, pod: Pod | None
) -> Backend:
    """The resource of a row. A backend without a connection yet is shown as connecting. `gone` is shown among its
    troubles. A pod that does not run has no other troubles."""
    present = connection.troubles.present if connection and connection.parked is None else []
    troubles = [*present, *([gone] if gone else [])]
    return Backend(
        id=row.id,
        name=row.name,
        kind=cast(Any, row.kind),
        url=row.url,
        queue_id=row.queue_id,
        has_gateway=bool(row.gateway),
        enabled=row.enabled,
        mirror=cast(Any, row.mirror),
        state=(connection.state if connection else "connecting") if row.enabled else "disabled",
        version=row.version,
        device=connection.device if connection else None,
        queue=connection.queue if connection else NONE_IN_QUEUE,
        ledger=ledger,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        last_event_at=connection.subscription.last_event_at if connection else None,
        next_attempt_at=connection.subscription.next_attempt_at if connection else None,
        videos=connection.counts.videos if connection else 0,
        older_images=connection.counts.older_images if connection else 0,
        error=connection.error if connection else None,
        troubles=sorted(troubles, key=lambda trouble: trouble.since),
        pod=pod,
    )
