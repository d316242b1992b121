"""The queue items of one backend in memory: ours and others', live ones and, for late events, ended ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from uuid import UUID

import msgspec

from service.bus.live_state import Item, ItemProgress, Progress
from service.bus.previews import Previews, preview_url
from service.correlation.tracked import Tracked
from service.database.engine import Database
from service.invokeai.events import InvocationProgress
from service.steps import queue_items as rows
from service.steps.item_state import GONE, Key, Known
from service.steps.queue_items import OwnBatch, OwnItem, Stored

ENDED_LIMIT = 2000
"""Ended items that are remembered, so that late events find them ended."""
SIGHTED_LIMIT = 10_000
"""Names of images that are remembered for all items, so that each is looked up once; then all are forgotten."""
FOREIGN_LIMIT = 500
"""Live items of other people that are shown; a queue may hold 10,000."""
BATCHES_REMEMBERED = 2000


class Tracking:
    """The items of one backend's queue that we know of."""

    def __init__(self, backend_id: UUID, previews: Previews) -> None:
        self.backend_id = backend_id
        self.pending = 0
        self.in_progress = 0
        self._previews = previews
        self._live: dict[Key, Tracked] = {}
        self._by_id: dict[int, Tracked] = {}
        """Live items by id. Of two with the same id, in an old and a new database, the one met later."""
        self._foreign: dict[Key, Tracked] = {}
        """Live items that are not ours."""
        self._by_session: dict[str, Tracked] = {}
        """Items by InvokeAI's session id, which their images have too."""
        self._unseen = 0
        self._sighted = 0
        """Names of images that items have told of since all were forgotten."""
        self._ended: OrderedDict[Key, Tracked] = OrderedDict()
        self._absent: dict[Key, float] = {}
        """Since when items of ours are absent. The database only knows that they are."""

    def get(self, batch_id: str, item_id: int) -> Tracked | None:
        return self._live.get((batch_id, item_id)) or self._ended.get((batch_id, item_id))

    def track(self, batch_id: str, item_id: int, batch: OwnBatch | None) -> Tracked:
        """The item; a new one begins as pending."""
        tracked = self.get(batch_id, item_id)
        if tracked is None:
            tracked = Tracked(self.backend_id, Known(batch_id=batch_id, item_id=item_id), batch)
            self._put(tracked)
        return tracked

    def restore(self, stored: Iterable[OwnItem]) -> list[Tracked]:
        """Takes over our items from the database, in place of those in memory."""
        restored = []
        for item in stored:
            since = self._absent.get(item.known.key) if item.absent else None
            known = msgspec.structs.replace(item.known, absent_since=since)
            tracked = Tracked(self.backend_id, known, item.batch)
            tracked.ordinal = item.ordinal
            tracked.kept_place = tracked.place
            tracked.photo_ids = set(item.photo_ids)
            tracked.shown = True
            self.forget(*tracked.known.key)
            self._put(tracked)
            restored.append(tracked)
        return restored

    def live_with_ids(self, item_ids: Iterable[int]) -> list[Tracked]:
        return [self._by_id[item_id] for item_id in item_ids if item_id in self._by_id]

    def follow(self, tracked: Tracked) -> None:
        """Files an item by its state: ended ones lose their preview (api.md, The feed)."""
        if tracked.known.absent_since is None or tracked.known.settled:
            self._absent.pop(tracked.known.key, None)
        else:
            self._absent[tracked.known.key] = tracked.known.absent_since
        if tracked.known.ended:
            tracked.progress = None
            self._previews.drop(self.backend_id, tracked.known.item_id)
        if tracked.known.ended == (tracked.known.key in self._live):
            self.forget(*tracked.known.key)
            self._put(tracked)
        elif tracked.known.session_id is not None:
            self._by_session[tracked.known.session_id] = tracked

    def forget(self, batch_id: str, item_id: int) -> None:
        ended = self._ended.pop((batch_id, item_id), None)
        if ended is not None:
            self._forget_session(ended)
        tracked = self._live.pop((batch_id, item_id), None)
        if tracked is None:
            return
        self._forget_session(tracked)
        self._foreign.pop(tracked.known.key, None)
        self._unseen -= tracked.unseen
        if self._by_id.get(item_id) is tracked:
            del self._by_id[item_id]

    def sighted(self, count: int) -> None:
        """Counts names that an item remembers. A forgotten name that comes again is only looked up again."""
        self._sighted += count
        if self._sighted > SIGHTED_LIMIT:
            self._sighted = 0
            for tracked in (*self._live.values(), *self._ended.values()):
                tracked.known = msgspec.structs.replace(tracked.known, sighted=frozenset())

    def settled(self, batch_id: str, item_id: int) -> None:
        tracked = self.get(batch_id, item_id)
        if tracked is not None:
            tracked.known = msgspec.structs.replace(tracked.known, settled=True)

    def recorded(self, session_id: str, photo_id: UUID) -> Tracked | None:
        """The item with this session made this photo; returns it when browsers are to hear of that now. One that is
        being written is told once it is."""
        tracked = self._by_session.get(session_id)
        if tracked is None or photo_id in tracked.photo_ids:
            return None
        tracked.photo_ids.add(photo_id)
        return tracked if tracked.shown and not tracked.being_kept else None

    def _forget_session(self, tracked: Tracked) -> None:
        session_id = tracked.known.session_id
        if session_id is not None and self._by_session.get(session_id) is tracked:
            del self._by_session[session_id]

    def _put(self, tracked: Tracked) -> None:
        if tracked.known.session_id is not None:
            self._by_session[tracked.known.session_id] = tracked
        if tracked.known.ended:
            self._ended[tracked.known.key] = tracked
            while len(self._ended) > ENDED_LIMIT:
                self._forget_session(self._ended.popitem(last=False)[1])
            return
        self._live[tracked.known.key] = self._by_id[tracked.known.item_id] = tracked
        self._unseen += tracked.unseen
        if tracked.batch is None:
            self._foreign[tracked.known.key] = tracked

    # --- other people's ---

    @property
    def foreign_keys(self) -> frozenset[Key]:
        return frozenset(self._foreign)

    @property
    def foreign_live(self) -> int:
        return len(self._foreign)

    @property
    def room_for_foreign(self) -> bool:
        """Whether a waiting item of other people is shown."""
        return len(self._foreign) < FOREIGN_LIMIT

    def make_room_for_foreign(self) -> list[Item]:
        """Makes room for a running item by removing those that would run last, and returns these."""
        lost: list[Item] = []
        while not self.room_for_foreign:
            lost += self.lose_foreign([max(self._foreign, key=self._in_which_order)])
        return lost

    def lose_foreign(self, keys: Iterable[Key]) -> list[Item]:
        """Ends those of them that are live; returns them ended."""
        lost = [tracked for key in keys if (tracked := self._foreign.get(key)) is not None]
        for tracked in lost:
            tracked.known = msgspec.structs.replace(tracked.known, status=GONE)
            self.follow(tracked)
        return [tracked.item for tracked in lost if tracked.shown]

    def _in_which_order(self, key: Key) -> tuple[bool, int]:
        """The order in which items run: running ones first, then by id (FACTS §3)."""
        known = self._foreign[key].known
        return known.status == "pending", known.item_id

    # --- as browsers see them ---

    def progressed(self, tracked: Tracked, event: InvocationProgress, now: float) -> ItemProgress:
        """The item's progress after one more event; its preview is kept."""
        url, item_id = None, tracked.known.item_id
        if event.image is not None:
            try:
                version = self._previews.put(self.backend_id, item_id, event.image.dataURL)
                url = preview_url(self.backend_id, item_id, version)
            except ValueError:
                pass  # a picture that is no JPEG is no reason to lose the progress it came with
        return tracked.progressed(event, url, now)

    @property
    def ours_live(self) -> int:
        return len(self._live) - len(self._foreign) - self._unseen

    @property
    def live_items(self) -> list[Item]:
        """All live items, ours and foreign, oldest first."""
        live = sorted(self._live.values(), key=lambda tracked: tracked.known.item_id)
        return [tracked.item for tracked in live if not tracked.unseen]

    def progress_of(self, item_id: int) -> Progress | None:
        tracked = self._by_id.get(item_id)
        return tracked.progress if tracked else None

    def device(self) -> str | None:
        """The device of the running item, as InvokeAI tells it; null on CPU (FACTS §2)."""
        return next((t.progress.device for t in self._live.values() if t.progress and t.progress.device), None)


