"""One change to many photos, as browsers are told of it: each photo while they are few, else one gap; and progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

from service.live.announce import Announcer
from service.live.messages import BulkAction, BulkProgress

MOST_TOLD: Final = 500
"""Photos that are told one by one. More than these are read again more cheaply, and shown all at once."""


class ManyChanges:
    """Call `went_on` after each commit, and `end` however it ends."""

    def __init__(
        self, announcer: Announcer, action: BulkAction | None, total: int | None = None, id: UUID | None = None
    ) -> None:
        """Without an `action`, no progress is shown. `total` may be set later."""
        self.total = total
        self.changed = 0
        self._announcer = announcer
        self._action = action
        self._id = id or uuid4()
        self._done = 0
        self._untold = False
        self._shown = False

    def went_on(self, looked_at: int, changed: Sequence[UUID], *, removed: bool = False) -> None:
        """`changed` of them are different now, or with `removed` no longer there."""
        self._done += looked_at
        self.changed += len(changed)
        if self.changed > MOST_TOLD or (self.total or 0) > MOST_TOLD:
            self._untold = self._untold or bool(changed)
        elif removed:
            self._announcer.photos_removed(changed)
        else:
            self._announcer.photos_updated(changed)
        # The only batch, and the last one, need no progress: `end` follows.
        if self.total is None or self._done < self.total:
            self._show(self.total)

    def end(self) -> None:
        if self._untold:
            self._announcer.leave_gap()
            self._announcer.ledger_changed()  # a message that shows the gap, also where no progress is shown
        if self._untold or self._shown:
            self._show(self._done)

    def _show(self, total: int | None) -> None:
        if self._action is None:
            return
        self._shown = True
        self._announcer.bulk_progress(BulkProgress(id=self._id, action=self._action, done=self._done, total=total))
