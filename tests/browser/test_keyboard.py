"""Everything by keyboard alone."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import HILLS, make, pictures, tiles
from tests.browser.views import create_session
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_the_keys_lead_everywhere_and_the_question_mark_lists_them(open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    for keys, place in (("gs", "Make something"), ("ga", "Activity"), ("gt", "Trash"), ("gl", "Your library is ready")):
        for key in keys:
            await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name=place, exact=True)).to_be_visible()
    await page.keyboard.press("?")
    keys_dialog = page.get_by_role("dialog", name="Keys")
    await expect(keys_dialog).to_be_visible()
    await expect(keys_dialog.get_by_text("Favourite").first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(keys_dialog).to_be_hidden()


async def test_keys_that_are_typed_into_a_field_do_nothing_else(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    await page.keyboard.press("/")
    await page.keyboard.type("hills gs?x")
    await expect(page.get_by_role("searchbox")).to_have_value("hills gs?x")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("searchbox")).not_to_be_focused()


async def test_a_picture_is_found_viewed_favoured_and_trashed(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(tiles(page).nth(1).get_by_role("link")).to_be_focused()

    await page.keyboard.press("f")
    heart = tiles(page).nth(1).get_by_role("button", name="Favourite")
    await expect(heart).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("Space")
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("2 of 3")).to_be_visible()
    await expect(viewer.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("f")
    await expect(viewer.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "false")
    await page.keyboard.press("Delete")
    await expect(viewer.get_by_text("2 of 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(tiles(page)).to_have_count(2)
    await expect(tiles(page).nth(1).get_by_role("link")).to_be_focused()

    await page.keyboard.press("Delete")
    await expect(tiles(page)).to_have_count(1)
    await expect(tiles(page).first.get_by_role("link")).to_be_focused()
    await expect(page.get_by_test_id("toast").last).to_contain_text("1 photo moved to the trash")


async def test_several_are_chosen_and_let_go(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2, 3, 4)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(4)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Control+Space")
    bar = page.get_by_test_id("selection-bar")
    await expect(bar).to_contain_text("1 photo")
    await page.keyboard.press("Control+Space")
    await expect(bar).to_be_hidden()
    await page.keyboard.press("x")
    await expect(bar).to_be_hidden()
    await page.keyboard.press("Shift+ArrowRight")
    await expect(bar).to_contain_text("2 photos")
    await page.keyboard.press("Control+a")
    await expect(bar).to_contain_text("4 photos")
    await page.keyboard.press("Escape")
    await expect(bar).to_be_hidden()


async def hold_down(page: Page, key: str) -> None:
    for _ in range(4):
        await page.keyboard.down(key)
    await page.keyboard.up(key)


async def test_a_key_that_is_held_down_is_one_press_and_an_arrow_walks_on(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2, 3, 4)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(4)
    changes: list[str] = []

    def count(request: Request) -> None:
        if request.url.endswith("/photos/bulk"):
            changes.append(request.url)

    page.on("request", count)
    await hold_down(page, "ArrowRight")
    await expect(tiles(page).nth(3).get_by_role("link")).to_be_focused()
    await hold_down(page, "f")
    await expect(tiles(page).nth(3).get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    await hold_down(page, "Space")
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("4 of 4")).to_be_visible()
    await hold_down(page, "f")
    await expect(viewer.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "false")
    await hold_down(page, "Space")
    await expect(viewer).to_be_hidden()
    # The second change is sent once the first is answered.
    await expect(tiles(page).nth(3).get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "false")
    async with asyncio.timeout(20):
        while len(changes) < 2:
            await asyncio.sleep(0.02)
    assert len(changes) == 2


async def test_the_focus_is_on_the_next_photo_once_the_bar_has_trashed_one(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2, 3)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    following = await tiles(page).nth(2).get_attribute("data-photo")
    await page.keyboard.press("Control+Space")
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Trash").focus()
    await page.keyboard.press("Enter")
    await expect(tiles(page)).to_have_count(2)
    await expect(page.locator(f"[data-photo='{following}'] > a")).to_be_focused()


FOCUSED = "document.activeElement.closest('[data-photo]')?.dataset.photo ?? null"


async def test_scrolling_keys_walk_the_grid_without_a_click_and_the_focus_stays(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(40))
    page = await open_page("/", viewport={"width": 1000, "height": 500})
    await expect(page.get_by_text("40 photos")).to_be_visible()
    ids = await page.evaluate(
        "fetch('/api/v1/photos?limit=200').then((it) => it.json()).then((it) => it.items.map((one) => one.id))"
    )
    focused = page.locator("[data-photo] > a:focus")
    await page.keyboard.press("PageDown")
    await expect(focused).to_be_in_viewport(ratio=1)
    at = ids.index(await page.evaluate(FOCUSED))
    assert at >= 6, "a view holds two rows"
    await page.keyboard.press("End")
    await page.wait_for_function(f"() => {FOCUSED} === {json.dumps(ids[-1])}")
    await expect(focused).to_be_in_viewport(ratio=1)
    await page.keyboard.press("PageUp")
    await page.wait_for_function(f"() => ![null, {json.dumps(ids[-1])}].includes({FOCUSED})")
    await expect(focused).to_be_in_viewport(ratio=1)
    # Scrolled out of sight, it keeps the focus.
    grid = page.get_by_test_id("grid")
    before = await page.evaluate(FOCUSED)
    await grid.evaluate("grid => grid.scrollTo(0, 0)")
    await expect(page.locator(f"[data-photo='{ids[0]}']")).to_be_in_viewport()
    assert await page.evaluate(FOCUSED) == before
    await page.keyboard.press("Home")
    await page.wait_for_function(f"() => {FOCUSED} === {json.dumps(ids[0])}")
    await expect(grid).to_have_js_property("scrollTop", 0)


async def test_home_shows_what_waited_and_stands_on_the_newest(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    await page.keyboard.press("ArrowRight")
    await make(invokeai, 3)
    await expect(page.get_by_test_id("new-pill")).to_have_text("1 new")
    await page.keyboard.press("Home")
    await expect(pictures(page)).to_have_count(3)
    newest = "fetch('/api/v1/photos').then((answer) => answer.json()).then((page) => page.items[0].id)"
    await page.wait_for_function(f"async () => {FOCUSED} === await {newest}")


async def test_tab_stops_at_one_photo_of_the_grid_and_goes_on_behind_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(20))
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(20)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    second = await tiles(page).nth(1).get_attribute("data-photo")
    await expect(page.locator(f"[data-photo='{second}'] > a")).to_be_focused()
    reached = []
    for key in ("Tab", "Tab", "Shift+Tab", "Shift+Tab", "Shift+Tab"):
        await page.keyboard.press(key)
        reached.append(
            await page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")
        )
    assert [words.split(" ")[0] for words in reached] == [
        "Select",
        "Favourite",
        "Select",
        HILLS.split(" ")[0],
        "Select",
    ]
    assert await page.locator(".grid [tabindex='0']").count() == 4
    assert await page.locator(".grid :is(a, button):not([tabindex])").count() == 0


async def test_each_photo_has_a_name_of_its_own(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    long = "a wide valley of layered hills at first light with low sun and mist between the ridges and far mountains"
    await make(invokeai, 1, 2, 3, 4, prompt=long)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(4)
    names = [str(await tile.get_by_role("link").get_attribute("aria-label")) for tile in await tiles(page).all()]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"a wide valley [a-z ]{40,66}…, seed [1-4], \d\d:\d\d:\d\d", name) for name in names)
    photo = page.get_by_role("grid", name="Photos").get_by_role("gridcell").filter(has=page.get_by_role("link")).first
    await expect(photo).to_have_attribute("aria-selected", "false")
    await photo.get_by_role("checkbox").click()
    await expect(photo).to_have_attribute("aria-selected", "true")


async def test_after_a_change_of_page_the_focus_is_in_it_and_a_link_skips_the_rail(open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()
    main = page.get_by_role("main")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(main).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.press("Escape")
    for keys, name in (("ga", "Activity"), ("gs", "Studio"), ("gl", "Library")):
        for key in keys:
            await page.keyboard.press(key)
        await expect(main).to_have_accessible_name(name)
        await expect(main).to_be_focused()
    await page.get_by_role("link", name="Activity").click()
    await expect(main).to_be_focused()


async def test_the_focus_stays_on_generate_and_leaves_cancel_for_the_steps_title(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    page = await open_page(f"/studio/{session}")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("."))
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value(re.compile("."))
    # The session's own step is over.
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    await expect(page.get_by_test_id("cancel")).to_be_hidden()
    hold = invokeai.hold("output")
    await page.get_by_test_id("generate").focus()
    await page.keyboard.press("Enter")
    await hold.reached()
    await expect(page.get_by_test_id("cancel")).to_be_enabled()
    await expect(page.get_by_test_id("generate")).to_be_focused()
    await page.get_by_test_id("cancel").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("step-trouble")).to_contain_text("Canceled")
    await expect(page.locator(".step-title h1")).to_be_focused()
    hold.release()
    await expect(page.get_by_test_id("tree-node")).to_have_count(2)


async def test_the_tree_of_steps_is_walked_with_the_arrows(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await create_session(invokeai, darkroom, 64, 64)
    async with darkroom.http.get(f"/api/v1/sessions/{session}") as response:
        first = (await response.json())["steps"][0]
    model = invokeai.main_model()
    for prompt in ("dunes at dawn", "dunes at noon"):
        step = {
            "prompt": prompt,
            "parent_id": first["id"],
            "model_key": model["key"],
            "model_hash": model["hash"],
            "parameters": {"width": 64, "height": 64, "steps": 2},
        }
        async with darkroom.http.post(f"/api/v1/sessions/{session}/steps", json=step) as response:
            assert response.status == 201
    page = await open_page(f"/studio/{session}/{first['id']}")
    nodes = page.get_by_role("treeitem")
    await expect(nodes).to_have_count(3)
    await expect(nodes.nth(0)).to_have_attribute("aria-selected", "true")
    assert [await node.get_attribute("aria-level") for node in await nodes.all()] == ["1", "2", "2"]
    await expect(page.locator("[role=treeitem][tabindex='0']")).to_have_count(1)
    await nodes.nth(0).focus()
    for key, at in (
        ("End", 2), ("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowDown", 2), ("ArrowDown", 2), ("ArrowUp", 1), ("Home", 0)
    ):  # fmt: skip
        await page.keyboard.press(key)
        await expect(nodes.nth(at)).to_be_focused()
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    await expect(nodes.nth(2)).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_role("heading", name="dunes at noon")).to_be_visible()
