"""Restarts the embedded PostgreSQL when it ends, or accepts no new connections; a bounded number of times."""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from service.database.embedded.server import EmbeddedPostgres
from service.errors import StartupError

log = structlog.get_logger()

KNOCK_SECONDS: Final = 30.0
REFUSALS: Final = 2
"""Refusals in a row after which a server that still runs is restarted."""
RESTARTS: Final = 3
WITHIN_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 5.0
"""Seconds before another try, if the server could not be started: the first, then twice and three times as long."""
OUR_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


class Watch:
    """Watches the server, for the supervisor. `give_up` is called once, with the reason, when the server was restarted
    three times in ten minutes and ends once more: a new start of Darkroom may succeed."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        give_up: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._postgres = postgres
        self._give_up = give_up
        self._clock = clock
        self._restarts: deque[float] = deque(maxlen=RESTARTS)

    async def run(self) -> None:
        """Runs until it is cancelled, also after giving up."""
        while True:
            reason = await self._lost()
            if len(self._restarts) == RESTARTS and self._restarts[0] > self._clock() - WITHIN_SECONDS:
                self._give_up(f"the database server {reason}, and was started again {RESTARTS} times lately already")
                await asyncio.get_running_loop().create_future()
            log.error("database lost", reason=reason)
            await self._restart()

    async def _lost(self) -> str:
        """Waits until the server has ended, or refuses everybody, and returns that in words."""
        exited = self._postgres.exited
        refusals = 0
        while refusals < REFUSALS:
            done, _ = await asyncio.wait({exited}, timeout=KNOCK_SECONDS)
            if done:
                return f"ended by itself (code {exited.result()}): the log beside its files says why"
            match await self._postgres.knock():
                case "admits":
                    refusals = 0
                case "refuses":
                    refusals += 1
                case "silent":
                    pass  # a slow server, or too few descriptors here: no reason to restart it
        return "admits no new connection: it is shutting down, or its socket was removed"

    async def _restart(self) -> None:
        self._restarts.append(self._clock())
        try:
            await self._postgres.restart()
        except OSError as error:
            if error.errno in OUR_DESCRIPTORS:
                self._restarts.pop()  # our own fault, not the server's
            log.error("database not started", error=str(error))  # noqa: TRY400
        except StartupError as error:
            log.error("database not started", error=str(error))  # noqa: TRY400
        else:
            return
        await asyncio.sleep(PAUSE_SECONDS * max(1, len(self._restarts)))
