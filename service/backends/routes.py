"""REST routes of backends: the InvokeAI servers that Darkroom watches."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from service.access.guard import refuse_programs_from_elsewhere
from service.access.sessions import Sessions
from service.api.error_answers import failures
from service.api.resources import Backend
from service.backends import identity_choice, queries
from service.backends.gateways import merged
from service.backends.reach import Address, reach
from service.backends.registry import Registry
from service.backends.removal import remove
from service.backends.resources import resource, resources
from service.backends.rows import backend_rows
from service.backends.schemas import (
    AddressTest,
    BackendCreate,
    BackendList,
    BackendPatch,
    IdentityChoice,
    Queue,
    Reached,
)
from service.bus.bus import Bus
from service.bus.live_state import BackendLedger
from service.database.engine import Database
from service.errors import Conflict, InvokeError, NotFound
from service.pods import changes
from service.pods.orders import Pods
from service.pods.provider_config import names_programs
from service.retrieval.missing import give_up_missing

TAGS: Final = ["backends"]
CONFIRM_SECONDS: Final = 25.0


@get("/api/v1/backends", operation_id="list_backends", tags=TAGS)
async def list_backends(database: NamedDependency[Database], registry: NamedDependency[Registry]) -> BackendList:
    """List all backends with connection, queue and ledger, oldest first."""
    backends = await resources(database, registry)
    return BackendList(items=backends, total=len(backends), limit=max(50, len(backends)), offset=0)


@post("/api/v1/backends", operation_id="create_backend", tags=TAGS, responses=failures(409, 502))
async def create_backend(
    data: JSONBody[BackendCreate],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    pods: NamedDependency[Pods],
    sessions: NamedDependency[Sessions | None],
) -> Backend:
    """Add a server. Its `state` shows whether it can be reached. 409 if the server is known already.

    A RunPod pod is first read at its provider, and added only if it can be used. 400: wrong key, or unknown pod. 409:
    InvokeAI's port is not declared, or InvokeAI's root folder would be lost at a stop. 502: the provider does not
    answer. A pod of kind `command` names programs: 403 unless the request comes with the owner's password or from this
    machine.
    """
    if data.provider is not None and names_programs(data.provider):
        refuse_programs_from_elsewhere(request.scope, sessions)
    pod = await changes.new_pod(data)
    async with database.connection() as connection:
        backend_id = await queries.create(connection, data, pod)
    if pod is not None:
        await pods.load()
    await registry.reload()
    pods.wake(backend_id)
    return await resource(database, registry, backend_id)


@get("/api/v1/backends/{backend_id:uuid}", operation_id="get_backend", tags=TAGS)
async def get_backend(
    backend_id: FromPath[UUID], database: NamedDependency[Database], registry: NamedDependency[Registry]
) -> Backend:
    """Get one backend."""
    return await resource(database, registry, backend_id)


@patch(
    "/api/v1/backends/{backend_id:uuid}",
    operation_id="update_backend",
    tags=TAGS,
    responses=failures(409, 502),
)
async def update_backend(
    backend_id: FromPath[UUID],
    data: JSONBody[BackendPatch],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    pods: NamedDependency[Pods],
    sessions: NamedDependency[Sessions | None],
) -> Backend:
    """Change the fields that are given.

    A login, of InvokeAI or of a gateway, is kept with the origin (scheme, host, port) of the address that it is given
    with. It is sent to no other origin: give another login for another origin. A disabled server has no socket,
    reading, submission or download; enabling it reconnects.

    Fields of `provider` that are left out stay as they are. New values for a RunPod pod are tried at the provider
    first, with the same answers as when it is added. If the address is the pod's proxy address, it follows `pod_id` and
    `port`. 409: another pod is named while the former one may run.
    """
    if data.provider is not UNSET and names_programs(data.provider):
        refuse_programs_from_elsewhere(request.scope, sessions)
    pod = await changes.pod_change(database, backend_id, data)
    async with database.connection() as connection:
        await queries.patch(connection, backend_id, data, pod)
    if pod is not None:
        await pods.load()
    await registry.reload()
    pods.wake(backend_id)
    return await resource(database, registry, backend_id)


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
    pods: NamedDependency[Pods],
) -> Backend:
    """Say what an `unrecognised` server is. Answers with the server that has the address then.

    `same: true`: it is the same server, moved or emptied. Darkroom connects although records of it are missing there.
    `same: false`: it is a new server, which gets the address, its login and its gateway. The former one keeps its
    photos and is disabled. 409 in any other state.
    """
    connection = registry.get(backend_id)
    if connection is None:
        raise _no_such_backend()
    if connection.state != "unrecognised":
        raise Conflict(f"there is nothing to decide: the server is {connection.state}")
    async with database.connection() as database_connection:
        if data.same:
            await identity_choice.confirm_same(database_connection, backend_id, connection.row.url)
            has_address = backend_id
        else:
            has_address = await identity_choice.move_to_new_server(database_connection, backend_id, connection.row.url)
    await registry.reload(anew=[backend_id])
    for changed in {backend_id, has_address}:
        pods.wake(changed)
    return await resource(database, registry, has_address)


@delete("/api/v1/backends/{backend_id:uuid}", operation_id="delete_backend", tags=TAGS, responses=failures(409))
async def delete_backend(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    bus: NamedDependency[Bus],
    pods: NamedDependency[Pods],
    confirm: Annotated[bool, QueryParameter(description="Remove it although photos wait or steps run there")] = False,
) -> None:
    """Remove a server. Its photos stay.

    409 without `confirm` if photos wait or steps run there, or if its rented machine is not known to be stopped.
    Removing a server leaves its rented machine as it is; the provider goes on billing it.
    """
    await remove(database, registry, bus, backend_id, confirmed=confirm)
    pods.wake(backend_id)


@get("/api/v1/backends/{backend_id:uuid}/ledger", operation_id="get_backend_ledger", tags=TAGS)
async def get_backend_ledger(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> BackendLedger:
    """Get the ledger of a server: what it made, where that is now, and what is still expected."""
    found = (await registry.ledger()).backends.get(str(backend_id))
    if found is None:
        raise _no_such_backend()
    return found


@get("/api/v1/backends/{backend_id:uuid}/queue", operation_id="get_backend_queue", tags=TAGS)
async def get_backend_queue(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> Queue:
    """Get the queue of a server as last seen. InvokeAI is not asked."""
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
    """Test an address before a server is added. Nothing is stored, and no stored login is sent.

    502 if no InvokeAI answers there or it refuses the login. `details.reason` is `no_answer`, `not_invokeai`, `login`,
    `gateway` or `failing`.
    """
    credentials = msgspec.to_builtins(data.credentials) if data.credentials else None
    gateway = merged(data.gateway) if data.gateway else None
    url = queries.address(data.url)
    return await reach(database, Address(url=url, queue_id=data.queue_id, credentials=credentials, gateway=gateway))


@post(
    "/api/v1/backends/{backend_id:uuid}/test",
    operation_id="test_backend",
    status_code=200,
    tags=TAGS,
    responses=failures(502),
)
async def test_backend(backend_id: FromPath[UUID], database: NamedDependency[Database]) -> Reached:
    """Test a server now, over a new connection. 502 as for an address."""
    async with database.connection() as connection:
        row = next((row for row in await backend_rows(connection) if row.id == backend_id), None)
    if row is None:
        raise _no_such_backend()
    return await reach(
        database, Address(url=row.url, queue_id=row.queue_id, credentials=row.credentials, gateway=row.gateway)
    )


@post(
    "/api/v1/backends/{backend_id:uuid}/look",
    operation_id="look_at_backend",
    status_code=202,
    tags=TAGS,
    responses=failures(409),
)
async def look_at_backend(backend_id: FromPath[UUID], registry: NamedDependency[Registry]) -> None:
    """Read the queue and the gallery of a server now. A server that is unreachable is tried now. The feed brings what
    is found. 409 if the server is disabled."""
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
    bus: NamedDependency[Bus],
) -> Backend:
    """Confirm that images were deleted at InvokeAI. Photos that are not home and that this InvokeAI does not know
    become `gone`. Idempotent. 409 if the server cannot be asked or is not recognised."""
    await resource(database, registry, backend_id)
    connection = registry.get(backend_id)
    if connection is None or backend_id not in registry.reachable():
        raise Conflict("this server cannot be asked now, or it is not the one that it was")
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            async for gone in give_up_missing(database, connection.client, backend_id):
                bus.changed("photo.failed", gone)
    except TimeoutError as error:
        raise Conflict(f"not all could be asked for within {CONFIRM_SECONDS:g} s: confirm again") from error
    except InvokeError as error:
        raise Conflict(f"this server cannot be asked now: {error}") from error
    finally:
        bus.ledger_changed()
        bus.backend_changed(backend_id)
    bus.gone_confirmed(backend_id)
    return await resource(database, registry, backend_id)


@post("/api/v1/backends/{backend_id:uuid}/seen", operation_id="see_gone", status_code=200, tags=TAGS)
async def see_gone(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    bus: NamedDependency[Bus],
) -> Backend:
    """Mark the `gone` images of a server as seen. They are no longer among its troubles. Idempotent."""
    async with database.connection() as connection:
        await queries.mark_gone_seen(connection, backend_id)
    bus.backend_changed(backend_id)
    return await resource(database, registry, backend_id)


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
