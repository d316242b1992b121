"""All that a list shows is chosen, changed and changed back, however little of it the page has read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Locator, Page, expect

from service.database.engine import Connection
from tests.browser.conftest import OpenPage
from tests.browser.pictures import tiles
from tests.fakes.darkroom import Darkroom
from tests.fakes.rows import add_photo

pytestmark = pytest.mark.browser

MANY = 487
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)


async def add_many(connection: Connection, count: int = MANY) -> None:
    """Given up long ago, of a server that was removed: nothing is fetched, and nothing changes by itself."""
    async with connection.transaction():
        for number in range(count):
            await add_photo(
                connection, home=False, created_at=NOON - timedelta(seconds=number), retrieval_status="gone"
            )


async def total(darkroom: Darkroom, query: str = "") -> int:
    async with darkroom.http.get(f"/api/v1/photos?{query}") as response:
        return int((await response.json())["total"])


def bar(page: Page) -> Locator:
    return page.get_by_test_id("selection-bar")


async def test_487_are_chosen_trashed_and_back_with_one_key_each(
    open_page: OpenPage, darkroom: Darkroom, connection: Connection
) -> None:
    await add_many(connection)
    page, other = await open_page("/"), await open_page("/")
    await expect(tiles(page).first).to_be_visible()
    await page.keyboard.press("Control+a")
    await expect(bar(page)).to_contain_text(f"{MANY} photos")
    newest = await tiles(page).first.get_attribute("data-photo")
    late = await add_photo(connection, home=False, retrieval_status="gone")
    await page.keyboard.press("Delete")
    await expect(page.get_by_test_id("toast")).to_contain_text(f"{MANY} photos moved to the trash")
    assert (await total(darkroom), await total(darkroom, "trashed=true")) == (1, MANY)
    await expect(tiles(page)).to_have_count(1)
    await expect(tiles(page)).to_have_attribute("data-photo", str(late))
    await expect(page.locator(f'[data-photo="{newest}"]')).to_have_count(0)
    await expect(other.locator(f'[data-photo="{newest}"]')).to_have_count(0)
    await page.keyboard.press("Control+z")
    await expect(page.get_by_test_id("toast")).to_have_text(f"Undone: {MANY} photos")
    assert (await total(darkroom), await total(darkroom, "trashed=true")) == (MANY + 1, 0)
    await expect(page.locator(f'[data-photo="{newest}"]')).to_be_visible()
    await expect(other.locator(f'[data-photo="{newest}"]')).to_be_visible()


async def test_all_but_one_are_favourites_and_the_heart_says_all_some_or_none(
    open_page: OpenPage, darkroom: Darkroom, connection: Connection
) -> None:
    await add_many(connection)
    oldest = await connection.fetchval("SELECT id FROM photos ORDER BY id LIMIT 1")
    page = await open_page("/")
    await expect(tiles(page).first).to_be_visible()
    heart = bar(page).get_by_role("button", name="Favourite")
    await page.keyboard.press("Control+a")
    await expect(heart).to_have_attribute("aria-pressed", "false")
    await tiles(page).nth(1).get_by_role("checkbox").click()
    await expect(bar(page)).to_contain_text(f"{MANY - 1} photos")
    await heart.click()
    await expect(page.get_by_test_id("toast")).to_contain_text(f"{MANY - 1} photos added to the favourites")
    await expect(heart).to_have_attribute("aria-pressed", "true")
    assert await total(darkroom, "favorite=true") == MANY - 1
    await page.keyboard.press("Escape")
    # The last one, of which the page knows nothing.
    await connection.execute("UPDATE photos SET favorite = false WHERE id = $1", oldest)
    await connection.execute("UPDATE photos SET favorite = true WHERE id <> $1", oldest)
    await page.reload()
    await expect(tiles(page).first).to_be_visible()
    await page.keyboard.press("Control+a")
    await expect(heart).to_have_attribute("aria-pressed", "mixed")


async def test_a_days_select_all_is_the_whole_day(
    open_page: OpenPage, darkroom: Darkroom, connection: Connection
) -> None:
    await add_many(connection, 250)
    for number in range(3):
        await add_photo(
            connection, home=False, retrieval_status="gone", created_at=NOON - timedelta(days=3, seconds=number)
        )
    page = await open_page("/")
    await expect(tiles(page).first).to_be_visible()
    await page.get_by_role("button", name="Select all").first.click()
    await expect(bar(page)).to_contain_text("250 photos")
    await page.keyboard.press("Delete")
    await expect(page.get_by_test_id("toast")).to_contain_text("250 photos moved to the trash")
    assert await total(darkroom) == 3


async def test_the_message_that_offers_undo_stays_under_the_pointer(
    open_page: OpenPage, connection: Connection
) -> None:
    await add_many(connection, 2)
    page = await open_page("/settings")
    await page.clock.install()
    await page.goto("/")
    await expect(tiles(page)).to_have_count(2)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    message = page.get_by_test_id("toast")
    await message.hover()
    await page.clock.fast_forward(60_000)
    await expect(message).to_be_visible()
    await message.get_by_role("button", name="Undo").focus()
    await page.mouse.move(600, 10)
    await page.clock.fast_forward(60_000)
    await expect(message).to_be_visible()
    await message.get_by_role("button", name="Undo").evaluate("button => button.blur()")
    await page.clock.fast_forward(60_000)
    await expect(message).to_have_count(0)


async def test_where_the_keys_stand_is_seen_among_the_chosen(open_page: OpenPage, connection: Connection) -> None:
    await add_many(connection, 3)
    page = await open_page("/")
    await expect(tiles(page)).to_have_count(3)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Control+a")
    links = tiles(page).get_by_role("link")
    await expect(links.nth(0)).to_be_focused()
    await expect(links.nth(0)).to_have_css("outline-style", "solid")
    await expect(links.nth(1)).to_have_css("outline-style", "none")
    frames = [await links.nth(n).evaluate("link => getComputedStyle(link, '::after').borderTopWidth") for n in (0, 1)]
    assert frames == ["3px", "3px"], "both are chosen"
