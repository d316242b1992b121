"""The stand-in for InvokeAI, which these tests are about: no Darkroom runs here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes import ScriptedInvokeAI


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(invokeai: ScriptedInvokeAI) -> AsyncIterator[aiohttp.ClientSession]:
    """Asks it, as any client would."""
    async with aiohttp.ClientSession(invokeai.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
