"""The backend that DARKROOM_INVOKEAI_URL names (docs/settings.md): which row it is, also after the URL has changed."""

from __future__ import annotations

from uuid import UUID

import msgspec
import structlog

from service.backends.queries import LOCK_ADDRESSES
from service.backends.rows import ORIGIN
from service.config.addresses import host_of
from service.database.engine import Connection, Database
from service.invokeai.client import Credentials
from service.media.identity import new_id

log = structlog.get_logger()

SETTING = "environment_backend"
"""Its value names the environment's row, and the URL that the environment had at the last start."""
HOME_INVOKEAI = "http://127.0.0.1:9090"
"""InvokeAI's default address."""

# Earlier releases stored no URL: then the row has it.
CURRENT = """
    SELECT b.id, b.kind, b.queue_id, coalesce(s.value->>'url', b.url) AS given
      FROM settings s JOIN backends b ON b.id = (s.value->>'backend_id')::uuid WHERE s.key = $1
"""
AT_ADDRESS = "SELECT id FROM backends WHERE url = $1 AND queue_id = $2 ORDER BY enabled DESC, id LIMIT 1"
ADD = "INSERT INTO backends (id, name, kind, url) VALUES ($1, $2, $3, $4)"
ENABLE = "UPDATE backends SET enabled = true WHERE id = $1"
# As an edit on the page changes it (queries.PATCH), but it is switched on too.
MOVE = "UPDATE backends SET url = $2, enabled = true, version = NULL, identity_since = NULL WHERE id = $1"
# For the origin of the URL it is given with, even if the row has another address now.
KEEP_LOGIN = f"""
    UPDATE backends SET logins = logins || jsonb_build_object({ORIGIN.format("$2")}, $3::jsonb) WHERE id = $1
"""
REMEMBER = """
    INSERT INTO settings (key, value) VALUES ($1, jsonb_build_object('backend_id', $2::text, 'url', $3::text))
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


async def environment_backend(
    database: Database, *, url: str | None, kind: str, credentials: Credentials | None
) -> UUID:
    """Inserts or finds the backend of the URL at start, before any server is asked. If the URL differs from the last
    one, that is a change of address like one on the page: recognition finds out whether the same server answers there
    (recognised servers only). The same URL as before, or none, leaves the address as it was edited."""
    async with database.transaction() as connection:
        await connection.execute(LOCK_ADDRESSES)
        current = await connection.fetchrow(CURRENT, SETTING)
        if current is not None and (current["kind"] == "demo") == (kind == "demo"):
            backend_id: UUID = current["id"]
            if url not in (None, current["given"]):
                backend_id = await _move(connection, backend_id, url, current["queue_id"])
            url = url or current["given"]
        else:
            url = url or HOME_INVOKEAI
            backend_id = await _find_or_add(connection, url, kind)
        await connection.execute(REMEMBER, SETTING, str(backend_id), url)
        if credentials is not None:
            await connection.execute(KEEP_LOGIN, backend_id, url, msgspec.json.encode(credentials).decode())
    return backend_id


async def _move(connection: Connection, backend_id: UUID, url: str, queue_id: str) -> UUID:
    """Moves the row to the address. If another row has that address already, that row is used, and this one stays as it
    is."""
    there: UUID | None = await connection.fetchval(AT_ADDRESS, url, queue_id)
    if there is not None:
        await connection.execute(ENABLE, there)
        return there
    await connection.execute(MOVE, backend_id, url)
    log.info("environment_backend_moved", backend_id=str(backend_id), url=url)
    return backend_id


async def _find_or_add(connection: Connection, url: str, kind: str) -> UUID:
    there: UUID | None = await connection.fetchval(AT_ADDRESS, url, "default")
    if there is not None:
        await connection.execute(ENABLE, there)
        return there
    backend_id = new_id()
    await connection.execute(ADD, backend_id, "Demo InvokeAI" if kind == "demo" else host_of(url), kind, url)
    return backend_id
