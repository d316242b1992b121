"""The connections of all backends: started, stopped and looked up here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from uuid import UUID

import aiohttp
import msgspec

from service.backends import ledger
from service.backends.connection import BackendConnection, BackendRow, Parked
from service.backends.rows import backend_rows
from service.bus.bus import Bus
from service.bus.live_state import Item, Ledger, Progress
from service.bus.previews import Previews
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.runtime.supervisor import Supervisor


class Registry:
    """Keeps a connection for each row of `backends`: call `reload` after every change of the table."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        previews: Previews,
        supervisor: Supervisor,
        http: aiohttp.ClientSession,
        timeout: float,
        watched: Callable[[], bool],
    ) -> None:
        """`watched` says whether a browser is open."""
        self._database = database
        self._bus = bus
        self._connect = partial(
            BackendConnection,
            database=database,
            bus=bus,
            previews=previews,
            supervisor=supervisor,
            http=http,
            timeout=timeout,
            watched=watched,
        )
        self._connections: dict[UUID, BackendConnection] = {}
        self._parked: dict[UUID, Parked] = {}
        self._anew: set[UUID] = set()
        self._reloading = asyncio.Lock()
        bus.trouble.listen(self._show_trouble)

    # --- following the table ---

    async def reload(self, *, anew: Collection[UUID] = ()) -> None:
        """Stops connections of removed and changed rows, and starts those of new and changed ones. Unchanged ones keep
        their socket, except those in `anew`."""
        async with self._reloading:
            self._anew.update(anew)
            async with self._database.connection() as connection:
                rows = {row.id: row for row in await backend_rows(connection)}
            for backend_id in list(self._connections):
                same = _identity(rows.get(backend_id)) == _identity(self._connections[backend_id].row)
                if not same or backend_id in self._anew:
                    # Forgotten only once it is stopped: if this is interrupted, the next reload goes on with it.
                    await self._connections[backend_id].stop()
                    self._forget(backend_id)
            self._anew.clear()
            for row in rows.values():
                known = self._connections.get(row.id)
                if known is None:
                    self._connections[row.id] = self._connect(row)
                    self._connections[row.id].park(self._parked.get(row.id))
                    self._connections[row.id].start()
                else:
                    known.follow(row)
                self._bus.backend_changed(row.id)
        self._bus.ledger_changed()

    def _forget(self, backend_id: UUID) -> None:
        """Forgets a connection and reports its items of other people as gone: nobody would report their end. The next
        connection shows them again."""
        tracking = self._connections.pop(backend_id).tracking
        for item in tracking.lose_foreign(tracking.foreign_keys):
            self._bus.item_changed(item)

    async def stop(self) -> None:
        """Stops all connections: no event, reading or recording begins any more. One that hangs keeps no
        other waiting."""
        async with self._reloading:
            await asyncio.gather(*(connection.stop() for connection in self._connections.values()))

    def park(self, backend_id: UUID, parked: Parked | None) -> None:
        """Stops trying a backend whose pod is known not to run; with None it is tried at once."""
        if parked is None:
            self._parked.pop(backend_id, None)
        else:
            self._parked[backend_id] = parked
        connection = self._connections.get(backend_id)
        if connection is not None:
            connection.park(parked)

    # --- calls by other parts ---

    def get(self, backend_id: UUID) -> BackendConnection | None:
        return self._connections.get(backend_id)

    def client(self, backend_id: UUID) -> InvokeClient | None:
        """While it is connected; a disabled, unreachable or unrecognised server is not called."""
        connection = self._connections.get(backend_id)
        return connection.client if connection is not None and connection.state == "connected" else None

    async def confirm_recognised(self, backend_id: UUID, *, within: float = 0.0) -> None:
        """Asks the server again whether it is the recorded one; raises an `InvokeError` unless it is, or was so many
        seconds ago (recognised servers only)."""
        connection = self._connections.get(backend_id)
        if connection is None:
            raise InvokeError("the server was removed")
        await connection.identity.confirm(within=within)

    def connections(self) -> list[BackendConnection]:
        return list(self._connections.values())

    def reachable(self) -> list[UUID]:
        """Backends whose photos may be claimed (retrieval in the table)."""
        return [id for id, connection in self._connections.items() if connection.state == "connected"]

    def live_items(self) -> list[Item]:
        return [item for connection in self._connections.values() for item in connection.tracking.live_items]

    def item_progress(self, backend_id: UUID, item_id: int) -> Progress | None:
        connection = self._connections.get(backend_id)
        return connection.tracking.progress_of(item_id) if connection else None

    def request_reading(self, backend_id: UUID, item_ids: Sequence[int] = ()) -> None:
        connection = self._connections.get(backend_id)
        if connection is not None:
            connection.requests.items(item_ids) if item_ids else connection.requests.queue()

    def request_gallery_reading(self, backend_id: UUID) -> None:
        connection = self._connections.get(backend_id)
        if connection is not None:
            connection.gallery.request()

    # --- messages to browsers ---

    def tell_gone(self, items: Iterable[Item]) -> None:
        """Publishes that these items are gone: no connection follows them any more."""
        for item in items:
            self._bus.item_changed(msgspec.structs.replace(item, status="gone", progress=None))

    def _show_trouble(self, backend_id: UUID, code: str, words: str | None) -> None:
        """Shows a trouble on the backend's card, until it is called with None."""
        connection = self._connections.get(backend_id)
        if connection is None:
            return
        if words is None:
            connection.troubles.clear(code)
        else:
            connection.troubles.set(code, words)

    async def ledger(self) -> Ledger:
        """The ledger. Live items of other people are counted from memory, for servers that are mirrored."""
        # Before the database is read: what a reading recorded until now is counted.
        read_states = {id: connection.read_state for id, connection in self._connections.items()}
        foreign = {id: c.tracking.foreign_live for id, c in self._connections.items() if c.recorder.mirror}
        async with self._database.connection() as connection:
            return await ledger.read(connection, foreign, read_states)


def _identity(row: BackendRow | None) -> object:
    """The part of a row that needs a new connection when it changes."""
    return row and (row.url, row.queue_id, row.credentials, row.gateway, row.enabled)
