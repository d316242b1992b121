"""Albums on the page: made, filled, put in order, renamed, deleted and brought back, and seen live by others."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import make, pictures, tiles
from tests.browser.uploads import drag as drag_files
from tests.browser.uploads import drop, pngs, rows, transfer
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def call(darkroom: Darkroom, method: str, path: str, **body: Any) -> Any:
    async with darkroom.http.request(method, f"/api/v1{path}", json=body or None) as response:
        assert response.ok, (path, await response.text())
        return await response.json()


async def ids_of(darkroom: Darkroom, query: str = "") -> list[str]:
    return [photo["id"] for photo in (await call(darkroom, "GET", f"/photos?{query}"))["items"]]


async def fill(invokeai: ScriptedInvokeAI, darkroom: Darkroom, page: Page, count: int) -> list[str]:
    """So many photos in the library on show; their ids, the oldest first."""
    for seed in range(count):
        await make(invokeai, seed)
    await expect(pictures(page)).to_have_count(count)
    return (await ids_of(darkroom))[::-1]


async def create(darkroom: Darkroom, name: str, *photos: str) -> str:
    album: str = (await call(darkroom, "POST", "/albums", name=name))["id"]
    await call(darkroom, "POST", f"/albums/{album}/photos", photo_ids=list(photos))
    return album


async def order_on(page: Page) -> list[str]:
    found: list[str] = await tiles(page).evaluate_all("tiles => tiles.map(tile => tile.dataset.photo)")
    return found


async def expect_order(page: Page, wanted: list[str]) -> None:
    """On screen, in the order of the document."""
    for at, photo in enumerate(wanted):
        await expect(tiles(page).nth(at)).to_have_attribute("data-photo", photo)
    await expect(tiles(page)).to_have_count(len(wanted))


async def until_ordered(darkroom: Darkroom, album: str, wanted: list[str]) -> None:
    """The page shows it before the service has it."""
    async with asyncio.timeout(20):
        while await ids_of(darkroom, f"album_id={album}&order=position") != wanted:
            await asyncio.sleep(0.05)


async def choose(page: Page, *photos: str) -> None:
    for photo in photos:
        tile = page.locator(f"[data-testid=tile][data-photo='{photo}']")
        await tile.hover()
        await tile.get_by_role("checkbox").click()


def tile_of(page: Page, photo: str) -> Locator:
    return page.locator(f"[data-testid=tile][data-photo='{photo}']")


def toast(page: Page) -> Locator:
    return page.get_by_test_id("toast").last


async def drag(page: Page, source: Locator, target: Locator, *, at: float = 0.5) -> None:
    """With the mouse, as a hand does it: first a little, which begins it; `at` is the part of the target's width."""
    start = await source.bounding_box()
    assert start is not None
    await page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    await page.mouse.down()
    await page.mouse.move(start["x"] + start["width"] / 2 + 12, start["y"] + start["height"] / 2 + 6, steps=3)
    await expect(target).to_be_visible()
    end = await target.bounding_box()
    assert end is not None
    await page.mouse.move(end["x"] + end["width"] * at, end["y"] + end["height"] / 2, steps=6)
    await page.mouse.move(end["x"] + end["width"] * at, end["y"] + end["height"] / 2 + 1)


