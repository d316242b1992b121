"""The submitter (rule 7): carries every prepared batch to its backend, and settles every batch whose fate is open. All
it needs to know is in the tables, so it goes on after a restart wherever it stopped."""

from __future__ import annotations

import asyncio
from uuid import UUID

from service.database.engine import Database
from service.live.announce import Announcer
from service.studio import decide
from service.studio.connections import Connections
from service.studio.lane import IDLE, Lane
from service.studio.models import ModelCache
from service.studio.posting import Posting
from service.waiting import happened


class Submitter:
    """A lane for each backend; `run` is to be supervised."""

    def __init__(
        self,
        database: Database,
        connections: Connections,
        announcer: Announcer,
        models: ModelCache,
        *,
        grace: float = decide.GRACE,
    ) -> None:
        self._database = database
        self._connections = connections
        self._posting = Posting(database, connections, announcer, models, grace=grace)
        self._lanes: dict[UUID, Lane] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A step was made, changed, canceled or deleted, or a backend was connected, added or removed."""
        for lane in self._lanes.values():
            lane.wake()
        self._woken.set()

    def batch_seen(self, backend_id: UUID, batch_id: str) -> None:
        """An item, event or image of this backend names a batch of ours: its arrival, or a lost one turning up."""
        lane = self._lanes.get(backend_id)
        if lane is not None:
            lane.batch_seen(batch_id)

    @property
    def backends(self) -> list[UUID]:
        """Those that have a lane."""
        return list(self._lanes)

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                await self._keep_lanes()
                await happened(self._woken, IDLE)
        finally:
            lanes, self._lanes = self._lanes, {}
            for lane in lanes.values():
                await lane.close()

    async def _keep_lanes(self) -> None:
        """One for each backend there is."""
        async with self._database.connection() as connection:
            present = {row["id"] for row in await connection.fetch("SELECT id FROM backends")}
        for backend_id in present - self._lanes.keys():
            self._lanes[backend_id] = Lane(backend_id, self._database, self._connections, self._posting)
        for backend_id in self._lanes.keys() - present:
            await self._lanes.pop(backend_id).close()
