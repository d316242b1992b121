"""What there is to see is seen whole, in every shape of picture and of window."""

from __future__ import annotations

import pytest
from playwright.async_api import FloatRect, Locator, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, tiles
from tests.browser.views import create_session, fill_library
from tests.browser.watched_pages import LOST_CONNECTION
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

BOX = "(one) => { const { x, y, width, height } = one.getBoundingClientRect(); return { x, y, width, height }; }"
LONG_REFUSAL = "[{'type': 'missing', 'loc': ('body', 'batch'), 'msg': 'Field required'}]" * 20


async def box_of(one: Locator) -> FloatRect:
    await expect(one).to_be_visible()
    # Playwright's bounding_box is None if the page replaces the element just then.
    box: FloatRect = await one.evaluate(BOX)
    return box


def within(inner: FloatRect, outer: FloatRect) -> bool:
    across = outer["x"] <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    down = outer["y"] <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"]
    return across and down


async def test_each_of_many_tall_pictures_fits_the_view(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 512, batch=6)
    page = await open_page(f"/studio/{session}")
    slots = page.get_by_test_id("slot")
    await expect(slots).to_have_count(6)
    # All are measured at one time: a slot that just got its picture is drawn anew.
    view, *boxes = await page.evaluate(
        f"() => [...document.querySelectorAll('.alternatives, [data-testid=slot]')].map({BOX})"
    )
    assert len(boxes) == 6
    assert [box for box in boxes if not within(box, view)] == []


async def test_in_a_low_box_its_words_stand_whole(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    hold = invokeai.hold("loader")
    session = await create_session(invokeai, darkroom, 2048, 64)
    page = await open_page(f"/studio/{session}")
    slot = page.locator("[data-testid=slot][data-state=in_progress]")
    assert within(await box_of(slot.get_by_test_id("slot-progress")), await box_of(slot))
    hold.release()


async def test_retry_stands_within_the_narrowest_tile(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"retrieval_max_attempts": 1}) as response:
        assert response.status == 200
    broken = invokeai.break_file("corrupted", times=None)
    await make(invokeai, 1, size=(64, 512))
    page = await open_page("/")
    await expect(tiles(page)).to_have_attribute("data-status", "failed")
    retry = tiles(page).get_by_role("button", name="Retry")
    assert within(await box_of(retry), await box_of(tiles(page)))
    broken.remove()


