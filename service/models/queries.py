"""Models as the API shows them: what each server has, and one model with what was made with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from service.api.resources import Model, Photo
from service.database.engine import Connection
from service.database.models import LIVE
from service.errors import NotFound
from service.library.bounded_count import count_up_to
from service.library.filters import MAX_TEXT, MAX_VALUES, PhotoFilters, storable
from service.library.queries import Page, list_photos, photos_by_ids
from service.library.thumbnails import Thumbnails
from service.models.schemas import ModelDetail, ModelList, PhotosOfModel
from service.models.use import Models, Named, read_models

MOST_COUNTED: Final = 10_000
"""Photos of a model that are counted: counting more costs more."""
LARGE_METADATA: Final = 256 * 1024
"""Bytes of metadata beyond which they are not read here."""
RECENT: Final = 5_000
"""The newest photos, among which those with a LoRA are searched before all with it are sorted: no index has them in
order."""

MODEL_COLUMNS = ", ".join(
    f"models.{name}{'::text' if name in ('submodels', 'capabilities', 'default_settings') else ''}"
    for name in Model.__struct_fields__
)
MODELS = f"""
    SELECT {MODEL_COLUMNS}
      FROM models
     WHERE ($1::uuid[] IS NULL OR backend_id = ANY($1)) AND ($2::text[] IS NULL OR base = ANY($2))
       AND ($3::text[] IS NULL OR type = ANY($3)) AND left_at IS NULL
     ORDER BY lower(name), key, backend_id
"""
SERVERS: Final = f"""
    SELECT {MODEL_COLUMNS} FROM models JOIN backends b ON b.id = backend_id
     WHERE key = ANY($1::text[]) AND type = $2 AND left_at IS NULL ORDER BY b.created_at, b.id, key
"""
LORAS_OF_NEWEST: Final = f"""
    SELECT CASE WHEN pg_column_size(generation_params) < {LARGE_METADATA}
                 AND octet_length((generation_params->'loras')::text) < {LARGE_METADATA}
                THEN (generation_params->'loras')::text ELSE '[]' END
      FROM photos WHERE {LIVE} AND loras @> ARRAY[$1::text] ORDER BY id DESC LIMIT 1
"""
RECENT_WITH_LORA: Final = f"""
    SELECT id FROM (SELECT id, loras FROM photos WHERE {LIVE} ORDER BY id DESC LIMIT {RECENT}) recent
     WHERE loras && $1::text[] ORDER BY id DESC LIMIT $2
