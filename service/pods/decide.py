"""The decisions about a pod, by its row and a reading of its provider (stopped only when home). Pure: no I/O, no clock.

Each function takes a row and returns the new one; the caller has the row locked. Times are the database's. A time that
lies too far in the future comes from a clock that was set back since: waits are cut to their own maximum.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from service.bus.live_state import PodState
from service.pods import money
from service.pods.provider import Later, NoGpu, NotKnown, Outcome, PodReading, Refused, Taken
from service.pods.rows import OrderKind, OrderOutcome, PodRow, WantedBy

NO_GPU_AGAIN: Final = timedelta(seconds=30)
"""Time between two starts that find no free GPU."""
GIVE_UP: Final = timedelta(minutes=30)
"""Time for which a start is repeated."""
NOT_REACHED: Final = timedelta(seconds=60)
"""Time after an order until it is sent once more; doubled each time."""
LONGEST: Final = timedelta(minutes=10)
READY_WITHIN: Final = timedelta(minutes=15)
"""Time from the beginning of a run until InvokeAI answers."""
STOPS_WITHIN: Final = timedelta(minutes=2)
"""Time after a stop was ordered until it has come true."""
AWAY: Final = 120.0
"""Seconds for which InvokeAI or the provider may be away before it is an alarm."""
IDLE_UNIT: Final = timedelta(minutes=1)
"""The unit of a pod's `idle_minutes`."""
LATE_START: Final = timedelta(hours=1)
"""A pod that starts so long after our last start order was started by somebody else."""

RUNS: Final[frozenset[PodState]] = frozenset({"running", "starting", "stopping"})
"""States in which it has a machine and is billed."""
OFF: Final[frozenset[PodState]] = frozenset({"stopped", "failed"})

NO_GPU_WORDS: Final = "No free GPU on its host"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the process knows beside the row."""

    work: int | None = None
    """The newest batch that is to be submitted there, by its ordinal."""
    unsent_for: float = 0.0
    """Seconds for which work has waited while nothing is in its queue and nothing keeps Darkroom from sending."""
    ready: bool = False
    """Its InvokeAI answers and is recognised (recognised servers only)."""
    away_for: float | None = None
    """Seconds since it was last ready, or since this process first saw it run; None while it is ready."""
    provider_away: str | None = None
    """Why the last request to the provider failed; None if it succeeded."""
    provider_away_for: float = 0.0
    exists: bool = True
    port_declared: bool = True
    enabled: bool = True
    proved: bool = False
    """This process has seen that everything is home and ordered the present stop, and its InvokeAI was not
    ready since."""


# --- the owner's orders ---


def asks_root(row: PodRow) -> bool:
    """Whether the owner has to say if InvokeAI's root survives a stop: the provider could not tell."""
    return row.read_at is not None and row.root == "unknown" and row.root_confirmed is None


def root_objection(row: PodRow) -> str | None:
    """Why the pod is not used: a stop would lose what InvokeAI keeps there, or nobody has said whether."""
    if row.root == "lost_at_stop":
        return "InvokeAI's root folder is not on the disk that survives a stop: what is there would be lost"
    if row.root == "unknown" and row.root_confirmed is False:
        return "InvokeAI's root folder does not survive a stop, as you said"
    if asks_root(row):
        return "it is not known whether InvokeAI's root folder survives a stop: say so first"
    return None


def is_stopping(row: PodRow) -> bool:
    """A stop was ordered, or is about to be."""
    return row.wanted == "stopped" and (row.orders > 0 or row.confirmed) and row.said not in OFF


def start(row: PodRow, by: WantedBy, now: datetime) -> PodRow:
    """The pod is to run. One that runs already counts as started by us from now on."""
    if row.wanted == "running" and row.said in OFF and row.wanted_by == by:
        return row
    return msgspec.structs.replace(
        _without_order(row),
        wanted="running",
        wanted_by=by,
        wanted_at=now,
        confirmed=False,
        give_up_at=now + GIVE_UP,
        failure=None,
        gave_up_on=None,
        held_at=None,
        idle_since=None,
        stop_refused=None,
        started_by_us=True,
    )


