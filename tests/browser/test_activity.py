"""The Activity page while something runs."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pictures import enqueue, make
from tests.fakes import ScriptedInvokeAI

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
