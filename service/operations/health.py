"""Whether the process lives, and whether it can do its work. InvokeAI's servers do not count."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import msgspec
import structlog
from litestar import Response, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from service.access.guard import OPEN
from service.database.engine import Database
from service.media.storage import LocalStorage
from service.reading import READING, named

log = structlog.get_logger()

CHECK_SECONDS: Final = 3.0
UNAVAILABLE: Final = 503

Verdict = Literal["ok", "failing"]


class Live(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True):
    """`failing` anywhere makes the answer a 503; why stands in the log, for this is told to anyone who asks."""

    status: Verdict
    database: Verdict
    data: Verdict


@route("/health/live", http_method=READING, operation_id=named("health_live"), opt={OPEN: True})
async def live() -> Live:
    """200 as long as the process answers."""
    return Live()


@route(
    "/health/ready",
    http_method=READING,
    operation_id=named("health_ready"),
    opt={OPEN: True},
    responses={UNAVAILABLE: ResponseSpec(Ready, generate_examples=False, description="Something is failing")},
)
async def ready(database: NamedDependency[Database], storage: NamedDependency[LocalStorage]) -> Response[Ready]:
    """Whether the database answers and the data folder can be written: 200, else 503."""
    database_verdict, data_verdict = await asyncio.gather(_check_database(database), _check_data(storage))
    status: Verdict = "ok" if database_verdict == data_verdict == "ok" else "failing"
    return Response(Ready(status, database_verdict, data_verdict), status_code=200 if status == "ok" else UNAVAILABLE)


async def _check_database(database: Database) -> Verdict:
    try:
        async with asyncio.timeout(CHECK_SECONDS), database.connection() as connection:
            await connection.execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 - whatever it is, the database is not usable
        log.warning("database not ready", error=repr(error))
        return "failing"
    return "ok"


async def _check_data(storage: LocalStorage) -> Verdict:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            marker = await asyncio.to_thread(storage.marker)
            await asyncio.to_thread(storage.check_writable)
    except Exception as error:  # noqa: BLE001 - whatever it is, the folder is not usable
        log.warning("data folder not ready", error=repr(error))
        return "failing"
    return "ok" if marker is not None else "failing"


routes = [live, ready]
