"""Addresses: linked to, reloaded, gone back from."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.views import fill_library
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_a_step_can_be_linked_to_and_reloaded(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    first = await open_page(f"/studio/{session}")
    await first.get_by_test_id("tree-node").click()
    await expect(first).to_have_url(re.compile(rf"/studio/{session}/[0-9a-f-]+$"))
    await expect(first.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    page = await open_page(first.url)
    for _ in range(2):
        await expect(page.get_by_role("heading", name="dunes at dusk")).to_be_visible()
        await expect(page.get_by_role("treeitem")).to_have_attribute("aria-selected", "true")
        await page.reload()
    await page.locator("[data-testid=slot] a").first.click()
    await expect(page.get_by_test_id("viewer").get_by_text("1 of 2")).to_be_visible()
    await page.reload()
    await expect(page.get_by_test_id("viewer").get_by_text("1 of 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="dunes at dusk")).to_be_visible()


async def test_back_leads_through_the_places_one_was_at(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="Studio").click()
    await page.get_by_role("link", name="Activity").click()
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Make something")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Your library is ready")).to_be_visible()


async def test_an_address_that_leads_nowhere_leads_to_the_library(open_page: OpenPage) -> None:
    page = await open_page("/no/such/place")
    await expect(page).to_have_url(re.compile(r"\d/$"))
    page = await open_page("/studio/019a0000-0000-7000-8000-000000000000", tolerated=("status of 404",))
    await expect(page.get_by_role("heading", name="This session is gone")).to_be_visible()


async def test_a_session_is_renamed_and_deleted_and_its_pictures_stay(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page, other = await open_page(f"/studio/{session}"), await open_page("/studio")
    await page.get_by_role("button", name="Rename Hills").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Dunes <b>of</b> the west")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Dunes <b>of</b> the west")).to_be_visible()
    await expect(other.get_by_test_id("session-card")).to_contain_text("Dunes <b>of</b> the west")
    await expect(page.locator("[data-testid=slot][data-state=photo]")).to_have_count(2)
    await page.get_by_role("button", name=re.compile("^Delete Dunes")).click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete the session").click()
    await expect(page.get_by_role("heading", name="Make something")).to_be_visible()
    await expect(other.get_by_role("heading", name="Make something")).to_be_visible()
    async with darkroom.http.get("/api/v1/photos") as response:
        assert (await response.json())["total"] == 5
