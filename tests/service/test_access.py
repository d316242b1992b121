"""Access over real sockets: every rule of "Requests from elsewhere", and the owner's password."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http.cookies import Morsel
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.access.password import FAILURES_ALLOWED
from service.access.sessions import LIFETIME, Sessions
from service.access.visitor import Visitor
from service.database.engine import Database
from tests.fakes.darkroom import Darkroom, running, settings_for

PASSWORD = "correct horse"
OPEN = ["/", "/studio", "/health/live", "/health/ready"]
GUARDED = ["/api/v1/photos", "/api/v1/status", "/api/v1/settings", "/api/docs", "/api/openapi.json", "/metrics"]


@pytest.fixture(scope="module")
async def unlocked(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> AsyncIterator[Darkroom]:
    """On loopback, without a password."""
    async with running(settings_for(tmp_path_factory.mktemp("data"), module_database_url)) as darkroom:
        yield darkroom


@pytest.fixture
async def locked(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    settings = settings_for(tmp_path, database_url, password=PASSWORD, allowed_hosts=("photos.example.org",))
    async with running(settings) as darkroom:
        yield darkroom


async def status_of(darkroom: Darkroom, method: str, path: str, **options: Any) -> tuple[int, str | None]:
    async with darkroom.http.request(method, path, allow_redirects=False, **options) as response:
        code = None
        if response.status >= 400 and response.content_type == "application/json":
            code = (await response.json()).get("error", {}).get("code")
        return response.status, code


async def handshake_status(darkroom: Darkroom, headers: dict[str, str]) -> int:
    """What the feed's handshake is answered with; 101 when it is accepted."""
    try:
        async with darkroom.feed(additional_headers=headers) as feed:
            assert (await feed.next())["type"] == "hello"
            return 101
    except InvalidStatus as refused:
        body = json.loads(refused.response.body or b"{}")
        return refused.response.status_code if set(body) == {"error"} else 0


async def sign_in(darkroom: Darkroom, password: str = PASSWORD) -> Morsel[str]:
    async with darkroom.http.post("/api/v1/login", json={"password": password}) as response:
        assert response.status == 204
        return response.cookies["darkroom_session"]


def cookie(morsel: Morsel[str]) -> dict[str, str]:
    return {"Cookie": f"darkroom_session={morsel.value}"}


# --- where requests come from ---


@pytest.mark.parametrize("path", ["/", "/api/v1/photos", "/api/v1/nothing", "/health/live", "/metrics"])
async def test_a_foreign_host_gets_nothing(unlocked: Darkroom, path: str) -> None:
    assert await status_of(unlocked, "GET", path, headers={"Host": "evil.example"}) == (403, "forbidden")


