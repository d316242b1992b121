"""Caption, tags and file name: typed once and never lost, completed, taken back, and seen everywhere."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.test_marking import NARROWEST, stored, toast
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.browser

REFUSED = {"error": {"code": "server_error", "message": "The disk is full."}}


async def inspected(open_page: OpenPage, invokeai: ScriptedInvokeAI, many: int = 2, **options: Any) -> Page:
    """The newest photo in the viewer, with the inspector."""
    await make(invokeai, *range(many))
    page = await open_page("/", **options)
    await expect(pictures(page)).to_have_count(many)
    await tiles(page).first.get_by_role("link").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("i")
    await expect(caption(page)).to_be_visible()
    return page


def caption(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Caption")


def file_name(page: Page) -> Locator:
    return page.get_by_role("textbox", name="File name")


def tag_field(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Add a tag")


def tags(page: Page) -> Locator:
    return page.get_by_role("list", name="Tags", exact=True).get_by_role("listitem")


async def one(darkroom: Darkroom, name: str) -> list[Any]:
    return [photo[name] for photo in await stored(darkroom)]


async def test_a_caption_is_saved_when_it_is_left_and_seen_in_another_browser(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai)
    other = await open_page("/")
    await expect(pictures(other)).to_have_count(2)
    await other.keyboard.press("ArrowRight")
    await other.keyboard.press("i")
    await caption(page).fill("Low sun, f and p are letters here")
    await caption(page).blur()
    await expect(toast(page)).to_contain_text("Caption saved")
    await expect(caption(other)).to_have_value("Low sun, f and p are letters here")
    await expect(tiles(other).first.get_by_role("link", name=re.compile("^Low sun"))).to_be_visible()
    await toast(page).get_by_role("button", name="Undo").click()
    await expect(toast(page)).to_have_text("Undone: 1 photo")
    await expect(caption(page)).to_have_value("")
    await expect(caption(other)).to_have_value("")
    assert await one(darkroom, "caption") == [None, None]


async def test_ctrl_enter_saves_and_the_field_keeps_the_focus(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 1)
    await caption(page).click()
    await page.keyboard.type("One")
    await page.keyboard.press("Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Control+Enter")
    await expect(toast(page)).to_contain_text("Caption saved")
    await expect(caption(page)).to_be_focused()
    assert await one(darkroom, "caption") == ["One\ntwo"]
    await caption(page).fill(" ")
    await page.keyboard.press("Escape")
    await expect(toast(page)).to_contain_text("Caption removed")
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    assert await one(darkroom, "caption") == [None]


async def test_a_caption_typed_and_left_for_the_next_photo_is_saved_with_its_own(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 3)
    viewer = page.get_by_test_id("viewer")
    await caption(page).fill("The first")
    await viewer.get_by_role("button", name="Next").click()
    await expect(viewer.get_by_text("2 of 3")).to_be_visible()
    await expect(caption(page)).to_have_value("")
    await caption(page).fill("The second")
    # As a swipe does: the photo changes while the field has the focus.
    await page.evaluate("history.back()")
    await expect(viewer).to_be_hidden()
    await expect(toast(page)).to_contain_text("Caption saved")

    async def are_saved() -> bool:
        return await one(darkroom, "caption") == ["The first", "The second", None]

    await eventually(are_saved)


async def test_a_caption_that_cannot_be_saved_stays_in_its_field_and_is_saved_later(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 2, tolerated=("status of 500",))
    viewer = page.get_by_test_id("viewer")

    async def refuse(route: Route) -> None:
        if route.request.method == "PATCH":
            await route.fulfill(status=500, json=REFUSED)
        else:
            await route.continue_()

    await page.route("**/api/v1/photos/*", refuse)
    await caption(page).fill("Not to be lost")
    await caption(page).blur()
    await expect(viewer.get_by_role("alert")).to_have_text("The disk is full.")
    await expect(caption(page)).to_have_attribute("aria-invalid", "true")
    await expect(caption(page)).to_have_value("Not to be lost")
    await viewer.get_by_role("button", name="Next").click()
    await expect(toast(page)).to_contain_text("Caption not saved: “Not to be lost”. The disk is full.")
    await viewer.get_by_role("button", name="Previous").click()
    await expect(caption(page)).to_have_value("Not to be lost")
    await page.unroute("**/api/v1/photos/*")
    await toast(page).get_by_role("button", name="Try again").click()
    await expect(toast(page)).to_contain_text("Caption saved")
    assert await one(darkroom, "caption") == ["Not to be lost", None]


async def test_what_is_typed_is_not_overwritten_by_what_comes_from_elsewhere(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 1)
    await caption(page).fill("Mine")
    [photo] = await stored(darkroom)
    async with darkroom.http.patch(f"/api/v1/photos/{photo['id']}", json={"caption": "Theirs", "rating": 3}) as answer:
        assert answer.status == 200
    await expect(page.get_by_test_id("inspector").get_by_role("radio", name="3 stars")).to_be_checked()
    await expect(caption(page)).to_have_value("Mine")
    await caption(page).blur()
    await expect(toast(page)).to_contain_text("Caption saved")
    assert await one(darkroom, "caption") == ["Mine"]


async def test_a_page_that_is_closed_has_still_saved_the_caption(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 1)
    await caption(page).fill("Just before the end")
    await page.close(run_before_unload=True)
    async with asyncio.timeout(20):
        while await one(darkroom, "caption") != ["Just before the end"]:
            await asyncio.sleep(0.05)


async def test_a_file_is_renamed_and_a_name_that_cannot_be_is_refused_at_the_field(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 1, tolerated=("status of 400",))
    [before] = await one(darkroom, "filename")
    await expect(file_name(page)).to_have_value(before)
    await file_name(page).fill("../dawn.png")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("inspector").get_by_role("alert")).to_contain_text("Must be the name of a file")
    await page.keyboard.press("Escape")
    await expect(file_name(page)).to_have_value(before)
    await expect(page.get_by_test_id("inspector").get_by_role("alert")).to_have_count(0)
    await file_name(page).fill(" dawn.png ")
    await page.keyboard.press("Enter")
    await expect(toast(page)).to_contain_text("File name saved")
    await expect(file_name(page)).to_have_value("dawn.png")
    assert await one(darkroom, "filename") == ["dawn.png"]
    await file_name(page).fill("")
    await file_name(page).blur()
    await expect(file_name(page)).to_have_value("dawn.png")


async def test_tags_are_added_completed_and_removed_by_key(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await inspected(open_page, invokeai, 2)
    await tag_field(page).click()
    await page.keyboard.type("hills")
    await page.keyboard.press("Enter")
    await page.keyboard.type("blue hour,")
    await expect(tags(page)).to_have_text(["hills", "blue hour"])
    await page.keyboard.type("sea")
    await page.get_by_test_id("viewer").get_by_role("button", name="Next").click()
    await expect(toast(page)).to_contain_text("Tagged “sea”")
    await expect(tags(page)).to_have_count(0)
    await tag_field(page).click()
    await page.keyboard.type("ho")
    await expect(page.get_by_role("option")).to_have_text(["blue hour"])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(tags(page)).to_have_text(["blue hour"])
    await page.keyboard.type("hi")
    await page.get_by_role("option", name="hills").click()
    await expect(tags(page)).to_have_text(["blue hour", "hills"])
    await expect(tag_field(page)).to_be_focused()
    await page.keyboard.press("Backspace")
    await expect(tags(page)).to_have_text(["blue hour"])
    await expect(toast(page)).to_contain_text("“hills” removed")
    await page.get_by_role("button", name="Remove blue hour").click()
    await expect(tags(page)).to_have_count(0)
    await expect(toast(page)).to_contain_text("“blue hour” removed")
    await toast(page).get_by_role("button", name="Undo").click()
    await expect(tags(page)).to_have_text(["blue hour"])
    assert await one(darkroom, "tags") == [["hills", "blue hour", "sea"], ["blue hour"]]


async def test_all_chosen_are_tagged_and_one_tag_is_taken_from_all(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", **NARROWEST)
    await expect(pictures(page)).to_have_count(2)
    for photo, given in zip(await stored(darkroom), (["sky"], []), strict=True):
        async with darkroom.http.patch(f"/api/v1/photos/{photo['id']}", json={"tags": given}) as answer:
            assert answer.status == 200
    await page.get_by_role("button", name="Select all").first.tap()
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Tags").tap()
    await tag_field(page).fill("sea, night")
    await page.keyboard.press("Enter")
    await expect(toast(page)).to_contain_text("2 photos tagged “sea”, “night”")
    assert await one(darkroom, "tags") == [["sky", "sea", "night"], ["sea", "night"]]
    await page.get_by_role("button", name="Remove night").tap()
    await expect(toast(page)).to_contain_text("“night” removed from 2 photos")
    await page.get_by_role("button", name="Remove sky").tap()
    await expect(toast(page)).to_contain_text("“sky” removed")
    assert await one(darkroom, "tags") == [["sea"], ["sea"]]


async def test_a_thumb_writes_a_caption_in_the_sheet(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, 1)
    page = await open_page("/", **PHONE)
    await expect(pictures(page)).to_have_count(1)
    await tiles(page).first.get_by_role("link").tap()
    await page.get_by_test_id("viewer").get_by_role("button", name="Info").tap()
    await caption(page).tap()
    await page.keyboard.type("With one thumb")
    await page.get_by_role("button", name="Close", exact=True).tap()
    await expect(toast(page)).to_contain_text("Caption saved")
    assert await one(darkroom, "caption") == ["With one thumb"]
