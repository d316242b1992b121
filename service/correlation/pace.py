"""Seconds left of a running item, from its own pace; pure."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """The first fraction seen of the present stretch of work, and when (monotonic seconds)."""

    since: float
    fraction: float
    latest: float

    def eta(self, now: float) -> float | None:
        """Seconds left at the average pace of this stretch; None before there is a pace."""
        done = self.latest - self.fraction
        if done <= 0 or now <= self.since:
            return None
        return (now - self.since) * (1 - self.latest) / done


def paced(pace: Pace | None, fraction: float, now: float) -> Pace:
    """The pace after one more fraction; a smaller one begins a new stretch (a second denoise, an upscale)."""
    if pace is None or fraction < pace.latest:
        return Pace(now, fraction, fraction)
    return Pace(pace.since, pace.fraction, fraction)
