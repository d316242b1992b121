"""The owner's password, in the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.visitors import Visitors
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for

pytestmark = pytest.mark.browser

PASSWORD = "under the red light"
REFUSED = (r"status of 401", r"WebSocket connection to .* failed: HTTP Authentication failed")


@pytest.fixture
async def locked(place: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    settings = settings_for(place / "data", database_url, invokeai_url=invokeai.url, password=PASSWORD)
    async with running(settings) as darkroom:
        yield darkroom


async def test_only_the_password_opens_the_library_and_signing_out_closes_it(
    locked: Darkroom, visitors: Visitors
) -> None:
    page = await visitors.visit(locked.url, "/activity", tolerated=REFUSED)
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

    other = await page.context.new_page()
    await other.goto("/")
    assert await other.evaluate("fetch('/api/v1/logout', {method: 'POST'}).then(answer => answer.status)") == 204
    await expect(page.get_by_label("Password")).to_be_visible()
    await expect(page.get_by_role("navigation")).to_have_count(0)
