"""Seconds left of an item, from its own progress rate (api.md, The feed)."""

from __future__ import annotations

import pytest

from service.correlation.tracked import ProgressRate


def after(first: tuple[float, float], *seen: tuple[float, float]) -> ProgressRate:
    """(when, fraction) one after the other."""
    rate = ProgressRate(*first, latest=first[1])
    for now, fraction in seen:
        rate = rate.after(fraction, now)
    return rate


def test_the_rest_takes_as_long_as_what_was_seen_did_for_its_share() -> None:
    assert after((10.0, 0.0), (12.0, 0.5), (13.0, 0.75)).eta(13.0) == pytest.approx(1.0)


def test_of_an_item_first_seen_in_the_middle_only_what_was_seen_counts() -> None:
    assert after((10.0, 0.5), (11.0, 0.6)).eta(11.0) == pytest.approx(4.0)


def test_before_there_is_a_rate_nothing_is_promised() -> None:
    assert after((10.0, 0.5)).eta(10.0) is None
    assert after((10.0, 0.5), (11.0, 0.5)).eta(11.0) is None


def test_a_second_stretch_has_a_rate_of_its_own() -> None:
    """A second denoise, an upscale: the fraction falls."""
    assert after((0.0, 0.0), (100.0, 1.0), (101.0, 0.0), (102.0, 0.5)).eta(102.0) == pytest.approx(1.0)
