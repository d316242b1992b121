"""Starting and stopping: cleanly, often, twice at once, in the wrong place, and after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from service import __main__ as command
from service.api.resources import Hello
from service.config.settings import Settings
from service.database.engine import Connection
from service.errors import StartupError
from service.media.layout import PHOTOS
from service.media.storage import MARKER
from service.startup import data_folder
from tests.fakes.darkroom import running, settings_for
from tests.fakes.process import ROOT, DarkroomProcess
from tests.fakes.rows import add_photo

PATIENCE = 60


async def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """The `darkroom` command until it ends by itself; its exit code and output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "service", *arguments),
        cwd=ROOT,
        env={**clean, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.fixture
async def process(tmp_path: Path, database_url: str) -> AsyncIterator[DarkroomProcess]:
    """Not started yet; over a database of the test's own."""
    process = DarkroomProcess(
        tmp_path / "data", DARKROOM_DATABASE_URL=database_url, DARKROOM_INVOKEAI_URL="http://127.0.0.1:9"
    )
    yield process
    await process.kill()


# --- in one process ---


async def test_starting_and_stopping_often_leaks_nothing(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url, password="correct horse")
    this = psutil.Process()
    open_files: list[int] = []
    tasks: list[int] = []
    threads: list[int] = []
    # asyncio's own threads stay once they were needed: all are needed before any is counted.
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(40)))
    for _ in range(6):
        async with running(settings) as darkroom:
            headers = {"Authorization": "Bearer correct horse"}
            async with darkroom.feed(additional_headers=headers) as feed:
                assert (await feed.next())["type"] == "hello"
        open_files.append(this.num_fds())
        tasks.append(len(asyncio.all_tasks()))
        threads.append(this.num_threads())
    assert open_files[-1] <= open_files[1]
    assert tasks[-1] <= tasks[1]
    assert threads[-1] <= threads[1] + 1


async def test_what_has_been_in_the_trash_too_long_goes_at_the_start(
    tmp_path: Path, database_url: str, connection: Connection
) -> None:
    settings = settings_for(tmp_path, database_url)
    async with running(settings):
        pass
    photo = await add_photo(connection, deleted_at=datetime.now(UTC) - timedelta(days=400))
    async with running(settings), asyncio.timeout(PATIENCE):
        while await connection.fetchval("SELECT purged_at FROM photos WHERE id = $1", photo) is None:
            await asyncio.sleep(0.05)


async def test_a_data_folder_is_one_processs_at_a_time(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url)
    async with running(settings):
        with pytest.raises(StartupError, match=rf"already running on .* \(process {os.getpid()}\)"):
            async with running(settings):
                pass
    async with running(settings):
        pass


async def test_pictures_without_their_folder_stop_the_start(tmp_path: Path, database_url: str) -> None:
    async with (
        running(settings_for(tmp_path / "disk", database_url)) as darkroom,
        darkroom.app.state["database"].connection() as connection,
    ):
        await add_photo(connection)
    with pytest.raises(StartupError, match="Is the disk mounted"):
        async with running(settings_for(tmp_path / "empty mount point", database_url)):
            pass
    assert not (tmp_path / "empty mount point" / MARKER).exists()
    async with running(settings_for(tmp_path / "disk", database_url)):
        pass


async def test_a_library_without_its_database_stops_the_start(
    tmp_path: Path, database_url: str, module_database_url: str
) -> None:
    async with running(settings_for(tmp_path, database_url)):
        (tmp_path / PHOTOS).mkdir()
    with pytest.raises(StartupError, match="holds the pictures of a library, and the database is new"):
        async with running(settings_for(tmp_path, module_database_url)):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://nobody@127.0.0.1:9/nothing",
        "postgresql+asyncpg://u:secret@localhost:1/x",
        "postgresql+asyncpg://u:secret@localhost:1/x?sslmode=require",
        "postgresql+asyncpg://u:secret@localhost:1/x?no_such_option=1",
    ],
)
async def test_a_database_out_of_reach_stops_the_start_without_telling_the_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StartupError, match="cannot be used") as refused:
        async with running(settings_for(tmp_path, url)):
            pass
    assert "secret" not in str(refused.value)


async def test_a_data_folder_that_cannot_be_made_stops_the_start(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="DARKROOM_DATA"):
        async with running(settings_for(tmp_path / "file" / "data", database_url)):
            pass


