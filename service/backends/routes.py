"""Backends: the InvokeAI servers that are watched."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from service.backends import identity_choice, queries
from service.backends.reach import Address, reach
from service.backends.registry import Registry
from service.backends.removal import remove
from service.backends.schemas import (
    AddressTest,
    BackendCreate,
    BackendList,
    BackendPatch,
    IdentityChoice,
    Queue,
    Reached,
)
from service.database.engine import Database
from service.error_responses import failures
from service.errors import Conflict, InvokeError, NotFound
from service.live.announce import Announcer
from service.live.messages import Backend, BackendLedger
from service.retrieval.missing import give_up_missing

TAGS: Final = ["backends"]
CONFIRM_SECONDS: Final = 25.0


@get("/api/v1/backends", operation_id="list_backends", tags=TAGS)
async def list_backends(registry: NamedDependency[Registry]) -> BackendList:
    """Every backend with its connection, queue and ledger, oldest first."""
    backends = await registry.resources()
    return BackendList(items=backends, total=len(backends), limit=max(50, len(backends)), offset=0)


@post("/api/v1/backends", operation_id="create_backend", tags=TAGS, responses=failures(409))
async def create_backend(
    data: JSONBody[BackendCreate], database: NamedDependency[Database], registry: NamedDependency[Registry]
) -> Backend:
    """Watch one more server; whether it can be reached shows in its `state`. Known already: 409."""
    async with database.connection() as connection:
        backend_id = await queries.create(connection, data)
    await registry.reload()
    return await registry.resource(backend_id)


@get("/api/v1/backends/{backend_id:uuid}", operation_id="get_backend", tags=TAGS)
async def get_backend(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> Backend:
    """One backend."""
    return await registry.resource(backend_id)


@patch("/api/v1/backends/{backend_id:uuid}", operation_id="update_backend", tags=TAGS, responses=failures(409))
async def update_backend(
    backend_id: FromPath[UUID],
    data: JSONBody[BackendPatch],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
) -> Backend:
    """Change what is given. A login is kept with the origin (scheme, host, port) of the address it is given with, and
    sent nowhere else: for another origin give another. Disabled, it has no socket, reading, submission or claim;
    enabling it is a reconnect."""
    async with database.connection() as connection:
        await queries.patch(connection, backend_id, data)
    await registry.reload()
    return await registry.resource(backend_id)


@post(
    "/api/v1/backends/{backend_id:uuid}/identity",
    operation_id="identify_backend",
    status_code=200,
    tags=TAGS,
    responses=failures(409),
)
async def identify_backend(
    backend_id: FromPath[UUID],
    data: JSONBody[IdentityChoice],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
) -> Backend:
    """Say what answers at the address of an `unrecognised` server. Answers with the server that has that address then.

    `same: true`: the same server, moved or emptied; it is connected though it lacks what was recorded of it.
    `same: false`: a new server gets the address and its login; this one keeps its photos and is disabled. In any other
    state: 409.
    """
    connection = registry.get(backend_id)
    if connection is None:
        raise _no_such_backend()
    if connection.state != "unrecognised":
        raise Conflict(f"there is nothing to decide: the server is {connection.state}")
    async with database.connection() as database_connection:
        if data.same:
            await identity_choice.is_same(database_connection, backend_id, connection.row.url)
            has_address = backend_id
        else:
            has_address = await identity_choice.is_new(database_connection, backend_id, connection.row.url)
    await registry.reload(anew=[backend_id])
    return await registry.resource(has_address)


@delete("/api/v1/backends/{backend_id:uuid}", operation_id="delete_backend", tags=TAGS, responses=failures(409))
async def delete_backend(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    announcer: NamedDependency[Announcer],
    confirm: Annotated[bool, QueryParameter(description="Give up what still waits or runs there")] = False,
) -> None:
    """Forget the server; its photos stay. With photos waiting or steps running there: 409 without `confirm`."""
    await remove(database, registry, announcer, backend_id, confirmed=confirm)


@get("/api/v1/backends/{backend_id:uuid}/ledger", operation_id="get_backend_ledger", tags=TAGS)
async def get_backend_ledger(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> BackendLedger:
    """What it made, where that is now, and what is still expected of it."""
    found = (await registry.ledger()).backends.get(str(backend_id))
    if found is None:
        raise _no_such_backend()
    return found


@get("/api/v1/backends/{backend_id:uuid}/queue", operation_id="get_backend_queue", tags=TAGS)
async def get_backend_queue(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> Queue:
    """Its queue as last seen, from memory."""
    connection = registry.get(backend_id)
    if connection is None:
        raise _no_such_backend()
    counts = connection.queue
    items = [item for item in registry.live_items() if item.backend_id == backend_id]
    return Queue(pending=counts.pending, in_progress=counts.in_progress, ours=counts.ours, items=items)


@post(
    "/api/v1/backends/test",
    operation_id="test_address",
    status_code=200,
    tags=TAGS,
    responses=failures(502),
)
async def test_address(data: JSONBody[AddressTest], database: NamedDependency[Database]) -> Reached:
    """Ask who answers at an address before it is added. Nothing is stored, and no stored login is sent. No InvokeAI, or
    not let in: 502, with `details.reason`: `no_answer`, `not_invokeai`, `login` or `failing`."""
    credentials = msgspec.to_builtins(data.credentials) if data.credentials else None
    return await reach(
        database, Address(url=queries.address(data.url), queue_id=data.queue_id, credentials=credentials)
    )


@post(
    "/api/v1/backends/{backend_id:uuid}/test",
    operation_id="test_backend",
    status_code=200,
    tags=TAGS,
    responses=failures(502),
)
async def test_backend(backend_id: FromPath[UUID], database: NamedDependency[Database]) -> Reached:
    """Ask the server who it is, now, over a connection of its own. Not reached, or not let in: 502, as for an
    address."""
    async with database.connection() as connection:
        row = next((row for row in await queries.backend_rows(connection) if row.id == backend_id), None)
    if row is None:
        raise _no_such_backend()
    return await reach(database, Address(url=row.url, queue_id=row.queue_id, credentials=row.credentials))


@post(
    "/api/v1/backends/{backend_id:uuid}/look",
    operation_id="look_at_backend",
    status_code=202,
    tags=TAGS,
    responses=failures(409),
)
async def look_at_backend(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> None:
    """Read its queue and its gallery now, and whatever else is read now and then; one that is away is tried now. What
    is found comes by the feed. Disabled: 409."""
    connection = registry.get(backend_id)
    if connection is None:
        raise _no_such_backend()
    if not connection.row.enabled:
        raise Conflict("this server is switched off: nothing is read there")
    connection.look()


@post(
    "/api/v1/backends/{backend_id:uuid}/confirm-gone",
    operation_id="confirm_gone",
    status_code=200,
    tags=TAGS,
    responses=failures(409),
)
async def confirm_gone(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    announcer: NamedDependency[Announcer],
) -> Backend:
    """Say that images were deleted there: photos that are not home, and that this InvokeAI does not know now, are gone.
    While it cannot be asked, or is not recognised: 409. Idempotent."""
    await registry.resource(backend_id)
    connection = registry.get(backend_id)
    if connection is None or backend_id not in registry.reachable():
        raise Conflict("this server cannot be asked now, or it is not the one that it was")
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            async for gone in give_up_missing(database, connection.client, backend_id):
                announcer.photos_failed(gone)
    except TimeoutError as error:
        raise Conflict(f"not all could be asked for within {CONFIRM_SECONDS:g} s: confirm again") from error
    except InvokeError as error:
        raise Conflict(f"this server cannot be asked now: {error}") from error
    finally:
        announcer.ledger_changed(backend_id)
        registry.status_changed(backend_id)
    registry.missing_confirmed(backend_id)
    return await registry.resource(backend_id)


@post("/api/v1/backends/{backend_id:uuid}/seen", operation_id="see_gone", status_code=200, tags=TAGS)
async def see_gone(
    backend_id: FromPath[UUID], database: NamedDependency[Database], registry: NamedDependency[Registry]
) -> Backend:
    """Say that you have seen which images are gone: they are no longer among its troubles. Idempotent."""
    async with database.connection() as connection:
        await queries.mark_gone_seen(connection, backend_id)
    registry.status_changed(backend_id)
    return await registry.resource(backend_id)


def _no_such_backend() -> NotFound:
    return NotFound("there is no such server")


routes = [
    list_backends,
    create_backend,
    get_backend,
    update_backend,
    identify_backend,
    delete_backend,
    get_backend_ledger,
    get_backend_queue,
    test_address,
    test_backend,
    confirm_gone,
    see_gone,
    look_at_backend,
]
