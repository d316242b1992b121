"""One picture on black: opened, walked through, read about, left again."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.viewer import assert_viewer_shows, shown_file
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = [pytest.mark.browser, pytest.mark.moves]


async def ids(page: Page) -> list[str]:
    return [str(await tile.get_attribute("data-photo")) for tile in await tiles(page).all()]


async def test_enter_opens_arrows_walk_the_inspector_tells_and_escape_returns(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    for number, prompt in enumerate(("a valley at dawn", "a lake at noon", "dunes at night")):
        await make(invokeai, 100 + number, prompt=prompt)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(3)

    await page.keyboard.press("ArrowRight")
    await expect(tiles(page).first.get_by_role("link")).to_be_focused()
    await page.keyboard.press("Enter")
    viewer = page.get_by_test_id("viewer")
    await expect(viewer).to_have_accessible_name("dunes at night")
    await expect(viewer.locator("img.pswp__img[src*='/file']").first).to_have_js_property("naturalWidth", 96)
    await expect(viewer.get_by_text("1 of 3")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_have_accessible_name("a lake at noon")
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_have_accessible_name("a valley at dawn")
    await page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_text("3 of 3")).to_be_visible()

    await page.keyboard.press("i")
    inspector = viewer.get_by_test_id("inspector")
    await expect(inspector).to_contain_text("a valley at dawn")
    await expect(inspector).to_contain_text("blurry")
    model = invokeai.main_model()["name"]
    for name, value in (("Model", model), ("Seed", "100"), ("Size", "96 × 64"), ("Steps", "1"), ("Source", "InvokeAI")):
        fact = inspector.locator("dl > div", has=page.get_by_text(name, exact=True)).locator("dd")
        await expect(fact).to_contain_text(value)
    await page.keyboard.press("ArrowLeft")
    await expect(inspector).to_contain_text("a lake at noon")

    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    await expect(page).to_have_url(re.compile(r"/$"))
    await expect(page.get_by_role("link", name="a lake at noon")).to_be_focused()


async def test_a_long_prompt_is_cut_to_eight_lines_and_read_whole_on_demand(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, prompt="layered hills at first light, " * 80)
    page = await open_page("/")
    await pictures(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("i")
    info = page.get_by_test_id("viewer").get_by_role("complementary", name="Info")
    prompt = info.locator(".prompt").first
    await expect(prompt).to_have_css("height", "160px")
    await info.get_by_role("button", name="Show all").click()
    await expect(prompt).not_to_have_css("height", "160px")
    await info.get_by_role("button", name="Show less").click()
    await expect(prompt).to_have_css("height", "160px")
    names = await info.locator("dt").all_inner_texts()
    assert {"Base model", "CFG scale", "Created", "Source", "File name", "File size"} <= set(names)


async def test_escape_pressed_twice_goes_back_once(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1)
    page = await open_page("/studio")
    await page.get_by_role("link", name="Library").click()
    for _ in range(2):
        await pictures(page).first.get_by_role("link").click()
        await expect(page.get_by_test_id("viewer")).to_be_focused()  # it has its keys by then
        await page.evaluate("""() => {
            for (let i = 0; i < 2; i++) {
                const key = { key: "Escape", bubbles: true, cancelable: true };
                document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
            }
        }""")
        await expect(page.get_by_test_id("viewer")).to_be_hidden()
        await expect(page).to_have_url(re.compile(r"/$"))
        await expect(pictures(page)).to_have_count(1)


async def test_a_link_to_a_picture_opens_it_survives_a_reload_and_back_closes_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    first = await open_page("/")
    await pictures(first).first.get_by_role("link").click()
    await expect(first.get_by_test_id("viewer")).to_be_visible()
    address = first.url
    await first.go_back()
    await expect(first.get_by_test_id("viewer")).to_be_hidden()
    await expect(pictures(first)).to_have_count(2)

    photo = re.search(r"photo=([0-9a-f-]{36})", address)
    assert photo is not None
    page = await open_page(address)
    for _ in range(2):
        await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", photo[1])
        await expect(page.locator("img.pswp__img[src*='/file']").first).to_have_js_property("naturalWidth", 96)
        await page.reload()
    await page.get_by_role("button", name="Back").click()
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await expect(pictures(page)).to_have_count(2)


async def test_a_picture_that_does_not_exist_says_so_and_leads_to_the_library(open_page: OpenPage) -> None:
    page = await open_page("/?photo=019a0000-0000-7000-8000-000000000000", tolerated=("status of 404",))
    await expect(page.get_by_test_id("viewer")).to_contain_text("This photo is gone")
    await page.get_by_test_id("viewer").get_by_role("link", name="To the library").click()
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()


async def test_a_picture_finished_while_one_looks_at_another_changes_neither_it_nor_its_place(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/")
    await pictures(page).nth(1).get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("2 of 2")).to_be_visible()
    shown = await viewer.get_attribute("data-photo")
    await make(invokeai, 3)
    await expect(page.get_by_test_id("new-pill")).to_have_text("1 new")
    await expect(viewer).to_have_attribute("data-photo", str(shown))
    await page.keyboard.press("Escape")
    await expect(pictures(page)).to_have_count(3)


async def test_photos_that_leave_elsewhere_leave_every_other_in_its_place(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, *range(6), size=(1024, 768))
    page = await open_page("/", viewport={"width": 800, "height": 600})
    await expect(page.get_by_text("6 photos")).to_be_visible()
    await page.get_by_role("slider", name="Size of the pictures").fill("120")
    await expect(pictures(page)).to_have_count(6)
    photos = await ids(page)
    viewer = page.get_by_test_id("viewer")
    await pictures(page).nth(1).get_by_role("link").click()
    await assert_viewer_shows(page, photos[1])
    await page.keyboard.press("z")
    await expect(shown_file(page)).to_have_css("width", "1024px")

    async with darkroom.http.delete(f"/api/v1/photos/{photos[3]}") as response:
        assert response.status == 204
    await expect(viewer.get_by_text("2 of 5")).to_be_visible()
    async with darkroom.http.delete(f"/api/v1/photos/{photos[0]}") as response:
        assert response.status == 204
    await expect(viewer.get_by_text("1 of 4")).to_be_visible()
    await expect(shown_file(page)).to_have_css("width", "1024px")
    for photo in (photos[1], photos[2], photos[4], photos[5]):
        await assert_viewer_shows(page, photo)
        await page.keyboard.press("ArrowRight")
    async with darkroom.http.delete(f"/api/v1/photos/{photos[5]}") as response:
        assert response.status == 204
    await assert_viewer_shows(page, photos[4])
    async with darkroom.http.post(f"/api/v1/photos/{photos[5]}/restore") as response:
        assert response.ok
    await expect(viewer.get_by_text("3 of 4")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await assert_viewer_shows(page, photos[5])


async def test_tab_stays_within_the_viewer(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    await pictures(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer).to_be_focused()
    for _ in range(20):
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('.viewer') !== null"
        )
    await page.keyboard.press("Delete")
    undo = page.get_by_test_id("toast").get_by_role("button", name="Undo")
    await undo.focus()
    await expect(undo).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(viewer.get_by_text("of 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    await page.get_by_role("link", name="Studio").click()
    await expect(page.get_by_role("heading", name="Make something")).to_be_visible()


async def test_the_filter_and_the_search_stand_in_the_address(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, prompt="a harbour at dusk")
    await make(invokeai, 2, prompt="a forest in winter")
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    await page.keyboard.type("forest")
    await expect(tiles(page)).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"q=forest"))
    await page.reload()
    await expect(tiles(page)).to_have_count(1)
    await expect(page.get_by_role("searchbox", name="Search")).to_have_value("forest")
    await page.get_by_role("button", name="Studio").click()
    await expect(page.get_by_role("heading", name="No photos match")).to_be_visible()
    await page.get_by_role("button", name="Show all photos").click()
    await expect(tiles(page)).to_have_count(2)


async def test_a_double_click_shows_every_pixel_and_another_the_whole_picture(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, size=(1024, 768))
    page = await open_page("/", viewport={"width": 800, "height": 600})
    await expect(pictures(page)).to_have_count(1)
    await pictures(page).first.get_by_role("link").click()
    await expect(shown_file(page)).to_have_css("width", "720px")
    for width in ("1024px", "720px"):
        await shown_file(page).click()
        await expect(shown_file(page)).not_to_have_css("width", width)
        await page.wait_for_timeout(600)
        await shown_file(page).dblclick()
        await expect(shown_file(page)).to_have_css("width", width)
