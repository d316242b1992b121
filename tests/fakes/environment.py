"""Starts of Darkroom, as far as the backend that DARKROOM_INVOKEAI_URL names is concerned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

from service.backends.environment import EnvironmentBackend
from service.backends.handover import HandedOver
from service.database.engine import Connection, Database
from service.invokeai.client import Credentials, InvokeClient
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.rows import add_photo
from tests.fakes.scripted import ScriptedInvokeAI


class Servers:
    """Starts each over a folder of its own; the same name is the same server at a new address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[ScriptedInvokeAI] = []

    async def __call__(self, name: str, *accounts: Account) -> ScriptedInvokeAI:
        server = ScriptedInvokeAI(self._folder / name, multiuser=MultiUser(accounts) if accounts else None)
        await server.start()
        self._started.append(server)
        return server

    async def stop(self) -> None:
        for server in self._started:
            await server.stop()


class Start:
    """One start of Darkroom, as far as this backend is concerned. `asked` are the backends it wanted to retire."""

    def __init__(self, database: Database, http: aiohttp.ClientSession) -> None:
        self._database, self._http = database, http
        self.all_home = True
        self.asked: list[UUID] = []
        self.changes: list[HandedOver | None] = []

    def at(self, url: str, *, kind: str = "server", credentials: Credentials | None = None) -> EnvironmentBackend:
        return EnvironmentBackend(
            self._database,
            lambda login: InvokeClient(url, credentials=login, timeout=20, session=self._http),
            url=url,
            kind=kind,
            credentials=credentials,
            all_home=self._is_all_home,
            changed=self._changed,
        )

    async def _is_all_home(self, backend_id: UUID) -> bool:
        self.asked.append(backend_id)
        return self.all_home

    async def _changed(self, handed_over: HandedOver | None) -> None:
        self.changes.append(handed_over)

    async def until_asked(self, times: int) -> None:
        async def asked() -> bool:
            return len(self.asked) >= times

        await until(asked)


@asynccontextmanager
async def running(backend: EnvironmentBackend) -> AsyncIterator[None]:
    task = asyncio.create_task(backend.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def backends(connection: Connection) -> list[tuple[str, bool]]:
    return [(row["url"], row["enabled"]) for row in await connection.fetch("SELECT * FROM backends ORDER BY id")]


async def photo_of(connection: Connection, server: ScriptedInvokeAI, **values: Any) -> None:
    image = server.add_canvas_save()
    backend_id = await connection.fetchval("SELECT id FROM backends WHERE url = $1", server.url)
    await add_photo(connection, invoke_id=image.image_name, backend_id=backend_id, **values)


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await met():
            await asyncio.sleep(0.02)
