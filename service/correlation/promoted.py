"""Finds intermediate images that were made final later (gallery reading).
They keep their time, so they are below the watermark, and no event tells of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog

from service.correlation.record import Recorder, ServerIdentity
from service.errors import InvokeAnswered, InvokeConflict, InvokeInterrupted, InvokeNotFound, InvokeUnauthorized
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, UnreadableImage
from service.invokeai.server import pieces

log = structlog.get_logger()

CATEGORIES = ("general", "mask", "control")
"""Mirrored categories: no uploads, and not what the canvas of InvokeAI 7 keeps for itself."""
REMEMBERED = 1000
"""Names of intermediate images that may yet be made final."""
LOOK_EVERY = 30.0
"""Seconds between looks at some of them."""
NEWEST, OTHERS = 100, 100
"""How many of them a look reads: one call."""
YOUNG = 3600.0
"""Seconds after the latest intermediate image in which one is likely to be made final."""
WALK_GAP, WALK_SHARE = 15.0, 20.0
"""Seconds between walks through all names, and at least so many times as long as the last one took."""
FAILED_GAP = 60.0
"""Seconds after a walk that failed."""
PIECE = 200
KNOWN_PIECE = 5000
PASSED_OVER = 20_000
ASKED_SINGLY = 50
"""Images that a bulk answer lacks and that are asked for one by one, in one walk."""


class Promoted:
    """Looks again at intermediate images that were seen, and walks through the names of the whole gallery."""

    def __init__(
        self,
        client: InvokeClient,
        recorder: Recorder,
        identity: ServerIdentity,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._identity = identity
        self._unreadable = recorder.unreadable
        recorder.intermediate = self.remember
        self._clock = clock
        self._names: OrderedDict[str, None] = OrderedDict()
        """Intermediate images, the latest seen last."""
        self._next_other = 0
        self._seen_at: float | None = None
        self._look_at = self._walk_at = clock()
        self._passed_over: OrderedDict[str, None] = OrderedDict()
        """Images that were looked at and not taken."""

    # --- intermediate images that were seen ---

    def remember(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._names:
                self._seen_at = self._clock()
            self._names[name] = None
        while len(self._names) > REMEMBERED:
            self._names.popitem(last=False)

    @property
    def expected(self) -> bool:
        """Whether one is likely to be made final soon."""
        return self._seen_at is not None and self._clock() - self._seen_at < YOUNG

    async def look_again(self, since: datetime, *, now: bool = False) -> int:
        """Asks for some of them, the newest and others in turn, unless it did so just now; how many photos it added.
        Raises InvokeError."""
        if not self._names or (self._clock() < self._look_at and not now):
            return 0
        self._look_at = self._clock() + LOOK_EVERY
        names = list(reversed(self._names))
        others = names[NEWEST:]
        self._next_other = self._next_other if self._next_other < len(others) else 0
        asked = names[:NEWEST] + others[self._next_other : self._next_other + OTHERS]
        images = await self._client.images_by_names(asked)
        if len(images) < len(asked):
            await self._identity.confirm()  # what is not there is not asked for again
        self._next_other += OTHERS
        added = await self._recorder.record(images, since=since)
        intermediate = {image.image_name for image in images if image.is_intermediate}
        for name in asked:
            if name not in intermediate:
                self._names.pop(name, None)
        return len(added)

    # --- all names ---

    @property
    def seconds_to_walk(self) -> float:
        """Seconds until the next walk may begin. A walk costs InvokeAI more the larger its gallery is."""
        return max(0.0, self._walk_at - self._clock())

    def put_off(self) -> None:
        """InvokeAI failed: not at once again."""
        self._walk_at = self._clock() + FAILED_GAP

    async def walk(self, since: datetime) -> int:
        """Records what the names of the gallery tell and no page did; how many photos it added. Raises InvokeError, and
        InvokeNoSuchRoute where there is no list of names (before 6.0)."""
        began = self._clock()
        try:
            names = await self._client.image_names(categories=CATEGORIES)
            names = names[: await self._count_since(names, since)]
            added = 0
            asked_singly = ASKED_SINGLY
            for piece in pieces(await self._unknown(names), PIECE):
                images, asked_singly = await self.look_up(piece, asked_singly)
                if images:
                    await self._identity.confirm()  # nothing of another server is recorded as this one's
                added += len(await self._recorder.record(images, since=since))
                self._pass_over(image.image_name for image in images)
            await self._try_unreadable(since)
        finally:
            self._walk_at = self._clock() + max(WALK_GAP, WALK_SHARE * (self._clock() - began))
        return added

    async def _unknown(self, names: Sequence[str]) -> list[str]:
        names = [name for name in names if name not in self._passed_over and name not in self._unreadable]
        return [name for piece in pieces(names, KNOWN_PIECE) for name in await self._recorder.unknown(piece)]

    async def _count_since(self, names: Sequence[str], since: datetime) -> int:
        """Counts by halving how many of the names, newest first, were made since then."""
        low, high = 0, len(names)
        while high - low > PIECE:
            middle = (low + high) // 2
            images = await self._client.images_by_names(names[middle : middle + 5])
            if not images:
                break  # deleted just now: the others are looked at one by one
            low, high = (middle, high) if images[0].created_at >= since else (low, middle + 1)
        return high

    async def look_up(self, names: Sequence[str], asked_singly: int = ASKED_SINGLY) -> tuple[list[ImageDTO], int]:
        """Bulk answers leave out what InvokeAI cannot read, as if it were deleted: some are asked for singly."""
        images = await self._client.images_by_names(names)
        found = {image.image_name for image in images}
        for name in names:
            if name not in found and asked_singly > 0:
                asked_singly -= 1
                images += await self._single(name)
        return images, asked_singly

    async def _single(self, name: str) -> list[ImageDTO]:
        try:
            image = await self._client.image(name)
        except InvokeNotFound:
            self._unreadable.readable([name])  # it is deleted
            return []
        except (InvokeUnauthorized, InvokeConflict):
            raise
        except (InvokeAnswered, InvokeInterrupted) as error:
            await self._client.version()  # the image's trouble, unless the server has it too
            self._unreadable.found([UnreadableImage(name, str(error))])
            return []
        self._unreadable.readable([name])
        return [image]

    async def _try_unreadable(self, since: datetime) -> None:
        """Tries images again that could not be read: they may be deleted, or readable now."""
        for name in self._unreadable.names[:ASKED_SINGLY]:
            await self._recorder.record(await self._single(name), since=since)

    def _pass_over(self, names: Iterable[str]) -> None:
        self._passed_over.update(dict.fromkeys(names))
        while len(self._passed_over) > PASSED_OVER:
            self._passed_over.popitem(last=False)
