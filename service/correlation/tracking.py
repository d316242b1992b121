"""The items of one backend held in memory: ours and other people's, live ones and, for late events, ended ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from service.correlation.correlate import GONE, ItemProgressed, Known
from service.correlation.entries import Key
from service.correlation.items import OurBatch, OurItem
from service.correlation.pace import Pace, paced
from service.invokeai.events import FieldValue
from service.live.messages import Item, ItemProgress, Progress
from service.live.previews import Previews, preview_url

ENDED_LIMIT = 2000
"""Ended items remembered, so that late events find them ended."""
FOREIGN_LIMIT = 500
"""Other people's live items shown; a queue may hold 10,000."""


class Tracked:
    """One item: what is known of it, whose it is, and how far it is."""

    __slots__ = ("batch", "heard_by", "kept_place", "known", "ordinal", "pace", "progress", "retried_from", "shown")

    def __init__(self, known: Known, batch: OurBatch | None) -> None:
        self.known = known
        self.batch = batch
        self.ordinal: int | None = None
        self.retried_from: int | None = None
        self.kept_place = self.place
        self.progress: Progress | None = None
        self.pace: Pace | None = None
        self.heard_by: int | None = None
        """The connection that last told of it."""
        self.shown = False
        """Whether browsers, and for ours the database, have it."""

    @property
    def place(self) -> tuple[int | None, int | None]:
        """Where it stands in its batch; in `kept_place` as the database has it."""
        return self.ordinal, self.retried_from

    @property
    def key(self) -> Key:
        return self.known.batch_id, self.known.item_id

    @property
    def unseen(self) -> bool:
        """It stands for an item nobody has seen: kept for its step, and never shown as an item."""
        return self.known.item_id < 0

    def learn_ordinal(self, field_values: Sequence[FieldValue] | None) -> None:
        """The item's place in its batch, from the seed InvokeAI put into it; a retried item inherits it so."""
        if self.ordinal is not None or self.batch is None or not field_values:
            return
        for field in field_values:
            if field.node_path == "seed" and field.field_name == "value" and field.value in self.batch.seeds:
                self.ordinal = self.batch.seeds.index(field.value)


