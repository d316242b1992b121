"""Where files live (docs/files.md), and ids that sort by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media import layout
from service.media.identity import new_id, photo_id

SESSION, STEP, PHOTO, BACKEND = (UUID(int=n) for n in range(1, 5))
EVENING = datetime(2026, 11, 22, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
"""In UTC it is already the 23rd."""
NOWHERE = EVENING.replace(tzinfo=None)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_every_kind_of_photo_has_the_place_the_design_gives_it() -> None:
    ids = f"{SESSION}/{STEP}"
    assert layout.generated_path(SESSION, STEP, PHOTO) == f"photos/generated/sessions/{ids}/variants/{PHOTO}.png"
    assert layout.selected_path(SESSION, STEP, PHOTO) == f"photos/generated/sessions/{ids}/selected/{PHOTO}.png"
    assert layout.completed_path(EVENING, PHOTO) == f"photos/generated/completed/2026-11-23/{PHOTO}.png"
    assert layout.mirror_path(BACKEND, EVENING, PHOTO) == f"photos/generated/mirror/{BACKEND}/2026-11-23/{PHOTO}.png"
    assert layout.uploaded_path(EVENING, PHOTO, ".jpg") == f"photos/uploaded/2026-11-23/{PHOTO}.jpg"
    assert layout.imported_path(EVENING, PHOTO, ".webp") == f"photos/imported/2026-11-23/{PHOTO}.webp"


def test_a_thumbnail_has_the_same_path_below_the_thumbnails() -> None:
    photo = layout.generated_path(SESSION, STEP, PHOTO)
    assert (
        layout.thumbnail_path(photo) == f"photos/thumbnails/generated/sessions/{SESSION}/{STEP}/variants/{PHOTO}.webp"
    )


@pytest.mark.parametrize("extension", ["", "png", "/../../etc/passwd", ".png/..", ".svg", ".PNG"])
def test_an_unknown_extension_is_refused(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        layout.uploaded_path(EVENING, PHOTO, extension)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        layout.mirror_path(BACKEND, NOWHERE, PHOTO)
    with pytest.raises(ValueError, match="zone"):
        photo_id(NOWHERE)


moments = st.integers(0, 2**52).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds))


@given(moments, moments)
def test_id_order_is_time_order(one: datetime, other: datetime) -> None:
    if one < other:
        assert photo_id(one) < photo_id(other)
    if other < one:
        assert photo_id(other) < photo_id(one)


@given(moments)
def test_an_id_is_a_valid_version_7_that_tells_its_millisecond(moment: datetime) -> None:
    minted = photo_id(moment)
    assert (minted.version, minted.variant) == (7, "specified in RFC 4122")
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    assert minted.int >> 80 == milliseconds


def test_ids_of_one_moment_differ_in_their_random_tail() -> None:
    minted = {photo_id(EVENING) for _ in range(10_000)}
    assert len(minted) == 10_000
    tails = [i.int & (2**62 - 1) for i in minted]
    for bit in range(62):
        ones = sum(tail >> bit & 1 for tail in tails)
        assert 4_000 < ones < 6_000, f"bit {bit} is not random"


def test_a_time_before_1970_still_gets_an_id() -> None:
    assert photo_id(datetime(1900, 1, 1, tzinfo=UTC)) < photo_id(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))


def test_a_new_id_is_of_now() -> None:
    before = photo_id(datetime.now(UTC) - timedelta(milliseconds=1))
    assert before < new_id() < photo_id(datetime.now(UTC) + timedelta(milliseconds=1))


def test_the_name_of_a_selection_is_told_from_all_others() -> None:
    assert layout.is_selected_path(layout.selected_path(SESSION, STEP, PHOTO))
    for path in (
        layout.generated_path(SESSION, STEP, PHOTO),
        layout.completed_path(EVENING, PHOTO),
        layout.mirror_path(SESSION, EVENING, PHOTO),
        layout.thumbnail_path(layout.selected_path(SESSION, STEP, PHOTO)),
    ):
        assert not layout.is_selected_path(path)
