"""To the trash, back from it, and out for good."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.pictures import make, pictures, tiles
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_a_trashed_picture_is_back_with_undo(visit: Visit, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page, other = await visit("/"), await visit("/")
    await expect(pictures(page)).to_have_count(2)
    await tiles(page).first.hover()
    await tiles(page).first.get_by_role("checkbox").click()
    await expect(page.get_by_test_id("selection-bar")).to_contain_text("1 photo")
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Trash").click()
    await expect(tiles(page)).to_have_count(1)
    await expect(tiles(other)).to_have_count(1)
    await page.get_by_test_id("toast").get_by_role("button", name="Undo").click()
    await expect(pictures(page)).to_have_count(2)
    await expect(pictures(other)).to_have_count(2)


async def test_the_trash_shows_what_is_in_it_gives_it_back_and_deletes_it_for_good(
    visit: Visit, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await visit("/")
    await expect(pictures(page)).to_have_count(3)
    await page.get_by_role("button", name="Select all").click()
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()

    await page.get_by_role("link", name="Trash").click()
    await expect(pictures(page)).to_have_count(3)
    await tiles(page).first.get_by_role("link").click()
    await page.get_by_test_id("viewer").get_by_role("button", name="Restore").click()
    await expect(page.get_by_test_id("viewer").get_by_text("of 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(2)

    await page.get_by_role("button", name="Empty the trash").click()
    dialog = page.get_by_role("dialog", name="Empty the trash?")
    await expect(dialog).to_contain_text("cannot be undone")
    await dialog.get_by_role("button", name="Keep").click()
    await expect(tiles(page)).to_have_count(2)
    await page.get_by_role("button", name="Empty the trash").click()
    await dialog.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await page.get_by_role("link", name="Library", exact=True).click()
    await expect(pictures(page)).to_have_count(1)
    async with darkroom.http.get("/api/v1/photos") as response:
        assert (await response.json())["total"] == 1
