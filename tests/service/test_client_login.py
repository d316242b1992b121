"""Multiuser servers (FACTS §9): who logs in when, and what is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.errors import InvokeGatewayRefused, InvokeUnauthorized, InvokeUnreadable
from service.invokeai.client import Credentials, InvokeClient
from tests.fakes.raw_invokeai import (
    QUEUE,
    SINCE_6_14,
    Answer,
    RawInvokeAI,
    client_session,
    data,
    json,
    raw_invokeai,
    text,
)

STATUS = f"{QUEUE}/status"
ENQUEUE = f"{QUEUE}/enqueue_batch"
UPLOAD = "/api/v1/images/upload"
LOGIN = "/api/v1/auth/login"
AUTH_STATUS = "/api/v1/auth/status"
IDLE = {"queue": {"queue_id": "default", "pending": 0, "in_progress": 0}, "processor": {"is_started": True}}
NO_AUTH = json({"detail": "Authentication required"}, 401)
UPLOADED = {
    "image_name": "up.png",
    "image_category": "user",
    "image_origin": "external",
    "width": 64,
    "height": 64,
    "created_at": "2026-11-22 20:58:15.892",
    "is_intermediate": False,
}


@pytest.fixture
async def server() -> AsyncIterator[RawInvokeAI]:
    async with raw_invokeai() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


OWNER = Credentials("owner@example.com", "a secret")


@pytest.fixture
def owner(server: RawInvokeAI, session: aiohttp.ClientSession) -> InvokeClient:
    server.serves(*SINCE_6_14, AUTH_STATUS)
    server.on(AUTH_STATUS, json({"multiuser_enabled": True, "setup_required": False}))
    server.on(LOGIN, json({"token": "t1", "expires_in": 604800}), json({"token": "t2"}))
    return InvokeClient(server.url, credentials=OWNER, timeout=5, session=session)


async def test_connecting_logs_in_where_the_server_wants_it(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(STATUS, NO_AUTH, json(IDLE))
    info = await owner.connect()
    assert info.multiuser
    assert owner.token == "t1"
    assert server.to(LOGIN)[0].json() == {"email": "owner@example.com", "password": "a secret", "remember_me": True}
    assert [request.headers.get("Authorization") for request in server.to(STATUS)] == [None, "Bearer t1"]


async def test_a_single_user_server_is_not_logged_in_to(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(AUTH_STATUS, json({"multiuser_enabled": False}))
    assert not (await owner.connect()).multiuser
    assert server.to(LOGIN) == []


async def test_an_expired_token_is_renewed_in_the_middle_of_a_post(server: RawInvokeAI, owner: InvokeClient) -> None:
    expired = json({"detail": "Invalid or expired token"}, 401)
    server.on(STATUS, NO_AUTH, json(IDLE))
    await owner.connect()
    server.on(ENQUEUE, expired, json({"enqueued": 1, "requested": 1, "batch": {"batch_id": "b"}, "item_ids": [1]}))
    assert (await owner.enqueue_batch({"batch": {}})).enqueued == 1
    assert [request.headers["Authorization"] for request in server.to(ENQUEUE)] == ["Bearer t1", "Bearer t2"]
    assert [request.body for request in server.to(ENQUEUE)] == [b'{"batch":{}}'] * 2


async def test_an_upload_rejected_for_its_token_is_sent_whole_again(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(UPLOAD, NO_AUTH, json(UPLOADED, 201))
    assert (await owner.upload(b"the bytes", "a.png")).image_name == "up.png"
    assert all(b"the bytes" in request.body for request in server.to(UPLOAD))


async def test_files_need_the_token_too(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on("/api/v1/images/i/a.png/full", NO_AUTH, data(b"png"))
    async with owner.open_file("a.png") as file:
        assert b"".join([chunk async for chunk in file.iter()]) == b"png"
    assert server.received[-1].headers["Authorization"] == "Bearer t1"


async def test_calls_rejected_together_log_in_once(server: RawInvokeAI, owner: InvokeClient) -> None:
    async def only_with_token(request: Any) -> Any:
        authorized = request.headers.get("Authorization") == "Bearer t1"
        return await (json(IDLE) if authorized else NO_AUTH)(request)

    server.on(STATUS, only_with_token)
    assert len(await asyncio.gather(*(owner.queue_status() for _ in range(8)))) == 8
    assert len(server.to(LOGIN)) == 1


async def test_a_wrong_password_is_said_in_invokeais_words(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(STATUS, NO_AUTH)
    server.on(LOGIN, json({"detail": "Incorrect email or password"}, 401))
    with pytest.raises(InvokeUnauthorized, match="Incorrect email or password"):
        await owner.connect()
    assert len(server.to(LOGIN)) == 1
    assert owner.token is None


@pytest.mark.parametrize(
    "answer",
    [
        json({"detail": "User account is disabled"}, 403),
        json({"detail": [{"loc": ["body", "email"], "msg": "not an address"}]}, 422),
        json({"detail": "Not Found"}, 404),
        text("404 page not found", 404),
    ],
)
async def test_a_refused_login_is_not_the_answer_to_what_was_asked(
    server: RawInvokeAI, owner: InvokeClient, answer: Answer
) -> None:
    server.on("/api/v1/images/i/a.png", NO_AUTH)
    server.on("/api/v1/images/i/a.png/full", NO_AUTH)
    server.on(LOGIN, answer)
    with pytest.raises(InvokeUnauthorized, match="the login was refused"):
        await owner.image("a.png")
    with pytest.raises(InvokeUnauthorized, match="the login was refused"):
        async with owner.open_file("a.png"):
            pass
    assert owner.token is None


async def test_a_gateway_that_refuses_the_login_is_told_as_the_gateway(
    server: RawInvokeAI, owner: InvokeClient
) -> None:
    server.on("/api/v1/images/i/a.png", NO_AUTH)
    server.on(LOGIN, text("", 302, Location="https://login.example/"))
    with pytest.raises(InvokeGatewayRefused, match=r"https://login\.example/"):
        await owner.image("a.png")
    assert owner.token is None


async def test_a_token_rejected_right_after_login_is_not_tried_again(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(STATUS, NO_AUTH)
    with pytest.raises(InvokeUnauthorized):
        await owner.queue_status()
    assert (len(server.to(LOGIN)), len(server.to(STATUS))) == (1, 2)


async def test_without_credentials_a_multiuser_server_is_unauthorized(
    server: RawInvokeAI, owner: InvokeClient, session: aiohttp.ClientSession
) -> None:
    server.on(STATUS, NO_AUTH)
    with pytest.raises(InvokeUnauthorized, match="none is configured"):
        await InvokeClient(server.url, session=session).connect()


async def test_a_token_the_server_renews_is_taken(server: RawInvokeAI, owner: InvokeClient) -> None:
    server.on(STATUS, NO_AUTH, json(IDLE, **{"X-Refreshed-Token": "t9"}))
    await owner.connect()
    assert owner.token == "t9"


async def test_credentials_do_not_show_their_password() -> None:
    assert "secret" not in repr(OWNER)
    assert "secret" not in str(OWNER)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a\0b", "a b", "", "t" * 10_000, "\u00e9"], ids=ascii)
async def test_a_token_that_cannot_be_sent_is_an_error_with_words(
    server: RawInvokeAI, owner: InvokeClient, token: str
) -> None:
    server.serves(*SINCE_6_14)
    server.on(STATUS, NO_AUTH)
    server.on(AUTH_STATUS, json({"multiuser_enabled": True}))
    server.on(LOGIN, json({"token": token}))
    with pytest.raises(InvokeUnreadable, match="the token of the login is none that can be sent"):
        await owner.queue_status()
    assert owner.token is None
