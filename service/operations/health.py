"""Whether the process lives, and whether it can do its work. InvokeAI's servers do not count."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from litestar import Response, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from service.access.guard import OPEN
from service.operations.readiness import DATABASE_CODES, Readiness
from service.reading import READING, named

UNAVAILABLE: Final = 503

Verdict = Literal["ok", "failing"]


class Live(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True):
    """`failing` anywhere makes the answer a 503. Codes and no paths, as this is told to anyone who asks; the words are
    in `/api/v1/status`."""

    status: Verdict
    database: Verdict
    data: Verdict
    details: list[str]


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
async def ready(readiness: NamedDependency[Readiness]) -> Response[Ready]:
    """Whether the database answers and pictures can be kept in the data folder: 200, else 503 and what is wrong."""
    codes = [trouble.code for trouble in await readiness.troubles()]
    database = _verdict(any(code in DATABASE_CODES for code in codes))
    data = _verdict(any(code not in DATABASE_CODES for code in codes))
    return Response(Ready(_verdict(bool(codes)), database, data, codes), status_code=UNAVAILABLE if codes else 200)


def _verdict(failing: bool) -> Verdict:
    return "failing" if failing else "ok"


routes = [live, ready]
