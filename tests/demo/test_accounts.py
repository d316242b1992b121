"""The scripted InvokeAI in multiuser mode: tokens, and what others get to see (FACTS §9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import socketio

from tests.fakes import Account, MultiUser, ScriptedInvokeAI, batches
from tests.fakes.listener import Listener

QUEUE = "/api/v1/queue/default"


@pytest.fixture
async def multiuser(tmp_path: Path) -> AsyncIterator[tuple[ScriptedInvokeAI, MultiUser, Account, Account]]:
    alice, bob = Account("alice@example.com", "Loopback-1"), Account("bob@example.com", "Loopback-2")
    access = MultiUser([alice, bob])
    server = ScriptedInvokeAI(tmp_path / "invokeai", multiuser=access)
    await server.start()
    yield server, access, alice, bob
    await server.stop()


async def test_multiuser_rest_asks_for_a_token_and_tells_when_it_expired(multiuser):
    server, access, alice, _ = multiuser
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/api/v1/app/version") as response:
            assert response.status == 200
        async with http.get(f"{QUEUE}/status") as response:
            assert (response.status, await response.json()) == (401, {"detail": "Authentication required"})
        async with http.post("/api/v1/auth/login", json={"email": alice.email, "password": "wrong"}) as response:
            assert response.status == 401
        async with http.post("/api/v1/auth/login", json={"email": alice.email, "password": alice.password}) as response:
            token = (await response.json())["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{QUEUE}/status", headers=bearer) as response:
            assert response.status == 200
        access.expire()
        async with http.get(f"{QUEUE}/status", headers=bearer) as response:
            assert (response.status, await response.json()) == (401, {"detail": "Invalid or expired token"})


async def test_multiuser_sockets_are_rejected_without_a_token(multiuser):
    server, *_ = multiuser
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with Listener(server.url, token="nonsense"):
            pass


async def test_a_bulk_cancel_names_to_each_user_only_the_own_items(multiuser):
    server, access, alice, bob = multiuser
    server.queue.started = False
    async with (
        Listener(server.url, token=access.token(alice)) as owner,
        Listener(server.url, token=access.token(bob)) as other,
    ):
        await server.enqueue(batches.batch(batches.blank()), user_id=alice.user_id)
        await server.queue.cancel_where("default", lambda item: True)
        for listener, ids in ((owner, [1]), (other, [])):
            await listener.until(lambda listener=listener: "queue_items_canceled" in listener.names())
            assert listener.events[-1][1]["canceled_item_ids"] == ids


async def test_others_items_arrive_redacted_and_their_images_are_forbidden(multiuser):
    server, access, alice, bob = multiuser
    async with (
        Listener(server.url, token=access.token(alice)) as owner,
        Listener(server.url, token=access.token(bob)) as other,
        aiohttp.ClientSession(server.url) as http,
    ):
        body = batches.batch(batches.blank(), origin="darkroom", destination="step:1")
        item_id = (await server.enqueue(body, user_id=alice.user_id))["item_ids"][0]
        await owner.until_ended(item_id)
        await other.until_ended(item_id)
        assert "invocation_complete" in owner.names()
        assert set(other.names()) == {"batch_enqueued", "queue_item_status_changed"}
        for _, payload in other.events:
            assert (payload["batch_id"], payload["user_id"], payload["origin"]) == ("redacted", "redacted", None)
        image = server.images.select()[0]
        bearer = {"Authorization": f"Bearer {access.token(bob)}"}
        async with http.get(f"/api/v1/images/i/{image.image_name}", headers=bearer) as response:
            assert response.status == 403
        async with http.get("/api/v1/images/", headers=bearer) as response:
            assert (await response.json())["total"] == 0
        async with http.get(f"{QUEUE}/i/{item_id}", headers=bearer) as response:
            seen = await response.json()
        assert (seen["batch_id"], seen["session"]["results"]) == ("redacted", {})
        async with http.put(f"{QUEUE}/i/{item_id}/cancel", headers=bearer) as response:
            assert response.status == 403