def stop(row: PodRow, by: WantedBy, now: datetime, *, confirmed: bool, work: int | None = None) -> PodRow:
    """The pod is to be stopped: at once when `confirmed`, else once everything is known to be home. `work` that waits
    then does not start it again."""
    if row.wanted == "stopped" and (row.confirmed or not confirmed):
        return row
    before = row if row.wanted == "stopped" else _without_start(row)
    return msgspec.structs.replace(
        before,
        wanted="stopped",
        wanted_by=by,
        wanted_at=now,
        confirmed=confirmed,
        give_up_at=None,
        failure=None,
        gave_up_on=work if by == "owner" else row.gave_up_on,
        held_at=row.held_at or now,
        stop_refused=None,
    )


# --- stopping when idle ---


def idle(row: PodRow, now: datetime, *, busy: bool, moved: bool) -> PodRow:
    """The idle clock: it does not run while something is `busy`, and begins again when something `moved`."""
    if row.said != "running" or busy:
        since = None
    elif moved or row.idle_since is None or row.idle_since > now:
        since = now
    else:
        since = row.idle_since
    if since == row.idle_since:
        return row
    return msgspec.structs.replace(row, idle_since=since, stop_refused=None)


def is_idle(row: PodRow, now: datetime) -> bool:
    """Nothing has happened for `idle_minutes`."""
    since = row.idle_since
    return row.said == "running" and since is not None and now - since >= row.idle_minutes * IDLE_UNIT


def may_stop(row: PodRow, now: datetime) -> bool:
    """Whether the idle time is over and a stop is to be prepared. A pod that we did not start is left running."""
    return row.started_by_us and row.wanted != "stopped" and is_idle(row, now)


def needs_proof(row: PodRow, facts: Facts, now: datetime) -> bool:
    """A stop is to be ordered, or ordered once more, but only when everything is known to be home. What was home at the
    first order still is, unless its InvokeAI could be reached since."""
    if row.wanted != "stopped" or row.confirmed or row.said in OFF or row.said == "stopping":
        return False
    if row.orders == 0:
        return True
    due = row.next_order_at is not None and now >= row.next_order_at
    return due and not _is_still_proved(row, facts)


def _is_still_proved(row: PodRow, facts: Facts) -> bool:
    """Whether the proof still holds. A stop that was not carried out leaves a machine that others may use, even if we
    cannot reach it."""
    return facts.proved and not facts.ready and row.order_outcome not in ("later", "refused")


def hold(row: PodRow, now: datetime) -> PodRow:
    """Begins the hold: nothing is submitted from now on."""
    return row if row.held_at is not None else msgspec.structs.replace(row, held_at=now)


def refuse_stop(row: PodRow, words: str, now: datetime, *, certain: bool) -> PodRow:
    """Ends the hold: not everything is home, or that is not known. A stop that was ordered before goes on, unless it is
    `certain` that something is not home."""
    if row.confirmed and row.wanted == "stopped":
        return row
    if row.wanted == "stopped" and row.orders > 0 and not certain:
        return msgspec.structs.replace(row, next_order_at=now + _wait(row.orders))
    if row.wanted == "stopped":
        wanted, by = ("running", row.wanted_by) if row.started_by_us else (None, None)
        row = msgspec.structs.replace(_without_order(row), wanted=wanted, wanted_by=by)
    return msgspec.structs.replace(row, held_at=None, stop_refused=words)


def proved_home(row: PodRow, now: datetime, order_id: UUID) -> PodRow:
    """Orders the stop, if the pod is still to be stopped: everything is home since the hold. `row` was read in the
    transaction that also saw that nothing is to be submitted."""
    if row.held_at is None or row.said in OFF or row.confirmed:
        return row
    wanted = row if row.wanted == "stopped" else stop(row, "idle", now, confirmed=False)
    return _ordered(wanted, "stop", now, order_id)


