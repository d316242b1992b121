"""Opaque cursors: where the next page of a list begins, bound to the list's filters and order."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from service.errors import ValidationError


class Position(msgspec.Struct, frozen=True):
    """The last photo of a page: its id, and the value of the list's order if that is not the id."""

    id: UUID
    key: str | int | None = None


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    filters: str
    id: UUID
    key: str | int | None


def fingerprint(filters: msgspec.Struct) -> str:
    """A hash of the filters. The order of a filter's values does not matter."""
    canonical = {
        name: sorted(set(map(str, value))) if isinstance(value, list) else value
        for name, value in msgspec.structs.asdict(filters).items()
    }
    return hashlib.blake2b(msgspec.json.encode(canonical, order="sorted"), digest_size=9).hexdigest()


def encode(filters: msgspec.Struct, position: Position) -> str:
    content = msgspec.json.encode(_Cursor(fingerprint(filters), position.id, position.key))
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(filters: msgspec.Struct, cursor: str, key_type: Any) -> Position:
    """The position. Raises ValidationError if it is no cursor of ours or was made for other filters."""
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = msgspec.json.decode(content, type=_Cursor)
        key = msgspec.convert(found.key, key_type)
        if isinstance(key, datetime):
            key = key.astimezone(UTC)  # out of range there, it is out of the database's
    except (ValueError, OverflowError, binascii.Error, msgspec.MsgspecError) as error:
        raise ValidationError("cursor: not one of this service's cursors") from error
    if found.filters != fingerprint(filters):
        raise ValidationError("cursor: made for other filters; start again without it")
    return Position(found.id, key)
