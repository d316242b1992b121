"""Which models photos and steps name, and what was made with one: also with those that no server has any more.

The names are read along an index, one entry for each model, however many photos there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from service.database.engine import Connection
from service.database.models import LIVE
from service.errors import NotFound
from service.library.bounded_count import count_up_to
from service.library.filters import MAX_TEXT, MAX_VALUES, PhotoFilters, storable
from service.library.queries import Page, list_photos
from service.library.thumbnails import Thumbnails
from service.live.messages import Model
from service.studio.queries import MODEL_COLUMNS, to_model
from service.studio.schemas import MissingModel, ModelDetail, PhotosOfModel

MOST_NAMED: Final = 2_000
"""Models that are named, by key and by name; uploads may name anything."""
MOST_COUNTED: Final = 10_000
"""Photos of a model; how many more there are costs more the more there are."""


def _each_newest(table: str, column: str, columns: str, live: str) -> str:
    """The newest row of each value of `column`: from one value to the next along the index of `column` and `id`."""
    newest = f"ORDER BY {column} DESC, id DESC LIMIT 1"
    return f"""
        WITH RECURSIVE named AS (
            (SELECT {columns} FROM {table} WHERE {live} AND {column} IS NOT NULL {newest})
            UNION ALL
            SELECT further.* FROM named CROSS JOIN LATERAL (
                SELECT {columns} FROM {table} WHERE {live} AND {column} < named.{column} {newest}) further)
        SELECT * FROM named LIMIT {MOST_NAMED}
    """


PHOTO_MODEL: Final = "model_key, model_hash, model_name, model_base"
KEYS_OF_PHOTOS: Final = _each_newest("photos", "model_key", PHOTO_MODEL, LIVE)
NAMES_OF_PHOTOS: Final = _each_newest("photos", "model_name", PHOTO_MODEL, LIVE)
KEYS_OF_STEPS: Final = _each_newest(
    "generation_steps", "model_key", "model_key, model_hash, model_name", "deleted_at IS NULL"
)
KNOWN: Final = "SELECT key, hash, name, base, type FROM models"
SERVERS: Final = f"""
    SELECT {MODEL_COLUMNS} FROM models JOIN backends b ON b.id = backend_id
     WHERE key = ANY($1::text[]) AND type = $2 ORDER BY b.created_at, b.id, key
"""
LORAS_OF_NEWEST: Final = f"""
    SELECT coalesce(generation_params->'loras', '[]')::text FROM photos
     WHERE {LIVE} AND loras @> ARRAY[$1::text] ORDER BY id DESC LIMIT 1
"""


class Named(msgspec.Struct, frozen=True):
    """A model as a server, a photo or a step names it. `key` is null where only its name is told."""

    key: str | None
    hash: str
    name: str
    base: str | None
    type: str = "main"

    @property
    def id(self) -> str:
        """What it is asked for by."""
        return self.key if self.key is not None else self.name

    def is_same(self, other: Named) -> bool:
        """Keys differ between InvokeAI installations, hashes do not. Where a hash is not told, the name is the same
        model's within a base."""
        if self.key is not None and self.key == other.key:
            return True
        if self.type != other.type:
            return False
        if self.hash and other.hash:
            return self.hash == other.hash
        return self.name == other.name and (self.base == other.base or self.base is None or other.base is None)


class Catalogue:
    """Models by what they are the same by."""

    def __init__(self, models: Iterable[Named] = ()) -> None:
        self._keys: set[str | None] = set()
        self._hashes: set[tuple[str, str]] = set()
        self._by_name: dict[str, list[Named]] = {}
        for model in models:
            self.add(model)

    def add(self, model: Named) -> None:
        if model.key is not None:
            self._keys.add(model.key)
        if model.hash:
            self._hashes.add((model.type, model.hash))
        self._by_name.setdefault(model.name, []).append(model)

    def has(self, model: Named) -> bool:
        """Whether one of them is the same."""
        if model.key in self._keys or (model.type, model.hash) in self._hashes:
            return True
        return any(model.is_same(other) for other in self._by_name.get(model.name, []))


class Models(msgspec.Struct, frozen=True):
    """What servers have, and what photos and steps name."""

    known: list[Named]
    named: list[Named]


async def read_models(connection: Connection) -> Models:
    known = [msgspec.convert(dict(row), Named) for row in await connection.fetch(KNOWN)]
    by_key: dict[str, Named] = {}
    for row in await connection.fetch(KEYS_OF_PHOTOS):
        by_key[row["model_key"]] = _named(row, row["model_base"])
    for row in await connection.fetch(KEYS_OF_STEPS):
        by_key.setdefault(row["model_key"], _named(row, None))
    names = {model.name for model in known if model.type == "main"} | {model.name for model in by_key.values()}
    only_named = [
        _named(row, row["model_base"])
        for row in await connection.fetch(NAMES_OF_PHOTOS)
        if row["model_key"] is None and row["model_name"] not in names
    ]
    return Models(known, [*by_key.values(), *only_named])


def _named(row: Any, base: str | None) -> Named:
    return Named(row["model_key"], row["model_hash"] or "", row["model_name"] or row["model_key"], base)


async def missing_models(connection: Connection) -> list[MissingModel]:
    """Those that photos or steps name and no server has, by name; each once, however many keys it had."""
    models = await read_models(connection)
    known, missing = Catalogue(models.known), Catalogue()
    found: list[Named] = []
    # Those with a hash first: one whose hash is not told joins the one of its name.
    for model in sorted(models.named, key=lambda model: (model.key is None, not model.hash)):
        if not known.has(model) and not missing.has(model):
            missing.add(model)
            found.append(model)
    found.sort(key=lambda model: (model.name.lower(), model.id))
    return [
        MissingModel(key=model.id, hash=model.hash, name=model.name, base=model.base, type=model.type)
        for model in found
    ]


# --- One model ---


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
    newest, count = [], None
    if photos.model or photos.lora:
        page = await list_photos(connection, filters, Page(limit=limit, count=False), thumbnails)
        newest, count = page.items, await count_up_to(connection, filters, MOST_COUNTED + 1)
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
