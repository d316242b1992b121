"""The library by rating and flag; what stops to match is not taken away from who looks at it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from service.database.engine import Connection
from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.test_marking import star, stored, toast
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.rows import add_photo

pytestmark = pytest.mark.browser


async def four_marked(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> Page:
    """Newest first: rejected, 5 stars, 3 stars and picked, nothing."""
    await make(invokeai, 1, 2, 3, 4)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(4)
    said = [{"pick": "reject"}, {"rating": 5}, {"rating": 3, "pick": "pick"}, {}]
    for photo, change in zip(await stored(darkroom), said, strict=True):
        async with darkroom.http.patch(f"/api/v1/photos/{photo['id']}", json=change) as response:
            assert response.status == 200
    return page


async def test_the_toolbar_filters_by_rating_and_flag_and_the_address_says_so(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await four_marked(open_page, invokeai, darkroom)
    button = page.get_by_role("button", name="Rating and flag")
    await button.click()
    panel = page.get_by_role("dialog", name="Rating and flag")
    await star(panel, 3).click()
    await expect(tiles(page)).to_have_count(2)
    await expect(page).to_have_url("/?rating_min=3")
    await panel.get_by_role("button", name="Picked").click()
    await expect(tiles(page)).to_have_count(1)
    await expect(page).to_have_url("/?rating_min=3&pick=pick")
    await star(panel, 3).click()
    await panel.get_by_role("button", name="Unflagged").click()
    await expect(page).to_have_url("/?pick=pick&pick=none")
    await expect(tiles(page)).to_have_count(3)
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(button).to_be_focused()
    await expect(button).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(tiles(page)).to_have_count(3)
    await page.goto("/?rating_min=5&pick=reject")
    await expect(page.get_by_role("heading", name="No photos match")).to_be_visible()
    await page.get_by_role("button", name="Show all photos").click()
    await expect(tiles(page)).to_have_count(4)


async def test_a_tag_leads_to_all_photos_that_have_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    for photo, given in zip(await stored(darkroom), (["sea & sky", "day"], ["sea & sky"], ["night"]), strict=True):
        async with darkroom.http.patch(f"/api/v1/photos/{photo['id']}", json={"tags": given}) as response:
            assert response.status == 200
    await tiles(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("i")
    await page.get_by_role("link", name="sea & sky").click()
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await expect(tiles(page)).to_have_count(2)
    await expect(page).to_have_url("/?tag=sea+%26+sky")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("3")
    await expect(toast(page)).to_contain_text("2 photos rated 3 stars")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Not only sea & sky").click()
    await expect(tiles(page)).to_have_count(3)
    assert [photo["rating"] for photo in await stored(darkroom)] == [3, 3, 0]


async def test_what_stops_to_match_stays_under_the_pointer_and_goes_once_it_has_left(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/?pick=none")
    await expect(pictures(page)).to_have_count(3)
    second = await tiles(page).nth(1).get_attribute("data-photo")
    await tiles(page).nth(1).hover()
    async with darkroom.http.patch(f"/api/v1/photos/{second}", json={"pick": "reject"}) as response:
        assert response.status == 200
    await expect(tiles(page).nth(1).locator(".tile-flag.reject")).to_be_visible()
    await expect(tiles(page)).to_have_count(3)
    await page.mouse.move(700, 10)
    await expect(tiles(page)).to_have_count(2)
    await expect(page.locator(f"[data-photo='{second}']")).to_have_count(0)
    await tiles(page).first.hover()
    await star(tiles(page).first, 4).click()
    await expect(toast(page)).to_contain_text("Rated 4 stars")
    await page.mouse.move(700, 10)
    await expect(tiles(page)).to_have_count(2)


async def test_the_keys_go_through_a_filtered_library_without_a_jump(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/?pick=none")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    for key in ("p", "ArrowRight", "x", "ArrowRight", "p"):
        await page.keyboard.press(key)
    await expect(page.locator(".tile-flag")).to_have_count(3)
    await expect(tiles(page).nth(2).get_by_role("link")).to_be_focused()
    await page.keyboard.press("Enter")
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("3 of 3")).to_be_visible()
    await page.keyboard.press("u")
    await expect(viewer.get_by_role("button", name="Pick", exact=True)).to_have_attribute("aria-pressed", "false")
    await expect(toast(page)).to_contain_text("Flag removed")
    await expect(viewer.get_by_text("3 of 3")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(1)
    assert [photo["pick"] for photo in await stored(darkroom)] == ["pick", "reject", None]


async def test_all_that_a_filter_shows_is_flagged_and_given_back(
    open_page: OpenPage, darkroom: Darkroom, connection: Connection
) -> None:
    async with connection.transaction():
        for number in range(260):
            await add_photo(connection, home=False, retrieval_status="gone", rating=4 if number % 13 else 1)
    page = await open_page("/?rating_min=4")
    await expect(tiles(page).first).to_be_visible()
    await page.keyboard.press("Control+a")
    await expect(page.get_by_test_id("selection-bar")).to_contain_text("240 photos")
    await page.keyboard.press("p")
    await expect(toast(page)).to_contain_text("240 photos picked")
    assert {photo["rating"] for photo in await stored(darkroom, "pick=pick&limit=200")} == {4}
    assert len(await stored(darkroom, "pick=none")) == 20
    await page.keyboard.press("Control+z")
    await expect(toast(page)).to_have_text("Undone: 240 photos")
    assert await stored(darkroom, "pick=pick") == []