def taken_back(row: PodRow, now: datetime) -> PodRow:
    """Takes back a stop that was written and could not be sent at once: its proof is out of date."""
    if row.confirmed or row.wanted != "stopped" or row.order_kind != "stop" or row.order_sent_at is not None:
        return row
    again = now if row.orders > 1 else None
    return msgspec.structs.replace(_without_order(row), orders=row.orders - 1, next_order_at=again)


def after_restart(row: PodRow, now: datetime) -> PodRow:
    """What the next process makes of the row. A hold ends, unless its stop is wanted. An order that may have been sent
    is judged by readings. A stop that was not sent is proved anew, for others may have used the pod since. A start for
    work whose time ran out gets its time again: nobody repeated it."""
    row = release(row)
    if row.wanted_by == "work" and row.give_up_at is not None and row.give_up_at < now:
        row = msgspec.structs.replace(row, give_up_at=now + GIVE_UP)
    if row.order_sent_at is not None and row.order_outcome is None:
        row = msgspec.structs.replace(row, order_outcome="not_known")
    if row.order_kind == "stop" and row.order_sent_at is None and not row.confirmed:
        row = _without_order(row)
    return row


# --- orders ---


def sent(row: PodRow, now: datetime) -> PodRow:
    """Marks the order as sent; written before it is sent."""
    return msgspec.structs.replace(row, order_sent_at=now, next_order_at=now + _wait(row.orders))


def after_outcome(row: PodRow, outcome: Outcome, facts: Facts, now: datetime) -> PodRow:
    """What the answer to an order changes. Only a reading tells whether the order was carried out."""
    match outcome:
        case Taken():
            return _answered(row, "taken", None, now + _wait(row.orders))
        case NotKnown(words):
            return _answered(row, "not_known", words, now + _wait(row.orders))
        case Later(seconds, words):
            return _answered(row, "later", words, now + min(timedelta(seconds=max(1.0, seconds)), LONGEST))
        case NoGpu(words):
            # Such an answer is certain: earlier orders do not count.
            return msgspec.structs.replace(_answered(row, "no_gpu", words, now + NO_GPU_AGAIN), orders=1)
        case Refused(words):
            answered = _answered(row, "refused", words, now + _wait(row.orders))
            # The reading that follows decides about a stop.
            return _failed(answered, f"It cannot be started: {words}", facts) if row.wanted == "running" else answered


def _answered(row: PodRow, outcome: OrderOutcome, words: str | None, again: datetime) -> PodRow:
    return msgspec.structs.replace(row, order_outcome=outcome, order_words=words, next_order_at=again)


def _wait(orders: int) -> timedelta:
    return min(NOT_REACHED * (1 << min(max(0, orders - 1), 8)), LONGEST)


def _ordered(row: PodRow, kind: OrderKind, now: datetime, order_id: UUID) -> PodRow:
    return msgspec.structs.replace(
        row,
        order_kind=kind,
        order_id=order_id,
        order_written_at=now,
        order_sent_at=None,
        order_outcome=None,
        order_words=None,
        next_order_at=None,
        orders=row.orders + 1,
    )


def _without_order(row: PodRow) -> PodRow:
    return msgspec.structs.replace(
        row,
        order_kind=None,
        order_id=None,
        order_written_at=None,
        order_sent_at=None,
        order_outcome=None,
        order_words=None,
        next_order_at=None,
        orders=0,
    )


def _without_start(row: PodRow) -> PodRow:
    """Removes the order but keeps when a start was sent: it may take effect even if it is not wanted any more."""
    bare = _without_order(row)
    if row.order_kind != "start":
        return bare
    return msgspec.structs.replace(bare, order_kind="start", order_sent_at=row.order_sent_at)


# --- a reading of the provider ---


