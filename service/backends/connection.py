"""One enabled backend: its client, socket, consumer, readers and recorder, wired together and supervised."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import structlog

from service.backends.change_poller import ChangePoller
from service.backends.counts import Counts
from service.backends.final_reading import FinalReading
from service.backends.home import ReadState
from service.backends.recognition import Identity
from service.backends.troubles import Troubles
from service.bus.bus import Bus
from service.bus.live_state import BackendState, QueueCounts
from service.bus.previews import Previews
from service.correlation.consumer import Consumer
from service.correlation.exchange import ReadingRequests
from service.correlation.gallery import Gallery
from service.correlation.image_lookups import ImageLookups
from service.correlation.queue_reader import QueueReader
from service.correlation.record import Recorder
from service.correlation.tracking import Tracking
from service.database.engine import Database
from service.invokeai.client import Credentials, Gateway, InvokeClient
from service.invokeai.subscription import Subscription, SubscriptionState
from service.runtime.supervisor import Supervisor

log = structlog.get_logger()

NO_EVENTS = "no_events"


class BackendRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `backends`."""

    id: UUID
    name: str
    kind: str
    url: str
    queue_id: str
    credentials: dict[str, Any] | None
    gateway: dict[str, Any] | None
    enabled: bool
    mirror: str
    version: str | None
    created_at: datetime
    last_seen_at: datetime | None

    def __repr__(self) -> str:
        """Shows no secret."""
        return f"BackendRow({self.name!r}, {self.url!r})"


class Parked(msgspec.Struct, frozen=True):
    """A pod that is known not to run: nothing is tried there."""

    why: str
    was_home: bool
    """It was stopped when everything was home."""


