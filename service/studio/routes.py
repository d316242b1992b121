"""Sessions and steps over REST (api.md). Changes are committed first, then told to browsers and the submitter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from service.backends.registry import Registry
from service.database.engine import Database
from service.error_responses import failures
from service.errors import ValidationError
from service.json_schema import MINIMUM_ZERO
from service.library.thumbnails import Thumbnails
from service.live.announce import Announcer
from service.live.messages import Session, SessionDetail, Step
from service.selection.choice import select
from service.selection.mover import FileMover
from service.studio import queries, sessions, steps
from service.studio.cancellation import cancel_own_item
from service.studio.model_routes import routes as model_routes
from service.studio.schemas import SelectionChange, SessionCreate, SessionList, SessionUpdate, StepCreate
from service.studio.submit import Submitter

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Offset = Annotated[int | None, QueryParameter(ge=0, le=2**31, schema_extra=MINIMUM_ZERO)]

SESSION_THERE_ALREADY: Final = ResponseSpec(
    SessionDetail, generate_examples=False, description="There already, by the correlation_id of its first step"
)
THERE_ALREADY: Final = ResponseSpec(Step, generate_examples=False, description="There already, by its correlation_id")


@get("/api/v1/sessions", operation_id="list_sessions")
async def list_sessions(
    database: NamedDependency[Database],
    limit: Limit = 50,
    offset: Offset = None,
    cursor: FromQuery[str | None] = None,
    count: FromQuery[bool] = True,
) -> SessionList:
    """The latest changed first."""
    if cursor is not None and offset is not None:
        raise ValidationError("cursor and offset: one or the other")
    async with database.connection() as connection:
        return await queries.list_sessions(connection, limit=limit, offset=offset or 0, cursor=cursor, count=count)


@post(
    "/api/v1/sessions",
    operation_id="create_session",
    status_code=201,
    responses={200: SESSION_THERE_ALREADY, **failures(409)},
)
async def create_session(
    data: JSONBody[SessionCreate],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
    registry: NamedDependency[Registry],
) -> Response[SessionDetail]:
    """With `first_step`: session and step, or neither. The same correlation_id again: 200 with the session that its
    step is in."""
    async with database.transaction() as connection:
        begun = await sessions.create_session(connection, data)
        session = await queries.session_detail(connection, begun.session_id, registry.item_progress)
    if begun.first_step is not None and not begun.first_step.is_new:
        return Response(session, status_code=200)
    announcer.sessions_updated([begun.session_id])
    if begun.first_step is not None:
        announcer.steps_updated([begun.first_step.step_id])
        announcer.ledger_changed()
        submitter.wake()
    return Response(session, status_code=201)


@get("/api/v1/sessions/{session_id:uuid}", operation_id="get_session")
async def get_session(
    session_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    thumbnails: NamedDependency[Thumbnails],
) -> SessionDetail:
    """With its steps, each with its alternatives in position order and its queue items."""
    async with database.connection() as connection:
        return await queries.session_detail(connection, session_id, registry.item_progress, thumbnails)


@patch("/api/v1/sessions/{session_id:uuid}", operation_id="update_session")
async def update_session(
    session_id: FromPath[UUID],
    data: JSONBody[SessionUpdate],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Session:
    async with database.transaction() as connection:
        await sessions.rename_session(connection, session_id, data.name)
        session = (await queries.sessions_by_ids(connection, [session_id]))[session_id]
    announcer.sessions_updated([session_id])
    return session


@delete("/api/v1/sessions/{session_id:uuid}", operation_id="delete_session", status_code=204)
async def delete_session(
    session_id: FromPath[UUID],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
) -> None:
    """Cancels what is live of it; its pictures stay in the library."""
    async with database.transaction() as connection:
        step_ids = await sessions.delete_session(connection, session_id, datetime.now(UTC))
    announcer.steps_updated(step_ids)
    announcer.sessions_removed([session_id])
    announcer.ledger_changed()
    submitter.wake()


@post(
    "/api/v1/sessions/{session_id:uuid}/steps",
    operation_id="create_step",
    status_code=201,
    responses={200: THERE_ALREADY, **failures(409)},
)
async def create_step(
    session_id: FromPath[UUID],
    data: JSONBody[StepCreate],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
    registry: NamedDependency[Registry],
) -> Response[Step]:
    """Pending at once, whatever InvokeAI's state; a refusal shows later as `failed`. The same correlation_id again: 200
    with the step that is there."""
    async with database.transaction() as connection:
        created = await steps.create_step(connection, session_id, data)
        found = await queries.steps_by_ids(connection, [created.step_id], registry.item_progress)
    if created.is_new:
        announcer.steps_updated([created.step_id])
        announcer.sessions_updated([session_id])
        announcer.ledger_changed()
        submitter.wake()
    return Response(found[created.step_id], status_code=201 if created.is_new else 200)


@get("/api/v1/steps/{step_id:uuid}", operation_id="get_step")
async def get_step(
    step_id: FromPath[UUID], database: NamedDependency[Database], registry: NamedDependency[Registry]
) -> Step:
    async with database.connection() as connection:
        return await queries.one_step(connection, step_id, registry.item_progress)


@post("/api/v1/steps/{step_id:uuid}/cancel", operation_id="cancel_step", status_code=200, responses=failures(409))
async def cancel_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
    registry: NamedDependency[Registry],
) -> Step:
    """At any moment until it has ended; what was saved by then is kept."""
    async with database.transaction() as connection:
        await steps.cancel_step(connection, step_id, datetime.now(UTC))
        step = await queries.one_step(connection, step_id, registry.item_progress)
    return _changed(step, announcer, submitter)


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
    """Cancel one item of a step; the others go on. InvokeAI has taken it when this is answered; the item's new state
    comes by the feed. Other people's items: 404. An item that has ended: 409; canceled already: 202."""
    await cancel_own_item(database, registry, backend_id, item_id)


