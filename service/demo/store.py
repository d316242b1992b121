"""The demo's own small SQLite file, so that images and queue survive a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (item_id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS works (work_id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS images (image_name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS boards (board_id TEXT PRIMARY KEY, body BLOB NOT NULL);
"""
_KEYS = {"items": "item_id", "works": "work_id", "images": "image_name", "boards": "board_id"}


class Store:
    """Rows of JSON in four tables. Item ids are never reused, also after all items are gone (FACTS §3)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def rows(self, table: str) -> list[Json]:
        found = self._db.execute(f"SELECT body FROM {table} ORDER BY {_KEYS[table]}")
        return [msgspec.json.decode(body) for (body,) in found]

    def put(self, table: str, key: int | str, row: Json) -> None:
        self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (key, msgspec.json.encode(row)))

    def put_items(self, rows: Iterable[tuple[int, Json]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO items VALUES (?, ?)", ((key, msgspec.json.encode(row)) for key, row in rows))
        self._db.execute("COMMIT")

    def remove(self, table: str, keys: Iterable[int | str]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(f"DELETE FROM {table} WHERE {_KEYS[table]} = ?", ((key,) for key in keys))
        self._db.execute("COMMIT")

    def last_item_id(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        return int(row[0]) if row else 0
