"""Darkroom's submitter in a process of its own (`forked`). Arguments: database URL, data folder, and "", "unsent" or
"unsent-upload".

With `unsent` it says "posted" and waits for ever where it would send a batch, with `unsent-upload` a source.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp

from service.database.engine import Database
from service.invokeai.client import InvokeClient
from tests.fakes.studio_harness import StudioHarness


async def never_send(client: InvokeClient, *args: Any, **options: Any) -> None:
    sys.stdout.write("posted\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def main(database_url: str, folder: str, mode: str = "") -> None:
    if mode == "unsent":
        InvokeClient.enqueue_batch = never_send  # type: ignore[assignment, method-assign]
    if mode == "unsent-upload":
        InvokeClient.upload = never_send  # type: ignore[assignment, method-assign]
    database = Database(database_url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        harness = StudioHarness(database, http, Path(folder))
        async with database.connection() as connection:
            harness.backend_id = await connection.fetchval("SELECT id FROM backends")
        await harness.start()
        await asyncio.Event().wait()
