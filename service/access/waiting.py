"""The line of requests that wait for a password check: a few of each address, so that none keeps all others out."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from service.config.addresses import parsed_ip
from service.errors import TooManyRequests

PLACES: Final = 64
PLACES_EACH: Final = 4
"""Places of one visitor."""
LONGEST_NAME: Final = 64
SHARED_BITS: Final = {4: 24, 6: 48}
"""How many leading bits an owner of many addresses has in common in all of them, by IP version."""


@dataclass(frozen=True)
class Caller:
    """The sender of a password. `visitor` is who is counted: an IPv4 address, or the /64 that an IPv6 host may choose
    its addresses from. `network` is a larger block that one attacker may have all of."""

    visitor: str
    network: str


def caller(address: str) -> Caller:
    """The caller of an address. The address comes from the socket or a trusted proxy: it may be any text."""
    parsed = parsed_ip(address.partition("%")[0])
    if parsed is None:
        name = address[:LONGEST_NAME]
        return Caller(name, name)
    if isinstance(parsed, ipaddress.IPv6Address):
        return Caller(_block(parsed, 64), _block(parsed, SHARED_BITS[6]))
    return Caller(str(parsed), _block(parsed, SHARED_BITS[4]))


def _block(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    return str(ipaddress.ip_network((address, bits), strict=False))


@dataclass(eq=False)
class _Place:
    caller: Caller
    turn: asyncio.Future[None]


class Line:
    """A line: one after the other, in the order they came. The first place is the one whose turn it is."""

    def __init__(self) -> None:
        self._places: list[_Place] = []

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Waits for its turn. Raises TooManyRequests if there is no place, or it was given to somebody else."""
        place = _Place(caller, asyncio.get_running_loop().create_future())
        self._enter(place)
        try:
            await place.turn
            yield
        finally:
            self._leave(place)

    def _enter(self, place: _Place) -> None:
        visitor = place.caller.visitor
        if sum(other.caller.visitor == visitor for other in self._places) >= PLACES_EACH:
            raise _no_place()
        if len(self._places) >= PLACES:
            self._make_room(place.caller.network)
        self._places.append(place)
        if len(self._places) == 1:
            place.turn.set_result(None)

    def _make_room(self, network: str) -> None:
        """Takes the last place from the network with the most places; raises TooManyRequests if that would be the
        newcomer's."""
        waiting = self._places[1:]
        held = Counter(place.caller.network for place in waiting)
        largest, most = held.most_common(1)[0]
        if held[network] + 1 >= most:
            raise _no_place()
        last = next(place for place in reversed(waiting) if place.caller.network == largest)
        self._places.remove(last)
        if not last.turn.done():
            last.turn.set_exception(_no_place())

    def _leave(self, place: _Place) -> None:
        if place in self._places:
            self._places.remove(place)
        if self._places and not self._places[0].turn.done():
            self._places[0].turn.set_result(None)


def _no_place() -> TooManyRequests:
    return TooManyRequests("too many passwords are being checked: try again in a moment", {"retry_after_seconds": 1})
