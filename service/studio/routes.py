"""Sessions and steps over REST (api.md). Changes are committed first, then published on the bus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from service.api.error_answers import failures
from service.api.resources import Session, SessionDetail, Step
from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import ValidationError
from service.library.thumbnails import Thumbnails
from service.runtime.json_schema import MINIMUM_ZERO
from service.selection.choice import select
from service.selection.mover import FileMover
from service.studio import queries, sessions, steps
from service.studio.queries import SessionList
from service.studio.sessions import SessionCreate, SessionUpdate
from service.studio.steps import StepCreate

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Offset = Annotated[int | None, QueryParameter(ge=0, le=2**31, schema_extra=MINIMUM_ZERO)]

EXISTING_SESSION: Final = ResponseSpec(
    SessionDetail,
    generate_examples=False,
    description="The existing session, by its first step's correlation_id",
)
EXISTING_STEP: Final = ResponseSpec(
    Step, generate_examples=False, description="The existing step, by its correlation_id"
)


class SelectionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    photo_id: UUID | None
    """One of the step's alternatives; null for none."""


@get("/api/v1/sessions", operation_id="list_sessions")
async def list_sessions(
    database: NamedDependency[Database],
    limit: Limit = 50,
    offset: Offset = None,
    cursor: FromQuery[str | None] = None,
    count: FromQuery[bool] = True,
) -> SessionList:
    """List sessions, the latest changed first."""
    if cursor is not None and offset is not None:
        raise ValidationError("cursor and offset: one or the other")
    async with database.connection() as connection:
        return await queries.list_sessions(connection, limit=limit, offset=offset or 0, cursor=cursor, count=count)


@post(
    "/api/v1/sessions",
    operation_id="create_session",
    status_code=201,
    responses={200: EXISTING_SESSION, **failures(409)},
)
async def create_session(
    data: JSONBody[SessionCreate],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
    registry: NamedDependency[Registry],
) -> Response[SessionDetail]:
    """Create a session. With `first_step` both session and step are created, or neither. The same correlation_id again
    answers 200 with the session that has the step."""
    async with database.transaction() as connection:
        created = await sessions.create_session(connection, data)
        session = await queries.session_detail(connection, created.session_id, registry.item_progress)
    if created.first_step is not None and not created.first_step.is_new:
        return Response(session, status_code=200)
    bus.changed("session.updated", [created.session_id])
    if created.first_step is not None:
        _tell(bus, [created.first_step.step_id])
    return Response(session, status_code=201)


@get("/api/v1/sessions/{session_id:uuid}", operation_id="get_session")
async def get_session(
    session_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    thumbnails: NamedDependency[Thumbnails],
) -> SessionDetail:
    """Get a session with its steps, each with its alternatives in the order of their positions and its queue items."""
    async with database.connection() as connection:
        return await queries.session_detail(connection, session_id, registry.item_progress, thumbnails)