async def test_a_failed_start_leaves_everything_free_for_the_next(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StartupError("halfway")

    with monkeypatch.context() as broken:
        broken.setattr(data_folder, "claim", fail)
        with pytest.raises(StartupError, match="halfway"):
            async with running(settings_for(tmp_path, database_url)):
                pass
    async with running(settings_for(tmp_path, database_url)):
        pass


async def test_the_demo_has_a_folder_and_a_database_of_its_own(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url="postgresql+asyncpg://never@used/x", invokeai_url="http://never")
    demo = command.demo_settings(settings)
    assert (demo.data, demo.database_url, demo.invokeai_url) == (tmp_path / "demo", None, None)


@pytest.fixture
async def default_url(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> str:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    monkeypatch.setattr(command, "HOME_INVOKEAI", url)
    return url


async def test_the_demo_stands_in_only_where_there_is_neither_a_server_nor_a_library(
    tmp_path: Path, default_url: str
) -> None:
    bare = Settings(data=tmp_path)
    assert await command._falls_back(bare)
    assert not await command._falls_back(Settings(data=tmp_path, invokeai_url="http://127.0.0.1:9"))
    assert not await command._falls_back(Settings(data=tmp_path, database_url="postgresql+asyncpg://x/y"))
    (tmp_path / MARKER).write_text("0198c0de-0000-7000-8000-000000000000\n")
    assert not await command._falls_back(bare)


@pytest.mark.parametrize(
    ("kind", "is_invokeai"),
    [("version", True), ("locked", True), ("stalling", True), ("page", False), ("broken", False)],
)
async def test_what_answers_in_the_usual_place_is_looked_at(
    kind: str, is_invokeai: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PROBE_SECONDS", 0.5)
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        match kind:
            case "version":
                return web.json_response({"version": "6.14.2"})
            case "locked":
                return web.json_response({"detail": "Not authenticated"}, status=401)
            case "page":
                return web.Response(text="<html>", content_type="text/html")
            case "broken":
                return web.Response(status=500)
        await released.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/api/v1/app/version", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        assert await command._invokeai_is_at(f"http://127.0.0.1:{runner.addresses[0][1]}") is is_invokeai
    finally:
        released.set()
        await runner.cleanup()


# --- as a process of its own ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_beyond_loopback_without_a_password_it_refuses_and_says_how_to_mend_it(tmp_path: Path, host: str) -> None:
    code, output = await run("serve", DARKROOM_HOST=host, DARKROOM_DATA=str(tmp_path / "data"))
    assert code == 2
    assert "cannot start" in output
    assert "DARKROOM_PASSWORD" in output
    assert "Traceback" not in output
    assert not (tmp_path / "data").exists()


async def test_wrong_settings_are_all_told_at_once(tmp_path: Path) -> None:
    code, output = await run("serve", DARKROOM_PORT="x", DARKROOM_DATABASE_URL="mysql://x")
    assert code == 2
    assert "DARKROOM_PORT" in output
    assert "DARKROOM_DATABASE_URL" in output
    assert "Traceback" not in output


async def test_a_taken_port_is_told(tmp_path: Path, database_url: str) -> None:
    with command.listen("127.0.0.1", 0) as taken:
        code, output = await run(
            "serve",
            DARKROOM_PORT=str(taken.getsockname()[1]),
            DARKROOM_DATA=str(tmp_path),
            DARKROOM_DATABASE_URL=database_url,
            DARKROOM_INVOKEAI_URL="http://127.0.0.1:9",
        )
    assert code == 2
    assert "DARKROOM_PORT" in output
    assert "Traceback" not in output


async def test_a_second_darkroom_on_the_same_folder_says_so(process: DarkroomProcess) -> None:
    await process.start()
    assert process.process is not None
    code, output = await run("serve", DARKROOM_DATA=str(process.data), **process.environment)
    assert code == 2
    assert f"already running on {process.data} (process {process.process.pid})" in output


async def test_a_signal_ends_it_in_order_and_a_browser_is_told(process: DarkroomProcess) -> None:
    await process.start()
    assert process.process is not None
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{process.url}/api/v1/feed") as socket:
        assert (await socket.receive_json())["type"] == "hello"
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while not (await socket.receive()).type.name.startswith("CLOS"):
                continue
        assert socket.close_code == 1012
    async with asyncio.timeout(PATIENCE):
        assert await process.process.wait() == 0
    assert '"event":"stopped"' in process.log.read_text()


async def test_after_a_kill_it_starts_again_at_once_with_its_own_database(tmp_path: Path) -> None:
    process = DarkroomProcess(tmp_path / "data", DARKROOM_INVOKEAI_URL="http://127.0.0.1:9")
    try:
        await process.start()
        session = await process.post("/sessions", {"name": "before the kill"})
        await process.kill()
        await process.start()
        assert (await process.get(f"/sessions/{session['id']}"))["name"] == "before the kill"
        await process.stop()
        assert process.process is not None
        assert process.process.returncode == 0
    finally:
        await process.kill()


async def test_the_openapi_document_is_printed_without_starting_anything(tmp_path: Path) -> None:
    code, output = await run("openapi", DARKROOM_DATA=str(tmp_path / "data"))
    assert code == 0
    assert '"/api/v1/photos"' in output
    assert not (tmp_path / "data").exists()


async def test_what_a_browser_is_told_first_has_the_shape_of_hello(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        assert isinstance(await darkroom.app.state["snapshots"].read(), Hello)