"""
AS_ALL_WITH_LORA: Final = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off"
"""Without it the planner reads all photos, since it assumes that those with the LoRA are spread evenly."""
ALL_WITH_LORA: Final = f"SELECT id FROM photos WHERE {LIVE} AND loras && $1::text[] ORDER BY id DESC LIMIT $2"


async def list_models(
    connection: Connection,
    backend_ids: Sequence[UUID] | None,
    bases: Sequence[str] | None,
    types: Sequence[str] | None,
) -> ModelList:
    """Models by name; one that several backends have is there once for each. Without `types`, of every type."""
    rows = await connection.fetch(MODELS, backend_ids or None, bases or None, types)
    items = [_to_model(row) for row in rows]
    return ModelList(items=items, total=len(items), limit=len(items), offset=0, next_cursor=None)


async def model_detail(
    connection: Connection, key: str, limit: int, thumbnails: Thumbnails | None = None
) -> ModelDetail:
    """One model by its key at any server, or as photos and steps name it, by a former key or a name. Raises
    NotFound."""
    if len(key) > MAX_TEXT or not storable(key):
        raise no_such_model()
    models = await read_models(connection)
    asked = next((model for model in [*models.known, *models.named] if model.id == key), None)
    if asked is None:
        asked = await _lora_of_photos(connection, key)
    asked = next((model for model in models.known if model.is_same(asked)), asked)
    servers = await _servers(connection, models, asked)
    photos = photos_of(models, asked)
    filters = PhotoFilters(model=photos.model, lora=photos.lora)
    newest: list[Photo] = []
    count = None
    if photos.model:
        newest = (await list_photos(connection, filters, Page(limit=limit, count=False), thumbnails)).items
    elif photos.lora:
        newest = await _newest_with_lora(connection, photos.lora, limit, thumbnails)
    if photos.model or photos.lora:
        count = await count_up_to(connection, filters, MOST_COUNTED + 1)
    of_a_server = next((server for server in servers if server.key == key), servers[0] if servers else None)
    known = msgspec.structs.asdict(of_a_server) if of_a_server else {}
    return ModelDetail(
        key=key,
        hash=known.get("hash", asked.hash),
        name=known.get("name", asked.name),
        base=known.get("base", asked.base),
        type=asked.type,
        **{name: known.get(name) for name in FROM_SERVERS},
        missing=not servers,
        servers=servers,
        photo_filter=photos,
        photo_count=None if count is None else min(count, MOST_COUNTED),
        more_photos=count is not None and count > MOST_COUNTED,
        newest_photos=newest,
    )


FROM_SERVERS: Final = (
    "format",
    "variant",
    "submodels",
    "expert",
    "latent_channels",
    "provider_id",
    "capabilities",
    "description",
    "default_settings",
    "trigger_phrases",
)


def no_such_model() -> NotFound:
    return NotFound("There is no such model.")


async def _lora_of_photos(connection: Connection, key: str) -> Named:
    """A LoRA that only photos name, by its key or its name."""
    entries = await connection.fetchval(LORAS_OF_NEWEST, key)
    if entries is None:
        raise no_such_model()
    for entry in msgspec.json.decode(entries):
        # InvokeAI 3 said `lora` where later ones say `model`.
        lora = entry.get("model") or entry.get("lora") if isinstance(entry, dict) else None
        if isinstance(lora, dict) and key in (lora.get("key"), lora.get("name"), lora.get("model_name")):
            texts: dict[str, str] = {name: text for name, text in lora.items() if isinstance(text, str) and text}
            name = texts.get("name", key)
            return Named(texts.get("key", key), texts.get("hash", ""), name, texts.get("base"), "lora")
    return Named(key, "", key, None, "lora")


async def _newest_with_lora(
    connection: Connection, names: list[str], limit: int, thumbnails: Thumbnails | None
) -> list[Photo]:
    rows = await connection.fetch(RECENT_WITH_LORA, names, limit)
    if len(rows) < limit:
        async with connection.transaction(readonly=True):
            await connection.execute(AS_ALL_WITH_LORA)
            rows = await connection.fetch(ALL_WITH_LORA, names, limit)
    ids: list[UUID] = [row["id"] for row in rows]
    photos = await photos_by_ids(connection, ids, thumbnails)
    return [photos[id] for id in ids if id in photos]


async def _servers(connection: Connection, models: Models, asked: Named) -> list[Model]:
    """The model as each server has it, the oldest server first."""
    keys = {model.key for model in models.known if model.is_same(asked)}
    rows = await connection.fetch(SERVERS, list(keys), asked.type)
    return [_to_model(row) for row in rows]


def photos_of(models: Models, asked: Named) -> PhotosOfModel:
    """The filter of its photos: all keys it has or had, and its name where no other model has that. Photos name the
    model that made them, and LoRAs."""
    named = [model for model in models.named if model.is_same(asked)]
    if asked.type not in ("main", "lora") and not named:
        return PhotosOfModel(model=None, lora=None)
    same = [*(model for model in models.known if model.is_same(asked)), *named]
    keys = [model.key for model in (asked, *same) if model.key is not None]
    values = list(dict.fromkeys(keys))[: MAX_VALUES - 1]
    namesakes = [model for model in (*models.known, *models.named) if model.name == asked.name]
    if all(model.is_same(asked) for model in namesakes if model.type == asked.type):
        values = list(dict.fromkeys([*values, asked.name]))
    if asked.type == "lora":
        return PhotosOfModel(model=None, lora=values)
    return PhotosOfModel(model=values, lora=None)


def _to_model(row: asyncpg.Record) -> Model:
    values = dict(row)
    for name in ("submodels", "capabilities", "default_settings"):
        values[name] = None if values[name] is None else msgspec.Raw(values[name].encode())
    return Model(**values)
