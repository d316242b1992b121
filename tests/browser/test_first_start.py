"""The very first minute: what is there before there is a picture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import WatchedPages
from tests.fakes.darkroom import NO_SERVER, Darkroom, running, settings_for

pytestmark = pytest.mark.browser


@pytest.fixture
async def demo(public_folder: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(public_folder / "data", database_url), demo=True) as darkroom:
        yield darkroom


@pytest.fixture
async def alone(public_folder: Path, database_url: str) -> AsyncIterator[Darkroom]:
    """No InvokeAI answers it."""
    async with running(settings_for(public_folder / "data", database_url, invokeai_url=NO_SERVER)) as darkroom:
        yield darkroom


async def test_a_demo_says_so_and_leads_from_the_empty_library_to_a_first_picture(
    demo: Darkroom, watched_pages: WatchedPages
) -> None:
    page = await watched_pages.open(demo.url)
    await expect(page.get_by_test_id("demo-note")).to_contain_text("Demo")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    await expect(page.get_by_test_id("blank")).to_contain_text("the demo InvokeAI")
    await page.get_by_role("link", name="Make the first picture").click()
    await expect(page.get_by_role("heading", name="Make something")).to_be_visible()
    await expect(page.get_by_test_id("demo-note")).to_be_visible()
    await expect(page.get_by_role("list", name="Example prompts").get_by_role("button")).to_have_count(3)
    await page.goto("/activity")
    await expect(page.get_by_test_id("server")).to_have_attribute("data-state", "connected")
    await expect(page.get_by_test_id("server").get_by_role("heading")).to_have_text("Demo InvokeAI")
    await expect(page.get_by_test_id("ledger")).to_have_text("Nothing made yet")


async def test_with_a_server_of_ones_own_nothing_says_demo(open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await expect(page.get_by_text("demo")).to_have_count(0)


async def test_without_a_server_the_library_says_what_it_waits_for(
    alone: Darkroom, watched_pages: WatchedPages
) -> None:
    page = await watched_pages.open(alone.url)
    await expect(page.get_by_role("heading", name="Waiting for InvokeAI")).to_be_visible()
    await page.get_by_role("link", name="See the servers").click()
    await expect(page.get_by_test_id("server")).to_have_attribute("data-state", "unreachable")
    await expect(page.get_by_test_id("server")).to_contain_text("It is tried again by itself")


@pytest.mark.parametrize("path", ["/trash", "/activity", "/settings", "/studio", "/no-such-place"])
async def test_every_place_has_something_to_say_while_there_is_nothing(open_page: OpenPage, path: str) -> None:
    page = await open_page(path)
    await expect(page.get_by_role("main").locator("h1, h2").first).to_be_visible()
    await expect(page.get_by_role("main").locator("p").first).not_to_be_empty()
