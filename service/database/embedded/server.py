"""The embedded PostgreSQL: a private server on a unix socket that starts and ends with Darkroom."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import asyncpg
import structlog
from asyncpg.connect_utils import SessionAttribute

from service.database.embedded import cluster
from service.database.embedded.account import Account, can_search
from service.database.embedded.binaries import reachable_installation
from service.database.embedded.child import Child, spawn
from service.database.locks import server_lock, supervisor_lock
from service.errors import StartupError

log = structlog.get_logger()

INITDB_SECONDS = 120
RECOVERY_SECONDS = 600
"""Seconds. After a power cut PostgreSQL replays its log before it accepts connections."""
LOG = "postgres.log"
SOCKET_FOLDER_PREFIX = "darkroom-"
SOCKET_FOLDER_BYTES = 80
"""Bytes of the folder's path. A socket's whole path may have 103 bytes (macOS) or 107 (Linux)."""

Answer = Literal["admits", "refuses", "silent"]
"""The answer to a new connection. `refuses` is a server that will not accept anybody again; `silent` is everything
else, such as a timeout, a lack of descriptors on our side, or a server that is recovering."""

OPTIONS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    # Works with a small /dev/shm (64 MB in a container) or none, and a killed server leaves nothing there.
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
INITDB = (
    "--username=postgres",
    "--auth-local=trust",  # its socket is in a folder of mode 0700
    "--auth-host=reject",
    "--encoding=UTF8",
    # The same collation everywhere, independent of the machine's locales.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    # initdb's own servers need as little of /dev/shm as ours.
    f"--set=dynamic_shared_memory_type={OPTIONS['dynamic_shared_memory_type']}",
)


class EmbeddedPostgres:
    """One PostgreSQL server for one data folder. A second Darkroom is refused; a server left by a killed one is ended
    first. `options` are added to the server's own (tests: fsync=off). `elsewhere` is where a Darkroom of root puts
    files that its unprivileged user cannot reach in place."""

    def __init__(
        self, folder: Path, options: Mapping[str, str] | None = None, *, elsewhere: Path = cluster.ELSEWHERE
    ) -> None:
        self._folder = folder.resolve()
        self._options = OPTIONS | dict(options or {})
        self._elsewhere = elsewhere
        self._locks: list[int] = []
        self._home: Path | None = None
        self._server: Child | None = None
        self._sockets: Path | None = None

    async def start(self) -> str:
        """Makes the cluster if there is none, starts the server, and returns its URL once it accepts connections. Call
        it from the main thread: the kernel ties the server to the thread that started it."""
        if self._locks:
            raise RuntimeError("the embedded PostgreSQL is running already")
        began = time.monotonic()
        try:
            sockets = await self._start()
        except OSError as error:
            await self.stop()
            raise StartupError(
                f"the embedded database cannot be started in {self._folder} ({error}): set DARKROOM_DATA to a folder"
                " on a disk of this machine, or DARKROOM_DATABASE_URL to a PostgreSQL server"
            ) from error
        except BaseException:
            await self.stop()
            raise
        log.info("database started", seconds=round(time.monotonic() - began, 3))
        # Everything is written out, so that PG* variables of the environment have no effect on the driver.
        return f"postgresql+asyncpg://postgres@/postgres?host={sockets}&port=5432&ssl=disable&target_session_attrs=any"

    async def restart(self) -> None:
        """Ends what is left of the server and starts it again, under the same URL. Raises StartupError or OSError if
        that fails; it may be tried again."""
        if self._home is None or self._sockets is None:
            raise RuntimeError("the embedded PostgreSQL has not been started")
        began = time.monotonic()
        await self._end_server()
        # The old server's processes share our lock: they can be waited for only once it is released.
        while len(self._locks) > 1:
            os.close(self._locks.pop())
        lock = await server_lock(self._home)
        self._locks.append(lock)
        _restore_sockets(self._sockets, cluster.account_for(self._home))
        await self._run_server(self._home, self._sockets, lock)
        log.info("database started again", seconds=round(time.monotonic() - began, 3))

    async def stop(self) -> None:
        """Ends the server (open transactions are rolled back) and releases the folder. Does nothing if it is not
        started."""
        await self._end_server()
        if self._sockets is not None:
            _remove_sockets(self._sockets)
            self._sockets = None
        # The server first, the supervisor's lock last: a process that gets that one finds everything released.
        while self._locks:
            os.close(self._locks.pop())

    @property
    def exited(self) -> asyncio.Future[int]:
        """A future with the return code, done when the server has ended for any reason."""
        if self._server is None:
            raise RuntimeError("the embedded PostgreSQL has not been started")
        return self._server.exited

    async def knock(self) -> Answer:
        """The answer to a new connection; existing connections tell nothing about that."""
        return "refuses" if self._sockets is None else await _answer(self._sockets)

    async def _end_server(self) -> None:
        if self._server is not None:
            await self._server.end((signal.SIGINT, 30), (signal.SIGQUIT, 10))

    async def _start(self) -> Path:
        home = self._home = await asyncio.to_thread(cluster.home_for, self._folder, self._elsewhere)
        account = cluster.account_for(home)
        self._locks.append(await supervisor_lock(home))
        lock = await server_lock(home)
        self._locks.append(lock)
        output = home / LOG
        if output.exists():
            output.replace(home / f"{LOG}.1")
        if not (home / "cluster").exists():
            programs = await asyncio.to_thread(reachable_installation, account, self._elsewhere) / "bin"
            await _initialise(home, account, programs / "initdb", lock)
        cluster.check_version(home / "cluster")
        self._sockets = _socket_folder(home, account)
        await self._run_server(home, self._sockets, lock)
        return self._sockets

    async def _run_server(self, home: Path, sockets: Path, lock: int) -> None:
        """Starts the server, and returns once it accepts connections. `lock` proves that no other server of this
        cluster runs."""
        account, output = cluster.account_for(home), home / LOG
        programs = await asyncio.to_thread(reachable_installation, account, self._elsewhere) / "bin"
        # No server of this cluster runs, as the lock proves: the file can only name a dead, reused or zombie pid.
        (home / "cluster" / "postmaster.pid").unlink(missing_ok=True)
        options = self._options | {"unix_socket_directories": str(sockets)}
        self._server = spawn(
            [programs / "postgres", "-D", home / "cluster", *(f"--{name}={value}" for name, value in options.items())],
            account=account,
            output=output,
            inherit=lock,
            ends_with_us=signal.SIGINT,
        )
        await _accepting(self._server, sockets, output)


async def _initialise(home: Path, account: Account | None, initdb: Path, lock: int) -> None:
    """Runs initdb in a partial folder and renames it: a cluster is whole or absent. initdb inherits the lock: the start
    that follows a kill waits until it has ended."""
    partial = await asyncio.to_thread(cluster.new_partial, home, account)
    output = home / LOG
    child = spawn(
        [initdb, "-D", partial, *INITDB], account=account, output=output, inherit=lock, ends_with_us=signal.SIGKILL
    )
    try:
        await asyncio.wait([child.exited], timeout=INITDB_SECONDS)
    finally:
        await child.end()
    if await child.exited != 0:
        raise StartupError(f"PostgreSQL's initdb failed in {home}:\n{_tail(output)}")
    cluster.adopt(partial)


async def _accepting(server: Child, sockets: Path, output: Path) -> None:
    """Returns with the first successful connection; raises when the server ends instead."""
    try:
        async with asyncio.timeout(RECOVERY_SECONDS):
            while server.running:
                if await _answer(sockets) == "admits":
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise StartupError(f"PostgreSQL accepts no connection:\n{_tail(output)}") from None
    raise StartupError(f"PostgreSQL ended while starting (code {await server.exited}):\n{_tail(output)}")


async def _answer(sockets: Path) -> Answer:
    try:
        connection = await asyncpg.connect(
            host=str(sockets),
            port=5432,
            user="postgres",
            database="postgres",
            ssl="disable",
            target_session_attrs=SessionAttribute.any,
            timeout=10,
        )
    except (ConnectionRefusedError, FileNotFoundError):
        return "refuses"  # nobody listens at the socket, or it was removed
    except asyncpg.CannotConnectNowError as error:
        # Starting and recovering have the same code, and end by themselves. The server's messages are in English
        # (launch.py).
        return "refuses" if "shutting down" in str(error) else "silent"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return "silent"
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.close(timeout=10)
    return "admits"


def _socket_folder(home: Path, account: Account | None) -> Path:
    """Makes a short, private folder for the socket. The link to it beside the cluster lets the next start remove what a
    kill left."""
    link = home / "sockets"
    if link.is_symlink():
        _remove_sockets(link.readlink())
        link.unlink()
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > SOCKET_FOLDER_BYTES or (account is not None and not can_search(account, parent)):
        parent = Path("/tmp")  # noqa: S108 (mkdtemp makes it ours alone)
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir=parent))
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    link.symlink_to(folder)
    return folder


def _restore_sockets(folder: Path, account: Account | None) -> None:
    """Makes the folder again as it was: a program that cleans up temporary folders may have removed it or the
    socket."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), account.uid if account else -1):
        raise StartupError(f"{folder}, the folder of the database's socket, now belongs to somebody else")
    folder.chmod(0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    for file in folder.glob(".s.PGSQL.*"):
        file.unlink(missing_ok=True)


def _remove_sockets(folder: Path) -> None:
    """Removes the socket's folder, by name and only files that PostgreSQL puts there: the link that names the folder
    may have been changed."""
    if folder.name.startswith(SOCKET_FOLDER_PREFIX) and folder.is_dir():
        for file in folder.glob(".s.PGSQL.*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _tail(output: Path) -> str:
    return "\n".join(output.read_text(errors="replace").splitlines()[-20:])
