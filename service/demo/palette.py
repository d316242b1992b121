"""Which colours a scene has. Colours are mixed in OKLab and become sRGB floats in 0..1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Lch = tuple[float, float, float]  # lightness 0..1, chroma 0..0.3, hue in degrees

# fmt: off
_OKLAB_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_LMS_TO_RGB = np.array(
    [[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
     [-0.0041960863, -0.7034186147, 1.7076147010]]
)
_HUES = {
    "red": 25, "crimson": 15, "orange": 55, "amber": 75, "gold": 90, "yellow": 105, "green": 145, "emerald": 160,
    "teal": 190, "turquoise": 195, "cyan": 210, "blue": 255, "indigo": 280, "violet": 300, "purple": 310,
    "magenta": 335, "pink": 355,
}
# fmt: on


def lab(colour: Lch) -> Array:
    lightness, chroma, hue = colour
    angle = np.deg2rad(hue)
    return np.array([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], np.float32)


def rgb(labs: Array) -> Array:
    """OKLab (…, 3) to gamma-encoded sRGB, clipped to what a screen can show."""
    linear = np.clip((labs @ _OKLAB_TO_LMS.T) ** 3 @ _LMS_TO_RGB.T, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(encoded, np.float32)


def gradient(stops: list[tuple[float, Lch]], at: Array) -> Array:
    """sRGB colours (n, 3) at positions 0..1 between the stops."""
    positions = [position for position, _ in stops]
    labs = np.stack([lab(colour) for _, colour in stops])
    return rgb(np.stack([np.interp(at, positions, labs[:, axis]) for axis in range(3)], axis=-1))


class Mood(NamedTuple):
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


def mood(name: str, rng: np.random.Generator) -> Mood:
    """Day, dawn, dusk, night, or all of it in one hue."""
    hue, warm, ground = rng.uniform(0, 360), rng.uniform(0, 1), float(rng.choice([150, 175, 200, 235]))
    if name == "day":
        hue = 205 + hue / 6
        sky = ((0.62, 0.115, hue), (0.78, 0.085, hue - 12), (0.93, 0.035, hue - 60))
        far, near, light = (0.78, 0.055, hue - 8), (0.24, 0.06, ground), (0.99, 0.03, 95.0)
        return Mood(sky, far, near, light, 0.55, clouds=0.55, light_height=(0.2, 0.7))
    if name == "dawn":
        hue, warm = 250 + hue / 4.5, 35 + 50 * warm
        sky = ((0.66, 0.085, hue), (0.82, 0.085, warm - 25), (0.95, 0.07, warm + 15))
        return Mood(sky, (0.80, 0.065, warm - 30), (0.21, 0.065, hue - 15), (0.985, 0.05, 85), 0.9, haze=0.75)
    if name == "dusk":
        hue, warm = 265 + hue / 8, 20 + 45 * warm
        sky = ((0.33, 0.11, hue), (0.60, 0.15, hue + 60), (0.87, 0.13, warm))
        far, near, light = (0.62, 0.12, warm - 25), (0.13, 0.05, hue), (0.96, 0.09, warm + 30)
        return Mood(sky, far, near, light, 1.0, 0.15, 0.5, light_height=(0.72, 1.0), light_size=(0.06, 0.1))
    if name == "night":
        hue = 225 + hue / 5
        sky = ((0.15, 0.055, hue), (0.25, 0.075, hue - 15), (0.44, 0.085, hue - 40))
        far, near, light = (0.40, 0.08, hue - 25), (0.095, 0.035, hue), (0.96, 0.025, 100.0)
        return Mood(sky, far, near, light, 0.55, 1.0, 0.25, 0.62, light_height=(0.15, 0.6), light_size=(0.03, 0.06))
    drift = (15 + 30 * warm) * (1 if ground < 200 else -1)
    sky = ((0.58, 0.13, hue), (0.75, 0.115, hue + drift / 2), (0.89, 0.07, hue + drift))
    far, near = (0.75, 0.095, hue + drift / 2), (0.17, 0.06, hue - drift / 2)
    return Mood(sky, far, near, (0.985, 0.03, hue + drift), 0.7)


def tinted(given: Mood, words: set[str]) -> Mood:
    """The mood turned towards the first colour the prompt names."""
    hue = next((hue for word, hue in _HUES.items() if word in words), None)
    if hue is None:
        return given

    def turn(colour: Lch, chroma: float) -> Lch:
        return colour[0], max(colour[1], chroma), hue + (colour[2] - given.sky[1][2]) * 0.15

    top, middle, horizon = given.sky
    sky = (turn(top, 0.12), turn(middle, 0.11), turn(horizon, 0.07))
    return given._replace(sky=sky, far=turn(given.far, 0.09), near=turn(given.near, 0.05))


def on_ground(given: Mood, land: str) -> Mood:
    """Sand keeps its light to the front, and snow is pale, with cold shadows; other land is as the mood has it."""
    if land == "desert":
        far, near = min(given.far[0] * 1.05, 0.84), 0.14 + 0.85 * given.near[0]
        sand = (far, 0.11 * far, 68.0), (near, 0.2 * near, 42.0)
        return given._replace(far=sand[0], near=sand[1], haze=given.haze * 0.5, clouds=given.clouds * 0.6)
    if land == "snow":
        day = given.sky[2][0]
        snow = (0.55 * day + 0.32, 0.035, given.sky[1][2]), (0.45 * day + 0.1, 0.05, given.sky[0][2])
        return given._replace(far=snow[0], near=snow[1], haze=min(1.0, given.haze * 1.2))
    return given
