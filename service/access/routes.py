"""REST routes to sign in and out with the owner's password."""

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
from service.api.error_answers import failures
from service.config.base_path import own_address
from service.live.hub import Hub

REMEMBERED_BY_BROWSER: Final = 400 * 86_400
"""Seconds. The web session itself ends thirty days after its last use."""

LARGEST_LOGIN: Final = 16 * 1024
"""Bytes. Anybody may send one."""

FORGET_PICTURES: Final = {"Clear-Site-Data": '"cache"'}
"""Browsers cache pictures for a year. They obey this header over https, and on this machine."""

DONE: Final = ResponseSpec(None, description="Done")


class Login(msgspec.Struct, forbid_unknown_fields=True):
    password: str


def _cookie(value: str, max_age: int, *, secure: bool) -> Cookie:
    path = own_address("") or "/"
    return Cookie(key=COOKIE, value=value, max_age=max_age, path=path, httponly=True, samesite="strict", secure=secure)


@post(
    "/api/v1/login",
    operation_id="login",
    status_code=204,
    opt={OPEN: True},
    request_max_body_size=LARGEST_LOGIN,
    responses={204: DONE, **failures(401, 429)},
)
async def login(
    data: JSONBody[Login], request: Request[Any, Any, Any], sessions: NamedDependency[Sessions | None]
) -> Response[None]:
    """Sign in with the owner's password and get a session cookie. 204 without a cookie if no password is configured."""
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
    """Sign out. Feeds of this web session are closed (4401), and the browser clears its cached pictures."""
    session = request.auth.session
    if sessions is not None and session is not None:
        await sessions.end(session)
        hub.end_session(session)
    response = Response(None, status_code=204, headers=FORGET_PICTURES)
    response.set_cookie(_cookie("", 0, secure=request.scope["scheme"] == "https"))
    return response


routes = [login, logout]
