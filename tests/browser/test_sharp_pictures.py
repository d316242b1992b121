"""Pictures are sharp on a dense screen, and no original is loaded before somebody looks closely."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.pictures import make, pictures
from tests.browser.viewer import shown_file
from tests.browser.views import create_session
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 1024, 768
SMALL = 360
SHARP = f"""() => {{
  const images = [...document.querySelectorAll('img.front')].filter((image) => !image.closest('.tree'));
  return images.length > 0 && images.every((image) => {{
    const pixels = image.currentSrc.includes('size=large') ? {WIDTH} : {SMALL};
    const wanted = Math.min(image.getBoundingClientRect().width * devicePixelRatio, {WIDTH});
    const isSharp = pixels >= wanted - 1;
    const isNeeded = pixels === {SMALL} || wanted > {SMALL};
    return image.complete && isSharp && isNeeded;
  }});
}}"""


def originals(requested: list[str]) -> list[str]:
    return [url for url in requested if re.search(r"/photos/[^/]+/file", url)]


async def dense_page(chromium: Browser, width: int, height: int, density: float) -> tuple[Page, list[str]]:
    """And what it requests."""
    viewport = ViewportSize(width=width, height=height)
    page = await chromium.new_page(device_scale_factor=density, viewport=viewport, reduced_motion="reduce")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    # From the smallest tiles on: a browser goes back to no smaller picture than it has.
    await page.add_init_script("localStorage.setItem('darkroom.row-height', '120')")
    return page, requested


@pytest.mark.parametrize(("width", "height", "density"), [(1440, 700, 2), (390, 844, 3)], ids=["desktop", "phone"])
async def test_pictures_are_sharp_at_every_size_and_originals_wait_for_a_close_look(
    chromium: Browser, darkroom: Darkroom, invokeai: ScriptedInvokeAI, width: int, height: int, density: float
) -> None:
    session = await create_session(invokeai, darkroom, WIDTH, HEIGHT)
    await make(invokeai, 1, 2, size=(WIDTH, HEIGHT))
    page, requested = await dense_page(chromium, width, height, density)
    await page.goto(f"{darkroom.url}/")
    await expect(pictures(page)).to_have_count(4)
    slider = page.get_by_label("Size of the pictures")
    for stop in range(120, 321, 50) if await slider.is_visible() else [0]:
        if stop:
            await slider.fill(str(stop))
        await page.wait_for_function(SHARP)

    await page.goto(f"{darkroom.url}/studio/{session}")
    await expect(page.locator("[data-testid=slot] img.front.shown")).to_have_count(2)
    await page.wait_for_function(SHARP)
    assert originals(requested) == []

    await page.locator("[data-testid=slot]").first.get_by_role("link").click()
    await expect(shown_file(page)).to_have_attribute("src", re.compile("size=large"))
    await expect(shown_file(page)).to_have_js_property("naturalWidth", WIDTH)
    assert originals(requested) == []
    await page.keyboard.press("z")
    await expect(shown_file(page)).to_have_attribute("src", re.compile("/file"))
    await expect(shown_file(page)).to_have_js_property("naturalWidth", WIDTH)
    assert len(originals(requested)) == 1
    await page.close()
