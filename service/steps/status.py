"""A step's status: a function of its batches and items, written only here (derived step status)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.steps.item_state import NO_LONGER_THERE, TERMINAL

NOTHING_MADE = "InvokeAI finished without making an image"
DELETED = "deleted in InvokeAI"
"""Why a completed item has no image: InvokeAI leaves deleted images out of the results (FACTS §12)."""
LIVE_BATCHES = frozenset({"waiting", "prepared", "posted"})


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    batch_id: str
    state: str
    enqueued: int
    seeds: tuple[int, ...]
    refusal: str | None


class ItemState(msgspec.Struct, frozen=True, kw_only=True):
    batch_id: str
    item_id: int
    seed: int | None
    """None while its place in its batch is unknown."""
    status: str
    error: str | None
    settled: bool
    retried_from_item_id: int | None
    made: bool
    """It has an image among the step's alternatives."""

    @property
    def root(self) -> int:
        """The first item of a chain of retries."""
        return self.item_id if self.retried_from_item_id is None else self.retried_from_item_id


class Outcome(msgspec.Struct, frozen=True):
    status: str
    error_message: str | None


def outcome(
    *,
    batch_size: int,
    canceled_by_owner: bool,
    made: int,
    unplaced: list[int | None],
    batches: list[BatchState],
    items: list[ItemState],
) -> Outcome:
    """A step's status and message. `made` counts all alternatives that it ever had. `unplaced` has the seeds, if known,
    of those that belong to no item with a known ordinal."""
    started = bool(items) or made > 0 or any(batch.state == "enqueued" for batch in batches)
    if _live(batches, items):
        return Outcome("processing" if started else "pending", None)
    if not batches and not started and not canceled_by_owner:
        return Outcome("pending", None)
    last_tries = _last_tries(batches, items)
    if made:
        short = batch_size - _delivered(unplaced, batches, items)
        if short <= 0:
            return Outcome("completed", None)
        reason = _reason(canceled_by_owner, batches, last_tries) or _silent_reason(last_tries)
        return Outcome("completed", f"{batch_size - short} of {batch_size} made: {reason}")
    if canceled_by_owner or any(item.status == "canceled" and item.error is None for item in last_tries):
        return Outcome("canceled", None)
    return Outcome("failed", _reason(False, batches, last_tries) or NOTHING_MADE)


def _live(batches: list[BatchState], items: list[ItemState]) -> bool:
    """Whether something may still come: an unsettled item, items of a batch that were not seen yet, or a batch without
    an outcome."""
    if any(item.status not in TERMINAL or not item.settled for item in items):
        return True
    seen: dict[str, int] = {}
    for item in items:
        if item.retried_from_item_id is None:
            seen[item.batch_id] = seen.get(item.batch_id, 0) + 1
    return any(
        batch.state in LIVE_BATCHES or (batch.state == "enqueued" and seen.get(batch.batch_id, 0) < batch.enqueued)
        for batch in batches
    )


def _last_tries(batches: list[BatchState], items: list[ItemState]) -> list[ItemState]:
    """Items that were not tried again, by InvokeAI or by a later batch of ours. A retry of a retry names the first
    item, so of all that go back to one the last counts."""
    last_retry: dict[tuple[str, int], int] = {}
    for item in items:
        root = item.batch_id, item.root
        last_retry[root] = max(item.item_id, last_retry.get(root, item.item_id))
    last_batch = _last_batches(batches)
    return [
        item
        for item in items
        if last_retry[item.batch_id, item.root] == item.item_id
        and last_batch.get(item.seed, item.batch_id) == item.batch_id
    ]


def _last_batches(batches: list[BatchState]) -> dict[int | None, str]:
    """Which batch last wanted each seed."""
    return {seed: batch.batch_id for batch in batches for seed in batch.seeds}


def _delivered(unplaced: list[int | None], batches: list[BatchState], items: list[ItemState]) -> int:
    """How many of the wanted seeds have an image. An image without a known seed counts for one of the others."""
    wanted = {seed for batch in batches for seed in batch.seeds}
    placed = {item.seed for item in items if item.made and item.seed is not None}
    known = {seed for seed in unplaced if seed in wanted}
    return len(placed | known) + sum(1 for seed in unplaced if seed not in wanted)