class OwnItems:
    """Which items are ours (direct correlation), from memory or the database. What cannot be kept there is forgotten,
    so that memory never holds what the database lacks."""

    def __init__(self, backend_id: UUID, database: Database, tracking: Tracking) -> None:
        self._backend_id = backend_id
        self._database = database
        self._tracking = tracking
        self._batches: dict[str, OwnBatch] = {}

    async def load(self) -> None:
        """Loads unsettled items from the database."""
        self._batches.clear()
        async with self._database.connection() as connection:
            self._tracking.restore(await rows.unsettled(connection, self._backend_id))

    async def batch(self, batch_id: str) -> OwnBatch | None:
        batch = self._batches.get(batch_id)
        if batch is None:
            async with self._database.connection() as connection:
                batch = await rows.own_batch(connection, self._backend_id, batch_id)
            if batch is not None:
                if len(self._batches) >= BATCHES_REMEMBERED:
                    self._batches.clear()
                self._batches[batch_id] = batch
        return batch

    async def get(self, batch_id: str, item_id: int) -> Tracked | None:
        """The item, from memory or the database."""
        tracked = self._tracking.get(batch_id, item_id)
        if tracked is not None:
            return tracked
        async with self._database.connection() as connection:
            stored = await rows.own_item(connection, self._backend_id, batch_id, item_id)
        return None if stored is None else self._tracking.restore([stored])[0]

    async def keep(self, tracked: Tracked, batch: OwnBatch, *, new_session: bool) -> Stored:
        """Writes the item with what follows for its step, and its place as the database has it then."""
        try:
            async with self._database.transaction() as connection:
                stored = await rows.store(
                    connection,
                    batch,
                    tracked.known,
                    ordinal=tracked.ordinal,
                    retried_from=tracked.retried_from,
                    new_session=new_session,
                )
        except BaseException:
            self._tracking.forget(batch.batch_id, tracked.known.item_id)
            raise
        tracked.ordinal = stored.ordinal
        tracked.kept_place = tracked.place
        tracked.photo_ids.update(stored.photo_ids)
        if tracked.ordinal is not None and not tracked.unseen:
            self._tracking.forget(batch.batch_id, rows.unseen_id(tracked.ordinal))
        return stored
