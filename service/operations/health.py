"""Health checks: whether the process answers, and whether database and data folder can be used."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from litestar import Response, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from service.access.guard import OPEN
from service.api.openapi import READING, operation_ids
from service.operations.readiness import DATABASE_CODES, Readiness

UNAVAILABLE: Final = 503

Verdict = Literal["ok", "failing"]


class Live(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True):
    """503 if anything is `failing`. The answer has codes and no paths, since anybody may ask; `/api/v1/status` has the
    words."""

    status: Verdict
    database: Verdict
    data: Verdict
    details: list[str]


@route("/health/live", http_method=READING, operation_id=operation_ids("health_live"), opt={OPEN: True})
async def live() -> Live:
    """200 while the process answers."""
    return Live()


@route(
    "/health/ready",
    http_method=READING,
    operation_id=operation_ids("health_ready"),
    opt={OPEN: True},
    responses={UNAVAILABLE: ResponseSpec(Ready, generate_examples=False, description="Something fails")},
)
async def ready(readiness: NamedDependency[Readiness]) -> Response[Ready]:
    """200 if the database answers and the data folder can be written; else 503 with codes that say what is wrong."""
    codes = [trouble.code for trouble in await readiness.troubles()]
    database = _verdict(any(code in DATABASE_CODES for code in codes))
    data = _verdict(any(code not in DATABASE_CODES for code in codes))
    return Response(Ready(_verdict(bool(codes)), database, data, codes), status_code=UNAVAILABLE if codes else 200)


def _verdict(failing: bool) -> Verdict:
    return "failing" if failing else "ok"


routes = [live, ready]
