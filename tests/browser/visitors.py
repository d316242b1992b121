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
"""What a browser itself reports, whatever the page does, while nothing listens."""
ENDED_PREVIEW = r"status of 404 .*/api/v1/previews/"
"""A frame asked for just before its item ended: the API's 404 is the page's cue to keep the last one."""


@dataclass
class Visitor:
    """`tolerated` are expressions for console errors that are no fault of the page."""

    page: Page
    tolerated: tuple[str, ...]
    complaints: list[str] = field(default_factory=list)

    def hear_console(self, message: ConsoleMessage) -> None:
        text = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(re.search(one, text) for one in self.tolerated):
            self.complaints.append(f"console: {text}")

    def hear_error(self, error: Error) -> None:
        self.complaints.append(f"error: {error}\n{error.stack}")


class Visitors:
    """`visit` opens a page for one more person; `leave` ends all visits."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._visitors: list[Visitor] = []

    async def visit(self, url: str, path: str = "/", *, tolerated: tuple[str, ...] = (), **context: Any) -> Page:
        opened = await self._browser.new_context(
            **{"base_url": url, "locale": "en-GB", "color_scheme": "dark", **DESKTOP, **context}
        )
        page = await opened.new_page()
        visitor = Visitor(page, (ENDED_PREVIEW, *tolerated))
        page.on("console", visitor.hear_console)
        page.on("pageerror", visitor.hear_error)
        self._visitors.append(visitor)
        await page.goto(path)
        return page

    def complaints(self) -> list[str]:
        return [complaint for visitor in self._visitors for complaint in visitor.complaints]

    async def photograph(self, name: str) -> None:
        """What everyone sees, under test-artifacts/."""
        ARTIFACTS.mkdir(exist_ok=True)
        for number, visitor in enumerate(self._visitors, 1):
            await visitor.page.screenshot(path=ARTIFACTS / f"{name}-{number}.png")

    async def leave(self) -> None:
        for visitor in self._visitors:
            await visitor.page.context.close()
