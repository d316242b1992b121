"""What most tests of the service begin with: a scripted InvokeAI, and correlation or the studio over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.backends.registry import Registry
from service.bus.bus import Bus
from service.bus.previews import Previews
from service.database.engine import Database
from service.runtime.supervisor import Supervisor
from tests.fakes import ScriptedInvokeAI
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness
from tests.fakes.pod_harness import PodHarness
from tests.fakes.provider import FakeProvider, fake_provider
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
async def studio(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHarness]:
    """Connected, its models known."""
    async with studio_harness(database, invokeai) as studio:
        yield studio


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def registry(database: Database, bus: Bus) -> AsyncIterator[Registry]:
    supervisor = Supervisor()
    async with aiohttp.ClientSession() as http:
        registry = Registry(
            database=database,
            bus=bus,
            previews=Previews(),
            supervisor=supervisor,
            http=http,
            timeout=10,
            watched=lambda: False,
        )
        yield registry
        await registry.stop()
        await supervisor.aclose()


@pytest.fixture
async def fake(invokeai: ScriptedInvokeAI) -> AsyncIterator[FakeProvider]:
    async with fake_provider(invokeai) as fake:
        yield fake
        fake.assert_harmless()


@pytest.fixture
async def rented(
    tmp_path: Path, database_url: str, fake: FakeProvider, invokeai: ScriptedInvokeAI
) -> AsyncIterator[PodHarness]:
    """A stopped pod, and nothing else."""
    harness = PodHarness(tmp_path / "data", database_url, fake, invokeai)
    fake.not_home = harness.not_home
    async with harness.open():
        await harness.add()
        yield harness
