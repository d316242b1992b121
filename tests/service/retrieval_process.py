"""Retrieval as a process of its own, which stands still at a given step and says so: to be killed there.

Arguments: database URL, data folder, InvokeAI's URL, backend id, the step ("none": it runs on), and how many bytes a
file may have (0: any number).
"""

from __future__ import annotations

import functools
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import aiohttp

from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.retrieval import fetcher, queue
from service.retrieval.worker import Retrieval
from tests.fakes.retrieval_harness import RecordedBus

STANDING_STILL = "standing still"


def stand_still() -> None:
    sys.stdout.write(f"{STANDING_STILL}\n")
    sys.stdout.flush()
    threading.Event().wait()


def before(owner: Any, name: str, where: Callable[..., bool] = lambda *_: True) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def standing(*arguments: Any, **options: Any) -> Any:
        if where(*arguments):
            stand_still()
        return original(*arguments, **options)

    setattr(owner, name, standing)


def after_finishing() -> None:
    finish = queue.finish

    async def standing(*arguments: Any) -> bool:
        await finish(*arguments)
        stand_still()
        return True

    queue.finish = standing  # type: ignore[assignment]


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
    "claimed": lambda: before(fetcher.Fetcher, "retrieve"),
    "downloading": half_a_file,
    "downloaded": lambda: before(fetcher, "examine"),
    "verified": lambda: before(fetcher, "publish"),
    "thumbnail renamed": lambda: before(LocalStorage, "publish", lambda _, path, token: path.endswith(".png")),
    "about to be renamed": lambda: before(Path, "replace", is_photo),
    "renamed": lambda: before(queue, "finish"),
    "row written": after_finishing,
}


async def main(database_url: str, folder: str, url: str, backend: str, step: str, file_limit: str) -> None:
    if int(file_limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit), int(file_limit)))
    STEPS[step]()
    backend_id = UUID(backend)
    limits = SimpleNamespace(retrieval_max_attempts=5, thumbnail_quality=85)
    async with aiohttp.ClientSession() as session:
        client = InvokeClient(url, timeout=5, session=session)
        retrieval = Retrieval(
            Database(database_url),
            LocalStorage(Path(folder)),
            Imaging(2_000_000),
            SimpleNamespace(client=lambda _: client, reachable=lambda: [backend_id]),
            RecordedBus(),  # type: ignore[arg-type]
            settings=SimpleNamespace(current=limits),
            workers=4,
        )
        await retrieval.run()
