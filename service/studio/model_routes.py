"""The cache of models over REST (api.md)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from service.database.engine import Database
from service.error_responses import failures
from service.errors import NotFound
from service.studio import queries
from service.studio.models import ModelCache
from service.studio.schemas import ModelList, ModelsRefreshed

Many = QueryParameter(description="May be repeated: any of them")


@get("/api/v1/models", operation_id="list_models")
async def list_models(
    database: NamedDependency[Database],
    backend_id: Annotated[list[UUID] | None, Many] = None,
    base: Annotated[list[str] | None, Many] = None,
    type: Annotated[list[str] | None, Many] = None,
) -> ModelList:
    """What each backend last said it has; `type` is `main` unless given. Always the whole list."""
    async with database.connection() as connection:
        return await queries.list_models(connection, backend_id, base, type or ["main"])


@post("/api/v1/models/refresh", operation_id="refresh_models", status_code=200, responses=failures(404))
async def refresh_models(
    database: NamedDependency[Database],
    model_cache: NamedDependency[ModelCache],
    backend_id: FromQuery[UUID | None] = None,
) -> ModelsRefreshed:
    """Reads the models of one backend, or of every enabled one, now."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT id FROM backends WHERE enabled OR id = $1 ORDER BY id", backend_id)
    ids = [row["id"] for row in rows if backend_id in (None, row["id"])]
    if backend_id is not None and not ids:
        raise NotFound("There is no such backend.")
    return ModelsRefreshed(backends=await model_cache.refresh_all(ids))


routes = [list_models, refresh_models]
