"""The owner's answer what an unrecognised InvokeAI is: the same server, or a new one (recognised servers only)."""

from __future__ import annotations

from uuid import UUID

from service.backends.environment import SETTING
from service.backends.queries import LOCK_ADDRESSES
from service.backends.rows import ORIGIN
from service.config.addresses import host_of
from service.database.engine import Connection
from service.errors import Conflict
from service.media.identity import new_id

# Guarded by the address that was seen unrecognised: it may have been changed since.
SAME = "UPDATE backends SET identity_since = now() WHERE id = $1 AND enabled AND url = $2 RETURNING id"
FORMER = f"""
    SELECT name, (logins->{ORIGIN.format("url")})::text AS login,
           (gateways->{ORIGIN.format("url")})::text AS gateway, coalesce(recognised_url, url) AS recognised_url
      FROM backends WHERE id = $1 AND enabled AND url = $2 FOR UPDATE
"""
# The former server goes back to the address where it was last recognised. The login of the address that it leaves stays
# with that address.
STEP_ASIDE = f"""
    UPDATE backends SET
           enabled = false, url = $2, version = NULL, identity_since = NULL,
           logins = CASE WHEN {ORIGIN.format("$2")} = {ORIGIN.format("url")} THEN logins
                         ELSE logins - {ORIGIN.format("url")} END,
           gateways = CASE WHEN {ORIGIN.format("$2")} = {ORIGIN.format("url")} THEN gateways
                           ELSE gateways - {ORIGIN.format("url")} END
     WHERE id = $1
"""
ADD = f"""
    INSERT INTO backends (id, name, kind, url, queue_id, mirror, logins, gateways)
    SELECT $1, $2, former.kind, $4, former.queue_id, former.mirror,
           CASE WHEN $5::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$4")}, $5::jsonb) END,
           CASE WHEN $6::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$4")}, $6::jsonb) END
      FROM backends former WHERE former.id = $3
"""
# A rented machine belongs to its address: it goes to the new server, and the former one is a server without a machine.
POD = "UPDATE pods SET backend_id = $2 WHERE backend_id = $1 RETURNING backend_id"
NO_POD = "UPDATE backends SET kind = 'server' WHERE id = $1"
ENVIRONMENT = """
    UPDATE settings SET value = value || jsonb_build_object('backend_id', $3::text)
     WHERE key = $1 AND value->>'backend_id' = $2::text
"""


async def confirm_same(connection: Connection, backend_id: UUID, url: str) -> None:
    """The server moved to `url` or was emptied: missing records count no longer until something new is recorded. Raises
    Conflict when the address was changed in between."""
    if await connection.fetchval(SAME, backend_id, url) is None:
        raise _changed_since()


async def move_to_new_server(connection: Connection, backend_id: UUID, url: str) -> UUID:
    """A new server gets the address `url`, with the login and the gateway that were given for it. The former one keeps
    its photos, steps and batches, and is switched off, at the address where it was last recognised. A rented machine at
    the address becomes the new server's. Raises as `confirm_same` does."""
    async with connection.transaction():
        await connection.execute(LOCK_ADDRESSES)
        former = await connection.fetchrow(FORMER, backend_id, url)
        if former is None:
            raise _changed_since()
        new = new_id()
        name = host_of(url)
        await connection.execute(STEP_ASIDE, backend_id, former["recognised_url"])
        await connection.execute(
            ADD,
            new,
            f"{name} (new)" if name == former["name"] else name,
            backend_id,
            url,
            former["login"],
            former["gateway"],
        )
        if await connection.fetchval(POD, backend_id, new) is not None:
            await connection.execute(NO_POD, backend_id)
        await connection.execute(ENVIRONMENT, SETTING, str(backend_id), str(new))
    return new


def _changed_since() -> Conflict:
    return Conflict("this server was changed meanwhile")
