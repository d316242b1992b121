"""More photos than are read at once."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

PAGE = 4


class Pages:
    """Pages of four, as if the library were fifty times as large; later ones than the first wait until `gate` opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def serve(self, page: Page) -> None:
        await page.context.route("**/api/v1/photos?*", self._answer)

    async def _answer(self, route: Route) -> None:
        late = "cursor=" in route.request.url
        response = await route.fetch(url=route.request.url.replace("limit=200", f"limit={PAGE}"))
        if late:
            self.asked.set()
            await self.gate.wait()
        await route.fulfill(response=response)


async def test_a_photo_trashed_while_its_page_is_under_way_stays_away(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, *range(7))
    page = await open_page("/settings")
    pages = Pages()
    await pages.serve(page)
    await page.goto("/")
    await expect(pictures(page)).to_have_count(PAGE)
    await asyncio.wait_for(pages.asked.wait(), 20)
    async with darkroom.http.get("/api/v1/photos") as response:
        photos = [photo["id"] for photo in (await response.json())["items"]]
    for photo in (photos[5], photos[6]):
        async with darkroom.http.delete(f"/api/v1/photos/{photo}") as response:
            assert response.status == 204
    async with darkroom.http.delete(f"/api/v1/photos/{photos[0]}") as response:
        assert response.status == 204
    await expect(pictures(page)).to_have_count(PAGE - 1)
    pages.gate.set()
    await expect(page.get_by_text("4 photos")).to_be_visible()
    shown = [await tile.get_attribute("data-photo") for tile in await tiles(page).all()]
    assert shown == photos[1:5]


async def test_a_day_says_how_many_it_has_before_all_are_read(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    await make(invokeai, *range(7))
    page = await open_page("/settings")
    await Pages().serve(page)
    await page.goto("/")
    await expect(page.get_by_text("7 photos")).to_be_visible()
    await expect(tiles(page)).to_have_count(PAGE)
    async with darkroom.http.get("/api/v1/photos") as response:
        oldest = (await response.json())["items"][-1]["id"]
    async with darkroom.http.delete(f"/api/v1/photos/{oldest}") as response:
        assert response.status == 204
    await expect(page.get_by_text("6 photos")).to_be_visible()
    await expect(tiles(page)).to_have_count(PAGE)


async def test_where_all_that_was_read_is_trashed_the_next_page_follows(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(6))
    page = await open_page("/settings")
    pages = Pages()
    await pages.serve(page)
    await page.goto("/")
    await expect(pictures(page)).to_have_count(PAGE)
    await asyncio.wait_for(pages.asked.wait(), 20)
    await tiles(page).first.get_by_role("checkbox").click()
    await tiles(page).last.get_by_role("checkbox").click(modifiers=["Shift"])
    await expect(page.get_by_test_id("selection-bar")).to_contain_text(f"{PAGE} photos")
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("status", name="Loading the library")).to_be_visible()
    pages.gate.set()
    await expect(page.get_by_text("2 photos").first).to_be_visible()
    await expect(pictures(page)).to_have_count(2)
