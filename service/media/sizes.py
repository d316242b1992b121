"""Sizes of a photo's renditions, computed so that lists can name one before it is made."""

from __future__ import annotations

from typing import Final, NamedTuple

SMALL_SIDE: Final = 360
LARGE_SIDE: Final = 1080
RELEASED_SIDE: Final = 300
"""The long side of small renditions of the first release. They stay valid."""
SHORT_SIDE: Final = 75
"""The short side, at least, if the image has as many pixels: the long side is cropped for it. Tiles are at most four
times as wide as high, and a strip scaled to its long side would be a line."""
QUARTER_TURNS: Final = range(5, 9)
"""Exif's orientations that swap width and height."""


class Size(NamedTuple):
    width: int
    height: int


def fitted(picture: Size, long_side: int) -> Size:
    """The size of a rendition with that long side: never enlarged, and cropped if its short side would be less than
    `SHORT_SIDE`."""
    long, short = max(1, *picture), max(1, min(picture))
    scale = min(1.0, max(long_side / long, SHORT_SIDE / short))
    sides = min(long_side, round(long * scale)), max(1, round(short * scale))
    return Size(*sides) if picture.width >= picture.height else Size(*reversed(sides))


def large_size(picture: Size) -> Size | None:
    """The size of the large rendition; None if it would be no larger than the small one."""
    return fitted(picture, LARGE_SIDE) if max(picture) > SMALL_SIDE else None


def released_size(picture: Size) -> Size:
    """The size of a small rendition of the first release, which cropped nothing."""
    scale = min(1.0, RELEASED_SIDE / max(1, *picture))
    return Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))


def is_cropped_by_release(picture: Size) -> bool:
    """Whether the small rendition of the first release is only a line, and has to be made again."""
    return min(released_size(picture)) < min(SHORT_SIDE, *picture)
