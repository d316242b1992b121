"""A server's card, and the empty library, say what events do not bring, and how it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.pictures import pictures
from tests.browser.watched_pages import WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy

pytestmark = pytest.mark.browser


@pytest.fixture
async def proxy(invokeai: ScriptedInvokeAI) -> AsyncIterator[ReverseProxy]:
    async with reverse_proxy(invokeai.url) as proxy:
        yield proxy


@pytest.fixture
async def darkroom(public_folder: Path, database_url: str, proxy: ReverseProxy) -> AsyncIterator[Darkroom]:
    """Beside an InvokeAI with a full gallery, behind a proxy that passes no websockets."""
    proxy.websockets = False
    async with running(settings_for(public_folder / "data", database_url, invokeai_url=proxy.url)) as darkroom:
        yield darkroom


async def test_an_owner_learns_what_stays_where_it_is_and_brings_the_rest_at_once(
    invokeai: ScriptedInvokeAI, darkroom: Darkroom, watched_pages: WatchedPages
) -> None:
    for days in range(12):
        invokeai.add_canvas_save(created_at=datetime.now(UTC) - timedelta(days=days + 1))
    page = await watched_pages.open(darkroom.url, "/activity")
    server = page.get_by_test_id("server")
    await expect(server).to_have_attribute("data-state", "connected")
    await expect(server.get_by_test_id("server-trouble")).to_contain_text(
        "No live events: a proxy in between passes no websockets"
    )
    await page.get_by_role("button", name="Refresh").click()
    words = "12 older images stay in InvokeAI; Import brings them later"
    await expect(server.get_by_test_id("older-images")).to_have_text(words)
    await expect(server.get_by_test_id("ledger")).not_to_contain_text("Nothing made yet")
    await page.goto(darkroom.url)
    await expect(page.get_by_test_id("older-images")).to_have_text(f"{words}.")
    invokeai.add_canvas_save()
    await expect(pictures(page)).to_have_count(1)
