"""How Darkroom is: its tasks, its backends, its ledger."""

from __future__ import annotations

from datetime import datetime

from litestar import get
from litestar.di import NamedDependency

from service.backends.registry import Registry
from service.library.photo_pass import PassReport, PhotoPass
from service.library.renditions import LargeRenditions, Renditions
from service.library.search_index import SearchIndex, SearchReport
from service.live.hub import Hub
from service.live.messages import Backend, Ledger, Resource, Trouble
from service.operations.readiness import Readiness
from service.supervisor import Supervisor, TaskReport


class Status(Resource, frozen=True):
    version: str
    epoch: str
    """New with each start."""
    started_at: datetime
    tasks: list[TaskReport]
    backends: list[Backend]
    ledger: Ledger
    troubles: list[Trouble]
    """What keeps Darkroom from bringing pictures home; empty when nothing does."""
    photo_pass: PassReport
    search_index: SearchReport
    large_renditions: LargeRenditions


@get("/api/v1/status", operation_id="get_status", tags=["operations"])
async def get_status(
    *,
    hub: NamedDependency[Hub],
    supervisor: NamedDependency[Supervisor],
    registry: NamedDependency[Registry],
    readiness: NamedDependency[Readiness],
    photo_pass: NamedDependency[PhotoPass],
    search_index: NamedDependency[SearchIndex],
    renditions: NamedDependency[Renditions],
    started_at: NamedDependency[datetime],
) -> Status:
    """Version, tasks with their last run and result, backends, the ledger of all of them, troubles, and how far the
    background pass over photos and the index of the search have come."""
    backends, ledger = await registry.resources_and_ledger()
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
