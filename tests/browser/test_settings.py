"""The Settings page: each setting is described, saved as it is changed, refused in words, and the same everywhere."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from service.config.settings import ROOT
from tests.browser.conftest import OpenPage
from tests.browser.watched_pages import LOST_CONNECTION
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def settings(darkroom: Darkroom) -> dict[str, Any]:
    async with darkroom.http.get("/api/v1/settings") as response:
        found: dict[str, Any] = await response.json()
        return found


async def change(darkroom: Darkroom, **values: Any) -> None:
    async with darkroom.http.patch("/api/v1/settings", json=values) as response:
        assert response.status == 200


def field(page: Page, name: str) -> Locator:
    return page.get_by_label(name, exact=True)


def saved(page: Page) -> Locator:
    return page.get_by_test_id("settings").get_by_text("Saved", exact=True)


async def test_what_is_refused_stands_to_be_mended(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/settings")
    quality = field(page, "Thumbnail quality")
    before = (await settings(darkroom))["thumbnail_quality"]
    await quality.fill("1000")
    await quality.press("Tab")
    await expect(page.get_by_role("alert")).to_have_text("A whole number from 1 to 100.")
    await expect(quality).to_have_value("1000")
    await expect(quality).to_have_attribute("aria-invalid", "true")
    assert (await settings(darkroom))["thumbnail_quality"] == before
    await quality.press("Backspace")
    await expect(page.get_by_role("alert")).to_be_hidden()
    await quality.press("Tab")
    await expect(saved(page)).to_be_visible()
    await expect(quality).to_have_value("100")
    assert (await settings(darkroom))["thumbnail_quality"] == 100


async def test_a_late_answer_leaves_what_is_typed_meanwhile(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/settings")
    go_on = asyncio.Event()
    await page.route("**/api/v1/settings", lambda route: answer_later(route, go_on))
    tries = field(page, "Tries per photo")
    await tries.fill("7")
    await tries.press("Enter")
    await tries.fill("13")
    async with page.expect_response("**/api/v1/settings"):
        go_on.set()
    await page.evaluate("fetch('/api/v1/settings').then((answer) => answer.text())")
    await expect(tries).to_have_value("13")
    await expect(saved(page)).to_be_hidden()
    await expect(page.get_by_text("Meanwhile", exact=False)).to_be_hidden()
    await tries.press("Tab")
    await expect(saved(page)).to_be_visible()
    await expect(tries).to_have_value("13")
    assert (await settings(darkroom))["retrieval_max_attempts"] == 13


async def answer_later(route: Route, go_on: asyncio.Event) -> None:
    if route.request.method == "PATCH":
        async with asyncio.timeout(20):
            await go_on.wait()
    await route.continue_()


async def test_every_setting_and_option_of_the_documentation_is_on_the_page(open_page: OpenPage) -> None:
    documented = re.findall(
        r"^\| `(DARKROOM_\w+|[a-z_]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE
    )
    page = await open_page("/settings")
    await expect(page.get_by_test_id("settings").get_by_role("spinbutton")).to_have_count(5)
    shown = await page.locator("[data-setting]").evaluate_all("(all) => all.map((one) => one.dataset.setting)")
    options = await page.locator("[data-option]").evaluate_all("(all) => all.map((one) => one.dataset.option)")
    assert sorted(documented) == sorted(shown + options)
    await page.get_by_text("variables", exact=False).last.click()
    await expect(page.locator("[data-option=DARKROOM_DATABASE_URL]")).to_contain_text("Set; it is not shown")
    await expect(page.locator("[data-option=DARKROOM_RETRIEVAL_WORKERS]")).to_contain_text("Default: 4")


async def test_bounds_and_help_are_told_before_anything_is_typed(open_page: OpenPage) -> None:
    page = await open_page("/settings")
    await expect(field(page, "Trash is kept for")).to_have_accessible_description(
        "Older photos in the trash are deleted for good; 0 keeps them until you empty it."
        " A whole number from 0 to 36500."
    )
    await expect(page.get_by_role("switch", name="Large previews")).to_have_accessible_description(
        re.compile("^Keeps a preview")
    )


async def test_the_way_back_to_the_default_is_offered_where_it_leads_somewhere(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    await change(darkroom, trash_days=7, large_renditions=False)
    page = await open_page("/settings")
    back = page.get_by_role("button", name="Trash is kept for: back to the default, 30 days")
    await expect(back).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("^Tries per photo: back"))).to_be_hidden()
    await back.focus()
    await page.keyboard.press("Enter")
    await expect(field(page, "Trash is kept for")).to_have_value("30")
    await expect(saved(page)).to_be_visible()
    await expect(back).to_be_hidden()
    await expect(field(page, "Trash is kept for")).to_be_focused()
    assert (await settings(darkroom))["trash_days"] == 30
    await page.get_by_role("button", name="Large previews: back to the default, on").click()
    await expect(page.get_by_role("switch", name="Large previews")).to_be_checked()
    await expect(saved(page)).to_have_count(2)
    assert (await settings(darkroom))["large_renditions"] is True


async def test_a_change_elsewhere_is_shown_and_leaves_what_is_being_typed(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page, other = await open_page("/settings"), await open_page("/settings")
    tries, days = field(page, "Tries per photo"), field(page, "Trash is kept for")
    await expect(days).to_have_value("30")
    await tries.fill("12")
    for name, value in (("Tries per photo", "9"), ("Trash is kept for", "8")):
        await field(other, name).fill(value)
        await field(other, name).press("Enter")
    await other.get_by_role("switch", name="Large previews").press(" ")
    await expect(days).to_have_value("8")
    await expect(page.get_by_role("switch", name="Large previews")).not_to_be_checked()
    await expect(tries).to_have_value("12")
    await expect(page.get_by_text("Meanwhile it was set to 9.")).to_be_visible()
    await tries.press("Escape")
    await expect(tries).to_have_value("9")
    await expect(page.get_by_text("Meanwhile", exact=False)).to_be_hidden()
    await tries.fill("11")
    await tries.press("Enter")
    await expect(field(other, "Tries per photo")).to_have_value("11")
    assert await settings(darkroom) == {
        "retrieval_max_attempts": 11,
        "thumbnail_quality": 85,
        "large_renditions": False,
        "trash_days": 8,
        "patrol_days": 30,
        "idle_check_seconds": 300,
    }


async def test_an_answer_that_a_newer_one_overtook_is_not_shown(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/settings")
    days = field(page, "Trash is kept for")
    await expect(days).not_to_have_value("77")
    has_read, go_on = asyncio.Event(), asyncio.Event()

    async def overtake(route: Route) -> None:
        response = await route.fetch()
        has_read.set()
        await go_on.wait()
        await route.fulfill(response=response)

    await page.route("**/api/v1/settings/described", overtake, times=1)
    await change(darkroom, trash_days=76)
    async with asyncio.timeout(20):
        await has_read.wait()
    await change(darkroom, trash_days=77)
    await expect(days).to_have_value("77")
    async with page.expect_event("requestfinished", lambda request: request.url.endswith("/described")):
        go_on.set()
    await page.evaluate("() => new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 100))")
    assert await days.input_value() == "77"


async def test_what_could_not_be_saved_says_why_at_its_field_and_can_be_tried_again(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    page = await open_page("/settings", tolerated=("status of 503", LOST_CONNECTION))

    async def fail(route: Route) -> None:
        error = {"code": "unavailable", "message": "The database does not answer just now."}
        await route.fulfill(status=503, json={"error": error})

    await page.route("**/api/v1/settings", fail)
    days = field(page, "Files are checked within")
    await days.fill("0.5")
    await days.press("Tab")
    large = page.get_by_role("switch", name="Large previews")
    await large.click()
    wrong = page.locator("[data-setting=patrol_days]").get_by_role("alert")
    await expect(wrong).to_contain_text("The database does not answer just now.")
    await expect(days).to_have_value("0.5")
    await expect(page.locator("[data-setting=large_renditions]").get_by_role("alert")).to_be_visible()
    await expect(large).to_be_checked()
    await page.unroute("**/api/v1/settings")
    await wrong.get_by_role("button", name="Try again").click()
    await expect(saved(page)).to_be_visible()
    await expect(wrong).to_be_hidden()
    assert (await settings(darkroom))["patrol_days"] == 0.5


async def test_settings_that_cannot_be_read_can_be_asked_for_again(open_page: OpenPage) -> None:
    page = await open_page("/activity", tolerated=("status of 503",))

    async def fail(route: Route) -> None:
        error = {"code": "unavailable", "message": "The database does not answer."}
        await route.fulfill(status=503, json={"error": error})

    await page.route("**/api/v1/settings/described", fail)
    await page.reload()
    await page.get_by_role("link", name="Settings", exact=True).click()
    await expect(page.get_by_test_id("settings").get_by_text("The database does not answer.")).to_be_visible()
    await page.unroute("**/api/v1/settings/described")
    await page.get_by_test_id("settings").get_by_role("button", name="Try again").click()
    await expect(field(page, "Trash is kept for")).to_have_value("30")
