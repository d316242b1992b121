"""Logs of our own and of the libraries in one form: readable lines on a terminal, else one JSON object a line."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec
import structlog

from service.settings import LogFormat

QUIET: Final = {
    "uvicorn.error": logging.WARNING,
    "asyncio": logging.WARNING,
    "engineio": logging.WARNING,
    "socketio": logging.WARNING,
    "aiohttp": logging.WARNING,
    "alembic": logging.WARNING,
    "pyvips": logging.WARNING,
}


def chosen_format(given: LogFormat | None) -> LogFormat:
    """Console on a terminal, else json."""
    return given or ("console" if sys.stderr.isatty() else "json")


def configure(format: LogFormat) -> None:
    """Everything goes to standard error; call it once, first thing."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if format == "json" else "%H:%M:%S", utc=format == "json"),
    ]
    if format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer: Any = structlog.processors.JSONRenderer(serializer=_json)
    else:
        # Plain: a rich traceback takes seconds of the event loop, and shows local variables, passwords among them.
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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
