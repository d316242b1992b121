"""Events are hints: for any loss of events, a final reading leads to one state, and no image is lost or doubled."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.invokeai.events import QueueItem
from service.steps.item_state import Canceled, Facts, Known, Observation, Reading, correlate
from tests.fakes.said import answered, decode

IDS: dict[str, Any] = {"queue_id": "default", "item_id": 7, "batch_id": "b", "session_id": "s"}
FAILURE = {"error_type": "ValueError", "error_message": "no"}
NOTHING = Facts(changed=False, session_learned=False, ended=False, sighted=(), progress=None, read=None)
ENDS = ("completed", "failed", "canceled")


def status(word: str, sequence: int | None) -> Any:
    error = FAILURE if word == "failed" else {}
    return decode("queue_item_status_changed", {**IDS, "status": word, "status_sequence": sequence, **error})


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Observation], Reading, frozenset[str]]:
    """One item's true life as events in order, the reading after its end, and the images its events named."""
    sequences = draw(st.booleans())
    count = draw(st.integers(0, 4))
    end = draw(st.sampled_from(ENDS))
    pauses = draw(st.integers(0, 2))
    words = ["in_progress"] + ["waiting", "pending", "in_progress"] * pauses
    events: list[Observation] = [status(word, k + 1 if sequences else None) for k, word in enumerate(words)]
    names = [f"{k}.png" for k in range(count)]
    for name in names:
        events.append(decode("invocation_progress", {**IDS, "percentage": 0.5, "message": "Denoising"}))
        events.append(decode("invocation_complete", {**IDS, "result": {"image": {"image_name": name}}}))
    if end == "canceled" and draw(st.booleans()):
        events.append(Canceled())
    else:
        events.append(status(end, len(words) + 1 if sequences else None))
    item = {
        **IDS,
        "status": end,
        "status_sequence": len(words) + 1 if sequences else None,
        "session": {"results": {name: {"image": {"image_name": name}} for name in names}},
        **(FAILURE if end == "failed" else {}),
    }
    return events, Reading(answered(item, QueueItem)), frozenset(names)


@st.composite
def mangled(draw: st.DrawFn) -> tuple[list[Observation], Reading, frozenset[str]]:
    """The same life as a bad line brings it: events lost, doubled and out of order."""
    events, reading, names = draw(lives())
    kept = draw(st.lists(st.sampled_from(events), max_size=2 * len(events)))
    return kept, reading, names


@given(mangled())
def test_whatever_the_line_does_the_final_reading_leads_to_the_same_state(
    life: tuple[list[Observation], Reading, frozenset[str]],
) -> None:
    events, reading, names = life
    known = Known(batch_id="b", item_id=7)
    sightings: list[str] = []
    for observation in [*events, reading]:
        known, facts = correlate(known, observation)
        sightings += facts.sighted
    assert known.status == reading.item.status
    assert known.session_id == "s"
    assert known.error == ("ValueError: no" if known.status == "failed" else None)
    assert known.sighted == names
    assert sorted(sightings) == sorted(names), "each image is sighted once"
    assert facts.read is not None
    assert set(facts.read) == names


@given(mangled(), st.data())
def test_once_ended_nothing_late_changes_the_item(
    life: tuple[list[Observation], Reading, frozenset[str]], data: st.DataObject
) -> None:
    events, reading, _ = life
    ended, _ = correlate(Known(batch_id="b", item_id=7), reading)
    late = data.draw(st.permutations(events))
    known = ended
    for observation in late:
        known, facts = correlate(known, observation)
        assert facts == NOTHING
    assert known == ended
