"""The search field: while one types and pauses, and the way back from it."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.fakes import ScriptedInvokeAI

pytestmark = pytest.mark.browser


async def test_a_pause_between_two_words_takes_nothing_of_what_was_typed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="red boats")
    await make(invokeai, 2, prompt="red roofs")
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)  # both are home, and can be found
    box = page.get_by_role("searchbox", name="Search")
    await box.press_sequentially("red ")
    await expect(page).to_have_url(re.compile(r"q=red$"))
    await box.press_sequentially("boats")
    await expect(page).to_have_url(re.compile(r"q=red(\+|%20)boats$"))
    await expect(box).to_have_value("red boats")
    await expect(tiles(page)).to_have_count(1)


async def test_the_field_follows_an_address_that_changes_elsewhere(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/?q=nothing+like+it")
    box = page.get_by_role("searchbox", name="Search")
    await expect(box).to_have_value("nothing like it")
    await page.get_by_role("button", name="Show all photos").click()
    await expect(box).to_have_value("")
    await expect(tiles(page)).to_have_count(1)
    await box.fill("nothing like it")
    await page.get_by_role("button", name="Show all photos").click()
    await expect(box).to_have_value("")


async def test_a_search_that_ends_while_one_views_a_photo_leaves_that_on_show(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="a harbour")
    await make(invokeai, 2, prompt="a forest")
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    go_on = asyncio.Event()

    async def answer_late(route: Route) -> None:
        async with asyncio.timeout(20):
            await go_on.wait()
        await route.continue_()

    await page.route("**/photos?*q=*", answer_late)
    await page.get_by_role("searchbox", name="Search").fill("harbour")
    await expect(page).to_have_url(re.compile("q=harbour"))
    await tiles(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 2")).to_be_visible()
    go_on.set()
    await expect(viewer.get_by_text("1 of 2")).to_be_hidden()
    await expect(viewer).to_have_accessible_name("a forest")
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(1)


async def test_back_clears_a_search_and_goes_no_letter_at_a_time(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="red boats")
    await make(invokeai, 2, prompt="green hills")
    page = await open_page("/activity")
    await page.get_by_role("link", name="Library").click()
    await expect(tiles(page)).to_have_count(2)
    box = page.get_by_role("searchbox", name="Search")
    for letter in "bo":
        await box.press_sequentially(letter)
        await expect(page).to_have_url(re.compile(f"q=b?{letter}"))
    await box.press("Enter")
    await box.fill("hills")
    await expect(page).to_have_url(re.compile(r"q=hills$"))
    await page.go_back()
    await expect(box).to_have_value("bo")
    await expect(tiles(page).first.get_by_role("link")).to_have_accessible_name(re.compile("red boats"))
    await page.go_back()
    await expect(box).to_have_value("")
    await expect(tiles(page)).to_have_count(2)
    await page.go_back()
    await expect(page).to_have_url(re.compile("/activity$"))


async def test_escape_clears_the_search_and_leaves_nothing_behind_to_go_back_through(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="red boats")
    await make(invokeai, 2, prompt="green hills")
    page = await open_page("/activity")
    await page.get_by_role("link", name="Library").click()
    await expect(pictures(page)).to_have_count(2)  # both are home, and can be found
    box = page.get_by_role("searchbox", name="Search")
    await box.fill("boats")
    await expect(tiles(page)).to_have_count(1)
    await box.press("Escape")
    await expect(box).to_have_value("")
    await expect(tiles(page)).to_have_count(2)
    await expect(box).not_to_be_focused()
    await page.go_back()
    await expect(page).to_have_url(re.compile("/activity$"))


async def test_what_the_first_letters_do_not_find_is_not_said_while_the_next_are_typed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="red boats")
    page = await open_page("/")
    await expect(tiles(page)).to_have_count(1)
    await page.evaluate(
        """() => { window.said = []; new MutationObserver(() => window.said.push(
            ...[...document.querySelectorAll("h1")].map((heading) => heading.textContent),
        )).observe(document.body, { childList: true, subtree: true }) }"""
    )
    box = page.get_by_role("searchbox", name="Search")
    async with page.expect_response(re.compile(r"/photos\?.*q=o&")):
        await box.press_sequentially("o")
    async with page.expect_response(re.compile(r"/photos\?.*q=oa&")):
        await box.press_sequentially("a")
    await box.press_sequentially("t")
    await expect(page).to_have_url(re.compile("q=oat"))
    await expect(page.locator(".library-content")).to_have_attribute("aria-busy", "false")
    await expect(tiles(page)).to_have_count(1)
    assert "No photos match" not in await page.evaluate("window.said")
    await box.press_sequentially("x")
    await expect(page.get_by_role("heading", name="No photos match")).to_be_visible()


async def test_a_search_that_cannot_be_says_why(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, prompt="red boats")
    page = await open_page("/", tolerated=("status of 400",))
    await expect(tiles(page)).to_have_count(1)
    box = page.get_by_role("searchbox", name="Search")
    await box.fill("seed:boats")
    await expect(page.get_by_role("heading", name="This cannot be searched for")).to_be_visible()
    await expect(page.get_by_text("seed: takes a number")).to_be_visible()
    await box.press("Escape")
    await expect(tiles(page)).to_have_count(1)
