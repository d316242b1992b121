"""Sheets over the studio, where there is no room beside it."""

from __future__ import annotations

import re
from functools import partial

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI

pytestmark = pytest.mark.browser

SECOND_TAP = """() => new MutationObserver((_, observer) => {
    const cancel = document.querySelector(".compose-open .button:not(.primary)");
    if (!cancel) return;
    observer.disconnect();
    cancel.click();
    window.tapped = true;
}).observe(document.body, { childList: true, subtree: true })"""
"""A tap on Cancel as soon as it is there; a browser counts it as a first one."""


async def test_escape_and_back_close_the_sheet_before_they_leave_the_session(open_page: OpenPage) -> None:
    page = await open_page("/studio", **PHONE)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.tap()
    await expect(page).to_have_url(re.compile(r"/studio/[0-9a-f-]{36}$"))
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


async def test_a_second_tap_on_generate_does_not_cancel_what_the_first_began(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/studio", **PHONE)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.tap()
    await page.get_by_role("button", name="Compose", exact=True).tap()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Batch", exact=True).fill("1")
    hold = invokeai.hold("output")
    await page.evaluate(SECOND_TAP)
    await page.get_by_test_id("generate").tap()
    await hold.reached()
    await expect(page.get_by_role("button", name="Cancel").filter(visible=True).first).to_be_in_viewport(ratio=1)
    assert await page.evaluate("window.tapped")
    hold.release()
    await expect(page.locator("[data-testid=slot][data-state=photo] img.front.shown")).to_have_count(1)
