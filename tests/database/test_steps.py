"""Steps and sessions in the database: made once, on the right backend, shown whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from service.bus.live_state import Progress
from service.database.engine import Connection, Database
from service.errors import Conflict, NotFound, ValidationError
from service.invokeai import graphs
from service.studio import queries, sessions, steps
from service.studio.steps import StepCreate
from tests.fakes.rows import (
    add_alternative,
    add_backend,
    add_batch,
    add_item,
    add_photo,
    add_session,
    add_step,
    insert,
)

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
async def session_id(connection: Connection) -> UUID:
    return await add_session(connection)


@pytest.fixture
async def backend_id(connection: Connection) -> UUID:
    return await add_backend(connection)


def asked(**more: Any) -> StepCreate:
    values = {"prompt": "a lighthouse", "model_key": "key", "model_hash": "hash", **more}
    return msgspec.convert(msgspec.to_builtins(values), StepCreate)


async def add_model(connection: Connection, backend_id: UUID, key: str = "key", **more: Any) -> None:
    values = {"hash": "hash", "name": "Dreams", "base": "sd-1", "type": "main", **more}
    await insert(connection, "models", backend_id=backend_id, key=key, **values)


async def create(database: Database, session_id: UUID, **more: Any) -> steps.Created:
    async with database.transaction() as connection:
        return await steps.create_step(connection, session_id, asked(**more))


async def show(database: Database, step_id: UUID) -> Any:
    async with database.connection() as connection:
        return await queries.one_step(connection, step_id, lambda *_: None)


async def test_a_new_step_is_pending_with_one_prepared_batch_of_its_seeds(
    database: Database, session_id: UUID, backend_id: UUID
) -> None:
    created = await create(database, session_id, batch_size=3, parameters={"seed": 2**32 - 2})
    step = await show(database, created.step_id)
    assert (step.status, step.batch_size, step.backend_id) == ("pending", 3, backend_id)
    assert step.negative_prompt == ""
    async with database.connection() as connection:
        [batch] = await connection.fetch("SELECT * FROM step_batches")
    assert (batch["state"], batch["seeds"], batch["batch_id"]) == ("prepared", [2**32 - 2, 2**32 - 1, 0], step.batch_id)


async def test_what_the_model_and_its_base_leave_open_is_filled_in(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    settings = '{"steps": 12, "width": null, "scheduler": "euler", "height": "tall"}'
    await add_model(connection, backend_id, base="sdxl", default_settings=settings)
    created = await create(database, session_id, parameters={"cfg_scale": 4, "seed": 7})
    step = await show(database, created.step_id)
    base = graphs.defaults("sdxl")
    assert msgspec.json.decode(step.parameters) == {
        "width": base.width,
        "height": base.height,
        "steps": 12,
        "cfg_scale": 4,
        "scheduler": "euler",
        "seed": 7,
    }
    assert step.model_name == "Dreams"


async def test_steps_of_a_session_have_ascending_positions(
    database: Database, session_id: UUID, backend_id: UUID
) -> None:
    made = await asyncio.gather(*(create(database, session_id) for _ in range(5)))
    async with database.connection() as connection:
        session = await queries.session_detail(connection, session_id, lambda *_: None)
    assert [step.position for step in session.steps] == [0, 1, 2, 3, 4]
    assert {step.id for step in session.steps} == {one.step_id for one in made}
    assert session.step_count == 5


async def test_the_same_correlation_id_makes_one_step_however_often_and_wherever_it_is_asked(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    other = await add_session(connection)
    answers = await asyncio.gather(
        *(create(database, session, correlation_id="mine") for session in (session_id, other) * 4)
    )
    assert len({answer.step_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert await connection.fetchval("SELECT count(*) FROM step_batches") == 1
    assert (await create(database, session_id, correlation_id="mine", prompt="another")).step_id == answers[0].step_id
    await connection.execute("UPDATE generation_steps SET deleted_at = now()")
    with pytest.raises(Conflict):
        await create(database, session_id, correlation_id="mine")


async def test_a_parent_must_be_a_step_of_the_same_session(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    parent = (await create(database, session_id)).step_id
    child = (await create(database, session_id, parent_id=parent)).step_id
    assert (await show(database, child)).parent_id == parent
    stranger = await add_step(connection, await add_session(connection))
    for wrong in (stranger, uuid4()):
        with pytest.raises(ValidationError, match="parent_id"):
            await create(database, session_id, parent_id=wrong)


async def test_a_step_made_from_a_photo_waits_until_the_photo_is_at_its_server(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    photo = await add_photo(connection)
    step = await show(database, (await create(database, session_id, source_photo_id=photo)).step_id)
    assert (step.source_photo_id, step.status, step.waiting_for) == (photo, "pending", "source_upload")
    assert msgspec.json.decode(step.parameters)["strength"] == 0.75
    await connection.execute("UPDATE photos SET retrieval_status = 'pending' WHERE id = $1", photo)
    assert (await show(database, step.id)).waiting_for == "source_file"
    async with database.transaction() as transaction:
        await steps.cancel_step(transaction, step.id, AT)
    step = await show(database, step.id)
    assert (step.status, step.waiting_for) == ("canceled", None)


async def test_a_source_is_a_photo_that_is_there_and_home(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    for source, error in (
        (uuid4(), ValidationError),
        (await add_photo(connection, purged_at=AT, deleted_at=AT), ValidationError),
        (await add_photo(connection, home=False), Conflict),
    ):
        with pytest.raises(error, match=r"source_photo_id: "):
            await create(database, session_id, source_photo_id=source)
    trashed = await add_photo(connection, deleted_at=AT)
    assert (await create(database, session_id, source_photo_id=trashed)).is_new


async def test_a_session_that_is_not_there_takes_no_step(
    database: Database, session_id: UUID, backend_id: UUID
) -> None:
    async with database.transaction() as connection:
        await sessions.delete_session(connection, session_id, AT)
    for gone in (session_id, uuid4()):
        with pytest.raises(NotFound):
            await create(database, gone)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({"type": "vae"}, "not a main model but of type vae"),
        ({"base": "flux"}, "Darkroom generates with sd-1, sd-2, sdxl"),
    ],
)
async def test_a_model_known_not_to_do_is_refused_at_once(
    database: Database,
    connection: Connection,
    session_id: UUID,
    backend_id: UUID,
    model: dict[str, str],
    complaint: str,
) -> None:
    await add_model(connection, backend_id, **model)
    with pytest.raises(ValidationError, match=complaint):
        await create(database, session_id)


async def test_a_lora_of_another_base_is_refused_at_once(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    await add_model(connection, backend_id)
    await add_model(connection, backend_id, "xl", hash="x", name="Ink", base="sdxl", type="lora")
    with pytest.raises(ValidationError, match="“Ink” is for sdxl models; “Dreams” is sd-1"):
        await create(database, session_id, parameters={"loras": [{"key": "xl"}]})


async def test_without_any_backend_there_is_nowhere_to_make_it(database: Database, session_id: UUID) -> None:
    with pytest.raises(ValidationError, match="backend_id"):
        await create(database, session_id)


async def test_a_backend_that_is_not_there_is_refused(database: Database, session_id: UUID, backend_id: UUID) -> None:
    with pytest.raises(ValidationError, match="backend_id"):
        await create(database, session_id, backend_id=uuid4())


async def test_the_environments_backend_is_the_default(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    environment = await add_backend(connection, created_at=AT + timedelta(days=900))
    await insert(connection, "settings", key="environment_backend", value=f'{{"backend_id": "{environment}"}}')
    for backend in (backend_id, environment):
        await add_model(connection, backend)
    assert (await show(database, (await create(database, session_id)).step_id)).backend_id == environment
    chosen = await create(database, session_id, backend_id=backend_id)
    assert (await show(database, chosen.step_id)).backend_id == backend_id


async def test_else_the_oldest_enabled_one_that_has_the_model(
    database: Database, connection: Connection, session_id: UUID
) -> None:
    without = await add_backend(connection, created_at=AT)
    disabled = await add_backend(connection, created_at=AT, enabled=False)
    younger = await add_backend(connection, created_at=AT + timedelta(hours=2))
    older = await add_backend(connection, created_at=AT + timedelta(hours=1))
    for backend in (disabled, younger, older):
        await add_model(connection, backend)
    assert (await show(database, (await create(database, session_id)).step_id)).backend_id == older
    unknown = await create(database, session_id, model_key="new", model_hash="new")
    assert (await show(database, unknown.step_id)).backend_id == without


async def test_a_step_is_shown_with_its_alternatives_and_items_in_order(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    step_id = await add_step(connection, session_id, backend_id=backend_id, status="processing")
    batch_id = await add_batch(connection, step_id, backend_id, wanted=2, enqueued=2, state="enqueued")
    await add_item(connection, batch_id, step_id, 8, ordinal=1, status="in_progress")
    await add_item(connection, batch_id, step_id, 9, ordinal=0, status="completed")
    await add_item(connection, batch_id, step_id, -3, ordinal=2)  # stands for one that nobody has seen
    later, first, purged = [await add_photo(connection, created_at=AT) for _ in range(3)]
    await add_alternative(connection, step_id, later, 2)
    await add_alternative(connection, step_id, first, 1)
    await add_alternative(connection, step_id, purged, 0)
    await connection.execute("UPDATE photos SET purged_at = now() WHERE id = $1", purged)
    progress = Progress(
        percentage=0.5, message="", device=None, eta_seconds=None, preview_url=None, width=None, height=None
    )
    told: list[tuple[UUID, int]] = []

    def progress_of(backend: UUID, item_id: int) -> Progress | None:
        told.append((backend, item_id))
        return progress

    step = await queries.one_step(connection, step_id, progress_of)
    assert [photo.id for photo in step.alternatives] == [first, later]
    assert [(item.item_id, item.ordinal, item.progress) for item in step.items] == [(9, 0, None), (8, 1, progress)]
    assert told == [(backend_id, 8)]
    assert [live.id for live in await queries.live_steps(connection, progress_of)] == [step_id]


async def test_a_sessions_cover_is_its_latest_pick_else_its_latest_picture_at_home(
    connection: Connection, session_id: UUID
) -> None:
    async def cover() -> UUID | None:
        return (await queries.sessions_by_ids(connection, [session_id]))[session_id].cover_photo_id

    assert await cover() is None
    step_id = await add_step(connection, session_id)
    home = await add_photo(connection, created_at=AT)
    newer = await add_photo(connection, created_at=AT + timedelta(hours=1))
    waiting = await add_photo(connection, home=False, created_at=AT + timedelta(hours=2))
    for photo in (home, newer, waiting):
        await add_alternative(connection, step_id, photo)
    assert await cover() == newer
    await connection.execute("UPDATE generation_steps SET selected_image_id = $1, selected_at = now()", home)
    assert await cover() == home
    await connection.execute("UPDATE photos SET deleted_at = now() WHERE id = $1", home)
    assert await cover() == newer


async def test_a_deleted_session_takes_its_steps_along_but_not_their_pictures(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    step_id = (await create(database, session_id)).step_id
    photo = await add_photo(connection)
    await add_alternative(connection, step_id, photo)
    async with database.transaction() as transaction:
        assert await sessions.delete_session(transaction, session_id, AT) == [step_id]
    with pytest.raises(NotFound):
        await show(database, step_id)
    assert await connection.fetchval("SELECT state FROM step_batches") == "refused"
    assert await connection.fetchval("SELECT deleted_at FROM photos") is None
    assert (await queries.steps_by_ids(connection, [step_id], lambda *_: None))[step_id].deleted_at == AT
    async with database.transaction() as transaction:
        with pytest.raises(NotFound):
            await sessions.delete_session(transaction, session_id, AT)


async def test_a_cancel_before_sending_ends_the_step_at_once_and_it_can_be_retried(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    step_id = (await create(database, session_id, batch_size=2, parameters={"seed": 5})).step_id
    async with database.transaction() as transaction:
        await steps.cancel_step(transaction, step_id, AT)
    step = await show(database, step_id)
    assert (step.status, step.cancel_requested_at, step.error_message) == ("canceled", AT, None)
    assert step.completed_at is not None
    with pytest.raises(Conflict):
        await steps.cancel_step(connection, step_id, AT)
    async with database.transaction() as transaction:
        await steps.retry_step(transaction, step_id)
    step = await show(database, step_id)
    assert (step.status, step.cancel_requested_at, step.completed_at) == ("pending", None, None)
    rows = await connection.fetch("SELECT state, seeds FROM step_batches ORDER BY ordinal")
    assert [(row["state"], row["seeds"]) for row in rows] == [("refused", [5, 6]), ("prepared", [5, 6])]


async def test_a_retry_minds_no_image_that_claims_an_enormous_seed(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    created = await create(database, session_id, batch_size=2, parameters={"seed": 5})
    photo = await add_photo(connection, backend_id=backend_id, seed=10**19)
    await add_alternative(connection, created.step_id, photo)
    await connection.execute("UPDATE generation_steps SET status = 'failed'")
    await connection.execute("UPDATE step_batches SET state = 'refused'")
    async with database.transaction() as transaction:
        await steps.retry_step(transaction, created.step_id)
    seeds = "SELECT seeds FROM step_batches WHERE state = 'prepared'"
    assert await connection.fetchval(seeds) == [5]


async def test_a_retry_after_its_backend_was_removed_goes_to_another(
    database: Database, connection: Connection, session_id: UUID, backend_id: UUID
) -> None:
    step_id = (await create(database, session_id)).step_id
    async with database.transaction() as transaction:
        await steps.cancel_step(transaction, step_id, AT)
    await connection.execute("DELETE FROM backends")
    other = await add_backend(connection)
    async with database.transaction() as transaction:
        await steps.retry_step(transaction, step_id)
    assert (await show(database, step_id)).backend_id == other
