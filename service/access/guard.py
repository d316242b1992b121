"""The gate every request passes: a known host, no foreign origin, and the owner, where there is a password."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from service.access.headers import with_security_headers
from service.access.origin import SAFE_METHODS, refusal
from service.access.sessions import Sessions
from service.access.visitor import OWNER, Visitor
from service.error_responses import AnyRequest, answer_api_error, answer_http_exception, error_body, error_headers
from service.errors import ApiError, Forbidden, Unauthorized

OPEN: Final = "open"
"""The `opt` key of the handlers that need no password."""
COOKIE: Final = "darkroom_session"


class Gate(ASGIMiddleware):
    """Where the app's state says that there are no sessions there is no password, and whoever passes the origin check
    is the owner: `Settings.require_safe_binding` keeps that to loopback."""

    def __init__(self, host_names: frozenset[str]) -> None:
        self._host_names = host_names

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
        """What matches no route passes no middleware: who is refused elsewhere is refused here too."""
        try:
            self._refuse_elsewhere(request.scope)
        except Forbidden as refused:
            return answer_api_error(request, refused)
        return answer_http_exception(request, error)

    async def _admit(self, scope: Scope) -> Visitor | None:
        """The owner; None for strangers at an open handler; Forbidden or Unauthorized."""
        self._refuse_elsewhere(scope)
        sessions: Sessions | None = scope["litestar_app"].state["sessions"]
        if sessions is None:
            return OWNER
        if scope["route_handler"].opt.get(OPEN):
            return None
        return await _owner(scope, sessions)

    def _refuse_elsewhere(self, scope: Scope) -> None:
        reason = refusal(
            scope["headers"],
            changes=scope["type"] == ScopeType.WEBSOCKET or scope["method"] not in SAFE_METHODS,
            scheme=scope["scheme"].replace("ws", "http", 1),
            host_names=self._host_names,
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
    """The session's token in the Cookie header, if there is one. A browser sends a host's cookies to each of its ports:
    other apps' stand there too, and not all of them are legal."""
    for cookie in headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def client_address(scope: Scope) -> str:
    """Where the request comes from, for counting failed attempts."""
    client = scope.get("client")
    return client[0] if client else "unknown"


async def _deny(scope: Scope, send: Send, error: ApiError) -> None:
    """Answer the request, or the websocket's handshake, with the same status and body."""
    body = error_body(error)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error_headers(error)}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    if scope["type"] == ScopeType.HTTP:
        await send({"type": "http.response.start", "status": error.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    else:
        await send({"type": "websocket.http.response.start", "status": error.status, "headers": encoded})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
