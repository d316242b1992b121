"""One backend at work: its client, socket, consumer, readings and recordings, wired together and supervised."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import structlog

from service.backends.home import Looked
from service.backends.last_look import LastLook
from service.backends.looks import Looks
from service.backends.older_images import older_images
from service.backends.recognition import Identity
from service.backends.troubles import Troubles
from service.correlation.consumer import Consumer
from service.correlation.gallery import Gallery
from service.correlation.reconcile import Reconciler
from service.correlation.record import Recorder
from service.correlation.sightings import Sightings
from service.correlation.tracking import Tracking
from service.correlation.unreadable import UnreadableImages
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import Credentials, InvokeClient
from service.invokeai.subscription import Subscription, SubscriptionState
from service.live.announce import Announcer
from service.live.hub import Hub
from service.live.messages import BackendState, Progress, QueueCounts
from service.live.previews import Previews
from service.supervisor import Supervisor
from service.waiting import happened

log = structlog.get_logger()

NO_EVENTS = "no_events"
COUNT_SECONDS = 60.0
"""Seconds between readings of what a server's card counts."""
PATIENCE = 10.0
OLDER_PATIENCE = 60.0
OLDER_AGAIN = 86_400.0
"""Seconds for which the number of older images is good: it grows no more."""
SEEN = """
    UPDATE backends SET last_seen_at = now(), version = coalesce($3, version) WHERE id = $1 AND url = $2
"""


class BackendRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `backends`."""

    id: UUID
    name: str
    kind: str
    url: str
    queue_id: str
    credentials: dict[str, Any] | None
    enabled: bool
    mirror: str
    version: str | None
    created_at: datetime
    last_seen_at: datetime | None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every backend's connection is wired to; the callbacks are plain calls that return at once."""

    database: Database
    hub: Hub
    announcer: Announcer
    previews: Previews
    supervisor: Supervisor
    http: aiohttp.ClientSession
    timeout: float
    photos_recorded: Callable[[UUID], None]
    batch_seen: Callable[[UUID, str], None]
    reconnected: Callable[[UUID], None]
    models_changed: Callable[[UUID], None]
    status_changed: Callable[[UUID], None]


