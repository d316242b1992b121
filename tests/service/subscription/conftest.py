"""A raw socket server, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from service.invokeai.client import InvokeClient
from tests.fakes.raw_invokeai import client_session
from tests.fakes.raw_socket import RawSockets, raw_sockets


@pytest.fixture
async def server() -> AsyncIterator[RawSockets]:
    async with raw_sockets() as server:
        server.rest.serves()
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
def client(server: RawSockets, session: aiohttp.ClientSession) -> InvokeClient:
    return InvokeClient(server.url, timeout=2, session=session)
