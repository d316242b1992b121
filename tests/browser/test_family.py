"""Where a picture came from and what was made from it: the strip in its info, and the page of the family."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.families import add_picture, add_rows, link, name_source, touch
from tests.browser.pictures import make, pictures
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

SUMMER = "a meadow, summer"
WINTER = "a meadow, snow"
NIGHT = "a meadow, snow, night"
NO_PHOTO = "019a0000-0000-7000-8000-000000000000"


def nodes(page: Page) -> Locator:
    return page.get_by_test_id("lineage-node")


def node(page: Page, photo: str) -> Locator:
    return page.locator(f"[data-testid=lineage-node][data-photo='{photo}']")


def strip(page: Page) -> Locator:
    return page.get_by_test_id("lineage-strip")


def panel(page: Page) -> Locator:
    return page.get_by_test_id("family-panel")


async def three(darkroom: Darkroom) -> tuple[str, str, str]:
    """A summer, the winter that was made from it, and the night that was made from that."""
    summer = await add_picture(darkroom, SUMMER, 1)
    winter = await add_picture(darkroom, WINTER, 2, strength=0.6)
    night = await add_picture(darkroom, NIGHT, 2, strength=0.6)
    await link(darkroom, summer, winter)
    await link(darkroom, winter, night)
    return summer, winter, night


async def purge(darkroom: Darkroom, photo: str) -> None:
    """Out of the trash, for good."""
    async with darkroom.http.post("/api/v1/photos/bulk", json={"action": "purge", "ids": [photo]}) as response:
        assert (await response.json())["changed"] == 1


async def box_of(locator: Locator) -> Any:
    return await locator.evaluate(
        "(one) => { const { x, y, width, height } = one.getBoundingClientRect();"
        " return [x, y, width, height].map(Math.round); }"
    )


async def assert_in_window(page: Page, photo: str) -> None:
    await page.wait_for_function(
        """(photo) => {
          const node = document.querySelector(`[data-testid=lineage-node][data-photo='${photo}']`);
          const [inner, outer] = [node, node.closest('section')].map((one) => one.getBoundingClientRect());
          const isWithin = inner.left >= outer.left && inner.right <= outer.right;
          return isWithin && inner.top >= outer.top && inner.bottom <= outer.bottom;
        }""",
        arg=photo,
    )


async def test_by_keyboard_alone_from_a_picture_to_its_child_and_back_through_the_family(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    summer, winter, night = await three(darkroom)
    page = await open_page(f"/?photo={winter}")
    viewer = page.get_by_test_id("viewer")
    await expect(viewer).to_have_accessible_name(WINTER)
    await page.keyboard.press("y")
    await expect(page).to_have_url(re.compile(f"/photo/{winter}/family$"))
    await expect(node(page, winter)).to_be_focused()
    await expect(node(page, winter)).to_have_attribute("aria-current", "true")
    await expect(page).to_have_title(f"Family of {WINTER} · Darkroom")

    await page.keyboard.press("ArrowRight")
    await expect(node(page, night)).to_be_focused()
    await expect(node(page, night)).to_have_accessible_name(re.compile("made from a meadow, snow; prompt \\+ night$"))
    await page.keyboard.press("Enter")
    await expect(viewer).to_have_accessible_name(NIGHT)
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    await expect(node(page, night)).to_be_focused()

    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(node(page, summer)).to_be_focused()
    await page.keyboard.press("c")
    await expect(page).to_have_url(re.compile(f"/photo/{summer}/family$"))
    await expect(node(page, summer)).to_have_attribute("aria-current", "true")
    await expect(node(page, summer)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(re.compile(f"/photo/{winter}/family$"))
    await expect(node(page, winter)).to_have_attribute("aria-current", "true")
    await page.keyboard.press("Escape")
    await expect(viewer).to_have_accessible_name(WINTER)


async def test_the_strip_leads_to_parents_and_children_and_has_its_room_from_the_start(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    _, winter, night = await three(darkroom)
    alone = await add_picture(darkroom, "dunes", 9)
    page = await open_page(f"/?photo={alone}")
    viewer = page.get_by_test_id("viewer")
    await page.keyboard.press("i")
    room = page.locator(".lineage-room")
    await expect(room).to_contain_text("nothing was made from it")
    await expect(strip(page)).to_be_hidden()
    without = await box_of(room)
    await page.goto(f"/?photo={winter}")
    await expect(strip(page).get_by_role("button")).to_have_count(3)
    assert await box_of(room) == without
    await expect(room).to_contain_text("Made from 1 picture · 1 made from it")

    await strip(page).get_by_role("button", name=re.compile("Made into a meadow, snow, night")).click()
    await expect(viewer).to_have_accessible_name(NIGHT)
    await expect(page).to_have_url(re.compile(f"photo={night}"))
    await expect(strip(page).get_by_role("button")).to_have_count(2)
    # Seen by those who walk by keys: one stop, arrows within, and on in the next picture's strip.
    await strip(page).get_by_role("button", name="this photo").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(strip(page).get_by_role("button", name=re.compile("^Made from a meadow, snow"))).to_be_focused()
    await expect(viewer).to_have_accessible_name(NIGHT)
    await page.keyboard.press("Enter")
    await expect(viewer).to_have_accessible_name(WINTER)
    await expect(strip(page).get_by_role("button", name="this photo")).to_be_focused()
    await page.get_by_role("link", name="Family", exact=True).click()
    await expect(nodes(page)).to_have_count(3)
    await page.go_back()
    await expect(viewer).to_have_accessible_name(WINTER)
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()


async def test_a_strip_counts_those_it_has_no_room_for_and_says_what_is_gone(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    root = await add_picture(darkroom, SUMMER, 1)
    await link(darkroom, root, *await add_rows(darkroom, 14))
    await name_source(darkroom, root, "gone.png", "control")
    page = await open_page(f"/?photo={root}")
    await page.keyboard.press("i")
    await expect(strip(page).get_by_role("button", name="Made from a source that is not here any more")).to_be_visible()
    await expect(page.locator(".lineage-room")).to_contain_text("Its source is not here any more · 14 made from it")
    await strip(page).get_by_role("link", name=re.compile("11 more")).click()
    await expect(nodes(page)).to_have_count(15)


async def test_the_strip_follows_what_is_made_and_on_a_phone_stands_in_the_sheet(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    summer = await add_picture(darkroom, SUMMER, 1)
    winter = await add_picture(darkroom, WINTER, 2)
    page = await open_page(f"/?photo={summer}", **PHONE)
    await page.get_by_role("button", name="Info").tap()
    await expect(page.locator(".lineage-room")).to_contain_text("nothing was made from it")
    await link(darkroom, summer, winter)
    await touch(darkroom, winter)
    made = strip(page).get_by_role("button", name=re.compile("^Made into a meadow, snow"))
    await expect(made).to_be_visible()
    assert min((await box_of(made))[2:]) >= 44
    await made.tap()
    await expect(page.get_by_test_id("viewer")).to_have_accessible_name(WINTER)
    await expect(page.get_by_test_id("inspector")).to_be_visible()


async def test_what_changed_is_told_whole_of_the_picture_one_is_on(open_page: OpenPage, darkroom: Darkroom) -> None:
    summer, winter, _ = await three(darkroom)
    await name_source(darkroom, winter, "control.png", "control", summer)
    page = await open_page(f"/photo/{winter}/family")
    change = panel(page).get_by_test_id("family-change")
    for words in ("a meadow, summer", "+ snow", "− summer", "seed 1 → 2", "strength 0.6"):
        await expect(change).to_contain_text(words)
    await node(page, summer).hover()
    await expect(panel(page)).to_contain_text("No source of it is known")
    await page.locator(".family-lines .reach").last.dispatch_event("click")
    await expect(panel(page)).to_contain_text("+ night")


async def test_a_picture_made_elsewhere_joins_the_family_and_the_focus_and_its_place_stay(
    open_page: OpenPage, darkroom: Darkroom, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    async with darkroom.http.get("/api/v1/photos") as response:
        [parent] = (await response.json())["items"]
    first = await add_picture(darkroom, WINTER, 2, init_image=parent["invoke_id"])
    await page.goto(f"/photo/{parent['id']}/family")
    await expect(nodes(page)).to_have_count(2)
    await page.keyboard.press("ArrowRight")
    await expect(node(page, first)).to_be_focused()
    before = await box_of(node(page, first))
    second = await add_picture(darkroom, NIGHT, 3, init_image=parent["invoke_id"])
    await expect(node(page, second)).to_be_visible()
    await expect(node(page, first)).to_be_focused()
    assert await box_of(node(page, first)) == before

    async with darkroom.http.delete(f"/api/v1/photos/{second}") as response:
        assert response.status == 204
    await expect(node(page, second)).to_have_accessible_name(re.compile("in the trash"))
    await purge(darkroom, second)
    await expect(nodes(page)).to_have_count(2)
    await expect(node(page, first)).to_be_focused()


async def test_the_focus_of_a_picture_that_is_deleted_goes_to_the_photo_in_the_centre(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    _, winter, night = await three(darkroom)
    page = await open_page(f"/photo/{winter}/family")
    await expect(node(page, winter)).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(node(page, night)).to_be_focused()
    async with darkroom.http.delete(f"/api/v1/photos/{night}") as response:
        assert response.status == 204
    await purge(darkroom, night)
    await expect(nodes(page)).to_have_count(2)
    await expect(node(page, winter)).to_be_focused()


async def test_sources_that_are_not_here_are_empty_frames_with_words(open_page: OpenPage, darkroom: Darkroom) -> None:
    photo = await add_picture(darkroom, WINTER, 1)
    await name_source(darkroom, photo, "a.png", "init image")
    await name_source(darkroom, photo, "b.png", "mask")
    page = await open_page(f"/photo/{photo}/family")
    missing = page.get_by_test_id("lineage-missing")
    await expect(missing).to_have_count(2)
    await expect(missing.first).to_contain_text("Not here any more")
    await expect(page.get_by_text("mask", exact=True)).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("[data-testid=lineage-missing]:focus")).to_have_accessible_name(
        "A source that is not here any more"
    )
    await expect(panel(page)).to_contain_text("It never came here, or it was deleted for good")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("viewer")).to_be_hidden()


async def test_a_family_larger_than_is_drawn_says_so_and_another_of_it_can_be_the_centre(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    root = await add_picture(darkroom, SUMMER, 1)
    rows = await add_rows(darkroom, 320)
    await link(darkroom, root, *rows)
    page = await open_page(f"/photo/{root}/family")
    await expect(nodes(page)).to_have_count(300)
    await expect(page.get_by_test_id("family-truncated")).to_contain_text("the 300 nearest are drawn")
    await assert_in_window(page, root)
    await page.keyboard.press("ArrowRight")
    chosen = str(await page.evaluate("document.activeElement.dataset.photo"))
    for _ in range(3):
        await page.keyboard.press("ArrowDown")
        chosen = str(await page.evaluate("document.activeElement.dataset.photo"))
        await assert_in_window(page, chosen)
    await panel(page).get_by_role("button", name="Centre").click()
    await expect(page).to_have_url(re.compile(f"/photo/{chosen}/family$"))
    await expect(nodes(page)).to_have_count(2)
    await expect(page.get_by_test_id("family-truncated")).to_be_hidden()


async def test_the_address_survives_a_reload_and_escape_leads_to_the_photo(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    _, winter, night = await three(darkroom)
    page = await open_page(f"/photo/{winter}/family")
    await expect(nodes(page)).to_have_count(3)
    await page.reload()
    await expect(node(page, winter)).to_be_focused()
    await node(page, night).click()
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", night)
    await page.reload()
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", night)
    await page.keyboard.press("y")
    await expect(page).to_have_url(re.compile(f"/photo/{night}/family$"))
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    page = await open_page(f"/photo/{winter}/family")
    await expect(nodes(page)).to_have_count(3)
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", winter)


async def test_it_is_dragged_and_zoomed_by_mouse_wheel_and_buttons(open_page: OpenPage, darkroom: Darkroom) -> None:
    _, winter, _ = await three(darkroom)
    page = await open_page(f"/photo/{winter}/family", reduced_motion="reduce")
    await expect(nodes(page)).to_have_count(3)
    x, y, width, height = await box_of(node(page, winter))
    # A drag that begins on a picture opens nothing.
    await page.mouse.move(x + 20, y + 20)
    await page.mouse.down()
    await page.mouse.move(x + 60, y + 50, steps=4)
    await page.mouse.up()
    assert await box_of(node(page, winter)) == [x + 40, y + 30, width, height]
    await expect(page.get_by_test_id("viewer")).to_be_hidden()
    await page.mouse.wheel(0, -200)
    await page.wait_for_function(
        "([photo, width]) => document.querySelector(`[data-testid=lineage-node][data-photo='${photo}']`)"
        ".getBoundingClientRect().width > width * 1.2",
        arg=[winter, width],
    )
    await page.get_by_role("button", name="Show all").click()
    assert await box_of(node(page, winter)) == [x, y, width, height]
    await page.get_by_role("button", name="Zoom out").click()
    assert (await box_of(node(page, winter)))[2] < width


async def test_on_a_phone_it_goes_down_and_a_second_tap_opens(open_page: OpenPage, darkroom: Darkroom) -> None:
    summer, winter, night = await three(darkroom)
    page = await open_page(f"/photo/{winter}/family", **PHONE)
    await expect(nodes(page)).to_have_count(3)
    tops = [(await box_of(node(page, photo)))[1] for photo in (summer, winter, night)]
    assert tops == sorted(tops)
    assert tops[0] < tops[1] < tops[2]
    viewer = page.get_by_test_id("viewer")
    await node(page, night).tap()
    await expect(panel(page)).to_contain_text("+ night")
    await expect(viewer).to_be_hidden()
    await node(page, night).tap()
    await expect(viewer).to_have_attribute("data-photo", night)
    await viewer.get_by_role("button", name="Back").tap()
    await expect(viewer).to_be_hidden()
    await panel(page).get_by_role("button", name="Open", exact=True).tap()
    await expect(viewer).to_have_attribute("data-photo", night)


async def test_two_fingers_zoom_and_one_drags(open_page: OpenPage, darkroom: Darkroom) -> None:
    _, winter, _ = await three(darkroom)
    page = await open_page(f"/photo/{winter}/family", **PHONE, reduced_motion="reduce")
    await expect(nodes(page)).to_have_count(3)
    x, y, width, _ = await box_of(node(page, winter))
    session = await page.context.new_cdp_session(page)

    async def touch_at(kind: str, *points: tuple[int, int]) -> None:
        await session.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": at[0], "y": at[1], "id": n} for n, at in enumerate(points)]},
        )

    middle = (x + width // 2, y + 40)
    await touch_at("touchStart", middle)
    await touch_at("touchMove", (middle[0] + 10, middle[1] + 20))
    await touch_at("touchMove", (middle[0] + 20, middle[1] + 30))
    await touch_at("touchEnd")
    assert (await box_of(node(page, winter)))[1] > y
    await touch_at("touchStart", (100, 300), (200, 300))
    await touch_at("touchMove", (80, 300), (220, 300))
    await touch_at("touchMove", (50, 300), (250, 300))
    await touch_at("touchEnd")
    assert (await box_of(node(page, winter)))[2] > width * 1.5
    await expect(page.get_by_test_id("viewer")).to_be_hidden()


async def test_a_photo_without_a_family_says_what_makes_one_and_a_photo_that_is_not_there_says_so(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    alone = await add_picture(darkroom, "dunes", 1)
    page = await open_page(f"/photo/{alone}/family")
    await expect(page.get_by_test_id("blank")).to_contain_text("Use as source")
    child = await add_picture(darkroom, "dunes at night", 2)
    await link(darkroom, alone, child)
    await touch(darkroom, child)
    await expect(nodes(page)).to_have_count(2)
    page = await open_page(f"/photo/{NO_PHOTO}/family", tolerated=("status of 404",))
    await expect(page.get_by_test_id("blank")).to_contain_text("This photo is gone")
    await page.get_by_role("link", name="To the library").click()
    await expect(page).to_have_url(re.compile("/$"))


async def test_nothing_moves_while_the_pictures_load(open_page: OpenPage, darkroom: Darkroom) -> None:
    _, winter, _ = await three(darkroom)
    page = await open_page("/settings")
    gate = asyncio.Event()

    async def hold(route: Route) -> None:
        await gate.wait()
        await route.continue_()

    await page.context.route("**/thumbnail*", hold)
    await page.goto(f"/photo/{winter}/family")
    await expect(nodes(page)).to_have_count(3)
    before = [await box_of(one) for one in await nodes(page).all()]
    gate.set()
    await expect(nodes(page).locator("img.front.shown")).to_have_count(3)
    assert [await box_of(one) for one in await nodes(page).all()] == before
