"""A coroutine function as a process of its own, to be killed. It is forked from a server that has imported the service:
a new interpreter would need two seconds of computing for that."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Final

CONTEXT: Final = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.fakes.darkroom", "tests.fakes.retrieval_harness", "tests.fakes.studio_harness"])

Main = Callable[..., Coroutine[Any, Any, None]]


class Forked:
    """`stdout` has what the process writes there; it ends with the process."""

    def __init__(self, process: ForkServerProcess, stdout: asyncio.StreamReader) -> None:
        self._process = process
        self.stdout = stdout

    @property
    def has_ended(self) -> bool:
        return not self._process.is_alive()

    async def kill(self) -> None:
        """kill -9; returns once it has ended."""
        self._process.kill()
        await asyncio.to_thread(self._process.join, 30)
        assert self.has_ended

    async def until_line(self, *lines: str, seconds: float = 60) -> str:
        """The first of these that it writes. Raises AssertionError when it ends before."""
        async with asyncio.timeout(seconds):
            while line := (await self.stdout.readline()).decode():
                if line.strip() in lines:
                    return line.strip()
        raise AssertionError(f"it ended instead of writing one of {lines}")


@asynccontextmanager
async def forked(main: Main, *arguments: object) -> AsyncIterator[Forked]:
    """A process that runs `main` with these arguments as text. It is killed at the end."""
    receiving, sending = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_run, args=(main, tuple(map(str, arguments)), sending), daemon=True)
    await asyncio.to_thread(process.start)
    sending.close()
    stdout = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(receiving.fileno()), "rb", buffering=0)
    receiving.close()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdout), pipe
    )
    running = Forked(process, stdout)
    try:
        yield running
    finally:
        await running.kill()
        transport.close()


def _run(main: Main, arguments: tuple[str, ...], output: Connection) -> None:
    os.dup2(output.fileno(), 1)
    output.close()
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for as long as the process lives
    asyncio.run(main(*arguments))
    sys.stdout.flush()
