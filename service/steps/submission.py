"""Decides what InvokeAI's answers to a submission mean (idempotent submit): pure, no I/O, no clock."""

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
"""Seconds after the request timeout in which a POST may still take effect."""
RECOGNISED_WITHIN = 10.0
"""Seconds for which a server that was recognised gets what is to be sent without being asked again."""
FIRST_POLL, LONGEST_POLL = 0.5, 5.0
"""Seconds between polls for something in doubt."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds before something is tried again that could not be done now."""


class PostOutcome(Enum):
    """What is known of a POST that did not succeed."""

    NO_EFFECT = auto()
    """The POST certainly had no effect, and nothing is wrong with it: it is sent again."""
    REFUSED = auto()
    """The POST certainly had no effect, and would be refused again."""
    IN_DOUBT = auto()
    """The POST may have had an effect: InvokeAI is polled."""


def classify_error(error: BaseException) -> PostOutcome:
    """The outcome of a POST that ended in `error`; an uncertain one is in doubt."""
    if isinstance(error, InvokeUnreachable | InvokeUnauthorized | InvokeConflict | InvokeNoSuchRoute):
        return PostOutcome.NO_EFFECT
    if isinstance(error, InvokeAnswered) and not isinstance(error, InvokeFailed):
        return PostOutcome.REFUSED
    return PostOutcome.IN_DOUBT


def effect_deadline(posted_at: float, request_timeout: float, grace: float = GRACE) -> float:
    """The time until which a POST without an answer may still take effect, on the process's monotonic clock."""
    return posted_at + request_timeout + grace


class Enqueued(msgspec.Struct, frozen=True):
    """The batch is there, `count` items of it, as far as InvokeAI still has them."""

    count: int


class Unknown(msgspec.Struct, frozen=True):
    """Poll again later."""


class Lost(msgspec.Struct, frozen=True):
    """The POST had no effect before the deadline. If it turns up later, it is canceled."""


def classify_poll(
    *, total: int, wanted: int, seen: bool, polled_at: float, deadline: float
) -> Enqueued | Unknown | Lost:
    """What `total` items, found at `polled_at`, say of a batch in doubt. Zero proves nothing before the deadline
    (FACTS §10), nor once something else named the batch: then it came, and its items have been pruned since."""
    if total > 0:
        return Enqueued(total)
    if seen:
        return Enqueued(wanted)
    return Lost() if polled_at >= deadline else Unknown()


def split(seeds: list[int], enqueued: int) -> tuple[list[int], list[int]]:
    """The seeds of a batch that InvokeAI took, first come first served (FACTS §7), and those of its next one."""
    return seeds[:enqueued], seeds[enqueued:]


def missing(seeds: list[int], made: list[int | None]) -> list[int]:
    """The seeds of a retry: those without an image, less one for each image whose seed is not known."""
    known = set(made)
    unplaced = sum(1 for seed in made if seed is None or seed not in seeds)
    left = [seed for seed in seeds if seed not in known]
    return left[: max(0, len(left) - unplaced)]