async def test_own_names_are_answered(unlocked: Darkroom) -> None:
    for host in ("127.0.0.1", f"localhost:{unlocked.port}", "[::1]:1234"):
        assert await status_of(unlocked, "GET", "/api/v1/photos", headers={"Host": host}) == (200, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_foreign_pages_change_nothing_and_get_no_feed(unlocked: Darkroom, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/api/v1/sessions"),
        ("DELETE", "/api/v1/photos/trash"),
        ("PATCH", "/api/v1/settings"),
    ):
        assert await status_of(unlocked, method, path, json={}, headers=headers) == (403, "forbidden")
    assert await handshake_status(unlocked, headers) == 403


async def test_the_own_page_changes_things_and_gets_the_feed(unlocked: Darkroom) -> None:
    headers = {"Origin": unlocked.url, "Sec-Fetch-Site": "same-origin"}
    assert await status_of(unlocked, "POST", "/api/v1/sessions", json={"name": "x"}, headers=headers) == (201, None)
    assert await handshake_status(unlocked, headers) == 101


async def test_without_a_password_the_feed_too_refuses_foreign_hosts(unlocked: Darkroom) -> None:
    assert await handshake_status(unlocked, {"Host": "evil.example"}) in (400, 403)


async def test_nobody_frames_or_sniffs_us_and_no_foreign_script_runs(unlocked: Darkroom) -> None:
    for path in ("/", "/api/v1/photos", "/api/v1/nothing", "/api/docs"):
        async with unlocked.http.get(path) as response:
            policy = response.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in response.headers


# --- the password ---


async def test_without_the_password_only_the_page_and_health_are_open(locked: Darkroom) -> None:
    for path in OPEN:
        status, _ = await status_of(locked, "GET", path)
        assert status in (200, 503), path
    for path in GUARDED:
        assert await status_of(locked, "GET", path) == (401, "unauthorized"), path
    assert await status_of(locked, "POST", "/api/v1/sessions", json={"name": "x"}) == (401, "unauthorized")
    assert await handshake_status(locked, {}) == 401


async def test_a_signed_in_browser_may_do_everything_until_it_signs_out(locked: Darkroom) -> None:
    morsel = await sign_in(locked)
    for path in GUARDED:
        assert (await status_of(locked, "GET", path, headers=cookie(morsel)))[0] == 200, path
    assert await handshake_status(locked, cookie(morsel)) == 101
    assert await status_of(locked, "POST", "/api/v1/logout", headers=cookie(morsel)) == (204, None)
    assert await status_of(locked, "GET", "/api/v1/photos", headers=cookie(morsel)) == (401, "unauthorized")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(locked: Darkroom) -> None:
    morsel = await sign_in(locked)
    assert morsel["httponly"] is True
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/"
    assert not morsel["secure"]
    headers = {"X-Forwarded-Proto": "https"}
    async with locked.http.post("/api/v1/login", json={"password": PASSWORD}, headers=headers) as response:
        assert response.cookies["darkroom_session"]["secure"] is True


async def test_the_token_is_stored_hashed_only(locked: Darkroom, database: Database) -> None:
    morsel = await sign_in(locked)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT token_hash, expires_at FROM web_sessions")
    assert len(rows) == 1
    assert morsel.value not in rows[0]["token_hash"]
    assert timedelta(0) < rows[0]["expires_at"] - datetime.now(UTC) <= LIFETIME


async def test_scripts_send_the_password_itself(locked: Darkroom) -> None:
    right = {"Authorization": f"Bearer {PASSWORD}"}
    assert await status_of(locked, "GET", "/api/v1/photos", headers=right) == (200, None)
    assert await status_of(locked, "POST", "/api/v1/sessions", json={"name": "x"}, headers=right) == (201, None)
    assert await handshake_status(locked, right) == 101
    for wrong in ("Bearer wrong password", "Bearer", "Basic abc", PASSWORD):
        assert (await status_of(locked, "GET", "/api/v1/photos", headers={"Authorization": wrong}))[0] == 401


async def test_the_password_does_not_open_the_door_for_foreign_pages(locked: Darkroom) -> None:
    headers = {"Authorization": f"Bearer {PASSWORD}", "Origin": "http://evil.example"}
    assert await status_of(locked, "POST", "/api/v1/sessions", json={"name": "x"}, headers=headers) == (
        403,
        "forbidden",
    )
    evil = {"Origin": "http://evil.example"}
    assert (await status_of(locked, "POST", "/api/v1/login", json={"password": PASSWORD}, headers=evil))[0] == 403


async def test_guessing_is_slowed_down_and_says_for_how_long(locked: Darkroom) -> None:
    for _ in range(FAILURES_ALLOWED):
        assert await status_of(locked, "POST", "/api/v1/login", json={"password": "guess"}) == (401, "unauthorized")
    async with locked.http.post("/api/v1/login", json={"password": PASSWORD}) as response:
        assert response.status == 429
        assert (await response.json())["error"]["code"] == "too_many_requests"
        assert 0 < int(response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("body", [{}, {"password": 5}, {"password": "x", "more": 1}, [], "x"])
async def test_a_broken_login_is_refused_with_words(locked: Darkroom, body: object) -> None:
    assert await status_of(locked, "POST", "/api/v1/login", json=body) == (400, "validation_error")


@pytest.mark.parametrize("value", ["", "wrong", "a" * 4000, '"; x="', "%00"])
async def test_a_made_up_cookie_opens_nothing(locked: Darkroom, value: str) -> None:
    headers = {"Cookie": f"darkroom_session={value}"}
    assert await status_of(locked, "GET", "/api/v1/photos", headers=headers) == (401, "unauthorized")


@pytest.mark.parametrize("neighbour", ['prefs={"theme":"dark"}', "a=b c", "a[b]=1", "flag", "näh=ü", "", "darkroom=1;"])
async def test_cookies_of_other_apps_on_the_same_host_are_no_hindrance(locked: Darkroom, neighbour: str) -> None:
    morsel = await sign_in(locked)
    for pair in ((neighbour, f"darkroom_session={morsel.value}"), (f"darkroom_session={morsel.value}", neighbour)):
        headers = {"Cookie": "; ".join(pair)}
        assert await status_of(locked, "GET", "/api/v1/photos", headers=headers) == (200, None)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_password_beyond_ascii_works_for_scripts_too(tmp_path: Path, database_url: str, encoding: str) -> None:
    password = "Kämmerlein-für-alle"
    async with running(settings_for(tmp_path, database_url, password=password)) as darkroom:
        reader, writer = await asyncio.open_connection("127.0.0.1", darkroom.port)
        head = f"GET /api/v1/settings HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {password}\r\n\r\n"
        writer.write(head.encode(encoding))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


async def test_signing_out_closes_the_feeds_of_that_session_alone_with_4401(locked: Darkroom) -> None:
    mine, other = await sign_in(locked), await sign_in(locked)
    async with (
        locked.feed(additional_headers=cookie(mine)) as feed,
        locked.feed(additional_headers=cookie(other)) as another,
    ):
        await feed.next()
        await another.next()
        assert await status_of(locked, "POST", "/api/v1/logout", headers=cookie(mine)) == (204, None)
        with pytest.raises(ConnectionClosed) as closed:
            await feed.until(lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        await status_of(locked, "POST", "/api/v1/sessions", json={"name": "x"}, headers=cookie(other))
        await another.until(lambda message: message["type"] == "session.updated")


async def about_to_expire(darkroom: Darkroom, database: Database, *, seconds: float, stored: timedelta) -> str:
    """A session as this process remembers it: expiring in seconds, and in the database after `stored`."""
    morsel = await sign_in(darkroom)
    sessions: Sessions = darkroom.app.state["sessions"]
    key = sessions.password.session_key(morsel.value)
    now = datetime.now(UTC)
    async with database.connection() as connection:
        await connection.execute("UPDATE web_sessions SET expires_at = $1 WHERE token_hash = $2", now + stored, key)
    # Renewal is for sessions that are used; this one is kept from it by being remembered already.
    sessions._remembered[key] = (Visitor(session=key, expires_at=now + timedelta(seconds=seconds)), time.monotonic())
    return morsel.value


async def test_a_feed_ends_with_4401_when_its_session_expires(locked: Darkroom, database: Database) -> None:
    token = await about_to_expire(locked, database, seconds=3, stored=timedelta(seconds=3))
    async with locked.feed(additional_headers={"Cookie": f"darkroom_session={token}"}) as feed:
        with pytest.raises(ConnectionClosed) as closed:
            await feed.until(lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_a_feed_stays_when_its_session_was_renewed_meanwhile(locked: Darkroom, database: Database) -> None:
    token = await about_to_expire(locked, database, seconds=3, stored=timedelta(days=20))
    sessions: Sessions = locked.app.state["sessions"]
    asked = asyncio.Event()
    expires_at = sessions.expires_at

    async def noticed(session: str) -> datetime | None:
        asked.set()
        return await expires_at(session)

    sessions.expires_at = noticed  # type: ignore[method-assign]
    async with locked.feed(additional_headers={"Cookie": f"darkroom_session={token}"}) as feed:
        await feed.next()
        await asyncio.wait_for(asked.wait(), 10)
        headers = {"Authorization": f"Bearer {PASSWORD}"}
        assert (await status_of(locked, "POST", "/api/v1/sessions", json={"name": "x"}, headers=headers))[0] == 201
        await feed.until(lambda message: message["type"] == "session.updated")


async def test_sessions_outlive_a_restart_but_not_a_change_of_the_password(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url, password=PASSWORD)
    async with running(settings) as darkroom:
        morsel = await sign_in(darkroom)
    async with running(settings) as darkroom:
        assert await status_of(darkroom, "GET", "/api/v1/photos", headers=cookie(morsel)) == (200, None)
    async with running(settings_for(tmp_path, database_url, password="another one")) as darkroom:
        assert (await status_of(darkroom, "GET", "/api/v1/photos", headers=cookie(morsel)))[0] == 401


async def test_expired_sessions_open_nothing_and_are_swept(locked: Darkroom, database: Database) -> None:
    token = (await sign_in(locked)).value
    password = locked.app.state["sessions"].password
    later = Sessions(database, password, now=lambda: datetime.now(UTC) + LIFETIME + timedelta(seconds=1))
    assert await later.find(token) is None
    await later.sweep()
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM web_sessions") == 0


async def test_a_used_session_is_renewed(locked: Darkroom, database: Database) -> None:
    token = (await sign_in(locked)).value
    password = locked.app.state["sessions"].password
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    assert await Sessions(database, password, now=lambda: in_two_days).find(token) is not None
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT expires_at FROM web_sessions") == in_two_days + LIFETIME


async def test_login_without_a_password_configured_is_harmless(unlocked: Darkroom) -> None:
    async with unlocked.http.post("/api/v1/login", json={"password": "anything"}) as response:
        assert response.status == 204
        assert "darkroom_session" not in response.cookies
    assert await status_of(unlocked, "POST", "/api/v1/logout") == (204, None)


async def test_many_requests_of_one_session_cost_one_look_into_the_database(
    locked: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    morsel = await sign_in(locked)
    reads = 0
    sessions: Sessions = locked.app.state["sessions"]
    read = sessions._read

    async def counted(key: str, now: datetime) -> Any:
        nonlocal reads
        reads += 1
        return await read(key, now)

    monkeypatch.setattr(sessions, "_read", counted)
    for _ in range(5):
        assert (await status_of(locked, "GET", "/api/v1/settings", headers=cookie(morsel)))[0] == 200
    assert reads == 1


async def test_a_server_beyond_loopback_is_reached_by_its_names_and_by_any_address(
    tmp_path: Path, database_url: str
) -> None:
    settings = settings_for(
        tmp_path, database_url, host="0.0.0.0", password=PASSWORD, allowed_hosts=("photos.example.org",)
    )
    async with running(settings) as darkroom, aiohttp.ClientSession(f"http://127.0.0.1:{darkroom.port}") as http:
        headers = {"Authorization": f"Bearer {PASSWORD}", "Host": "photos.example.org"}
        async with http.get("/api/v1/photos", headers=headers) as response:
            assert response.status == 200
        async with http.get("/api/v1/photos", headers=headers | {"Host": "192.168.1.5:8000"}) as response:
            assert response.status == 200
        async with http.get("/api/v1/photos", headers=headers | {"Host": "other.example.org:8000"}) as response:
            assert response.status == 403
            assert "DARKROOM_ALLOWED_HOSTS" in (await response.json())["error"]["message"]
