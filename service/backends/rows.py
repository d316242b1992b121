"""Reads the rows of `backends` that connections need."""

from __future__ import annotations

import asyncpg
import msgspec

from service.backends.connection import BackendRow
from service.database.engine import Connection

# Addresses are normalised (config/addresses.py): the part before the path is the origin.
ORIGIN = "substring({} from '^[a-z]+://[^/]+')"
ROWS = f"""
    SELECT id, name, kind, url, queue_id, (logins->{ORIGIN.format("url")})::text AS credentials,
           (gateways->{ORIGIN.format("url")})::text AS gateway, enabled, mirror,
           version, created_at, last_seen_at
      FROM backends ORDER BY id
"""


async def backend_rows(connection: Connection) -> list[BackendRow]:
    """All rows, oldest first."""
    return [_row(record) for record in await connection.fetch(ROWS)]


def _row(record: asyncpg.Record) -> BackendRow:
    values = dict(record)
    for secret in ("credentials", "gateway"):
        if values[secret] is not None:
            values[secret] = msgspec.json.decode(values[secret])
    return BackendRow(**values)
