"""The owner's password, in the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.uploads import Desk, drop, pngs, rows, taken
from tests.browser.watched_pages import WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for

pytestmark = pytest.mark.browser

PASSWORD = "under the red light"
REFUSED = (r"status of 401", r"WebSocket connection to .* failed: HTTP Authentication failed")


@pytest.fixture
async def locked(public_folder: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    settings = settings_for(public_folder / "data", database_url, invokeai_url=invokeai.url, password=PASSWORD)
    async with running(settings) as darkroom:
        yield darkroom


async def enter(page: Page) -> None:
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Open the library").click()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")


async def test_only_the_password_opens_the_library(locked: Darkroom, watched_pages: WatchedPages) -> None:
    page = await watched_pages.open(locked.url, "/activity", tolerated=REFUSED)
    await expect(page.get_by_label("Password")).to_be_focused()
    await expect(page.get_by_role("navigation")).to_have_count(0)

    await page.get_by_label("Password").fill("not this one")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Open the library").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await page.reload()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")


async def test_signing_out_closes_every_window_of_this_browser(locked: Darkroom, watched_pages: WatchedPages) -> None:
    page = await watched_pages.open(locked.url, "/settings", tolerated=REFUSED)
    await enter(page)
    other = await page.context.new_page()
    await other.goto("/")
    await expect(other.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await page.get_by_role("button", name="Sign out").click()
    for window in (page, other):
        await expect(window.get_by_label("Password")).to_be_visible()
        await expect(window.get_by_role("navigation")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_label("Password")).to_be_visible()


async def test_a_session_that_ends_takes_no_draft_with_it(locked: Darkroom, watched_pages: WatchedPages) -> None:
    page = await watched_pages.open(locked.url, "/studio", tolerated=REFUSED)
    await enter(page)
    await page.get_by_role("button", name="New session").first.click()
    await page.get_by_label("Prompt", exact=True).fill("a lake by night")
    other = await page.context.new_page()
    await other.goto("/settings")
    await other.get_by_role("button", name="Sign out").click()
    await enter(page)
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lake by night")


async def test_a_session_that_ends_takes_no_upload_with_it(locked: Darkroom, watched_pages: WatchedPages) -> None:
    page = await watched_pages.open(locked.url, "/", tolerated=REFUSED)
    await enter(page)
    await page.evaluate("window.stayed = true")
    no_session = {"error": {"code": "unauthorized", "message": "Log in first."}}
    desk = Desk(lambda number: (401, no_session) if number <= 3 else taken(number))
    await desk.stand_before(page)
    await drop(page, pngs(5))
    desk.open.set()
    await expect(page.get_by_text("5 uploads go on once you are signed in. Keep this page open.")).to_be_visible()
    await enter(page)
    await expect(rows(page, "here")).to_have_count(5)
    assert await page.evaluate("window.stayed")
    assert desk.asked == 8


async def test_without_a_password_there_is_nothing_to_sign_out_of(open_page: OpenPage) -> None:
    page = await open_page("/settings")
    await expect(page.get_by_role("heading", name="About")).to_be_visible()
    await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
