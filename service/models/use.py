"""Finds the models that photos and steps name, also those that no server has any more.

The names are read along an index, one entry for each model, for any number of photos.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from service.database.engine import Connection
from service.database.models import LIVE
from service.models.schemas import MissingModel

MOST_NAMED: Final = 2_000
"""Models that are listed, by key and by name. Uploads may name anything."""


def _each_newest(table: str, column: str, columns: str, live: str) -> str:
    """SQL for the newest row of each value of `column`: from one value to the next along the index of `column` and
    `id`."""
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
KNOWN: Final = "SELECT key, hash, name, base, type, left_at IS NOT NULL AS has_left FROM models"


class Named(msgspec.Struct, frozen=True):
    """A model as a server, a photo or a step names it. `key` is null where only its name is known."""

    key: str | None
    hash: str
    name: str
    base: str | None
    type: str = "main"

    @property
    def id(self) -> str:
        """The value it is asked for by."""
        return self.key if self.key is not None else self.name

    def is_same(self, other: Named) -> bool:
        """Keys differ between InvokeAI installations, hashes do not. Where a hash is not known, the name is the same
        model's within a base."""
        if self.key is not None and self.key == other.key:
            return True
        if self.type != other.type:
            return False
        if self.hash and other.hash:
            return self.hash == other.hash
        return self.name == other.name and (self.base == other.base or self.base is None or other.base is None)


class Catalogue:
    """A set of models by key, hash or name."""

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
        """Whether it has the same model."""
        if model.key in self._keys or (model.type, model.hash) in self._hashes:
            return True
        return any(model.is_same(other) for other in self._by_name.get(model.name, []))


class Models(msgspec.Struct, frozen=True):
    """The models that servers have, and those that photos and steps name."""

    known: list[Named]
    named: list[Named]


async def read_models(connection: Connection) -> Models:
    known: list[Named] = []
    left: list[Named] = []
    for row in await connection.fetch(KNOWN):
        model = Named(row["key"], row["hash"], row["name"], row["base"], row["type"])
        (left if row["has_left"] else known).append(model)
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
    return Models(known, [*by_key.values(), *only_named, *left])


def _named(row: Any, base: str | None) -> Named:
    return Named(row["model_key"], row["model_hash"] or "", row["model_name"] or row["model_key"], base)


async def missing_models(connection: Connection) -> list[MissingModel]:
    """Models that photos or steps name and no server has, by name; each once, even with several keys."""
    models = await read_models(connection)
    known, missing = Catalogue(models.known), Catalogue()
    found: list[Named] = []
    # Those with a hash first: one whose hash is not known joins the one of its name.
    for model in sorted(models.named, key=lambda model: (model.key is None, not model.hash)):
        if not known.has(model) and not missing.has(model):
            missing.add(model)
            found.append(model)
    found.sort(key=lambda model: (model.name.lower(), model.id))
    return [
        MissingModel(key=model.id, hash=model.hash, name=model.name, base=model.base, type=model.type)
        for model in found
    ]
