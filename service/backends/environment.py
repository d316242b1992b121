"""The backend that DARKROOM_INVOKEAI_URL names (docs/settings.md): which row it is, also after the URL has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
import structlog

from service.backends.address import host_of
from service.backends.handover import HandedOver, hand_over, merge
from service.database.engine import Connection, Database
from service.errors import InvokeError
from service.invokeai.client import Credentials, InvokeClient
from service.media.identity import new_id

log = structlog.get_logger()

SETTING = "environment_backend"
IMAGES_TO_RECOGNISE = 20
ASK_AGAIN = 10.0
LOOK_AGAIN = 60.0

CURRENT = """
    SELECT id, kind, url, credentials::text FROM backends
     WHERE id = (SELECT (value->>'backend_id')::uuid FROM settings WHERE key = $1)
"""
LATEST_IMAGES = "SELECT invoke_id FROM photos WHERE backend_id = $1 AND invoke_id IS NOT NULL ORDER BY id DESC LIMIT $2"
LOGIN_THERE = "SELECT credentials::text FROM backends WHERE url = $1 AND credentials IS NOT NULL ORDER BY id LIMIT 1"
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
ENABLED = "SELECT id FROM backends WHERE id = ANY($1) AND enabled"
THERE = "SELECT id FROM backends WHERE url = $2 AND queue_id = (SELECT queue_id FROM backends WHERE id = $1)"
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
        client: Callable[[Credentials | None], InvokeClient],
        *,
        url: str,
        kind: str,
        credentials: Credentials | None,
        all_home: Callable[[UUID], Awaitable[bool]],
        changed: Callable[[HandedOver | None], Awaitable[None]],
    ) -> None:
        self._database = database
        self._client = client
        self._url = url
        self._kind = kind
        self._credentials = msgspec.json.encode(credentials).decode() if credentials else None
        self._all_home = all_home
        self._changed = changed
        self._handed_over: HandedOver | None = None
        self._followed = True
        self.decided = False

    async def decide(self) -> bool:
        """Makes the URL's backend exist and be remembered; False while that cannot be known."""
        async with self._database.transaction() as connection:
            current = await connection.fetchrow(CURRENT, SETTING)
            if current is None:
                await self._use(connection, await self._add(connection), None)
            elif current["url"] == self._url:
                await connection.execute(KEEP, current["id"], self._credentials)
        if current is None or current["url"] == self._url:
            self.decided = True
            return True
        if self._kind == "demo" and current["kind"] == "demo":
            same: bool | None = True  # the demo server listens on a new port each time, over the same folder
        else:
            same = await self._knows_images_of(current["id"], current["credentials"])
        if same is None:
            return False
        async with self._database.transaction() as connection:
            if same:
                self._handed_over = await self._move(connection, current["id"])
            else:
                await self._use(connection, await self._add(connection), current["id"])
        self.decided = True
        return True

    async def run(self) -> None:
        """Supervised. What retires has had its time to tell what it still has before it is asked for the first time."""
        while True:
            await asyncio.sleep(LOOK_AGAIN if self.decided and self._followed else ASK_AGAIN)
            if not self.decided:
                self._followed = not await self.decide()
            if not self._followed:
                await self._follow()
            await self._retire()

    async def _follow(self) -> None:
        """Until it was stopped, a backend that handed over may have got something more."""
        await self._changed(self._handed_over)
        while self._handed_over is not None:
            async with self._database.transaction() as connection:
                more = await hand_over(connection, self._handed_over.before, self._handed_over.to)
            self._handed_over = more if more.something else None
            if self._handed_over is not None:
                await self._changed(self._handed_over)
        self._followed = True

    async def _retire(self) -> None:
        """Disables what is home; what the owner has disabled or removed meanwhile is his own business."""
        async with self._database.connection() as connection:
            retiring = msgspec.json.decode(await connection.fetchval(RETIRING, SETTING) or "[]", type=list[UUID])
            watched = {row["id"] for row in await connection.fetch(ENABLED, retiring)}
        left = []
        for backend_id in retiring:
            if backend_id not in watched:
                continue
            if not await self._all_home(backend_id):
                left.append(backend_id)
                continue
            async with self._database.connection() as connection:
                await connection.execute(DISABLE, backend_id)
            log.info("earlier_backend_disabled", backend_id=str(backend_id))
            await self._changed(None)
        if left != retiring:
            async with self._database.transaction() as connection:
                current = await connection.fetchrow(CURRENT, SETTING)
                if current is not None:
                    await self._remember(connection, Environment(current["id"], left))

    async def _knows_images_of(self, backend_id: UUID, login: str | None) -> bool | None:
        """Whether the server at the new URL has any of the backend's last images; None when it does not say. Without a
        login of its own it is asked with the one known for this URL, else with the backend's."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LATEST_IMAGES, backend_id, IMAGES_TO_RECOGNISE)
            login = self._credentials or await connection.fetchval(LOGIN_THERE, self._url) or login
        client = self._client(msgspec.json.decode(login, type=Credentials) if login else None)
        try:
            return bool(rows) and bool(await client.images_by_names([row["invoke_id"] for row in rows]))
        except InvokeError as error:
            log.warning("changed_url_not_decided", url=self._url, error=str(error))
            return None

    async def _move(self, connection: Connection, backend_id: UUID) -> HandedOver | None:
        """The same server, elsewhere; if that is a backend already, it takes over what is not over yet."""
        there = await connection.fetchval(THERE, backend_id, self._url)
        if there is None:
            await connection.execute(MOVE, backend_id, self._url, self._credentials)
            return None
        await self._use(connection, there, None)
        return await merge(connection, backend_id, there, self._credentials)

    async def _add(self, connection: Connection) -> UUID:
        name = "Demo InvokeAI" if self._kind == "demo" else host_of(self._url)
        backend_id: UUID = await connection.fetchval(ADD, new_id(), name, self._kind, self._url, self._credentials)
        return backend_id

    async def _use(self, connection: Connection, backend_id: UUID, before: UUID | None) -> None:
        raw = await connection.fetchval(RETIRING, SETTING)
        retiring = msgspec.json.decode(raw or "[]", type=list[UUID])
        if before is not None and before not in retiring:
            retiring.append(before)
        await self._remember(connection, Environment(backend_id, [id for id in retiring if id != backend_id]))

    async def _remember(self, connection: Connection, environment: Environment) -> None:
        await connection.execute(REMEMBER, SETTING, msgspec.json.encode(environment).decode())
