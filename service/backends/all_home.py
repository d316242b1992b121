"""When a server may be let go (rule 10): its queue was seen empty, everything was read after that, and all is home."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

import structlog

from service.backends.connection import Connection
from service.backends.registry import Registry
from service.errors import InvokeError

log = structlog.get_logger()


class AllHome:
    """To be asked again and again: the first question has everything read, a later one finds that it was."""

    def __init__(self, registry: Registry, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._empty_since: dict[UUID, float] = {}
        """Since when each queue has been empty, as far as anybody told."""
        registry.reconnected.listen(self._start_over)

    async def of(self, backend_id: UUID) -> bool:
        """False as well while the server cannot be asked: nobody knows what it has made since."""
        connection = self._registry.get(backend_id)
        if connection is None or connection.state != "connected":
            return False
        since = await self._seen_empty_since(connection)
        if since is None:
            return False
        readings = connection.reconciler.read_from, connection.gallery.read_from
        if any(began is None or began < since for began in readings):
            connection.read_everything()
            return False
        ledger = (await self._registry.ledger()).backends.get(str(backend_id))
        return ledger is not None and ledger.home and ledger.expected == ledger.made

    async def _seen_empty_since(self, connection: Connection) -> float | None:
        backend_id, asked = connection.backend_id, self._clock()
        try:
            status = await connection.client.queue_status()
        except InvokeError as error:
            log.info("queue_not_seen", backend_id=str(backend_id), error=str(error))
            return None
        if status.pending or status.in_progress or status.waiting:
            self._empty_since.pop(backend_id, None)
            return None
        since, heard = self._empty_since.get(backend_id), connection.heard_at
        if since is None or (heard is not None and heard > since):
            since = self._empty_since[backend_id] = asked  # something may have come and gone until now
        return since

    def _start_over(self, backend_id: UUID) -> None:
        """Who knows what its queue held while nobody listened."""
        self._empty_since.pop(backend_id, None)
