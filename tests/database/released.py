"""Databases of earlier releases, filled: `released_REVISION.sql.gz`, made by `dump_release.py`."""

from __future__ import annotations

import gzip
from pathlib import Path

from service.database.engine import Connection
from tests.fakes.darkroom import NO_SERVER

SERVER_URL = NO_SERVER
"""Of the environment's backend in them."""
OWNER_PASSWORD = "correct horse"
SESSION_TOKEN = "a-browser-that-signed-in-before-the-upgrade"
"""Its session is valid for that password."""


def file_of(revision: str) -> Path:
    return Path(__file__).with_name(f"released_{revision}.sql.gz")


def revisions() -> list[str]:
    files = sorted(Path(__file__).parent.glob("released_*.sql.gz"))
    return [file.name.removeprefix("released_").removesuffix(".sql.gz") for file in files]


async def restore(connection: Connection, revision: str) -> None:
    """Into an empty database, in one transaction."""
    await connection.execute(gzip.decompress(file_of(revision).read_bytes()).decode())
