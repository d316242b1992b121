"""Files that a person brings to the page, and a desk that answers for them in place of the service."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from playwright.async_api import JSHandle, Locator, Page, Route

from tests.fakes.pictures import png_of

Json = dict[str, Any]
Files = dict[str, bytes]
"""By name."""

TRANSFER = """([files, texts]) => {
  const data = new DataTransfer();
  for (const [name, type, bytes] of files) {
    data.items.add(new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], name, { type }));
  }
  for (const [type, text] of Object.entries(texts)) data.items.add(text, type);
  return data;
}"""
DRAG = """([data, type]) => {
  const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
  (document.activeElement ?? document.body).dispatchEvent(event);
}"""
PASTE = """(data) => {
  const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
  (document.activeElement ?? document.body).dispatchEvent(event);
}"""

NO_PICTURE = {"error": {"code": "unsupported_media_type", "message": "this is no picture that Darkroom can read"}}


def pngs(many: int, *, first: int = 1) -> Files:
    """Pictures of bytes of their own."""
    return {f"photo {number}.png": png_of(64 + number, 48) for number in range(first, first + many)}


async def transfer(page: Page, files: Files, texts: dict[str, str] | None = None) -> JSHandle:
    encoded = [[name, "image/png", b64encode(body).decode()] for name, body in files.items()]
    return await page.evaluate_handle(TRANSFER, [encoded, texts or {}])


async def drag(page: Page, kind: str, data: JSHandle) -> None:
    await page.evaluate(DRAG, [data, kind])


async def drop(page: Page, files: Files) -> None:
    """Anywhere on the page."""
    data = await transfer(page, files)
    for kind in ("dragenter", "dragover", "drop"):
        await drag(page, kind, data)


async def paste(page: Page, files: Files, **texts: str) -> None:
    """Where the focus is; texts by the second half of their type (`plain`, `html`)."""
    data = await transfer(page, files, {f"text/{kind}": text for kind, text in texts.items()})
    await page.evaluate(PASTE, data)


def queue(page: Page) -> Locator:
    return page.get_by_test_id("upload-queue")


def rows(page: Page, state: str | None = None) -> Locator:
    return page.locator("[data-testid=upload]" + (f"[data-state={state}]" if state else ""))


def row(page: Page, name: str) -> Locator:
    return rows(page).filter(has_text=name)


class Desk:
    """Stands in for `POST /photos` of one page: the n-th request gets what `answers` says of n, once `open` is set."""

    def __init__(self, answers: Callable[[int], tuple[int, Json] | tuple[int, Json, dict[str, str]]]) -> None:
        self.answers = answers
        self.open = asyncio.Event()
        self.asked = 0
        self.most_at_once = 0
        self._now = 0

    async def stand_before(self, page: Page) -> None:
        await page.route("**/api/v1/photos", self._answer)

    async def _answer(self, route: Route) -> None:
        if route.request.method != "POST":
            await route.fallback()
            return
        self.asked += 1
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        status, body, *headers = self.answers(self.asked)
        await self.open.wait()
        self._now -= 1
        await route.fulfill(status=status, json=body, headers=headers[0] if headers else None)


def taken(number: int) -> tuple[int, Json]:
    """A new photo, as far as the queue looks at it."""
    return 201, {"id": f"00000000-0000-7000-8000-{number:012}", "thumbnail_url": "data:,", "duplicate": False}
