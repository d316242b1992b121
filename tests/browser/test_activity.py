"""The Activity page while something runs."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make
from tests.browser.views import create_session, status_of_step
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser


async def test_what_runs_is_told_with_the_servers_name(open_page: OpenPage, invokeai: ScriptedInvokeAI) -> None:
    page = await open_page("/activity")
    server = page.get_by_test_id("server")
    name = await server.get_by_role("heading").inner_text()
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1)
    await expect(server.get_by_role("progressbar")).to_have_accessible_name(f"Running on {name}")
    hold.release()
    await expect(page.get_by_test_id("ledger")).to_have_text("1 made · 1 home")


async def test_of_the_ledgers_numbers_only_the_digits_that_change_are_drawn_anew(
    open_page: OpenPage, invokeai: ScriptedInvokeAI
) -> None:
    await make(invokeai, *range(11))
    page = await open_page("/activity")
    ledger = page.get_by_test_id("ledger")
    await expect(ledger).to_have_text("11 made · 11 home")
    await expect(ledger.locator(".new-digit")).to_have_count(0)
    await ledger.evaluate("ledger => { for (const one of ledger.querySelectorAll('span')) one.stayed = true }")
    await make(invokeai, 12)
    await expect(ledger).to_have_text("12 made · 12 home")
    drawn = "ledger => [...ledger.querySelectorAll('span')].filter((one) => !one.stayed).map((one) => one.textContent)"
    assert await ledger.evaluate(drawn) == ["2", "2"]


async def test_what_a_step_still_lacks_is_one_row_and_can_be_canceled_there(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    hold = invokeai.hold("output")
    first = await create_session(invokeai, darkroom, 64, 64, batch=2)
    await hold.reached()
    second = await create_session(invokeai, darkroom, 64, 64, batch=3)
    await enqueue(invokeai, 1)
    page = await open_page("/activity")
    rows = page.get_by_test_id("queue").locator("tbody tr")
    await expect(rows.locator("[data-name=Left]")).to_have_text(["2", "3"])
    await expect(page.get_by_test_id("server")).to_contain_text("6 items: 5 from Darkroom, 1 from elsewhere")
    own, others = (page.locator(f".queue-bar .{whose}") for whose in ("ours", "others"))
    colors = [await bar.evaluate("bar => getComputedStyle(bar).backgroundColor") for bar in (own, others)]
    bar = page.locator(".queue-bar")
    assert len({*colors, await bar.evaluate("bar => getComputedStyle(bar).backgroundColor")}) == 3
    # While the pointer is over the rows none comes under it that was not there.
    await rows.nth(0).get_by_role("button", name="Cancel").hover()
    hold.release()
    await expect(rows.nth(0)).to_contain_text("Ended")
    await expect(rows.nth(0).get_by_role("button")).to_have_count(0)
    again = invokeai.hold("output")
    await page.mouse.move(5, 5)
    await expect(page.get_by_test_id("ledger")).to_contain_text("made")
    again.release()
    await expect(page.get_by_test_id("queue")).to_contain_text("Nothing waits and nothing runs")
    assert first != second


async def test_a_queued_step_is_canceled_in_its_row(
    open_page: OpenPage, invokeai: ScriptedInvokeAI, darkroom: Darkroom
) -> None:
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1)
    await hold.reached()
    session = await create_session(invokeai, darkroom, 64, 64, batch=3)
    page = await open_page("/activity")
    cancel = page.get_by_test_id("queue").get_by_role("button", name="Cancel “dunes at dusk”")
    await expect(cancel).to_have_count(1)  # other people's work is theirs
    await cancel.click()
    await expect(page.get_by_test_id("queue").get_by_text("dunes at dusk")).to_be_visible()
    await expect(page.get_by_test_id("queue").locator("tbody tr").filter(has_text="dunes")).to_contain_text("Ended")
    async with asyncio.timeout(20):
        while await status_of_step(darkroom, session) != "canceled":
            await asyncio.sleep(0.05)
    await expect(page.get_by_role("link", name="Open InvokeAI")).to_have_attribute("href", invokeai.url)
    hold.release()
