"""The cache of each backend's models: read on connect, daily, after installs, and when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.database.engine import Connection, Database
from service.database.models import LIVE
from service.errors import InvokeError, InvokeUnreachable
from service.invokeai.events import Model
from service.live.announce import Announcer
from service.studio.connections import Connections, client_of
from service.waiting import happened

log = structlog.get_logger()

DEBOUNCE = 2.0
"""Seconds; an install of a starter bundle ends in many events."""
FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0
PATIENCE = 20.0
"""Seconds in which a client that waits is told of a server that does not answer."""
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
"""What is kept of a model beside its key, as InvokeAI names it."""


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


async def find_model(
    connection: Connection, backend_id: UUID, key: str, hash: str = "", *, type: str = "main"
) -> KnownModel | None:
    """By key, of whatever type; else one of `type` with that hash."""
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
    photos themselves tell enough (`model_use.py`)."""
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


class ModelCache:
    """Reads models of connected backends; `run` is to be supervised, the rest may be called at any time."""

    def __init__(
        self, database: Database, connections: Connections, announcer: Announcer, *, debounce: float = DEBOUNCE
    ) -> None:
        self._database = database
        self._connections = connections
        self._announcer = announcer
        self._debounce = debounce
        self._due: dict[UUID, float] = {}
        self._tries: dict[UUID, int] = {}
        self._reading: set[UUID] = set()
        self._changed = asyncio.Event()

    def connected(self, backend_id: UUID) -> None:
        """Nobody can generate before its models are known: read them now."""
        self._read_in(0, backend_id)

    def changed(self, backend_id: UUID) -> None:
        """The backend said that its models changed: read them once it has said all."""
        self._read_in(self._debounce, backend_id)

    async def run(self) -> None:
        """Reads what is due, each backend for itself; a failed reading is tried again while it is connected."""
        clock = asyncio.get_running_loop().time
        self._reading.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                waiting = {id: at for id, at in self._due.items() if id not in self._reading}
                for backend_id in [id for id, at in waiting.items() if at <= clock()]:
                    del waiting[backend_id]
                    self._reading.add(backend_id)
                    task = tasks.create_task(self._read_or_retry(backend_id), name=f"models of {backend_id}")
                    task.add_done_callback(partial(self._has_read, backend_id))
                next_due = min(waiting.values(), default=None)
                await happened(self._changed, None if next_due is None else next_due - clock())

    def _has_read(self, backend_id: UUID, _: asyncio.Task[None]) -> None:
        self._reading.discard(backend_id)
        self._changed.set()

    async def refresh(self, backend_id: UUID) -> None:
        """Reads one backend's models now; raises an `InvokeError`."""
        client = client_of(self._connections, backend_id)
        if client is None:
            raise InvokeUnreachable("the backend is not connected")
        models = await client.models()
        async with self._database.transaction() as connection:
            if not await connection.fetchval("SELECT true FROM backends WHERE id = $1 FOR KEY SHARE", backend_id):
                return  # removed meanwhile
            changed = await store_models(connection, backend_id, models)
        if changed:
            self._announcer.models_updated(backend_id)

    async def refresh_all(self, backend_ids: Iterable[UUID]) -> dict[UUID, str | None]:
        """Reads several backends' models at once: for each, None or what went wrong."""

        async def attempt(backend_id: UUID) -> str | None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.refresh(backend_id)
            except InvokeError as error:
                return str(error)
            except TimeoutError:
                self._read_in(0, backend_id)
                return f"no answer within {PATIENCE:g} s; what it answers later is taken then"
            return None

        ids = list(backend_ids)
        return dict(zip(ids, await asyncio.gather(*map(attempt, ids)), strict=True))

    async def refresh_connected(self) -> None:
        """The daily reading."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT id FROM backends WHERE enabled")
        for row in rows:
            if client_of(self._connections, row["id"]):
                self._read_in(0, row["id"])

    def _read_in(self, seconds: float, backend_id: UUID) -> None:
        self._tries.pop(backend_id, None)
        self._due[backend_id] = asyncio.get_running_loop().time() + seconds
        self._changed.set()

    async def _read_or_retry(self, backend_id: UUID) -> None:
        at = self._due[backend_id]
        pause: float | None = None
        try:
            await self.refresh(backend_id)
        except InvokeError as error:
            log.warning("models_not_read", backend_id=str(backend_id), error=str(error))
            if client_of(self._connections, backend_id) is not None:  # else it is read when it connects
                pause = self._next_pause(backend_id)
        except Exception:
            log.exception("models_not_read", backend_id=str(backend_id))  # ours, e.g. the database: the others go on
            pause = self._next_pause(backend_id)
        if self._due[backend_id] != at:
            return  # It has changed again meanwhile.
        if pause is None:
            del self._due[backend_id]
        else:
            self._due[backend_id] = asyncio.get_running_loop().time() + pause

    def _next_pause(self, backend_id: UUID) -> float:
        tries = self._tries[backend_id] = self._tries.get(backend_id, 0) + 1
        return min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(tries - 1, 8))
