"""A step's pictures on black, while others of it are still becoming one."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.viewer import assert_viewer_shows, shown_file
from tests.browser.views import create_session
from tests.fakes import Hold, ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom

pytestmark = [pytest.mark.browser, pytest.mark.moves]

WINDOW = {"width": 900, "height": 600}


async def begin_step(invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> tuple[str, Hold]:
    """A session whose step has made one picture of two, larger than the window; what keeps the second."""
    hold = invokeai.hold("output", 2)
    return await create_session(invokeai, darkroom, 1024, 768), hold


async def open_first(page: Page) -> str:
    slot = page.locator("[data-testid=slot][data-state=photo]:has(img.front.shown)")
    await slot.first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    return str(await page.get_by_test_id("viewer").get_attribute("data-photo"))


async def test_the_next_one_is_shown_whole_if_it_came_home_meanwhile(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session, hold = await begin_step(invokeai, darkroom)
    page = await open_page(f"/studio/{session}", viewport=WINDOW)
    await expect(page.locator("[data-testid=slot] img.front.shown")).to_have_count(1)
    gate = asyncio.Event()
    invokeai.on("/full$", answers.after(gate))
    hold.release()
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    first = await open_first(page)
    await assert_viewer_shows(page, first)
    await expect(page.get_by_test_id("viewer").get_by_text("1 of 2")).to_be_visible()
    gate.set()
    await expect(page.locator("[data-testid=slot] img.front.shown")).to_have_count(2)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_test_id("viewer").get_by_text("2 of 2")).to_be_visible()
    await assert_viewer_shows(page, await page.get_by_test_id("viewer").get_attribute("data-photo"))


async def test_one_that_is_added_leaves_the_picture_on_show_as_large_as_it_is(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session, hold = await begin_step(invokeai, darkroom)
    page = await open_page(f"/studio/{session}", viewport=WINDOW)
    first = await open_first(page)
    await assert_viewer_shows(page, first)
    await page.keyboard.press("z")
    picture = shown_file(page)
    await expect(picture).to_have_css("width", "1024px")
    await picture.evaluate("picture => { picture.dataset.same = 'yes' }")
    hold.release()
    await expect(page.locator("[data-testid=slot] img.front.shown")).to_have_count(2)
    await expect(page.get_by_test_id("viewer").get_by_text("1 of 2")).to_be_visible()
    await expect(picture).to_have_css("width", "1024px")
    await expect(picture).to_have_attribute("data-same", "yes")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_test_id("viewer").get_by_text("2 of 2")).to_be_visible()
    await assert_viewer_shows(page, await page.get_by_test_id("viewer").get_attribute("data-photo"))