def _reason(canceled_by_owner: bool, batches: list[BatchState], last_tries: list[ItemState]) -> str | None:
    """Why something is missing, in InvokeAI's words or ours; the latest batch comes first."""
    if canceled_by_owner:
        return "canceled"
    last_batches = set(_last_batches(batches).values())
    for batch in reversed(batches):
        if batch.refusal and batch.batch_id in last_batches:
            return batch.refusal
    for status in ("failed", "canceled", "gone"):
        for item in reversed(last_tries):
            if item.status == status and item.error:
                return item.error
    if any(item.status == "gone" for item in last_tries):
        return NO_LONGER_THERE
    if any(item.status == "canceled" for item in last_tries):
        return "canceled"
    return None


def _silent_reason(last_tries: list[ItemState]) -> str:
    """Why something is missing without an error message."""
    return DELETED if any(item.status == "completed" and not item.made for item in last_tries) else "canceled"


LOCK = "SELECT FROM generation_steps WHERE id = $1 FOR NO KEY UPDATE"
STEP = """
    SELECT batch_size, status, error_message, cancel_requested_at IS NOT NULL AS canceled_by_owner,
           started_at IS NULL AND EXISTS (
               SELECT FROM queue_items WHERE step_id = $1 AND queue_items.started_at IS NOT NULL) AS just_started
      FROM generation_steps WHERE id = $1 FOR NO KEY UPDATE
"""
BATCHES = """
    SELECT batch_id, state, enqueued, seeds, refusal
      FROM step_batches WHERE step_id = $1 ORDER BY ordinal
"""
ITEMS = """
    SELECT i.batch_id, i.item_id, b.seeds[i.ordinal + 1] AS seed, i.status, i.error,
           i.settled_at IS NOT NULL AS settled, i.retried_from_item_id,
           EXISTS (SELECT FROM photos p JOIN step_alternatives a ON a.photo_id = p.id
                    WHERE p.invoke_session_id = i.invoke_session_id AND a.step_id = i.step_id) AS made
      FROM queue_items i JOIN step_batches b USING (batch_id) WHERE i.step_id = $1 ORDER BY i.batch_id, i.item_id
"""
# An image may claim to be of the step, and have a seed of any size: InvokeAI's own are below 2^32.
MADE = """
    SELECT count(*) AS made,
           array_agg(CASE WHEN p.seed < 2::numeric ^ 63 THEN p.seed::bigint END) FILTER (WHERE NOT EXISTS (
               SELECT FROM queue_items i
                WHERE i.invoke_session_id = p.invoke_session_id AND i.step_id = a.step_id AND i.ordinal IS NOT NULL
           )) AS unplaced
      FROM step_alternatives a JOIN photos p ON p.id = a.photo_id WHERE a.step_id = $1
"""
WRITE = """
    UPDATE generation_steps SET
           status = $2, error_message = $3,
           started_at = coalesce(started_at, (SELECT min(started_at) FROM queue_items WHERE step_id = $1)),
           completed_at = CASE WHEN $2 IN ('completed', 'failed', 'canceled') THEN coalesce(completed_at, now()) END,
           cancel_taken = cancel_taken OR $2 IN ('completed', 'failed', 'canceled')
     WHERE id = $1
"""


async def lock_step(connection: Connection, step_id: UUID) -> bool:
    """Takes the step's row first, as the lock order asks; False when there is no such step."""
    return await connection.fetchrow(LOCK, step_id) is not None


async def refresh_step(connection: Connection, step_id: UUID) -> bool:
    """Recomputes the step's status inside the caller's transaction, locking the step; True when it changed."""
    step = await connection.fetchrow(STEP, step_id)
    if step is None:
        return False
    batches = msgspec.convert([dict(row) for row in await connection.fetch(BATCHES, step_id)], list[BatchState])
    items = msgspec.convert([dict(row) for row in await connection.fetch(ITEMS, step_id)], list[ItemState])
    [counts] = await connection.fetch(MADE, step_id)
    now = outcome(
        batch_size=step["batch_size"],
        canceled_by_owner=step["canceled_by_owner"],
        made=counts["made"],
        unplaced=counts["unplaced"] or [],
        batches=batches,
        items=items,
    )
    if (now.status, now.error_message) == (step["status"], step["error_message"]) and not step["just_started"]:
        return False
    await connection.execute(WRITE, step_id, now.status, now.error_message)
    return True
