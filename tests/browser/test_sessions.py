"""Sessions: many of them, one by a double click, and those that are deleted while one looks."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.views import create_session
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

MANY = 405


async def test_the_oldest_of_many_sessions_is_reached_and_stays_there_after_a_look_elsewhere(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    for number in range(MANY):
        async with darkroom.http.post("/api/v1/sessions", json={"name": f"Session {number}"}) as response:
            assert response.status == 201
    page = await open_page("/studio")
    cards = page.get_by_test_id("session-card")
    older = page.get_by_role("button", name="Older sessions")
    await expect(cards).to_have_count(200)
    await older.click()
    await expect(cards).to_have_count(400)
    await older.click()
    for _ in range(2):
        await expect(cards).to_have_count(MANY)
        await expect(older).to_be_hidden()
        await expect(cards.last).to_contain_text("Session 0")
        await page.get_by_role("link", name="Library", exact=True).click()
        await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
        async with page.expect_response(re.compile(r"/sessions\?.*cursor=")):
            await page.get_by_role("link", name="Studio").click()


async def test_a_double_click_on_an_example_begins_one_session(open_page: OpenPage) -> None:
    page = await open_page("/studio")
    begun: list[str] = []

    async def count(route: Route) -> None:
        if route.request.method == "POST":
            begun.append(route.request.url)
            await asyncio.sleep(0.5)
        await route.continue_()

    await page.route("**/api/v1/sessions", count)
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.dblclick()
    await expect(page.get_by_role("heading", name="What shall it be?")).to_be_visible()
    assert len(begun) == 1


async def test_a_session_that_is_deleted_elsewhere_says_so_where_it_is_open(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    # Where the feed opens late, the page reads once more, and finds none.
    page = await open_page(f"/studio/{session}", tolerated=("status of 404",))
    await expect(page.get_by_test_id("tree-node")).to_have_count(1)
    async with darkroom.http.delete(f"/api/v1/sessions/{session}") as response:
        assert response.status == 204
    await expect(page.get_by_role("heading", name="This session is gone")).to_be_visible()
    await expect(page.get_by_test_id("generate")).to_be_hidden()


async def test_a_session_that_turns_out_to_be_gone_says_so_when_a_step_is_begun(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}", tolerated=("status of 404",))
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    # The news of it does not come through.
    await page.context.route_web_socket("**/api/v1/feed", lambda socket: None)
    await page.reload()
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    async with darkroom.http.delete(f"/api/v1/sessions/{session}") as response:
        assert response.status == 204
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("heading", name="This session is gone")).to_be_visible()
