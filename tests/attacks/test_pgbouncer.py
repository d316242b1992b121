"""A real pgbouncer before the database: in session mode everything works, in any other it is refused in words."""

from __future__ import annotations

import asyncio
import pwd
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import make_url

from service.database import preconditions
from service.database.engine import Connection
from service.database.preconditions import check
from service.database.url import read
from service.errors import StartupError
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.pictures import png_of

pytestmark = [pytest.mark.attacks, pytest.mark.usefixtures("unknown_databases")]

CONFIGURATION = """
[databases]
* = host={sockets} port=5432

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pidfile = {folder}/pid
logfile = {folder}/log
{options}
"""


@asynccontextmanager
async def pgbouncer(database_url: str, folder: Path, **options: str | int) -> AsyncIterator[str]:
    """The URL of the database through one."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert program, "apt-get install pgbouncer"
    given = make_url(database_url)
    sockets = Path(str(given.query["host"]))
    owner = pwd.getpwuid(sockets.stat().st_uid)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (folder / "users").write_text(f'"{given.username}" ""\n')
    lines = "\n".join(f"{name} = {value}" for name, value in options.items())
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(sockets=sockets, port=port, folder=folder, options=lines))
    shutil.chown(folder, owner.pw_uid)
    # Started by root, it wants to be another user.
    process = await asyncio.create_subprocess_exec(program, "-q", *["-u", owner.pw_name], str(configuration))
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    assert process.returncode is None, (folder / "log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"postgresql://{given.username}@127.0.0.1:{port}/{given.database}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("round_robin", [0, 1])
async def test_transaction_pooling_is_refused_in_words(
    database_url: str, public_folder: Path, tmp_path: Path, round_robin: int
) -> None:
    async with pgbouncer(database_url, public_folder, pool_mode="transaction", server_round_robin=round_robin) as url:
        with pytest.raises(StartupError, match="transaction or statement pooling"):
            async with running(settings_for(tmp_path, url)):
                pass


async def test_transaction_pooling_in_use_by_others_is_refused(
    database_url: str, public_folder: Path, tmp_path: Path
) -> None:
    """Their transactions hold sessions, and let them go in any order."""
    async with pgbouncer(database_url, public_folder, pool_mode="transaction") as url:
        others = [await read(url).connect(statement_cache_size=0) for _ in range(6)]

        async def work(connection: Connection, seconds: float) -> None:
            while True:
                await connection.execute(f"SELECT pg_sleep({seconds})")

        tasks = [asyncio.create_task(work(other, 0.003 * (number + 1))) for number, other in enumerate(others)]
        for number in range(5):
            with pytest.raises(StartupError, match="transaction or statement pooling"):
                async with running(settings_for(tmp_path / str(number), url)):
                    pass
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for other in others:
            other.terminate()


async def test_statement_pooling_is_refused_in_words(database_url: str, public_folder: Path, tmp_path: Path) -> None:
    async with pgbouncer(database_url, public_folder, pool_mode="statement") as url:
        with pytest.raises(StartupError, match="transaction or statement pooling"):
            async with running(settings_for(tmp_path, url)):
                pass


async def test_a_pool_that_is_too_small_is_refused_in_words(
    database_url: str, public_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preconditions, "ANSWER_SECONDS", 2.0)
    async with pgbouncer(database_url, public_folder, pool_mode="session", default_pool_size=3) as url:
        with pytest.raises(StartupError, match="default_pool_size"):
            async with running(settings_for(tmp_path, url)):
                pass


async def test_a_parameter_that_the_pooler_refuses_is_named(
    database_url: str, public_folder: Path, tmp_path: Path
) -> None:
    async with pgbouncer(database_url, public_folder, pool_mode="session") as url:
        with pytest.raises(StartupError, match=r"unsupported startup parameter: options.*leave it out"):
            async with running(settings_for(tmp_path, f"{url}?options=-c%20work_mem%3D5MB")):
                pass


async def test_session_pooling_serves_the_first_start_and_the_next(
    empty_database_url: str, public_folder: Path, tmp_path: Path
) -> None:
    """Migrations, indexes built beside, uploads, search and many requests at once."""
    async with pgbouncer(empty_database_url, public_folder, pool_mode="session") as url:
        for start in range(2):
            async with running(settings_for(tmp_path, url)) as darkroom:
                form = aiohttp.FormData()
                form.add_field("file", png_of(64, 48, shade=start), filename=f"meadow-{start}.png")
                async with darkroom.http.post("/api/v1/photos", data=form) as answer:
                    assert answer.status == 201, await answer.text()
                answers = await asyncio.gather(*(listed(darkroom) for _ in range(60)))
                assert set(answers) == {start + 1}
                async with asyncio.timeout(30):
                    while await found(darkroom, "meadow") != start + 1:
                        await asyncio.sleep(0.1)


async def test_a_provider_with_tls_is_checked_as_its_url_asks(
    database_url: str, public_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sslmode=require as most hand out, with a root certificate, and with those of the machine."""
    key, root = public_folder / "tls.key", public_folder / "tls.pem"
    making = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", root, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await making.wait() == 0
    key.chmod(0o644)  # the pooler is another user
    tls = {"client_tls_sslmode": "require", "client_tls_key_file": str(key), "client_tls_cert_file": str(root)}
    monkeypatch.setenv("HOME", str(tmp_path))
    async with pgbouncer(database_url, public_folder, pool_mode="session", **tls) as url:
        url = url.replace("127.0.0.1", "localhost")
        await check(read(f"{url}?sslmode=require&channel_binding=require"))
        await check(read(f"{url}?sslmode=verify-full&sslrootcert={root}"))
        with pytest.raises(StartupError, match="sslrootcert=system"):
            async with running(settings_for(tmp_path, f"{url}?sslmode=verify-full")):
                pass
        with pytest.raises(StartupError, match="certificate"):
            async with running(
                settings_for(tmp_path, f"{url}?sslrootcert=/etc/ssl/certs/ca-certificates.crt&sslmode=verify-full")
            ):
                pass
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
        async with running(settings_for(tmp_path, f"{url}?sslrootcert=system")):
            pass


async def listed(darkroom: Darkroom) -> int:
    async with darkroom.http.get("/api/v1/photos") as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["total"])


async def found(darkroom: Darkroom, words: str) -> int:
    async with darkroom.http.get("/api/v1/photos", params={"q": words}) as answer:
        assert answer.status == 200, await answer.text()
        return len((await answer.json())["items"])