def after_reading(row: PodRow, said: PodReading, facts: Facts, now: datetime) -> PodRow:
    """What a reading of the provider changes: money, and whether the wanted state is reached."""
    row = _billed(row, said, now)
    row = msgspec.structs.replace(
        row,
        said=said.state,
        said_words=said.words,
        read_at=now,
        root=said.root if said.exists else row.root,
        gpus=said.gpus,
        locked=said.locked,
        stopped_costs=said.stopped_costs or row.stopped_costs,
        cost_per_hour=said.cost_per_hour or row.cost_per_hour,
    )
    if said.state in OFF:
        return _is_off(row, said, facts, now)
    if said.state in ("running", "starting") and row.run_began_at is None:
        row = _run_begins(row, now)
    if said.state == "running" and row.wanted == "running":
        row = msgspec.structs.replace(_without_order(row), give_up_at=None)
    if said.state == "running" and row.wanted != "stopped":
        row = msgspec.structs.replace(row, failure=None, gave_up_on=None)
    return row


def _billed(row: PodRow, said: PodReading, now: datetime) -> PodRow:
    if row.said not in RUNS or row.run_began_at is None:
        return row
    cost = said.cost_per_hour or row.cost_per_hour
    return msgspec.structs.replace(row, run_cost=row.run_cost + money.for_hours(cost, row.read_at, now))


def _run_begins(row: PodRow, now: datetime) -> PodRow:
    return msgspec.structs.replace(
        row,
        run_began_at=now,
        run_cost=0.0,
        ready_at=None,
        idle_since=None,
        confirmed=row.confirmed and row.wanted == "stopped",
        stopped_by_us_at=None,
        saved=money.saved(row.saved, row.cost_per_hour, stopped_by_us_at=row.stopped_by_us_at, now=now),
        stop_refused=None,
    )


def _is_off(row: PodRow, said: PodReading, facts: Facts, now: datetime) -> PodRow:
    """The pod does not run. That completes a stop; a run that had begun has ended by itself."""
    ran, was_ready = row.run_began_at is not None, row.ready_at is not None
    off = msgspec.structs.replace(row, run_began_at=None, ready_at=None, idle_since=None, held_at=None)
    if ran:
        # A pod that is not found, or has failed, may run again later as the same pod.
        ours = row.started_by_us and said.state != "stopped"
        off = msgspec.structs.replace(off, started_by_us=ours, stop_refused=None)
    if row.wanted == "stopped":
        by_us = row.orders > 0 and said.state == "stopped"
        return msgspec.structs.replace(
            _without_start(off),
            wanted=None,
            wanted_by=None,
            stopped_by_us_at=now if by_us else None,
            started_by_us=off.started_by_us and not by_us,
        )
    if row.wanted == "running" and not said.exists:
        return _failed(off, said.words or "Its provider knows no such pod", facts)
    if row.wanted == "running" and ran:
        if not was_ready:
            words = said.words or "it ended by itself before InvokeAI answered"
            return _failed(off, f"It was started, but {words[:1].lower()}{words[1:]}", facts)
        return msgspec.structs.replace(_without_order(off), wanted=None, wanted_by=None)
    return off


def _failed(row: PodRow, words: str, facts: Facts) -> PodRow:
    """Gives up the start. The work that waits does not start it again by itself."""
    return msgspec.structs.replace(
        row,
        wanted=None,
        wanted_by=None,
        give_up_at=None,
        next_order_at=None,
        failure=words,
        gave_up_on=facts.work if facts.work is not None else row.gave_up_on,
    )


# --- a turn: all decisions of this moment ---


def turn(row: PodRow, facts: Facts, now: datetime, order_id: UUID) -> PodRow:
    """The new row. An order that is to be sent stands in it with `order_id`."""
    row = _cut(row, now)
    row = _follow_work(row, facts, now)
    row = _give_up(row, facts, now)
    row = _order(row, facts, now, order_id)
    if row.said == "running" and facts.ready and row.ready_at is None:
        row = msgspec.structs.replace(row, ready_at=now)
    row = msgspec.structs.replace(row, alarm=_alarm(row, facts, now))
    return shown(row, now, provider_away=facts.provider_away)


def unsent_order(row: PodRow) -> OrderKind | None:
    """The order that is written and not sent yet, unless the pod is on its way by itself."""
    if row.order_sent_at is not None:
        return None
    if row.order_kind == "start" and row.wanted == "running" and row.said in OFF:
        return "start"
    if row.order_kind == "stop" and row.wanted == "stopped" and row.said not in OFF and row.said != "stopping":
        return "stop"
    return None


