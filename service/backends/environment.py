"""The backend that DARKROOM_INVOKEAI_URL names (design §6): which row it is, also after the URL has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from service.database.engine import Connection, Database
from service.errors import InvokeError
from service.invokeai.client import Credentials, InvokeClient
from service.live.messages import BackendLedger
from service.media.identity import new_id

log = structlog.get_logger()

SETTING = "environment_backend"
IMAGES_TO_RECOGNISE = 20
ASK_AGAIN = 10.0
LOOK_AGAIN = 60.0

CURRENT = (
    "SELECT id, kind, url FROM backends WHERE id = (SELECT (value->>'backend_id')::uuid FROM settings WHERE key = $1)"
)
LATEST_IMAGES = "SELECT invoke_id FROM photos WHERE backend_id = $1 AND invoke_id IS NOT NULL ORDER BY id DESC LIMIT $2"
ADD = """
    INSERT INTO backends (id, name, kind, url, credentials) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (url, queue_id) DO UPDATE SET
           enabled = true, credentials = coalesce(excluded.credentials, backends.credentials)
    RETURNING id
"""
KEEP = "UPDATE backends SET credentials = coalesce($2, credentials) WHERE id = $1"
MOVE = "UPDATE backends SET url = $2, credentials = coalesce($3, credentials), enabled = true WHERE id = $1"
REMEMBER = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
RETIRING = "SELECT (value->'retiring')::text FROM settings WHERE key = $1"
THERE = "SELECT id FROM backends WHERE url = $2 AND queue_id = (SELECT queue_id FROM backends WHERE id = $1)"
HAND_OVER = "UPDATE photos SET backend_id = $2 WHERE backend_id = $1 AND retrieval_status <> 'completed'"
DISABLE = "UPDATE backends SET enabled = false WHERE id = $1 AND enabled"


class Environment(msgspec.Struct):
    """Kept in the settings table. `retiring` are backends of earlier URLs, enabled until all of theirs is home."""

    backend_id: UUID
    retiring: list[UUID] = []


class EnvironmentBackend:
    """Decides at start where it can; a changed URL that does not answer is decided as soon as it does."""

    def __init__(
        self,
        database: Database,
        client: InvokeClient,
        *,
        kind: str,
        credentials: Credentials | None,
        ledger_of: Callable[[UUID], Awaitable[BackendLedger | None]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._client = client
        self._kind = kind
        self._credentials = msgspec.json.encode(credentials).decode() if credentials else None
        self._ledger_of = ledger_of
        self._changed = changed
        self.decided = False

    async def decide(self) -> bool:
        """Makes the URL's backend exist and be remembered; False while that cannot be known."""
        url = self._client.url
        async with self._database.transaction() as connection:
            current = await connection.fetchrow(CURRENT, SETTING)
            if current is None:
                await self._use(connection, await self._add(connection, url), None)
            elif current["url"] == url:
                await connection.execute(KEEP, current["id"], self._credentials)
        if current is None or current["url"] == url:
            self.decided = True
            return True
        if self._kind == "demo" and current["kind"] == "demo":
            same: bool | None = True  # the demo server listens on a new port each time, over the same folder
        else:
            same = await self._knows_images_of(current["id"])
        if same is None:
            log.warning("changed_url_does_not_answer", url=url, before=current["url"])
            return False
        async with self._database.transaction() as connection:
            if same:
                await self._move(connection, current["id"], url)
            else:
                await self._use(connection, await self._add(connection, url), current["id"])
        self.decided = True
        return True

    async def run(self) -> None:
        """Supervised. What retires has had its time to tell what it still has before it is asked for the first time."""
        while True:
            await asyncio.sleep(LOOK_AGAIN if self.decided else ASK_AGAIN)
            if not self.decided and await self.decide():
                await self._changed()
            await self._retire()

    async def _retire(self) -> None:
        """Disables what is home."""
        async with self._database.connection() as connection:
            retiring = msgspec.json.decode(await connection.fetchval(RETIRING, SETTING) or "[]", type=list[UUID])
        left = []
        for backend_id in retiring:
            ledger = await self._ledger_of(backend_id)
            if ledger is not None and not (ledger.home and ledger.expected == ledger.made):
                left.append(backend_id)
                continue
            async with self._database.connection() as connection:
                disabled = await connection.execute(DISABLE, backend_id)
            if disabled == "UPDATE 1":
                log.info("earlier_backend_disabled", backend_id=str(backend_id))
                await self._changed()
        if left != retiring:
            async with self._database.transaction() as connection:
                current = await connection.fetchrow(CURRENT, SETTING)
                if current is not None:
                    await self._remember(connection, Environment(current["id"], left))

    async def _knows_images_of(self, backend_id: UUID) -> bool | None:
        """Whether the server at the new URL has any of the backend's last images; None when it does not answer."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LATEST_IMAGES, backend_id, IMAGES_TO_RECOGNISE)
        try:
            return bool(rows) and bool(await self._client.images_by_names([row["invoke_id"] for row in rows]))
        except InvokeError:
            return None

    async def _move(self, connection: Connection, backend_id: UUID, url: str) -> None:
        """The same server, elsewhere; if that is a backend already, it takes over what is not home."""
        there = await connection.fetchval(THERE, backend_id, url)
        if there is None:
            await connection.execute(MOVE, backend_id, url, self._credentials)
            return
        await connection.execute(HAND_OVER, backend_id, there)
        await connection.execute(KEEP, there, self._credentials)
        await self._use(connection, there, backend_id)

    async def _add(self, connection: Connection, url: str) -> UUID:
        name = "Demo InvokeAI" if self._kind == "demo" else urlsplit(url).netloc
        backend_id: UUID = await connection.fetchval(ADD, new_id(), name, self._kind, url, self._credentials)
        return backend_id

    async def _use(self, connection: Connection, backend_id: UUID, before: UUID | None) -> None:
        raw = await connection.fetchval(RETIRING, SETTING)
        retiring = msgspec.json.decode(raw or "[]", type=list[UUID])
        if before is not None and before not in retiring:
            retiring.append(before)
        await self._remember(connection, Environment(backend_id, [id for id in retiring if id != backend_id]))

    async def _remember(self, connection: Connection, environment: Environment) -> None:
        await connection.execute(REMEMBER, SETTING, msgspec.json.encode(environment).decode())
