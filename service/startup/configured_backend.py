"""The backend that exists from the start: the InvokeAI of DARKROOM_INVOKEAI_URL, or the demo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.backends.environment import environment_backend
from service.config.settings import Settings
from service.database.engine import Database
from service.demo.server import DemoServer
from service.invokeai.client import Credentials


@asynccontextmanager
async def demo_server(settings: Settings) -> AsyncIterator[DemoServer]:
    server = DemoServer(settings.data / "invokeai")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def add_first_backend(settings: Settings, demo: DemoServer | None, database: Database) -> None:
    """Adds the backend of DARKROOM_INVOKEAI_URL, or the demo's."""
    if demo is not None:
        await environment_backend(database, url=demo.url, kind="demo", credentials=None)
        return
    credentials = None
    if settings.invokeai_email is not None and settings.invokeai_password is not None:
        credentials = Credentials(settings.invokeai_email, settings.invokeai_password)
    await environment_backend(database, url=settings.invokeai_url, kind="server", credentials=credentials)
