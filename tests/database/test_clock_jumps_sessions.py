"""Our own clock is set: nobody is signed out by an hour or a day, and no session lives longer than it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.access.password import OwnerPassword
from service.access.sessions import LIFETIME, REMEMBERED_FOR, Sessions
from service.database.engine import Database

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("jump", [timedelta(hours=n) for n in (1, 24, -1, -24)], ids=["+1h", "+1d", "-1h", "-1d"])
async def test_a_session_outlives_a_jump_and_lives_no_longer_than_a_session_may(
    database: Database, jump: timedelta
) -> None:
    password = OwnerPassword("correct horse battery")
    token = await Sessions(database, password, now=lambda: NOW).create()
    visitor = await Sessions(database, password, now=lambda: NOW + jump).find(token)
    assert visitor is not None
    assert visitor.expires_at is not None
    assert LIFETIME - timedelta(days=1) <= visitor.expires_at - (NOW + jump) <= LIFETIME


async def test_a_sign_out_elsewhere_is_noticed_in_time_though_the_clock_was_set_back(database: Database) -> None:
    password = OwnerPassword("correct horse battery")
    times, monotonic = [NOW], [100.0]
    here = Sessions(database, password, now=lambda: times[0], clock=lambda: monotonic[0])
    token = await here.create()
    visitor = await here.find(token)
    assert visitor is not None
    await Sessions(database, password, now=lambda: NOW).end(visitor.session or "")
    times[0] -= timedelta(days=1)
    monotonic[0] += REMEMBERED_FOR + 1
    assert await here.find(token) is None
