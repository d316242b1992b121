"""Pictures of layered hills: the same prompt, seed and shape always give the same picture."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.demo import palette, png, terrain
from service.demo.palette import Array
from service.demo.png import Pixels


class Land(NamedTuple):
    """The words that ask for it; how sharp, tall and wide its ridges are, and how much light shows on them."""

    words: str
    sharp: float = 0.15
    tall: float = 0.125
    width: float = 0.55
    relief: float = 0.045
    trees: bool = False


LANDS = {
    "forest": Land("forest forests pine pines trees woods woodland jungle", trees=True),
    "desert": Land("desert dune dunes sand sahara", relief=0),
    "ocean": Land("ocean sea coast island islands waves beach lighthouse", sharp=0.3, tall=0.06),
    "lake": Land("lake pond fjord reflection", sharp=0.5, trees=True),
    "snow": Land("snow snowy winter ice glacier frozen", sharp=0.7, tall=0.19, relief=0.15, trees=True),
    "mountains": Land("mountain mountains peak peaks alps cliffs", sharp=0.75, tall=0.2, width=0.5, relief=0.11),
    "hills": Land("hill hills valley valleys meadow meadows ridge ridges"),
}
MOODS = {
    "night": "night moon moonlit moonlight midnight stars starry aurora",
    "dawn": "dawn sunrise morning first",
    "dusk": "dusk sunset evening twilight golden",
    "day": "day noon sunny daylight summer",
}


@dataclass(frozen=True)
class Scene:
    """What to paint. `mist` from 0 to 1 thickens the air; `words` are the prompt's, and may steer colours and land."""

    prompt: str
    seed: int
    mist: float = 0.0

    @property
    def words(self) -> set[str]:
        return set(re.findall(r"[a-z]+", self.prompt.lower()))

    def rng(self, purpose: str) -> np.random.Generator:
        digest = hashlib.sha256(f"{purpose}\0{self.seed}\0{self.prompt}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))


class Painting:
    """One scene at one size. Everything random is drawn in picture heights, so that sizes agree in composition."""

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene, self.width, self.height, self.aspect = scene, width, height, width / height
        rng, words = scene.rng("composition"), scene.words
        lands = [name for name, land in LANDS.items() if words & set(land.words.split())]
        moods = [name for name, meant in MOODS.items() if words & set(meant.split())]
        lands.append(str(rng.choice(["hills", "hills", "hills", "mountains", "mountains", "forest", "lake", "ocean"])))
        moods.append(str(rng.choice(["one hue", "one hue", "dawn", "dusk", "day", "night"])))
        self.kind, self.land = lands[0], LANDS[lands[0]]
        mood = palette.on_ground(palette.tinted(palette.mood(moods[0], rng), words), self.kind)
        self.mood = mood._replace(haze=min(1.0, mood.haze + 0.4 * scene.mist))
        self.has_aurora = "aurora" in words or (mood.stars == 1.0 and rng.random() < 0.25)
        self.horizon = rng.uniform(0.42, 0.58)
        self.light_x = rng.uniform(0.18, 0.82) * self.aspect
        self.light_y = rng.uniform(*mood.light_height) * self.horizon
        self.light_radius = rng.uniform(*mood.light_size) * min(1.0, self.aspect) ** 0.5
        self.x: Array = (np.arange(width, dtype=np.float32) + 0.5) / height
        self.y: Array = (np.arange(height, dtype=np.float32) + 0.5) / height
        self.canvas: Array = np.zeros((height, width, 3), np.float32)
        self.haze, self.light = (palette.rgb(palette.lab(colour)) for colour in (mood.sky[2], mood.light))

    def paint(self) -> Pixels:
        self._sky()
        if self.mood.stars:
            self._stars()
        self._clouds()
        if self.kind == "ocean":
            self._islands()
            self._water(self.horizon, ripple=0.004)
        elif self.kind == "lake":
            shore = min(0.8, self.horizon + 0.2)
            self._ridges(count=5, start=self.horizon, end=shore)
            self._water(shore, ripple=0.012)
        if self.kind in ("ocean", "lake"):
            self._ridges(count=1, start=0.985, end=0.985)
        else:
            self._ridges(count=5 if self.kind == "desert" else 7, start=self.horizon, end=0.96)
        return self._finish()

    def _blend(self, colour: Array, alpha: Array, rows: slice = slice(None)) -> None:
        part = self.canvas[rows]
        part += (colour - part) * alpha[..., None].astype(np.float32)

    # -- the sky

    def _sky(self) -> None:
        """Its colours, and the sun or moon with glow and rings."""
        top, middle, bottom = self.mood.sky
        stops = [(0.0, top), (self.horizon * 0.55, middle), (self.horizon * 1.05, bottom), (1.0, bottom)]
        self.canvas[:] = palette.gradient(stops, self.y)[:, None, :]
        distance, radius = self._distance(), self.light_radius
        glow = self.mood.glow * (0.55 * np.exp(-((distance / (radius * 3.2)) ** 2)) + 0.4 * np.exp(-distance / 0.28))
        for reach in (1.7, 2.5, 3.5):
            glow += 0.113 * self.mood.glow * np.clip((radius * reach - distance) * self.height / 1.5 + 0.5, 0, 1)
        self._blend(self.light, np.clip(glow * 0.62, 0, 0.85))
        self._blend(self.light, np.clip((radius - distance) * self.height + 0.5, 0, 1))

    def _distance(self, rows: slice = slice(None)) -> Array:
        """From the light."""
        distance: Array = np.hypot(self.x[None, :] - self.light_x, self.y[rows, None] - self.light_y)
        return distance

    def _stars(self) -> None:
        rng = self.scene.rng("stars")
        count = int(260 * self.aspect * self.mood.stars)
        x, y = rng.uniform(0, self.aspect, count), rng.power(0.7, count) * self.horizon * 1.1
        shine = rng.power(0.35, count) * 0.9 + 0.08
        shine[np.hypot(x - self.light_x, y - self.light_y) < self.light_radius * 2.2] = 0
        sky = np.zeros((self.height, self.width))
        size = np.clip(self.height / 900, 0.5, 2.0) * 0.55
        for down, across in np.ndindex(5, 5):
            row, column = (y * self.height).astype(int) + down - 2, (x * self.height).astype(int) + across - 2
            away = (row + 0.5 - y * self.height) ** 2 + (column + 0.5 - x * self.height) ** 2
            inside = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
            np.maximum.at(sky, (row[inside], column[inside]), (shine * np.exp(-away / size**2))[inside])
        self._blend(np.ones(3, np.float32), sky)
        if self.has_aurora:
            hue = float(rng.choice([150.0, 165.0, 185.0]))
            for turn in (0.0, 35.0, 150.0):
                base = self.horizon * (0.62 + 0.16 * terrain.fractal(rng, self.x / 0.7, octaves=3, roughness=0.45))
                rays = 0.55 + 0.45 * terrain.fractal(rng, self.x / 0.035, octaves=2, roughness=0.6)
                above = np.clip((base[None, :] - self.y[:, None]) / (0.16 + 0.14 * rays[None, :]), -0.2, 4)
                alpha = np.where(above < 0, np.exp(-((above / 0.06) ** 2)), np.exp(-1.5 * above)) * rays
                self._blend(palette.rgb(palette.lab((0.82, 0.17, hue + turn))), alpha * 0.34)

    def _clouds(self) -> None:
        rows = slice(0, min(self.height, int(self.height * self.horizon * 1.1) + 1))
        noise = terrain.field(self.scene.rng("clouds"), rows.stop, self.width, cells=(5, 1.6 * self.aspect), octaves=5)
        cover = np.clip((noise - 0.56) * 3.2, 0, 1)
        fade = np.sin(np.linspace(0.15, np.pi, rows.stop, dtype=np.float32))[:, None]
        near = np.exp(-self._distance(rows) / 0.35)
        colour = self.haze + (self.light - self.haze) * near[..., None]
        self._blend(colour, cover * fade * self.mood.clouds, rows)

    # -- the land

    def _ridges(self, *, count: int, start: float, end: float) -> None:
        for index in range(count):
            depth = (index + 1) / count
            rng, base = self.scene.rng(f"ridge {index} of {count}"), start + (end - start) * depth**1.25
            if self.kind == "desert":
                self._dunes(rng, base, depth)
                continue
            ground = skyline = self._line(rng, base, depth)
            if depth > 0.3 and self.land.trees:
                skyline = ground - terrain.conifers(rng, self.x, tallest=0.02 + 0.085 * depth**1.6, density=5.5)
            self._ridge(rng, ground, skyline, depth)

    def _line(self, rng: np.random.Generator, base: float, depth: float) -> Array:
        peaks = self.land.sharp * (1 - 0.55 * depth)
        at = self.x / (self.land.width * rng.uniform(0.8, 1.25))
        profile = terrain.fractal(rng, at, octaves=7, roughness=0.44 + 0.06 * peaks, ridged=peaks)
        rise = self.land.tall * rng.uniform(0.75, 1.2) * (1.15 - 0.45 * depth)
        return base - rise * (profile * 0.8 + 0.35)

    def _ridge(self, rng: np.random.Generator, ground: Array, skyline: Array, depth: float) -> None:
        """Fills all below the skyline; mist gathers towards the ridge in front, measured from the ground."""
        rows = slice(max(0, int(skyline.min() * self.height) - 1), self.height)
        if rows.start >= self.height:
            return
        below = self.y[rows, None] - ground[None, :]
        colour = self._ground(depth)
        mist = self.mood.haze * (1 - 0.8 * depth) * np.clip(below / (0.1 + 0.2 * depth), 0, 1) ** 1.1
        shaded = colour + (self.haze - colour) * mist[..., None]
        if self.land.relief:
            shaded += self._relief(rng, ground, below, depth, skyline is not ground)[..., None] * (0.35 + 0.65 * colour)
        self._blend(shaded, np.clip((self.y[rows, None] - skyline[None, :]) * self.height + 0.5, 0, 1), rows)

    def _ground(self, depth: float) -> Array:
        far, near = palette.lab(self.mood.far), palette.lab(self.mood.near)
        return palette.rgb(far + (near - far) * depth**0.85)

    def _relief(self, rng: np.random.Generator, line: Array, below: Array, depth: float, trees: bool) -> Array:
        """Light on the slopes that face it, a bright rim under it, and snow on its top."""
        towards = self.light_x - self.x
        rim = np.exp(-np.abs(towards) / 0.45) * np.exp(-np.abs(below) / 0.006)
        rim *= 0.22 * self.mood.glow * (1 - 0.55 * depth)
        if trees:
            return rim * 0.4
        facing = self._facing(line, towards, below)
        slopes = self.land.relief * facing * np.exp(-np.clip(below, 0, 1) / (0.05 + 0.06 * depth))
        if self.kind == "snow":
            edge = 0.035 + 0.03 * terrain.fractal(rng, self.x / 0.05, octaves=4, roughness=0.6)
            slopes += 0.22 * np.clip((edge[None, :] - below) / 0.012, 0, 1) * (1 - 0.5 * depth)
        return np.asarray(rim + slopes, np.float32)

    def _facing(self, line: Array, towards: Array, below: Array) -> Array:
        """How far each point faces the light. What lies below a slope belongs to the spur that runs down from it."""
        width = max(3, self.height // 60) | 1
        smooth = np.convolve(np.pad(line, width // 2, mode="edge"), np.ones(width) / width, mode="valid")
        slope = np.tanh(np.gradient(smooth, self.x) * 1.6)
        columns = np.arange(self.width)[None, :] + np.clip(below, 0, 0.4) * (-0.9 * self.height) * slope[None, :]
        lit: Array = (slope * -np.sign(towards))[np.clip(columns, 0, self.width - 1).astype(int)]
        return lit

    def _dunes(self, rng: np.random.Generator, base: float, depth: float) -> None:
        """A gently waving plain with a row of dunes on it: each has a lit and a shaded side that part at the crest."""
        plain = base - 0.025 * terrain.fractal(rng, self.x / 0.6, octaves=3, roughness=0.4)
        self._ridge(rng, plain, plain, depth)
        for rise, behind in terrain.dunes(rng, self.x, 0.07 + 0.1 * depth):
            skyline = plain - rise
            top, bottom = int(skyline.min() * self.height) - 1, int(plain.max() * self.height) + 2
            rows = slice(max(0, top), min(self.height, bottom))
            below, above = self.y[rows, None] - skyline[None, :], plain[None, :] - self.y[rows, None]
            from_foot = np.clip(above / (0.55 * rise.max() + 1e-6), 0, 1)
            winding = 0.04 * np.sin(below * 30 + rng.uniform(0, 6)) * np.clip(below * 8, 0, 1)
            edge = (behind[None, :] + winding + below * rng.uniform(-0.5, 0.5)) * np.sign(
                self.light_x - self.x + behind
            )
            lit = np.tanh(edge / (0.003 + 0.2 * np.clip(below, 0, 1))) * from_foot**2 * (3 - 2 * from_foot)
            shaded = self._ground(depth) * (1 + np.where(lit > 0, 0.26, 0.36) * lit)[..., None]
            inside = np.clip(below * self.height + 0.5, 0, 1) * np.clip(above * self.height + 1.5, 0, 1)
            self._blend(shaded, inside * (rise > 0), rows)

    def _islands(self) -> None:
        """Land that rises from the horizon here and there."""
        for index, (depth, reach) in enumerate(((0.12, 0.55), (0.35, 0.4))):
            rng = self.scene.rng(f"island {index}")
            profile = terrain.fractal(rng, self.x / 0.85, octaves=7, roughness=0.42, ridged=0.3)
            height = np.clip(profile - (0.3 - 0.1 * index), 0, None) * reach
            line = np.where(height > 0, self.horizon - height, 2)
            self._ridge(rng, line, line, depth)

    def _water(self, level: float, ripple: float) -> None:
        """What lies above the level, mirrored, darker with depth, and broken by a glittering path under the light."""
        first = min(self.height - 1, int(level * self.height))
        depth = self.height - first
        below = np.linspace(0, 1, depth, dtype=np.float32)[:, None]
        waves = (
            terrain.field(self.scene.rng("water"), depth, self.width, cells=(34, 2.6 * self.aspect), octaves=4) - 0.5
        )
        squeeze = np.arange(depth)[:, None] * (first / max(first, depth * 1.15))
        mirrored = np.clip(first - 1 - squeeze + waves * self.height * (ripple + 0.1 * below), 0, max(0, first - 1))
        self.canvas[first:] = self.canvas[mirrored.astype(int), np.arange(self.width)[None, :]]
        deep = palette.rgb(palette.lab(self.mood.near) * 0.4 + palette.lab(self.mood.sky[0]) * 0.6)
        rows = slice(first, None)
        self._blend(deep, np.broadcast_to(0.22 + 0.5 * below, waves.shape), rows)
        across = np.abs(self.x[None, :] - self.light_x) / (0.035 + 0.16 * below)
        glitter = np.exp(-(across**2)) * np.clip((waves + 0.12) * 4.5, 0, 1) * (0.7 - 0.35 * below) * self.mood.glow
        self._blend(self.light, np.clip(glitter, 0, 0.85), rows)

    def _finish(self) -> Pixels:
        """A soft vignette and a little grain, which also keeps gradients from banding."""
        across, down = (self.x / self.aspect - 0.5)[None, :], (self.y - 0.5)[:, None]
        vignette = 1 - 0.28 * np.clip(across**2 + down**2, 0, 0.5)
        grain = self.scene.rng("grain").standard_normal((self.height, self.width), np.float32) * 0.006
        return np.asarray(np.clip((self.canvas * vignette[..., None] + grain[..., None]) * 255 + 0.5, 0, 255), np.uint8)


def paint(scene: Scene, width: int, height: int) -> Pixels:
    """CPU work of about a quarter second a megapixel: call it in a thread."""
    return Painting(scene, width, height).paint()


def half_done(picture: Pixels, scene: Scene, progress: float) -> Pixels:
    """The picture as a denoiser would show it: noise at 0, itself at 1, in between blurred shapes first."""
    noise = scene.rng(f"noise {progress:.4f}").normal(0.5, 0.2, picture.shape)
    radius = (1 - progress) * min(picture.shape[:2]) / 14
    shapes = (png.blurred(picture, radius) if radius >= 1 else picture) / 255  # less than a pixel is not seen
    clear = 1 - (1 - progress) ** 2.2
    return np.asarray(np.clip((noise + (shapes - noise) * clear) * 255, 0, 255), np.uint8)
