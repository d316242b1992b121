"""Whether everything a server made is here: its owner may turn it off (rule 19).

The ledger counts what is known. Home is more: nothing can have been made that was not looked for.
"""

from __future__ import annotations

import msgspec

from service.live.messages import BackendLedger


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at on a server; moments are of the process's monotonic clock, null for never in this process."""

    reachable: bool
    """It answers, and is the server that it was."""
    worked_at: float
    """The last sign of work: an event of an item or a batch, a reading that showed one, an image recorded; or the end
    of a time in which such signs could be missed, such as a reconnect."""
    queue_read_from: float | None
    """When the last complete reading of its queue began."""
    gallery_read_from: float | None
    """The same of its gallery."""
    mirrors: bool
    """Images of other people's work are taken, too: the gallery alone tells of all of them."""


def was_read(looked: Looked) -> bool:
    """Whether complete readings began after the last sign of work, and nothing kept others from being heard since."""
    readings = [looked.queue_read_from, *([looked.gallery_read_from] if looked.mirrors else [])]
    return looked.reachable and all(began is not None and began > looked.worked_at for began in readings)


def is_home(ledger: BackendLedger, looked: Looked | None) -> bool:
    """Nothing waits, failed or is expected, and everything was read after the last sign of work. What is gone counts as
    home. False for a server that was not looked at."""
    nothing_open = ledger.waiting == ledger.failed == 0 and ledger.expected == ledger.made
    return nothing_open and looked is not None and was_read(looked)
