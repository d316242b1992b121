"""Numbers on the Settings page: typed, refused, and saved."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import OpenPage
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def settings(darkroom: Darkroom) -> dict[str, int]:
    async with darkroom.http.get("/api/v1/settings") as response:
        found: dict[str, int] = await response.json()
        return found


async def test_what_is_refused_stands_to_be_mended(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/settings")
    quality = page.get_by_label("Thumbnail quality")
    before = (await settings(darkroom))["thumbnail_quality"]
    await quality.fill("1000")
    await quality.press("Tab")
    await expect(page.get_by_role("alert")).to_have_text("A whole number from 1 to 100.")
    await expect(quality).to_have_value("1000")
    assert (await settings(darkroom))["thumbnail_quality"] == before
    await quality.press("Backspace")
    await expect(page.get_by_role("alert")).to_be_hidden()
    await quality.press("Tab")
    await expect(page.get_by_text("Saved")).to_be_visible()
    await expect(quality).to_have_value("100")
    assert (await settings(darkroom))["thumbnail_quality"] == 100


async def test_a_late_answer_leaves_what_is_typed_meanwhile(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/settings")
    go_on = asyncio.Event()
    await page.route("**/api/v1/settings", lambda route: answer_later(route, go_on))
    tries = page.get_by_label("Tries per photo")
    await tries.fill("7")
    await tries.press("Enter")
    await tries.fill("13")
    async with page.expect_response("**/api/v1/settings"):
        go_on.set()
    await page.evaluate("fetch('/api/v1/settings').then((answer) => answer.text())")
    await expect(tries).to_have_value("13")
    await expect(page.get_by_text("Saved")).to_be_hidden()
    await tries.press("Tab")
    await expect(page.get_by_text("Saved")).to_be_visible()
    await expect(tries).to_have_value("13")
    assert (await settings(darkroom))["retrieval_max_attempts"] == 13


async def answer_later(route: Route, go_on: asyncio.Event) -> None:
    if route.request.method == "PATCH":
        async with asyncio.timeout(20):
            await go_on.wait()
    await route.continue_()
