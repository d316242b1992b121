"""What most tests of the service begin with: a scripted InvokeAI, and correlation or the studio over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI
from tests.fakes.correlated import Correlated, correlated
from tests.fakes.studio import StudioHouse, studio_house


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def house(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[Correlated]:
    """Connected and reconciled."""
    async with correlated(database, invokeai) as house:
        yield house


@pytest.fixture
async def http(invokeai: ScriptedInvokeAI) -> AsyncIterator[aiohttp.ClientSession]:
    """Asks that InvokeAI, as any client would."""
    async with aiohttp.ClientSession(invokeai.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def studio(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHouse]:
    """Connected, its models known."""
    async with studio_house(database, invokeai) as studio:
        yield studio
