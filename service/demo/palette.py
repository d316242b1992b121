"""Moods: which colours a scene has. Colours are mixed in OKLab and become sRGB floats in 0..1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Lch = tuple[float, float, float]  # lightness 0..1, chroma 0..0.3, hue in degrees

_OKLAB_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def lab(colour: Lch) -> Array:
    lightness, chroma, hue = colour
    angle = np.deg2rad(hue)
    return np.array([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], np.float32)


def rgb(labs: Array) -> Array:
    """OKLab (…, 3) to gamma-encoded sRGB, clipped to what a screen can show."""
    linear = (labs @ _OKLAB_TO_LMS.T) ** 3 @ _LMS_TO_RGB.T
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(encoded, np.float32)


def gradient(stops: list[tuple[float, Lch]], at: Array) -> Array:
    """sRGB colours (n, 3) at positions 0..1 between the stops."""
    positions = [position for position, _ in stops]
    labs = np.stack([lab(colour) for _, colour in stops])
    return rgb(np.stack([np.interp(at, positions, labs[:, axis]) for axis in range(3)], axis=-1).astype(np.float32))


@dataclass(frozen=True)
class Mood:
    """Sky from top to horizon, ridges from far to near, the light, and what hangs in the air."""

    sky: tuple[Lch, Lch, Lch]
    far: Lch
    near: Lch
    light: Lch
    glow: float
    stars: float = 0.0
    clouds: float = 0.35
    haze: float = 0.55
    light_height: tuple[float, float] = (0.55, 0.95)  # of the way from the top of the sky down to the horizon
    light_size: tuple[float, float] = (0.045, 0.085)


def _day(rng: np.random.Generator) -> Mood:
    hue = rng.uniform(205, 265)
    return Mood(
        sky=((0.62, 0.115, hue), (0.78, 0.085, hue - 12), (0.93, 0.035, hue - 60)),
        far=(0.78, 0.055, hue - 8),
        near=(0.24, 0.06, rng.choice([150, 175, 200, 235])),
        light=(0.99, 0.03, 95),
        glow=0.55,
        clouds=0.55,
        light_height=(0.2, 0.7),
    )


def _dawn(rng: np.random.Generator) -> Mood:
    cool = rng.uniform(250, 330)
    warm = rng.uniform(35, 85)
    return Mood(
        sky=((0.66, 0.085, cool), (0.82, 0.085, warm - 25), (0.95, 0.07, warm + 15)),
        far=(0.80, 0.065, warm - 30),
        near=(0.21, 0.065, cool - 15),
        light=(0.985, 0.05, 85),
        glow=0.9,
        haze=0.75,
    )


def _dusk(rng: np.random.Generator) -> Mood:
    cool = rng.uniform(265, 310)
    warm = rng.uniform(20, 65)
    return Mood(
        sky=((0.33, 0.11, cool), (0.60, 0.15, cool + 60), (0.87, 0.13, warm)),
        far=(0.62, 0.12, warm - 25),
        near=(0.13, 0.05, cool),
        light=(0.96, 0.09, warm + 30),
        glow=1.0,
        stars=0.15,
        clouds=0.5,
        light_height=(0.72, 1.0),
        light_size=(0.06, 0.1),
    )


def _night(rng: np.random.Generator) -> Mood:
    hue = rng.uniform(225, 295)
    return Mood(
        sky=((0.15, 0.055, hue), (0.25, 0.075, hue - 15), (0.44, 0.085, hue - 40)),
        far=(0.40, 0.08, hue - 25),
        near=(0.095, 0.035, hue),
        light=(0.96, 0.025, 100),
        glow=0.55,
        stars=1.0,
        clouds=0.25,
        haze=0.62,
        light_height=(0.15, 0.6),
        light_size=(0.03, 0.06),
    )


def _one_hue(rng: np.random.Generator) -> Mood:
    hue = rng.uniform(0, 360)
    drift = rng.choice([-1, 1]) * rng.uniform(15, 45)
    return Mood(
        sky=((0.58, 0.13, hue), (0.75, 0.115, hue + drift / 2), (0.89, 0.07, hue + drift)),
        far=(0.75, 0.095, hue + drift / 2),
        near=(0.17, 0.06, hue - drift / 2),
        light=(0.985, 0.03, hue + drift),
        glow=0.7,
    )


MOODS = {"day": _day, "dawn": _dawn, "dusk": _dusk, "night": _night, "one hue": _one_hue}

_HUES = {
    "red": 25.0,
    "crimson": 15.0,
    "orange": 55.0,
    "amber": 75.0,
    "gold": 90.0,
    "yellow": 105.0,
    "green": 145.0,
    "emerald": 160.0,
    "teal": 190.0,
    "turquoise": 195.0,
    "cyan": 210.0,
    "blue": 255.0,
    "indigo": 280.0,
    "violet": 300.0,
    "purple": 310.0,
    "magenta": 335.0,
    "pink": 355.0,
}


def tinted(mood: Mood, words: set[str]) -> Mood:
    """The mood turned towards the first colour the prompt names."""
    hue = next((hue for word, hue in _HUES.items() if word in words), None)
    if hue is None:
        return mood

    def turn(colour: Lch, chroma: float) -> Lch:
        return colour[0], max(colour[1], chroma), hue + (colour[2] - mood.sky[1][2]) * 0.15

    top, middle, horizon = mood.sky
    return replace(
        mood,
        sky=(turn(top, 0.12), turn(middle, 0.11), turn(horizon, 0.07)),
        far=turn(mood.far, 0.09),
        near=turn(mood.near, 0.05),
    )


def deserted(mood: Mood) -> Mood:
    """Sand: warm ground that keeps its light to the front; by night only a memory of its colour."""
    far, near = min(mood.far[0] * 1.05, 0.84), 0.14 + 0.85 * mood.near[0]
    return replace(
        mood,
        far=(far, 0.11 * far, 68.0),
        near=(near, 0.2 * near, 42.0),
        haze=mood.haze * 0.5,
        clouds=mood.clouds * 0.6,
    )


def snowed(mood: Mood) -> Mood:
    """Snow: pale ground, little colour, cold shadows."""
    day = mood.sky[2][0]
    return replace(
        mood,
        far=(0.55 * day + 0.32, 0.035, mood.sky[1][2]),
        near=(0.45 * day + 0.1, 0.05, mood.sky[0][2]),
        haze=min(1.0, mood.haze * 1.2),
    )
