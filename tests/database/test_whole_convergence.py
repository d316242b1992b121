"""Events are hints, over the whole path: for any loss of events and any restart of the process, a last reading leads to
the same rows, and each image is there once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.correlation.image_lookups import ImageLookups
from service.correlation.record import Recorder
from service.database.engine import Database
from service.invokeai.events import ImageDTO, QueueItem
from service.steps.batches import add_items
from service.steps.item_state import Reading
from tests.fakes.consumer_harness import ConsumerHarness, consumer_harness
from tests.fakes.said import answered, socket_event

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Json = dict[str, Any]
Rows = dict[str, list[tuple[Any, ...]]]


class Recognised:
    """The server is the recorded one."""

    def require(self) -> None: ...
    async def confirm(self) -> None: ...


class ItemHistory(msgspec.Struct, frozen=True):
    """What truly became of one item."""

    item_id: int
    seed: int
    end: str
    finals: int
    """Images it made for the gallery; there is always an intermediate one beside them."""
    echoes: bool
    """It also names, as its input, the first image of the first item."""
    sequences: bool
    retry_of: int | None = None

    @property
    def session(self) -> str:
        return f"session-{self.item_id}"

    @property
    def made(self) -> list[str]:
        return [f"{self.item_id}-{k}.png" for k in range(self.finals)]

    @property
    def names(self) -> list[str]:
        return [f"{self.item_id}-draft.png", *self.made, *(["1-0.png"] if self.echoes else [])]


@st.composite
def lives(draw: st.DrawFn) -> list[ItemHistory]:
    """Two items, and perhaps a retry of the second."""
    sequences = draw(st.booleans())
    made: list[ItemHistory] = []
    for item_id in (1, 2):
        end = draw(st.sampled_from(("completed", "failed", "canceled")))
        echoes = any(life.finals for life in made) and draw(st.booleans())
        made.append(ItemHistory(item_id, 40 + item_id, end, draw(st.integers(0, 2)), echoes, sequences))
    if made[1].end != "completed" and draw(st.booleans()):
        made.append(msgspec.structs.replace(made[1], item_id=3, end="completed", finals=1, retry_of=2))
    return made


class Simulation:
    """One step of ours over the real database, and the images InvokeAI has of it."""

    def __init__(self, harness: ConsumerHarness, lives: Sequence[ItemHistory], tag: str, *, named: bool) -> None:
        self.harness, self.lives, self.tag = harness, lives, tag
        self.named = named
        """Whether the images' metadata name their batch."""
        self.lookups = self._lookups()

    def _lookups(self) -> ImageLookups:
        recorder = Recorder(
            self.harness.backend_id,
            self,  # type: ignore[arg-type]
            self.harness.database,
            self.harness.bus,
            self.harness.tracking,
            mirror=True,
        )
        self.recorder = recorder
        lookups = ImageLookups(self, recorder, self.harness.requests, Recognised())  # type: ignore[arg-type]
        self.harness.lookups.add = lookups.add  # type: ignore[method-assign]
        self.harness.lookups.settle = lookups.settle  # type: ignore[method-assign]
        return lookups

    # --- InvokeAI, as far as it is asked ---

    async def images_by_names(self, names: Sequence[str]) -> list[ImageDTO]:
        return [self._image(life, name) for life in self.lives for name in life.names if self._is(life, name, names)]

    async def metadata(self, name: str, *, keep: bool = False) -> Json:
        return {"darkroom_batch": self.harness.batch_id} if self.named else {}

    def server_time(self) -> datetime:
        return datetime.now(UTC)

    def _is(self, life: ItemHistory, name: str, names: Sequence[str]) -> bool:
        return name.startswith(f"{life.item_id}-") and self.tag + name in names

    def _image(self, life: ItemHistory, name: str) -> ImageDTO:
        return ImageDTO(
            image_name=self.tag + name,
            image_category="general",
            image_origin="internal",
            width=64,
            height=64,
            created_at=datetime.now(UTC) + timedelta(seconds=life.item_id),
            is_intermediate=name.endswith("draft.png"),
            session_id=self.tag + life.session,
        )

    # --- what is said ---

    def ids(self, life: ItemHistory) -> Json:
        return self.harness.ids(life.item_id, session_id=self.tag + life.session)

    def events(self) -> list[tuple[str, Json]]:
        """All of them, as they truly came."""
        said: list[tuple[str, Json]] = []
        for life in self.lives:
            said.append(("queue_item_status_changed", self._status(life, "in_progress", 1)))
            said.append(("invocation_progress", {**self.ids(life), "message": "Denoising", "percentage": 0.5}))
            for name in life.names:
                result = {"image": {"image_name": self.tag + name}}
                said.append(("invocation_complete", {**self.ids(life), "result": result}))
            said.append(("queue_item_status_changed", self._status(life, life.end, 2)))
        return said

    def _status(self, life: ItemHistory, status: str, sequence: int) -> Json:
        error = {"error_type": "ValueError", "error_message": "no"} if status == "failed" else {}
        return {**self.ids(life), "status": status, "status_sequence": sequence if life.sequences else None, **error}

    def reading(self, life: ItemHistory, status: str) -> QueueItem:
        results = {"node": {"images": [{"image_name": self.tag + name} for name in life.names]}}
        ended = status == life.end
        values = [{"node_path": "seed", "field_name": "value", "value": life.seed}]
        return answered(
            {
                **self._status(life, status, {"pending": 0, "in_progress": 1}.get(status, 2)),
                "field_values": values,
                "retried_from_item_id": life.retry_of,
                "session": {"results": results if ended else {}},
            },
            QueueItem,
        )

    # --- what happens ---

    async def hear(self, k: int) -> None:
        said = self.events()
        name, payload = said[k % len(said)]
        await self.harness.consumer.apply(socket_event(name, payload))

    async def read(self, k: int) -> None:
        life = self.lives[k % len(self.lives)]
        status = ("pending", "in_progress", life.end)[k % 3]
        await self.harness.consumer.apply(Reading(self.reading(life, status)))

    async def look_up(self, _: int) -> None:
        if self.lookups.waiting:
            await self.lookups.look_up()

    async def read_gallery(self, _: int) -> None:
        await self.recorder.record([self._image(life, name) for life in self.lives for name in life.made])

    async def begin_anew(self, _: int) -> None:
        """The process was killed: only the database remembers."""
        self.harness = ConsumerHarness(
            self.harness.database, self.harness.backend_id, self.harness.step_id, self.harness.batch_id
        )
        self.lookups = self._lookups()
        await self.harness.consumer.own_items.load()

    async def answer(self, _: int) -> None:
        """The POST's answer names the items."""
        async with self.harness.database.transaction() as connection:
            await add_items(connection, self.harness.batch_id, self.harness.step_id, [1, 2], 2)

    async def read_the_rest(self) -> None:
        for life in self.lives:
            await self.harness.consumer.apply(Reading(self.reading(life, life.end)))
        await self.look_up(0)

    async def rows(self) -> Rows:
        """Everything that is kept, without what differs from run to run."""
        step = self.harness.step_id
        async with self.harness.database.connection() as connection:
            found = {
                "items": await connection.fetch(ROWS["items"], step),
                "step": await connection.fetch(ROWS["step"], step),
                "photos": await connection.fetch(ROWS["photos"], step, f"{self.tag}%", len(self.tag)),
            }
        return {name: [tuple(row) for row in rows] for name, rows in found.items()}


