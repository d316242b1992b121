"""One model: which servers have it, and what was made with it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.database.models import LIVE
from service.errors import NotFound
from service.library.bounded_count import count_up_to
from service.library.filters import MAX_TEXT, MAX_VALUES, PhotoFilters, storable
from service.library.queries import Page, list_photos, photos_by_ids
from service.library.thumbnails import Thumbnails
from service.live.messages import Model, Photo
from service.studio.model_use import Models, Named, read_models
from service.studio.queries import MODEL_COLUMNS, to_model
from service.studio.schemas import ModelDetail, PhotosOfModel

MOST_COUNTED: Final = 10_000
"""Photos of a model; how many more there are costs more the more there are."""
RECENT: Final = 5_000
"""Photos among which the newest ones with a LoRA are looked for, before all that have it are sorted: no index has them
in order."""

SERVERS: Final = f"""
    SELECT {MODEL_COLUMNS} FROM models JOIN backends b ON b.id = backend_id
     WHERE key = ANY($1::text[]) AND type = $2 AND left_at IS NULL ORDER BY b.created_at, b.id, key
"""
LORAS_OF_NEWEST: Final = f"""
    SELECT coalesce(generation_params->'loras', '[]')::text FROM photos
     WHERE {LIVE} AND loras @> ARRAY[$1::text] ORDER BY id DESC LIMIT 1
"""
RECENT_WITH_LORA: Final = f"""
    SELECT id FROM (SELECT id, loras FROM photos WHERE {LIVE} ORDER BY id DESC LIMIT {RECENT}) recent
     WHERE loras && $1::text[] ORDER BY id DESC LIMIT $2
"""
AS_ALL_WITH_LORA: Final = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off"
"""Else the planner walks all photos, in the belief that those with the LoRA are spread evenly."""
ALL_WITH_LORA: Final = f"SELECT id FROM photos WHERE {LIVE} AND loras && $1::text[] ORDER BY id DESC LIMIT $2"


async def model_detail(
    connection: Connection, key: str, limit: int, thumbnails: Thumbnails | None = None
) -> ModelDetail:
    """By its key at any server, or as photos and steps name it, by a former key or a name. NotFound where none does."""
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
    told = msgspec.structs.asdict(of_a_server) if of_a_server else {}
    return ModelDetail(
        key=key,
        hash=told.get("hash", asked.hash),
        name=told.get("name", asked.name),
        base=told.get("base", asked.base),
        type=asked.type,
        **{name: told.get(name) for name in TOLD_BY_SERVERS},
        missing=not servers,
        servers=servers,
        photo_filter=photos,
        photo_count=None if count is None else min(count, MOST_COUNTED),
        more_photos=count is not None and count > MOST_COUNTED,
        newest_photos=newest,
    )


TOLD_BY_SERVERS: Final = (
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
    return [to_model(row) for row in rows]


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
