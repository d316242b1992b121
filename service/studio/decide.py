"""What to make of InvokeAI's answers to a submission (rule 7): pure, no I/O, no clock."""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from service.errors import (
    InvokeAnswered,
    InvokeConflict,
    InvokeFailed,
    InvokeNoSuchRoute,
    InvokeUnauthorized,
    InvokeUnreachable,
)

GRACE = 10.0
"""Seconds after the request timeout in which a POST may still take effect (rule 7)."""
FIRST_GAP, LONGEST_GAP = 0.25, 60.0
LONGEST_QUESTION_GAP = 5.0


class Fate(Enum):
    """What is known of a POST that did not succeed."""

    AGAIN = auto()
    """Certainly without effect, and nothing wrong with it: prepared once more."""
    REFUSED = auto()
    """Certainly without effect, and would be refused again."""
    DOUBT = auto()
    """Nobody knows: ask."""


def fate(error: BaseException) -> Fate:
    """The fate of a POST that ended in `error`; whatever is not known for certain is in doubt."""
    if isinstance(error, InvokeUnreachable | InvokeUnauthorized | InvokeConflict | InvokeNoSuchRoute):
        return Fate.AGAIN
    if isinstance(error, InvokeAnswered) and not isinstance(error, InvokeFailed):
        return Fate.REFUSED
    return Fate.DOUBT


def gap(tries: int, longest: float = LONGEST_GAP) -> float:
    """Seconds before the next try, after so many; doubling up to `longest`."""
    return min(longest, FIRST_GAP * 2.0 ** min(tries, 16))


def window_ends(posted_at: float, request_timeout: float, grace: float = GRACE) -> float:
    """Until then a POST without an answer may still take effect; times are on the process's monotonic clock."""
    return posted_at + request_timeout + grace


def question_gap(asked: int, now: float, deadline: float) -> float:
    """Seconds until InvokeAI is asked again for a batch in doubt: growing gaps, and once as the window ends."""
    wait = gap(asked, LONGEST_QUESTION_GAP)
    left = deadline - now
    return min(wait, left) if left > 0 else wait


class Arrived(msgspec.Struct, frozen=True):
    """The batch is there, `count` items of it, as far as InvokeAI still has them."""

    count: int


class Unknown(msgspec.Struct, frozen=True):
    """Ask again later."""


class Lost(msgspec.Struct, frozen=True):
    """It did not arrive within the window; should it do so later, it is canceled."""


Verdict = Arrived | Unknown | Lost


def verdict(*, total: int, wanted: int, seen: bool, asked_at: float, deadline: float) -> Verdict:
    """What `total` items, asked for at `asked_at`, say of a batch in doubt. Zero proves nothing while the window is
    open (FACTS §10), nor once something else named the batch: then it came, and its items have been pruned since."""
    if total > 0:
        return Arrived(total)
    if seen:
        return Arrived(wanted)
    return Lost() if asked_at >= deadline else Unknown()


class Split(msgspec.Struct, frozen=True):
    """A batch's seeds after InvokeAI took `taken` of them, first come first served (FACTS §7)."""

    taken: list[int]
    rest: list[int]


def split(seeds: list[int], enqueued: int) -> Split:
    """What InvokeAI took of a batch and what becomes another one."""
    return Split(seeds[:enqueued], seeds[enqueued:])


def missing(seeds: list[int], made: list[int | None]) -> list[int]:
    """The seeds a retry makes: those of which nothing came, less one for each image whose seed nobody knows."""
    known = set(made)
    unplaced = sum(1 for seed in made if seed is None or seed not in seeds)
    left = [seed for seed in seeds if seed not in known]
    return left[: max(0, len(left) - unplaced)]