class Tracking:
    """What one backend's queue holds, as far as we were told."""

    def __init__(self, backend_id: UUID, previews: Previews) -> None:
        self.backend_id = backend_id
        self.pending = 0
        self.in_progress = 0
        self._previews = previews
        self._live: dict[Key, Tracked] = {}
        self._by_id: dict[int, Tracked] = {}
        """The live ones by item id; of two with the same id, in an old and a new database, the later met."""
        self._foreign: dict[Key, Tracked] = {}
        """Those of the live ones that are not ours."""
        self._unseen = 0
        self._ended: OrderedDict[Key, Tracked] = OrderedDict()
        self._absent: dict[Key, float] = {}
        """Since when items of ours are absent; the database knows only that they are."""

    def get(self, batch_id: str, item_id: int) -> Tracked | None:
        return self._live.get((batch_id, item_id)) or self._ended.get((batch_id, item_id))

    def track(self, batch_id: str, item_id: int, batch: OurBatch | None) -> Tracked:
        """The item, begun as pending when it is new."""
        tracked = self.get(batch_id, item_id)
        if tracked is None:
            tracked = Tracked(Known(batch_id=batch_id, item_id=item_id), batch)
            self._put(tracked)
        return tracked

    def restore(self, stored: Iterable[OurItem]) -> list[Tracked]:
        """Ours as the database has them, in place of what memory held of them."""
        restored = []
        for item in stored:
            since = self._absent.get((item.known.batch_id, item.known.item_id)) if item.absent else None
            tracked = Tracked(msgspec.structs.replace(item.known, absent_since=since), item.batch)
            tracked.ordinal = item.ordinal
            tracked.kept_place = tracked.place
            tracked.shown = True
            self.forget(*tracked.key)
            self._put(tracked)
            restored.append(tracked)
        return restored

    def known_ids(self, item_ids: Iterable[int]) -> tuple[list[Tracked], list[int]]:
        """The live ones of these ids, and the ids that nobody live has."""
        found = {item_id: self._by_id.get(item_id) for item_id in item_ids}
        live = [tracked for tracked in found.values() if tracked is not None]
        return live, [item_id for item_id, tracked in found.items() if tracked is None]

    def follow(self, tracked: Tracked) -> None:
        """Puts an item where its state says: ended ones lose their preview (api.md, The feed)."""
        if tracked.known.absent_since is None or tracked.known.settled:
            self._absent.pop(tracked.key, None)
        else:
            self._absent[tracked.key] = tracked.known.absent_since
        if tracked.known.ended:
            tracked.progress = None
            self._previews.drop(self.backend_id, tracked.known.item_id)
        if tracked.known.ended == (tracked.key in self._live):
            self.forget(*tracked.key)
            self._put(tracked)

    def forget(self, batch_id: str, item_id: int) -> None:
        self._ended.pop((batch_id, item_id), None)
        tracked = self._live.pop((batch_id, item_id), None)
        if tracked is None:
            return
        self._foreign.pop(tracked.key, None)
        self._unseen -= tracked.unseen
        if self._by_id.get(item_id) is tracked:
            del self._by_id[item_id]

    def settled(self, batch_id: str, item_id: int) -> None:
        tracked = self.get(batch_id, item_id)
        if tracked is not None:
            tracked.known = msgspec.structs.replace(tracked.known, settled=True)

    def _put(self, tracked: Tracked) -> None:
        if tracked.known.ended:
            self._ended[tracked.key] = tracked
            while len(self._ended) > ENDED_LIMIT:
                self._ended.popitem(last=False)
            return
        self._live[tracked.key] = self._by_id[tracked.known.item_id] = tracked
        self._unseen += tracked.unseen
        if tracked.batch is None:
            self._foreign[tracked.key] = tracked

    # --- other people's ---

    @property
    def foreign_keys(self) -> frozenset[Key]:
        return frozenset(self._foreign)

    @property
    def foreign_live(self) -> int:
        return len(self._foreign)

    @property
    def room_for_foreign(self) -> bool:
        """Whether one that only waits is to be shown."""
        return len(self._foreign) < FOREIGN_LIMIT

    def make_room_for_foreign(self) -> list[Item]:
        """Makes room for one that runs, at the cost of what would run last; returns what gave way."""
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
        return [self.resource(tracked) for tracked in lost if tracked.shown]

    def _in_which_order(self, key: Key) -> tuple[bool, int]:
        """What waits comes after what runs, and items run in the order of their ids (FACTS §3)."""
        known = self._foreign[key].known
        return known.status == "pending", known.item_id

    # --- progress ---

    def progressed(self, tracked: Tracked, fact: ItemProgressed, now: float) -> ItemProgress:
        """The item's progress after one more word of it; a preview stays until a newer one comes."""
        before = tracked.progress
        eta = None
        if fact.percentage is not None:
            tracked.pace = paced(tracked.pace, fact.percentage, now)
            eta = tracked.pace.eta(now)
        url = before.preview_url if before else None
        width, height = (before.width, before.height) if before else (None, None)
        if fact.image is not None:
            width, height = fact.image.width, fact.image.height
            url = self._keep_preview(tracked.known.item_id, fact.image.dataURL) or url
        tracked.progress = Progress(
            percentage=fact.percentage,
            message=fact.message,
            device=fact.device,
            eta_seconds=eta,
            preview_url=url,
            width=width,
            height=height,
        )
        return ItemProgress(
            backend_id=self.backend_id,
            item_id=tracked.known.item_id,
            batch_id=tracked.known.batch_id,
            step_id=tracked.batch.step_id if tracked.batch else None,
            **msgspec.structs.asdict(tracked.progress),
        )

    def _keep_preview(self, item_id: int, data_url: str) -> str | None:
        try:
            version = self._previews.put(self.backend_id, item_id, data_url)
        except ValueError:
            return None  # a picture that is no JPEG is no reason to lose the progress it came with
        return preview_url(self.backend_id, item_id, version)

    # --- what is seen of them ---

    @property
    def ours_live(self) -> int:
        return len(self._live) - len(self._foreign) - self._unseen

    @property
    def live_items(self) -> list[Item]:
        """All live ones, ours and foreign, oldest first."""
        live = sorted(self._live.values(), key=lambda tracked: tracked.known.item_id)
        return [self.resource(tracked) for tracked in live if not tracked.unseen]

    def progress_of(self, item_id: int) -> Progress | None:
        tracked = self._by_id.get(item_id)
        return tracked.progress if tracked else None

    def device(self) -> str | None:
        """Where the running item runs, as InvokeAI says; null on CPU (FACTS §2)."""
        return next((t.progress.device for t in self._live.values() if t.progress and t.progress.device), None)

    def resource(self, tracked: Tracked) -> Item:
        known = tracked.known
        return Item(
            backend_id=self.backend_id,
            item_id=known.item_id,
            batch_id=known.batch_id,
            step_id=tracked.batch.step_id if tracked.batch else None,
            ordinal=tracked.ordinal,
            status=known.status,  # type: ignore[arg-type]  # correlate lets only known statuses in
            error=known.error,
            created_at=known.created_at,
            started_at=known.started_at,
            completed_at=known.completed_at,
            progress=tracked.progress,
        )
