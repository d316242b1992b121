"""One picture of a step is selected: by mouse, key and touch, seen in every browser, and undone."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.views import create_session
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

REFUSED = "Failed to load resource: the server responded with a status of 503"


async def a_step_of(count: int, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> str:
    """A session with a step of as many pictures, all home."""
    session = await create_session(invokeai, darkroom, 64, 64, batch=count)
    async with asyncio.timeout(30):
        while True:
            step = await step_of(darkroom, session)
            home = [photo for photo in step["alternatives"] if photo["retrieval_status"] == "completed"]
            if step["status"] == "completed" and len(home) == count:
                return session
            await asyncio.sleep(0.05)


async def step_of(darkroom: Darkroom, session: str) -> Any:
    async with darkroom.http.get(f"/api/v1/sessions/{session}") as response:
        [step] = (await response.json())["steps"]
    return step


async def assert_stored(darkroom: Darkroom, session: str, number: int | None) -> None:
    """Which of its pictures the step has as its selection."""
    step = await step_of(darkroom, session)
    wanted = None if number is None else step["alternatives"][number]["id"]
    assert step["selected_image_id"] == wanted


def alternative(page: Page, number: int) -> Locator:
    return page.get_by_test_id("alternative").nth(number)


def mark(page: Page, number: int) -> Locator:
    return alternative(page, number).get_by_role("button", name="Select")


async def expect_selected(page: Page, number: int | None, count: int = 3) -> None:
    """That one alone is outlined, and its mark is pressed."""
    await expect(page.get_by_test_id("alternative")).to_have_count(count)
    for other in range(count):
        chosen = "true" if other == number else "false"
        await expect(alternative(page, other)).to_have_attribute("data-selected", chosen)
        await expect(mark(page, other)).to_have_attribute("aria-pressed", chosen)
    await expect(page.locator(".slot.selected")).to_have_count(0 if number is None else 1)


def face(page: Page) -> Locator:
    return page.get_by_test_id("tree-node").locator("img.front")


async def face_shows(page: Page, number: int) -> None:
    photo = await alternative(page, number).get_attribute("data-photo")
    await expect(face(page)).to_have_attribute("src", re.compile(str(photo)))


def message(page: Page) -> Locator:
    return page.get_by_test_id("toast")


async def test_by_mouse_one_is_selected_another_instead_and_the_message_undoes_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await a_step_of(3, invokeai, darkroom)
    page, other = await open_page(f"/studio/{session}"), await open_page(f"/studio/{session}")
    await expect_selected(page, None)
    await mark(page, 1).click()
    await expect_selected(page, 1)
    await expect(message(page)).to_contain_text("Selected")
    await expect_selected(other, 1)
    await face_shows(page, 1)
    await face_shows(other, 1)
    await assert_stored(darkroom, session, 1)

    await mark(page, 2).click()
    await expect_selected(page, 2)
    await expect(message(page)).to_have_text("Selection changedUndo")
    await expect_selected(other, 2)
    await face_shows(other, 2)
    await page.get_by_role("button", name="Undo").click()
    await expect_selected(page, 1)
    await expect_selected(other, 1)
    await expect(message(page)).to_contain_text("Undone")
    await assert_stored(darkroom, session, 1)

    await mark(page, 1).click()
    await expect_selected(page, None)
    await expect(message(page).last).to_contain_text("No picture is selected")
    await page.keyboard.press("Control+z")
    await expect_selected(page, 1)
    await expect_selected(other, 1)
    await page.reload()
    await expect_selected(page, 1)
    await face_shows(page, 1)


async def test_by_key_enter_and_s_select_what_has_the_focus_and_again_unselect(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await a_step_of(3, invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    await expect_selected(page, None)
    await alternative(page, 0).get_by_role("link").focus()
    await page.keyboard.press("Enter")
    await expect_selected(page, 0)
    await page.keyboard.press("Tab")
    await expect(alternative(page, 1).get_by_role("link")).to_be_focused()
    await page.keyboard.press("s")
    await expect_selected(page, 1)
    await expect(alternative(page, 1).get_by_role("link")).to_have_accessible_name(re.compile("selected$"))
    await page.keyboard.press("s")
    await expect_selected(page, None)
    await alternative(page, 2).press("Enter")
    await expect_selected(page, 2)
    await expect(message(page)).to_contain_text("Selected")
    await assert_stored(darkroom, session, 2)
    await page.keyboard.press("Space")
    await expect(page.get_by_test_id("viewer")).to_be_visible()


async def test_in_the_viewer_s_selects_the_picture_on_show(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await a_step_of(3, invokeai, darkroom)
    page, other = await open_page(f"/studio/{session}"), await open_page(f"/studio/{session}")
    await alternative(page, 0).get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    button = viewer.get_by_role("button", name="Select")
    await page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_text("2 of 3")).to_be_visible()
    await page.keyboard.press("s")
    await expect(button).to_have_attribute("aria-pressed", "true")
    await expect_selected(other, 1)
    await page.keyboard.press("ArrowRight")
    await expect(button).to_have_attribute("aria-pressed", "false")
    await button.click()
    await expect_selected(other, 2)
    await page.keyboard.press("Control+z")
    await expect_selected(other, 1)
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()
    await expect_selected(page, 1)
    # A photo of the library is no step's alternative there.
    await page.goto("/")
    await page.get_by_test_id("tile").first.get_by_role("link").click()
    await expect(viewer.get_by_role("button", name="Favourite")).to_be_visible()
    await expect(button).to_be_hidden()


async def test_by_touch_on_a_phone(open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom) -> None:
    session = await a_step_of(3, invokeai, darkroom)
    page = await open_page(f"/studio/{session}", **PHONE)
    await expect_selected(page, None)
    box = await mark(page, 1).bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    await mark(page, 1).tap()
    await expect_selected(page, 1)
    await page.get_by_role("button", name="Undo").tap()
    await expect_selected(page, None)
    await assert_stored(darkroom, session, None)


async def test_what_is_refused_is_as_it_was_and_says_why(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await a_step_of(2, invokeai, darkroom)
    page = await open_page(f"/studio/{session}", tolerated=(REFUSED,))
    await mark(page, 0).click()
    await expect_selected(page, 0, 2)
    await expect(message(page)).to_contain_text("Selected")
    marker = darkroom.app.state["settings"].data / ".darkroom"
    kept = marker.read_bytes()
    marker.unlink()
    await mark(page, 1).click()
    await expect(message(page).last).to_contain_text("Not selected.")
    await expect_selected(page, 0, 2)
    marker.write_bytes(kept)
    await mark(page, 1).click()
    await expect_selected(page, 1, 2)
    await assert_stored_soon(darkroom, session, 1)


async def assert_stored_soon(darkroom: Darkroom, session: str, number: int) -> None:
    async with asyncio.timeout(20):
        while True:
            step = await step_of(darkroom, session)
            if step["selected_image_id"] == step["alternatives"][number]["id"]:
                return
            await asyncio.sleep(0.05)


async def test_nothing_moves_when_one_is_selected_and_what_is_selected_quickly_ends_as_asked_last(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await a_step_of(3, invokeai, darkroom)
    page = await open_page(f"/studio/{session}")
    await expect_selected(page, None)
    before = [await alternative(page, number).bounding_box() for number in range(3)]
    for number in (0, 1, 2, 1, 0, 2):
        await mark(page, number).click()
    await expect_selected(page, 2)
    assert [await alternative(page, number).bounding_box() for number in range(3)] == before
    await expect(message(page)).to_have_count(1)
    await assert_stored_soon(darkroom, session, 2)
    await expect_selected(page, 2)


async def test_one_that_has_not_come_home_can_be_selected(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    gate = asyncio.Event()
    invokeai.on("/full$", answers.after(gate), times=None)
    session = await create_session(invokeai, darkroom, 64, 64, batch=2)
    page = await open_page(f"/studio/{session}")
    await expect(page.get_by_test_id("alternative")).to_have_count(2)
    await mark(page, 1).click()
    await expect_selected(page, 1, 2)
    gate.set()
    await expect(page.locator("[data-testid=alternative] img.front.shown")).to_have_count(2)
    await expect_selected(page, 1, 2)
    selected = list((darkroom.app.state["settings"].data / "photos").rglob("selected/*.png"))
    async with asyncio.timeout(20):
        while not selected:
            await asyncio.sleep(0.05)
            selected = list((darkroom.app.state["settings"].data / "photos").rglob("selected/*.png"))
    assert [file.stem for file in selected] == [await alternative(page, 1).get_attribute("data-photo")]