class Connection:
    """Runs from `start` to `stop`; a row that has changed gets a new one."""

    def __init__(self, row: BackendRow, surroundings: Surroundings) -> None:
        self.row = row
        self.backend_id = row.id
        self.state: BackendState = "connecting" if row.enabled else "disabled"
        self.error: str | None = None
        self.videos = 0
        self.older_images = 0
        self.troubles = Troubles(lambda: surroundings.status_changed(row.id))
        credentials = msgspec.convert(row.credentials, Credentials) if row.credentials else None
        self.client = InvokeClient(row.url, row.queue_id, credentials, surroundings.timeout, session=surroundings.http)
        self.tracking = Tracking(row.id, surroundings.previews)
        self.subscription = Subscription(
            self.client,
            self._event,
            self._subscribed,
            self._socket_changed,
            admit=self.admit,
            on_wait=lambda: surroundings.status_changed(row.id),
        )
        self.identity = Identity(row.id, self.client, surroundings.database, lost=self.subscription.recheck)
        self.recorder = Recorder(
            row.id,
            self.client,
            surroundings.database,
            surroundings.announcer,
            mirror=row.mirror == "all",
            photos_recorded=self._recorded,
            batch_seen=self.batch_seen,
            settled=self.tracking.settled,
        )
        self.recorder.unreadable = UnreadableImages(self.troubles)
        self.sightings = Sightings(self.client, self.recorder, self.read_everything, self.identity)
        self.gallery = Gallery(
            row.id, self.client, self.recorder, surroundings.database, identity=self.identity, troubles=self.troubles
        )
        self.consumer = Consumer(
            row.id,
            row.queue_id,
            database=surroundings.database,
            hub=surroundings.hub,
            announcer=surroundings.announcer,
            tracking=self.tracking,
            downstream=self,
        )
        self.reconciler = Reconciler(
            row.id,
            self.client,
            self.consumer,
            surroundings.database,
            gallery_read_from=lambda: self.gallery.read_from,
            request_gallery=self.gallery.request,
            identity=self.identity,
        )
        self._worked_at = time.monotonic()
        self.looks = Looks(
            self.client,
            self.subscription,
            self.consumer,
            self.recorder,
            self.reconciler,
            self.gallery,
            watched=lambda: surroundings.hub.watched,
        )
        last_look = LastLook(
            lambda: self.looked,
            lambda: bool(self.tracking.ours_live or self.tracking.foreign_live),
            self.read_everything,
            lambda: surroundings.announcer.ledger_changed(row.id),
        )
        self._around = surroundings
        self._count_now = asyncio.Event()
        self._older_counted_at: float | None = None
        self._device: str | None = None
        # Names of tasks stay what they were when started, whatever the backend is called meanwhile.
        label = f"{row.name} [{str(row.id)[-6:]}]"
        self._tasks: list[tuple[str, Callable[[], Any]]] = [
            (f"{label}: consumer", self.consumer.run),
            (f"{label}: sightings", self.sightings.run),
            (f"{label}: gallery readings", self.gallery.run),
            (f"{label}: item readings", self.reconciler.run),
            (f"{label}: counts", self._keep_counts),
            (f"{label}: looks", self.looks.run),
            (f"{label}: last look", last_look.run),
            (f"{label}: socket", self.subscription.run),
        ]

    # --- life ---

    def start(self) -> None:
        """Starts every task of it; a disabled backend has none (api.md)."""
        if self.row.enabled:
            for name, run in self._tasks:
                self._around.supervisor.start(name, run)

    async def stop(self) -> None:
        """Intake ends first, then what it leads to."""
        self.state = "connecting" if self.row.enabled else "disabled"
        for name, _ in reversed(self._tasks):
            await self._around.supervisor.stop(name)

    def follow(self, row: BackendRow) -> None:
        """Takes over what needs no other connection: its name, and whose images are taken."""
        mirrors_more = row.mirror == "all" and not self.recorder.mirror
        self.row = row
        self.recorder.mirror = row.mirror == "all"
        if mirrors_more:
            self._worked_at = time.monotonic()  # what others made until now was not looked for
            self.gallery.request()

    # --- the socket ---

    def _event(self, name: str, payload: Any) -> None:
        self.looks.moved()
        self.consumer.offer(name, payload)

    async def admit(self) -> None:
        """Awaited each time before the server counts as connected; raises an `InvokeError` when it must not."""
        await self.identity.admit()

    async def confirm_recognised(self, *, within: float = 0.0) -> None:
        await self.identity.confirm(within=within)

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
            self.sightings.wake()
            self._count_now.set()
            self._around.reconnected(self.backend_id)
        self._around.status_changed(self.backend_id)

    def _socket_changed(self, why: str | None) -> None:
        """A socket has subscribed; or there is none, for that reason, while REST answers."""
        if why is None:
            self.troubles.clear(NO_EVENTS)
            self._read_what_was_missed()
            return
        if all(trouble.code != NO_EVENTS for trouble in self.troubles.present):
            self.looks.request()  # only the first time: a look that fails leads to the next attempt at once
        self.troubles.set(NO_EVENTS, f"No live events: {why}")

    def _read_what_was_missed(self) -> None:
        """Rule 1: what happened while no socket listened was told to nobody."""
        self._worked_at = time.monotonic()
        self.reconciler.reconnected()
        self.gallery.request(thoroughly=True)

    def look(self) -> None:
        """Everything is read now that can be; a server that is away is tried now."""
        self.subscription.poke()
        self.reconciler.request()
        self.gallery.request(thoroughly=True)
        self._older_counted_at = None
        self._count_now.set()

    # --- where facts lead (correlation.consumer.Downstream) ---

    def sight(self, image_name: str) -> None:
        self.sightings.sight(image_name)

    def settle(self, batch_id: str, item_id: int, step_id: UUID, image_names: Sequence[str]) -> None:
        self.sightings.settle(batch_id, item_id, step_id, image_names)

    def read_items(self, item_ids: Sequence[int]) -> None:
        self.reconciler.request(item_ids)

    def read_everything(self) -> None:
        self.reconciler.request()
        self.gallery.request()

    def read_queue_soon(self) -> None:
        self.reconciler.request_soon()

    def batch_seen(self, batch_id: str) -> None:
        self._around.batch_seen(self.backend_id, batch_id)

    def models_changed(self) -> None:
        self._around.models_changed(self.backend_id)

    def _recorded(self) -> None:
        self._worked_at = time.monotonic()
        self._around.photos_recorded(self.backend_id)

    # --- what it looks like ---

    @property
    def looked(self) -> Looked:
        """What the ledger's *home* is made of (home.py)."""
        return Looked(
            reachable=self.state == "connected",
            worked_at=max(self._worked_at, self.consumer.worked_at or 0.0),
            queue_read_from=self.reconciler.read_from,
            gallery_read_from=self.gallery.read_from,
            mirrors=self.recorder.mirror,
        )

    @property
    def queue(self) -> QueueCounts:
        return QueueCounts(
            pending=self.tracking.pending, in_progress=self.tracking.in_progress, ours=self.tracking.ours_live
        )

    @property
    def version(self) -> str | None:
        """As the server last told it; None before it answered."""
        return self.client.info.version if self.client.info else None

    @property
    def device(self) -> str | None:
        """Where it generates, as its progress last said."""
        self._device = self.tracking.device() or self._device
        return self._device

    @property
    def last_event_at(self) -> datetime | None:
        return self.subscription.last_event_at

    @property
    def next_attempt_at(self) -> datetime | None:
        return self.subscription.next_attempt_at

    def item_progress(self, item_id: int) -> Progress | None:
        return self.tracking.progress_of(item_id)

    # --- what its card counts ---

    async def _keep_counts(self) -> None:
        """Supervised: after each connect, when asked and every minute. A slow server keeps no other's card waiting."""
        while True:
            await happened(self._count_now, COUNT_SECONDS * random.uniform(0.9, 1.1))
            self._count_now.clear()
            if self.state != "connected":
                continue
            try:
                await self._count()
            except BaseException:
                self._count_now.set()
                raise

    async def _count(self) -> None:
        async with self._around.database.connection() as database:
            await database.execute(SEEN, self.backend_id, self.row.url, self.version)
        if not self.subscription.listening:
            self.models_changed()  # perhaps: no event tells
        await self._patiently(self._count_queue, PATIENCE)
        self._around.status_changed(self.backend_id)
        before = self.videos, self.older_images
        await self._patiently(self._count_videos, PATIENCE)
        await self._patiently(self._count_older_images, OLDER_PATIENCE)
        if before != (self.videos, self.older_images):
            self._around.status_changed(self.backend_id)

    async def _patiently(self, count: Callable[[], Awaitable[None]], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await count()
        except (InvokeError, TimeoutError) as error:
            log.info("not_counted", backend=self.row.name, error=str(error) or "no answer")

    async def _count_queue(self) -> None:
        status = await self.client.queue_status()
        self.consumer.show_queue(status.pending, status.in_progress)

    async def _count_videos(self) -> None:
        try:
            self.videos = await self.client.videos_total()
        except InvokeError:
            self.videos = 0  # an older server, or a failing route, of something this release does not retrieve

    async def _count_older_images(self) -> None:
        counted_at = self._older_counted_at
        if counted_at is not None and time.monotonic() - counted_at < OLDER_AGAIN:
            return
        beginning = await self.recorder.beginning.since()
        if beginning is not None:
            self.older_images = await older_images(self._around.database, self.client, self.backend_id, beginning)
            self._older_counted_at = time.monotonic()
