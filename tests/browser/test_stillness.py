"""Nothing that is looked at moves by itself: pictures that arrive, and those that are being made."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import FloatRect, Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.views import create_session
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = [pytest.mark.browser, pytest.mark.moves]

MEASURE = """() => {
  window.shifts = [];
  const seen = new Map();
  window.moved = new Set();
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // A slow machine may lose the connection here. Then its word changes, within its own box: no picture moves.
      const isWord = ({ node }) => (node?.parentElement ?? node)?.closest('.connection');
      const onlyWord = entry.sources.length > 0 && entry.sources.every(isWord);
      const what = entry.sources.map((one) => one.node?.className ?? '');
      if (!entry.hadRecentInput && !onlyWord) window.shifts.push([entry.value, what]);
    }
  }).observe({ type: 'layout-shift' });
  const look = () => {
    const grid = document.querySelector('.grid');
    const tops = new Set();
    for (const tile of document.querySelectorAll('[data-photo]')) {
      const { top, left, width, height } = tile.getBoundingClientRect();
      const before = seen.get(tile.dataset.photo);
      if (before) {
        if (Math.abs(left - before.left) > 0.5) window.moved.add(`${tile.dataset.photo} sideways`);
        if (Math.abs(width - before.width) > 0.5 || Math.abs(height - before.height) > 0.5) {
          window.moved.add(`${tile.dataset.photo} has another size`);
        }
        tops.add(Math.round(top - before.top));
      }
      seen.set(tile.dataset.photo, { top, left, width, height });
    }
    if (tops.size > 1) window.moved.add(`not as one: ${[...tops]}`);
    requestAnimationFrame(look);
  };
  look();
}"""


async def measure(page: Page) -> None:
    await page.evaluate(MEASURE)


async def moved(page: Page) -> tuple[list[Any], list[str]]:
    """The layout shifts since `measure`, and tiles that moved on their own or have another size."""
    found = await page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => done([window.shifts, [...window.moved]])))"
    )
    return found[0], found[1]


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
async def test_pictures_that_arrive_at_the_top_move_none_and_stand_in_rows_of_their_own(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, motion: str
) -> None:
    await make(invokeai, *range(12))
    page = await open_page("/", reduced_motion=motion)
    await expect(pictures(page)).to_have_count(12)
    await measure(page)
    for number in range(9):
        await make(invokeai, 100 + number, size=[(96, 64), (64, 96), (64, 64)][number % 3])
        await expect(pictures(page)).to_have_count(13 + number)
    await expect(page.get_by_test_id("grid")).to_have_js_property("scrollTop", 0)
    await expect(tiles(page).first).to_be_in_viewport()
    assert await moved(page) == ([], [])


async def box_of(one: Locator) -> FloatRect:
    box = await one.bounding_box()
    assert box is not None
    return box


async def places(page: Page) -> list[str]:
    """Of the tiles, with their photos."""
    found: list[str] = await page.evaluate("""() => [...document.querySelectorAll('.tile')].map((tile) => {
      const { top, left, width, height } = tile.getBoundingClientRect();
      return [tile.dataset.photo, top, left, width, height].join(' ');
    })""")
    return found


async def test_while_the_pointer_is_on_the_grid_new_pictures_wait_behind_the_pill(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(12))
    page, other = await open_page("/"), await open_page("/")
    await expect(pictures(page)).to_have_count(12)
    await tiles(page).nth(1).hover()
    before = await places(page)
    await measure(page)
    await make(invokeai, 100, 101)
    await expect(pictures(other)).to_have_count(14)
    pill = page.get_by_test_id("new-pill")
    await expect(pill).to_have_text("2 new")
    assert await places(page) == before
    await pill.click()
    await expect(pictures(page)).to_have_count(14)
    await expect(pill).to_be_hidden()
    await expect(page.get_by_test_id("grid")).to_have_js_property("scrollTop", 0)
    await make(invokeai, 102)
    await expect(pill).to_have_text("1 new")
    await page.get_by_role("searchbox").hover()
    await expect(pictures(page)).to_have_count(15)
    await expect(pill).to_be_hidden()
    # These find room in the row that stands there.
    await tiles(page).nth(1).hover()
    await make(invokeai, 103)
    await pill.click()
    await expect(pictures(page)).to_have_count(16)
    await make(invokeai, 104)
    await expect(pill).to_have_text("1 new")
    assert await moved(page) == ([], [])


async def test_while_a_finger_or_the_focus_is_on_the_grid_new_pictures_wait(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(4))
    page, phone = await open_page("/"), await open_page("/", **PHONE)
    await expect(pictures(page)).to_have_count(4)
    await expect(pictures(phone)).to_have_count(4)
    await page.keyboard.press("ArrowRight")
    finger = await phone.context.new_cdp_session(phone)
    await finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 200, "y": 700}]})
    await make(invokeai, 100)
    for one in (page, phone):
        await expect(one.get_by_test_id("new-pill")).to_have_text("1 new")
        await expect(tiles(one)).to_have_count(4)
    await finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await expect(pictures(phone)).to_have_count(5)
    await page.get_by_role("searchbox").focus()
    await expect(pictures(page)).to_have_count(5)


async def test_what_the_studio_queues_has_its_place_at_once_and_becomes_its_picture_there(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, *range(7))
    await create_session(invokeai, darkroom, 96, 64, batch=1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(8)
    await expect(page.get_by_label("Session")).to_be_visible()
    await measure(page)
    hold = invokeai.hold("output")
    await create_session(invokeai, darkroom, 96, 64, batch=3)
    slots = page.get_by_test_id("grid-slot")
    await expect(slots).to_have_count(3)
    await expect(page.locator("[data-testid=grid-slot][data-state=in_progress] img")).to_be_visible()
    await expect(page.get_by_test_id("tray")).to_be_hidden()
    await expect(page.get_by_test_id("grid")).to_have_js_property("scrollTop", 0)
    before = [await box_of(slot) for slot in await slots.all()]
    # Also while somebody looks closely. Of a tile that is not wholly in view, the grid would be scrolled.
    await tiles(page).nth(1).hover()
    hold.release()
    await expect(pictures(page)).to_have_count(11)
    await expect(slots).to_have_count(0)
    assert [await box_of(tile) for tile in (await tiles(page).all())[:3]] == before
    assert await moved(page) == ([], [])
    await expect(page.get_by_test_id("new-pill")).to_be_hidden()


async def test_the_place_of_what_is_canceled_goes_once_nobody_looks(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, *range(8))
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(8)
    invokeai.hold("output")
    session = await create_session(invokeai, darkroom, 96, 64, batch=2)
    await expect(page.get_by_test_id("grid-slot")).to_have_count(2)
    await expect(page.get_by_test_id("grid")).to_have_js_property("scrollTop", 0)
    await page.clock.install()
    await tiles(page).nth(5).hover()
    before = await places(page)
    async with darkroom.http.get(f"/api/v1/sessions/{session}") as response:
        [step] = (await response.json())["steps"]
    async with darkroom.http.post(f"/api/v1/steps/{step['id']}/cancel") as response:
        assert response.ok
    await expect(page.locator("[data-testid=grid-slot][data-state=canceled]")).to_have_count(2)
    await page.clock.run_for(30_000)
    assert await places(page) == before
    await page.get_by_role("searchbox").hover()
    await page.clock.run_for(2_000)
    await expect(page.get_by_test_id("grid-slot")).to_have_count(0)
    await expect(tiles(page)).to_have_count(8)
