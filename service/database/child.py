"""Child processes that do not outlive us: PDEATHSIG where the kernel has it, an inherited lock file everywhere."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from service.database.account import Account
from service.errors import StartupError

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Child:
    """A running process. `exited` gives its return code (negative: the signal that ended it) to all who wait."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        threading.Thread(target=self._reap, name=f"wait-{process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._exited.done()

    @property
    def exited(self) -> asyncio.Future[int]:
        """Shielded, so that a cancelled waiter does not cancel the others."""
        return asyncio.shield(self._exited)

    def send(self, number: signal.Signals) -> None:
        """Nothing happens when it has ended already."""
        self._process.send_signal(number)

    async def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Each signal in turn, with its grace in seconds, until the process has ended; SIGKILL is the last."""
        for number, grace in steps:
            if not self.running:
                return
            self.send(number)
            await asyncio.wait([self._exited], timeout=grace)
        if self.running:
            self.send(signal.SIGKILL)
            await self.exited

    def _reap(self) -> None:
        code = self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._exited.set_result, code)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def spawn(
    arguments: Sequence[str | Path],
    *,
    account: Account | None,
    output: Path,
    inherit: int,
    ends_with_us: signal.Signals,
) -> Child:
    """Start a program as `account`, in its own session and environment, its words appended to `output`.

    It inherits the descriptor `inherit`, and gets the signal `ends_with_us` when we die.

    Call this from the main thread: the kernel sends PDEATHSIG when the *thread* that started the child ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the embedded PostgreSQL is started from the main thread only")
    program = Path(arguments[0]).name
    try:
        with output.open("ab") as file:
            process = subprocess.Popen(
                [os.fspath(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
                # Nothing of ours leaks in: LANG, LC_*, PG*, TZ and LD_* all change what PostgreSQL does.
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                umask=0o077,
                pass_fds=[inherit],
                # A terminal's Ctrl-C goes to its whole process group; the database must outlast our own shutdown.
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                # Runs after the change of user, which would clear PDEATHSIG. Safe beside threads: it takes no lock.
                preexec_fn=_die_with_parent(ends_with_us) if sys.platform == "linux" else None,  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        as_whom = f" as {account.name}" if account else ""
        raise StartupError(f"PostgreSQL's {program} cannot be started{as_whom}: {error}") from error
    return Child(process)


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def in_child() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    return in_child
