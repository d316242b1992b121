"""Names that nodes reported, looked up and recorded in batches (rule 4): never awaited by the consumer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from service.correlation.identity import Identity
from service.correlation.record import Recorder, Settling
from service.errors import InvokeAnswered, InvokeConflict, InvokeError, InvokeUnauthorized
from service.invokeai.client import InvokeClient
from service.invokeai.events import LONGEST_NAME, ImageDTO, is_image_name
from service.waiting import happened

log = structlog.get_logger()

LIMIT = 4096
BATCH = 100
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class Sightings:
    """What waits to be looked up. Beyond the bound it is let go, and everything is read once there is room again."""

    def __init__(
        self,
        client: InvokeClient,
        recorder: Recorder,
        read_everything: Callable[[], None],
        identity: Identity,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._read_everything = read_everything
        self._identity = identity
        self._names: dict[str, object] = {}
        """Each with a token of its latest sighting: one sighted again during its look-up is looked up again."""
        self._settlings: dict[tuple[str, int], Settling] = {}
        self._overflowed = False
        self._work = asyncio.Event()
        self._back = asyncio.Event()

    def sight(self, image_name: str) -> None:
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

    def wake(self) -> None:
        """The server is back: no reason to wait any longer."""
        self._back.set()

    async def run(self) -> None:
        """Supervised. What InvokeAI cannot be asked now stays here and is asked again, less and less often."""
        wait = FIRST_WAIT
        while True:
            await self._work.wait()
            self._back.clear()
            try:
                await self._look_up()
                wait = FIRST_WAIT
            except InvokeError as error:
                log.info("sightings_wait", backend_id=str(self._recorder.backend_id), error=str(error), seconds=wait)
                came_back = await happened(self._back, wait * random.uniform(0.8, 1.2))
                wait = FIRST_WAIT if came_back else min(wait * 2, LONGEST_WAIT)

    async def _look_up(self) -> None:
        """One batch; what it covered leaves the waiting only once it is recorded."""
        self._identity.require()
        settlings = list(self._settlings.values())[:BATCH]
        sighted = dict(list(self._names.items())[:BATCH])
        names = dict.fromkeys(name for settling in settlings for name in settling.image_names)
        names.update(dict.fromkeys(sighted))
        unknown = await self._recorder.unknown(list(names))
        images = await self._images(unknown) if unknown else []
        if len(images) < len(unknown):
            await self._identity.confirm()  # what is not there is let go, and its item settled without it
        # A node may name an image of any age, as its input.
        since = await self._recorder.beginning.since() if images else None
        await self._recorder.record(images, settlings, since=since)
        for name, token in sighted.items():
            if self._names.get(name) is token:
                del self._names[name]
        for settling in settlings:
            if self._settlings.get((settling.batch_id, settling.item_id)) is settling:
                del self._settlings[settling.batch_id, settling.item_id]
        if not self._names and not self._settlings:
            self._work.clear()
            if self._overflowed:
                self._overflowed = False
                self._read_everything()

    async def _images(self, names: Sequence[str]) -> list[ImageDTO]:
        """Those InvokeAI has. One name it cannot answer for must not hold up the others: it is let go, and left to the
        gallery reading."""
        try:
            return await self._client.images_by_names(names)
        except (InvokeUnauthorized, InvokeConflict):
            raise
        except InvokeAnswered:
            if len(names) == 1:
                raise
        found: list[ImageDTO] = []
        refused: list[InvokeAnswered] = []
        for name in names:
            try:
                found += await self._client.images_by_names([name])
            except (InvokeUnauthorized, InvokeConflict):
                raise
            except InvokeAnswered as error:
                refused.append(error)
                log.warning("image_not_readable", image_name=name, error=str(error))
        if len(refused) == len(names):
            raise refused[0]  # the server's trouble, not a name's
        return found
