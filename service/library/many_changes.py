"""Reports a change of many photos to browsers: each photo if they are few, else one gap; and its progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

from service.bus.bus import Bus
from service.bus.live_state import BulkAction, BulkProgress

MOST_TOLD: Final = 500
"""Photos that are reported one by one. More are read again more cheaply, and shown all at once."""


class ManyChanges:
    """Call `went_on` after each commit, and `end` in any case."""

    def __init__(self, bus: Bus, action: BulkAction | None, total: int | None = None, id: UUID | None = None) -> None:
        """Without an `action`, no progress is shown. `total` may be set later."""
        self.total = total
        self.changed = 0
        self._bus = bus
        self._action = action
        self._id = id or uuid4()
        self._done = 0
        self._untold = False
        self._shown = False

    def went_on(self, looked_at: int, changed: Sequence[UUID], *, removed: bool = False) -> None:
        """`changed` of them changed, or with `removed` no longer exist."""
        self._done += looked_at
        self.changed += len(changed)
        if self.changed > MOST_TOLD or (self.total or 0) > MOST_TOLD:
            self._untold = self._untold or bool(changed)
        elif removed:
            self._bus.changed("photo.removed", changed)
        else:
            self._bus.changed("photo.updated", changed)
        # The only batch, and the last one, need no progress: `end` follows.
        if self.total is None or self._done < self.total:
            self._show(self.total)

    def end(self) -> None:
        if self._untold:
            self._bus.too_much_changed()
            self._bus.ledger_changed()  # a message that shows the gap, even if no progress is shown
        if self._untold or self._shown:
            self._show(self._done)

    def _show(self, total: int | None) -> None:
        if self._action is None:
            return
        self._shown = True
        self._bus.bulk_progress(BulkProgress(id=self._id, action=self._action, done=self._done, total=total))
