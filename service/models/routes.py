"""The models of all servers over REST (api.md)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from service.api.error_answers import failures
from service.database.engine import Database
from service.errors import NotFound
from service.library.thumbnails import Thumbnails
from service.models import queries
from service.models.cache import ModelCache
from service.models.schemas import ModelDetail, ModelList, ModelsRefreshed
from service.models.use import missing_models

ANY_TYPE = "any"
Many = QueryParameter(description="May be repeated: any of them")
OfType = QueryParameter(description="May be repeated: any of them; `any` is every type")
Missing = QueryParameter(description="Also list models that photos or steps name and no backend has")
Newest = QueryParameter(description="How many of the newest photos to show", ge=1, le=50)


@get("/api/v1/models", operation_id="list_models")
async def list_models(
    database: NamedDependency[Database],
    backend_id: Annotated[list[UUID] | None, Many] = None,
    base: Annotated[list[str] | None, Many] = None,
    type: Annotated[list[str] | None, OfType] = None,
    missing: Annotated[bool, Missing] = False,
) -> ModelList:
    """List the models that each backend last said it has. `type` is `main` unless given. The list is always whole."""
    types = None if type is not None and ANY_TYPE in type else type or ["main"]
    async with database.connection() as connection:
        models = await queries.list_models(connection, backend_id, base, types)
        if not missing:
            return models
        return msgspec.structs.replace(models, missing=await missing_models(connection))


@get("/api/v1/models/{key:path}", operation_id="get_model", responses=failures(404))
async def get_model(
    key: FromPath[str],
    database: NamedDependency[Database],
    thumbnails: NamedDependency[Thumbnails],
    limit: Annotated[int, Newest] = 12,
) -> ModelDetail:
    """Get a model by its key at any backend: which backends have it, and what was made with it, newest first. A model
    that no backend has any more is found by the key or the name that photos and steps have of it."""
    async with database.connection() as connection:
        return await queries.model_detail(connection, key.removeprefix("/"), limit, thumbnails)


@post("/api/v1/models/refresh", operation_id="refresh_models", status_code=200, responses=failures(404))
async def refresh_models(
    database: NamedDependency[Database],
    model_cache: NamedDependency[ModelCache],
    backend_id: FromQuery[UUID | None] = None,
) -> ModelsRefreshed:
    """Read the models of one backend, or of every enabled one, from InvokeAI now."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT id FROM backends WHERE enabled OR id = $1 ORDER BY id", backend_id)
    ids = [row["id"] for row in rows if backend_id in (None, row["id"])]
    if backend_id is not None and not ids:
        raise NotFound("There is no such backend.")
    return ModelsRefreshed(backends=await model_cache.refresh_all(ids))


routes = [list_models, get_model, refresh_models]
