"""Configures logging, ours and the libraries': readable lines on a terminal, else one JSON object a line.

Logs have words of other programs in them, so they are bounded: a line in length, and lines of one kind in number.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import msgspec
import structlog

from service.config.settings import LogFormat

QUIET: Final = {
    "uvicorn.error": logging.WARNING,
    "asyncio": logging.WARNING,
    "engineio": logging.WARNING,
    "socketio": logging.WARNING,
    "aiohttp": logging.WARNING,
    "alembic": logging.WARNING,
    "pyvips": logging.WARNING,
}
LONGEST_VALUE: Final = 2000
LONGEST_TRACEBACK: Final = 20_000
MINUTE: Final = 60.0
MOST_A_MINUTE: Final = 10
"""Warnings and errors of one kind, about one server, that are written within a minute. The others are counted."""
MOST_KINDS: Final = 1000
ABOUT: Final = ("backend_id", "backend", "url", "task", "pod")
"""Fields that say what a warning is about, besides its kind."""


class Repetitions(logging.Filter):
    """Passes so many warnings of one kind a minute. The first one after that says how many were kept back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        event = record.msg if isinstance(record.msg, dict) else None
        if event is None:
            key: tuple[str, ...] = (record.name, str(record.msg)[:LONGEST_VALUE])
        else:
            key = (str(event.get("event")), *(str(event[about])[:LONGEST_VALUE] for about in ABOUT if about in event))
        with self._lock:
            kept_back = self._counted(key)
        if kept_back is None:
            return False
        if kept_back and event is not None:
            record.msg = {**event, "kept_back": kept_back}
        elif kept_back:
            record.msg = f"{record.msg} ({kept_back} more were kept back)"
        return True

    def _counted(self, key: tuple[str, ...]) -> int | None:
        """How many were kept back before this one; None if this one is kept back."""
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is None or now - kind.since >= MINUTE:
            kept_back = 0 if kind is None else kind.kept_back
            self._kinds[key] = _Kind(now)
            self._kinds.move_to_end(key)
            if len(self._kinds) > MOST_KINDS:
                self._kinds.popitem(last=False)
            return kept_back
        if kind.written < MOST_A_MINUTE:
            kind.written += 1
            return 0
        kind.kept_back += 1
        return None


class _Kind:
    """Warnings of one kind in the present minute."""

    __slots__ = ("kept_back", "since", "written")

    def __init__(self, since: float) -> None:
        self.since = since
        self.written = 1
        self.kept_back = 0


def shortened(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cuts every value to a length that fits a line."""
    for name, value in event.items():
        if value is None or isinstance(value, bool | int | float) or name in ("exc_info", "_record"):
            continue
        most = LONGEST_TRACEBACK if name == "exception" else LONGEST_VALUE
        text = value if isinstance(value, str) else repr(value)
        if len(text) > most:
            event[name] = f"{text[:most]}… ({len(text)} letters)"
    return event


def chosen_format(given: LogFormat | None) -> LogFormat:
    """Console on a terminal, else json."""
    return given or ("console" if sys.stderr.isatty() else "json")


def configure(format: LogFormat) -> None:
    """Sends everything to standard error. Call it once, before anything else."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if format == "json" else "%H:%M:%S", utc=format == "json"),
        # Plain tracebacks: a rich one takes seconds of the event loop, and shows local variables, passwords among them.
        structlog.processors.format_exc_info,
    ]
    if format == "json":
        renderer: Any = structlog.processors.JSONRenderer(serializer=_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repetitions())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, shortened, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
