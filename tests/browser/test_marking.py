"""Favourite, rating and flag: by mouse, touch and key, in the grid, the viewer and the inspector, seen everywhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

NARROWEST = PHONE | {"viewport": {"width": 320, "height": 568}}
THUMB = 44


async def stored(darkroom: Darkroom, query: str = "") -> list[dict[str, Any]]:
    """Photos as the service has them, newest first."""
    async with darkroom.http.get(f"/api/v1/photos?{query}") as response:
        assert response.status == 200
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items


async def marks(darkroom: Darkroom) -> list[tuple[bool, int, str | None]]:
    return [(photo["favorite"], photo["rating"], photo["pick"]) for photo in await stored(darkroom)]


def toast(page: Page) -> Locator:
    return page.get_by_test_id("toast").last


def star(within: Page | Locator, stars: int) -> Locator:
    return within.get_by_role("radio", name="1 star" if stars == 1 else f"{stars} stars", exact=True)


def rated(page: Page, number: int) -> Locator:
    """The stars that are set on a tile."""
    return tiles(page).nth(number).locator(".stars .on")


async def library(open_page: OpenPage, invokeai: ScriptedInvokeAI, many: int = 3, **context: Any) -> Page:
    await make(invokeai, *range(many), size=(192, 128))
    page = await open_page("/", **context)
    await expect(pictures(page)).to_have_count(many)
    return page


async def test_the_keys_mark_the_photo_they_stand_on_and_another_browser_sees_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai)
    other = await open_page("/")
    await expect(pictures(other)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("4")
    await expect(toast(page)).to_contain_text("Rated 4 stars")
    await page.keyboard.press("p")
    await expect(toast(page)).to_contain_text("Picked")
    await page.keyboard.press("f")
    await expect(toast(page)).to_contain_text("Added to the favourites")
    await expect(page.get_by_test_id("toast")).to_have_count(1)
    assert (await marks(darkroom))[0] == (True, 4, "pick")
    for shown in (page, other):
        await expect(rated(shown, 0)).to_have_count(4)
        await expect(tiles(shown).first.locator(".tile-flag.pick")).to_be_visible()
        name = await tiles(shown).first.get_by_role("link").get_attribute("aria-label")
        assert re.search(r", 4 stars, picked$", str(name))
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("x")
    await expect(toast(page)).to_contain_text("Rejected")
    await expect(other.locator(".tile.rejected")).to_have_count(1)
    await page.keyboard.press("u")
    await expect(toast(page)).to_contain_text("Flag removed")
    await expect(other.locator(".tile.rejected")).to_have_count(0)
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("0")
    await expect(toast(page)).to_contain_text("Rating removed")
    await expect(rated(other, 0)).to_have_count(0)
    await page.keyboard.press("Control+z")
    await expect(toast(page)).to_have_text("Undone: 1 photo")
    await expect(rated(page, 0)).to_have_count(4)
    assert await marks(darkroom) == [(True, 4, "pick"), (False, 0, None), (False, 0, None)]


async def test_shift_u_is_no_flag_key(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> None:
    page = await library(open_page, invokeai, 1)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("p")
    await expect(toast(page)).to_contain_text("Picked")
    await page.keyboard.press("Shift+U")
    await page.keyboard.press("3")
    await expect(toast(page)).to_contain_text("Rated 3 stars")
    assert await marks(darkroom) == [(False, 3, "pick")]


async def test_digits_typed_quickly_end_with_the_last_one(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 1)
    await page.keyboard.press("ArrowRight")
    for key in "512454p3":
        await page.keyboard.press(key)
    await expect(toast(page)).to_contain_text("Rated 3 stars")
    await expect(rated(page, 0)).to_have_count(3)
    assert await marks(darkroom) == [(False, 3, "pick")]


async def test_a_star_over_the_picture_rates_it_and_the_same_star_takes_it_back(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 2)
    await expect(page.locator(".tile .stars")).to_have_count(0)
    await tiles(page).first.hover()
    stars = tiles(page).first.get_by_role("radiogroup", name=re.compile("^Rating of hills in the mist"))
    await star(stars, 3).click()
    await expect(star(stars, 3)).to_be_checked()
    await expect(toast(page)).to_contain_text("Rated 3 stars")
    assert [photo["rating"] for photo in await stored(darkroom)] == [3, 0]
    await page.mouse.move(700, 880)
    await expect(rated(page, 0)).to_have_count(3)
    await expect(tiles(page).first.locator(".stars button:not(.on)").first).to_be_hidden()
    await tiles(page).first.hover()
    await star(stars, 3).click()
    await expect(toast(page)).to_contain_text("Rating removed")
    assert [photo["rating"] for photo in await stored(darkroom)] == [0, 0]
    await toast(page).get_by_role("button", name="Undo").click()
    await expect(star(stars, 3)).to_be_checked()


async def test_the_viewer_marks_by_key_and_mouse(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 2)
    await tiles(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 2")).to_be_visible()
    await page.keyboard.press("5")
    await expect(star(viewer, 5)).to_be_checked()
    await page.keyboard.press("x")
    reject, pick = (
        viewer.get_by_role("button", name="Reject", exact=True),
        viewer.get_by_role("button", name="Pick", exact=True),
    )
    await expect(reject).to_have_attribute("aria-pressed", "true")
    await pick.click()
    await expect(pick).to_have_attribute("aria-pressed", "true")
    await expect(reject).to_have_attribute("aria-pressed", "false")
    await pick.click()
    await expect(toast(page)).to_contain_text("Flag removed")
    await star(viewer, 2).click()
    await expect(toast(page)).to_contain_text("Rated 2 stars")
    await page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_text("2 of 2")).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await expect(viewer.get_by_text("1 of 2")).to_be_visible()
    # From the star that has the focus, they rate.
    await star(viewer, 2).focus()
    await page.keyboard.press("ArrowRight")
    await expect(star(viewer, 3)).to_be_checked()
    await expect(star(viewer, 3)).to_be_focused()
    await expect(viewer.get_by_text("1 of 2")).to_be_visible()
    await page.keyboard.press("p")
    await expect(toast(page)).to_contain_text("Picked")
    assert await marks(darkroom) == [(False, 3, "pick"), (False, 0, None)]


async def test_the_inspector_marks_and_a_mark_made_elsewhere_is_seen_in_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 1)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("i")
    inspector = page.get_by_test_id("inspector")
    await star(inspector, 4).click()
    await inspector.get_by_role("button", name="Pick", exact=True).click()
    await inspector.get_by_role("button", name="Favourite").click()
    await expect(toast(page)).to_contain_text("Added to the favourites")
    [photo] = await stored(darkroom)
    assert (photo["favorite"], photo["rating"], photo["pick"]) == (True, 4, "pick")
    async with darkroom.http.patch(f"/api/v1/photos/{photo['id']}", json={"rating": 1, "pick": "reject"}) as response:
        assert response.status == 200
    await expect(star(inspector, 1)).to_be_checked()
    await expect(inspector.get_by_role("button", name="Reject", exact=True)).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("screen", [PHONE, NARROWEST], ids=["phone", "narrowest"])
async def test_a_thumb_marks_in_the_viewer_and_the_sheet(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom, screen: dict[str, Any]
) -> None:
    page = await library(open_page, invokeai, 1, **screen)
    await tiles(page).first.get_by_role("link").tap()
    viewer = page.get_by_test_id("viewer")
    for control in await viewer.locator(".viewer-marks button, .viewer-bar > button").filter(visible=True).all():
        box = await control.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= THUMB
        assert 0 <= box["x"] <= screen["viewport"]["width"] - box["width"]
    await star(viewer, 4).tap()
    await expect(star(viewer, 4)).to_be_checked()
    await viewer.get_by_role("button", name="Reject", exact=True).tap()
    await viewer.get_by_role("button", name="Info").tap()
    inspector = viewer.get_by_test_id("inspector")
    await expect(star(inspector, 4)).to_be_checked()
    await star(inspector, 5).tap()
    await inspector.get_by_role("button", name="Pick", exact=True).tap()
    await expect(toast(page)).to_contain_text("Picked")
    assert await marks(darkroom) == [(False, 5, "pick")]


async def test_the_chosen_are_rated_flagged_and_given_back_with_one_key_each(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("2")
    await expect(toast(page)).to_contain_text("3 photos rated 2 stars")
    await page.keyboard.press("x")
    await expect(toast(page)).to_contain_text("3 photos rejected")
    assert await marks(darkroom) == [(False, 2, "reject")] * 3
    await page.keyboard.press("Control+z")
    await expect(toast(page)).to_have_text("Undone: 3 photos")
    assert await marks(darkroom) == [(False, 2, None)] * 3
    bar = page.get_by_test_id("selection-bar")
    await bar.get_by_role("button", name="Rate").click()
    await star(bar, 5).click()
    await expect(bar.get_by_role("button", name="Rate")).to_be_focused()
    await bar.get_by_role("button", name="Flag").click()
    await bar.get_by_role("button", name="Pick", exact=True).click()
    await expect(toast(page)).to_contain_text("3 photos picked")
    assert await marks(darkroom) == [(False, 5, "pick")] * 3
    await expect(bar).to_contain_text("3 photos")


async def test_the_chosen_are_rated_with_a_thumb(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 2, **NARROWEST)
    await page.get_by_role("button", name="Select all").first.tap()
    bar = page.get_by_test_id("selection-bar")
    await bar.get_by_role("button", name="Rate").tap()
    await star(bar, 4).tap()
    await expect(toast(page)).to_contain_text("2 photos rated 4 stars")
    await bar.get_by_role("button", name="Trash").tap()
    await expect(toast(page)).to_contain_text("2 photos moved to the trash")
    assert [photo["rating"] for photo in await stored(darkroom, "trashed=true")] == [4, 4]


async def test_what_cannot_be_marked_is_shown_as_it_was_and_why(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await library(open_page, invokeai, 2, tolerated=("status of 500",))
    is_full = False

    async def answer(route: Route) -> None:
        if is_full:
            await route.fulfill(status=500, json={"error": {"code": "server_error", "message": "The disk is full."}})
        else:
            await route.fallback()

    # From the first request on: Chromium lets one pass that is sent just after this.
    await page.route("**/api/v1/photos/bulk", answer)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("3")
    await expect(toast(page)).to_contain_text("Rated 3 stars")
    is_full = True
    for key in "51":
        await page.keyboard.press(key)
    await expect(toast(page)).to_have_text("Not changed. The disk is full.")
    await expect(rated(page, 0)).to_have_count(3)
    await page.keyboard.press("p")
    await expect(page.locator(".tile-flag")).to_have_count(0)


async def test_marks_are_kept_in_the_trash_and_out_of_it_where_they_cannot_be_changed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await library(open_page, invokeai, 1)
    await page.keyboard.press("ArrowRight")
    for key in ("4", "p", "f", "Delete"):
        await page.keyboard.press(key)
    await expect(toast(page)).to_contain_text("1 photo moved to the trash")
    await page.get_by_role("link", name="Trash").click()
    await expect(pictures(page)).to_have_count(1)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("i")
    inspector = page.get_by_test_id("inspector")
    await expect(star(inspector, 4)).to_be_checked()
    await expect(star(inspector, 4)).to_be_disabled()
    for key in "1x":
        await page.keyboard.press(key)
    await page.keyboard.press("r")
    await expect(toast(page)).to_contain_text("1 photo restored")
    assert await marks(darkroom) == [(True, 4, "pick")]
