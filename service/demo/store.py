"""The demo's own small SQLite file, so that images and queue survive a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")

_SCHEMA = "CREATE TABLE IF NOT EXISTS records (kind TEXT, key, body BLOB NOT NULL, PRIMARY KEY (kind, key))"
_PUT = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body"


class Store:
    """Records as JSON, by kind and key, in the order in which they were first put."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def read(self, kind: str, record: type[Record]) -> list[Record]:
        found = self._db.execute("SELECT body FROM records WHERE kind = ? ORDER BY rowid", (kind,))
        return [msgspec.json.decode(body, type=record) for (body,) in found]

    def put(self, kind: str, records: Mapping[Any, Any]) -> None:
        rows = ((kind, key, msgspec.json.encode(record)) for key, record in records.items())
        self.write(_PUT, rows)

    def write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(statement, rows)
        self._db.execute("COMMIT")
