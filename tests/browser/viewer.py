"""What the viewer shows."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect


def shown_file(page: Page) -> Locator:
    """The picture itself, not the preview that stands in for it."""
    return page.locator(".pswp__item[aria-hidden=false] img.pswp__img:not(.pswp__img--placeholder)")


async def assert_viewer_shows(page: Page, photo: str | None) -> None:
    """The viewer names this photo, and its file or a rendition of it is what one sees."""
    await expect(page.get_by_test_id("viewer")).to_have_attribute("data-photo", str(photo))
    await expect(shown_file(page)).to_have_attribute("src", re.compile(f"{photo}/(file|thumbnail)"))
    await expect(shown_file(page)).not_to_have_js_property("naturalWidth", 0)
