"""Changes of rows of `backends` that the API asks for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.backends.gateways import merged
from service.backends.rows import ORIGIN
from service.backends.schemas import BackendCreate, BackendPatch, GatewayGiven
from service.config.addresses import host_of, normalised_url
from service.database.engine import Connection
from service.errors import Conflict, NotFound, ValidationError
from service.media.identity import new_id
from service.pods import changes
from service.pods.changes import NewPod, PodChange

# One change of an address at a time: of two that ask for the same one, the second finds the first.
LOCK_ADDRESSES = "SELECT pg_advisory_xact_lock(hashtextextended('addresses', 0))"
TAKEN = "SELECT FROM backends WHERE url = $1 AND queue_id = $2"
INSERT = f"""
    INSERT INTO backends (id, name, url, queue_id, logins, gateways, enabled, mirror, kind)
    VALUES ($1, $2, $3, $4,
            CASE WHEN $5::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$3")}, $5::jsonb) END,
            CASE WHEN $6::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$3")}, $6::jsonb) END,
            $7, $8, $9)
"""
URL = "SELECT url FROM backends WHERE id = $1"
GATEWAY = f"""
    SELECT (gateways->{ORIGIN.format("coalesce($2, url)")})::text FROM backends WHERE id = $1 FOR UPDATE
"""
CHANGES_ADDRESS = """
    SELECT coalesce($2, url) AS url, coalesce($3, queue_id) AS queue_id FROM backends
     WHERE id = $1 AND (coalesce($2, url), coalesce($3, queue_id)) <> (url, queue_id)
"""
# The queue of another server at a pod's address is not looked at before the pod is stopped (pods/proof.py).
SECOND_OF_A_POD = """
    SELECT other.name FROM backends one JOIN backends other ON other.url = one.url AND other.id <> one.id
     WHERE one.id = $1 AND one.enabled AND other.enabled
       AND EXISTS (SELECT FROM pods WHERE backend_id IN (one.id, other.id)) LIMIT 1
"""
# A change of address forgets the version and state of the server that was there, and the owner's answer about it. A
# change from our images to everybody's begins at the backend's beginning (gallery reading).
PATCH = f"""
    UPDATE backends SET
           name = coalesce($2, name), url = coalesce($3, url), queue_id = coalesce($4, queue_id),
           logins = CASE WHEN NOT $5 THEN logins WHEN $6::jsonb IS NULL THEN '{{}}'
                         ELSE logins || jsonb_build_object({ORIGIN.format("coalesce($3, url)")}, $6::jsonb) END,
           gateways = CASE WHEN NOT $9 THEN gateways WHEN $10::jsonb IS NULL THEN '{{}}'
                           ELSE gateways || jsonb_build_object({ORIGIN.format("coalesce($3, url)")}, $10::jsonb) END,
           enabled = coalesce($7, enabled), mirror = coalesce($8, mirror),
           gallery_watermark = CASE WHEN mirror <> 'own' OR coalesce($8, mirror) = 'own' THEN gallery_watermark END,
           version = CASE WHEN coalesce($3, url) = url THEN version END,
           identity_since = CASE WHEN coalesce($3, url) = url THEN identity_since END
     WHERE id = $1 RETURNING id
"""

SEEN = "UPDATE backends SET gone_seen_at = now() WHERE id = $1 RETURNING id"


async def create(connection: Connection, wanted: BackendCreate, pod: NewPod | None = None) -> UUID:
    """Raises ValidationError for its URL, Conflict when that queue of that server, or that pod, is known already."""
    where = wanted.url if wanted.url is not None or pod is None else pod.proxy_url
    if where is None:
        raise ValidationError("url: the address of the server is needed", {"field": "url"})
    url = address(where)
    identity = new_id()
    name = wanted.name or host_of(url)
    credentials = _json(wanted.credentials)
    gateway = _text(merged(wanted.gateway)) if wanted.gateway is not None else None
    values = (identity, name, url, wanted.queue_id, credentials, gateway, wanted.enabled, wanted.mirror, wanted.kind)
    async with connection.transaction():
        await connection.execute(LOCK_ADDRESSES)
        if await connection.fetchrow(TAKEN, url, wanted.queue_id) is not None:
            raise _known_already()
        await connection.execute(INSERT, *values)
        if pod is not None:
            await changes.insert(connection, identity, pod)
        await _refuse_second_of_a_pod(connection, identity)
    return identity


async def patch(connection: Connection, backend_id: UUID, wanted: BackendPatch, pod: PodChange | None = None) -> None:
    """Changes a row. Raises as `create` does, and NotFound. A login or gateway belongs to the origin of the address it
    is given with; each former one stays with its own origin. The proxy address of a pod follows the pod."""
    url = given(wanted.url)
    url = address(url) if url is not None else None
    queue_id = given(wanted.queue_id)
    try:
        async with connection.transaction():
            await connection.execute(LOCK_ADDRESSES)
            if url is None and pod is not None and pod.moves is not None:
                former, moved = pod.moves
                url = moved if await connection.fetchval(URL, backend_id) == former else None
            new = await connection.fetchrow(CHANGES_ADDRESS, backend_id, url, queue_id)
            if new is not None and await connection.fetchrow(TAKEN, new["url"], new["queue_id"]) is not None:
                raise _known_already()
            gateway = await _gateway(connection, backend_id, url, given(wanted.gateway))
            found = await connection.fetchrow(
                PATCH,
                backend_id,
                given(wanted.name),
                url,
                queue_id,
                wanted.credentials is not msgspec.UNSET,
                _json(given(wanted.credentials)),
                given(wanted.enabled),
                given(wanted.mirror),
                wanted.gateway is not msgspec.UNSET,
                gateway,
            )
            if found is not None and pod is not None:
                await changes.apply(connection, backend_id, pod)
            if new is not None or given(wanted.enabled):
                await _refuse_second_of_a_pod(connection, backend_id)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("another server that is switched on has this address") from error
    if found is None:
        raise NotFound("there is no such server")


async def _gateway(
    connection: Connection, backend_id: UUID, url: str | None, wanted: GatewayGiven | None
) -> str | None:
    """The gateway that is stored for the origin, with the given changes."""
    if wanted is None:
        return None
    stored = await connection.fetchval(GATEWAY, backend_id, url)
    return _text(merged(wanted, msgspec.json.decode(stored) if stored is not None else None))


async def _refuse_second_of_a_pod(connection: Connection, backend_id: UUID) -> None:
    other = await connection.fetchval(SECOND_OF_A_POD, backend_id)
    if other is not None:
        raise Conflict(
            f"{other!r} is at this address: of a rented machine one queue is watched, or a stop would lose images",
            {"field": "url"},
        )


async def mark_gone_seen(connection: Connection, backend_id: UUID) -> None:
    """Marks them as seen. Raises NotFound."""
    if await connection.fetchrow(SEEN, backend_id) is None:
        raise NotFound("there is no such server")


def given(value: Any) -> Any:
    """None for a field that a patch leaves out."""
    return None if value is msgspec.UNSET else value


def address(url: str) -> str:
    """The address in its normal form. Raises ValidationError."""
    try:
        return normalised_url(url)
    except ValueError as error:
        raise ValidationError(f"url: {error}", {"field": "url"}) from error


def _json(value: msgspec.Struct | None) -> str | None:
    return msgspec.json.encode(value).decode() if value is not None else None


def _text(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _known_already() -> Conflict:
    return Conflict("this server was added before: another has this address and queue")