def parked(row: PodRow) -> str | None:
    """Why nothing is to be tried at its InvokeAI: the pod is known not to run. None if it may run."""
    if row.said in ("starting", "stopping", "stopped", "failed"):
        return f"its pod is {'starting' if row.state == 'starting' else row.said}"
    return None


def was_home(row: PodRow) -> bool:
    """We stopped it when everything was proved to be home, and it has not run since."""
    return row.stopped_by_us_at is not None and not row.confirmed


def release(row: PodRow) -> PodRow:
    """Ends the hold, unless a stop is wanted."""
    return row if row.wanted == "stopped" else msgspec.structs.replace(row, held_at=None)


def is_pressing(row: PodRow) -> bool:
    """Something is under way, so the provider is asked often."""
    if row.wanted == "running":
        return row.said != "running"
    return row.wanted == "stopped" or row.said in ("starting", "stopping", "unknown")


def _cut(row: PodRow, now: datetime) -> PodRow:
    if row.next_order_at is not None and row.next_order_at > now + LONGEST:
        row = msgspec.structs.replace(row, next_order_at=now + LONGEST)
    if row.give_up_at is not None and row.give_up_at > now + GIVE_UP:
        row = msgspec.structs.replace(row, give_up_at=now + GIVE_UP)
    if row.order_sent_at is not None and row.order_sent_at > now:
        row = msgspec.structs.replace(row, order_sent_at=now)
    if row.state_since > now:
        row = msgspec.structs.replace(row, state_since=now)
    if row.run_began_at is not None and row.run_began_at > now:
        row = msgspec.structs.replace(row, run_began_at=now)
    return row


def _has_new_work(row: PodRow, facts: Facts) -> bool:
    return facts.work is not None and (row.gave_up_on is None or facts.work > row.gave_up_on)


def _follow_work(row: PodRow, facts: Facts, now: datetime) -> PodRow:
    if row.wanted == "running" and row.said in OFF and _is_start_over(row, facts):
        # The order that was sent may still take effect: then the run is ours.
        return msgspec.structs.replace(_without_start(row), wanted=None, wanted_by=None, give_up_at=None)
    is_off = row.said == "stopped" and row.wanted is None
    if is_off and row.started_by_us and _is_past(row.order_sent_at, LATE_START, now):
        row = msgspec.structs.replace(row, started_by_us=False)
    if not _has_new_work(row, facts):
        return row
    if is_stopping(row) and row.order_outcome == "refused" and row.said == "running":
        # It does not stop, so it may be used.
        return start(row, "work", now)
    may_start = row.autostart and facts.enabled and facts.exists and facts.provider_away is None
    if may_start and row.wanted is None and row.said in OFF and row.read_at is not None and root_objection(row) is None:
        return start(row, "work", now)
    return row


def _is_start_over(row: PodRow, facts: Facts) -> bool:
    """Whether the start is over: nothing is to be submitted there, or its owner has switched that off."""
    no_work = row.wanted_by == "work" and (facts.work is None or not row.autostart)
    return no_work or not facts.enabled or (row.read_at is not None and root_objection(row) is not None)


def _is_past(moment: datetime | None, wait: timedelta, now: datetime) -> bool:
    return moment is None or now - moment >= wait


def _give_up(row: PodRow, facts: Facts, now: datetime) -> PodRow:
    if row.wanted != "running" or row.said not in OFF or row.give_up_at is None or now < row.give_up_at:
        return row
    minutes = GIVE_UP.total_seconds() / 60
    if row.order_outcome == "no_gpu":
        return _failed(row, f"{NO_GPU_WORDS}, tried for {minutes:g} minutes", facts)
    why = f": {row.order_words}" if row.order_words else ""
    return _failed(row, f"It was told to start for {minutes:g} minutes, and did not{why}", facts)


