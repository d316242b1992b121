"""Dialogs: what closes them, what does not, and where the focus is afterwards."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures
from tests.fakes import ScriptedInvokeAI

pytestmark = pytest.mark.browser

ADDRESS = "http://gpu.example:9090"
HAND_MS = 60
"""Between two clicks of a hand, the page has drawn what the first one did."""


async def add_a_server(page: Page) -> Locator:
    """The dialog, with something typed into it."""
    await page.get_by_role("button", name="Add a server").click()
    dialog = page.get_by_role("dialog", name="Add a server")
    await dialog.get_by_label("Address").fill(ADDRESS)
    return dialog


async def drag(page: Page, *ways: tuple[float, float]) -> None:
    (first, *rest) = ways
    await page.mouse.move(*first)
    await page.mouse.down()
    for way in rest:
        await page.mouse.move(*way)
    await page.mouse.up()


async def test_only_a_press_that_begins_and_ends_beside_a_dialog_closes_it(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    dialog = await add_a_server(page)
    box = await dialog.bounding_box()
    field = await dialog.get_by_label("Address").bounding_box()
    assert box is not None
    assert field is not None
    edge = (box["x"] + box["width"] / 2, box["y"] + 6)
    beside = (box["x"] - 60, box["y"] + 40)
    within = (field["x"] + 60, field["y"] + field["height"] / 2)

    await page.mouse.click(*edge)
    await drag(page, within, beside)
    await drag(page, beside, within)
    await expect(dialog.get_by_label("Address")).to_have_value(ADDRESS)
    await page.mouse.click(*beside)
    await expect(dialog).to_be_hidden()


async def test_cancel_gives_the_focus_back(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    dialog = await add_a_server(page)
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("button", name="Add a server")).to_be_focused()


async def test_save_gives_the_focus_back(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    edit = page.get_by_role("button", name="Edit")
    await edit.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("The one below the desk")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await expect(edit).to_have_accessible_name("Edit The one below the desk")
    await expect(edit).to_be_focused()


async def test_keep_gives_the_focus_back(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    await page.get_by_role("button", name="Select all").click()
    await page.keyboard.press("Delete")
    await page.goto("/trash")
    empty = page.get_by_role("button", name="Empty the trash")
    await empty.click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(empty).to_be_focused()


async def test_enter_held_down_does_not_answer_what_it_made_darkroom_ask(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(1)
    await page.get_by_role("button", name="Select all").click()
    await page.keyboard.press("Delete")
    await page.goto("/trash")
    await page.get_by_role("button", name="Empty the trash").focus()
    for _ in range(5):
        await page.keyboard.down("Enter")
    await page.keyboard.up("Enter")
    await expect(page.get_by_role("dialog").get_by_role("button", name="Keep")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(pictures(page)).to_have_count(1)


async def test_a_double_click_opens_a_dialog_and_does_not_answer_it(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    await page.get_by_role("button", name="Add a server").dblclick(delay=HAND_MS)
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Address")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Edit").click()
    await dialog.get_by_role("button", name="Remove").dblclick(delay=HAND_MS)
    await expect(dialog.get_by_role("button", name="Really remove")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("server")).to_have_count(1)
