"""The tray: what is being made and the page itself does not show."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue
from tests.browser.views import fill_library
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


def tray(page: Page) -> Locator:
    return page.get_by_test_id("tray")


async def assert_apart(one: Locator, other: Locator) -> None:
    a, b = await one.bounding_box(), await other.bounding_box()
    assert a is not None
    assert b is not None
    across = a["x"] < b["x"] + b["width"] and b["x"] < a["x"] + a["width"]
    down = a["y"] < b["y"] + b["height"] and b["y"] < a["y"] + a["height"]
    assert not (across and down), (a, b)


async def test_the_studio_shows_what_is_made_elsewhere_and_once_only_what_it_makes(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page, other = await open_page(f"/studio/{session}"), await open_page("/studio")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    hold = invokeai.hold("output")
    await page.get_by_test_id("generate").click()
    await hold.reached()
    await expect(page.locator("[data-testid=slot][data-state=in_progress]")).to_have_count(1)
    await expect(tray(other)).to_have_count(1)
    await expect(tray(page)).to_have_count(0)
    await other.get_by_role("button", name="New session").click()
    await expect(other.get_by_role("heading", name="What shall it be?")).to_be_visible()
    await other.get_by_test_id("tray-tile").click()
    await expect(other).to_have_url(re.compile(rf"/studio/{session}/[0-9a-f-]+$"))
    await expect(tray(other)).to_have_count(0)


@pytest.mark.parametrize(
    "size", [(1440, 900), (1100, 700), (800, 700), None], ids=["wide", "narrow", "tablet", "phone"]
)
async def test_the_tray_is_over_no_button_of_the_studio(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom, size: tuple[int, int] | None
) -> None:
    session = await fill_library(invokeai, darkroom)
    screen = PHONE if size is None else {"viewport": {"width": size[0], "height": size[1]}}
    page = await open_page(f"/studio/{session}", **screen)
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    invokeai.hold("output")
    await enqueue(invokeai, 7)
    await expect(tray(page)).to_be_visible()
    buttons = page.locator(".compose-foot button, .compose-open").filter(visible=True)
    await expect(buttons).to_have_count(1)
    await assert_apart(tray(page), buttons)
    await page.get_by_test_id("tray-tile").click()
    await expect(page).to_have_url(re.compile("/activity$"))
    await expect(tray(page)).to_have_count(0)


async def test_the_tray_says_how_much_waits(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/")
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1, 2, 3)
    await expect(page.get_by_test_id("tray-queued")).to_have_text("+2 queued")
    await page.get_by_test_id("tray-queued").click()
    await expect(page).to_have_url(re.compile("/activity$"))
    hold.release()
    await expect(tray(page)).to_have_count(0)
