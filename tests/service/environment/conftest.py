"""InvokeAI servers, and starts of Darkroom that are told of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.database.engine import Database
from tests.fakes.environment import Servers, Start


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    servers = Servers(tmp_path)
    yield servers
    await servers.stop()


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    async with aiohttp.ClientSession() as http:
        yield Start(database, http)
