"""The background pass as a process of its own, which stands still at its n-th file and says so: to be killed there.

Arguments: database URL, data folder, `patrol_days`, and n. Each file that is looked at is named on a line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from service.database.engine import Database
from service.library.photo_pass import PhotoPass
from service.library.renditions import Renditions
from service.library.thumbnails import Thumbnails
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.photos.integrity import Checked, Integrity
from service.selection.mover import FileMover
from tests.fakes.retrieval_harness import RecordedBus
from tests.service.retrieval_process import stand_still


class Counting(Integrity):
    stands_still_at = 0
    looks = 0

    async def check(self, path: str, file_size: int | None, sha256: str) -> Checked:
        self.looks += 1
        if self.looks == self.stands_still_at:
            stand_still()
        sys.stdout.write(f"{path}\n")
        return await super().check(path, file_size, sha256)


async def main(database_url: str, folder: str, patrol_days: str, stands_still_at: str) -> None:
    told = RecordedBus()
    database = Database(database_url)
    storage, thumbnails = LocalStorage(Path(folder)), Thumbnails(told)
    mover = FileMover(database, storage, told)
    integrity = Counting(
        database,
        storage,
        told,  # type: ignore[arg-type]
        mover,
    )
    values = SimpleNamespace(thumbnail_quality=85, large_renditions=True, patrol_days=float(patrol_days))
    settings: Any = SimpleNamespace(current=values)
    renditions = Renditions(
        database,
        storage,
        Imaging(2_000_000),
        integrity,
        thumbnails,
        told,  # type: ignore[arg-type]
        mover=mover,
        settings=settings,
    )
    integrity.stands_still_at = int(stands_still_at)
    photo_pass = PhotoPass(
        database,
        integrity,
        renditions,
        told,  # type: ignore[arg-type]
        mover=mover,
        settings=settings,
        under_way=(),
        quiet_seconds=0,
    )
    await photo_pass.run()
