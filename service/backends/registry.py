"""All backends: the one place that holds their connections and tells the rest of the house about them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import aiohttp
import msgspec

from service.backends import ledger, queries
from service.backends.connection import BackendRow, Connection, Surroundings
from service.backends.signal import Signal
from service.database.engine import Database
from service.errors import NotFound
from service.live.announce import Announcer
from service.live.hub import Hub
from service.live.messages import Backend, Item, Ledger, Progress
from service.live.previews import Previews
from service.supervisor import Supervisor


class Registry:
    """Connections follow the `backends` table: call `reload` after every change to it."""

    def __init__(
        self,
        *,
        database: Database,
        hub: Hub,
        announcer: Announcer,
        previews: Previews,
        supervisor: Supervisor,
        http: aiohttp.ClientSession,
        timeout: float,
    ) -> None:
        self.reconnected: Signal[UUID] = Signal()
        """A backend's socket is up, again or for the first time."""
        self.photos_recorded: Signal[UUID] = Signal()
        """A backend has photos that were not in the library before."""
        self.batch_seen: Signal[UUID, str] = Signal()
        """InvokeAI has this batch of ours: something of it was seen (rule 7)."""
        self.models_changed: Signal[UUID] = Signal()
        self.missing_confirmed: Signal[UUID] = Signal()
        """The owner has said that what this backend's InvokeAI does not know was deleted there."""
        self._database = database
        self._hub = hub
        self._announcer = announcer
        self._around = Surroundings(
            database=database,
            hub=hub,
            announcer=announcer,
            previews=previews,
            supervisor=supervisor,
            http=http,
            timeout=timeout,
            photos_recorded=self.photos_recorded,
            batch_seen=self.batch_seen,
            reconnected=self.reconnected,
            models_changed=self.models_changed,
            status_changed=self.status_changed,
        )
        self._connections: dict[UUID, Connection] = {}
        self._anew: set[UUID] = set()
        self._changed: dict[UUID, None] = {}
        self._tell = asyncio.Event()
        self._reloading = asyncio.Lock()

    # --- following the table ---

    async def reload(self, *, anew: Collection[UUID] = ()) -> None:
        """Stops what was removed or changed, starts what is new or changed; unchanged ones keep their socket, but for
        those that are to begin `anew`."""
        async with self._reloading:
            self._anew.update(anew)
            async with self._database.connection() as connection:
                rows = {row.id: row for row in await queries.backend_rows(connection)}
            for backend_id in list(self._connections):
                same = _identity(rows.get(backend_id)) == _identity(self._connections[backend_id].row)
                if not same or backend_id in self._anew:
                    # Forgotten only once stopped: if this is broken off, the next reload goes on with it.
                    await self._connections[backend_id].stop()
                    self._forget(backend_id)
            self._anew.clear()
            for row in rows.values():
                known = self._connections.get(row.id)
                if known is None:
                    self._connections[row.id] = Connection(row, self._around)
                    self._connections[row.id].start()
                else:
                    known.follow(row)
                self.status_changed(row.id)
        self._announcer.ledger_changed()

    def _forget(self, backend_id: UUID) -> None:
        """Nobody would tell how other people's items end: whoever follows them next, if anybody, tells of them anew."""
        tracking = self._connections.pop(backend_id).tracking
        for item in tracking.lose_foreign(tracking.foreign_keys):
            self._hub.publish("item.updated", item)

    async def stop(self) -> None:
        """Intake ends: no event, reading or recording begins any more. One that hangs keeps no other waiting."""
        async with self._reloading:
            await asyncio.gather(*(connection.stop() for connection in self._connections.values()))

    # --- what others ask ---

    def get(self, backend_id: UUID) -> Connection | None:
        return self._connections.get(backend_id)

    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    def reachable(self) -> list[UUID]:
        """Backends whose photos may be claimed (rule 9)."""
        return [id for id, connection in self._connections.items() if connection.state == "connected"]

    def live_items(self) -> list[Item]:
        return [item for connection in self._connections.values() for item in connection.tracking.live_items]

    def item_progress(self, backend_id: UUID, item_id: int) -> Progress | None:
        connection = self._connections.get(backend_id)
        return connection.item_progress(item_id) if connection else None

    def request_reading(self, backend_id: UUID, item_ids: Sequence[int] = ()) -> None:
        connection = self._connections.get(backend_id)
        if connection is not None:
            connection.reconciler.request(item_ids)

    def request_gallery_reading(self, backend_id: UUID) -> None:
        connection = self._connections.get(backend_id)
        if connection is not None:
            connection.gallery.request()

    # --- telling browsers ---

    def tell_gone(self, items: Iterable[Item]) -> None:
        """Nothing more comes of these, and no connection follows them any more."""
        for item in items:
            self._hub.publish("item.updated", msgspec.structs.replace(item, status="gone", progress=None))

    def show_trouble(self, backend_id: UUID, code: str, words: str | None) -> None:
        """On the backend's card, until it is told with None."""
        connection = self._connections.get(backend_id)
        if connection is None:
            return
        if words is None:
            connection.troubles.clear(code)
        else:
            connection.troubles.set(code, words)

    def status_changed(self, backend_id: UUID) -> None:
        self._changed[backend_id] = None
        self._tell.set()

    async def run(self) -> None:
        """Supervised: tells browsers after every change of state. Nothing here asks a server."""
        while True:
            await self._tell.wait()
            self._tell.clear()
            changed, self._changed = self._changed, {}
            try:
                await self._tell_of(changed)
            except BaseException:
                self._changed = changed | self._changed
                self._tell.set()
                raise

    async def _tell_of(self, backend_ids: Collection[UUID]) -> None:
        for resource in await self.resources():
            if resource.id in backend_ids:
                self._hub.passing("backend.status", str(resource.id), resource)

    async def resource(self, backend_id: UUID) -> Backend:
        """Raises NotFound."""
        for backend in await self.resources():
            if backend.id == backend_id:
                return backend
        raise NotFound("there is no such server")

    async def resources(self) -> list[Backend]:
        """Every backend as the API shows it, oldest first."""
        backends, _ = await self.resources_and_ledger()
        return backends

    async def resources_and_ledger(self) -> tuple[list[Backend], Ledger]:
        """Both of one reading, which counts every photo there is."""
        async with self._database.connection() as connection:
            rows = await queries.backend_rows(connection)
            gone = await queries.unseen_gone(connection)
        now = await self.ledger()
        return [
            queries.resource(
                row, self._connections.get(row.id), now.backends.get(str(row.id), ledger.EMPTY), gone.get(row.id)
            )
            for row in rows
        ], now

    async def ledger(self) -> Ledger:
        """Rule 10's ledger; what is live of other people's work is counted from memory, where it is taken at all."""
        # Before the database is read: what a reading recorded until now is counted.
        looked = {id: connection.looked for id, connection in self._connections.items()}
        foreign = {id: c.tracking.foreign_live for id, c in self._connections.items() if c.recorder.mirror}
        async with self._database.connection() as connection:
            return await ledger.read(connection, foreign, looked)


def _identity(row: BackendRow | None) -> object:
    """What a connection is made of: a change of anything else keeps the socket."""
    return row and (row.url, row.queue_id, row.credentials, row.enabled)
