"""Lines and fields of noise: ridge heights, tree tops, dunes, clouds. Lengths are in picture heights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.demo.palette import Array


def fractal(rng: np.random.Generator, at: Array, *, octaves: int, roughness: float, ridged: float = 0.0) -> Array:
    """A profile in about -1..1; `ridged` from 0 (rolling hills) to 1 (sharp peaks)."""
    total = np.zeros_like(at)
    weight, frequency, sum_of_weights = 1.0, 1.0, 0.0
    for _ in range(octaves):
        place = at * frequency + rng.uniform(0, 64)
        first = int(np.floor(place.min()))
        values = rng.uniform(-1, 1, int(np.floor(place.max())) - first + 2)
        smooth = _between(values, place - first)
        total += weight * ((1 - ridged) * smooth + ridged * (1 - 2 * np.abs(smooth)))
        sum_of_weights += weight
        weight, frequency = weight * roughness, frequency * 2.03
    return total / sum_of_weights


def field(rng: np.random.Generator, height: int, width: int, *, cells: tuple[float, float], octaves: int) -> Array:
    """Two-dimensional smooth noise in about 0..1 with `cells` (down, across) in its coarsest octave."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows, columns = (max(2, int(count * 2**octave) + 2) for count in cells)
        down = _between(rng.random((rows, columns), np.float32), np.linspace(0, rows - 1.001, height))
        total += 0.5**octave * _between(down.T, np.linspace(0, columns - 1.001, width)).T
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _between(values: Array, at: Array) -> Array:
    """Smoothly between the values, which lie at 0, 1, 2, …"""
    cell = np.floor(at).astype(int)
    t = (at - cell).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    blend = t * t * t * (t * (t * 6 - 15) + 10)
    return np.asarray(values[cell] + (values[cell + 1] - values[cell]) * blend, np.float32)


def conifers(rng: np.random.Generator, at: Array, *, tallest: float, density: float) -> Array:
    """How far tree tops stand above a ridge along `at`."""
    tops = np.zeros_like(at)
    start, end = float(at[0]), float(at[-1])
    step = (end - start) / max(len(at) - 1, 1)
    grove = fractal(rng, at / (tallest * 14), octaves=2, roughness=0.5)
    for centre in rng.uniform(start, end, int((end - start) / tallest * density) + 1):
        column = min(len(at) - 1, int((centre - start) / step))
        height = tallest * rng.uniform(0.35, 1.0) * float(np.clip(0.75 + grove[column], 0.15, 1.0))
        half = height * rng.uniform(0.16, 0.24)
        low, high = max(0, int((centre - half - start) / step)), min(len(at), int((centre + half - start) / step) + 2)
        reach = np.abs(at[low:high] - centre) / half
        branches = 0.86 + 0.14 * np.abs(np.sin(reach * np.pi * 3.5))
        tops[low:high] = np.maximum(tops[low:high], height * np.clip(1 - reach, 0, 1) ** 0.85 * branches)
    return tops


def dunes(rng: np.random.Generator, at: Array, tallest: float) -> Iterator[tuple[Array, Array]]:
    """Of each dune in a row, along `at`: how far it stands above the plain, and how far behind its crest a point is."""
    place = -rng.uniform(0.0, 0.3)
    while place < at[-1] + 0.4:
        width, steeper, behind = rng.uniform(0.4, 0.9), rng.uniform(0.45, 0.7), at - place
        is_steep = (behind > 0) == (rng.random() < 0.5)
        reach = np.abs(behind) / np.where(is_steep, width * steeper, width)
        yield tallest * rng.uniform(0.45, 1.0) * np.clip(1 - reach, 0, 1) ** 1.7, behind
        place += rng.uniform(0.3, 0.65)
