"""Who a request comes from, as far as it matters: the owner, in a browser session or without one."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Visitor(msgspec.Struct, frozen=True):
    """Someone who may come in. `session` names a browser session, never its token; null for scripts and on loopback."""

    session: str | None = None
    expires_at: datetime | None = None


OWNER = Visitor()
