"""Logs under a flood: lines of one kind are counted, and each is bounded (a server's words are in them)."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog

from service.config import logs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been written, line by line."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, config = root.handlers, root.level, structlog.get_config()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("json")
    yield lambda: [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**config)


def record(message: Any, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("service", level, "here", 1, message, (), None)


def test_warnings_of_one_kind_and_server_are_written_some_times_a_minute_and_counted() -> None:
    clock = Clock()
    repetitions = logs.Repetitions(clock)
    malformed = {"event": "event_malformed", "backend_id": "a", "error": "1"}
    assert sum(repetitions.filter(record(malformed | {"error": str(number)})) for number in range(5000)) == 10
    assert repetitions.filter(record(malformed | {"backend_id": "b"})), "another server is another kind"
    assert repetitions.filter(record({"event": "other", "backend_id": "a"}))
    clock.now = 61.0
    again = record(malformed)
    assert repetitions.filter(again)
    assert again.msg == malformed | {"kept_back": 4990}


def test_lines_of_the_libraries_are_counted_by_their_template() -> None:
    clock = Clock()
    repetitions = logs.Repetitions(clock)
    assert sum(repetitions.filter(record("Received unexpected packet of type %s")) for _ in range(100)) == 10
    clock.now = 61.0
    again = record("Received unexpected packet of type %s")
    assert repetitions.filter(again)
    assert again.msg == "Received unexpected packet of type %s (90 more were kept back)"


def test_what_is_no_warning_is_never_kept_back() -> None:
    repetitions = logs.Repetitions(Clock())
    assert all(repetitions.filter(record({"event": "x"}, logging.INFO)) for _ in range(1000))


def test_kinds_without_number_are_forgotten() -> None:
    """Their names may be a server's own words."""
    repetitions = logs.Repetitions(Clock())
    for number in range(5000):
        assert repetitions.filter(record({"event": "x", "url": str(number)}))
    assert repetitions.filter(record({"event": "x", "url": "0"}))


def test_twenty_megabytes_of_words_make_a_short_line(written: Any) -> None:
    structlog.get_logger().warning("rejected", why="x" * 20_000_000, names=["y" * 1000] * 1000, count=7)
    [line] = written()
    assert (line["event"], line["count"]) == ("rejected", 7)
    assert len(str(line)) < 5000
    assert line["why"].endswith("… (20000000 letters)")


def test_a_traceback_with_twenty_megabytes_of_words_is_cut(written: Any) -> None:
    try:
        int("x" * 20_000_000, base=40)
    except ValueError as error:
        error.add_note("x" * 20_000_000)
        structlog.get_logger().exception("failed")
    [line] = written()
    assert line["exception"].startswith("Traceback")
    assert len(str(line)) < 25_000
