"""Darkroom in a process of its own (`forked`). Arguments: database URL, data folder, moment, order.

At one moment of the first ORDER ("start", "stop") it says "here" and does nothing more, to be killed there. MOMENT is
"written" (and not marked as sent), "marked" (and not sent), "answered" (and not written down), "unread" (what the order
did), "held" (and not stopped), or "never".
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from service.pods import decide, watch
from service.pods.runpod import RunPod
from tests.fakes.darkroom import running, settings_for


def be_quick() -> None:
    """What takes minutes in earnest takes a second."""
    watch.PRESSING, watch.QUIET, watch.TICK, watch.QUIET_TICK = 0.2, 0.6, 0.1, 0.2
    decide.NO_GPU_AGAIN, decide.NOT_REACHED = timedelta(seconds=0.5), timedelta(seconds=1.5)
    decide.IDLE_UNIT = timedelta(seconds=15)


def here(*_: Any, **__: Any) -> Any:
    sys.stdout.write("here\n")
    sys.stdout.flush()
    time.sleep(1000)


def here_before(name: str, holds: Callable[..., bool]) -> None:
    """Of a decision, when it is made of such a row."""
    decision = getattr(decide, name)

    def stopping(row: Any, *more: Any, **named: Any) -> Any:
        return here() if holds(row) else decision(row, *more, **named)

    setattr(decide, name, stopping)


async def here_async(*_: Any, **__: Any) -> Any:
    return here()


def arrange(moment: str, order: str) -> None:
    match moment:
        case "written":
            here_before("sent", lambda row: row.order_kind == order)
        case "marked":
            setattr(RunPod, order, here_async)
        case "answered":
            here_before("after_outcome", lambda row: row.order_kind == order)
        case "unread":
            here_before("after_reading", lambda row: row.order_kind == order and row.order_outcome is not None)
        case "held":
            watch.look_home = here_async


async def main(database_url: str, folder: str, moment: str, order: str) -> None:
    be_quick()
    arrange(moment, order)
    async with running(settings_for(Path(folder), database_url)) as darkroom:
        settings = darkroom.app.state["runtime_settings"]
        settings.current = msgspec.structs.replace(settings.current, idle_check_seconds=0.5)
        await asyncio.Event().wait()
