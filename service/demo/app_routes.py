"""Version, route list and models."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aiohttp import web

from service.demo.access import Access
from service.demo.http import Problem, json_answer
from service.demo.models import Models

Json = dict[str, Any]

VERSION = "6.14.2"


class AppRoutes:
    """`labelled` says "demo" in the version answer."""

    def __init__(self, models: Models, access: Access, *, labelled: bool) -> None:
        self._models, self._access, self._labelled = models, access, labelled

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/v1/app/version", self.version, allow_head=False)
        app.router.add_get("/openapi.json", self.openapi, allow_head=False)
        app.router.add_get("/api/v2/models/", self.models, allow_head=False)
        app.router.add_get("/api/v2/models/i/{key}", self.model, allow_head=False)

    async def version(self, request: web.Request) -> web.Response:
        return json_answer({"version": VERSION} | ({"demo": True} if self._labelled else {}))

    async def openapi(self, request: web.Request) -> web.Response:
        """The routes it has; the schemas are left out."""
        return json_answer(
            {
                "openapi": "3.1.0",
                "info": {"title": "Invoke - Community Edition", "version": "1.0.0"},
                "paths": route_list(request.app),
                "components": {"schemas": {}},
            }
        )

    async def models(self, request: web.Request) -> web.Response:
        self._access.user(request)
        query = request.query
        found = self._models.select(
            bases=query.getall("base_models", []), kind=query.get("model_type"), name=query.get("model_name")
        )
        return json_answer({"models": found})

    async def model(self, request: web.Request) -> web.Response:
        self._access.user(request)
        model = self._models.get(request.match_info["key"])
        if model is None:
            raise Problem(404, "model not found")
        return json_answer(model)


def route_list(app: web.Application) -> dict[str, Json]:
    """`{path: {method: {}}}` of everything under /api, as `/openapi.json` lists it."""
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in app.router.routes():
        if route.resource is not None and route.resource.canonical.startswith("/api"):
            paths[route.resource.canonical][route.method.lower()] = {}
    return dict(paths)
