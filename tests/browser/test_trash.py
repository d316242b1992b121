"""To the trash, back from it, and out for good."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_a_trashed_picture_is_back_with_undo(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page, other = await open_page("/"), await open_page("/")
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
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
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


async def test_an_emptied_library_shows_again_what_comes_back_and_what_is_new(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    await pictures(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer").locator("img.pswp__img").first).to_be_visible()
    await page.keyboard.press("Delete")
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    await page.get_by_test_id("toast").last.get_by_role("button", name="Undo").click()
    await expect(pictures(page)).to_have_count(1)
    await make(invokeai, 100)
    await expect(pictures(page)).to_have_count(2)


async def test_emptied_from_further_down_it_shows_what_is_new(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, *range(8))
    page = await open_page("/", viewport={"width": 700, "height": 300})
    await expect(page.get_by_text("8 photos")).to_be_visible()
    await page.get_by_test_id("grid").evaluate("grid => grid.scrollTo(0, 200)")
    await expect(page.get_by_test_id("grid")).not_to_have_js_property("scrollTop", 0)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    await make(invokeai, 100)
    await expect(pictures(page)).to_have_count(1)


async def test_each_deletion_has_an_undo_of_its_own(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Delete")
    await expect(tiles(page)).to_have_count(2)
    await page.keyboard.press("Delete")
    await expect(tiles(page)).to_have_count(1)
    undo = page.get_by_test_id("toast").get_by_role("button", name="Undo")
    await expect(undo).to_have_count(2)
    await undo.first.click()
    await expect(pictures(page)).to_have_count(2)
    await undo.first.click()
    await expect(pictures(page)).to_have_count(3)


async def test_delete_pressed_twice_in_the_viewer_trashes_two_and_never_gives_back(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await pictures(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 3")).to_be_visible()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Delete")
    await expect(page.get_by_test_id("toast")).to_have_count(2)
    await expect(viewer.get_by_role("button", name="Move to the trash")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(1)
    async with darkroom.http.get("/api/v1/photos") as response:
        assert (await response.json())["total"] == 1


async def test_a_held_delete_trashes_one(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await pictures(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer").get_by_text("1 of 3")).to_be_visible()
    for _ in range(4):
        await page.keyboard.down("Delete")
    await page.keyboard.up("Delete")
    await expect(page.get_by_test_id("toast")).to_contain_text("1 photo moved to the trash")
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(2)
    async with darkroom.http.get("/api/v1/photos") as response:
        assert (await response.json())["total"] == 2


async def refuse(page: Page) -> None:
    """Darkroom has trouble with changes to many."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=500, json={"error": {"code": "server_error", "message": "The disk is full."}})

    await page.route("**/api/v1/photos/bulk", answer)


async def test_what_cannot_be_trashed_or_made_a_favourite_is_shown_as_it_was(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/", tolerated=("status of 500",))
    await expect(pictures(page)).to_have_count(3)
    await refuse(page)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("f")
    toasts = page.get_by_test_id("toast")
    await expect(toasts).to_contain_text("Not changed. The disk is full.")
    for heart in await tiles(page).get_by_role("button", name="Favourite").all():
        await expect(heart).to_have_attribute("aria-pressed", "false")
    await page.keyboard.press("Delete")
    await expect(toasts.last).to_contain_text("Not moved to the trash. The disk is full.")
    await expect(pictures(page)).to_have_count(3)


async def test_the_trash_says_how_long_it_keeps_a_photo_and_deletes_for_good_the_chosen_ones_once_it_asked(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await page.get_by_role("link", name="Trash").click()
    await expect(pictures(page)).to_have_count(3)
    await expect(page.get_by_text("deleted for good after 30 days")).to_be_visible()
    await expect(tiles(page).first).to_contain_text("29 days left")

    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Delete")
    question = page.get_by_role("dialog", name="Delete 1 photo for good?")
    await question.get_by_role("button", name="Keep").click()
    await expect(tiles(page)).to_have_count(3)
    await page.keyboard.press("Control+a")
    await tiles(page).nth(2).get_by_role("checkbox").click()
    await page.keyboard.press("Delete")
    question = page.get_by_role("dialog", name="Delete 2 photos for good?")
    await expect(question).to_contain_text("cannot be undone")
    await question.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_test_id("toast").last).to_have_text("2 photos deleted for good")
    await expect(tiles(page)).to_have_count(1)

    await tiles(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer).to_contain_text("29 days left")
    await page.keyboard.press("r")
    await expect(viewer).to_be_hidden()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await page.keyboard.press("Control+z")
    await expect(pictures(page)).to_have_count(1)

    await tiles(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("Delete")
    await (
        page.get_by_role("dialog", name="Delete 1 photo for good?")
        .get_by_role("button", name="Delete for good")
        .click()
    )
    await expect(viewer).to_be_hidden()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await expect(page.get_by_test_id("toast").last).to_have_text("1 photo deleted for good")
    async with (
        darkroom.http.get("/api/v1/photos") as library,
        darkroom.http.get("/api/v1/photos?trashed=true") as trash,
    ):
        assert ((await library.json())["total"], (await trash.json())["total"]) == (0, 0)
