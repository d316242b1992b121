"""A choice and the moves that follow it as a process of its own, which stands still at a given step and says so: to be
killed there.

Arguments: database URL, data folder, step, the new choice ("none": nothing), the photo whose move stands still, where,
and "links" or "no links".
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from service.bus.bus import Bus
from service.database.engine import Database
from service.media.storage import LocalStorage
from service.selection import mover, moves
from service.selection.choice import select
from service.selection.mover import FileMover
from tests.service.retrieval_process import stand_still

NAMES = 6
"""Original, small and large, under two names."""


def is_about(photo: str, arguments: Any) -> bool:
    return any(photo in str(argument) for argument in arguments)


def before_call(owner: Any, name: str, photo: str, number: int = 0) -> None:
    """Before the call of that number that is about the photo."""
    original, calls = getattr(owner, name), 0

    def standing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if is_about(photo, arguments):
            if calls == number:
                stand_still()
            calls += 1
        return original(*arguments, **options)

    setattr(owner, name, standing)


def after_call(owner: Any, name: str, photo: str) -> None:
    original = getattr(owner, name)

    async def standing(*arguments: Any) -> Any:
        answer = await original(*arguments)
        if is_about(photo, arguments):
            stand_still()
        return answer

    setattr(owner, name, standing)


def half_a_copy(photo: str) -> None:
    append = LocalStorage.append

    def standing(storage: LocalStorage, relative: str, token: UUID, pieces: Any) -> None:
        whole = b"".join(pieces)
        append(storage, relative, token, [whole[: len(whole) // 2]])
        if photo in relative:
            stand_still()

    LocalStorage.append = standing  # type: ignore[method-assign]


STEPS: dict[str, Callable[[str], None]] = {
    "chosen": lambda photo: before_call(mover, "give_names", photo),
    **{
        f"{number} names given": lambda photo, number=number: before_call(LocalStorage, "share", photo, number)  # type: ignore[misc]
        for number in range(NAMES)
    },
    "about to be synced": lambda photo: before_call(LocalStorage, "sync_folders", photo),
    "about to be written": lambda photo: before_call(moves, "move", photo),
    "row written": lambda photo: after_call(moves, "move", photo),
    **{
        f"{number} names taken": lambda photo, number=number: before_call(LocalStorage, "unlink", photo, number)  # type: ignore[misc]
        for number in range(NAMES)
    },
    "about to be forgotten": lambda photo: before_call(moves, "forget", photo),
    "forgotten": lambda photo: after_call(moves, "forget", photo),
    "half copied": half_a_copy,
    "about to be renamed": lambda photo: before_call(Path, "replace", photo),
}


def no_links(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


async def main(database_url: str, folder: str, step: str, choice: str, photo: str, where: str, links: str) -> None:
    STEPS[where](photo)
    if links == "no links":
        os.link = no_links  # type: ignore[assignment]
    database, storage = Database(database_url), LocalStorage(Path(folder))
    storage.take_search_mark()  # as each start does
    async with FileMover(database, storage, Bus()) as file_mover:
        async with database.transaction() as connection:
            changed = await select(connection, UUID(step), None if choice == "none" else UUID(choice))
        for changed_photo in changed.photos:
            await file_mover.settle(changed_photo)
    sys.stdout.write("done\n")