async def test_an_album_is_made_of_a_selection_and_opened(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/"), await open_page("/albums")
    await expect(other.get_by_role("heading", name="No albums yet")).to_be_visible()
    photos = await fill(invokeai, darkroom, page, 3)
    await choose(page, photos[2], photos[0])
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Add to album").click()
    dialog = page.get_by_role("dialog", name="Add 2 photos to an album")
    await dialog.get_by_role("textbox").fill("Coast")
    await dialog.get_by_role("button", name="New album “Coast”").click()
    await expect(toast(page)).to_contain_text("2 photos added to “Coast”")
    await expect(page.get_by_test_id("selection-bar")).to_be_hidden()

    card = other.get_by_test_id("album-card")
    await expect(card).to_contain_text("Coast")
    await expect(card).to_contain_text("2 photos")
    await expect(card.locator("img.front.shown")).to_be_visible()
    await page.get_by_role("link", name="Albums").click()
    await page.get_by_test_id("album-card").get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Coast")).to_be_visible()
    await expect_order(page, [photos[0], photos[2]])

    await page.keyboard.press("Control+z")
    await expect(page.get_by_role("heading", name="This album is empty")).to_be_visible()
    await expect(card).to_contain_text("No photos yet")


async def test_an_album_has_the_powers_of_the_library(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await open_page("/")
    a, b, c = await fill(invokeai, darkroom, page, 3)
    await make(invokeai, 9, prompt="a lighthouse")
    await expect(pictures(page)).to_have_count(4)
    lighthouse = (await ids_of(darkroom))[0]
    album = await create(darkroom, "Coast", c, lighthouse, a)
    await page.goto(f"/albums/{album}")
    await expect_order(page, [c, lighthouse, a])
    await page.get_by_role("button", name="Newest").click()
    await expect_order(page, [lighthouse, c, a])
    await page.reload()
    await expect_order(page, [lighthouse, c, a])
    await page.get_by_role("button", name="Album order").click()
    await expect_order(page, [c, lighthouse, a])
    await page.get_by_role("searchbox", name="Search").fill("lighthouse")
    await expect_order(page, [lighthouse])
    await page.get_by_role("searchbox", name="Search").fill("nothing like it")
    await page.get_by_role("button", name="Show all photos").click()
    await expect_order(page, [c, lighthouse, a])

    await tiles(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await expect(viewer.get_by_text("1 of 3")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_have_attribute("data-photo", lighthouse)
    await page.keyboard.press("Delete")
    await expect(viewer.get_by_text("2 of 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("album-count")).to_have_text("2 photos")
    await page.keyboard.press("Control+z")
    await expect_order(page, [c, lighthouse, a])
    await expect(page.get_by_test_id("album-count")).to_have_text("3 photos")
    assert b not in await order_on(page)


async def test_photos_are_put_in_order_by_drag_and_others_see_it(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/"), await open_page("/")
    a, b, c, d = await fill(invokeai, darkroom, page, 4)
    album = await create(darkroom, "Coast", a, b, c, d)
    for one in (page, other):
        await one.goto(f"/albums/{album}")
        await expect_order(one, [a, b, c, d])
    await drag(page, tile_of(page, d), tile_of(page, b), at=0.2)
    await expect(page.get_by_test_id("drop-mark")).to_be_visible()
    await page.mouse.up()
    for one in (page, other):
        await expect_order(one, [a, d, b, c])
    await until_ordered(darkroom, album, [a, d, b, c])

    await choose(page, a, b)
    await drag(page, tile_of(page, b), tile_of(page, c), at=0.8)
    await page.mouse.up()
    for one in (page, other):
        await expect_order(one, [d, c, a, b])
    await until_ordered(darkroom, album, [d, c, a, b])
    await page.reload()
    await expect_order(page, [d, c, a, b])


async def test_photos_are_put_in_order_by_keyboard_and_by_buttons(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await open_page("/")
    a, b, c, d = await fill(invokeai, darkroom, page, 4)
    album = await create(darkroom, "Coast", a, b, c, d)
    await page.goto(f"/albums/{album}")
    await expect_order(page, [a, b, c, d])
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Alt+ArrowRight")
    await expect_order(page, [b, a, c, d])
    await expect(tile_of(page, a).get_by_role("link")).to_be_focused()
    await page.keyboard.press("Alt+ArrowRight")
    await expect_order(page, [b, c, a, d])
    await page.keyboard.press("Alt+End")
    await expect_order(page, [b, c, d, a])
    await page.keyboard.press("Alt+ArrowLeft")
    await page.keyboard.press("Alt+Home")
    await expect_order(page, [a, b, c, d])

    await choose(page, c, d)
    bar = page.get_by_test_id("selection-bar")
    await bar.get_by_role("button", name="Move earlier").click()
    await expect_order(page, [a, c, d, b])
    await bar.get_by_role("button", name="Move to the front").click()
    await expect_order(page, [c, d, a, b])
    await until_ordered(darkroom, album, [c, d, a, b])
    await page.reload()
    await expect_order(page, [c, d, a, b])
    await expect(page).to_have_url(f"{darkroom.url}/albums/{album}")


async def test_photos_are_dropped_on_an_album_and_on_the_rail(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await open_page("/")
    a, b, c = await fill(invokeai, darkroom, page, 3)
    album = await create(darkroom, "Coast", a)
    card = page.get_by_test_id("album-shelf").get_by_test_id("album-card")
    await drag(page, tile_of(page, b), card)
    await page.mouse.up()
    await expect(toast(page)).to_contain_text("1 photo added to “Coast”")
    await expect(page.get_by_test_id("album-shelf")).to_be_hidden()
    assert await ids_of(darkroom, f"album_id={album}&order=position") == [a, b]

    await choose(page, a, c)
    await drag(page, tile_of(page, c), page.get_by_role("link", name="Albums"))
    await page.mouse.up()
    dialog = page.get_by_role("dialog", name="Add 2 photos to an album")
    await dialog.get_by_role("button", name="Coast").click()
    await expect(page.get_by_test_id("toast")).to_have_count(2)
    assert await ids_of(darkroom, f"album_id={album}&order=position") == [a, b, c]

    await drag(page, tile_of(page, c), page.get_by_test_id("new-album-card"))
    await page.mouse.up()
    await page.get_by_role("dialog", name="New album").get_by_label("Name").fill("Harbour")
    await page.keyboard.press("Enter")
    await expect(toast(page)).to_contain_text("1 photo added to “Harbour”")


async def test_photos_leave_an_album_and_come_back_with_undo(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/"), await open_page("/")
    a, b, c = await fill(invokeai, darkroom, page, 3)
    album = await create(darkroom, "Coast", a, b, c)
    for one in (page, other):
        await one.goto(f"/albums/{album}")
        await expect_order(one, [a, b, c])
    await choose(page, a, b)
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Remove").click()
    await expect(toast(page)).to_contain_text("2 photos removed from “Coast”")
    for one in (page, other):
        await expect_order(one, [c])
        await expect(one.get_by_test_id("album-count")).to_have_text("1 photo")
    await toast(page).get_by_role("button", name="Undo").click()
    for one in (page, other):
        await expect_order(one, [a, b, c])
    await page.goto("/")
    await expect(pictures(page)).to_have_count(3)


async def test_the_viewer_and_the_info_add_and_remove(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/"), await open_page("/")
    [a] = await fill(invokeai, darkroom, page, 1)
    album = await create(darkroom, "Coast")
    await tiles(page).first.get_by_role("link").click()
    viewer = page.get_by_test_id("viewer")
    await page.keyboard.press("i")
    await page.keyboard.press("+")
    await page.get_by_role("dialog", name="Add 1 photo to an album").get_by_role("button", name="Coast").click()
    mine = viewer.get_by_test_id("photo-albums")
    await expect(mine.get_by_role("link", name="Coast")).to_be_visible()
    await other.goto(f"/?photo={a}")
    await other.keyboard.press("i")
    theirs = other.get_by_test_id("viewer").get_by_test_id("photo-albums")
    await expect(theirs.get_by_role("link", name="Coast")).to_be_visible()

    await call(darkroom, "PATCH", f"/albums/{album}", name="Harbour")
    for albums in (mine, theirs):
        await expect(albums.get_by_role("link", name="Harbour")).to_be_visible()
    await page.mouse.move(300, 300)  # the bar has left while the mouse rested
    await viewer.get_by_role("button", name="Add to an album").first.click()
    dialog = page.get_by_role("dialog", name="Add 1 photo to an album")
    await expect(dialog.get_by_role("button", name="Harbour")).to_be_disabled()
    await page.keyboard.press("Escape")
    await mine.get_by_role("button", name="Remove from Harbour").click()
    await expect(theirs.get_by_role("link")).to_have_count(0)
    await toast(page).get_by_role("button", name="Undo").click()
    await theirs.get_by_role("link", name="Harbour").click()
    await expect(other.get_by_role("heading", name="Harbour")).to_be_visible()
    await call(darkroom, "DELETE", f"/albums/{album}")
    await expect(mine.get_by_role("link")).to_have_count(0)


async def test_an_album_is_renamed_described_and_given_a_cover(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/"), await open_page("/")
    a, b = await fill(invokeai, darkroom, page, 2)
    album = await create(darkroom, "Coast", a, b)
    await page.goto(f"/albums/{album}")
    await other.goto("/albums")
    await page.get_by_role("button", name="Edit Coast").click()
    dialog = page.get_by_role("dialog", name="Edit the album")
    await dialog.get_by_label("Name").fill("Harbour")
    await dialog.get_by_label("Description").fill("Boats at dusk")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Harbour")).to_be_visible()
    await expect(page.get_by_text("Boats at dusk")).to_be_visible()
    await expect(other.get_by_test_id("album-card")).to_contain_text("Harbour")
    cover = other.get_by_test_id("album-card").locator("img.front")
    await expect(cover).to_have_attribute("src", re.compile(a))
    await choose(page, b)
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Cover").click()
    await expect(cover).to_have_attribute("src", re.compile(b))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Edit Harbour").click()
    await page.get_by_role("dialog").get_by_role("button", name="First photo as cover").click()
    await expect(cover).to_have_attribute("src", re.compile(a))
    await choose(page, b)
    await page.get_by_test_id("selection-bar").get_by_role("button", name="Cover").click()
    await expect(cover).to_have_attribute("src", re.compile(b))
    await page.keyboard.press("Delete")
    await expect(cover).to_have_attribute("src", re.compile(a))


async def test_a_deleted_album_says_so_where_it_is_open_and_comes_back_with_undo(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page, other = await open_page("/", tolerated=("status of 404",)), await open_page("/")
    a, b = await fill(invokeai, darkroom, page, 2)
    album = await create(darkroom, "Coast", b, a)
    await page.goto("/albums")
    await other.goto(f"/albums/{album}")
    await expect_order(other, [b, a])
    await page.get_by_test_id("album-card").hover()
    await page.get_by_role("button", name="Delete Coast").click()
    await expect(page.get_by_role("heading", name="No albums yet")).to_be_visible()
    await expect(other.get_by_role("heading", name="This album was deleted")).to_be_visible()
    await expect(other.get_by_test_id("blank").get_by_role("link", name="All albums")).to_be_visible()
    await expect(toast(page)).to_contain_text("its photos stay in the library")
    await toast(page).get_by_role("button", name="Undo").click()
    await expect(toast(page)).to_contain_text("“Coast” is back")
    await expect(page.get_by_test_id("album-card")).to_contain_text("2 photos")
    await expect_order(other, [b, a])
    await page.goto("/albums/00000000-0000-0000-0000-000000000000")
    await expect(page.get_by_role("heading", name="There is no such album")).to_be_visible()


async def test_all_of_a_library_is_added_and_all_of_an_album_removed(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    page = await open_page("/")
    photos = await fill(invokeai, darkroom, page, 3)
    album = await create(darkroom, "Coast")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("+")
    await page.get_by_role("dialog").get_by_role("button", name="Coast").click()
    await expect(toast(page)).to_contain_text("3 photos added to “Coast”")
    await page.goto(f"/albums/{album}")
    await expect_order(page, photos)
    await page.keyboard.press("Control+a")
    await page.keyboard.press("-")
    await expect(page.get_by_role("heading", name="This album is empty")).to_be_visible()


async def test_what_is_dropped_on_an_albums_page_goes_into_that_album_also_when_the_page_has_changed(
    open_page: OpenPage, darkroom: Darkroom
) -> None:
    album = await create(darkroom, "Valleys")
    page = await open_page(f"/albums/{album}")
    await expect(page.get_by_role("heading", name="This album is empty")).to_be_visible()
    files = await transfer(page, pngs(1))
    await drag_files(page, "dragover", files)
    await expect(page.get_by_test_id("drop-overlay")).to_have_text("Drop to add to “Valleys”")
    await drag_files(page, "drop", files)
    await expect(pictures(page)).to_have_count(1)
    await drop(page, pngs(3, first=2))
    await page.get_by_role("link", name="Activity").click()
    await drop(page, pngs(1, first=9))
    await expect(rows(page, "here").filter(has_text="photo 9.png")).to_have_count(1)
    await page.go_back()
    await expect(pictures(page)).to_have_count(4)
    await expect(page.get_by_test_id("album-count")).to_have_text("4 photos")
    await page.get_by_role("link", name="Library", exact=True).click()
    await expect(pictures(page)).to_have_count(5)
