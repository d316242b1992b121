"""Real Chromium, one for the whole run, before a real Darkroom over a scripted InvokeAI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from service.web.page import DIST
from tests.browser.watched_pages import WatchedPages
from tests.chromium import ARGUMENTS, executable
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for

OpenPage = Callable[..., Awaitable[Page]]

PATIENCE_MS = 20_000
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if not (DIST / "index.html").is_file():
        pytest.fail("the web UI is not built: make setup", pytrace=False)
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def watched_pages(chromium: Browser, request: pytest.FixtureRequest) -> AsyncIterator[WatchedPages]:
    """The test fails on any error in a page's console; failing, it leaves pictures in test-artifacts/. Pages move
    in tests marked with `moves`."""
    watched_pages = WatchedPages(chromium, moves=request.node.get_closest_marker("moves") is not None)
    yield watched_pages
    errors = watched_pages.errors()
    if errors or request.node.stash.get(FAILED, True):
        await watched_pages.screenshot(re.sub(r"[^\w-]+", "-", request.node.name))
    await watched_pages.close()
    if errors:
        pytest.fail("the page complained:\n" + "\n".join(errors), pytrace=False)


@pytest.fixture
async def invokeai(public_folder: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(public_folder / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def darkroom(public_folder: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    """Connected to the InvokeAI."""
    async with running(settings_for(public_folder / "data", database_url, invokeai_url=invokeai.url)) as darkroom:
        await _until_connected(darkroom)
        yield darkroom


async def _until_connected(darkroom: Darkroom) -> None:
    async def connected() -> bool:
        async with darkroom.http.get("/api/v1/backends") as response:
            return any(backend["state"] == "connected" for backend in (await response.json())["items"])

    async with asyncio.timeout(20):
        while not await connected():
            await asyncio.sleep(0.02)


@pytest.fixture
def open_page(darkroom: Darkroom, watched_pages: WatchedPages) -> OpenPage:
    """Opens a path of this Darkroom for one more person."""
    return partial(watched_pages.open, darkroom.url)
