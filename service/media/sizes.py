"""How large a picture's renditions are (rule 12). Computed, so that lists can name one before it is made."""

from __future__ import annotations

from typing import Final, NamedTuple

SMALL_SIDE: Final = 360
LARGE_SIDE: Final = 1080
RELEASED_SIDE: Final = 300
"""Of the small ones that the first release made; they stay valid."""
SHORT_SIDE: Final = 75
"""At least, where the picture has as many: the long side is cropped for it. Tiles are four times as wide as high at
most, and a strip scaled to its long side would be a line."""
QUARTER_TURNS: Final = range(5, 9)
"""Exif's orientations in which width and height change places."""


class Size(NamedTuple):
    width: int
    height: int


def fitted(picture: Size, long_side: int) -> Size:
    """A rendition of that long side: never enlarged, and cropped where its short side would be less than
    `SHORT_SIDE`."""
    long, short = max(1, *picture), max(1, min(picture))
    scale = min(1.0, max(long_side / long, SHORT_SIDE / short))
    sides = min(long_side, round(long * scale)), max(1, round(short * scale))
    return Size(*sides) if picture.width >= picture.height else Size(*reversed(sides))


def large_size(picture: Size) -> Size | None:
    """None where it would be no larger than the small one."""
    return fitted(picture, LARGE_SIDE) if max(picture) > SMALL_SIDE else None


def released_size(picture: Size) -> Size:
    """Of a small rendition that the first release made: nothing was cropped."""
    scale = min(1.0, RELEASED_SIDE / max(1, *picture))
    return Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))


def is_cropped_by_release(picture: Size) -> bool:
    """Whether the small rendition of the first release is a line that has to be made again."""
    return min(released_size(picture)) < min(SHORT_SIDE, *picture)
