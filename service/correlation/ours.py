"""Which items are ours (rule 2), from memory or the database, and keeping what becomes of them there."""

from __future__ import annotations

from uuid import UUID

from service.correlation import items as rows
from service.correlation.correlate import Fact, SessionLearned
from service.correlation.items import OurBatch, Stored
from service.correlation.tracking import Tracked, Tracking
from service.database.engine import Database

BATCHES_REMEMBERED = 2000


class Ours:
    """One backend's. What cannot be kept is forgotten, so that memory never holds what the database lacks."""

    def __init__(self, backend_id: UUID, database: Database, tracking: Tracking) -> None:
        self._backend_id = backend_id
        self._database = database
        self._tracking = tracking
        self._batches: dict[str, OurBatch] = {}

    async def load(self) -> None:
        """Starts from the database: what is unsettled."""
        self._batches.clear()
        async with self._database.connection() as connection:
            ours = await rows.unsettled(connection, self._backend_id)
        self._tracking.restore([item for item, _ in ours])

    async def batch(self, batch_id: str) -> OurBatch | None:
        batch = self._batches.get(batch_id)
        if batch is None:
            async with self._database.connection() as connection:
                batch = await rows.our_batch(connection, self._backend_id, batch_id)
            if batch is not None:
                if len(self._batches) >= BATCHES_REMEMBERED:
                    self._batches.clear()
                self._batches[batch_id] = batch
        return batch

    async def item(self, batch_id: str, item_id: int) -> Tracked | None:
        """One that memory or the database has."""
        tracked = self._tracking.get(batch_id, item_id)
        if tracked is not None:
            return tracked
        async with self._database.connection() as connection:
            stored = await rows.our_item(connection, self._backend_id, batch_id, item_id)
        return None if stored is None else self._tracking.restore([stored])[0]

    async def keep(self, tracked: Tracked, batch: OurBatch, facts: tuple[Fact, ...]) -> Stored:
        """Writes the item with what follows for its step, and its place as the database has it then."""
        try:
            async with self._database.transaction() as connection:
                stored = await rows.store(
                    connection,
                    batch,
                    tracked.known,
                    ordinal=tracked.ordinal,
                    retried_from=tracked.retried_from,
                    new_session=any(isinstance(fact, SessionLearned) for fact in facts),
                )
        except BaseException:
            self._tracking.forget(batch.batch_id, tracked.known.item_id)
            raise
        tracked.ordinal = stored.ordinal
        tracked.kept_place = tracked.place
        if tracked.ordinal is not None and not tracked.unseen:
            self._tracking.forget(batch.batch_id, rows.unseen_id(tracked.ordinal))
        return stored
