"""A real InvokeAI by URL, and a Darkroom process over it. Every test is marked `invokeai`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.process import DarkroomProcess
from tests.invokeai.nginx import nginx
from tests.invokeai.server import RealInvokeAI

# Without the means to kill, or without a second server, what needs them is left out, and the run says how many.
NEEDS = {
    "test_restart.py": ("INVOKEAI_START", "INVOKEAI_PIDFILE"),
    "test_multiuser.py": ("INVOKEAI_MULTIUSER_URL", "INVOKEAI_MULTIUSER_EMAIL", "INVOKEAI_MULTIUSER_PASSWORD"),
}
collect_ignore = [name for name, needs in NEEDS.items() if not all(need in os.environ for need in needs)]


def pytest_report_header() -> list[str]:
    return [f"left out: {name} (needs {', '.join(NEEDS[name])})" for name in collect_ignore]


@pytest.fixture(scope="session")
def url() -> str:
    url = os.environ.get("INVOKEAI_URL")
    assert url, "name a server: make test-invokeai INVOKEAI_URL=http://127.0.0.1:9090"
    return url


@pytest.fixture(scope="session")
def behind(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Its address behind nginx, where the run asks for that."""
    if os.environ.get("INVOKEAI_GATEWAY") != "nginx":
        yield None
        return
    with nginx(url, tmp_path_factory.mktemp("nginx")) as address:
        yield address


@pytest.fixture
async def invokeai(url: str, behind: str | None) -> AsyncIterator[RealInvokeAI]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        server = RealInvokeAI(url, http, behind)
        await server.until_idle()
        await server.until_no_image_is_new()
        yield server


@pytest.fixture
async def darkroom(invokeai: RealInvokeAI, public_folder: Path) -> AsyncIterator[DarkroomProcess]:
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=invokeai.address)
    await process.start()
    await invokeai.let_in(process)
    await process.connected()
    yield process
    await process.stop()
