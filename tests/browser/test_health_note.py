"""What keeps pictures from coming home is said on the page, in words, for as long as it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.media.storage import MARKER
from service.operations.readiness import WORDS
from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import LOST_CONNECTION

pytestmark = pytest.mark.browser

UNAVAILABLE = r"status of 503"
"""A browser reports every 503, though the page expects it."""


async def test_a_folder_that_is_not_the_right_one_is_told_and_forgotten_without_a_reload(
    open_page: OpenPage, public_folder: Path
) -> None:
    page = await open_page("/", tolerated=(UNAVAILABLE,))
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await expect(page.get_by_test_id("health-note")).to_have_count(0)
    (public_folder / "data" / MARKER).rename(public_folder / "data" / "away")
    await expect(page.get_by_test_id("health-note")).to_have_text(WORDS["wrong_folder"])
    await expect(page.get_by_test_id("connection")).to_have_text("Wrong data folder")
    activity = page.get_by_role("navigation", name="Places").get_by_role("link", name="Activity: Wrong data folder")
    await expect(activity.filter(visible=True)).to_be_visible()
    (public_folder / "data" / "away").rename(public_folder / "data" / MARKER)
    await expect(page.get_by_test_id("health-note")).to_have_count(0)


async def test_a_database_that_is_away_is_not_called_darkrooms_silence(
    open_page: OpenPage, server: AsyncEngine, database_url: str
) -> None:
    page = await open_page("/activity", tolerated=(UNAVAILABLE, LOST_CONNECTION))
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    name = database_url.rpartition("/")[2].partition("?")[0]
    async with server.connect() as admin:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        await admin.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        try:
            await page.reload()
            await expect(page.get_by_test_id("health-note")).to_contain_text("The database does not answer")
            await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
            await expect(page.get_by_test_id("offline-note")).to_have_count(0)
        finally:
            await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    await expect(page.get_by_test_id("health-note")).to_have_count(0)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
