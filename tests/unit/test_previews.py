"""Previews: the newest of each item, in bounded memory."""

from __future__ import annotations

import base64
from uuid import uuid4

import pytest

from service.bus import previews as previews_module
from service.bus.previews import JPEG_MAGIC, Previews

BACKEND = uuid4()


def test_a_newer_preview_replaces_the_older_under_a_higher_version() -> None:
    previews = Previews()
    first = previews.put(BACKEND, 1, JPEG_MAGIC + b"old")
    second = previews.put(BACKEND, 1, "data:image/jpeg;base64," + base64.b64encode(JPEG_MAGIC + b"new").decode())
    preview = previews.get(BACKEND, 1)
    assert second > first
    assert preview is not None
    assert preview == (second, JPEG_MAGIC + b"new")


def test_the_oldest_go_first_when_there_are_too_many_or_too_many_bytes() -> None:
    previews = Previews(most=2, most_bytes=100)
    for item_id in range(3):
        previews.put(BACKEND, item_id, JPEG_MAGIC)
    assert previews.get(BACKEND, 0) is None
    assert previews.get(BACKEND, 2) is not None
    previews.put(BACKEND, 3, JPEG_MAGIC + bytes(95))
    assert previews.get(BACKEND, 2) is None
    assert previews.get(BACKEND, 3) is not None


def test_dropping_frees_the_room_and_is_harmless_twice() -> None:
    previews = Previews(most=5, most_bytes=60)
    previews.put(BACKEND, 1, JPEG_MAGIC + bytes(50))
    previews.drop(BACKEND, 1)
    previews.drop(BACKEND, 1)
    previews.put(BACKEND, 2, JPEG_MAGIC + bytes(50))
    assert previews.get(BACKEND, 1) is None
    assert previews.get(BACKEND, 2) is not None


@pytest.mark.parametrize(
    "image",
    [
        b"\x89PNG",
        "",
        "data:image/jpeg;base64,!!!",
        "data:text/html;base64,PGI+",
        "data:image/jpeg;base64," + base64.b64encode(b"<html>").decode(),
    ],
)
def test_anything_but_a_jpeg_is_refused(image: str | bytes) -> None:
    with pytest.raises(ValueError, match="preview"):
        Previews().put(BACKEND, 1, image)


def test_a_preview_of_no_reasonable_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews_module, "LARGEST", 20)
    with pytest.raises(ValueError, match="reasonable size"):
        Previews().put(BACKEND, 1, JPEG_MAGIC + bytes(20))
