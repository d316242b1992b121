"""Uploading as a process of its own, which stands still at a given step and says so: to be killed there.

Arguments: database URL, data folder, and the step ("none": it runs on). It writes the port it listens on.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from service.database.engine import Database
from service.media import ingest
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.selection.mover import FileMover
from service.uploads import routes, rows
from service.uploads.intake import Uploads
from tests.fakes.retrieval_harness import RecordedBus
from tests.fakes.served import served
from tests.service.retrieval_process import before, stand_still


def after_inserting() -> None:
    insert = rows.insert

    @functools.wraps(insert)
    async def standing(*arguments: Any) -> bool:
        await insert(*arguments)
        stand_still()
        return True

    rows.insert = standing


def half_a_file() -> None:
    append = LocalStorage.append

    def standing(storage: LocalStorage, relative: str, token: UUID, pieces: list[bytes]) -> None:
        whole = b"".join(pieces)
        append(storage, relative, token, [whole[: len(whole) // 2]])
        stand_still()

    LocalStorage.append = standing  # type: ignore[assignment, method-assign]


def is_photo(path: Path, *_: Any) -> bool:
    return ".png." in path.name


STEPS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "receiving": half_a_file,
    "received": lambda: before(rows, "same_bytes"),
    "looked up": lambda: before(ingest, "examine"),
    "verified": lambda: before(Uploads, "_publish"),
    "marked": lambda: before(ingest, "publish"),
    "small rendition renamed": lambda: before(
        LocalStorage, "publish", lambda _, path, token: path.endswith(".large.webp")
    ),
    "large rendition renamed": lambda: before(LocalStorage, "publish", lambda _, path, token: path.endswith(".png")),
    "about to be renamed": lambda: before(Path, "replace", is_photo),
    "renamed": lambda: before(rows, "insert"),
    "row written": after_inserting,
    "mark removed": lambda: before(RecordedBus, "_keep"),
}
HAVE_A_ROW = ("row written", "mark removed")


async def main(database_url: str, folder: str, step: str) -> None:
    STEPS[step]()
    database, storage = Database(database_url), LocalStorage(Path(folder))
    bus: Any = RecordedBus()
    mover = FileMover(database, storage, bus)
    integrity = Integrity(database, storage, bus, mover)
    limits = SimpleNamespace(thumbnail_quality=85, large_renditions=True)
    uploads = Uploads(
        database,
        storage,
        Imaging(2_000_000),
        integrity,
        bus,
        settings=SimpleNamespace(current=limits),
        max_bytes=10_000_000,
        max_frames=500,
    )
    async with served(routes.routes, uploads=uploads, database=database) as client:
        sys.stdout.write(f"{client._base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
