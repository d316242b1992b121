"""What the OpenAPI document says of every operation, so that no handler has to: who may ask, and what may go wrong."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from service.access.guard import COOKIE, OPEN
from service.error_responses import failures

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


class CommonAnswers(ReceiveRoutePlugin):
    """Adds what is answered before a handler is reached, for what it cannot find, and where it breaks."""

    def receive_route(self, route: BaseRoute) -> None:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if not handler.opt.get(OPEN):
                handler.security = [{name: []} for name in SECURITY.security_schemes or ()]
            common = failures(*_common(handler, names_something=bool(route.path_parameters)))
            handler.responses = {**common, **(handler.responses or {})}


def _common(handler: HTTPRouteHandler, *, names_something: bool) -> list[int]:
    taken = handler.parsed_fn_signature.parameters.keys() - handler.resolve_dependencies().keys() - {"request"}
    return [
        *([400] if taken else []),
        *([] if handler.opt.get(OPEN) else [401, 429]),
        403,
        *([404] if names_something else []),
        *([413] if "data" in taken else []),
        500,
        503,
    ]
