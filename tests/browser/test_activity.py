"""The Activity page while something runs."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.pictures import enqueue
from tests.fakes import ScriptedInvokeAI

pytestmark = pytest.mark.browser


async def test_what_runs_is_told_with_the_servers_name(visit: Visit, invokeai: ScriptedInvokeAI) -> None:
    page = await visit("/activity")
    server = page.get_by_test_id("server")
    name = await server.get_by_role("heading").inner_text()
    hold = invokeai.hold("output")
    await enqueue(invokeai, 1)
    await expect(server.get_by_role("progressbar")).to_have_accessible_name(f"Running on {name}")
    hold.release()
    await expect(page.get_by_test_id("ledger")).to_have_text("1 made · 1 home")
