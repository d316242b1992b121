"""On a phone, with one thumb."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.views import create_session, each_view, fill_library
from tests.browser.watched_pages import LOST_CONNECTION, PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

THUMB = 44
NARROWEST = PHONE | {"viewport": {"width": 320, "height": 568}}
HELD_MS = 700


async def tabs(page: Page) -> Locator:
    shown = page.get_by_role("navigation", name="Places").filter(visible=True)
    await expect(shown).to_have_count(1)
    return shown.get_by_role("link")


async def assert_no_sideways_scroll(page: Page, place: str) -> None:
    width = await page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert width <= PHONE["viewport"]["width"], f"{place} is {width} px wide"


async def test_the_tabs_lead_everywhere_and_fit_a_thumb(open_page: OpenPage) -> None:
    page = await open_page("/", **PHONE)
    for name, place in (("Studio", "/studio"), ("Activity", "/activity"), ("More", "/settings"), ("Library", "/")):
        await (await tabs(page)).filter(has_text=name).tap()
        await expect(page).to_have_url(re.compile(f"{place}$"))
        await expect((await tabs(page)).filter(has_text=name)).to_have_attribute("aria-current", "page")
    for tab in await (await tabs(page)).all():
        box = await tab.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= THUMB
        assert box["y"] + box["height"] <= PHONE["viewport"]["height"]
    await (await tabs(page)).filter(has_text="More").tap()
    await page.get_by_role("link", name="Trash").tap()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()


async def test_no_place_scrolls_sideways(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page("/", **PHONE)
    async for place in each_view(page, session):
        await assert_no_sideways_scroll(page, place)


async def test_a_step_is_composed_on_a_sheet_and_its_pictures_come_first(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio", **PHONE)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").nth(1).tap()
    compose = page.get_by_role("button", name="Compose", exact=True)
    await compose.tap()
    generate = page.get_by_test_id("generate")
    await expect(generate).to_be_in_viewport(ratio=1)
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Batch", exact=True).fill("2")
    box = await generate.bounding_box()
    assert box is not None
    assert box["height"] >= THUMB
    await assert_no_sideways_scroll(page, "the sheet")
    hold = invokeai.hold("output")
    await generate.tap()
    await hold.reached()
    await expect(page.get_by_test_id("slot").first).to_be_in_viewport()
    await expect(generate).not_to_be_in_viewport()
    await expect(page.get_by_role("button", name="Cancel").filter(visible=True).first).to_be_in_viewport(ratio=1)
    hold.release()
    await expect(page.locator("[data-testid=slot][data-state=photo] img.front.shown")).to_have_count(2)


async def test_a_tap_opens_a_picture_and_its_facts_come_as_a_sheet(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", **PHONE)
    await expect(pictures(page)).to_have_count(2)
    await tiles(page).first.tap()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 2")).to_be_visible()
    await viewer.get_by_role("button", name="Info").tap()
    sheet = page.get_by_role("complementary", name="Info")
    await expect(sheet).to_be_in_viewport()
    await expect(sheet.get_by_test_id("inspector")).to_contain_text("hills in the mist")
    await assert_no_sideways_scroll(page, "the sheet")
    await sheet.get_by_role("button", name="Close").tap()
    await expect(sheet).to_be_hidden()
    await viewer.get_by_role("button", name="Info").tap()
    await expect(sheet).to_be_visible()
    await pull_down(page, sheet, 30)
    await expect(sheet).to_be_in_viewport()
    await pull_down(page, sheet, 200)
    await expect(sheet).to_be_hidden()
    await viewer.get_by_role("button", name="Back").tap()
    await expect(viewer).to_be_hidden()


async def pull_down(page: Page, sheet: Locator, by: int) -> None:
    """A finger at its top edge, and away down."""
    box = await sheet.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 12
    touch = await page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y + by / 2}]),
        ("touchMove", [{"x": x, "y": y + by}]),
        ("touchEnd", []),
    ):
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await touch.detach()


async def assert_fit_a_thumb(controls: Locator) -> None:
    assert await controls.count() > 0, controls
    for control in await controls.all():
        box = await control.bounding_box()
        assert box is not None
        assert round(min(box["width"], box["height"]), 1) >= THUMB, (control, box)


async def test_what_is_pressed_in_activity_and_on_the_sheet_fits_a_thumb(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page("/activity", **PHONE)
    await expect(page.get_by_test_id("retrievals").get_by_role("row")).to_have_count(1)
    await assert_fit_a_thumb(page.get_by_test_id("retrievals").locator("a, button").filter(visible=True))
    await assert_fit_a_thumb(page.get_by_role("link", name="see why"))
    await page.goto(f"/studio/{session}")
    await page.get_by_role("button", name="Compose", exact=True).tap()
    sheet = page.get_by_role("form", name="Compose")
    await assert_fit_a_thumb(sheet.get_by_role("button").filter(visible=True))


async def test_the_sheet_is_no_wider_than_the_narrowest_phone(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}", **NARROWEST)
    await page.get_by_role("button", name="Compose", exact=True).tap()
    await expect(page.get_by_label("Height", exact=True)).to_be_visible()
    fields = page.locator(".compose-fields")
    assert await fields.evaluate("fields => fields.scrollWidth <= fields.clientWidth")


async def test_a_message_that_stays_is_in_the_way_of_no_button_below(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}", tolerated=(LOST_CONNECTION,), **PHONE)
    compose, generate = page.get_by_role("button", name="Compose", exact=True), page.get_by_test_id("generate")
    await compose.tap()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.route("**/steps", lambda route: route.abort())
    await generate.tap()
    await expect(page.get_by_test_id("toast")).to_be_visible()
    await generate.tap(trial=True)
    await page.get_by_role("form", name="Compose").get_by_role("button", name="Close").tap()
    await compose.tap(trial=True)
    await expect(page.get_by_test_id("toast")).to_be_visible()


async def test_a_whole_day_is_chosen_with_a_tap(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", **PHONE)
    await expect(pictures(page)).to_have_count(2)
    every = page.get_by_role("button", name="Select all")
    await expect(every).to_have_css("opacity", "1")
    await every.tap()
    await expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)


@pytest.mark.parametrize("corner", ["left", "right"])
async def test_a_picture_held_at_its_corner_is_chosen(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, corner: str
) -> None:
    await make(invokeai, 1)
    page = await open_page("/", **PHONE)
    await expect(pictures(page)).to_have_count(1)
    box = await pictures(page).bounding_box()
    assert box is not None
    await hold(page, box["x"] + (20 if corner == "left" else box["width"] - 20), box["y"] + 20)
    await expect(page.get_by_role("checkbox", checked=True)).to_have_count(1)
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await expect(page.get_by_role("button", name="Favourite", pressed=True)).to_have_count(0)


async def hold(page: Page, x: float, y: float) -> None:
    """A finger that stays a while."""
    session = await page.context.new_cdp_session(page)
    await session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    await page.wait_for_timeout(HELD_MS)
    await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await session.detach()
