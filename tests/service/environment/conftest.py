"""Starts of Darkroom that are told of an InvokeAI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from service.backends.environment import environment_backend
from service.database.engine import Database
from service.invokeai.client import Credentials

Start = Callable[..., Awaitable[UUID]]
"""One start with a URL, and perhaps `kind` and `credentials`; the id of the environment's backend."""


@pytest.fixture
def start(database: Database) -> Start:
    async def start(url: str | None, *, kind: str = "server", credentials: Credentials | None = None) -> UUID:
        return await environment_backend(database, url=url, kind=kind, credentials=credentials)

    return start
