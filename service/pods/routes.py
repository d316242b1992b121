"""REST routes that start and stop the rented machine of a server."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from service.api.error_answers import failures
from service.api.resources import Backend
from service.backends.registry import Registry
from service.backends.resources import resource
from service.database.engine import Database
from service.errors import Conflict
from service.pods import rows
from service.pods.decide import root_objection
from service.pods.orders import Pods
from service.pods.rows import PodRow

TAGS: Final = ["backends"]


@post(
    "/api/v1/backends/{backend_id:uuid}/start",
    operation_id="start_backend",
    status_code=202,
    tags=TAGS,
    responses=failures(409),
)
async def start_backend(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    pods: NamedDependency[Pods],
) -> Backend:
    """Start the pod of a server. The feed shows the progress. A start that is refused because no GPU is free is
    repeated for 30 minutes. Idempotent. 409 if the server has no pod or is switched off."""
    _refuse_without_pod(await resource(database, registry, backend_id))
    await pods.start(backend_id)
    return await resource(database, registry, backend_id)


@post(
    "/api/v1/backends/{backend_id:uuid}/stop",
    operation_id="stop_backend",
    status_code=202,
    tags=TAGS,
    responses=failures(409),
)
async def stop_backend(
    backend_id: FromPath[UUID],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
    pods: NamedDependency[Pods],
    confirm: Annotated[bool, QueryParameter(description="Stop it although not all is home")] = False,
) -> Backend:
    """Stop the pod of a server, or give up its start. The feed shows the progress. Idempotent. 409 without `confirm` if
    not all is home (`details` has the ledger), and if the server has no pod."""
    backend = await resource(database, registry, backend_id)
    _refuse_without_pod(backend)
    if not confirm:
        async with database.connection() as connection:
            found = await rows.read(connection, backend_id)
        # A pod that does not run has nothing to lose, even if it is shown as starting.
        if found is not None and found[0].said not in ("stopped", "failed"):
            _refuse_while_not_home(backend)
            _refuse_while_in_doubt(backend, found[0])
    await pods.stop(backend_id, confirmed=confirm)
    return await resource(database, registry, backend_id)


def _refuse_without_pod(backend: Backend) -> None:
    if backend.pod is None:
        raise Conflict("this server is no rented machine: Darkroom cannot start or stop it")


def _refuse_while_not_home(backend: Backend) -> None:
    """Stopped only when home. It is looked at again just before the order."""
    ledger = backend.ledger
    if ledger.home:
        return
    to_come = ledger.expected - ledger.made
    counts = ((ledger.waiting, "on the way"), (ledger.failed, "failed"), (to_come, "still to be made"))
    told = ", ".join(f"{count} {words}" for count, words in counts if count)
    raise Conflict(
        f"not everything is home ({told or 'its queue and gallery were not read to the end since its last work'}):"
        " stop it with confirm=true, and what is not home may be lost",
        msgspec.to_builtins(ledger),
    )


def _refuse_while_in_doubt(backend: Backend, row: PodRow) -> None:
    objection = root_objection(row)
    if objection is not None:
        raise Conflict(
            f"{objection}. With confirm=true it is stopped all the same", msgspec.to_builtins(backend.ledger)
        )


routes = [start_backend, stop_backend]
