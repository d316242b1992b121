"""What is wrong with a server is seen wherever one is."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Locator, Page, WebSocketRoute, expect

from service.backends.registry import Registry
from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.views import create_session
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

NOT_REACHABLE = "InvokeAI not reachable"


def activity(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Places").filter(visible=True).get_by_role("link", name="Activity")


async def test_a_dead_server_is_told_on_every_page_and_what_is_wrong_is_one_click_away(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page, phone = await open_page("/"), await open_page("/", **PHONE)
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    heart = page.get_by_role("button", name="Only favourites")
    before = await heart.bounding_box()

    await invokeai.kill()
    await expect(page.get_by_role("status").filter(has_text=NOT_REACHABLE)).to_be_visible()
    assert await heart.bounding_box() == before
    for one in (page, phone):
        await expect(activity(one)).to_have_accessible_name(f"Activity: {NOT_REACHABLE}")
        await expect(one.get_by_test_id("place-mark").filter(visible=True)).to_have_count(1)
    await page.get_by_role("link", name=NOT_REACHABLE, exact=True).press("Enter")
    await expect(page.get_by_test_id("server")).to_contain_text("connection refused")

    await invokeai.restart()
    for one in (page, phone):
        await expect(one.get_by_test_id("connection")).to_have_text("Live")
        await expect(activity(one)).to_have_accessible_name("Activity")


async def test_a_dead_server_is_named_with_when_it_was_seen_and_is_tried_at_once_when_asked(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1)
    page, phone = await open_page("/"), await open_page("/studio", **PHONE)
    await expect(pictures(page)).to_have_count(1)
    tile = await tiles(page).bounding_box()
    name = invokeai.url.removeprefix("http://")

    await invokeai.kill()
    for one in (page, phone):
        note = one.get_by_test_id("server-note")
        await expect(note.get_by_role("alert")).to_have_text(f"{name} cannot be reached.")
        await expect(note).to_contain_text(re.compile(r"Last seen (just now|\d+ s ago)"))
    assert await tiles(page).bounding_box() == tile
    # Attempts are far apart by now; the next one is asked for.
    note = page.get_by_test_id("server-note")
    await expect(note).to_contain_text(re.compile(r"Tried again in \d+ s"))
    await expect(note).to_contain_text(re.compile(r"Tried again in ([5-9]|\d\d) s"), timeout=60_000)
    await pictures(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer").get_by_role("status")).to_contain_text(f"{name} cannot be reached.")
    await page.goto("/activity")
    await expect(page.get_by_test_id("server-note")).to_have_count(0)
    await expect(page.get_by_test_id("server")).to_contain_text(re.compile(r"Last seen .* Tried again in \d+ s"))
    await page.goto("/")
    await invokeai.restart()
    await note.get_by_role("button", name="Try now").click()
    for one in (page, phone):
        await expect(one.get_by_test_id("server-note")).to_have_count(0)


async def test_an_alarm_that_was_hidden_stays_so_until_it_is_another_one(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/")
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    await invokeai.kill()
    note = page.get_by_test_id("server-note")
    await note.get_by_role("button", name="Hide").click()
    await expect(page.get_by_test_id("alarm")).to_be_hidden()
    await page.reload()
    await expect(page.get_by_test_id("connection")).to_have_text(NOT_REACHABLE)
    await expect(page.get_by_test_id("alarm")).to_be_hidden()
    await invokeai.restart()
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    await invokeai.kill()
    await expect(note).to_be_visible()


async def test_what_a_dead_server_was_making_waits_and_does_not_spin(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    broken = invokeai.break_file("missing", times=None)
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(tiles(page)).to_have_count(1)
    hold = invokeai.hold("output")
    session = await create_session(invokeai, darkroom, 64, 64, batch=1)
    await hold.reached()
    slot = page.get_by_test_id("grid-slot")
    await expect(slot).to_contain_text("Being made: dunes at dusk")
    studio = await open_page(f"/studio/{session}")
    await expect(studio.get_by_test_id("slot-progress")).to_contain_text("%")

    await invokeai.kill()
    await expect(slot).to_contain_text("Waiting for the server: dunes at dusk")
    await expect(tiles(page).get_by_role("link")).to_have_accessible_name(re.compile("waiting for the server"))
    await expect(studio.get_by_test_id("slot-progress")).to_have_text("Waiting for the server")
    await expect(page.locator(".ring")).to_have_count(0)
    broken.remove()
    await invokeai.restart()
    await expect(pictures(page)).to_have_count(1)


async def test_troubles_of_a_server_that_answers_are_counted_until_they_end(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/")
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    registry: Registry = darkroom.app.state["registry"]
    [connection] = registry.connections()
    connection.troubles.set("no_events", "No live events: a proxy in between passes no websockets.")
    connection.troubles.set("damaged_files", "Files come damaged over this connection.")
    await expect(page.get_by_test_id("connection")).to_have_text("2 troubles")
    await expect(page.get_by_test_id("connection")).to_have_attribute("title", re.compile("passes no websockets"))
    connection.troubles.clear("damaged_files")
    await expect(page.get_by_test_id("connection")).to_have_text("1 trouble")
    connection.troubles.clear("no_events")
    await expect(page.get_by_test_id("connection")).to_have_text("Live")
    await expect(page.get_by_test_id("place-mark")).to_have_count(0)


async def test_a_photo_that_failed_to_come_home_marks_the_activity_page(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 1}) as response:
        assert response.status == 200
    page = await open_page("/")
    invokeai.break_file("truncated", times=None)
    await make(invokeai, 1)
    await expect(activity(page)).to_have_accessible_name("Activity: 1 photo failed to come home")
    note = page.get_by_test_id("photos-note")
    await expect(note.get_by_role("alert")).to_have_text("1 photo did not come home.")
    await expect(note.get_by_role("link", name="See why")).to_have_attribute("href", "/activity#retrievals")
    await expect(page.get_by_test_id("connection")).to_have_text("Live")


async def test_a_moment_of_connecting_alarms_nobody(open_page: OpenPage, darkroom: Darkroom) -> None:
    opened: list[WebSocketRoute] = []
    page = await open_page("/settings")
    await page.clock.install()

    async def listen(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        opened.append(socket)

    await page.context.route_web_socket("**/api/v1/feed", listen)
    await page.goto("/")
    word = page.get_by_test_id("connection")
    await expect(word).to_have_attribute("data-state", "live")
    async with darkroom.http.get("/api/v1/backends") as response:
        [backend] = (await response.json())["items"]
    async with darkroom.feed() as feed:
        seq = (await feed.next())["seq"]

    async def say(state: str) -> None:
        opened[-1].send(json.dumps({"type": "backend.status", "seq": seq, "data": backend | {"state": state}}))

    await say("connecting")
    await page.clock.run_for(2_000)
    await expect(word).to_have_text("Live")
    await say("unreachable")
    await expect(word).to_have_text(NOT_REACHABLE)
    await say("connecting")
    await page.clock.run_for(2_000)
    await expect(word).to_have_text(NOT_REACHABLE)
    await page.clock.run_for(2_000)
    await expect(word).to_have_text("Connecting to InvokeAI…")