async def test_a_long_refusal_is_read_to_its_end_by_keyboard(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/studio", viewport={"width": 1100, "height": 400})
    invokeai.on("/enqueue_batch$", answers.status(422, LONG_REFUSAL), method="POST")
    await page.get_by_role("list", name="Example prompts").get_by_role("button").first.click()
    await expect(page.get_by_test_id("generate")).to_be_enabled()
    await expect(page.get_by_label("Model", exact=True)).not_to_have_value("")
    await page.get_by_test_id("generate").click()
    words = page.get_by_test_id("step-trouble").get_by_text("Field required")
    await words.click()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Shift+Tab")
    await expect(words).to_be_focused()
    await page.keyboard.press("End")
    at_end = "words => words.scrollHeight - words.clientHeight - words.scrollTop < 2 && words.scrollTop > 0"
    await page.wait_for_function(at_end, arg=await words.element_handle())


async def test_activity_fills_from_the_top_and_pushes_nothing_down(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await fill_library(invokeai, darkroom)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    await page.context.route_web_socket("**/api/v1/feed", refuse)
    await page.route("**/feed/snapshot", lambda route: route.abort())
    async with page.expect_request_finished(lambda request: "/photos?" in request.url):
        await page.goto("/activity")
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    await expect(page.get_by_test_id("queue").or_(page.get_by_test_id("retrievals"))).to_have_count(0)
    await page.unroute("**/feed/snapshot")
    await expect(page.get_by_test_id("queue")).to_be_visible(timeout=30_000)
    await expect(page.locator(".activity .servers li")).to_have_count(1)


@pytest.mark.parametrize("width", [620, 880])
async def test_a_retrievals_row_is_no_wider_than_its_card_and_its_reason_is_read_whole(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom, width: int
) -> None:
    await fill_library(invokeai, darkroom)
    page = await open_page("/activity", viewport={"width": width, "height": 800})
    retrievals = page.get_by_test_id("retrievals")
    reason = retrievals.locator("td.wide > span")
    await expect(reason).to_be_visible()
    card = await box_of(retrievals)
    assert within(await box_of(retrievals.get_by_role("button", name="Retry", exact=True)), card)
    assert within(await box_of(reason), await box_of(retrievals.locator("td.wide")))


async def test_offline_is_said_below_the_bar_and_moves_nothing(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,))
    await page.goto(f"/studio/{session}")
    note, title = page.get_by_test_id("offline-note"), page.get_by_role("heading", name="Dunes at dusk")
    await expect(title).to_be_visible()
    before = await box_of(title)
    await page.context.route_web_socket("**/api/v1/feed", refuse)
    await page.route("**/feed/snapshot", lambda route: route.abort())
    await page.reload()
    await expect(note).to_be_visible()
    bar, said = await box_of(page.locator(".topbar")), await box_of(note)
    assert bar["y"] + bar["height"] <= said["y"]
    assert await box_of(title) == before
    await note.get_by_role("button", name="Hide").click()
    await expect(note).to_be_hidden()
    await expect(page.get_by_test_id("connection")).to_have_text("Offline")


async def test_offline_is_said_over_the_library_and_moves_nothing_of_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    feeds: list[WebSocketRoute] = []

    async def listen(socket: WebSocketRoute) -> None:
        if feeds:
            await socket.close()
        else:
            socket.connect_to_server()
        feeds.append(socket)

    await create_session(invokeai, darkroom, 96, 64, batch=1)
    page = await open_page("/settings", tolerated=(LOST_CONNECTION,), viewport={"width": 1000, "height": 700})
    await page.context.route_web_socket("**/api/v1/feed", listen)
    await page.goto("/")
    await expect(tiles(page)).to_have_count(1)
    await expect(page.get_by_label("Session")).to_be_visible()
    search = page.get_by_role("searchbox")
    before = [await box_of(one) for one in (tiles(page), search)]
    assert before[1]["width"] >= 280
    await page.route("**/feed/snapshot", lambda route: route.abort())
    await feeds[0].close()
    await expect(page.get_by_test_id("offline-note")).to_be_visible()
    assert [await box_of(one) for one in (tiles(page), search)] == before


async def test_in_forced_colours_what_is_selected_and_where_one_is_differ_from_the_rest(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", forced_colors="active")
    await expect(tiles(page)).to_have_count(2)
    await tiles(page).first.get_by_role("checkbox").click()
    ticks = page.locator(".choose svg")
    await expect(ticks.nth(0)).to_have_css("visibility", "visible")
    await expect(ticks.nth(1)).to_have_css("visibility", "hidden")
    places = page.get_by_role("navigation", name="Places").filter(visible=True)
    await expect(places.get_by_role("link", name="Library")).to_have_css("outline-style", "solid")
    await expect(places.get_by_role("link", name="Studio")).to_have_css("outline-style", "none")


async def refuse(socket: WebSocketRoute) -> None:
    await socket.close()


async def test_without_motion_unknown_progress_does_not_look_done(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/activity", reduced_motion="reduce")
    hold = invokeai.hold("model_loader")
    await enqueue(invokeai, 1)
    await hold.reached()
    bar = page.get_by_test_id("running").get_by_role("progressbar")
    await expect(bar).to_be_visible()
    whole, filled = await box_of(bar), await box_of(bar.locator("i"))
    assert filled["x"] > whole["x"]
    assert filled["width"] < whole["width"] / 2
    hold.release()


async def test_in_the_light_the_ring_of_what_has_no_preview_yet_is_dark(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    page = await open_page("/", color_scheme="light")
    hold = invokeai.hold("model_loader")
    await enqueue(invokeai, 1)
    await hold.reached()
    drawn = page.get_by_test_id("tray-tile").locator("circle").last
    await expect(drawn).to_have_css("stroke", "rgb(98, 97, 91)")
    hold.release()
