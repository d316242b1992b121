"""The backend that is there from the start: the InvokeAI that DARKROOM_INVOKEAI_URL names, or the demo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import aiohttp
import structlog

from service.backends.environment import EnvironmentBackend
from service.backends.handover import HandedOver
from service.backends.registry import Registry
from service.database.engine import Database
from service.demo.server import DemoServer
from service.invokeai.client import Credentials, InvokeClient
from service.settings import Settings
from service.studio.submit import Submitter

log = structlog.get_logger()

HOME_INVOKEAI: Final = "http://127.0.0.1:9090"
"""Where InvokeAI listens unless told otherwise."""
DECIDE_SECONDS: Final = 2.0


@asynccontextmanager
async def demo_server(settings: Settings) -> AsyncIterator[DemoServer]:
    server = DemoServer(settings.data / "invokeai")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def environment_backend(
    settings: Settings,
    demo: DemoServer | None,
    database: Database,
    registry: Registry,
    submitter: Submitter,
    http: aiohttp.ClientSession,
) -> EnvironmentBackend:
    """The backend of DARKROOM_INVOKEAI_URL, or the demo."""
    url = demo.url if demo is not None else settings.invokeai_url or HOME_INVOKEAI
    credentials = None
    if demo is None and settings.invokeai_email is not None and settings.invokeai_password is not None:
        credentials = Credentials(settings.invokeai_email, settings.invokeai_password)

    async def changed(handed_over: HandedOver | None) -> None:
        if handed_over is None:
            await registry.reload()
        else:
            await registry.took_over(handed_over)
        submitter.wake()

    async def is_home(backend_id: UUID) -> bool:
        ledger = (await registry.ledger()).backends.get(str(backend_id))
        return ledger is not None and ledger.home

    return EnvironmentBackend(
        database,
        lambda login: InvokeClient(url, credentials=login, timeout=settings.invokeai_timeout, session=http),
        url=url,
        kind="demo" if demo is not None else "server",
        credentials=credentials,
        all_home=is_home,
        changed=changed,
    )


async def decide(environment: EnvironmentBackend) -> None:
    """At once where that needs no answer from a server; else its own task goes on deciding."""
    try:
        async with asyncio.timeout(DECIDE_SECONDS):
            await environment.decide()
    except TimeoutError:
        log.info("the InvokeAI server does not answer yet")
