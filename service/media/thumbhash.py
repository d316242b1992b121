"""ThumbHash: a blurred preview of an image in about 25 bytes, by Evan Wallace's published algorithm."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MAX_SIDE = 100
Channel = npt.NDArray[np.float64]


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The hash of `pixels` (height, width, bands): RGB, or RGBA not premultiplied, at most 100 on a side."""
    height, width, bands = pixels.shape
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or bands not in (3, 4):
        raise ValueError(f"{width}x{height}x{bands} is no RGB or RGBA picture of at most {MAX_SIDE} pixels a side")
    colours = pixels[..., :3] / 255.0
    alpha = pixels[..., 3] / 255.0 if bands == 4 else np.ones((height, width))
    has_alpha = bool(alpha.min() < 1)
    red, green, blue = _over_average(colours, alpha) if has_alpha else colours.transpose(2, 0, 1)
    limit = 5 if has_alpha else 7
    across = max(1, _round(limit * width / max(width, height)))
    down = max(1, _round(limit * height / max(width, height)))

    luminance = _transform((red + green + blue) / 3, max(3, across), max(3, down))
    yellow_blue = _transform((red + green) / 2 - blue, 3, 3)
    red_green = _transform(red - green, 3, 3)
    header = (
        _round(63 * luminance[0])
        | _round(31.5 + 31.5 * yellow_blue[0]) << 6
        | _round(31.5 + 31.5 * red_green[0]) << 12
        | _round(31 * luminance[2]) << 18
        | has_alpha << 23
    )
    landscape = width > height
    second = (
        (down if landscape else across)
        | _round(63 * yellow_blue[2]) << 3
        | _round(63 * red_green[2]) << 9
        | landscape << 15
    )
    hashed: bytes = header.to_bytes(3, "little") + second.to_bytes(2, "little")
    varying = [*luminance[1], *yellow_blue[1], *red_green[1]]
    if has_alpha:
        opacity = _transform(alpha, 5, 5)
        hashed += bytes([_round(15 * opacity[0]) | _round(15 * opacity[2]) << 4])
        varying += opacity[1]
    return hashed + _nibbles(varying)


def _over_average(colours: Channel, alpha: Channel) -> Channel:
    """Red, green and blue over the image's average colour where it is transparent."""
    opaque = alpha.sum()
    average = (colours * alpha[..., None]).sum(axis=(0, 1)) / opaque if opaque else np.zeros(3)
    covered: Channel = average * (1 - alpha[..., None]) + colours * alpha[..., None]
    return covered.transpose(2, 0, 1)


def _transform(channel: Channel, across: int, down: int) -> tuple[float, list[float], float]:
    """The cosine transform's constant, its low frequencies scaled to 0…1, and that scale."""
    height, width = channel.shape
    factors = _cosines(height, down) @ channel @ _cosines(width, across).T / (width * height)
    varying: list[float] = factors[_triangle(across, down)].tolist()[1:]
    scale = max(map(abs, varying), default=0.0)
    if scale:
        varying = [0.5 + 0.5 / scale * value for value in varying]
    return float(factors[0, 0]), varying, scale


@lru_cache(maxsize=256)
def _cosines(size: int, count: int) -> Channel:
    waves: Channel = np.cos(np.pi / size * np.outer(np.arange(count), np.arange(size) + 0.5))
    return waves


@lru_cache(maxsize=256)
def _triangle(across: int, down: int) -> npt.NDArray[np.bool_]:
    """The mask of the factors that are kept."""
    y, x = np.ogrid[:down, :across]
    kept: npt.NDArray[np.bool_] = x * down < across * (down - y)
    return kept


def _nibbles(values: list[float]) -> bytes:
    """Packs four bits each, the lower half of a byte first."""
    four_bits = [_round(15 * value) for value in values]
    four_bits += [0] * (len(four_bits) % 2)
    return bytes(low | high << 4 for low, high in zip(four_bits[::2], four_bits[1::2], strict=True))


def _round(value: float) -> int:
    """Rounds halves up, as the published encoder does."""
    return math.floor(value + 0.5)
