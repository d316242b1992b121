"""How large a picture stands in the viewer, and what stands around it: never on it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import FloatRect, Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures
from tests.browser.viewer import assert_viewer_shows, shown_file
from tests.browser.watched_pages import LOST_CONNECTION
from tests.fakes import ScriptedInvokeAI

pytestmark = [pytest.mark.browser, pytest.mark.moves]

WINDOW = {"width": 1000, "height": 700}
BAR = STRIP = 60
FREE = 700 - BAR - STRIP


async def open_first(page: Page, count: int) -> Locator:
    await expect(pictures(page)).to_have_count(count)
    await pictures(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(shown_file(page)).not_to_have_js_property("naturalWidth", 0)
    return viewer


async def box_of(locator: Locator) -> FloatRect:
    box = await locator.bounding_box()
    assert box is not None
    return box


async def lies_on(one: Locator, other: Locator) -> bool:
    a, b = await box_of(one), await box_of(other)
    across = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    down = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    return across > 1 and down > 1


async def test_a_small_picture_fills_the_room_there_is_and_nothing_lies_on_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", viewport=WINDOW)
    viewer = await open_first(page, 2)
    picture = shown_file(page)
    await expect(picture).to_have_css("height", f"{FREE}px")
    assert await box_of(picture) == {"x": 65, "y": BAR, "width": 870, "height": FREE}
    for part in (".viewer-bar", ".filmstrip"):
        assert not await lies_on(viewer.locator(part), picture), part
        await expect(viewer.locator(part)).to_have_css("background-color", "rgb(0, 0, 0)")
    on_it = "([x, y]) => document.elementFromPoint(x, y).closest('.pswp') !== null"
    for corner in ((70, BAR + 5), (930, BAR + 5), (70, 700 - STRIP - 5), (930, 700 - STRIP - 5), (70, 350), (930, 350)):
        assert await page.evaluate(on_it, corner), corner

    await page.keyboard.press("Delete")
    toast = page.get_by_test_id("toast")
    await expect(toast).to_be_visible()
    await expect(viewer.get_by_test_id("filmstrip")).to_be_hidden()  # of one picture left
    assert not await lies_on(toast, picture)
    await toast.get_by_role("button", name="Undo").click()
    await expect(viewer.get_by_test_id("filmstrip")).to_be_visible()


async def test_while_the_mouse_rests_the_picture_has_the_whole_window(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", viewport=WINDOW, reduced_motion="reduce")
    await open_first(page, 2)
    picture = shown_file(page)
    await page.clock.install()
    await page.mouse.move(300, 300)
    await page.clock.fast_forward(3_500)
    await expect(picture).to_have_css("width", "1000px")
    box = await box_of(picture)
    assert box["x"] == 0
    assert box["y"] * 2 + box["height"] == pytest.approx(700, abs=1)
    await page.mouse.move(320, 300)
    await expect(picture).to_have_css("height", f"{FREE}px")


async def test_z_leads_to_every_pixel_also_of_a_picture_that_was_enlarged(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/", viewport=WINDOW)
    viewer = await open_first(page, 1)
    await expect(viewer.get_by_test_id("zoom")).to_have_text("1000 %")
    await page.keyboard.press("z")
    await expect(shown_file(page)).to_have_css("width", "96px")
    await expect(viewer.get_by_test_id("zoom")).to_have_text("100 %")
    await viewer.get_by_test_id("zoom").click()
    await expect(shown_file(page)).to_have_css("width", "960px")


async def test_the_next_picture_shows_the_same_place_as_closely(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2, 3, size=(1280, 960))
    page = await open_page("/", viewport=WINDOW)
    viewer = await open_first(page, 3)
    picture = shown_file(page)
    fitting = await box_of(picture)
    # What is under the pointer stays under it.
    at = (fitting["x"] + fitting["width"] * 0.25, fitting["y"] + fitting["height"] * 0.75)
    await page.mouse.move(*at)
    await page.keyboard.press("z")
    await expect(picture).to_have_css("width", "1280px")
    close = await box_of(picture)
    assert (at[0] - close["x"]) / close["width"] == pytest.approx(0.25, abs=0.01)
    assert (at[1] - close["y"]) / close["height"] == pytest.approx(0.75, abs=0.01)

    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        before = await viewer.get_attribute("data-photo")
        await page.keyboard.press(key)
        await expect(viewer).not_to_have_attribute("data-photo", str(before))
        await assert_viewer_shows(page, await viewer.get_attribute("data-photo"))
        await expect(viewer.get_by_test_id("zoom")).to_have_text("100 %")
        assert await box_of(picture) == close
    await page.keyboard.press("z")
    await expect(picture).to_have_css("height", f"{FREE}px")
    await page.keyboard.press("ArrowLeft")
    await expect(viewer.get_by_text("1 of 3")).to_be_visible()
    await expect(picture).to_have_css("height", f"{FREE}px")


async def test_the_strip_is_centred_again_when_the_inspector_takes_its_room(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(24))
    page = await open_page("/", viewport=WINDOW)
    await expect(page.get_by_text("24 photos")).to_be_visible()
    await pictures(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 24")).to_be_visible()
    for number in range(2, 14):
        await page.keyboard.press("ArrowRight")
        await expect(viewer.get_by_text(f"{number} of 24")).to_be_visible()
    is_centred = """() => {
        const [strip, cell] = [".filmstrip", ".filmstrip [aria-current=true]"].map(
            (one) => document.querySelector(one).getBoundingClientRect());
        return Math.abs(strip.x + strip.width / 2 - cell.x - cell.width / 2) < 20;
    }"""
    await page.wait_for_function(is_centred)
    await page.keyboard.press("i")
    await expect(viewer.get_by_test_id("filmstrip")).to_have_css("width", "680px")
    await page.wait_for_function(is_centred)


async def test_a_file_that_does_not_come_leaves_its_thumbnail_and_says_why(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, size=(1200, 800))
    page = await open_page("/", viewport=WINDOW, tolerated=(LOST_CONNECTION,))
    await expect(pictures(page)).to_have_count(1)
    await page.context.route(re.compile("/file|size=large"), lambda route: route.abort())
    await pictures(page).first.get_by_role("link").click()
    unloaded = page.get_by_test_id("unloaded")
    await expect(unloaded).to_contain_text("The file cannot be shown.")
    thumbnail = unloaded.locator("img.front")
    await expect(thumbnail).not_to_have_js_property("naturalWidth", 0)
    box = await box_of(thumbnail)
    assert box["height"] > 500


async def test_the_viewer_whose_code_cannot_be_loaded_shows_the_thumbnail_and_says_why(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/settings", viewport=WINDOW, tolerated=(LOST_CONNECTION,))
    await page.context.route("**/photoswipe*.js", lambda route: route.abort())
    await page.goto("/")
    await expect(pictures(page)).to_have_count(1)
    await pictures(page).first.get_by_role("link").click()
    unloaded = page.get_by_test_id("unloaded")
    await expect(unloaded).to_contain_text("This is its thumbnail")
    await expect(unloaded.locator("img.front")).not_to_have_js_property("naturalWidth", 0)
    await page.context.unroute("**/photoswipe*.js")
    await page.keyboard.press("Escape")
    await pictures(page).first.get_by_role("link").click()
    await expect(shown_file(page)).not_to_have_js_property("naturalWidth", 0)
