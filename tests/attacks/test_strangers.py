"""A Darkroom with a password, attacked without it, while its owner browses."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest

from tests.attacks.owner import PASSWORD, browsing
from tests.attacks.strangers import ENDLESS_HEADS, PIPELINES, attacking, be_silent, guess, pour, trickle
from tests.fakes.process import DarkroomProcess

pytestmark = pytest.mark.attacks

SECONDS = 8.0
GUESSES = 2000
SILENT_CONNECTIONS = 1100


async def test_endless_heads(darkroom: DarkroomProcess) -> None:
    heads = [pour(darkroom.port, start, more) for start, more in ENDLESS_HEADS.values()]
    async with browsing(darkroom), attacking(*heads):
        await asyncio.sleep(SECONDS)


async def test_pipelines_whose_answers_are_not_read(darkroom: DarkroomProcess) -> None:
    pipelines = [pour(darkroom.port, b"", requests) for requests in PIPELINES.values() for _ in range(4)]
    async with browsing(darkroom), attacking(*pipelines):
        await asyncio.sleep(SECONDS)


async def test_more_silent_connections_than_there_are_descriptors(darkroom: DarkroomProcess) -> None:
    begun = (b"", b"GET / HTTP/1.1\r\nHost: x\r\n")
    silent = [be_silent(darkroom.port, begun[number % 2]) for number in range(SILENT_CONNECTIONS)]
    async with browsing(darkroom), attacking(*silent):
        await asyncio.sleep(2 * SECONDS)


async def test_heads_and_bodies_that_trickle(darkroom: DarkroomProcess) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"v" * 50_000
    body = (
        b"POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 16000\r\n\r\n" + b" " * 8000
    )
    slow = [trickle(darkroom.port, (head, body)[number % 2], b" ") for number in range(SILENT_CONNECTIONS)]
    async with browsing(darkroom), attacking(*slow):
        await asyncio.sleep(SECONDS)


async def test_thousands_of_wrong_passwords_from_changing_addresses(darkroom: DarkroomProcess) -> None:
    answers: Counter[int] = Counter()
    signed_in = 0
    guesses = [guess(darkroom.url, answers) for _ in range(100)]
    async with browsing(darkroom), attacking(*guesses):
        while sum(answers.values()) < GUESSES or signed_in < 3:
            async with (
                aiohttp.ClientSession(darkroom.url, headers={"X-Forwarded-For": "192.168.1.2"}) as http,
                http.post("/api/v1/login", json={"password": PASSWORD}) as response,
            ):
                assert response.status == 204, await response.text()
                signed_in += 1
            await asyncio.sleep(0.5)
    print(f"    guesses: {dict(answers)}, the owner signed in {signed_in} times")
    assert set(answers) <= {401, 429}, "nobody is in"
