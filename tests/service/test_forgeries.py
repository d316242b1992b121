"""Requests that two servers would read differently, paths that lead out, and words that would forge a log line."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from service.config import logs
from tests.fakes.darkroom import Darkroom, running, settings_for

HEAD = "POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
async def darkroom(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path_factory.mktemp("data"), module_database_url)) as darkroom:
        yield darkroom


async def answers(darkroom: Darkroom, sent: str) -> str:
    """All that comes until the server closes, or has answered what is no forgery."""
    reader, writer = await asyncio.open_connection("127.0.0.1", darkroom.port)
    writer.write(sent.encode("latin-1"))
    writer.write_eof()
    async with asyncio.timeout(30):
        said = await reader.read()
    writer.close()
    return said.decode("latin-1")


@pytest.mark.parametrize(
    "forged",
    [
        HEAD + f"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
        HEAD + f"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n{SMUGGLED}",
        HEAD + f"Content-Length: 2\r\nContent-Length: 60\r\n\r\n{{}}{SMUGGLED}",
        HEAD + f"Content-Length: +2\r\n\r\n{{}}{SMUGGLED}",
        HEAD + f"Content-Length : 2\r\n\r\n{{}}{SMUGGLED}",
        HEAD + f"Content-Length:\r\n 2\r\n\r\n{{}}{SMUGGLED}",
        HEAD + f"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
        HEAD + f"Transfer-Encoding: chunked\r\n\r\n-1\r\n{SMUGGLED}",
    ],
)  # fmt: skip
async def test_a_request_with_two_readings_is_refused_and_nothing_behind_it_is_read(
    darkroom: Darkroom, forged: str
) -> None:
    said = await answers(darkroom, forged)
    assert said.startswith("HTTP/1.1 400"), said
    assert said.count("HTTP/1.1 ") == 1, "what is hidden in the body is no request"


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%5c..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/%2Fetc/passwd",
        "/assets/....//....//etc/passwd",
        "/assets/%00/etc/passwd",
        "/..;/..;/etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_page(darkroom: Darkroom, path: str) -> None:
    said = await answers(darkroom, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert said.startswith("HTTP/1.1 ")
    assert "root:" not in said


@pytest.mark.parametrize("format", ["console", "json"])
def test_foreign_words_forge_no_log_line_and_steer_no_terminal(
    format: logs.LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    words = 'Cold\x1b[31m\x1b]0;title\x07\r\n12:00:00 [critical] forged  "x'
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure(format)
        structlog.get_logger().warning("image", name=words, error=str(ValueError(words)))
    finally:
        structlog.configure(**before)
        root.handlers, root.level = handlers, level
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not {"\x1b", "\x07", "\r"} & set(said)
    if format == "json":
        assert json.loads(said)["name"] == words


def test_a_log_of_a_library_says_foreign_words_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure("json")
        logging.getLogger("pyvips").warning("bad %s", "png\r\n\x1b[31mforged")
    finally:
        structlog.configure(**before)
        root.handlers, root.level = handlers, level
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
