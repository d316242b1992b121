"""People in front of the page: each a browser context of its own, whose page is watched for errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Error, Page

ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

LOST_CONNECTION = r"WebSocket connection to .* failed|net::ERR_"
"""What a browser itself reports, for any page, while nothing listens."""
ENDED_PREVIEW = r"status of 404 .*/api/v1/previews/"
"""A frame asked for just before its item ended: the API's 404 is the page's cue to keep the last one."""


@dataclass
class WatchedPage:
    """`tolerated` are expressions for console errors that are no fault of the page."""

    page: Page
    tolerated: tuple[str, ...]
    errors: list[str] = field(default_factory=list)

    def on_console(self, message: ConsoleMessage) -> None:
        text = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(re.search(one, text) for one in self.tolerated):
            self.errors.append(f"console: {text}")

    def on_page_error(self, error: Error) -> None:
        self.errors.append(f"error: {error}\n{error.stack}")


class WatchedPages:
    """Opens pages, each in a browser context of its own, and keeps what they report. With `moves` they have their
    animations, which cost two fifths of what Chromium computes."""

    def __init__(self, browser: Browser, *, moves: bool) -> None:
        self._browser = browser
        self._motion = "no-preference" if moves else "reduce"
        self._pages: list[WatchedPage] = []

    async def open(self, url: str, path: str = "/", *, tolerated: tuple[str, ...] = (), **context: Any) -> Page:
        opened = await self._browser.new_context(
            **{
                "base_url": url,
                "locale": "en-GB",
                "color_scheme": "dark",
                "reduced_motion": self._motion,
                **DESKTOP,
                **context,
            }
        )
        page = await opened.new_page()
        watched = WatchedPage(page, (ENDED_PREVIEW, *tolerated))
        page.on("console", watched.on_console)
        page.on("pageerror", watched.on_page_error)
        self._pages.append(watched)
        await page.goto(path)
        return page

    def errors(self) -> list[str]:
        return [error for watched in self._pages for error in watched.errors]

    async def screenshot(self, name: str) -> None:
        """What everyone sees, under test-artifacts/."""
        ARTIFACTS.mkdir(exist_ok=True)
        for number, watched in enumerate(self._pages, 1):
            await watched.page.screenshot(path=ARTIFACTS / f"{name}-{number}.png")

    async def close(self) -> None:
        for watched in self._pages:
            await watched.page.context.close()
