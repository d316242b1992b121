"""Bounds on open HTTP connections, in all and of one address, and which connection closes for a new one."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol, Self

import structlog
from uvicorn.server import ServerState

from service.access.waiting import caller

log = structlog.get_logger()

MOST_DESCRIPTORS: Final = 10_240
"""What macOS allows a process, and more than is used here."""
OWN_DESCRIPTORS: Final = 256
"""File descriptors kept for the database, InvokeAI, programs and files."""
MOST_CONNECTIONS: Final = 2048
MOST_OF_AN_ADDRESS: Final = 256
"""A browser has six connections, and one for each page's feed. Several browsers may share an address."""
REPORT_SECONDS: Final = 60.0


class HttpConnection(Protocol):
    """A connection that may be closed for another one."""

    def idle_since(self) -> float | None:
        """Since when it waits for its client; None while a request is being answered."""

    def look(self, now: float) -> None:
        """Closes it if its client has been silent for too long."""

    def drop(self) -> None:
        """Closes it at once."""


def raise_descriptor_limit() -> None:
    """Raises the process's limit of open files and sockets, within reason. A program often starts with 1,024, and 256
    on macOS, for the sake of programs that use `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def descriptor_limit() -> int:
    """How many files and sockets the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


class HttpConnections(ServerState):
    """uvicorn's shared state of connections, with bounds. At a bound, a connection closes for the new one. Of those
    that never had a request answered, it is the one that has waited for its client longest, or the oldest; else, of
    all, the one that has waited for its client longest. If there is none, the new one is refused."""

    def __init__(self, most: int, most_of_an_address: int, *, unbounded: Callable[[str], bool]) -> None:
        """`unbounded` tells the addresses that may have any number of connections, within `most`."""
        super().__init__()
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._unbounded = unbounded
        self._visitors: dict[object, str | None] = {}
        """Every connection, feeds too, with the visitor that it counts for."""
        self._of_visitor: dict[str, dict[object, None]] = {}
        self._http: dict[HttpConnection, None] = {}
        self._unproven: dict[HttpConnection, None] = {}
        """Those that never had a request answered, oldest first."""
        self._closed: Counter[str] = Counter()
        self._reported = 0.0
        self.now = time.monotonic()
        """When the last sweep was. That is exact enough for bounds of seconds, and free to read."""

    @classmethod
    def within(cls, descriptors: int, *, unbounded: Callable[[str], bool]) -> Self:
        """Bounds for a process with so many descriptors: each connection may read a file besides."""
        kept = min(OWN_DESCRIPTORS, descriptors // 2)
        most = max(1, min(MOST_CONNECTIONS, (descriptors - kept) // 2))
        return cls(most, min(MOST_OF_AN_ADDRESS, max(1, most // 2)), unbounded=unbounded)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._visitors)

    # --- opening and closing ---

    def admit(self, connection: HttpConnection, address: str) -> bool:
        """Whether there is room for it; another one is closed if needed."""
        visitor = None if self._unbounded(address) else caller(address).visitor
        of_visitor = self._of_visitor.get(visitor, {}) if visitor is not None else {}
        if len(of_visitor) >= self._most_of_an_address and not self._make_room(of_visitor, "of an address"):
            return False
        if len(self._visitors) >= self._most and not self._make_room(self._unproven or self._http, "in all"):
            return False
        self._enter(connection, visitor)
        self._http[connection] = None
        self._unproven[connection] = None
        return True

    def become(self, connection: HttpConnection, feed: object) -> None:
        """The connection goes on as a feed, which is never closed for another."""
        visitor = self._visitors.get(connection)
        self.leave(connection)
        self._enter(feed, visitor)

    def answered(self, connection: HttpConnection) -> None:
        """It had a request answered."""
        self._unproven.pop(connection, None)

    def leave(self, connection: Any) -> None:
        """The connection is closed, or about to be."""
        visitor = self._visitors.pop(connection, None)
        self._http.pop(connection, None)
        self._unproven.pop(connection, None)
        if visitor is not None:
            of_visitor = self._of_visitor[visitor]
            del of_visitor[connection]
            if not of_visitor:
                del self._of_visitor[visitor]

    def _enter(self, connection: object, visitor: str | None) -> None:
        self._visitors[connection] = visitor
        if visitor is not None:
            self._of_visitor.setdefault(visitor, {})[connection] = None

    def _make_room(self, among: Iterable[Any], bound: str) -> bool:
        """Closes the connection that is missed least, if there is one."""
        unproven = [found for found in among if found in self._unproven]
        first = _idle_longest(unproven) or next(iter(unproven), None)
        if first is None:
            first = _idle_longest(found for found in among if found in self._http)
        if first is None:
            self.count(f"refused ({bound})")
            return False
        self.leave(first)
        first.drop()
        self.count(f"closed for another ({bound})")
        return True

    # --- the sweep ---

    def count(self, reason: str) -> None:
        """Counts a connection that was closed because of its client; the log has the sum within a minute."""
        self._closed[reason] += 1

    def sweep(self) -> None:
        """Closes connections whose clients are silent. Call it every second."""
        self.now = now = time.monotonic()
        for connection in list(self._http):
            connection.look(now)
        if self._closed and now - self._reported >= REPORT_SECONDS:
            log.warning("connections closed", open=self.open, reasons=dict(self._closed))
            self._closed.clear()
            self._reported = now


def _idle_longest(connections: Iterable[HttpConnection]) -> HttpConnection | None:
    """The connection that has waited for its client longest; the first of several."""
    idle = [(since, found) for found in connections if (since := found.idle_since()) is not None]
    return min(idle, key=lambda one: one[0])[1] if idle else None
