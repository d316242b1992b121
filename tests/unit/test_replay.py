"""The recordings of a real InvokeAI, replayed: correlation ends with exactly the states and images they hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.invokeai.events import AnyItemEvent, ItemsCanceled, QueueItem, image_names
from service.steps.item_state import (
    TERMINAL,
    Canceled,
    Known,
    Observation,
    Reading,
    correlate,
)
from tests.fakes.said import answered, decode

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
SCENARIOS = sorted(path.stem for path in RECORDINGS.glob("*.jsonl"))
Key = tuple[str, int]


class RecordedItem(msgspec.Struct):
    """What a recording holds of one item, found by looking and not by correlating."""

    statuses: list[tuple[int, str]] = []
    read: list[str] = []
    canceled_in_bulk: bool = False
    images: set[str] = set()

    @property
    def end(self) -> str | None:
        """The state it was read in after its end, else the one its last event told; None when it never ended."""
        ended = [status for status in self.read if status in TERMINAL]
        told = [status for _, status in sorted(self.statuses) if status in TERMINAL]
        return next(iter(ended + told), "canceled" if self.canceled_in_bulk else None)


def lines(scenario: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (RECORDINGS / f"{scenario}.jsonl").read_bytes().splitlines()]


def items_read(line: dict[str, Any]) -> Iterator[QueueItem]:
    """Whole items in a REST answer."""
    if line["kind"] != "rest" or line["status"] != 200:
        return
    answer = line["response"]
    for value in answer if isinstance(answer, list) else [answer]:
        if isinstance(value, dict) and {"item_id", "session_id", "status", "batch_id"} <= value.keys():
            trimmed = isinstance(value.get("session"), str)
            yield answered({**value, "session": None} if trimmed else value, QueueItem)


def observed(scenario: str) -> tuple[list[tuple[Key, Observation]], list[tuple[Key, Reading]], dict[Key, RecordedItem]]:
    """Events by item in order, readings by item in order, and what the recording holds."""
    told: list[tuple[Key, Observation]] = []
    read: list[tuple[Key, Reading]] = []
    truth: dict[Key, RecordedItem] = {}
    batch_of: dict[int, str] = {}
    for line in lines(scenario):
        for item in items_read(line):
            key = (item.batch_id, item.item_id)
            batch_of[item.item_id] = item.batch_id
            read.append((key, Reading(item)))
            truth.setdefault(key, RecordedItem()).read.append(item.status)
            truth[key].images |= set(item.image_names)
        if line["kind"] != "event":
            continue
        event, payload = decode(line["event"], line["payload"]), line["payload"]
        if isinstance(event, ItemsCanceled):
            for item_id in event.canceled_item_ids:
                if item_id in batch_of:
                    told.append(((batch_of[item_id], item_id), Canceled()))
                    truth.setdefault((batch_of[item_id], item_id), RecordedItem()).canceled_in_bulk = True
        elif isinstance(event, AnyItemEvent):
            key = (event.batch_id, event.item_id)
            batch_of[event.item_id] = event.batch_id
            told.append((key, event))
            known = truth.setdefault(key, RecordedItem())
            if "status_sequence" in payload:
                known.statuses.append((payload["status_sequence"], payload["status"]))
            known.images |= set(image_names(payload.get("result")))
    return told, read, truth


def replay(observations: list[tuple[Key, Observation]]) -> tuple[dict[Key, Known], dict[Key, list[str]]]:
    items: dict[Key, Known] = {}
    sightings: dict[Key, list[str]] = {}
    for key, observation in observations:
        known = items.get(key, Known(batch_id=key[0], item_id=key[1]))
        items[key], facts = correlate(known, observation)
        sightings.setdefault(key, []).extend(facts.sighted)
    return items, sightings


def assert_true(items: dict[Key, Known], sightings: dict[Key, list[str]], truth: dict[Key, RecordedItem]) -> None:
    for key, held in truth.items():
        assert sorted(sightings[key]) == sorted(held.images), f"{key}: each image once, none missing"
        if held.end is not None:
            assert items[key].status == held.end, key


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_recording_replayed_gives_the_states_and_images_it_holds(scenario: str) -> None:
    told, read, truth = observed(scenario)
    items, sightings = replay([*told, *read])
    assert_true(items, sightings, truth)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seed", range(3))
def test_reordered_and_doubled_it_comes_to_the_same(scenario: str, seed: int) -> None:
    told, read, truth = observed(scenario)
    chance = random.Random(seed)
    mangled = told + chance.sample(told, len(told) // 2)
    chance.shuffle(mangled)
    ended = [(key, told_by_rest) for key, told_by_rest in read if told_by_rest.item.status in TERMINAL]
    items, sightings = replay([*mangled, *ended])
    assert_true(items, sightings, truth)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_every_event_lost_the_last_readings_alone_give_the_end_states(scenario: str) -> None:
    _, read, truth = observed(scenario)
    items, sightings = replay(read)
    for key, known in items.items():
        ended = [status for status in truth[key].read if status in TERMINAL]
        if ended:
            assert known.status == ended[-1]
            assert set(sightings[key]) <= truth[key].images


def test_the_recordings_hold_what_they_are_kept_for() -> None:
    """A recording trimmed to nothing would pass every replay."""
    images = sum(len(held.images) for scenario in SCENARIOS for held in observed(scenario)[2].values())
    ends = [held.end for scenario in SCENARIOS for held in observed(scenario)[2].values()]
    assert images > 100
    assert min(ends.count(word) for word in ("completed", "failed", "canceled")) >= 5
