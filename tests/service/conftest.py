"""What most tests of the service begin with: a scripted InvokeAI, and correlation or the studio over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.studio_harness import StudioHarness, studio_harness


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def harness(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[CorrelationHarness]:
    """Connected and reconciled."""
    async with correlation_harness(database, invokeai) as harness:
        yield harness


@pytest.fixture
async def http(invokeai: ScriptedInvokeAI) -> AsyncIterator[aiohttp.ClientSession]:
    """Asks that InvokeAI, as any client would."""
    async with aiohttp.ClientSession(invokeai.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def studio(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHarness]:
    """Connected, its models known."""
    async with studio_harness(database, invokeai) as studio:
        yield studio
