"""When a server is home: its owner may turn it off (ledger and home)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.backends.home import ReadState, is_home, is_no_matter
from service.bus.live_state import BackendLedger

ALL_HERE = BackendLedger(expected=4, made=4, retrieved=3, waiting=0, failed=0, gone=1, home=False)
READ = ReadState(reachable=True, worked_at=10.0, queue_read_from=11.0, gallery_read_from=12.0, mirrors=True)


def test_it_is_when_all_is_here_and_was_read_after_the_last_sign_of_work() -> None:
    assert is_home(ALL_HERE, READ)


@pytest.mark.parametrize(
    "change", [{"waiting": 1}, {"failed": 1}, {"expected": 5}], ids=["waiting", "failed", "more expected"]
)
def test_it_is_not_while_something_is_open(change: dict[str, int]) -> None:
    assert not is_home(msgspec.structs.replace(ALL_HERE, **change), READ)


@pytest.mark.parametrize(
    "change",
    [
        {"reachable": False},
        {"queue_read_from": None},
        {"gallery_read_from": None},
        {"queue_read_from": 9.0},
        {"gallery_read_from": 9.0},
        {"worked_at": 11.5},
        {"worked_at": 13.0},
    ],
)
def test_it_is_not_while_something_may_have_been_made_that_was_not_looked_for(change: dict[str, Any]) -> None:
    assert not is_home(ALL_HERE, msgspec.structs.replace(READ, **change))


@pytest.mark.parametrize("gallery_read_from", [None, 9.0])
def test_the_gallery_matters_only_where_it_is_mirrored(gallery_read_from: float | None) -> None:
    looked = msgspec.structs.replace(READ, mirrors=False, gallery_read_from=gallery_read_from)
    assert is_home(ALL_HERE, looked)


def test_a_server_that_was_not_looked_at_is_not_home() -> None:
    assert not is_home(ALL_HERE, None)


STOPPED = msgspec.structs.replace(READ, reachable=False, worked_at=20.0, off=True, stopped_home=True)


def test_a_pod_that_was_stopped_when_it_was_home_stays_home_while_nothing_is_open() -> None:
    assert is_home(ALL_HERE, STOPPED)
    assert not is_home(msgspec.structs.replace(ALL_HERE, expected=5), STOPPED)
    assert not is_home(ALL_HERE, msgspec.structs.replace(STOPPED, stopped_home=False))
    assert not is_home(ALL_HERE, msgspec.structs.replace(STOPPED, off=False))


def test_a_pod_that_does_not_run_and_has_nothing_open_is_no_matter_for_the_others() -> None:
    off = msgspec.structs.replace(STOPPED, stopped_home=False)
    assert is_no_matter(ALL_HERE, off)
    assert not is_no_matter(msgspec.structs.replace(ALL_HERE, waiting=1), off)
    assert not is_no_matter(msgspec.structs.replace(ALL_HERE, expected=5), off)
    assert not is_no_matter(ALL_HERE, READ)
    assert not is_no_matter(ALL_HERE, None)
