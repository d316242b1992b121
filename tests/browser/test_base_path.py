"""The page below a path of another host: links, pictures, live updates, uploads and the login lead there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import expect

from service.config.base_path import serve_below
from tests.browser.pictures import make
from tests.browser.uploads import drop, pngs
from tests.browser.watched_pages import WatchedPages
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy

pytestmark = pytest.mark.browser

BASE = "/tools/darkroom"
PASSWORD = "under the red light"
REFUSED = (r"status of 401", r"WebSocket connection to .* failed")


@pytest.fixture(autouse=True)
def none_afterwards() -> Iterator[None]:
    yield
    serve_below("")


@pytest.fixture
async def below(public_folder: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    settings = settings_for(
        public_folder / "data", database_url, invokeai_url=invokeai.url, password=PASSWORD, base_path=BASE
    )
    async with running(settings) as darkroom:
        yield darkroom


@pytest.fixture(params=["strips", "keeps"])
async def proxy(below: Darkroom, request: pytest.FixtureRequest) -> AsyncIterator[ReverseProxy]:
    """It shows Darkroom below the base, and nothing else."""

    async def elsewhere(asked: web.Request) -> web.StreamResponse | None:
        if asked.path == BASE or asked.path.startswith(f"{BASE}/"):
            return None
        outside.append(asked.path)
        return web.Response(status=404)

    outside: list[str] = []
    async with reverse_proxy(below.url) as proxy:
        proxy.passes_host = True
        proxy.strips = BASE if request.param == "strips" else ""
        proxy.faults.append(elsewhere)
        yield proxy
    assert outside == [], "nothing is asked for beside the base"


async def test_the_page_works_below_a_base(
    proxy: ReverseProxy, invokeai: ScriptedInvokeAI, watched_pages: WatchedPages
) -> None:
    page = await watched_pages.open(proxy.url, f"{BASE}/albums", tolerated=REFUSED)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Open the library").click()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    await expect(page).to_have_url(f"{proxy.url}{BASE}/albums")

    await page.get_by_role("link", name="Library").first.click()
    await expect(page).to_have_url(f"{proxy.url}{BASE}/")
    await make(invokeai, 1, 2)
    tiles = page.get_by_test_id("tile")
    await expect(tiles).to_have_count(2)
    picture = tiles.first.locator("img").last
    await expect(picture).to_have_js_property("complete", True)
    assert await picture.evaluate("image => image.naturalWidth") > 0
    await drop(page, pngs(1))
    await expect(tiles).to_have_count(3)

    link = tiles.first.get_by_role("link").first
    assert (await link.get_attribute("href") or "").startswith(f"{BASE}/?photo=")
    await link.click()
    await page.keyboard.press("y")
    await page.wait_for_url(f"**{BASE}/photo/*/family")
    await page.reload()
    await page.get_by_role("link", name="Open the photo").click()
    await page.get_by_role("button", name="Use as source").click()
    await page.wait_for_url(f"**{BASE}/studio/new*")
    await expect(page.get_by_test_id("compose-source")).to_be_visible()

    for name, path in (("Studio", "/studio"), ("Activity", "/activity"), ("Settings", "/settings")):
        await page.get_by_role("link", name=name).first.click()
        await page.wait_for_url(f"**{BASE}{path}")
    await expect(page.get_by_role("link", name="API", exact=True)).to_have_attribute("href", f"{BASE}/api/docs")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    assert await page.context.cookies() == []
