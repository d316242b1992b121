"""Signing in and out with the owner's password."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from service.access.guard import COOKIE, OPEN, client_address
from service.access.sessions import Sessions
from service.access.visitor import Visitor
from service.error_responses import failures
from service.live.hub import Hub

REMEMBERED_BY_BROWSER: Final = 400 * 86_400
"""Seconds; the session itself ends thirty days after its last use."""

DONE: Final = ResponseSpec(None, description="Done; there is nothing to say")


class Login(msgspec.Struct, forbid_unknown_fields=True):
    password: str


def _cookie(value: str, max_age: int, *, secure: bool) -> Cookie:
    return Cookie(key=COOKIE, value=value, max_age=max_age, path="/", httponly=True, samesite="strict", secure=secure)


@post(
    "/api/v1/login",
    operation_id="login",
    status_code=204,
    opt={OPEN: True},
    responses={204: DONE, **failures(401, 429)},
)
async def login(
    data: JSONBody[Login], request: Request[Any, Any, Any], sessions: NamedDependency[Sessions | None]
) -> Response[None]:
    """Begin a browser session. Without a password configured there is nothing to sign in to: 204, and no cookie."""
    response = Response(None, status_code=204)
    if sessions is not None:
        await sessions.password.check(data.password, client_address(request.scope))
        token = await sessions.create()
        response.set_cookie(_cookie(token, REMEMBERED_BY_BROWSER, secure=request.scope["scheme"] == "https"))
    return response


@post("/api/v1/logout", operation_id="logout", status_code=204, responses={204: DONE})
async def logout(
    request: Request[Any, Visitor, Any], sessions: NamedDependency[Sessions | None], hub: NamedDependency[Hub]
) -> Response[None]:
    """End this browser's session, and every feed opened in it (4401)."""
    session = request.auth.session
    if sessions is not None and session is not None:
        await sessions.end(session)
        hub.end_session(session)
    response = Response(None, status_code=204)
    response.set_cookie(_cookie("", 0, secure=request.scope["scheme"] == "https"))
    return response


routes = [login, logout]
