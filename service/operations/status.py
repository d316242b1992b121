"""The route `/status`: tasks, backends, ledger, troubles and background work."""

from __future__ import annotations

from datetime import datetime

from litestar import get
from litestar.di import NamedDependency

from service.api.resources import Backend
from service.backends.registry import Registry
from service.backends.resources import resources_and_ledger
from service.bus.live_state import Ledger, Resource, Trouble
from service.database.engine import Database
from service.library.photo_pass import PassReport, PhotoPass
from service.library.renditions import LargeRenditions, Renditions
from service.library.search_index import SearchIndex, SearchReport
from service.live.hub import Hub
from service.operations.readiness import Readiness
from service.runtime.supervisor import Supervisor, TaskReport


class Status(Resource, frozen=True):
    version: str
    epoch: str
    """A new value at each start."""
    started_at: datetime
    tasks: list[TaskReport]
    backends: list[Backend]
    ledger: Ledger
    troubles: list[Trouble]
    """Troubles that keep pictures from coming home; empty if there are none."""
    photo_pass: PassReport
    search_index: SearchReport
    large_renditions: LargeRenditions


@get("/api/v1/status", operation_id="get_status", tags=["operations"])
async def get_status(  # noqa: PLR0913 (all that has a status)
    *,
    hub: NamedDependency[Hub],
    supervisor: NamedDependency[Supervisor],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    readiness: NamedDependency[Readiness],
    photo_pass: NamedDependency[PhotoPass],
    search_index: NamedDependency[SearchIndex],
    renditions: NamedDependency[Renditions],
    started_at: NamedDependency[datetime],
) -> Status:
    """Get version, tasks with their last run and result, backends, the ledger of all backends, troubles, and the
    progress of the background pass and of the search index."""
    backends, ledger = await resources_and_ledger(database, registry)
    return Status(
        version=hub.version,
        epoch=hub.epoch,
        started_at=started_at,
        tasks=supervisor.report(),
        backends=backends,
        ledger=ledger,
        troubles=await readiness.troubles(),
        photo_pass=photo_pass.report(),
        search_index=search_index.report(),
        large_renditions=await renditions.count_large(),
    )


routes = [get_status]
