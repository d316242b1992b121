"""UUIDv7 (RFC 9562 §5.7): ids in order of time."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LAST_MILLISECOND = 2**48 - 1


def photo_id(created_at: datetime) -> UUID:
    """An id made from the photo's own time, so that ids are in order of time; the rest is random. The twelve bits below
    the millisecond are its fraction (RFC 9562 §6.2, method 3). Times before 1970 count as 1970."""
    if created_at.tzinfo is None:
        raise ValueError("an id cannot be minted from a time without a zone")
    milliseconds, microseconds = divmod(max(0, (created_at - EPOCH) // MICROSECOND), 1000)
    fraction = microseconds * 4096 // 1000
    head = min(milliseconds, LAST_MILLISECOND) << 16 | 0x7 << 12 | fraction
    return UUID(int=head << 64 | 0b10 << 62 | secrets.randbits(62))


def first_id_at(moment: datetime, *, milliseconds_later: int = 0) -> UUID:
    """The least id of that millisecond (RFC 9562 §5.7: 48 bits of Unix time lead a UUIDv7)."""
    milliseconds = int(moment.timestamp() * 1000) + milliseconds_later
    return UUID(int=min(max(milliseconds, 0), LAST_MILLISECOND) << 80)


def new_id() -> UUID:
    """An id for a record that is made now."""
    return photo_id(datetime.now(UTC))
