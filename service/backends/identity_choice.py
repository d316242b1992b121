"""What the owner says of an InvokeAI that was not recognised: it is the same server, or a new one (rule 19)."""

from __future__ import annotations

from uuid import UUID

from service.backends.address import host_of
from service.backends.environment import SETTING
from service.backends.queries import LOCK_ADDRESSES, ORIGIN
from service.database.engine import Connection
from service.errors import Conflict
from service.media.identity import new_id

# Guarded by the address that was seen unrecognised: it may have been changed since.
SAME = "UPDATE backends SET identity_since = now() WHERE id = $1 AND enabled AND url = $2 RETURNING id"
FORMER = f"""
    SELECT name, (logins->{ORIGIN.format("url")})::text AS login, coalesce(recognised_url, url) AS recognised_url
      FROM backends WHERE id = $1 AND enabled AND url = $2 FOR UPDATE
"""
# It goes back to where it was last recognised. The login of the address it leaves goes with that address.
STEP_ASIDE = f"""
    UPDATE backends SET
           enabled = false, url = $2, version = NULL, identity_since = NULL,
           logins = CASE WHEN {ORIGIN.format("$2")} = {ORIGIN.format("url")} THEN logins
                         ELSE logins - {ORIGIN.format("url")} END
     WHERE id = $1
"""
ADD = f"""
    INSERT INTO backends (id, name, kind, url, queue_id, mirror, logins)
    SELECT $1, $2, former.kind, $4, former.queue_id, former.mirror,
           CASE WHEN $5::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$4")}, $5::jsonb) END
      FROM backends former WHERE former.id = $3
"""
ENVIRONMENT = """
    UPDATE settings SET value = value || jsonb_build_object('backend_id', $3::text)
     WHERE key = $1 AND value->>'backend_id' = $2::text
"""


async def is_same(connection: Connection, backend_id: UUID, url: str) -> None:
    """It moved to `url`, or was emptied: that it lacks what was recorded until now counts no longer. Raises Conflict
    when the address was changed meanwhile."""
    if await connection.fetchval(SAME, backend_id, url) is None:
        raise _changed_since()


async def is_new(connection: Connection, backend_id: UUID, url: str) -> UUID:
    """A new server gets the address `url` and the login that was given for it. The former one keeps its photos, steps
    and batches, and waits, switched off, at the address where it was last recognised. Raises as `is_same` does."""
    async with connection.transaction():
        await connection.execute(LOCK_ADDRESSES)
        former = await connection.fetchrow(FORMER, backend_id, url)
        if former is None:
            raise _changed_since()
        new = new_id()
        name = host_of(url)
        await connection.execute(STEP_ASIDE, backend_id, former["recognised_url"])
        await connection.execute(
            ADD, new, f"{name} (new)" if name == former["name"] else name, backend_id, url, former["login"]
        )
        await connection.execute(ENVIRONMENT, SETTING, str(backend_id), str(new))
    return new


def _changed_since() -> Conflict:
    return Conflict("this server was changed meanwhile")
