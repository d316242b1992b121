"""Rules of a script: which requests and events get special treatment, how often, and what became of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from service.demo.answers import Handler
from service.demo.server import Event

Answer = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
Where = Callable[[Event], bool]


@dataclass(eq=False)
class Counted:
    """Applies `times` times, or for ever when that is None, until removed."""

    times: int | None
    hits: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def active(self) -> bool:
        return self.times is None or self.hits < self.times

    def remove(self) -> None:
        self.times = self.hits

    def hit(self) -> None:
        self.hits += 1
        self.changed.set()

    async def wait(self, hits: int = 1, seconds: float = 10) -> None:
        """Until it has applied so often."""
        async with asyncio.timeout(seconds):
            while self.hits < hits:
                self.changed.clear()
                await self.changed.wait()


@dataclass(eq=False)
class RouteRule(Counted):
    """Requests whose path (without query) the expression is found in, answered by `answer` instead."""

    path: re.Pattern[str] = re.compile("")
    method: str | None = None
    answer: Answer | None = None

    def takes(self, request: web.Request) -> bool:
        return (
            self.active
            and (self.method is None or request.method == self.method)
            and self.path.search(request.path) is not None
        )


@dataclass(eq=False)
class EventRule(Counted):
    """Events of a name (None: any) for which `where` holds: copies sent, 0 to drop it; held back until `until`."""

    name: str | None = None
    where: Where | None = None
    copies: int = 1
    until: asyncio.Event | None = None

    def takes(self, event: Event) -> bool:
        return (
            self.active and (self.name is None or event.name == self.name) and (self.where is None or self.where(event))
        )
