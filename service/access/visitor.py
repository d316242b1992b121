"""The visitor of a request: the owner, with or without a web session."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Visitor(msgspec.Struct, frozen=True):
    """Somebody who is let in. `session` names a web session, never its token; None for scripts and on loopback."""

    session: str | None = None
    expires_at: datetime | None = None


OWNER = Visitor()
