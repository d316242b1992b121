"""An embedded PostgreSQL that dies, or lets nobody in any more, is started again by Darkroom, and work goes on."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import asyncpg
import psutil
import pytest

from service.database.embedded import watch
from service.database.embedded.server import Answer, EmbeddedPostgres
from service.database.embedded.watch import RESTARTS, WITHIN_SECONDS, Watch
from service.errors import StartupError
from tests.database.test_embedded import connect, run, servers_of
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.process import DarkroomProcess

PATIENCE = 60
NO_INVOKEAI = "http://127.0.0.1:9"


@pytest.fixture
async def postgres(public_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(public_folder / "db")
    await postgres.start()
    yield postgres
    await postgres.stop()


@pytest.fixture(scope="module")
async def healthy() -> AsyncIterator[EmbeddedPostgres]:
    """For tests that do it no harm."""
    with tempfile.TemporaryDirectory(prefix="darkroom-tests-") as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder) / "db")
        await postgres.start()
        yield postgres
        await postgres.stop()


def kill_server(data: Path) -> None:
    (server,) = servers_of(data / "postgres")
    os.kill(server, signal.SIGKILL)


async def ready(darkroom: Darkroom) -> bool:
    async with darkroom.http.get("/health/ready") as response:
        return response.status == 200


# --- the server itself ---


async def test_a_killed_server_is_started_again_under_the_same_url_with_what_was_committed(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    url = await postgres.start()
    await run(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    for _ in range(2):
        (server,) = servers_of(public_folder / "db")
        os.kill(server, signal.SIGKILL)
        await postgres.exited
        await postgres.restart()
        assert await run(url, "SELECT n FROM kept") == 7
        assert len(servers_of(public_folder / "db")) == 1
    await postgres.stop()
    assert not servers_of(public_folder / "db")


async def test_what_a_killed_server_left_at_work_does_not_hold_the_next_one_up(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    url = await postgres.start()
    connection = await connect(url)
    working = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 2000000000)"))
    while not await run(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1%'") > 1:
        await asyncio.sleep(0.05)
    (server,) = servers_of(public_folder / "db")
    os.kill(server, signal.SIGKILL)
    await postgres.exited
    await postgres.restart()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await working
    assert await run(url, "SELECT 1") == 1
    await postgres.stop()


async def test_a_socket_folder_that_became_somebody_elses_is_not_used(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    await postgres.start()
    sockets = (public_folder / "db" / "sockets").readlink()
    shutil.rmtree(sockets)
    sockets.symlink_to(public_folder)
    with pytest.raises(StartupError, match="belongs to somebody else"):
        await postgres.restart()
    sockets.unlink()
    await postgres.restart()
    await postgres.stop()


# --- what counts as lost ---


@pytest.mark.parametrize(
    "trouble",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "File table overflow"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.CannotConnectNowError("the database system is in recovery mode"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
    ],
)
async def test_what_is_no_refusal_of_the_servers_is_not_taken_for_one(
    healthy: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    async def fail(**_: Any) -> None:
        raise trouble

    assert await healthy.knock() == "admits"
    monkeypatch.setattr(asyncpg, "connect", fail)
    assert await healthy.knock() == "silent"


async def test_a_process_without_a_free_descriptor_does_not_blame_the_server(healthy: EmbeddedPostgres) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        answer = await healthy.knock()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer == "silent"
    assert await healthy.knock() == "admits"


@pytest.mark.parametrize("how", ["it is shutting down", "its socket was removed", "nobody listens"])
async def test_a_server_that_refuses_is_recognised(postgres: EmbeddedPostgres, public_folder: Path, how: str) -> None:
    sockets = (public_folder / "db" / "sockets").readlink()
    (server,) = servers_of(public_folder / "db")
    url = f"postgresql+asyncpg://postgres@/postgres?host={sockets}"
    held = await connect(url)
    match how:
        case "it is shutting down":
            os.kill(server, signal.SIGTERM)
        case "its socket was removed":
            shutil.rmtree(sockets)
        case "nobody listens":
            os.kill(server, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while await postgres.knock() != "refuses":
            await asyncio.sleep(0.05)
    held.terminate()


class Scripted:
    """A server in words: what each knock is answered with; `restart` may fail."""

    def __init__(self, answers: list[Answer], failure: Exception | None = None) -> None:
        self.answers = answers
        self.failure = failure
        self.restarts = 0
        self.asked_in_vain = asyncio.Event()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def knock(self) -> Answer:
        if not self.answers:
            self.asked_in_vain.set()
            return "silent"
        return self.answers.pop(0)

    async def restart(self) -> None:
        self.restarts += 1
        if self.failure is not None:
            raise self.failure


async def watched(server: Scripted, *, until: asyncio.Event, clock: Any = None) -> list[str]:
    reasons: list[str] = []

    def give_up(reason: str) -> None:
        reasons.append(reason)
        until.set()

    watching = Watch(cast(EmbeddedPostgres, server), give_up, *([clock] if clock else []))
    task = asyncio.create_task(watching.run())
    async with asyncio.timeout(PATIENCE):
        await until.wait()
    task.cancel()
    await asyncio.wait({task})
    return reasons


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KNOCK_SECONDS", 0.01)
    monkeypatch.setattr(watch, "PAUSE_SECONDS", 0.01)


@pytest.mark.usefixtures("short_windows")
async def test_only_refusals_in_a_row_end_a_server_that_runs() -> None:
    server = Scripted(["silent"] * 20 + ["refuses", "admits", "refuses", "silent", "admits", "silent", "refuses"])
    assert await watched(server, until=server.asked_in_vain) == []
    assert server.restarts == 0
    server = Scripted(["admits", "refuses", "silent", "refuses"])
    assert await watched(server, until=server.asked_in_vain) == []
    assert server.restarts == 1


@pytest.mark.usefixtures("short_windows")
async def test_after_three_restarts_within_ten_minutes_it_gives_up() -> None:
    server = Scripted(["refuses"] * 100)
    (reason,) = await watched(server, until=asyncio.Event())
    assert server.restarts == RESTARTS == 3
    assert "admits no new connection" in reason


@pytest.mark.usefixtures("short_windows")
async def test_restarts_long_ago_do_not_count() -> None:
    server, now = Scripted(["refuses"] * 20), 0.0

    def clock() -> float:
        nonlocal now
        now += WITHIN_SECONDS / 2
        return now

    assert await watched(server, until=server.asked_in_vain, clock=clock) == []
    assert server.restarts == 10


@pytest.mark.usefixtures("short_windows")
@pytest.mark.parametrize(
    ("failure", "given_up"),
    [(StartupError("it will not"), True), (OSError(errno.EIO, "broken"), True), (OSError(errno.EMFILE, "many"), False)],
)
async def test_a_restart_that_fails_counts_unless_descriptors_of_ours_were_lacking(
    failure: Exception, given_up: bool
) -> None:
    server = Scripted([], failure)
    server.exited.set_result(-9)
    enough = asyncio.Event()
    task = asyncio.create_task(watched(server, until=enough))
    async with asyncio.timeout(PATIENCE):
        while not task.done() and server.restarts < 10:
            await asyncio.sleep(0.01)
    enough.set()
    assert bool(await task) is given_up
    assert (server.restarts == RESTARTS) is given_up


# --- Darkroom over it ---


async def test_requests_meanwhile_are_told_to_try_again_and_then_served(public_folder: Path) -> None:
    data = public_folder / "data"
    async with running(settings_for(data, None)) as darkroom:
        kill_server(data)
        seen = set()
        async with asyncio.timeout(PATIENCE):
            while 503 not in seen or not await ready(darkroom):
                async with darkroom.http.get("/api/v1/photos") as response:
                    seen.add(response.status)
                    if response.status != 200:
                        assert (await response.json())["error"]["code"] == "unavailable"
                        assert "Retry-After" in response.headers
        assert seen <= {200, 503}
        async with darkroom.http.post("/api/v1/sessions", json={"name": "after"}) as response:
            assert response.status == 201
        assert darkroom.reasons == []


@pytest.mark.parametrize("how", ["it is shutting down", "its socket was removed"])
async def test_a_server_that_admits_nobody_new_is_started_again(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(watch, "KNOCK_SECONDS", 0.1)
    data = public_folder / "data"
    async with running(settings_for(data, None)) as darkroom:
        database = darkroom.app.state["database"]
        sockets = Path(database.url.query["host"])
        (before,) = servers_of(data / "postgres")
        async with database.connection():
            if how == "it is shutting down":
                os.kill(before, signal.SIGTERM)
            else:
                shutil.rmtree(sockets)
            async with asyncio.timeout(PATIENCE):
                while before in servers_of(data / "postgres") or not await ready(darkroom):
                    await asyncio.sleep(0.05)
        assert darkroom.reasons == []
        async with darkroom.http.get("/api/v1/photos") as response:
            assert response.status == 200


async def test_steps_and_retrieval_go_on_by_themselves(public_folder: Path) -> None:
    invokeai = ScriptedInvokeAI(public_folder / "invokeai")
    await invokeai.start()
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=invokeai.url)
    try:
        await process.start()
        await process.connected()
        model = await process.model("sdxl")
        before = await process.generate(model)
        kill_server(public_folder / "data")
        await process.until(lambda: _is_ready(process))
        after = await process.generate(model)
        for step in (before, after):
            assert (await process.until_step(step["id"], "completed"))["alternatives"]
        assert process.process is not None
        assert process.process.returncode is None
    finally:
        await process.kill()
        await invokeai.stop()


async def _is_ready(process: DarkroomProcess) -> bool:
    return (await process.call("GET", "/health/ready"))[0] == 200


async def test_a_server_that_dies_a_fourth_time_ends_darkroom_with_a_failure(public_folder: Path) -> None:
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=NO_INVOKEAI)
    try:
        await process.start()
        assert process.process is not None
        for _ in range(RESTARTS):
            (server,) = servers_of(public_folder / "data" / "postgres")
            os.kill(server, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                while psutil.pid_exists(server) or not await _is_ready(process):
                    await asyncio.sleep(0.05)
        kill_server(public_folder / "data")
        async with asyncio.timeout(PATIENCE):
            assert await process.process.wait() == 1
        assert "database server ended by itself" in process.log.read_text()
    finally:
        await process.kill()


async def test_a_server_that_dies_while_darkroom_starts_does_not_end_the_start(public_folder: Path) -> None:
    data = public_folder / "data"
    asked, released = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await released.wait()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    process = DarkroomProcess(data, DARKROOM_INVOKEAI_URL=NO_INVOKEAI)
    await process.start()
    await process.stop()
    process.environment["DARKROOM_INVOKEAI_URL"] = f"http://127.0.0.1:{port}"
    starting = asyncio.create_task(process.start())
    try:
        async with asyncio.timeout(PATIENCE):
            await asked.wait()  # whether it is the same server; nothing is served yet
            (before,) = servers_of(data / "postgres")
            os.kill(before, signal.SIGKILL)
            while True:
                sockets = (data / "postgres" / "sockets").readlink()
                with suppress(OSError, asyncpg.PostgresError):
                    if await run(f"postgresql+asyncpg:///?host={sockets}", "SELECT 1") == 1:
                        break
                await asyncio.sleep(0.05)
        released.set()
        await starting
        assert await process.get("/sessions")
    finally:
        released.set()
        starting.cancel()
        await asyncio.wait({starting})
        await process.kill()
        silent.close()
