"""Looks up the images that nodes named, and records them in batches (sighted is not made)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from service.correlation.exchange import ReadingRequests
from service.correlation.record import Recorder, ServerIdentity, Settling
from service.errors import InvokeError
from service.invokeai.bad_records import images_of
from service.invokeai.bounds import LONGEST_NAME, is_image_name
from service.invokeai.client import InvokeClient
from service.runtime.backoff import Backoff
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

LIMIT = 4096
BATCH = 100
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class ImageLookups:
    """The names that wait to be looked up; the consumer never waits for them. Beyond the bound they are dropped, and
    everything is read once there is room again."""

    def __init__(
        self, client: InvokeClient, recorder: Recorder, requests: ReadingRequests, identity: ServerIdentity
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._requests = requests
        self._identity = identity
        self._names: dict[str, object] = {}
        """Each with a token of its latest sighting: one sighted again during its look-up is looked up again."""
        self._settlings: dict[tuple[str, int], Settling] = {}
        self._overflowed = False
        self._work = asyncio.Event()
        self.back = asyncio.Event()
        """The server is back: no reason to wait any longer."""

    def add(self, image_name: str) -> None:
        if not is_image_name(image_name):
            log.warning("image_name_impossible", image_name=image_name[:LONGEST_NAME])
        elif len(self._names) >= LIMIT and image_name not in self._names:
            self._overflowed = True
        else:
            self._names[image_name] = object()
            self._work.set()

    def settle(self, batch_id: str, item_id: int, step_id: UUID, image_names: Sequence[str]) -> None:
        if len(self._settlings) >= LIMIT and (batch_id, item_id) not in self._settlings:
            self._overflowed = True  # it stays unsettled, so a later reading brings it here again
            return
        names = tuple(name for name in image_names if is_image_name(name))
        self._settlings[batch_id, item_id] = Settling(batch_id, item_id, step_id, names)
        self._work.set()

    @property
    def waiting(self) -> bool:
        return bool(self._names or self._settlings)

    async def run(self) -> None:
        """Supervised. What InvokeAI cannot be asked now stays here and is asked again, less and less often."""
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            await self._work.wait()
            self.back.clear()
            try:
                await self.look_up()
                backoff.reset()
            except InvokeError as error:
                wait = backoff.next()
                log.info("sightings_wait", backend_id=str(self._recorder.backend_id), error=str(error), seconds=wait)
                if await wait_for_event(self.back, wait):
                    backoff.reset()

    async def look_up(self) -> None:
        """One batch; what it covered leaves the waiting only once it is recorded."""
        self._identity.require()
        settlings = list(self._settlings.values())[:BATCH]
        sighted = dict(list(self._names.items())[:BATCH])
        names = dict.fromkeys([*(name for settling in settlings for name in settling.image_names), *sighted])
        unknown = await self._recorder.unknown(list(names))
        images = await images_of(self._client, unknown) if unknown else []
        if len(images) < len(unknown):
            await self._identity.confirm()  # what is not there is let go, and its item settled without it
        # A node may name an image of any age, as its input.
        since = await self._recorder.marks.since() if images else None
        await self._recorder.record(images, settlings, since=since)
        for name, token in sighted.items():
            if self._names.get(name) is token:
                del self._names[name]
        for settling in settlings:
            if self._settlings.get((settling.batch_id, settling.item_id)) is settling:
                del self._settlings[settling.batch_id, settling.item_id]
        if not self.waiting:
            self._work.clear()
            if self._overflowed:
                self._overflowed = False
                self._requests.everything()
