"""Child processes that end with us: by PDEATHSIG if the kernel has it, and by an inherited lock file everywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from service.database.embedded.account import Account

LAUNCH = Path(__file__).with_name("launch.py")
HAS_DEATH_SIGNAL = sys.platform == "linux"


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
        """Sends a signal. Does nothing if the process has ended."""
        self._process.send_signal(number)

    async def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Sends each signal in turn, with its grace in seconds, until the process has ended; SIGKILL is the last."""
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
    """Starts a program as `account`, in its own session and environment; its output is appended to `output`. It
    inherits the descriptor `inherit`, and gets the signal `ends_with_us` when we die. Call it from the main thread
    only: the kernel sends that signal when the *thread* that started the child ends."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the embedded PostgreSQL is started from the main thread only")
    numbers = (
        os.getpid(),
        int(ends_with_us) if HAS_DEATH_SIGNAL else 0,
        account.uid if account else -1,
        account.gid if account else -1,
    )
    output.touch(mode=0o600)
    with output.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCH, *map(str, numbers), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd="/",
            pass_fds=[inherit],
            # A terminal's Ctrl-C goes to its whole process group; the database must end after our own shutdown.
            start_new_session=True,
        )
    return Child(process)
