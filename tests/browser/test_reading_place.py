"""The reading place in a long library is kept when photos come, go and the layout changes."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = [pytest.mark.browser, pytest.mark.moves]

WINDOW = {"width": 1100, "height": 500}
MANY = 30
SHAPES = ((96, 64), (64, 96), (64, 64))

FIND = """(photo) => {
  const tile = document.querySelector(`[data-photo="${photo}"]`);
  if (!tile) return null;
  const { top, width } = tile.getBoundingClientRect();
  return { below: top - document.querySelector('.grid').getBoundingClientRect().top, width };
}"""
STANDS = f"""([photo, below, other]) => {{
  const now = ({FIND})(photo);
  return now !== null && Math.abs(now.below - below) <= 2 && now.width !== other;
}}"""


async def fill(invokeai: ScriptedInvokeAI) -> None:
    for number, size in enumerate(SHAPES):
        await make(invokeai, *range(number * 100, number * 100 + MANY // len(SHAPES)), size=size)


async def go_down(page: Page) -> tuple[str, float, float]:
    """Scrolls until a row in the middle stands under the day's header; its photo, how far down, and how wide."""
    grid = page.get_by_test_id("grid")
    await expect(page.get_by_text(f"{MANY} photos")).to_be_visible()
    await grid.evaluate("grid => grid.scrollTo(0, grid.scrollHeight / 2)")
    await expect(pictures(page).nth(3)).to_be_visible()
    photo, by = await page.evaluate("""() => {
      const line = document.querySelector('.grid').getBoundingClientRect().top + 44;
      const tile = [...document.querySelectorAll('.tile')].find((one) => one.getBoundingClientRect().top >= line);
      return [tile.dataset.photo, tile.getBoundingClientRect().top - line];
    }""")
    await grid.evaluate("(grid, by) => grid.scrollBy(0, by)", by)
    await page.wait_for_function(STANDS, arg=[photo, 44, None])
    found = await page.evaluate(FIND, photo)
    return photo, found["below"], found["width"]


async def test_it_is_kept_through_sizes_and_the_inspector(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await fill(invokeai)
    page = await open_page("/", viewport=WINDOW)
    photo, below, width = await go_down(page)
    await page.keyboard.press("i")
    await page.wait_for_function(STANDS, arg=[photo, below, width])
    width = (await page.evaluate(FIND, photo))["width"]
    await page.get_by_role("slider", name="Size of the pictures").fill("130")
    await page.wait_for_function(STANDS, arg=[photo, below, width])
    width = (await page.evaluate(FIND, photo))["width"]
    await page.set_viewport_size({"width": 760, "height": 620})
    await page.wait_for_function(STANDS, arg=[photo, below, width])


async def test_it_is_kept_as_photos_above_it_come_and_go(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await fill(invokeai)
    page = await open_page("/", viewport=WINDOW)
    await expect(tiles(page).nth(2)).to_be_visible()
    above = [str(await tiles(page).nth(number).get_attribute("data-photo")) for number in (1, 2)]
    photo, below, _ = await go_down(page)
    for one in above:
        async with darkroom.http.delete(f"/api/v1/photos/{one}") as response:
            assert response.status == 204
    await expect(page.get_by_text(f"{MANY - 2} photos")).to_be_visible()
    await page.wait_for_function(STANDS, arg=[photo, below, None])
    for one in above:
        async with darkroom.http.post(f"/api/v1/photos/{one}/restore") as response:
            assert response.ok
    await expect(page.get_by_text(f"{MANY} photos")).to_be_visible()
    await page.wait_for_function(STANDS, arg=[photo, below, None])
    await expect(page.get_by_test_id("new-pill")).to_be_hidden()


async def test_it_is_found_again_after_a_visit_elsewhere(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await fill(invokeai)
    page = await open_page("/", viewport=WINDOW)
    photo, below, _ = await go_down(page)
    await page.get_by_role("link", name="Activity").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    await make(invokeai, 1000)
    await expect(page.get_by_test_id("ledger")).to_contain_text(f"{MANY + 1} home")
    await page.get_by_role("link", name="Library", exact=True).click()
    await expect(page.get_by_text(f"{MANY + 1} photos")).to_be_visible()
    await page.wait_for_function(STANDS, arg=[photo, below, None])


async def test_it_is_found_again_after_a_reload(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await fill(invokeai)
    page = await open_page("/", viewport=WINDOW)
    photo, below, _ = await go_down(page)
    await page.reload()
    await page.wait_for_function(STANDS, arg=[photo, below, None])


async def test_what_is_on_screen_is_not_drawn_anew_as_rows_scroll_in(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await fill(invokeai)
    page = await open_page("/", viewport=WINDOW)
    photo, _, _ = await go_down(page)
    tile = page.locator(f"[data-photo='{photo}']")
    await tile.evaluate("tile => { tile.dataset.same = 'yes' }")
    shown = await tiles(page).first.get_attribute("data-photo")
    await page.get_by_test_id("grid").evaluate("grid => grid.scrollBy(0, 250)")
    await expect(tiles(page).first).not_to_have_attribute("data-photo", str(shown))
    await expect(tile).to_have_attribute("data-same", "yes")


async def test_photos_stay_on_show_until_those_of_another_filter_are_read(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    gate = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await gate.wait()
        await route.continue_()

    await page.route(re.compile(r"/photos\?.*favorite=true"), answer_late)
    await page.get_by_role("button", name="Only favourites").click()
    await expect(page.locator("[aria-busy=true]")).to_be_visible()
    await expect(pictures(page)).to_have_count(2)
    gate.set()
    await expect(page.get_by_role("heading", name="No photos match")).to_be_visible()
    await page.get_by_role("button", name="Show all photos").click()
    await expect(pictures(page)).to_have_count(2)


async def test_a_selection_lets_go_of_what_leaves_elsewhere(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    bar = page.get_by_test_id("selection-bar")
    await expect(bar).to_contain_text("2 photos")
    photos = [str(await tile.get_attribute("data-photo")) for tile in await tiles(page).all()]
    async with darkroom.http.delete(f"/api/v1/photos/{photos[1]}") as response:
        assert response.status == 204
    await expect(bar).to_contain_text("1 photo")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", photos[2])
