"""What a person drops, pastes or picks goes into the library, and a queue tells of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser import audit
from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures, tiles
from tests.browser.test_stillness import measure, moved
from tests.browser.uploads import (
    NO_PICTURE,
    Desk,
    drag,
    drop,
    paste,
    pngs,
    queue,
    row,
    rows,
    taken,
    transfer,
)
from tests.browser.watched_pages import LOST_CONNECTION, PHONE, WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import NO_SERVER, Darkroom
from tests.fakes.pictures import png_of
from tests.fakes.process import DarkroomProcess

pytestmark = pytest.mark.browser

REFUSED = r"status of (4\d\d|503)"


async def test_what_is_dropped_on_any_page_is_seen_in_every_browser_and_moves_nothing(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(7))
    page, other, studio = await open_page("/activity"), await open_page("/"), await open_page("/?source=generated")
    await expect(pictures(other)).to_have_count(7)
    await measure(other)
    await drop(page, pngs(4))
    await expect(queue(page).get_by_role("heading")).to_have_text("4 uploaded")
    await expect(pictures(other)).to_have_count(11)
    names = [await tiles(other).nth(at).get_by_role("link").get_attribute("aria-label") for at in range(4)]
    assert all(re.match(r"photo \d\.png, ", name or "") for name in names), names
    assert await moved(other) == ([], [])
    await expect(studio.get_by_test_id("blank")).to_be_visible()
    await studio.get_by_role("button", name="Uploads").click()
    await expect(pictures(studio)).to_have_count(4)
    await drop(studio, pngs(1, first=5))
    await expect(pictures(studio)).to_have_count(5)
    await row(page, "photo 3.png").get_by_role("link", name="Open photo 3.png").click()
    await expect(page.get_by_test_id("viewer")).to_be_visible()
    await page.keyboard.press("i")
    inspector = page.get_by_test_id("viewer").get_by_test_id("inspector")
    await expect(inspector.get_by_label("File name", exact=True)).to_have_value("photo 3.png")
    await expect(inspector).to_contain_text("Upload")
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(re.compile("/activity$"))


async def test_what_is_here_already_says_so_and_leads_to_its_photo(open_page: OpenPage, darkroom: Darkroom) -> None:
    page = await open_page("/")
    await drop(page, pngs(1))
    await expect(pictures(page)).to_have_count(1)
    photo = await tiles(page).get_attribute("data-photo")
    async with darkroom.http.delete(f"/api/v1/photos/{photo}") as response:
        assert response.ok
    await expect(tiles(page)).to_have_count(0)
    await drop(page, {"the same again.png": pngs(1)["photo 1.png"], "photo 2.png": pngs(2)["photo 2.png"]})
    await expect(row(page, "the same again.png")).to_contain_text("Already in the library")
    await expect(page.get_by_test_id("upload-detail")).to_have_text("1 already here")
    await expect(queue(page).get_by_role("heading")).to_have_text("1 of 2 uploaded")
    await expect(pictures(page)).to_have_count(2)
    await row(page, "the same again.png").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", str(photo))


SAMPLES = Path(__file__).parents[1] / "uploads"


async def test_what_is_no_picture_is_refused_in_words_and_a_damaged_one_says_so(open_page: OpenPage) -> None:
    page = await open_page("/", tolerated=(REFUSED,))
    names = ["not-an-image.png", "jpeg-cut-last-2.jpg", "jpeg-cut-half.jpg", "avif.avif", "tiff-16bit.tif", "empty.png"]
    await drop(page, {name: (SAMPLES / name).read_bytes() for name in names})
    await expect(queue(page).get_by_role("heading")).to_have_text("3 of 6 uploaded")
    await expect(row(page, "not-an-image.png")).to_contain_text("This is an HTML page")
    await expect(row(page, "jpeg-cut-half.jpg")).to_contain_text("The file is damaged")
    await row(page, "jpeg-cut-last-2.jpg").get_by_role("link").click()
    await page.keyboard.press("i")
    await expect(page.get_by_test_id("damaged")).to_contain_text("The file is damaged: it lacks its end.")


async def test_without_darkroom_the_queue_waits_and_goes_on_by_itself(
    public_folder: Path, database_url: str, watched_pages: WatchedPages
) -> None:
    process = DarkroomProcess(
        public_folder / "data", DARKROOM_DATABASE_URL=database_url, DARKROOM_INVOKEAI_URL=NO_SERVER
    )
    await process.start()
    try:
        page = await watched_pages.open(process.url, tolerated=(LOST_CONNECTION,))
        connection = page.get_by_test_id("connection")
        await expect(connection).to_have_attribute("data-state", "live")
        await process.kill()
        await expect(connection).to_have_attribute("data-state", re.compile("reconnecting|offline"))
        await drop(page, pngs(5))
        await expect(page.get_by_test_id("upload-detail")).to_have_text(
            "Waiting for the connection; goes on by itself."
        )
        await expect(page.get_by_test_id("upload-status")).to_contain_text("5 uploads: Waiting for the connection")
        await page.get_by_role("button", name="Collapse").click()
        await expect(page.get_by_role("button", name="Uploads wait")).to_be_visible()
        await process.start()
        await expect(page.get_by_role("button", name="5 uploaded")).to_be_visible(timeout=60_000)
        await expect(pictures(page)).to_have_count(5)
    finally:
        await process.stop()


async def test_without_a_network_the_queue_waits_and_goes_on_by_itself(open_page: OpenPage) -> None:
    """Though the live connection, which says nothing, seems to be there."""
    page = await open_page("/", tolerated=(LOST_CONNECTION,))
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await page.context.set_offline(True)
    await drop(page, pngs(4))
    await expect(page.get_by_test_id("upload-detail")).to_have_text("Waiting for the connection; goes on by itself.")
    await expect(rows(page, "waiting")).to_have_count(4)
    await page.context.set_offline(False)
    await expect(queue(page).get_by_role("heading")).to_have_text("4 uploaded")


async def test_three_are_sent_at_once_and_what_is_refused_says_why_while_the_rest_goes_on(open_page: OpenPage) -> None:
    page = await open_page("/", tolerated=(REFUSED,))
    desk = Desk(lambda number: (415, NO_PICTURE) if number == 2 else taken(number))
    await desk.stand_before(page)
    await drop(page, pngs(5) | {"empty.png": b""})
    await expect(rows(page, "sending").or_(rows(page, "checking"))).to_have_count(3)
    await expect(row(page, "empty.png")).to_contain_text("The file is empty.")
    await expect(queue(page).get_by_role("heading")).to_have_text("Uploading 2 of 6")
    desk.open.set()
    await expect(queue(page).get_by_role("heading")).to_have_text("4 of 6 uploaded")
    await expect(row(page, "photo 2.png")).to_contain_text("This is no picture that Darkroom can read.")
    await expect(page.get_by_test_id("upload-detail")).to_have_text("2 refused")
    await expect(page.get_by_test_id("upload-status")).to_have_text("Uploads are over: 4 of 6 uploaded, 2 refused.")
    assert (desk.asked, desk.most_at_once) == (5, 3)
    await queue(page).get_by_role("button", name="Clear uploaded").click()
    await expect(rows(page)).to_have_count(2)
    await queue(page).get_by_role("button", name="Clear all and close").click()
    await expect(queue(page)).to_have_count(0)


async def test_one_is_canceled_in_the_middle_and_tried_again_and_then_all(open_page: OpenPage) -> None:
    page = await open_page("/")
    desk = Desk(taken)
    await desk.stand_before(page)
    await drop(page, pngs(5))
    await row(page, "photo 2.png").get_by_role("button", name="Cancel photo 2.png").click()
    await expect(rows(page, "canceled")).to_have_count(1)
    await expect(row(page, "photo 4.png")).to_have_attribute("data-state", re.compile("sending|checking"))
    await row(page, "photo 2.png").get_by_role("button", name="Try photo 2.png again").click()
    await expect(rows(page, "waiting")).to_have_count(2)
    await queue(page).get_by_role("button", name="Cancel all").click()
    await expect(rows(page, "canceled")).to_have_count(5)
    await expect(queue(page).get_by_role("heading")).to_have_text("Nothing uploaded")
    desk.open.set()
    await queue(page).get_by_role("button", name="Try again", exact=True).click()
    await expect(rows(page, "here")).to_have_count(5)


async def test_the_page_says_where_to_drop_for_files_alone_and_not_for_its_own_pictures(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    overlay = page.get_by_test_id("drop-overlay")
    files = await transfer(page, {"a.png": b"a"})
    await drag(page, "dragover", files)
    await expect(overlay).to_have_text("Drop to upload")
    await drag(page, "dragleave", files)
    await expect(overlay).to_have_count(0)
    await drag(page, "dragover", await transfer(page, {}, {"text/plain": "words"}))
    await drag(page, "dragstart", files)
    for type in ("dragenter", "dragover", "drop"):
        await drag(page, type, files)
    await expect(overlay).to_have_count(0)
    await expect(queue(page)).to_have_count(0)
    await drag(page, "dragend", files)
    await drag(page, "dragover", files)
    await expect(overlay).to_be_visible()


async def test_a_picture_of_the_page_that_is_dragged_over_it_is_not_uploaded(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/")
    await expect(pictures(page)).to_have_count(2)
    await pictures(page).first.drag_to(page.get_by_role("searchbox"))
    await expect(page.get_by_test_id("drop-overlay")).to_have_count(0)
    await expect(queue(page)).to_have_count(0)
    await expect(page).to_have_url(re.compile("/$"))


async def test_pictures_are_pasted_but_text_goes_into_the_field(open_page: OpenPage) -> None:
    page = await open_page("/")
    desk = Desk(taken)
    desk.open.set()
    await desk.stand_before(page)
    await page.get_by_role("searchbox").focus()
    await paste(page, {"image.png": png_of(8, 8)}, plain="a lake", html="<b>a lake</b>")
    await paste(page, {"lake.png": png_of(8, 8)})
    await expect(rows(page, "here")).to_have_count(1)
    await expect(rows(page)).to_contain_text("lake.png")
    await page.get_by_role("searchbox").blur()
    await paste(page, {"image.png": png_of(9, 9)}, html="<img>")
    await expect(rows(page, "here")).to_have_count(1)
    await expect(rows(page)).to_contain_text(re.compile(r"Pasted \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png"))
    assert desk.asked == 2


async def test_files_and_folders_are_picked_by_button_and_key(open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page("/")
    desk = Desk(taken)
    desk.open.set()
    await desk.stand_before(page)
    make_folder(tmp_path / "holiday", 3)
    # A chooser is caught from the first moment on: a key is quicker than what would begin to catch it.
    page.on("filechooser", lambda _: None)
    [one, other] = [tmp_path / "holiday" / name for name in ("photo 1.png", "photo 2.png")]
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Upload", exact=True).click()
    chooser = await choosing.value
    assert chooser.is_multiple()
    await chooser.set_files([one, other])
    await expect(rows(page, "here")).to_have_count(2)
    await page.get_by_role("link", name="Activity").click()
    async with page.expect_file_chooser() as choosing:
        await page.keyboard.press("Shift+U")
    await (await choosing.value).set_files([one])
    await expect(rows(page, "here")).to_have_count(1)
    await page.get_by_role("link", name="Library").click()
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Upload a folder").click()
    await (await choosing.value).set_files(tmp_path / "holiday")
    await expect(queue(page).get_by_role("heading")).to_have_text("3 uploaded")


async def test_a_folder_is_walked_through_and_what_systems_hide_in_it_is_left_out(
    open_page: OpenPage, tmp_path: Path
) -> None:
    """More than a browser tells of at a time, and a folder within it."""
    page = await open_page("/")
    desk = Desk(taken)
    desk.open.set()
    await desk.stand_before(page)
    make_folder(tmp_path / "holiday", 120)
    make_folder(tmp_path / "holiday" / "beach", 5)
    (tmp_path / "holiday" / "beach" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "alone.png").write_bytes(png_of(8, 8))
    await drop_paths(page, tmp_path / "holiday", tmp_path / "alone.png")
    await expect(queue(page).get_by_role("heading")).to_have_text("126 uploaded", timeout=60_000)
    assert desk.asked == 126


def make_folder(folder: Path, many: int) -> None:
    folder.mkdir(parents=True)
    for name, body in pngs(many).items():
        (folder / name).write_bytes(body)


async def drop_paths(page: Page, *paths: Path) -> None:
    """As a file manager does."""
    browser = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for type in ("dragEnter", "dragOver", "drop"):
        await browser.send("Input.dispatchDragEvent", {"type": type, "x": 300, "y": 300, "data": data})


BUSIEST = """() => {
  window.mostRows = 0;
  window.said = 0;
  new MutationObserver((changes) => {
    window.mostRows = Math.max(window.mostRows, document.querySelectorAll('[data-testid=upload]').length);
    window.said += changes.some(({ target }) => target.parentElement?.dataset.testid === 'upload-status');
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


async def test_of_five_hundred_files_few_are_drawn_and_little_is_said(open_page: OpenPage) -> None:
    page = await open_page("/")
    desk = Desk(taken)
    desk.open.set()
    await desk.stand_before(page)
    await page.evaluate(BUSIEST)
    await drop(page, {f"photo {number}.png": b"%d" % number for number in range(500)})
    await expect(queue(page).get_by_role("heading")).to_have_text("500 uploaded", timeout=120_000)
    assert desk.asked == 500
    drawn, said = await page.evaluate("[window.mostRows, window.said]")
    assert drawn <= 30
    assert said <= 20
    await page.get_by_role("button", name="Not uploaded").click()
    await expect(rows(page)).to_have_count(0)
    await expect(queue(page)).to_contain_text("Every file so far was uploaded.")


async def test_while_darkroom_takes_nothing_the_queue_waits_as_long_as_it_is_told_and_says_why(
    open_page: OpenPage,
) -> None:
    page = await open_page("/", tolerated=(REFUSED,))
    full = {"error": {"code": "unavailable", "message": "the disk is full"}}
    desk = Desk(lambda number: (503, full, {"Retry-After": "2"}) if number <= 2 else taken(number))
    desk.open.set()
    await desk.stand_before(page)
    await drop(page, pngs(1))
    await expect(page.get_by_test_id("upload-detail")).to_have_text("The disk is full. Tried again by itself.")
    await expect(page.get_by_test_id("upload-status")).to_have_text(
        "1 upload: The disk is full. Tried again by itself."
    )
    await expect(rows(page, "here")).to_have_count(1)
    assert desk.asked == 3


async def test_the_queue_stays_while_pages_change_and_asks_before_the_page_is_left(open_page: OpenPage) -> None:
    page = await open_page("/")
    desk = Desk(taken)
    await desk.stand_before(page)
    await drop(page, pngs(2))
    await page.get_by_role("button", name="Collapse").click()
    pill = page.get_by_role("button", name="Uploading 1 of 2")
    for place in ("Studio", "Activity", "Settings", "Library"):
        await page.get_by_role("link", name=place, exact=True).click()
        await expect(pill).to_be_visible()
    async with page.expect_event("dialog") as asking:
        await page.close(run_before_unload=True)
    dialog = await asking.value
    assert dialog.type == "beforeunload"
    await dialog.dismiss()
    desk.open.set()
    await expect(page.get_by_role("button", name="2 uploaded")).to_be_visible()


async def test_the_queue_is_walked_by_keyboard_and_keeps_the_focus(open_page: OpenPage) -> None:
    page = await open_page("/", tolerated=(REFUSED,))
    desk = Desk(lambda number: (415, NO_PICTURE) if number == 4 else taken(number))
    await desk.stand_before(page)
    await drop(page, pngs(30))
    await rows(page).first.focus()
    await expect(rows(page).first).to_have_attribute("aria-posinset", "1")
    await page.keyboard.press("ArrowDown")
    await expect(row(page, "photo 2.png")).to_be_focused()
    await page.keyboard.press("End")
    await expect(row(page, "photo 30.png")).to_be_focused()
    await expect(row(page, "photo 30.png")).to_be_in_viewport()
    await page.keyboard.press("Delete")
    await expect(row(page, "photo 30.png")).to_have_attribute("data-state", "canceled")
    await expect(row(page, "photo 30.png")).to_be_focused()
    await page.keyboard.press("Home")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Cancel photo 1.png")).to_be_focused()
    desk.open.set()
    # The button goes with what it canceled; the focus stays on its file.
    await expect(rows(page).first).to_be_focused()
    await expect(queue(page).get_by_role("heading")).to_have_text("28 of 30 uploaded")
    await page.keyboard.press("Escape")
    pill = page.get_by_role("button", name="28 of 30 uploaded, 1 refused, 1 canceled. Show the uploads")
    await expect(pill).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Collapse")).to_be_focused()


@pytest.mark.parametrize("screen", ["desktop", "phone"])
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_all_of_the_queue_has_a_name_and_can_be_read(open_page: OpenPage, theme: str, screen: str) -> None:
    options: dict[str, Any] = PHONE if screen == "phone" else {}
    page = await open_page("/", color_scheme=theme, reduced_motion="reduce", tolerated=(REFUSED,), **options)
    desk = Desk(lambda number: (415, NO_PICTURE) if number == 2 else taken(number))
    await desk.stand_before(page)
    await drop(page, pngs(8))
    if screen == "phone":
        await page.get_by_role("button", name="Uploading 1 of 8").tap()
    faults = await audit.nameless(page) + await audit.structure(page) + await audit.pale(page)
    desk.open.set()
    await expect(queue(page).get_by_role("heading")).to_have_text("7 of 8 uploaded")
    faults += await audit.nameless(page) + await audit.structure(page) + await audit.pale(page)
    if screen == "desktop":
        faults += (await audit.tab_through(page))[1]
    assert faults == []


async def test_on_a_phone_the_queue_is_a_sheet_that_back_closes(open_page: OpenPage) -> None:
    page = await open_page("/", **PHONE)
    desk = Desk(taken)
    await desk.stand_before(page)
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Upload", exact=True).tap()
    chooser = await choosing.value
    await chooser.set_files([{"name": name, "mimeType": "image/png", "buffer": body} for name, body in pngs(3).items()])
    pill = page.get_by_role("button", name="Uploading 1 of 3")
    await pill.tap()
    await expect(rows(page)).to_have_count(3)
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["viewport"]["width"]
    await page.go_back()
    await expect(pill).to_be_visible()
    await expect(page).to_have_url(re.compile("/$"))
    await pill.tap()
    await page.get_by_role("button", name="Collapse").tap()
    await expect(pill).to_be_visible()
    desk.open.set()
    await expect(page.get_by_role("button", name="3 uploaded")).to_be_visible()


async def test_an_empty_library_says_that_pictures_can_be_brought(open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_test_id("blank")).to_contain_text("can be dropped anywhere on this page, pasted, or")
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="chosen here").click()
    assert (await choosing.value).is_multiple()


async def test_the_queue_stands_beside_what_is_being_made(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    """Neither covers the other."""
    page = await open_page("/")
    await make(invokeai, 1)
    await expect(pictures(page)).to_have_count(1)
    desk = Desk(taken)
    await desk.stand_before(page)
    hold = invokeai.hold("output")
    await enqueue(invokeai, 5)
    tray = page.get_by_test_id("tray")
    await expect(tray).to_be_visible()
    await drop(page, pngs(2))
    for open_ in (True, False):
        if not open_:
            await page.get_by_role("button", name="Collapse").click()
        [a, b] = [await one.bounding_box() for one in (tray, queue(page))]
        assert a is not None
        assert b is not None
        assert a["x"] + a["width"] <= b["x"] or a["y"] + a["height"] <= b["y"]
    hold.release()
    await expect(tiles(page)).to_have_count(2)
