"""Checks a database of the owner's before anything is written to it: can a library be kept there?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Final

import asyncpg

from service.database.engine import MOST_CONNECTIONS
from service.database.models import Base
from service.database.url import DatabaseUrl
from service.errors import StartupError

OLDEST_SERVER: Final = 15
AT_ONCE: Final = 4
"""Connections by which a pooler is recognised. A pooler of several processes has sessions of its own in each: of four
connections two are likely to meet in one process."""
ANSWER_SECONDS: Final = 20.0

FACTS: Final = """
    SELECT current_setting('server_version_num')::int / 10000 AS major,
           current_setting('server_encoding') AS encoding,
           current_setting('transaction_read_only') = 'on' AS is_read_only,
           current_database()::text AS database, current_user::text AS role, current_schema()::text AS schema,
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
"""
NOT_OURS: Final = """
    SELECT relname::text AS name, pg_get_userbyid(relowner)::text AS owner FROM pg_class
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
       AND relkind IN ('r', 'p') AND relname = ANY($1::text[]) AND NOT pg_has_role(relowner, 'USAGE')
     ORDER BY relname
"""
# A process id alone is not enough: two servers behind one address may both use it.
SESSION: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"

POOLED: Final = (
    "it is reached through a connection pooler that shares sessions between transactions (transaction or statement"
    " pooling), but Darkroom keeps locks and prepared statements in its sessions. Give the address of the server"
    " itself, or of a pooler in session mode (pgbouncer: pool_mode = session)"
)


async def check(url: DatabaseUrl) -> None:
    """StartupError says what is wrong with the database, and how to make a right one. Errors of connecting are raised
    as they are."""
    opened = await asyncio.gather(*(_connect(url) for _ in range(AT_ONCE)), return_exceptions=True)
    connections = [found for found in opened if not isinstance(found, BaseException)]
    try:
        for found in opened:
            if isinstance(found, BaseException):
                raise found
        if reason := await _reason(connections):
            raise StartupError(f"the database {url.place} cannot be used: {reason}")
    finally:
        for connection in connections:
            connection.terminate()


async def _connect(url: DatabaseUrl) -> asyncpg.Connection[asyncpg.Record]:
    # No prepared statements: a pooler may lose them before it is recognised.
    return await url.connect(statement_cache_size=0, command_timeout=ANSWER_SECONDS)


async def _reason(connections: list[asyncpg.Connection[asyncpg.Record]]) -> str | None:
    """Why no library can be kept there, or None."""
    try:
        if not await _has_sessions_of_its_own(connections):
            return POOLED
    except asyncpg.PostgresConnectionError as error:
        if "pooling" not in str(error):
            raise
        return POOLED  # in statement mode pgbouncer begins no transaction, and says why
    async with connections[0].transaction():
        [facts] = await connections[0].fetch(FACTS)
        tables = await connections[0].fetch(NOT_OURS, [table.name for table in Base.metadata.sorted_tables])
    return next(_wrongs(facts, tables), None)


def _wrongs(facts: asyncpg.Record, tables: list[asyncpg.Record]) -> Iterator[str]:
    """All faults, each with its remedy."""
    role, schema = _quoted(facts["role"]), _quoted(facts["schema"] or "public")
    if facts["major"] < OLDEST_SERVER:
        yield f"the server is PostgreSQL {facts['major']}, and Darkroom needs {OLDEST_SERVER} or newer"
    if facts["encoding"] != "UTF8":
        yield (
            f"its encoding is {facts['encoding']}, which loses letters of prompts, and Darkroom needs UTF8. Make one"
            f" with {creation(facts['database'] + '_utf8', facts['role'])} and name it in DARKROOM_DATABASE_URL."
            " docs/database.md says how a library gets there"
        )
    if facts["is_read_only"]:
        yield (
            "it can only be read, as a standby: give the address of the primary server, or several hosts with"
            " target_session_attrs=read-write"
        )
    if facts["schema"] is None:
        yield f"no schema of its search_path exists. Make one with CREATE SCHEMA AUTHORIZATION {role};"
    if not facts["may_create"]:
        yield (
            f"the role {role} may not create tables in it. As its owner or an administrator, in this database, say"
            f" GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};"
        )
    if tables:
        yield (
            f"{role} does not own the table {tables[0]['name']} ({tables[0]['owner']} does), nor {len(tables) - 1}"
            f" others, and cannot migrate them. As an administrator, in this database, say {_given_to(role, schema)}"
        )


def creation(database: str, role: str) -> str:
    """The command that makes a right database, for an administrator of the server."""
    return (
        f"CREATE DATABASE {_quoted(database)} OWNER {_quoted(role)}"
        " ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0;"
    )


async def _has_sessions_of_its_own(connections: list[asyncpg.Connection[asyncpg.Record]]) -> bool:
    """Whether each connection is one session of the server, independent of the others. Pools give the session that was
    free last, or the one that was free first: forwards, all meet the former; backwards, each meets another one."""
    sessions = [await _session(connection) for connection in connections]
    again = [await _session(connection) for connection in reversed(connections)]
    return len(set(sessions)) == len(connections) and again[::-1] == sessions


async def _session(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[object, ...]:
    try:
        async with connection.transaction():
            [row] = await connection.fetch(SESSION)
    except TimeoutError as error:
        raise StartupError(
            f"the database, or a pooler before it, serves fewer than {AT_ONCE} connections at once. Darkroom uses up"
            f" to {MOST_CONNECTIONS}: raise the pooler's pool size (pgbouncer: default_pool_size)"
        ) from error
    return tuple(row)


def _given_to(role: str, schema: str) -> str:
    """The SQL that makes a role the owner of all tables and functions; indexes and sequences follow their tables."""
    return (
        "DO $$ DECLARE one text; BEGIN"
        " FOR one IN SELECT format('TABLE %s', oid::regclass) FROM pg_class"
        f" WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p')"
        " UNION ALL SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc"
        f" WHERE pronamespace = '{schema}'::regnamespace"
        f" LOOP EXECUTE format('ALTER %s OWNER TO {role}', one); END LOOP; END $$;"
    )


def _quoted(name: str) -> str:
    """An identifier quoted for SQL."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
