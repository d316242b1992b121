"""Sessions: many of them, one by a double click, and those that are deleted while one looks."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.views import create_session
from tests.browser.watched_pages import LOST_CONNECTION
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = [pytest.mark.browser, pytest.mark.moves]

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


async def sessions(darkroom: Darkroom) -> list[tuple[str, int]]:
    """Name and number of steps of each."""
    async with darkroom.http.get("/api/v1/sessions") as response:
        return [(session["name"], session["step_count"]) for session in (await response.json())["items"]]


async def test_a_session_is_created_with_its_first_step_and_named_after_its_prompt(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await open_page("/studio", tolerated=(LOST_CONNECTION,))
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.dblclick()
    await expect(page).to_have_url(re.compile("/studio/new$"))
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await page.get_by_label("Batch", exact=True).fill("1")
    assert await sessions(darkroom) == []

    async def answer_never(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/api/v1/sessions", answer_never, times=1)
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_test_id("toast")).to_contain_text("Not started.")
    await expect(page).to_have_url(re.compile("/studio/new$"))
    # Pressed again, it is the same step: nothing is made twice, and no session is left over.
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("heading", name="A valley of layered hills at first light").first).to_be_visible()
    await expect(page.get_by_test_id("tree-node")).to_have_attribute("data-status", "completed")
    assert await sessions(darkroom) == [("A valley of layered hills at first light", 1)]
    await page.go_back()
    await expect(page).to_have_url(re.compile("/studio$"))
    await page.get_by_role("button", name="New session").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    await expect(page.get_by_test_id("tree-node")).to_have_count(0)


async def test_an_empty_session_is_not_among_the_librarys_filters(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await create_session(invokeai, darkroom, 64, 64)
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Empty"}) as response:
        assert response.status == 201
    page = await open_page("/")
    await expect(page.get_by_label("Session", exact=True).locator("option")).to_have_text(["All sessions", "Hills"])


async def add_step(darkroom: Darkroom, invokeai: ScriptedInvokeAI, session: str, parent: str | None, n: int) -> str:
    model = invokeai.main_model()
    step = {
        "prompt": f"dunes {n}",
        "parent_id": parent,
        "model_key": model["key"],
        "model_hash": model["hash"],
        "parameters": {"width": 64, "height": 64, "steps": 2},
    }
    async with darkroom.http.post(f"/api/v1/sessions/{session}/steps", json=step) as response:
        assert response.status == 201
        return str((await response.json())["id"])


async def test_the_tree_shows_the_chosen_step_and_each_new_one(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    last = None
    for n in range(16):
        last = await add_step(darkroom, invokeai, session, last, n)
    page = await open_page(f"/studio/{session}")
    nodes = page.get_by_test_id("tree-node")
    await expect(nodes).to_have_count(17)
    await expect(page.locator(f"[data-step='{last}'] .tree-face")).to_be_in_viewport(ratio=1)
    await expect(nodes.first).not_to_be_in_viewport()
    await expect(page.locator("[data-testid=tree-node][data-status=completed]")).to_have_count(17)
    await page.locator(".tree-panel").evaluate("panel => panel.scrollTo(0, 0)")
    await expect(nodes.first).to_be_in_viewport()
    await page.get_by_label("Prompt", exact=True).fill("a lake")
    await page.get_by_test_id("generate").click()
    await expect(nodes).to_have_count(18)
    await expect(nodes.last.locator(".tree-face")).to_be_in_viewport(ratio=1)
    await page.set_viewport_size({"width": 800, "height": 700})
    await page.get_by_role("button", name="Steps", exact=True).click()
    await expect(nodes.last.locator(".tree-face")).to_be_in_viewport(ratio=1)


async def test_a_canceled_step_is_nobodys_parent_and_can_be_removed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}")
    nodes, prompt = page.get_by_test_id("tree-node"), page.get_by_label("Prompt", exact=True)
    await expect(nodes).to_have_attribute("data-status", "completed")
    await expect(prompt).to_have_value("dunes at dusk")
    hold = invokeai.hold("output")
    await prompt.fill("a lake")
    await prompt.press("Control+Enter")
    await hold.reached()
    await page.get_by_test_id("cancel").click()
    await expect(page.get_by_test_id("step-trouble")).to_contain_text("Canceled")
    hold.release()
    branches = page.get_by_test_id("branches-from")
    await expect(branches).to_contain_text("Dunes at dusk")
    await prompt.fill("a lake by night")
    await expect(branches).to_contain_text("The chosen step was canceled.")
    await prompt.press("Control+Enter")
    await expect(page.get_by_role("heading", name="A lake by night")).to_be_visible()
    await expect(nodes.nth(2)).to_have_attribute("data-status", "completed")
    # The same once more is made beside it, and is not below it.
    await expect(branches).to_contain_text("Nothing is changed")
    await page.get_by_test_id("generate").click()
    await expect(nodes).to_have_count(4)
    await expect(nodes.nth(3)).to_have_attribute("data-status", "completed")
    levels = [await node.get_attribute("aria-level") for node in await nodes.all()]
    assert levels == ["1", "2", "2", "2"]

    await expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    await nodes.nth(1).click()
    await prompt.fill("a lake at noon")
    await page.get_by_role("button", name="Remove").click()
    await expect(nodes).to_have_count(3)
    await expect(page.get_by_role("heading", name="Dunes at dusk")).to_be_visible()
    await expect(prompt).to_have_value("a lake at noon")


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
    # The news of it does not come through, nor by polling.
    async with darkroom.http.get("/api/v1/feed/snapshot") as response:
        stale = await response.json()
    await page.route("**/feed/snapshot", lambda route: route.fulfill(json=stale))
    await page.context.route_web_socket("**/api/v1/feed", lambda socket: None)
    await page.reload()
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    async with darkroom.http.delete(f"/api/v1/sessions/{session}") as response:
        assert response.status == 204
    await page.get_by_test_id("generate").click()
    await expect(page.get_by_role("heading", name="This session is gone")).to_be_visible()
