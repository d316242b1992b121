"""What a server is recognised by, and what proves nothing (recognised servers only)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from service.backends.recognition import NAMES, NotRecognised, Recognised, Unknown, recognise, sample
from service.database.engine import Connection, Database
from service.errors import InvokeUnauthorized
from service.invokeai.client import InvokeClient
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.reverse_proxy import json_404, reverse_proxy
from tests.fakes.rows import add_backend, add_batch, add_item, add_photo, add_session, add_step

VERSIONS = ["5.15.0", "6.0.2", "6.9.0", "6.14.2"]
RECOGNISED, NOT_RECOGNISED = Recognised(), NotRecognised()


class Asked:
    """One backend, and the InvokeAI that answers at its address."""

    def __init__(self, database: Database, server: ScriptedInvokeAI, client: InvokeClient, backend_id: UUID) -> None:
        self.database, self.server, self.client, self.backend_id = database, server, client, backend_id

    async def recognise(self) -> object:
        return await recognise(self.client, self.database, self.backend_id)


@asynccontextmanager
async def asking(database: Database, server: ScriptedInvokeAI) -> AsyncIterator[Asked]:
    await server.start()
    async with database.connection() as connection:
        backend_id = await add_backend(connection, url=server.url)
    async with aiohttp.ClientSession() as http:
        yield Asked(database, server, InvokeClient(server.url, timeout=5, session=http), backend_id)
    await server.stop()


@pytest.fixture(params=VERSIONS)
async def each(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> AsyncIterator[Asked]:
    async with asking(database, ScriptedInvokeAI(tmp_path / "each", version=request.param)) as asked:
        yield asked


@pytest.fixture
async def asked(database: Database, tmp_path: Path) -> AsyncIterator[Asked]:
    async with asking(database, ScriptedInvokeAI(tmp_path / "asked")) as asked:
        yield asked


async def work(connection: Connection, backend_id: UUID, *, status: str = "processing") -> tuple[UUID, str]:
    """A step with one batch that InvokeAI took."""
    step = await add_step(connection, await add_session(connection), backend_id=backend_id, status=status)
    return step, await add_batch(connection, step, backend_id, state="enqueued", enqueued=1)


# --- what it is recognised by ---


async def test_a_server_of_which_nothing_is_recorded_is_recognised_and_asked_nothing(asked: Asked) -> None:
    asked.server.add_canvas_save()
    assert await asked.recognise() == RECOGNISED
    assert asked.server.requests == []


async def test_one_image_of_many_is_enough(each: Asked, connection: Connection) -> None:
    image = each.server.add_canvas_save()
    for _ in range(30):
        await add_photo(connection, backend_id=each.backend_id, home=False)
    await add_photo(connection, backend_id=each.backend_id, invoke_id=image.image_name)
    assert await each.recognise() == RECOGNISED


async def test_the_whole_history_is_asked_for_in_a_sample_that_does_not_grow(
    asked: Asked, connection: Connection
) -> None:
    """Of each tenth of the library, beside as many photos of another server."""
    other = await add_backend(connection)
    for number in range(1000):
        backend_id = asked.backend_id if number % 2 else other
        created_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        await add_photo(connection, backend_id=backend_id, created_at=created_at, invoke_id=str(number))
    names = [int(name) for name in (await sample(connection, asked.backend_id)).image_names]
    assert {number // 100 for number in names} == set(range(10))
    assert all(number % 2 for number in names)
    assert len(names) <= NAMES


async def test_a_batch_is_enough_where_no_image_came_yet(each: Asked, connection: Connection) -> None:
    _, batch_id = await work(connection, each.backend_id)
    await each.server.enqueue(batches.batch(batches.blank(), batch_id=batch_id))
    assert await each.recognise() == RECOGNISED


async def test_an_image_that_names_the_batch_is_enough_where_the_queue_was_pruned_before_any_was_recorded(
    each: Asked, connection: Connection
) -> None:
    _, batch_id = await work(connection, each.backend_id)
    each.server.add_image(session_id="theirs", metadata={"seed": 1})
    each.server.add_image(session_id="ours", metadata={"darkroom_batch": batch_id})
    assert await each.recognise() == RECOGNISED


async def test_a_copy_of_our_image_proves_nothing(each: Asked, connection: Connection) -> None:
    """A project may be imported into any InvokeAI; what it brings has no session (FACTS §12)."""
    _, batch_id = await work(connection, each.backend_id)
    each.server.add_canvas_save(metadata={"darkroom_batch": batch_id})
    assert await each.recognise() == NOT_RECOGNISED


async def test_where_all_recorded_first_was_deleted_what_it_lists_now_is_enough(
    each: Asked, connection: Connection
) -> None:
    for _ in range(200):
        await add_photo(connection, backend_id=each.backend_id)
    listed = [each.server.add_canvas_save() for _ in range(3)]
    await add_photo(
        connection,
        backend_id=each.backend_id,
        invoke_id=listed[1].image_name,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        purged_at=datetime.now(UTC),
    )
    assert await each.recognise() == RECOGNISED


async def test_an_item_with_the_session_of_a_recorded_image_is_enough(each: Asked, connection: Connection) -> None:
    [item_id] = (await each.server.enqueue(batches.batch(batches.blank())))["item_ids"]
    await each.server.until_ended(item_id)
    session = each.server.queue.items[item_id].session_id
    await add_photo(connection, backend_id=each.backend_id, invoke_session_id=session)
    assert await each.recognise() == RECOGNISED


# --- what it is not recognised by ---


async def test_another_server_with_images_and_items_of_its_own_is_not_recognised(
    each: Asked, connection: Connection
) -> None:
    await add_photo(connection, backend_id=each.backend_id, home=False)
    each.server.add_canvas_save()
    await each.server.enqueue(batches.batch(batches.blank()))
    assert await each.recognise() == NOT_RECOGNISED


async def test_the_number_of_an_item_alone_proves_nothing(each: Asked, connection: Connection) -> None:
    step, batch_id = await work(connection, each.backend_id)
    await add_item(connection, batch_id, step, 1, status="in_progress", invoke_session_id="ours")
    [item_id] = (await each.server.enqueue(batches.batch(batches.blank())))["item_ids"]
    assert item_id == 1
    assert await each.recognise() == NOT_RECOGNISED


async def test_an_empty_server_is_not_the_one_that_has_images(each: Asked, connection: Connection) -> None:
    await add_photo(connection, backend_id=each.backend_id)
    assert await each.recognise() == NOT_RECOGNISED


async def test_images_of_other_servers_and_of_none_say_nothing(asked: Asked, connection: Connection) -> None:
    """The one of a removed server has no `backend_id` any more."""
    others = await add_backend(connection)
    for backend_id in (others, None):
        image = asked.server.add_canvas_save()
        await add_photo(connection, backend_id=backend_id, invoke_id=image.image_name)
    assert await asked.recognise() == RECOGNISED, "nothing is recorded of this one"
    await add_photo(connection, backend_id=asked.backend_id)
    assert await asked.recognise() == NOT_RECOGNISED


async def test_tombstones_and_work_that_is_over_are_nothing_to_lose(asked: Asked, connection: Connection) -> None:
    now = datetime.now(UTC)
    await add_photo(connection, backend_id=asked.backend_id, deleted_at=now, purged_at=now)
    await work(connection, asked.backend_id, status="failed")
    assert await asked.recognise() == RECOGNISED


# --- errors ---


@pytest.mark.parametrize("failing", [answers.status(500), answers.html(), answers.cut()])
async def test_a_server_that_cannot_be_asked_for_images_is_undecided(
    asked: Asked, connection: Connection, failing: object
) -> None:
    await add_photo(connection, backend_id=asked.backend_id)
    asked.server.on("/images_by_names$", failing, times=None)  # type: ignore[arg-type]
    assert isinstance(await asked.recognise(), Unknown)


@pytest.mark.parametrize("version", ["5.15.0", "6.14.2"])
async def test_a_server_that_denies_the_images_it_lists_is_undecided(
    database: Database, connection: Connection, tmp_path: Path, version: str
) -> None:
    """An older InvokeAI answers 404 for an image on any trouble of its database."""
    async with asking(database, ScriptedInvokeAI(tmp_path / "old", version=version)) as asked:
        await add_photo(connection, backend_id=asked.backend_id)
        asked.server.add_canvas_save()
        asked.server.on(r"/images/i/[^/]+$", answers.status(404, "Not Found"), times=None)
        asked.server.on(r"/images_by_names$", answers.body(b"[]"), times=None)
        assert isinstance(await asked.recognise(), Unknown)


async def test_a_gateway_that_answers_404_to_everything_proves_nothing(
    each: Asked, connection: Connection, database: Database
) -> None:
    await add_photo(connection, backend_id=each.backend_id)
    await each.client.connect()
    async with reverse_proxy(each.server.url) as proxy, aiohttp.ClientSession() as http:
        client = InvokeClient(proxy.url, timeout=5, session=http)
        await client.connect()
        proxy.faults.append(json_404())
        assert isinstance(await recognise(client, database, each.backend_id), Unknown)


async def test_who_is_not_let_in_has_not_seen_another_server(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    users = MultiUser([Account("owner@example.com", "secret")])
    async with asking(database, ScriptedInvokeAI(tmp_path / "shared", multiuser=users)) as asked:
        await add_photo(connection, backend_id=asked.backend_id)
        found = await asked.recognise()
        assert isinstance(found, Unknown)
        assert isinstance(found.error, InvokeUnauthorized)
