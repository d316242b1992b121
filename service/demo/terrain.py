"""Lines and fields of noise: ridge heights, tree tops, clouds. Lengths are in picture heights."""

from __future__ import annotations

import numpy as np

from service.demo.palette import Array


def _lattice(rng: np.random.Generator, at: Array) -> Array:
    """Smooth noise in -1..1 along `at`, one random value per unit."""
    first = int(np.floor(at.min()))
    values = rng.uniform(-1, 1, int(np.floor(at.max())) - first + 2)
    cell = np.floor(at).astype(int)
    t = at - cell
    blend = t * t * t * (t * (t * 6 - 15) + 10)
    left, right = values[cell - first], values[cell - first + 1]
    return np.asarray(left + (right - left) * blend, np.float32)


def fractal(rng: np.random.Generator, at: Array, *, octaves: int, roughness: float, ridged: float = 0.0) -> Array:
    """A profile in about -1..1; `ridged` from 0 (rolling hills) to 1 (sharp peaks)."""
    total = np.zeros_like(at)
    weight, frequency, sum_of_weights = 1.0, 1.0, 0.0
    for _ in range(octaves):
        smooth = _lattice(rng, at * np.float32(frequency) + np.float32(rng.uniform(0, 64)))
        total += weight * ((1 - ridged) * smooth + ridged * (1 - 2 * np.abs(smooth)))
        sum_of_weights += weight
        weight *= roughness
        frequency *= 2.03
    return total / np.float32(sum_of_weights)


def field(rng: np.random.Generator, height: int, width: int, *, cells: tuple[float, float], octaves: int) -> Array:
    """Two-dimensional smooth noise in about 0..1 with `cells` (down, across) in its coarsest octave."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows, columns = (max(2, int(count * 2**octave) + 2) for count in cells)
        values = rng.random((rows, columns), np.float32)
        total += np.float32(weight) * _stretch(_stretch(values, height).T, width).T
        weight *= 0.5
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _stretch(values: Array, length: int) -> Array:
    at = np.linspace(0, values.shape[0] - 1.001, length, dtype=np.float32)
    cell = at.astype(int)
    t = (at - cell)[:, None]
    blend = t * t * (3 - 2 * t)
    return np.asarray(values[cell] + (values[cell + 1] - values[cell]) * blend, np.float32)


def conifers(rng: np.random.Generator, at: Array, *, tallest: float, density: float) -> Array:
    """How far tree tops stand above a ridge along `at`."""
    tops = np.zeros_like(at)
    start, end = float(at[0]), float(at[-1])
    count = int((end - start) / tallest * density) + 1
    step = (end - start) / max(len(at) - 1, 1)
    grove = fractal(rng, at / np.float32(tallest * 14), octaves=2, roughness=0.5)
    for centre in rng.uniform(start, end, count):
        column = min(len(at) - 1, int((centre - start) / step))
        height = tallest * rng.uniform(0.35, 1.0) * float(np.clip(0.75 + grove[column], 0.15, 1.0))
        half = height * rng.uniform(0.16, 0.24)
        low, high = max(0, int((centre - half - start) / step)), min(len(at), int((centre + half - start) / step) + 2)
        reach = np.abs(at[low:high] - np.float32(centre)) / np.float32(half)
        branches = 0.86 + 0.14 * np.abs(np.sin(reach * np.float32(np.pi * 3.5)))
        crown = np.float32(height) * np.clip(1 - reach, 0, 1) ** np.float32(0.85) * branches.astype(np.float32)
        np.maximum(tops[low:high], crown, out=tops[low:high])
    return tops