ROWS = {
    "items": "SELECT item_id, ordinal, retried_from_item_id, status, error, settled_at IS NOT NULL, absent_since"
    " FROM queue_items WHERE step_id = $1 ORDER BY item_id",
    "step": "SELECT status, error_message, completed_at IS NOT NULL FROM generation_steps WHERE id = $1",
    "photos": "SELECT substr(invoke_id, $3 + 1), source, seed, generation_prompt, a.position & 4294967295,"
    " a.step_id = $1 FROM photos LEFT JOIN step_alternatives a ON a.photo_id = id"
    " WHERE invoke_id LIKE $2 ORDER BY invoke_id",
}
STEPS = ("hear", "hear", "hear", "read", "look_up", "read_gallery", "begin_anew", "answer")
happenings = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 99)), max_size=25)


async def told(
    database: Database, lives: Sequence[ItemHistory], happened: Sequence[tuple[str, int]], named: bool
) -> Rows:
    simulation = Simulation(await consumer_harness(database), lives, f"{uuid4()}-", named=named)
    for what, k in happened:
        await getattr(simulation, what)(k)
    await simulation.read_the_rest()
    return await simulation.rows()


@given(lives=lives(), happened=happenings, named=st.booleans())
@example(  # the answer, late, tells the place of an item whose image is here, and the process is killed
    lives=[ItemHistory(1, 41, "completed", 1, False, False), ItemHistory(2, 42, "completed", 0, False, False)],
    happened=[("hear", 40), ("read_gallery", 0), ("answer", 0), ("begin_anew", 0)],
    named=False,
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_last_reading_leads_to_the_same_rows_whatever_happened_before(
    database: Database, lives: list[ItemHistory], happened: list[tuple[str, int]], named: bool
) -> None:
    events = sum(len(life.names) + 3 for life in lives)
    quiet = await told(database, lives, [("answer", 0), *(("hear", k) for k in range(events))], named)
    assert await told(database, lives, happened, named) == quiet
    assert [row[0] for row in quiet["photos"]] == sorted(name for life in lives for name in life.made)
    assert all(row[5] for row in quiet["photos"]), "each is an alternative of its step"
    assert all(row[5] for row in quiet["items"]), "each item is settled"
