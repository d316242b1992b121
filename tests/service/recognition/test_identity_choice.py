"""What the owner says of an InvokeAI that was not recognised (`POST /backends/{id}/identity`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.database.engine import Connection
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import NO_SERVER, running, settings_for
from tests.fakes.owner import Owner
from tests.fakes.rows import add_batch, add_photo, add_session, add_step
from tests.fakes.servers import Servers

LOGINS = "SELECT logins::text || gateways::text FROM backends WHERE id = $1"


class Choice:
    """A server of which one image is recorded, not home, and another InvokeAI at the address it was changed to."""

    def __init__(self, owner: Owner, server: ScriptedInvokeAI, backend_id: str, photo: UUID) -> None:
        self.owner, self.server, self.backend_id, self.photo = owner, server, backend_id, photo


@pytest.fixture
async def another(servers: Servers) -> ScriptedInvokeAI:
    return await servers("another")


@pytest.fixture
async def choice(
    tmp_path: Path, database_url: str, connection: Connection, another: ScriptedInvokeAI
) -> AsyncIterator[Choice]:
    async with running(settings_for(tmp_path / "data", database_url)) as darkroom:
        owner = Owner(darkroom)
        backend_id = (await owner.backend())["id"]
        photo = await add_photo(connection, backend_id=UUID(backend_id), home=False)
        await connection.execute("UPDATE backends SET recognised_url = url")
        login, gateway = {"email": "a@b.c", "password": "p"}, {"username": "gate", "password": "keeper"}
        await owner.patch(backend_id, url=another.url, credentials=login, gateway=gateway)
        await owner.until_state("unrecognised")
        yield Choice(owner, another, backend_id, photo)


async def place_of(connection: Connection, photo: UUID) -> Any:
    row = await connection.fetchrow("SELECT backend_id, retrieval_status FROM photos WHERE id = $1", photo)
    return (str(row["backend_id"]), row["retrieval_status"])


async def test_the_same_one_moved_or_emptied_is_connected_though_it_has_nothing_of_before(choice: Choice) -> None:
    answer = await choice.owner.say(choice.backend_id, same=True)
    assert (answer["id"], answer["url"]) == (choice.backend_id, choice.server.url)
    await choice.owner.until_state("connected")


async def test_what_the_owner_said_outlasts_a_restart_and_ends_with_the_next_image(
    choice: Choice, connection: Connection
) -> None:
    owner = choice.owner
    await owner.say(choice.backend_id, same=True)
    await owner.until_state("connected")
    for enabled in (False, True):
        await owner.patch(choice.backend_id, enabled=enabled)
    await owner.until_state("connected")
    choice.server.add_canvas_save()
    owner.darkroom.app.state.registry.request_gallery_reading(UUID(choice.backend_id))
    await owner.until_ledger(retrieved=1)
    await choice.server.new_database()
    await owner.until_state("unrecognised")


async def test_what_was_said_of_one_address_says_nothing_of_the_next(choice: Choice, servers: Servers) -> None:
    await choice.owner.say(choice.backend_id, same=True)
    await choice.owner.until_state("connected")
    third = await servers("third")
    await choice.owner.patch(choice.backend_id, url=third.url)
    await choice.owner.until_state("unrecognised")


async def test_a_new_one_gets_the_address_and_its_login_and_the_former_waits_where_it_was(
    choice: Choice, connection: Connection
) -> None:
    step = await add_step(connection, await add_session(connection), backend_id=UUID(choice.backend_id))
    batch = await add_batch(connection, step, UUID(choice.backend_id))
    new = await choice.owner.say(choice.backend_id, same=False)
    assert new["id"] != choice.backend_id
    assert (new["url"], new["enabled"]) == (choice.server.url, True)
    await choice.owner.until_state("connected", new["id"])
    former = await choice.owner.backend(choice.backend_id)
    assert (former["url"], former["state"], former["ledger"]["waiting"]) == (NO_SERVER, "disabled", 1)
    assert await place_of(connection, choice.photo) == (choice.backend_id, "pending")
    row = await connection.fetchrow("SELECT backend_id, state FROM step_batches WHERE batch_id = $1", batch)
    assert (str(row["backend_id"]), row["state"]) == (choice.backend_id, "prepared")
    of_new, of_former = [await connection.fetchval(LOGINS, UUID(id)) for id in (new["id"], choice.backend_id)]
    for given in ('"a@b.c"', '"keeper"'):
        assert given in of_new
        assert given not in of_former
    remembered = await connection.fetchval("SELECT value->>'backend_id' FROM settings WHERE key LIKE 'environment%'")
    assert remembered == new["id"], "the environment's URL is the new one's"


async def test_two_rows_may_have_one_address_while_one_of_them_is_disabled(
    choice: Choice, connection: Connection
) -> None:
    await connection.execute("UPDATE backends SET recognised_url = url")
    new = await choice.owner.say(choice.backend_id, same=False)
    former = await choice.owner.backend(choice.backend_id)
    assert (former["url"], former["enabled"]) == (new["url"], False)
    assert former["name"] != new["name"]
    await choice.owner.until_state("connected", new["id"])
    refused = await choice.owner.patch(choice.backend_id, 409, enabled=True)
    assert refused["error"]["code"] == "conflict"
    await choice.owner.patch(new["id"], name="renamed", url=new["url"])
    await choice.owner.patch(new["id"], enabled=False)
    await choice.owner.patch(choice.backend_id, enabled=True)
    await choice.owner.until_state("unrecognised", choice.backend_id)


@pytest.mark.parametrize("same", [True, False])
async def test_there_is_nothing_to_say_of_a_server_that_was_recognised(choice: Choice, same: bool) -> None:
    await choice.owner.say(choice.backend_id, same=True)
    await choice.owner.until_state("connected")
    refused = await choice.owner.say(choice.backend_id, same=same, expected=409)
    assert refused["error"]["code"] == "conflict"
    missing = await choice.owner.say(str(uuid4()), same=same, expected=404)
    assert missing["error"]["code"] == "not_found"
    assert len(await choice.owner.backends()) == 1
