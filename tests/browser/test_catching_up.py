"""What the page reads again after its feed was late, broken, or left something out."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from playwright.async_api import Page, Request, Route, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures
from tests.browser.views import create_session
from tests.browser.watched_pages import LOST_CONNECTION
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


class FeedProxy:
    """Between a page and its feed. Closes new feeds while `refuses`; passes nothing on while `deaf`."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.deaf = False
        self.seq = 0
        self.open: list[WebSocketRoute] = []
        self.most_open = 0
        self.tries = 0
        self._tried = asyncio.Condition()

    async def tried(self, times: int) -> None:
        """Until that many feeds were asked for."""
        async with asyncio.timeout(20), self._tried:
            await self._tried.wait_for(lambda: self.tries >= times)

    async def listen(self, socket: WebSocketRoute) -> None:
        async with self._tried:
            self.tries += 1
            self._tried.notify_all()
        if self.refuses:
            await socket.close()
            return
        self.open.append(socket)
        self.most_open = max(self.most_open, len(self.open))
        server = socket.connect_to_server()
        socket.on_close(lambda _code, _reason: self._forget(socket))
        server.on_message(lambda message: self._pass_on(socket, message))

    def _forget(self, socket: WebSocketRoute) -> None:
        if socket in self.open:
            self.open.remove(socket)

    def _pass_on(self, socket: WebSocketRoute, message: str | bytes) -> None:
        self.seq = json.loads(message)["seq"]
        if not self.deaf:
            socket.send(message)

    def say(self, type: str, data: object, *, seq: int) -> None:
        self.open[-1].send(json.dumps({"type": type, "seq": seq, "data": data}))

    async def hang_up(self) -> None:
        for socket in list(self.open):
            self._forget(socket)
            await socket.close()


async def through(line: FeedProxy, page: Page, path: str = "/") -> None:
    await page.context.route_web_socket("**/api/v1/feed", line.listen)
    await page.goto(path)


async def test_what_was_made_before_the_feed_first_opened_is_there(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page, other = await open_page("/settings", tolerated=(LOST_CONNECTION,)), await open_page("/")
    line = FeedProxy(refuses=True)
    await through(line, page)
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    await make(invokeai, 1)
    await expect(pictures(other)).to_have_count(1)
    line.refuses = False
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await expect(pictures(page)).to_have_count(1)


async def test_a_library_that_could_not_be_read_is_read_once_the_feed_is_open(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    line = FeedProxy(refuses=True)
    failing = True

    async def answer(route: Route) -> None:
        await (route.abort() if failing else route.continue_())

    await page.route("**/api/v1/photos?*", answer)
    await through(line, page)
    await expect(page.get_by_role("heading", name="The library cannot be read")).to_be_visible()
    failing = False
    line.refuses = False
    await expect(pictures(page)).to_have_count(1)


async def test_the_library_is_read_once_at_the_start_where_nothing_was_missed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page, other = await open_page("/settings"), await open_page("/")
    await expect(pictures(other)).to_have_count(1)
    readings: list[str] = []
    page.on("request", lambda request: readings.append(request.url) if "/api/v1/photos?" in request.url else None)
    await page.goto("/")
    await expect(pictures(page)).to_have_count(1)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    # Whatever follows the feed's opening has been asked for by then.
    await make(invokeai, 2)
    await expect(pictures(page)).to_have_count(2)
    assert len(readings) == 1


async def test_many_gaps_are_not_as_many_readings(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1)
    page = await open_page("/settings")
    line = FeedProxy()
    await through(line, page)
    await expect(pictures(page)).to_have_count(1)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    readings: list[str] = []

    def count(request: Request) -> None:
        if "/photos?" in request.url:
            readings.append(request.url)

    page.on("request", count)
    seq = line.seq
    async with page.expect_request(lambda request: "/photos?" in request.url and line.tries == 2):
        for number in range(10):
            line.say("session.removed", {"id": "none"}, seq=seq + 2 * (number + 1))
    assert 1 <= len(readings) <= 4


async def test_after_a_gap_nothing_seems_to_run_that_has_ended(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/settings"), await open_page("/")
    line = FeedProxy()
    await through(line, page)
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1)
    await expect(page.get_by_test_id("tray-tile")).to_be_visible()
    line.deaf = True
    hold.release()
    await expect(pictures(other)).to_have_count(1)
    await expect(other.get_by_test_id("tray")).to_be_hidden()
    line.deaf = False
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Something else"}) as response:
        assert response.status == 201
    await expect(pictures(page)).to_have_count(1)
    await expect(page.get_by_test_id("tray")).to_be_hidden()


async def test_one_feed_is_open_however_often_it_was_tried(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    await page.clock.install()
    line = FeedProxy(refuses=True)
    await through(line, page)
    for tries in range(1, 5):
        await line.tried(tries)
        await page.evaluate("window.dispatchEvent(new Event('online'))")
    line.refuses = False
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    tries = line.tries
    await page.clock.fast_forward("01:00")
    await make(invokeai, 1)
    await expect(pictures(page)).to_have_count(1)
    assert line.tries == tries
    assert line.most_open == 1


async def test_pictures_that_failed_while_darkroom_was_away_come_with_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    line = FeedProxy()
    away = True

    async def answer(route: Route) -> None:
        await (route.abort() if away else route.continue_())

    await page.route("**/thumbnail*", answer)
    await through(line, page)
    await expect(page.locator("[data-testid=tile] .picture > svg.icon")).to_have_count(2)
    away = False
    await line.hang_up()
    await expect(pictures(page)).to_have_count(2)


async def test_nothing_is_said_to_be_nearly_ready_while_nothing_is_heard_of_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    line = FeedProxy()
    await through(line, page, f"/studio/{session}")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    # Held before it says a word of its own on how far it is.
    hold = invokeai.hold("model_loader")
    (item_id,) = await enqueue(invokeai, 7)
    await hold.reached()
    foot = page.locator(".server-line")
    await expect(foot).to_contain_text("1 running")
    tile = page.get_by_test_id("tray-tile")
    await expect(tile).to_be_visible()
    async with darkroom.http.get("/api/v1/backends") as response:
        server = (await response.json())["items"][0]["id"]
    progress = {"percentage": 0.5, "message": "Denoising", "eta_seconds": 30, "preview_url": None}
    item = {"backend_id": server, "item_id": item_id, "batch_id": "none", "step_id": None}
    line.say("item.progress", item | progress, seq=line.seq)
    await expect(foot).to_contain_text("about 30 s left")
    await expect(tile).to_have_accessible_name(re.compile("30 s left"))

    counts = {"pending": 0, "in_progress": 0, "ours": 0}
    line.say("queue.status", counts | {"backend_id": server}, seq=line.seq)
    await expect(foot).to_have_text(re.compile("idle$"))
    await expect(tile).not_to_have_accessible_name(re.compile("left"))

    line.say("queue.status", counts | {"backend_id": server, "in_progress": 1}, seq=line.seq)
    await expect(tile).to_have_accessible_name(re.compile("30 s left"))
    line.refuses = True
    await page.route("**/feed/snapshot", lambda route: route.abort())
    await line.hang_up()
    await expect(foot).to_have_text("Darkroom does not answer just now")
    await expect(tile).not_to_have_accessible_name(re.compile("left"))
    hold.release()
