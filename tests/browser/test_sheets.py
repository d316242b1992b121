"""Sheets over the studio, where there is no room beside it."""

from __future__ import annotations

import re
from functools import partial

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.visitors import PHONE

pytestmark = pytest.mark.browser


async def test_escape_and_back_close_the_sheet_before_they_leave_the_session(visit: Visit) -> None:
    page = await visit("/studio", **PHONE)
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
