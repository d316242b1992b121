"""A page whose proxy passes no websockets is served by polling."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures
from tests.browser.watched_pages import WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy

pytestmark = pytest.mark.browser

SNAPSHOT = ("GET", "/api/v1/feed/snapshot")
PASSWORD = "under the red light"
NO_WEBSOCKET = r"WebSocket connection to .* failed"
BAD_GATEWAY = r"status of 502"
PATIENCE_MS = 30_000
BLOCKED = "Live updates are blocked by a proxy; this page asks every few seconds instead."


@pytest.fixture
async def proxy(darkroom: Darkroom) -> AsyncIterator[ReverseProxy]:
    """In front of Darkroom; it passes no websockets."""
    async with reverse_proxy(darkroom.url) as proxy:
        proxy.websockets, proxy.passes_host = False, True
        yield proxy


@pytest.fixture
def visit_by_proxy(proxy: ReverseProxy, watched_pages: WatchedPages) -> Callable[..., Awaitable[Page]]:
    async def open_page(path: str = "/", **options: object) -> Page:
        return await watched_pages.open(proxy.url, path, tolerated=(NO_WEBSOCKET, BAD_GATEWAY), **options)

    return open_page


async def until_polling(page: Page) -> None:
    await expect(page.get_by_role("status").filter(has_text=BLOCKED)).to_be_visible()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "polling")


async def bad_gateway(_: web.Request) -> web.StreamResponse:
    return web.Response(status=502)


async def test_pictures_come_and_the_page_says_why_they_come_later(
    visit_by_proxy: OpenPage, proxy: ReverseProxy, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await visit_by_proxy()
    await expect(pictures(page)).to_have_count(1)
    await until_polling(page)
    await expect(page.get_by_test_id("offline-note")).to_be_hidden()

    await make(invokeai, 2)
    await expect(pictures(page)).to_have_count(2, timeout=PATIENCE_MS)
    await expect(page.get_by_text("2 photos")).to_be_visible()

    proxy.websockets = True
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await expect(page.get_by_test_id("polling-note")).to_be_hidden()
    polls = proxy.asked.count(SNAPSHOT)
    await make(invokeai, 3)
    await expect(pictures(page)).to_have_count(3)
    assert proxy.asked.count(SNAPSHOT) == polls


async def test_what_runs_is_shown_until_it_has_ended(visit_by_proxy: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await visit_by_proxy()
    await until_polling(page)
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1)
    await expect(page.get_by_test_id("tray-tile")).to_have_accessible_name(re.compile("100 %"), timeout=PATIENCE_MS)
    hold.release()
    await expect(page.get_by_test_id("tray")).to_be_hidden(timeout=PATIENCE_MS)
    await expect(pictures(page)).to_have_count(1)


async def test_the_websocket_is_tried_again_by_itself(visit_by_proxy: OpenPage, proxy: ReverseProxy) -> None:
    page = await visit_by_proxy("/settings")
    await until_polling(page)
    proxy.websockets = True
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)


async def test_a_darkroom_that_answers_nothing_at_all_is_offline_and_is_polled_again_when_it_is_back(
    visit_by_proxy: OpenPage, proxy: ReverseProxy, invokeai: ScriptedInvokeAI
) -> None:
    page = await visit_by_proxy()
    await until_polling(page)
    proxy.faults.append(bad_gateway)
    await make(invokeai, 1)
    await expect(page.get_by_test_id("offline-note")).to_contain_text("Darkroom does not answer", timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("polling-note")).to_be_hidden()
    proxy.faults.clear()
    await page.get_by_role("button", name="Try now").click()
    await until_polling(page)
    await expect(pictures(page)).to_have_count(1, timeout=PATIENCE_MS)


async def test_a_tab_that_is_hidden_for_long_asks_nothing_until_it_is_shown(
    visit_by_proxy: OpenPage, proxy: ReverseProxy
) -> None:
    page = await visit_by_proxy()
    await page.clock.install()
    await page.reload()
    await page.clock.run_for(2_000)
    await until_polling(page)

    async def turn(state: str) -> None:
        await page.evaluate(
            """(state) => {
              Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
              document.dispatchEvent(new Event("visibilitychange"));
            }""",
            state,
        )

    await turn("hidden")
    async with page.expect_response("**/feed/snapshot"):
        await page.clock.run_for(11_000)
    await page.clock.fast_forward("06:00")
    await page.clock.run_for(1_000)
    polls = proxy.asked.count(SNAPSHOT)
    for _ in range(6):
        await page.clock.run_for(10_000)
    assert proxy.asked.count(SNAPSHOT) == polls
    async with page.expect_response("**/feed/snapshot"):
        await turn("visible")


async def test_an_answer_from_before_the_pages_own_change_does_not_undo_it(open_page: OpenPage) -> None:
    page = await open_page("/settings", tolerated=(NO_WEBSOCKET,))
    await page.context.route_web_socket("**/api/v1/feed", close)
    await page.goto("/activity")
    await until_polling(page)
    read, overtaken = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        read.set()
        await overtaken.wait()
        await route.fulfill(response=answer)

    await page.route("**/feed/snapshot", late, times=1)
    async with asyncio.timeout(20):
        await read.wait()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("Name", exact=True).fill("Attic")
    await page.get_by_role("button", name="Save").click()
    name = page.get_by_test_id("server").get_by_role("heading", level=2)
    await expect(name).to_have_text("Attic")
    async with page.expect_request("**/feed/snapshot"):
        overtaken.set()
    assert await name.inner_text() == "Attic"


async def close(socket: WebSocketRoute) -> None:
    await socket.close()


async def test_a_session_that_ends_leads_to_the_password(
    public_folder: Path, database_url: str, watched_pages: WatchedPages, invokeai: ScriptedInvokeAI
) -> None:
    settings = settings_for(public_folder / "data", database_url, invokeai_url=invokeai.url, password=PASSWORD)
    async with running(settings) as locked, reverse_proxy(locked.url) as proxy:
        proxy.websockets = False
        async with locked.http.post("/api/v1/login", json={"password": PASSWORD}) as response:
            cookie = response.cookies["darkroom_session"]
        page = await watched_pages.open(proxy.url, tolerated=(NO_WEBSOCKET, r"status of 401"))
        await page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": proxy.url}])
        await page.reload()
        await until_polling(page)
        async with locked.http.post("/api/v1/logout", cookies={cookie.key: cookie.value}) as response:
            assert response.ok
        await expect(page.get_by_label("Password")).to_be_visible(timeout=PATIENCE_MS)
