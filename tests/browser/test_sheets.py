"""Sheets over the studio, where there is no room beside it."""

from __future__ import annotations

import re
from functools import partial

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.views import create_session
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_escape_and_back_close_the_sheet_before_they_leave_the_session(open_page: OpenPage) -> None:
    page = await open_page("/studio", **PHONE)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.tap()
    await expect(page).to_have_url(re.compile(r"/studio/new$"))
    session = page.url
    generate = page.get_by_test_id("generate")
    for close in (partial(page.keyboard.press, "Escape"), page.go_back):
        await page.get_by_role("button", name="Compose", exact=True).tap()
        await expect(generate).to_be_in_viewport(ratio=1)
        await page.get_by_label("Prompt", exact=True).focus()
        await close()
        await expect(generate).not_to_be_in_viewport()
        await expect(page).to_have_url(session)
    await page.go_back()
    await expect(page).to_have_url(re.compile("/studio$"))


async def test_a_double_tap_on_generate_queues_one_step(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/studio", **PHONE)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.tap()
    await page.get_by_role("button", name="Compose", exact=True).tap()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Batch", exact=True).fill("1")
    await page.get_by_label("Batch", exact=True).press("Tab")
    hold = invokeai.hold("output")
    box = await page.get_by_test_id("generate").bounding_box()
    assert box is not None
    for _ in range(2):
        await page.touchscreen.tap(box["x"] + 40, box["y"] + 10)
    await hold.reached()
    await expect(page.get_by_test_id("cancel")).to_be_in_viewport(ratio=1)
    hold.release()
    await expect(page.locator("[data-testid=slot][data-state=photo] img.front.shown")).to_have_count(1)
    await expect(page.get_by_test_id("tree-node")).to_have_count(1)


async def test_where_there_is_little_height_the_form_scrolls_with_its_button(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}", viewport={"width": 320, "height": 256})  # 1280 × 1024 at 400 %
    await page.get_by_role("button", name="Compose", exact=True).click()
    prompt, generate = page.get_by_label("Prompt", exact=True), page.get_by_test_id("generate")
    await expect(prompt).to_be_in_viewport(ratio=0.9)
    await expect(generate).not_to_be_in_viewport()
    await generate.scroll_into_view_if_needed()
    await expect(generate).to_be_in_viewport(ratio=1)
    form = page.get_by_role("form", name="Compose")
    assert await form.evaluate("form => form.scrollTop > 0 && form.scrollWidth <= form.clientWidth")
