"""Adds what is common to all operations to the OpenAPI document: authentication, error answers, ids of GET and HEAD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from service.access.guard import COOKIE, OPEN
from service.api.error_answers import failures
from service.api.request_body import taken_from_request

SECURITY: Final = Components(
    security_schemes={
        "session": SecurityScheme(
            type="apiKey",
            security_scheme_in="cookie",
            name=COOKIE,
            description="Set by signing in. Without a password configured, none is needed.",
        ),
        "password": SecurityScheme(type="http", scheme="bearer", description="The owner's password, for scripts."),
    }
)


READING: Final = [HttpMethod.GET, HttpMethod.HEAD]
"""GET with the HEAD that belongs to it (RFC 9110 §9.3.2): the server leaves the body out."""


def operation_ids(operation: str) -> Callable[..., str]:
    """An operation id for each of the two: OpenAPI wants them unique."""

    def operation_id(_handler: Any, method: HttpMethod, _path: Any) -> str:
        return operation if method == HttpMethod.GET else f"{method.lower()}_{operation}"

    return operation_id


class CommonAnswers(ReceiveRoutePlugin):
    """Adds answers that come before a handler, or instead of it."""

    def receive_route(self, route: BaseRoute) -> None:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if not handler.opt.get(OPEN):
                handler.security = [{name: []} for name in SECURITY.security_schemes or ()]
            common = failures(*_common(handler, names_something=bool(route.path_parameters)))
            handler.responses = {**common, **(handler.responses or {})}


def _common(handler: HTTPRouteHandler, *, names_something: bool) -> list[int]:
    taken = taken_from_request(handler)
    return [
        *([400] if taken else []),
        *([] if handler.opt.get(OPEN) else [401, 429]),
        403,
        *([404] if names_something else []),
        *([413, 415] if "data" in taken else []),
        500,
        503,
    ]