class BackendConnection:
    """Runs from `start` to `stop`; a row that has changed gets a new one."""

    def __init__(
        self,
        row: BackendRow,
        *,
        database: Database,
        bus: Bus,
        previews: Previews,
        supervisor: Supervisor,
        http: aiohttp.ClientSession,
        timeout: float,
        watched: Callable[[], bool],
    ) -> None:
        self.row = row
        self.backend_id = row.id
        self.state: BackendState = "connecting" if row.enabled else "disabled"
        self.error: str | None = None
        self.parked: Parked | None = None
        self.troubles = Troubles(lambda: bus.backend_changed(row.id))
        credentials = msgspec.convert(row.credentials, Credentials) if row.credentials else None
        gateway = msgspec.convert(row.gateway, Gateway) if row.gateway else None
        self.client = InvokeClient(row.url, row.queue_id, credentials, timeout, session=http, gateway=gateway)
        self.tracking = Tracking(row.id, previews)
        self.identity = Identity(row.id, self.client, database, lost=self._end_socket)
        self.recorder = Recorder(row.id, self.client, database, bus, self.tracking, mirror=row.mirror == "all")
        self.gallery = Gallery(row.id, self.client, self.recorder, bus, identity=self.identity)
        self.requests = ReadingRequests(self.gallery)
        self.lookups = ImageLookups(self.client, self.recorder, self.requests, self.identity)
        self.consumer = Consumer(
            row.id,
            row.queue_id,
            database=database,
            bus=bus,
            tracking=self.tracking,
            lookups=self.lookups,
            requests=self.requests,
        )
        self.queue_reader = QueueReader(
            row.id, self.client, self.consumer, self.gallery, self.requests, database, identity=self.identity
        )
        self.subscription = Subscription(
            self.client,
            self.consumer.offer,
            self._subscribed,
            self._socket_changed,
            admit=self.identity.admit,
            on_wait=lambda: bus.backend_changed(row.id),
        )
        self.subscription.barred = lambda: self.parked.why if self.parked is not None else None
        self.poller = ChangePoller(
            self.client, self.subscription, self.consumer, self.recorder, self.requests, self.gallery, watched=watched
        )
        self.counts = Counts(
            row.id,
            self.client,
            self.subscription,
            self.consumer,
            self.recorder.marks,
            database=database,
            bus=bus,
        )
        final_reading = FinalReading(lambda: self.read_state, self.tracking, self.requests, bus)
        self._worked_at = time.monotonic()
        self._bus = bus
        self._supervisor = supervisor
        self._device: str | None = None
        # Names of tasks do not change when the backend is renamed.
        label = f"{row.name} [{str(row.id)[-6:]}]"
        self._tasks: list[tuple[str, Callable[[], Any]]] = [
            (f"{label}: consumer", self.consumer.run),
            (f"{label}: sightings", self.lookups.run),
            (f"{label}: gallery readings", self.gallery.run),
            (f"{label}: item readings", self.queue_reader.run),
            (f"{label}: counts", self.counts.run),
            (f"{label}: looks", self.poller.run),
            (f"{label}: last look", final_reading.run),
            (f"{label}: socket", self.subscription.run),
        ]

    # --- life ---

    def start(self) -> None:
        """Starts every task of it; a disabled backend has none (api.md)."""
        if self.row.enabled:
            for name, run in self._tasks:
                self._supervisor.start(name, run)

    async def stop(self) -> None:
        """Intake ends first, then what it leads to."""
        self.state = "connecting" if self.row.enabled else "disabled"
        for name, _ in reversed(self._tasks):
            await self._supervisor.stop(name)

    def follow(self, row: BackendRow) -> None:
        """Takes over what needs no other connection: its name, and whose images are taken."""
        mirrors_more = row.mirror == "all" and not self.recorder.mirror
        self.row = row
        self.recorder.mirror = row.mirror == "all"
        if mirrors_more:
            self._worked_at = time.monotonic()  # what others made until now was not looked for
            self.gallery.request()

    def park(self, parked: Parked | None) -> None:
        """Stops trying a server whose pod is known not to run; with None it is tried at once."""
        if parked == self.parked:
            return
        before, self.parked = self.parked, parked
        if before is None:
            self.subscription.recheck()
        else:
            self.subscription.poke()

    # --- the socket ---

    def _end_socket(self) -> None:
        """Another server has taken its place: it is asked again, and admitted or not."""
        self.subscription.recheck()

    def _subscribed(self, state: SubscriptionState, error: str | None) -> None:
        """The server can be asked by REST, or no longer."""
        if state != SubscriptionState.CONNECTED:
            self.identity.forget()
        if (self.state, self.error) == (state.value, error):
            return  # one more attempt that ended as the last
        came_back = state == SubscriptionState.CONNECTED
        if self.state == "connected":
            self.consumer.disconnected()
            self.troubles.clear(NO_EVENTS)
        self.state = state.value
        self.error = error
        log.info("backend_state", backend=self.row.name, state=self.state, error=error)
        if came_back:
            self._read_what_was_missed()
            self.lookups.back.set()
            self.counts.request()
            self._bus.connected(self.backend_id)
        self._bus.backend_changed(self.backend_id)

    def _socket_changed(self, why: str | None) -> None:
        """A socket has subscribed; or there is none while REST answers, for the reason `why`."""
        if why is None:
            self.troubles.clear(NO_EVENTS)
            self._read_what_was_missed()
            return
        if all(trouble.code != NO_EVENTS for trouble in self.troubles.present):
            self.poller.request()  # only the first time: a look that fails leads to the next attempt at once
        self.troubles.set(NO_EVENTS, f"No live events: {why}")

    def _read_what_was_missed(self) -> None:
        """Asks for readings: events that came while no socket listened were lost (events are hints)."""
        self._worked_at = time.monotonic()
        self.requests.reconnected()

    def look(self) -> None:
        """Everything is read now that can be; a server that is away is tried now."""
        self.subscription.poke()
        self.requests.queue()
        self.gallery.request(thoroughly=True)
        self.counts.request(older=True)

    # --- what it looks like ---

    @property
    def read_state(self) -> ReadState:
        """The state that `home` is computed from (home.py)."""
        return ReadState(
            reachable=self.state == "connected",
            worked_at=max(self._worked_at, self.consumer.worked_at or 0.0, self.recorder.recorded_at or 0.0),
            queue_read_from=self.queue_reader.read_from,
            gallery_read_from=self.gallery.read_from,
            mirrors=self.recorder.mirror,
            off=self.parked is not None,
            stopped_home=self.parked is not None and self.parked.was_home,
        )

    @property
    def moved(self) -> object:
        """A value that changes with each event, reading or image that tells of something; reconnecting alone does not
        change it."""
        return self.subscription.last_event_at, self.consumer.worked_at, self.recorder.recorded_at

    @property
    def queue(self) -> QueueCounts:
        return QueueCounts(
            pending=self.tracking.pending, in_progress=self.tracking.in_progress, ours=self.tracking.ours_live
        )

    @property
    def device(self) -> str | None:
        """The device that generates, as progress events last told it."""
        self._device = self.tracking.device() or self._device
        return self._device
