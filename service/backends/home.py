"""Whether a server is home, so that its owner may turn it off (ledger and home).

The ledger counts what is known. Home is more: nothing can have been made that was not looked for.
"""

from __future__ import annotations

import msgspec

from service.bus.live_state import BackendLedger


class ReadState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a server besides its ledger. Times are of the process's monotonic clock, null for never in this
    process."""

    reachable: bool
    """It answers and is recognised."""
    worked_at: float
    """The last sign of work: an event of an item or a batch, a reading that showed one, an image recorded; or the end
    of a time in which such signs could be missed, such as a reconnect."""
    queue_read_from: float | None
    """When the last complete reading of its queue began."""
    gallery_read_from: float | None
    """When the last complete reading of its gallery began."""
    mirrors: bool
    """Whether images of other people's work are mirrored: only the gallery shows all of them."""
    off: bool = False
    """Its pod is known not to run: nothing is made there (stopped only when home)."""
    stopped_home: bool = False
    """It was stopped when everything was home."""


def was_read(state: ReadState) -> bool:
    """Whether complete readings began after the last sign of work, and nothing has kept later signs from
    being heard."""
    readings = [state.queue_read_from, *([state.gallery_read_from] if state.mirrors else [])]
    return state.reachable and all(began is not None and began > state.worked_at for began in readings)


def is_home(ledger: BackendLedger, state: ReadState | None) -> bool:
    """Whether a server is home: nothing waits, failed or is expected, and everything was read after the last sign of
    work. What is gone counts as home. False for a server that was not looked at."""
    nothing_open = ledger.waiting == ledger.failed == 0 and ledger.expected == ledger.made
    return nothing_open and state is not None and (was_read(state) or (state.off and state.stopped_home))


def is_no_matter(ledger: BackendLedger, state: ReadState | None) -> bool:
    """Whether "all servers are home" leaves it out: its pod does not run, and nothing is open there."""
    return state is not None and state.off and ledger.waiting == 0 and ledger.expected == ledger.made
