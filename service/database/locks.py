"""The two locks of an embedded cluster: for the Darkroom that supervises it, and for its running server."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import structlog

from service.errors import StartupError

log = structlog.get_logger()

SUPERVISOR_SECONDS = 2
"""A killed process is not gone at once."""
LEFTOVER_SECONDS = 60


async def supervisor_lock(home: Path) -> int:
    """The lock that this process has while it supervises the cluster. A second process is refused."""
    refused = StartupError(f"another Darkroom is using the database in {home}")
    return await _taken(home / "supervisor.lock", SUPERVISOR_SECONDS, refused)


async def server_lock(home: Path) -> int:
    """The lock that the server and all its processes inherit: having it proves that none of them runs, which no pid
    file can. A server whose Darkroom was killed shuts down by PDEATHSIG; if the system has none, it is told to.
    Processes that a killed server left are ended: such a process notices only when its query is done."""
    refused = StartupError(f"a PostgreSQL left over in {home} does not end: stop it by hand")
    return await _taken(
        home / "server.lock", LEFTOVER_SECONDS, refused, meanwhile=lambda: _tell_leftover(home / "cluster")
    )


async def _taken(
    path: Path, seconds: float, refused: StartupError, meanwhile: Callable[[], bool] = lambda: True
) -> int:
    """The open, locked file. While another process has the lock, `meanwhile` is called until it is true."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        async with asyncio.timeout(seconds):
            done = False
            while not _taken_by_us(descriptor):
                done = done or await asyncio.to_thread(meanwhile)
                await asyncio.sleep(0.05)
    except TimeoutError:
        os.close(descriptor)
        raise refused from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _taken_by_us(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tell_leftover(cluster: Path) -> bool:
    """Asks for a fast shutdown, if the pid file names a PostgreSQL process of this very cluster."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        if str(cluster) not in _command_line(pid):
            raise ProcessLookupError
        os.kill(pid, signal.SIGINT)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        _end_orphans(cluster)
        return False
    log.warning("ending the database that a killed Darkroom left over", pid=pid)
    return True


def _end_orphans(cluster: Path) -> None:
    """Ends PostgreSQL's processes of this cluster whose postmaster is dead, if there is a /proc."""
    place = cluster.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == place and (process / "exe").readlink().name == "postgres":
                os.kill(int(process.name), signal.SIGQUIT)
        except OSError:
            continue  # it has ended, or belongs to somebody else


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    listing = subprocess.run(
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
    )
    return listing.stdout
