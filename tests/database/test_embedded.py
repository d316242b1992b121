"""The embedded PostgreSQL under everything that ends it, or stands in its way."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url

from service.database.embedded.server import EmbeddedPostgres
from service.errors import StartupError


async def connect(url: str) -> Any:
    parts = make_url(url)
    return await asyncpg.connect(
        host=parts.query["host"],
        port=5432,
        user="postgres",
        database="postgres",
        ssl="disable",
        target_session_attrs="any",
    )


async def run(url: str, *statements: str) -> Any:
    """The value of the last statement."""
    connection = await connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[str]:
    postgres = EmbeddedPostgres(folder)
    url = await postgres.start()
    try:
        yield url
    finally:
        await postgres.stop()


@asynccontextmanager
async def held_elsewhere(folder: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another process with a running server, and the server's URL; killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.database.holder",
        str(folder),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder.parent)},
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def no_server_alive(folder: Path) -> bool:
    """True once no process of the folder's cluster is left; the lock they inherit says so."""

    def wait() -> None:
        with (folder / "server.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    await asyncio.to_thread(wait)
    return not servers_of(folder)


def servers_of(folder: Path) -> list[int]:
    """Their first processes: a child just forked still goes by its parent's command line."""
    found = {}
    for process in psutil.process_iter(["cmdline", "status", "ppid"]):
        words = process.info["cmdline"] or []
        if str(folder / "cluster") in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found[process.pid] = process.info["ppid"]
    return [pid for pid, parent in found.items() if parent not in found]


async def test_what_was_written_is_there_after_a_restart(public_folder: Path) -> None:
    async with started(public_folder / "db") as url:
        await run(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT n FROM kept") == 7


async def test_stop_leaves_no_process_and_no_socket_and_may_be_repeated(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    await postgres.stop()
    url = await postgres.start()
    sockets = Path(str(make_url(url).query["host"]))
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    connection = await connect(url)  # an open connection does not hold the stop up
    await postgres.stop()
    await postgres.stop()
    assert await postgres.exited == 0
    assert not sockets.exists()
    assert not servers_of(public_folder / "db")
    connection.terminate()


async def test_it_listens_on_no_network_and_uses_the_settings_measured_best(public_folder: Path) -> None:
    async with started(public_folder / "db") as url:
        connection = await connect(url)
        wanted = {
            "listen_addresses": "",
            "jit": "off",
            "shared_buffers": "256MB",
            "dynamic_shared_memory_type": "mmap",
            "max_parallel_workers_per_gather": "0",
            "data_checksums": "on",
        }
        assert {name: await connection.fetchval(f"SHOW {name}") for name in wanted} == wanted
        await connection.close()


async def test_killed_without_warning_no_server_is_left_behind(public_folder: Path) -> None:
    async with held_elsewhere(public_folder / "db") as (process, _):
        assert servers_of(public_folder / "db")
        process.kill()
        assert await no_server_alive(public_folder / "db")


async def test_after_a_kill_the_next_start_finds_what_was_committed(public_folder: Path) -> None:
    async with held_elsewhere(public_folder / "db") as (process, url):
        await run(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
        old_sockets = Path(str(make_url(url).query["host"]))
        process.kill()
        async with started(public_folder / "db") as url:  # while the old server may still be shutting down
            assert await run(url, "SELECT n FROM kept") == 7
            assert len(servers_of(public_folder / "db")) == 1
            assert not old_sockets.exists()


async def test_a_server_that_survived_its_killed_darkroom_is_ended_first(public_folder: Path) -> None:
    async with held_elsewhere(public_folder / "db", "--no-death-signal") as (process, url):
        await run(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
        (leftover,) = servers_of(public_folder / "db")
        process.kill()
        await process.wait()
        async with started(public_folder / "db") as url:
            assert await run(url, "SELECT n FROM kept") == 7
            assert leftover not in servers_of(public_folder / "db")


async def test_a_second_darkroom_on_the_folder_is_refused_and_harms_nothing(public_folder: Path) -> None:
    async with started(public_folder / "db") as url:
        with pytest.raises(StartupError, match="another Darkroom"):
            await EmbeddedPostgres(public_folder / "db").start()
        assert await run(url, "SELECT 1") == 1


async def test_the_servers_own_end_is_told_and_the_next_start_recovers(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    url = await postgres.start()
    await run(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    (server,) = servers_of(public_folder / "db")
    os.kill(server, signal.SIGKILL)
    assert await postgres.exited == -signal.SIGKILL
    await postgres.stop()
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT n FROM kept") == 7


@pytest.mark.parametrize("kind", ["alive", "zombie", "dead", "nonsense"])
async def test_a_stale_pid_file_does_not_keep_it_from_starting(public_folder: Path, kind: str) -> None:
    async with started(public_folder / "db"):
        pass
    with subprocess.Popen(["sleep", "60"]) as reused:
        if kind in ("zombie", "dead"):
            reused.kill()
            os.waitid(os.P_PID, reused.pid, os.WEXITED | os.WNOWAIT)
        if kind == "dead":
            reused.wait()
        pid_file = public_folder / "db" / "cluster" / "postmaster.pid"
        pid_file.write_text(
            ""
            if kind == "nonsense"
            else f"{reused.pid}\n{public_folder / 'db' / 'cluster'}\n1700000000\n5432\n/tmp\n\n1 1\n"
        )
        async with started(public_folder / "db") as url:
            assert await run(url, "SELECT 1") == 1
        if kind == "alive":
            assert reused.poll() is None  # a stranger that got the number is left alone
        reused.kill()


async def test_the_environments_locale_and_postgresql_variables_mean_nothing(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = {
        "LANG": "xx_YY.UTF-8",
        "LC_ALL": "xx_YY.UTF-8",
        "LC_COLLATE": "de_DE.UTF-8",
        "TZ": "Pacific/Chatham",
        "PGHOST": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "stranger",
        "PGPASSWORD": "wrong",
        "PGDATABASE": "elsewhere",
        "PGDATA": "/nonexistent",
        "PGSSLMODE": "verify-full",
        "PGTARGETSESSIONATTRS": "read-only",
        "PGSERVICE": "nowhere",
        "PGOPTIONS": "-c search_path=nowhere",
    }
    for name, value in strange.items():
        monkeypatch.setenv(name, value)
    async with started(public_folder / "db") as url:
        connection = await connect(url)
        row = await connection.fetchrow(
            "SELECT datcollate, datlocprovider, datlocale FROM pg_database WHERE datname = 'postgres'"
        )
        assert tuple(row) == ("C", b"b", "C.UTF-8")
        assert await connection.fetchval("SHOW timezone") == "UTC"
        await connection.close()


async def test_a_path_longer_than_a_socket_may_have_works(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = public_folder / ("a" * 120) / ("ü b" * 30) / "db"
    long_temporary = public_folder / ("t" * 120)
    long_temporary.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(long_temporary))
    async with started(long) as url:
        assert await run(url, "SELECT 1") == 1


async def test_a_user_without_a_name_is_told_what_to_do(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker run --user 12345`: PostgreSQL's initdb would say that it could not look it up."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StartupError, match=r"user 12345 has no name .* DARKROOM_DATABASE_URL"):
        await EmbeddedPostgres(public_folder / "db").start()


async def test_an_interrupted_initdb_is_done_again(public_folder: Path) -> None:
    partial = public_folder / "db" / "cluster.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT 1") == 1
    assert not partial.exists()


async def test_killed_in_the_middle_of_initdb_the_next_start_makes_a_whole_cluster(public_folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.database.holder", str(public_folder / "db"), stdout=asyncio.subprocess.PIPE
    )
    while not (public_folder / "db" / "cluster.partial" / "global").exists():
        await asyncio.sleep(0.005)
    process.kill()
    await process.wait()
    assert not (public_folder / "db" / "cluster").exists()
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT 1") == 1


async def test_another_major_versions_cluster_is_refused_naming_both(public_folder: Path) -> None:
    async with started(public_folder / "db"):
        pass
    version = public_folder / "db" / "cluster" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(StartupError, match=r"PostgreSQL 16.*PostgreSQL 18"):
        await EmbeddedPostgres(public_folder / "db").start()
    version.write_text("18\n")
    async with started(public_folder / "db") as url:  # refused, not damaged, and the folder let go
        assert await run(url, "SELECT 1") == 1


async def test_a_server_that_will_not_start_says_why(public_folder: Path) -> None:
    with pytest.raises(StartupError, match="no_such_option"):
        await EmbeddedPostgres(public_folder / "db", {"no_such_option": "1"}).start()
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT 1") == 1


async def test_a_start_that_is_cancelled_leaves_nothing_running(public_folder: Path) -> None:
    start = asyncio.create_task(EmbeddedPostgres(public_folder / "db").start())
    while not (public_folder / "db" / "cluster.partial").exists():
        await asyncio.sleep(0.005)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not servers_of(public_folder / "db")
    async with started(public_folder / "db") as url:
        assert await run(url, "SELECT 1") == 1


async def test_it_is_not_started_from_a_thread_whose_end_would_end_the_server(public_folder: Path) -> None:
    def in_thread() -> None:
        asyncio.run(EmbeddedPostgres(public_folder / "db").start())

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(in_thread)