@post("/api/v1/steps/{step_id:uuid}/retry", operation_id="retry_step", status_code=200, responses=failures(409))
async def retry_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
    registry: NamedDependency[Registry],
) -> Step:
    """Makes what is missing, with the seeds it was to have."""
    async with database.transaction() as connection:
        await steps.retry_step(connection, step_id)
        step = await queries.one_step(connection, step_id, registry.item_progress)
    return _changed(step, announcer, submitter)


@put("/api/v1/steps/{step_id:uuid}/selection", operation_id="select_alternative", responses=failures(503))
async def select_alternative(
    step_id: FromPath[UUID],
    data: JSONBody[SelectionChange],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    file_mover: NamedDependency[FileMover],
    registry: NamedDependency[Registry],
) -> Step:
    """Choose one of the step's alternatives, or none. Its files move to the step's `selected` folder, those of the
    former choice back; what is not home yet moves once it is. The same again changes nothing."""
    await file_mover.check_folder()
    async with database.transaction() as connection:
        changed = await select(connection, step_id, data.photo_id)
        step = await queries.one_step(connection, step_id, registry.item_progress)
    if changed.photos:
        announcer.photos_updated(changed.photos)
        announcer.steps_updated([step_id])
        announcer.sessions_updated([changed.session_id])
        await file_mover.move_soon(changed.photos)
    return step


@delete("/api/v1/steps/{step_id:uuid}", operation_id="delete_step", status_code=204)
async def delete_step(
    step_id: FromPath[UUID],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    submitter: NamedDependency[Submitter],
) -> None:
    """Cancels what is live of it; its pictures stay in the library."""
    async with database.transaction() as connection:
        session_id = await steps.delete_step(connection, step_id, datetime.now(UTC))
    announcer.steps_updated([step_id])
    announcer.sessions_updated([session_id])
    announcer.ledger_changed()
    submitter.wake()


def _changed(step: Step, announcer: Announcer, submitter: Submitter) -> Step:
    announcer.steps_updated([step.id])
    announcer.ledger_changed(step.backend_id)
    submitter.wake()
    return step


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
    *model_routes,
]
