"""Times and ids in InvokeAI's own notation."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm`, UTC without a zone, as InvokeAI writes times (FACTS §7)."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def new_id() -> str:
    return str(uuid.uuid4())