@patch("/api/v1/sessions/{session_id:uuid}", operation_id="update_session")
async def update_session(
    session_id: FromPath[UUID],
    data: JSONBody[SessionUpdate],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Session:
    """Rename a session."""
    async with database.transaction() as connection:
        await sessions.rename_session(connection, session_id, data.name)
        session = (await queries.sessions_by_ids(connection, [session_id]))[session_id]
    bus.changed("session.updated", [session_id])
    return session


@delete("/api/v1/sessions/{session_id:uuid}", operation_id="delete_session", status_code=204)
async def delete_session(
    session_id: FromPath[UUID],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> None:
    """Delete a session. Its live steps are canceled; its pictures stay in the library."""
    async with database.transaction() as connection:
        step_ids = await sessions.delete_session(connection, session_id, datetime.now(UTC))
    _tell(bus, step_ids)
    bus.changed("session.removed", [session_id])


@post(
    "/api/v1/sessions/{session_id:uuid}/steps",
    operation_id="create_step",
    status_code=201,
    responses={200: EXISTING_STEP, **failures(409)},
)
async def create_step(
    session_id: FromPath[UUID],
    data: JSONBody[StepCreate],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
    registry: NamedDependency[Registry],
) -> Response[Step]:
    """Create a step. It is `pending` at once, also while InvokeAI cannot be reached; a refusal shows later as `failed`.
    The same correlation_id again answers 200 with the existing step."""
    async with database.transaction() as connection:
        created = await steps.create_step(connection, session_id, data)
        found = await queries.steps_by_ids(connection, [created.step_id], registry.item_progress)
    if created.is_new:
        _tell(bus, [created.step_id])
        bus.changed("session.updated", [session_id])
    return Response(found[created.step_id], status_code=201 if created.is_new else 200)


@get("/api/v1/steps/{step_id:uuid}", operation_id="get_step")
async def get_step(
    step_id: FromPath[UUID], database: NamedDependency[Database], registry: NamedDependency[Registry]
) -> Step:
    """Get a step with its alternatives and its queue items."""
    async with database.connection() as connection:
        return await queries.one_step(connection, step_id, registry.item_progress)


@post("/api/v1/steps/{step_id:uuid}/cancel", operation_id="cancel_step", status_code=200, responses=failures(409))
async def cancel_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
    registry: NamedDependency[Registry],
) -> Step:
    """Cancel a step. Possible until it has ended; images that are saved by then are kept."""
    async with database.transaction() as connection:
        await steps.cancel_step(connection, step_id, datetime.now(UTC))
        step = await queries.one_step(connection, step_id, registry.item_progress)
    _tell(bus, [step_id])
    return step


@post(
    "/api/v1/backends/{backend_id:uuid}/items/{item_id:int}/cancel",
    operation_id="cancel_item",
    status_code=202,
    responses=failures(409, 502),
)
async def cancel_item(
    backend_id: FromPath[UUID],
    item_id: FromPath[int],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
) -> None:
    """Cancel one item of a step; the others go on. InvokeAI has taken the cancel when this answers; the item's new
    state comes by the feed. 404 for an item that is not Darkroom's, 409 for one that has ended. Idempotent."""
    await steps.cancel_item(database, registry, backend_id, item_id)


@post("/api/v1/steps/{step_id:uuid}/retry", operation_id="retry_step", status_code=200, responses=failures(409))
async def retry_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
    registry: NamedDependency[Registry],
) -> Step:
    """Retry a step that has ended: what is missing is made, with the seeds that it was to have."""
    async with database.transaction() as connection:
        await steps.retry_step(connection, step_id)
        step = await queries.one_step(connection, step_id, registry.item_progress)
    _tell(bus, [step_id])
    return step


@put("/api/v1/steps/{step_id:uuid}/selection", operation_id="select_alternative", responses=failures(503))
async def select_alternative(
    step_id: FromPath[UUID],
    data: JSONBody[SelectionChange],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
    file_mover: NamedDependency[FileMover],
    registry: NamedDependency[Registry],
) -> Step:
    """Select one of the step's alternatives, or none. Its files move to the step's `selected` folder, those of the
    former selection back; a photo that is not home yet moves once it is. Idempotent."""
    await file_mover.check_folder()
    async with database.transaction() as connection:
        changed = await select(connection, step_id, data.photo_id)
        step = await queries.one_step(connection, step_id, registry.item_progress)
    if changed.photos:
        bus.changed("photo.updated", changed.photos)
        bus.changed("step.updated", [step_id])
        bus.changed("session.updated", [changed.session_id])
        await file_mover.move_soon(changed.photos)
    return step


@delete("/api/v1/steps/{step_id:uuid}", operation_id="delete_step", status_code=204)
async def delete_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> None:
    """Delete a step. What is live of it is canceled; its pictures stay in the library."""
    async with database.transaction() as connection:
        session_id = await steps.delete_step(connection, step_id, datetime.now(UTC))
    _tell(bus, [step_id])
    bus.changed("session.updated", [session_id])


def _tell(bus: Bus, step_ids: list[UUID]) -> None:
    bus.changed("step.updated", step_ids)
    bus.ledger_changed()
    bus.submission_due()


routes = [
    list_sessions,
    create_session,
    get_session,
    update_session,
    delete_session,
    create_step,
    get_step,
    cancel_step,
    cancel_item,
    retry_step,
    select_alternative,
    delete_step,
]
