"""The table `models`: what each backend has, and what of it Darkroom can generate with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.database.engine import Connection
from service.database.models import LIVE
from service.invokeai import graphs
from service.invokeai.model import Model

log = structlog.get_logger()

UNSTORABLE: Final = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""A NUL in a text, or a key that is too long for its index."""

COLUMNS = {
    "hash": "text",
    "name": "text",
    "base": "text",
    "type": "text",
    "format": "text",
    "variant": "text",
    "submodels": "jsonb",
    "expert": "text",
    "latent_channels": "int",
    "provider_id": "text",
    "capabilities": "jsonb",
    "description": "text",
    "default_settings": "jsonb",
    "trigger_phrases": "text[]",
}
"""The stored fields of a model besides its key, by InvokeAI's names."""


def _each(form: str) -> str:
    return ", ".join(form.format(column=column, kind=kind) for column, kind in COLUMNS.items())


UPSERT = f"""
    INSERT INTO models AS known (backend_id, key, {_each("{column}")})
    SELECT $1, m.key, {_each("m.{column}")}
      FROM jsonb_to_recordset($2::jsonb) AS m(key text, {_each("{column} {kind}")})
    ON CONFLICT (backend_id, key) DO UPDATE SET {_each("{column} = excluded.{column}")}, left_at = NULL
     WHERE known.left_at IS NOT NULL OR ({_each("known.{column}")}) IS DISTINCT FROM ({_each("excluded.{column}")})
    RETURNING 1
"""
ABSENT = "SELECT key, name, type, left_at FROM models WHERE backend_id = $1 AND NOT (key = ANY($2::text[]))"
LEAVE = "UPDATE models SET left_at = now() WHERE backend_id = $1 AND key = ANY($2::text[]) AND left_at IS NULL"
REMOVE = "DELETE FROM models WHERE backend_id = $1 AND key = ANY($2::text[])"
IS_NAMED = f"SELECT EXISTS (SELECT FROM photos WHERE {LIVE} AND loras && $1::text[])"
SEEN = "UPDATE models SET seen_at = now() WHERE backend_id = $1 AND left_at IS NULL"
FIND = """
    SELECT key, hash, name, base, type, default_settings::text FROM models
     WHERE backend_id = $1 AND left_at IS NULL AND (key = $2 OR (hash = $3 AND $3 <> '' AND type = $4))
     ORDER BY key = $2 DESC, key LIMIT 1
"""


class KnownModel(msgspec.Struct, frozen=True):
    """A model as one backend has it: keys differ between InvokeAI installations, hashes do not."""

    key: str
    hash: str
    name: str
    base: str
    type: str
    default_settings: dict[str, Any] | None


def unsupported(model: KnownModel) -> str | None:
    """Why a model cannot be generated with; None when it can."""
    if model.type != "main":
        return f"“{model.name}” is not a main model but of type {model.type}"
    if model.base in graphs.SUPPORTED_BASES:
        return None
    bases = ", ".join(sorted(graphs.SUPPORTED_BASES))
    return f"“{model.name}” is a {model.base} model; Darkroom generates with {bases}"


def unfit(lora: KnownModel, main: KnownModel) -> str | None:
    """Why a LoRA does not go with a model (InvokeAI itself would fail without a word); None when it does."""
    if lora.type != "lora":
        return f"“{lora.name}” is not a LoRA but of type {lora.type}"
    if lora.base == main.base:
        return None
    return f"the LoRA “{lora.name}” is for {lora.base} models; “{main.name}” is {main.base}"


async def find_model(
    connection: Connection, backend_id: UUID, key: str, hash: str = "", *, type: str = "main"
) -> KnownModel | None:
    """The model with this key, of any type; else one of `type` with that hash."""
    row = await connection.fetchrow(FIND, backend_id, key, hash, type)
    if row is None:
        return None
    settings = row["default_settings"]
    return msgspec.convert(dict(row) | {"default_settings": settings and msgspec.json.decode(settings)}, KnownModel)


async def store_models(connection: Connection, backend_id: UUID, models: Iterable[Model]) -> bool:
    """Makes the cache what the backend has, inside the caller's transaction; True when that changed anything. A model
    that cannot be stored is left out."""
    stored, changed = await _upsert(connection, backend_id, list({model.key: model for model in models}.values()))
    removed = await _remove_absent(connection, backend_id, stored)
    await connection.execute(SEEN, backend_id)
    return changed or removed


async def _remove_absent(connection: Connection, backend_id: UUID, stored: list[str]) -> bool:
    """Whether anything changed by that. A LoRA that photos name stays as one that left; of models that make pictures
    photos themselves tell enough (use.py)."""
    absent = await connection.fetch(ABSENT, backend_id, stored)
    kept = {
        row["key"]
        for row in absent
        if row["type"] == "lora" and await connection.fetchval(IS_NAMED, [row["key"], row["name"]])
    }
    removed = [row["key"] for row in absent if row["key"] not in kept]
    await connection.execute(LEAVE, backend_id, list(kept))
    await connection.execute(REMOVE, backend_id, removed)
    return bool(removed) or any(row["left_at"] is None for row in absent)


async def _upsert(connection: Connection, backend_id: UUID, models: list[Model]) -> tuple[list[str], bool]:
    """The keys that are stored, and whether that changed anything. What is refused as a whole is tried in halves, until
    the one that no database can keep is found."""
    try:
        async with connection.transaction():
            changed = await connection.fetch(UPSERT, backend_id, msgspec.json.encode(models).decode())
        return [model.key for model in models], bool(changed)
    except UNSTORABLE as error:
        if len(models) == 1:
            log.warning("model_not_storable", backend_id=str(backend_id), name=models[0].name[:100], error=str(error))
            return [], False
    half = len(models) // 2
    first, changed_first = await _upsert(connection, backend_id, models[:half])
    second, changed_second = await _upsert(connection, backend_id, models[half:])
    return first + second, changed_first or changed_second
