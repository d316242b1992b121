"""A process that runs an embedded PostgreSQL until it is killed: prints the server's URL and waits.

`--no-death-signal` leaves the server alive when this process is killed, as systems without PDEATHSIG do.
"""

from __future__ import annotations

import sys
from pathlib import Path

import structlog
import uvloop

from service.database.embedded import child
from service.database.embedded.server import EmbeddedPostgres


async def hold(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    print(await postgres.start(), flush=True)  # noqa: T201
    await postgres.exited


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if "--no-death-signal" in sys.argv:
        child.HAS_DEATH_SIGNAL = False
    uvloop.run(hold(Path(sys.argv[1])))
