"""The ledger per backend and per step: what was made, where it is now, and what is expected (ledger and home).

made = retrieved + waiting + failed + gone; expected = made + live items + what batches still want. Tombstones are in no
count. A step is home when nothing waits and nothing failed; a server, as home.py says; all together, when each enabled
server is and nothing waits or failed anywhere. A server whose pod is stopped is left out when nothing is open there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from uuid import UUID

import asyncpg
import msgspec

from service.backends.home import ReadState, is_home, is_no_matter
from service.bus.live_state import BackendLedger, Ledger
from service.database.engine import Connection
from service.database.photo_counts import PHOTO_COUNTS

COUNTS = """
    coalesce(sum(n) FILTER (WHERE retrieval_status = 'completed'), 0)::bigint AS retrieved,
    coalesce(sum(n) FILTER (WHERE retrieval_status IN ('pending', 'retrieving')), 0)::bigint AS waiting,
    coalesce(sum(n) FILTER (WHERE retrieval_status = 'failed'), 0)::bigint AS failed,
    coalesce(sum(n) FILTER (WHERE retrieval_status = 'gone'), 0)::bigint AS gone
"""
MADE = f"""
    SELECT backend_id, {COUNTS} FROM ({PHOTO_COUNTS}) counts WHERE backend_id IS NOT NULL GROUP BY backend_id
"""
BACKENDS = "SELECT id, enabled FROM backends ORDER BY id"
MADE_BY_STEP = f"""
    SELECT {COUNTS}
      FROM (SELECT p.retrieval_status, count(*) AS n FROM step_alternatives a JOIN photos p ON p.id = a.photo_id
             WHERE a.step_id = $1 AND p.purged_at IS NULL GROUP BY p.retrieval_status) each_status
"""
# An item whose image is recorded already counts as made. One that ended without an image may still turn out to have
# made one only if it was completed.
TO_COME = """
    SELECT b.backend_id, count(*) AS n
      FROM queue_items i JOIN step_batches b ON b.batch_id = i.batch_id
     WHERE i.settled_at IS NULL AND i.status NOT IN ('failed', 'canceled', 'gone')
       AND NOT EXISTS (SELECT FROM photos p WHERE p.invoke_session_id = i.invoke_session_id)
       AND ($1::uuid IS NULL OR i.step_id = $1)
     GROUP BY b.backend_id
    UNION ALL
    SELECT b.backend_id,
           sum(greatest(CASE WHEN b.state = 'enqueued' THEN b.enqueued ELSE b.wanted END - seen.n, 0))
      FROM generation_steps s
      JOIN step_batches b ON b.step_id = s.id
     CROSS JOIN LATERAL (SELECT count(*) AS n FROM queue_items i
                          WHERE i.batch_id = b.batch_id AND i.retried_from_item_id IS NULL) seen
     WHERE s.status IN ('pending', 'processing') AND s.deleted_at IS NULL AND b.state <> 'refused'
       AND ($1::uuid IS NULL OR s.id = $1)
     GROUP BY b.backend_id
"""


def _ledger(*, retrieved: int = 0, waiting: int = 0, failed: int = 0, gone: int = 0, to_come: int = 0) -> BackendLedger:
    made = retrieved + waiting + failed + gone
    return BackendLedger(
        expected=made + to_come,
        made=made,
        retrieved=retrieved,
        waiting=waiting,
        failed=failed,
        gone=gone,
        home=waiting == failed == 0,
    )


EMPTY = msgspec.structs.replace(_ledger(), home=False)
"""The ledger of an unknown server."""


async def read(
    connection: Connection, foreign: Mapping[UUID, int], read_states: Mapping[UUID, ReadState] = MappingProxyType({})
) -> Ledger:
    """The ledger of every backend, and their sum. `foreign` is how many live items of other people each is expected to
    bring; `read_states` is what is known of each besides."""
    to_come = dict(foreign)
    # One snapshot: else an image recorded in between would be counted twice, or not at all.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        made = {row["backend_id"]: row for row in await connection.fetch(MADE)}
        for row in await connection.fetch(TO_COME, None):
            to_come[row["backend_id"]] = to_come.get(row["backend_id"], 0) + int(row["n"])
        enabled = {row["id"]: row["enabled"] for row in await connection.fetch(BACKENDS)}
    backends = {}
    for id in enabled:
        counts = _ledger(**_counts(made.get(id)), to_come=to_come.get(id, 0))
        backends[id] = msgspec.structs.replace(counts, home=is_home(counts, read_states.get(id)))
    watched = [
        backends[id]
        for id, is_enabled in enabled.items()
        if is_enabled and not is_no_matter(backends[id], read_states.get(id))
    ]
    return Ledger(total=total(backends.values(), watched), backends={str(id): own for id, own in backends.items()})


async def read_step(connection: Connection, step_id: UUID) -> BackendLedger:
    """The ledger of one step, over all backends that worked on it."""
    made = await connection.fetchrow(MADE_BY_STEP, step_id)
    to_come = sum(int(row["n"]) for row in await connection.fetch(TO_COME, step_id))
    return _ledger(**_counts(made), to_come=to_come)


def total(ledgers: Iterable[BackendLedger], watched: Collection[BackendLedger]) -> BackendLedger:
    """The sum. It is home when nothing waits or failed, and all watched servers are home."""
    known = list(ledgers)
    sums = _ledger(
        retrieved=sum(ledger.retrieved for ledger in known),
        waiting=sum(ledger.waiting for ledger in known),
        failed=sum(ledger.failed for ledger in known),
        gone=sum(ledger.gone for ledger in known),
        to_come=sum(ledger.expected - ledger.made for ledger in known),
    )
    return msgspec.structs.replace(sums, home=sums.home and all(ledger.home for ledger in watched))


def _counts(row: asyncpg.Record | None) -> dict[str, int]:
    return {name: row[name] if row else 0 for name in ("retrieved", "waiting", "failed", "gone")}
