"""What the page does when its own connection breaks, or misses something."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.watched_pages import LOST_CONNECTION, WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.process import DarkroomProcess

pytestmark = pytest.mark.browser


@pytest.fixture
async def process(public_folder: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[DarkroomProcess]:
    """A Darkroom that can be killed."""
    process = DarkroomProcess(
        public_folder / "data", DARKROOM_DATABASE_URL=database_url, DARKROOM_INVOKEAI_URL=invokeai.url
    )
    await process.start()
    await process.connected()
    yield process
    await process.stop()


async def test_killed_and_started_again_darkroom_and_the_page_catch_up_by_themselves(
    process: DarkroomProcess, watched_pages: WatchedPages, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await watched_pages.open(process.url, tolerated=(LOST_CONNECTION,))
    await expect(pictures(page)).to_have_count(1)
    await page.evaluate("window.stayed = true")

    await process.kill()
    await expect(page.get_by_test_id("connection")).to_have_text("Reconnecting…")
    await expect(pictures(page)).to_have_count(1)
    await make(invokeai, 2)
    await process.start()

    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    await expect(pictures(page)).to_have_count(2)
    assert await page.evaluate("window.stayed")


async def test_a_page_that_stays_cut_off_says_so_and_tries_at_once_when_asked(open_page: OpenPage) -> None:
    sockets: list[WebSocketRoute] = []
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await page.context.route_web_socket("**/api/v1/feed", lambda socket: refuse(socket, sockets))
    await page.route("**/feed/snapshot", lambda route: route.abort())
    await page.reload()
    await expect(page.get_by_test_id("offline-note")).to_contain_text("Darkroom does not answer")
    tries = len(sockets)
    await page.get_by_test_id("offline-note").get_by_role("button", name="Try now").click()
    await expect(page.get_by_test_id("connection")).not_to_have_attribute("data-state", "live")
    assert len(sockets) > tries


async def refuse(socket: WebSocketRoute, sockets: list[WebSocketRoute]) -> None:
    sockets.append(socket)
    await socket.close()


class Deaf:
    """Between a page and its feed; while `deaf`, nothing gets through but what is `heard` all the same."""

    def __init__(self, *heard: str) -> None:
        self.heard = heard
        self.deaf = False
        self.missed: list[str] = []

    def listen(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            kind = json.loads(message)["type"]
            if self.deaf and kind not in self.heard:
                self.missed.append(kind)
            else:
                socket.send(message)

        server.on_message(pass_on)


async def test_a_gap_in_the_feed_is_noticed_and_read_after(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    feed = Deaf()
    page, other = await open_page("/studio"), await open_page("/")
    await page.context.route_web_socket("**/api/v1/feed", feed.listen)
    await page.goto("/")
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    feed.deaf = True
    await make(invokeai, 1)
    await expect(pictures(other)).to_have_count(1)
    await expect(tiles(page)).to_have_count(0)
    assert {"photo.added", "photo.ready"} <= set(feed.missed)
    feed.deaf = False
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Something else"}) as response:
        assert response.status == 201
    await expect(pictures(page)).to_have_count(1)


async def test_a_passing_message_reveals_what_was_missed_before_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    feed = Deaf("ledger")
    page = await open_page("/settings")
    await page.context.route_web_socket("**/api/v1/feed", feed.listen)
    await page.goto("/")
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    feed.deaf = True
    await make(invokeai, 1)
    await expect(pictures(page)).to_have_count(1)
    assert "photo.ready" in feed.missed


async def test_new_pictures_wait_behind_a_pill_while_one_looks_further_down(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(24))
    page = await open_page("/", viewport={"width": 1000, "height": 500})
    await expect(pictures(page).first).to_be_visible()
    grid = page.get_by_test_id("grid")
    await grid.hover()
    await page.mouse.wheel(0, 700)
    await expect(grid).not_to_have_js_property("scrollTop", 0)
    await expect(page.get_by_test_id("new-pill")).to_be_hidden()
    before = await grid.evaluate("grid => grid.scrollTop")
    await make(invokeai, 100, 101)
    await expect(page.get_by_test_id("new-pill")).to_have_text("2 new")
    assert await grid.evaluate("grid => grid.scrollTop") == before
    await page.get_by_test_id("new-pill").click()
    await expect(grid).to_have_js_property("scrollTop", 0)
    await expect(page.get_by_test_id("new-pill")).to_be_hidden()
    await expect(page.get_by_text("26 photos")).to_be_visible()
