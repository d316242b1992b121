"""By keyboard, by screen reader, by eyes that need contrast, and without motion."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser import audit
from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make, pictures
from tests.browser.views import each_view, fill_library
from tests.browser.watched_pages import PHONE
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


FAULTY = """<!doctype html><title>Faults</title><style>:focus { outline: none }</style><main>
<img src="data:,"><button><i></i></button><input id=a><a href=#><button>b</button></a>
<p id=a style="color: #999; background: #bbb">pale</p></main>"""


async def test_the_audits_find_what_they_look_for(open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    await page.set_content(FAULTY)
    assert {fault.split(":")[0] for fault in await audit.nameless(page)} == {"button", "textbox", "image"}
    structure = " ".join(await audit.structure(page))
    for fault in ("two elements with id a", "img without alt", "a control within a control", "no language"):
        assert fault in structure
    assert "pale" in " ".join(await audit.pale(page))
    stops, faults = await audit.tab_through(page)
    assert len(faults) == stops == 4


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_in_every_place_all_has_a_name_and_all_text_can_be_read(
    theme: str, open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page("/", color_scheme=theme, reduced_motion="reduce")
    faults = []
    async for place in each_view(page, session):
        found = await audit.nameless(page) + await audit.structure(page) + await audit.pale(page)
        faults += [f"{place}: {fault}" for fault in found]
    assert faults == []


async def test_the_demos_tag_can_be_read_on_a_light_card(open_page: OpenPage, darkroom: Darkroom) -> None:
    async with darkroom.app.state["database"].connection() as connection:
        await connection.execute("UPDATE backends SET kind = 'demo'")
    page = await open_page("/activity", color_scheme="light", reduced_motion="reduce")
    await expect(page.get_by_test_id("server").get_by_text("Demo", exact=True)).to_be_visible()
    assert await audit.pale(page) == []


async def test_tab_goes_through_everything_and_always_shows_where_it_is(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page("/")
    faults = []
    async for place in each_view(page, session):
        await page.evaluate("document.activeElement.blur()")
        stops, found = await audit.tab_through(page)
        faults += [f"{place}: {fault}" for fault in found]
        assert stops > 5, place
    assert faults == []


async def test_a_dialog_keeps_the_focus_and_gives_it_back(open_page: OpenPage) -> None:
    page = await open_page("/activity")
    await page.get_by_role("button", name="Add a server").focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Add a server")
    await expect(dialog.get_by_label("Address")).to_be_focused()
    for _ in range(12):
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Add a server")).to_be_focused()


@pytest.mark.parametrize(("theme", "ground"), [("dark", "rgb(14, 15, 17)"), ("light", "rgb(246, 246, 244)")])
async def test_the_theme_is_the_systems_until_one_is_chosen_and_then_that(
    open_page: OpenPage, theme: str, ground: str
) -> None:
    page = await open_page("/settings", color_scheme=theme)
    body = page.locator("body")
    await expect(body).to_have_css("background-color", ground)
    other = {"rgb(14, 15, 17)": ("Light", "rgb(246, 246, 244)"), "rgb(246, 246, 244)": ("Dark", "rgb(14, 15, 17)")}
    name, chosen = other[ground]
    await page.get_by_role("button", name=name, exact=True).click()
    await expect(body).to_have_css("background-color", chosen)
    await page.reload()
    await expect(body).to_have_css("background-color", chosen)
    await page.get_by_role("button", name="As the system").click()
    await expect(body).to_have_css("background-color", ground)


MOVING = """() => {
  const name = (one) => one.animationName ?? one.transitionProperty;
  const where = ({ className }) => className.baseVal ?? className;
  return document.getAnimations()
    .filter((one) => one.playState === 'running' && one.effect.getComputedTiming().duration > 0)
    .map((one) => `${name(one)} of ${where(one.effect.target)}`);
}"""


async def test_nothing_moves_for_whoever_asks_for_that(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    await make(invokeai, 1, 2)
    page = await open_page("/", reduced_motion="reduce")
    await expect(pictures(page)).to_have_count(2)
    hold = invokeai.hold("output")
    await enqueue(invokeai, 3, 4)
    await expect(page.get_by_test_id("tray-tile")).to_be_visible()
    moving = await page.evaluate(MOVING)
    await pictures(page).first.get_by_role("link").click()
    moving += await page.evaluate(MOVING)
    await page.goto("/activity")
    await expect(page.get_by_test_id("running")).to_be_visible()
    moving += await page.evaluate(MOVING)
    hold.release()
    await expect(page.get_by_test_id("ledger")).to_have_text("4 made · 4 home")
    assert moving == []


async def test_on_a_phone_all_has_a_name_too(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    session = await fill_library(invokeai, darkroom)
    page = await open_page("/", **PHONE)
    faults = []
    async for place in each_view(page, session):
        found = await audit.nameless(page) + await audit.structure(page) + await audit.pale(page)
        faults += [f"{place}: {fault}" for fault in found]
    assert faults == []
