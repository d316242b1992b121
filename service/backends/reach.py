"""Testing an address: which InvokeAI answers there, while a client waits."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import msgspec

from service.backends.schemas import KnownServer, Reached
from service.database.engine import Database
from service.errors import (
    BackendUnavailable,
    InvokeError,
    InvokeFailed,
    InvokeGatewayRefused,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnauthorized,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai.client import Credentials, Gateway, InvokeClient

TEST_SECONDS: Final = 15.0
NAMES: Final = 10
"""Names of newest images by which a known server is found."""

# One InvokeAI has many addresses; an image of it is recorded under one server.
KNOWN = """
    SELECT id, name FROM backends WHERE url = $1 AND queue_id = $2
    UNION ALL
    SELECT b.id, b.name FROM photos p JOIN backends b ON b.id = p.backend_id WHERE p.invoke_id = ANY($3::text[])
    LIMIT 1
"""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address to ask, with login and gateway."""

    url: str
    queue_id: str
    credentials: dict[str, Any] | None
    gateway: dict[str, Any] | None

    def __repr__(self) -> str:
        """Shows no secret."""
        return f"Address({self.url!r})"


async def reach(database: Database, address: Address) -> Reached:
    """Asks the server at the address. Raises BackendUnavailable, whose words say what is wrong and whose details have a
    `reason`."""
    try:
        async with asyncio.timeout(TEST_SECONDS):
            client, names, reached = await _ask(address)
    except TimeoutError as error:
        raise _unavailable("no_answer", f"{address.url} did not answer within {TEST_SECONDS:g} s") from error
    except InvokeError as error:
        raise _unavailable(*_what_is_wrong(address.url, error)) from error
    async with database.connection() as connection:
        known = await connection.fetchrow(KNOWN, client.url, client.queue_id, names)
    return msgspec.structs.replace(reached, known_as=known and KnownServer(**known))


async def _ask(address: Address) -> tuple[InvokeClient, list[str], Reached]:
    credentials = msgspec.convert(address.credentials, Credentials) if address.credentials else None
    gateway = msgspec.convert(address.gateway, Gateway) if address.gateway else None
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        client = InvokeClient(
            address.url, address.queue_id, credentials, TEST_SECONDS, session=session, gateway=gateway
        )
        info = await client.connect()
        models = len(await client.models())
        try:
            names = [image.image_name for image in (await client.newest_images(NAMES)).items]
        except InvokeError:
            names = []  # which its card will tell; it answers all the same
        return client, names, Reached(version=info.version, multiuser=info.multiuser, models=models, known_as=None)


def _what_is_wrong(url: str, error: InvokeError) -> tuple[str, str]:
    """A reason code and a sentence."""
    match error:
        case InvokeUnauthorized():
            return "gateway" if isinstance(error, InvokeGatewayRefused) else "login", error.words
        case InvokeNoSuchRoute() | InvokeNotFound() | InvokeUnreadable():
            return (
                "not_invokeai",
                f"something answers at {url}, but it is not InvokeAI, or a gateway before it shows its own page",
            )
        case InvokeRefused():
            return (
                "not_invokeai",
                f"something answers at {url}, but not as InvokeAI does: {error.status}, {error.words}",
            )
        case InvokeFailed():
            return "failing", f"{url} answers with an error ({error.status}): is InvokeAI running there?"
        case InvokeUnreachable() | InvokeInterrupted():
            return "no_answer", f"no answer from {url}: {str(error).rpartition('cannot be reached: ')[2]}"
        case _:
            return "failing", str(error)


def _unavailable(reason: str, words: str) -> BackendUnavailable:
    return BackendUnavailable(words, {"reason": reason})