def _order(row: PodRow, facts: Facts, now: datetime, order_id: UUID) -> PodRow:
    """Writes an order, only if the provider has said since the last one that it was not carried out."""
    read_since = row.order_sent_at is None or (row.read_at is not None and row.read_at >= row.order_sent_at)
    if facts.provider_away is not None or not read_since or unsent_order(row) is not None:
        return row
    if row.orders > 0 and (row.next_order_at is None or now < row.next_order_at):
        return row
    if row.wanted == "running" and row.said in OFF and facts.exists:
        return _ordered(row, "start", now, order_id)
    proved = row.confirmed or (row.orders > 0 and _is_still_proved(row, facts))
    if row.wanted == "stopped" and row.said not in OFF and row.said != "stopping" and proved:
        return _ordered(row, "stop", now, order_id)
    return row


# --- for the page ---


def _alarm(row: PodRow, facts: Facts, now: datetime) -> str | None:
    """An alarm of one sentence, while the pod costs money in a way that nobody wants."""
    if row.said in OFF:
        return None
    if is_stopping(row):
        return _alarm_of_stop(row, now)
    if facts.provider_away is not None:
        if facts.provider_away_for < AWAY:
            return row.alarm
        return f"It may run and bill, for its provider cannot be asked: {facts.provider_away}"
    return _alarm_of_run(row, facts, now) if row.said in RUNS else _alarm_of_unknown(row, now)


def _alarm_of_unknown(row: PodRow, now: datetime) -> str | None:
    if row.read_at is None or row.state != "unknown" or not _is_past(row.state_since, timedelta(seconds=AWAY), now):
        return row.alarm
    return "It may run and bill, for its provider does not say whether it runs"


def _alarm_of_stop(row: PodRow, now: datetime) -> str | None:
    if row.order_outcome == "refused":
        return f"It runs and bills, for its provider does not stop it: {row.order_words or 'refused'}"
    if row.orders > 1 or (row.order_sent_at is not None and _is_past(row.order_sent_at, STOPS_WITHIN, now)):
        return "It was told to stop, and is not known to have stopped: it may bill"
    return row.alarm


def _alarm_of_run(row: PodRow, facts: Facts, now: datetime) -> str | None:
    if not facts.ready and row.ready_at is None and _is_past(row.run_began_at, READY_WITHIN, now):
        port = "" if facts.port_declared else ": its provider does not show InvokeAI's port"
        return f"It runs and bills, but InvokeAI has not answered as it should within 15 minutes{port}"
    if row.ready_at is not None and facts.away_for is not None and facts.away_for >= AWAY:
        return "It runs and bills, but its InvokeAI cannot be reached: nobody knows what is not home"
    if facts.unsent_for >= READY_WITHIN.total_seconds():
        return "It runs and bills, but a step that waits for it is not sent: look at what the step says"
    if row.gpus == 0:
        return "It runs and bills without a GPU"
    if not row.started_by_us and is_idle(row, now):
        return "It runs and bills without being used, and Darkroom does not stop what it did not start"
    return None


def shown(row: PodRow, now: datetime, *, provider_away: str | None = None) -> PodRow:
    """The state to show, and why."""
    state, words = _state(row)
    if provider_away is not None:
        words = f"Its provider cannot be asked: {provider_away}"
    if state == row.state:
        return msgspec.structs.replace(row, words=words)
    return msgspec.structs.replace(row, state=state, words=words, state_since=now)


def _state(row: PodRow) -> tuple[PodState, str | None]:
    if row.said in OFF and row.wanted == "running":
        return "starting", NO_GPU_WORDS if row.order_outcome == "no_gpu" else _answer(row, "starting")
    if is_stopping(row):
        return "stopping", _answer(row, "stopping")
    if row.said in OFF and row.failure is not None:
        return "failed", row.failure
    return row.said, row.said_words


def _answer(row: PodRow, state: PodState) -> str | None:
    """The answer to the last order; None while the next one is under way, since that is shown."""
    is_answered = row.order_outcome is not None or row.state != state
    return row.order_words if is_answered else row.words
