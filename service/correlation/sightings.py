"""Names that nodes reported, looked up and recorded in batches (rule 4): never awaited by the consumer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from service.correlation.record import Recorder, Settling
from service.errors import InvokeError
from service.invokeai.client import InvokeClient

log = structlog.get_logger()

LIMIT = 4096
BATCH = 100
LONGEST_WAIT = 30.0


class Sightings:
    """What waits to be looked up. Beyond the bound names are let go and a gallery reading is asked for instead."""

    def __init__(self, client: InvokeClient, recorder: Recorder, read_everything: Callable[[], None]) -> None:
        self._client = client
        self._recorder = recorder
        self._read_everything = read_everything
        self._names: dict[str, None] = {}
        self._settlings: dict[tuple[str, int], Settling] = {}
        self._wake = asyncio.Event()

    def sight(self, image_name: str) -> None:
        if len(self._names) >= LIMIT:
            self._read_everything()
            return
        self._names[image_name] = None
        self._wake.set()

    def settle(self, batch_id: str, item_id: int, step_id: UUID, image_names: Sequence[str]) -> None:
        if len(self._settlings) >= LIMIT:
            self._read_everything()  # it stays unsettled, so a later reading brings it here again
            return
        self._settlings[batch_id, item_id] = Settling(batch_id, item_id, step_id, tuple(image_names))
        self._wake.set()

    def wake(self) -> None:
        """The server is back: no reason to wait any longer."""
        self._wake.set()

    @property
    def idle(self) -> bool:
        return not self._names and not self._settlings

    async def run(self) -> None:
        """Supervised. What InvokeAI cannot be asked now stays here and is asked again, less and less often."""
        wait = 0.5
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while not self.idle:
                    await self._look_up()
                wait = 0.5
            except InvokeError as error:
                log.info("sightings_wait", backend_id=str(self._recorder.backend_id), error=str(error), seconds=wait)
                asyncio.get_running_loop().call_later(wait * random.uniform(0.8, 1.2), self._wake.set)
                wait = min(wait * 2, LONGEST_WAIT)

    async def _look_up(self) -> None:
        """One batch; what it covered leaves the waiting only once it is recorded."""
        settlings = list(self._settlings.values())[:BATCH]
        names = dict.fromkeys(name for settling in settlings for name in settling.image_names)
        names.update(dict.fromkeys(list(self._names)[:BATCH]))
        unknown = await self._recorder.unknown(list(names))
        images = await self._client.images_by_names(unknown) if unknown else []
        await self._recorder.record(images, settlings)
        for name in names:
            self._names.pop(name, None)
        for settling in settlings:
            if self._settlings.get((settling.batch_id, settling.item_id)) is settling:
                del self._settlings[settling.batch_id, settling.item_id]
