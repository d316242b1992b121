"""Middleware for every request: a known Host, no foreign Origin, and the owner's password or web session."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.access.origin import SAFE_METHODS, OwnNames, host_name, refusal
from service.access.sessions import Sessions
from service.access.visitor import OWNER, Visitor
from service.api.error_answers import AnyRequest, answer_api_error, answer_http_exception, error_body, error_headers
from service.api.security_headers import with_security_headers
from service.config.addresses import is_loopback
from service.config.settings import LOOPBACK_NAMES
from service.errors import ApiError, Forbidden, Unauthorized

OPEN: Final = "open"
"""The `opt` key of handlers that need no password."""
COOKIE: Final = "darkroom_session"


class AuthMiddleware(ASGIMiddleware):
    """Lets a request in or refuses it. If the app's state has no sessions there is no password, and everybody who
    passes the origin check is the owner: `Settings.require_safe_binding` keeps that to loopback."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["type"] == ScopeType.HTTP:
            send = with_security_headers(send, private=not scope["route_handler"].opt.get(OPEN))
        try:
            scope["auth"] = await self._admit(scope)
        except ApiError as error:
            await _deny(scope, send, error)
        else:
            await next_app(scope, receive, send)

    def answer_unrouted(self, request: AnyRequest, error: HTTPException) -> Response[Any]:
        """Answers a request that matches no route. Such a request passes no middleware, so its origin is checked here
        too."""
        try:
            self._refuse_elsewhere(request.scope)
        except Forbidden as refused:
            return answer_api_error(request, refused)
        return answer_http_exception(request, error)

    async def _admit(self, scope: Scope) -> Visitor | None:
        """The owner; None for strangers at an open handler. Raises Forbidden or Unauthorized."""
        self._refuse_elsewhere(scope)
        sessions: Sessions | None = scope["litestar_app"].state["sessions"]
        if sessions is None:
            return OWNER
        if scope["route_handler"].opt.get(OPEN):
            return None
        return await _owner(scope, sessions)

    def _refuse_elsewhere(self, scope: Scope) -> None:
        own: OwnNames = scope["litestar_app"].state["own_names"]
        reason = refusal(
            scope["headers"],
            changes=scope["type"] == ScopeType.WEBSOCKET or scope["method"] not in SAFE_METHODS,
            scheme=scope["scheme"].replace("ws", "http", 1),
            own=own,
        )
        if reason is not None:
            raise Forbidden(reason)


async def _owner(scope: Scope, sessions: Sessions) -> Visitor:
    headers = Headers.from_scope(scope)
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        await sessions.password.check(_as_typed(credentials.strip()), client_address(scope))
        return OWNER
    token = session_token(headers)
    visitor = await sessions.find(token) if token is not None else None
    if visitor is None:
        raise Unauthorized("sign in with the owner's password, or send it as Authorization: Bearer")
    return visitor


def _as_typed(credentials: str) -> str:
    """Header values are read as Latin-1 (RFC 9110 §5.5), and sent as UTF-8 by nearly everything."""
    try:
        return credentials.encode("latin-1").decode()
    except UnicodeDecodeError:
        return credentials


def session_token(headers: Headers) -> str | None:
    """The web session's token in the Cookie header, if there is one. A browser sends a host's cookies to each of its
    ports: other apps' cookies are there too, and not all of them are legal."""
    for cookie in headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def client_address(scope: Scope) -> str:
    """The client's address, for counting failed attempts."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def refuse_programs_from_elsewhere(scope: Scope, sessions: Sessions | None) -> None:
    """Raises Forbidden unless the request may name programs that Darkroom runs: it was let in by the owner's password,
    or, where there is none, it comes from this machine and asks for it by a name of loopback.

    The client's address is what a proxy on this machine says in X-Forwarded-For. A proxy that says nothing there, and
    puts its own name for Darkroom into Host, cannot be told from this machine (docs/settings.md).
    """
    if sessions is not None:
        return
    asked_for = host_name(Headers.from_scope(scope).get("host", ""))
    if asked_for not in LOOPBACK_NAMES or not is_loopback(client_address(scope)):
        raise Forbidden(
            "programs may be named on the machine that Darkroom runs on,"
            " or with the owner's password (DARKROOM_PASSWORD)"
        )


async def _deny(scope: Scope, send: Send, error: ApiError) -> None:
    """Answers the request, or the websocket's handshake, with the same status and body."""
    body = error_body(error)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error_headers(error)}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    if scope["type"] == ScopeType.HTTP:
        await send({"type": "http.response.start", "status": error.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    else:
        await send({"type": "websocket.http.response.start", "status": error.status, "headers": encoded})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
