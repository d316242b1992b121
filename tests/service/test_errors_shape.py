"""Every failure is answered with `{"error": {"code", "message", "details"?}}` (api.md, Errors)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from litestar import get
from litestar.exceptions import HTTPException

from service import errors
from service.config.settings import ROOT
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.served import served

NO_ID = UUID(int=0)
CODES = {
    400: {"validation_error", "invokeai_generation_error"},
    401: {"unauthorized"},
    403: {"forbidden"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    409: {"conflict"},
    413: {"too_large"},
    415: {"unsupported_media_type"},
    416: {"range_not_satisfiable"},
    429: {"too_many_requests"},
    431: {"head_too_large"},
    500: {"server_error"},
    502: {"invokeai_connection_error", "provider_connection_error"},
    503: {"unavailable"},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def darkroom(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path_factory.mktemp("data"), module_database_url)) as darkroom:
        yield darkroom


async def error_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body = await response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) in ({"code", "message"}, {"code", "message", "details"})
    assert error["code"] in CODES[response.status]
    assert isinstance(error["message"], str)
    assert len(error["message"]) > 3
    assert "Traceback" not in error["message"]
    return error


def test_every_code_is_documented() -> None:
    documented = (ROOT / "docs" / "api.md").read_text()
    for status, codes in CODES.items():
        for code in codes:
            assert f"{status} `{code}`" in documented


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/nothing", None, 404),
        ("POST", "/api/v1/nothing/at/all", b"{}", 404),
        ("GET", "/api/nothing", None, 404),
        ("DELETE", "/api/v2/photos", None, 404),
        ("GET", "/missing.png", None, 404),
        ("PUT", "/api/v1/status", b"{}", 405),
        ("POST", "/health/live", b"{}", 405),
        ("GET", f"/api/v1/photos/{NO_ID}", None, 404),
        ("GET", "/api/v1/photos/not-a-uuid", None, 404),
        ("GET", f"/api/v1/photos/{NO_ID}/file", None, 404),
        ("GET", f"/api/v1/photos/{NO_ID}/thumbnail", None, 404),
        ("GET", f"/api/v1/steps/{NO_ID}", None, 404),
        ("GET", f"/api/v1/sessions/{NO_ID}", None, 404),
        ("GET", f"/api/v1/backends/{NO_ID}", None, 404),
        ("GET", f"/api/v1/previews/{NO_ID}/1", None, 404),
        ("GET", "/api/v1/photos?limit=0", None, 400),
        ("GET", "/api/v1/photos?limit=201", None, 400),
        ("GET", "/api/v1/photos?limit=many", None, 400),
        ("GET", "/api/v1/photos?cursor=nonsense", None, 400),
        ("GET", "/api/v1/photos?order=sideways", None, 400),
        ("GET", "/api/v1/photos?no_such_filter=1", None, 400),
        ("GET", "/api/v1/models?backend_id=x", None, 400),
        ("PATCH", "/api/v1/settings", b"{", 400),
        ("PATCH", "/api/v1/settings", b"", 400),
        ("PATCH", "/api/v1/settings", b"null", 400),
        ("PATCH", "/api/v1/settings", b"[]", 400),
        ("PATCH", "/api/v1/settings", b'{"unknown": 1}', 400),
        ("PATCH", "/api/v1/settings", b'{"trash_days": -1}', 400),
        ("PATCH", "/api/v1/settings", b'{"trash_days": "three"}', 400),
        ("PATCH", "/api/v1/settings", b'{"trash_days": null}', 400),
        ("PATCH", "/api/v1/settings", b"\xff\xfe", 400),
        ("PATCH", "/api/v1/settings", b'{"trash_days": "3"}', 400),
        ("PATCH", "/api/v1/settings", b'{"\xff": 3}', 400),
        ("PATCH", "/api/v1/settings", b'{"trash_days": ' + b"[" * 200_000, 400),
        ("POST", "/api/v1/login", b'{"password":"\xff"}', 400),
        ("POST", "/api/v1/backends", b'{"name": "x\\u0000", "url": "http://127.0.0.1:9"}', 400),
        ("GET", "/api/v1/models?base=%00", None, 400),
        ("HEAD", "/api/v1/nothing", None, 404),
        ("POST", "/api/v1/sessions", b'{"name": 5}', 400),
        ("POST", "/api/v1/sessions", b" " * (3 * 2**20), 413),
        ("POST", "/api/v1/backends", b'{"url": "not a url"}', 400),
    ],
)
async def test_what_clients_do_wrong_is_told_in_one_shape(
    darkroom: Darkroom, method: str, path: str, body: bytes | None, status: int
) -> None:
    async with darkroom.http.request(
        method, path, data=io.BytesIO(body) if body is not None else None, headers=JSON
    ) as response:
        assert response.status == status
        if method != "HEAD":
            await error_of(response)


async def test_an_empty_body_where_one_is_needed_is_named(darkroom: Darkroom) -> None:
    async with darkroom.http.post("/api/v1/sessions", headers=JSON) as response:
        assert response.status == 400
        assert (await error_of(response))["message"] == "a JSON body is needed"


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(darkroom: Darkroom) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", darkroom.port)
    head = f"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1:{darkroom.port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 10\r\n\r\n{{}}".encode())
    await writer.drain()
    writer.close()
    sessions = 'method="POST",route="/api/v1/sessions",status='

    async def metrics() -> str:
        async with darkroom.http.get("/metrics") as response:
            return await response.text()

    async with asyncio.timeout(10):
        while f'{sessions}"400"' not in (text := await metrics()):
            await asyncio.sleep(0.05)
    assert f'{sessions}"500"' not in text


async def test_a_body_of_another_type_is_told_in_the_same_shape(darkroom: Darkroom) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"Content-Type": content_type}
        async with darkroom.http.patch("/api/v1/settings", data=b"trash_days=3", headers=headers) as response:
            assert response.status == 415
            await error_of(response)


async def test_a_refused_value_is_named(darkroom: Darkroom) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"thumbnail_quality": 101}) as response:
        error = await error_of(response)
    assert "thumbnail_quality" in error["message"]
    assert error["details"] == {"field": "thumbnail_quality"}
    async with darkroom.http.get("/api/v1/photos?limit=0") as response:
        assert "limit" in (await error_of(response))["message"]


def failing(error: Exception) -> Any:
    @get("/fails")
    async def fails() -> None:
        raise error

    return fails


API_ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]


@pytest.mark.parametrize("kind", API_ERRORS, ids=lambda kind: kind.__name__)
async def test_every_error_of_the_tree_answers_with_its_status_and_code(kind: type[errors.ApiError]) -> None:
    async with served([failing(kind("what is wrong", {"key": 1}))]) as client, client.get("/fails") as response:
        assert response.status == kind.status
        assert await error_of(response) == {"code": kind.code, "message": "what is wrong", "details": {"key": 1}}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvokeUnreachable("no route"), 502),
        (errors.InvokeInterrupted("timed out"), 502),
        (errors.InvokeUnauthorized(401, "who are you"), 502),
        (errors.InvokeFailed(500, "oops"), 502),
        (errors.InvokeConflict(409, "maintenance"), 502),
        (errors.InvokeNoSuchRoute(404, "page"), 502),
        (errors.InvokeNotFound(404, "no such item"), 404),
        (errors.InvokeRefused(422, "bad graph"), 400),
        (msgspec.ValidationError("Expected int"), 400),
        (HTTPException(detail="teapot", status_code=400), 400),
        (HTTPException(detail="internals", status_code=503), 500),
        (RuntimeError("the password is hunter2"), 500),
        (KeyError("secret"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_every_other_exception_has_its_place(error: Exception, status: int) -> None:
    async with served([failing(error)]) as client, client.get("/fails") as response:
        assert response.status == status
        told = await error_of(response)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            assert not any(word in told["message"] for word in ("hunter2", "secret", "internals"))


async def test_a_database_that_fails_is_our_fault_and_says_no_more(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        async with darkroom.app.state["database"].connection() as connection:
            await connection.execute("ALTER TABLE photos RENAME TO elsewhere")
        async with darkroom.http.get("/api/v1/photos") as response:
            assert response.status == 500
            assert "elsewhere" not in (await error_of(response))["message"]
