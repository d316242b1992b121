"""A batch from end to end against the stand-in, as every supported version answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.errors import InvokeNotFound
from service.invokeai.client import Credentials, InvokeClient
from service.invokeai.events import InvocationComplete, InvocationProgress, ItemStatusChanged, decode
from service.invokeai.graphs import ModelRef, build
from service.invokeai.subscription import Subscription, SubscriptionState
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.raw_invokeai import client_session
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.versions import VERSIONS

SEEDS = [2**32 - 1, 7, 1234567]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture(params=sorted(VERSIONS))
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path, version=request.param)
    await server.start()
    yield server
    await server.stop()


async def body(client: InvokeClient, base: str, batch_id: str) -> dict[str, Any]:
    model = next(model for model in await client.models() if (model.base, model.type) == (base, "main"))
    return build(
        ModelRef(model.key, model.hash, model.name, model.base, model.type),
        prompt="a lighthouse at dusk",
        negative_prompt="blurry",
        width=64,
        height=64,
        steps=3,
        cfg_scale=7.5,
        scheduler="euler",
        seeds=SEEDS,
        batch_id=batch_id,
        step_id="1",
    )


async def finished(client: InvokeClient, batch_id: str) -> None:
    """By its status, which every version has."""
    async with asyncio.timeout(20):
        while (await client.batch_status(batch_id)).completed < len(SEEDS):
            await asyncio.sleep(0)


@pytest.mark.parametrize("base", ["sd-1", "sdxl"])
async def test_a_batch_makes_an_image_for_each_seed(
    server: ScriptedInvokeAI, session: aiohttp.ClientSession, base: str
) -> None:
    client = InvokeClient(server.url, session=session)
    info = await client.connect()
    assert (info.version, info.demo) == (server.version.name, False)
    batch_id = str(uuid4())
    result = await client.enqueue_batch(await body(client, base, batch_id))
    assert (result.batch_id, result.enqueued, result.requested) == (batch_id, 3, 3)
    await finished(client, batch_id)

    item_ids = await client.item_ids()
    assert result.item_ids in (item_ids, None)
    items = await client.items([*item_ids, 999_999])
    assert [item.item_id for item in items] == item_ids
    assert [item.field_values[0].value for item in items if item.field_values] == SEEDS
    assert {(item.status, item.batch_id, item.origin, item.destination) for item in items} == {
        ("completed", batch_id, "darkroom", "step:1")
    }
    summaries = await client.summaries([*item_ids, 999_999])
    assert [(found.item_id, found.status) for found in summaries] == [(item, "completed") for item in item_ids]
    with pytest.raises(InvokeNotFound):
        await client.item(999_999)

    for item, seed in zip(items, SEEDS, strict=True):
        (image,) = await client.images_by_names([*item.image_names, "nowhere.png"])
        assert (image.session_id, image.is_intermediate, image.image_category) == (item.session_id, False, "general")
        metadata = await client.metadata(image.image_name)
        assert metadata is not None
        assert (metadata["darkroom_batch"], metadata["seed"]) == (batch_id, seed)
        async with client.open_file(image.image_name) as file:
            content = b"".join([chunk async for chunk in file.iter()])
            assert file.content_length == len(content)
        assert batch_id.encode() in content
    page = await client.images_page(10, 0, is_intermediate=False, starred_first=False)
    assert page.total == len(page.items) == 3


async def test_the_events_of_a_batch_tell_its_images(server: ScriptedInvokeAI, session: aiohttp.ClientSession) -> None:
    client = InvokeClient(server.url, session=session)
    heard: list[Any] = []
    connected, done = asyncio.Event(), asyncio.Event()

    def hear(name: str, payload: bytes) -> None:
        event = decode(name, payload)
        heard.append(event)
        completed = [seen for seen in heard if isinstance(seen, ItemStatusChanged) and seen.status == "completed"]
        if len(completed) == len(SEEDS):
            done.set()

    def follow(state: SubscriptionState, why: str | None) -> None:
        if state is SubscriptionState.CONNECTED:
            connected.set()

    running = asyncio.create_task(Subscription(client, hear, follow).run(), name="subscription")
    async with asyncio.timeout(20):
        await connected.wait()
        batch_id = str(uuid4())
        await client.enqueue_batch(await body(client, "sd-1", batch_id))
        await done.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    made = [name for event in heard if isinstance(event, InvocationComplete) for name in event.image_names]
    read = [name for item in await client.items(await client.item_ids()) for name in item.image_names]
    assert sorted(made) == sorted(read)
    assert len(made) == len(SEEDS)
    assert any(isinstance(event, InvocationProgress) and event.image is not None for event in heard)
    statuses = [event for event in heard if isinstance(event, ItemStatusChanged)]
    assert {event.batch_id for event in statuses} == {batch_id}
    has_sequences = not server.version.unknown & {"status_sequence"}
    assert all((event.status_sequence is not None) is has_sequences for event in statuses)


async def test_tokens_that_expire_under_us_are_renewed(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path, multiuser=users)
    await server.start()
    try:
        client = InvokeClient(server.url, credentials=Credentials("owner@example.com", "secret"), session=session)
        info = await client.connect()
        assert info.multiuser
        first = client.token
        users.expire()
        batch_id = str(uuid4())
        result = await client.enqueue_batch(await body(client, "sd-1", batch_id))
        assert result.enqueued == (await client.batch_status(batch_id)).total == 3
        assert client.token not in (None, first)
        assert users.logins == 2
    finally:
        await server.stop()
