"""Pictures of layered hills: the same prompt, seed and shape always give the same picture."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import numpy as np

from service.demo import palette, png, terrain
from service.demo.palette import Array, Mood
from service.demo.png import Pixels

_WORDS = {
    "night": "night moon moonlit moonlight midnight stars starry aurora",
    "dawn": "dawn sunrise morning first",
    "dusk": "dusk sunset evening twilight golden",
    "day": "day noon sunny daylight summer",
}
_TERRAINS = {
    "forest": "forest forests pine pines trees woods woodland jungle",
    "desert": "desert dune dunes sand sahara",
    "ocean": "ocean sea coast island islands waves beach lighthouse",
    "lake": "lake pond fjord reflection",
    "snow": "snow snowy winter ice glacier frozen",
    "mountains": "mountain mountains peak peaks alps cliffs",
    "hills": "hill hills valley valleys meadow meadows ridge ridges",
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


def _named(words: set[str], meanings: dict[str, str]) -> str | None:
    return next((name for name, names in meanings.items() if words & set(names.split())), None)


class Painting:
    """One scene at one size. Everything random is drawn in picture heights, so that sizes agree in composition."""

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene, self.width, self.height = scene, width, height
        rng = scene.rng("composition")
        words = scene.words
        land = rng.choice(["hills", "hills", "hills", "mountains", "mountains", "forest", "lake", "ocean"])
        mood = rng.choice(["one hue", "one hue", "dawn", "dusk", "day", "night"])
        self.land: str = _named(words, _TERRAINS) or str(land)
        self.mood: Mood = palette.tinted(palette.MOODS[_named(words, _WORDS) or str(mood)](rng), words)
        if self.land == "desert":
            self.mood = palette.deserted(self.mood)
        elif self.land == "snow":
            self.mood = palette.snowed(self.mood)
        self.mood = replace(self.mood, haze=min(1.0, self.mood.haze + 0.4 * scene.mist))
        self.aurora = "aurora" in words or (self.mood.stars == 1.0 and rng.random() < 0.25)
        self.horizon = float(rng.uniform(0.42, 0.58))
        self.aspect = width / height
        self.light_x = float(rng.uniform(0.18, 0.82)) * self.aspect
        self.light_y = float(rng.uniform(*self.mood.light_height)) * self.horizon
        self.light_radius = float(rng.uniform(*self.mood.light_size)) * min(1.0, self.aspect) ** 0.5
        self.x: Array = ((np.arange(width, dtype=np.float32) + 0.5) / height).astype(np.float32)
        self.y: Array = ((np.arange(height, dtype=np.float32) + 0.5) / height).astype(np.float32)
        self.canvas: Array = np.zeros((height, width, 3), np.float32)

    def paint(self) -> Pixels:
        self._sky()
        self._light()
        if self.mood.stars:
            self._stars()
        self._clouds()
        if self.land == "ocean":
            self._islands()
            self._water(self.horizon, ripple=0.004)
            self._ridges(count=1, start=0.985, end=0.985)
        elif self.land == "lake":
            shore = min(0.8, self.horizon + 0.2)
            self._ridges(count=5, start=self.horizon, end=shore)
            self._water(shore, ripple=0.012)
            self._ridges(count=1, start=0.985, end=0.985)
        else:
            self._ridges(count=5 if self.land == "desert" else 7, start=self.horizon, end=0.96)
        return self._finish()

    # -- the sky

    def _sky(self) -> None:
        top, middle, bottom = self.mood.sky
        stops = [(0.0, top), (self.horizon * 0.55, middle), (self.horizon * 1.05, bottom), (1.0, bottom)]
        self.canvas[:] = palette.gradient(stops, self.y)[:, None, :]
        self.haze = palette.rgb(palette.lab(bottom))
        self.light = palette.rgb(palette.lab(self.mood.light))

    def _distance(self, rows: slice = slice(None)) -> Array:
        across = self.x[None, :] - np.float32(self.light_x)
        distance: Array = np.hypot(across, self.y[rows, None] - np.float32(self.light_y))
        return distance

    def _light(self) -> None:
        distance = self._distance()
        radius = self.light_radius
        glow = self.mood.glow * (0.55 * np.exp(-((distance / (radius * 3.2)) ** 2)) + 0.4 * np.exp(-distance / 0.28))
        rings = sum(
            0.07 * np.clip((radius * reach - distance) * self.height / 1.5 + 0.5, 0, 1) for reach in (1.7, 2.5, 3.5)
        )
        disc = np.clip((radius - distance) * self.height + 0.5, 0, 1)
        self._blend(self.light, np.clip(glow * 0.62 + rings * self.mood.glow, 0, 0.85))
        self._blend(self.light, disc)

    def _stars(self) -> None:
        rng = self.scene.rng("stars")
        count = int(260 * self.aspect * self.mood.stars)
        at_x, at_y = rng.uniform(0, self.aspect, count), rng.power(0.7, count) * self.horizon * 1.1
        brightness = rng.power(0.35, count).astype(np.float32) * 0.9 + 0.08
        size = np.clip(self.height / 900, 0.5, 2.0)
        for x, y, shine in zip(at_x, at_y, brightness, strict=True):
            if np.hypot(x - self.light_x, y - self.light_y) < self.light_radius * 2.2:
                continue
            column, row = int(x * self.height), int(y * self.height)
            reach = 1 + int(size * 1.2)
            patch = self.canvas[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            rows = np.arange(max(0, row - reach), max(0, row - reach) + patch.shape[0])[:, None] + 0.5
            columns = np.arange(max(0, column - reach), max(0, column - reach) + patch.shape[1])[None, :] + 0.5
            spot = np.exp(-((rows - y * self.height) ** 2 + (columns - x * self.height) ** 2) / (size * 0.55) ** 2)
            patch += (shine * spot[..., None] * (1 - patch)).astype(np.float32)
        if self.aurora:
            self._curtains(rng)

    def _curtains(self, rng: np.random.Generator) -> None:
        hue = float(rng.choice([150.0, 165.0, 185.0]))
        for turn in (0.0, 35.0, 150.0):
            base = self.horizon * (0.62 + 0.16 * terrain.fractal(rng, self.x / 0.7, octaves=3, roughness=0.45))
            rays = 0.55 + 0.45 * terrain.fractal(rng, self.x / 0.035, octaves=2, roughness=0.6)
            above = np.clip((base[None, :] - self.y[:, None]) / (0.16 + 0.14 * rays[None, :]), -0.2, 4)
            alpha = np.where(above < 0, np.exp(-((above / 0.06) ** 2)), np.exp(-1.5 * above)) * rays
            self._blend(palette.rgb(palette.lab((0.82, 0.17, hue + turn))), alpha * 0.34)

    def _clouds(self) -> None:
        rng = self.scene.rng("clouds")
        rows = slice(0, min(self.height, int(self.height * self.horizon * 1.1) + 1))
        depth = rows.stop
        noise = terrain.field(rng, depth, self.width, cells=(5, 1.6 * self.aspect), octaves=5)
        cover = np.clip((noise - 0.56) * 3.2, 0, 1)
        fade = np.sin(np.linspace(0.15, np.pi, depth, dtype=np.float32))[:, None]
        near = np.exp(-self._distance(rows) / 0.35)
        tint = palette.rgb(palette.lab(self.mood.sky[2]))
        colour = tint + (self.light - tint) * near[..., None]
        alpha = (cover * fade * np.float32(self.mood.clouds))[..., None]
        self.canvas[rows] += (colour - self.canvas[rows]) * alpha

    # -- the land

    def _ridges(self, *, count: int, start: float, end: float) -> None:
        for index in range(count):
            depth = (index + 1) / count if count > 1 else 1.0
            rng = self.scene.rng(f"ridge {index} of {count}")
            if self.land == "desert":
                self._dunes(rng, start + (end - start) * depth**1.25, depth)
                continue
            ground = self._line(rng, start + (end - start) * depth**1.25, depth)
            skyline = ground
            if depth > 0.3 and self.land in ("forest", "lake", "snow"):
                trees = terrain.conifers(rng, self.x, tallest=0.02 + 0.085 * depth**1.6, density=5.5)
                skyline = ground - trees
            self._ridge(rng, ground, skyline, depth)

    def _dunes(self, rng: np.random.Generator, base: float, depth: float) -> None:
        """A gently waving plain with a row of dunes standing on it."""
        plain = np.float32(base) - np.float32(0.025) * terrain.fractal(rng, self.x / 0.6, octaves=3, roughness=0.4)
        self._ridge(rng, plain, plain, depth)
        place = float(-rng.uniform(0.0, 0.3))
        while place < self.aspect + 0.4:
            width, height = rng.uniform(0.4, 0.9), (0.07 + 0.1 * depth) * rng.uniform(0.45, 1.0)
            self._dune(rng, place, width, height, plain, depth)
            place += rng.uniform(0.3, 0.65)

    def _dune(
        self, rng: np.random.Generator, place: float, width: float, height: float, plain: Array, depth: float
    ) -> None:
        """A lit and a shaded side that part at the crest; the foot melts into the plain."""
        steeper = rng.uniform(0.45, 0.7)
        left, right = (width, width * steeper) if rng.random() < 0.5 else (width * steeper, width)
        from_crest = self.x - np.float32(place)
        reach = np.where(from_crest < 0, -from_crest / np.float32(left), from_crest / np.float32(right))
        columns = np.flatnonzero(reach < 1)
        if columns.size == 0:
            return
        span = slice(int(columns[0]), int(columns[-1]) + 1)
        foot = plain[span]
        line = foot - np.float32(height) * (1 - reach[span]) ** np.float32(1.7)
        rows = slice(max(0, int(line.min() * self.height) - 1), min(self.height, int(foot.max() * self.height) + 2))
        below = self.y[rows, None] - line[None, :]
        above_foot = np.clip((foot[None, :] - self.y[rows, None]) / (0.55 * height), 0, 1)
        winding = 0.04 * np.sin(below * 30 + rng.uniform(0, 6)) * np.clip(below * 8, 0, 1)
        edge = from_crest[span][None, :] + winding + below * rng.uniform(-0.5, 0.5)
        side = 1.0 if self.light_x > place else -1.0
        lit = (
            side * np.tanh(edge / (0.003 + 0.2 * np.clip(below, 0, 1))) * above_foot * (3 - 2 * above_foot) * above_foot
        )
        colour = self._ground(depth)
        rgb = colour * (1 + np.where(lit > 0, 0.26, 0.36) * lit)[..., None]
        alpha = np.clip(below * self.height + 0.5, 0, 1) * np.clip(above_foot * 40, 0, 1)
        patch = self.canvas[rows, span]
        patch += ((rgb - patch) * alpha[..., None]).astype(np.float32)

    def _islands(self) -> None:
        """Land that rises from the horizon here and there."""
        for index, (depth, reach) in enumerate(((0.12, 0.55), (0.35, 0.4))):
            rng = self.scene.rng(f"island {index}")
            profile = terrain.fractal(rng, self.x / np.float32(0.85), octaves=7, roughness=0.42, ridged=0.3)
            height = np.clip(profile - np.float32(0.3 - 0.1 * index), 0, None) * np.float32(reach)
            line = np.where(height > 0, np.float32(self.horizon) - height, np.float32(2)).astype(np.float32)
            self._ridge(rng, line, line, depth)

    def _ridge(self, rng: np.random.Generator, ground: Array, skyline: Array, depth: float) -> None:
        """Fills all below the skyline; mist gathers towards the ridge in front, measured from the ground."""
        top = max(0, int(skyline.min() * self.height) - 1)
        if top >= self.height:
            return
        rows = slice(top, self.height)
        below = self.y[rows, None] - ground[None, :]
        colour = self._ground(depth)
        shade = np.clip(below / (0.1 + 0.2 * depth), 0, 1)
        mist = self.mood.haze * (1 - 0.8 * depth) * shade**1.1
        rgb = colour + (self.haze - colour) * mist[..., None]
        rgb += self._relief(rng, ground, below, depth, skyline is not ground)[..., None] * (0.35 + 0.65 * colour)
        alpha = np.clip((self.y[rows, None] - skyline[None, :]) * self.height + 0.5, 0, 1)[..., None]
        self.canvas[rows] += (rgb - self.canvas[rows]) * alpha

    def _line(self, rng: np.random.Generator, base: float, depth: float) -> Array:
        sharp = {"mountains": 0.75, "snow": 0.7, "ocean": 0.3, "lake": 0.5}.get(self.land, 0.15)
        peaks = sharp * (1 - 0.55 * depth)
        scale = {"mountains": 0.5}.get(self.land, 0.55) * rng.uniform(0.8, 1.25)
        profile = terrain.fractal(
            rng, self.x / np.float32(scale), octaves=7, roughness=0.44 + 0.06 * peaks, ridged=peaks
        )
        tall = {"mountains": 0.2, "snow": 0.19, "ocean": 0.06}.get(self.land, 0.125)
        rise = np.float32(tall * rng.uniform(0.75, 1.2) * (1.15 - 0.45 * depth))
        return np.asarray(np.float32(base) - rise * (profile * np.float32(0.8) + np.float32(0.35)), np.float32)

    def _ground(self, depth: float) -> Array:
        far, near = palette.lab(self.mood.far), palette.lab(self.mood.near)
        return palette.rgb((far + (near - far) * np.float32(depth**0.85)).astype(np.float32))

    def _relief(self, rng: np.random.Generator, line: Array, below: Array, depth: float, trees: bool) -> Array:
        """Light on the slopes that face it, a bright rim under it, and snow on its top."""
        if self.land == "desert":  # its dunes have a light of their own
            return np.zeros_like(below)
        towards = np.float32(self.light_x) - self.x
        near_light = np.exp(-np.abs(towards) / 0.45)
        rim = near_light[None, :] * np.exp(-np.abs(below) / 0.006) * (0.22 * self.mood.glow * (1 - 0.55 * depth))
        if trees:
            return np.asarray(rim * 0.4, np.float32)
        facing = self._facing(line, towards, below)
        strength = {"snow": 0.15, "mountains": 0.11}.get(self.land, 0.045)
        reach = 0.05 + 0.06 * depth
        slopes = strength * facing * np.exp(-np.clip(below, 0, 1) / reach)
        if self.land == "snow":
            edge = 0.035 + 0.03 * terrain.fractal(rng, self.x / 0.05, octaves=4, roughness=0.6)
            slopes = slopes + 0.22 * np.clip((edge[None, :] - below) / 0.012, 0, 1) * (1 - 0.5 * depth)
        return np.asarray(rim + slopes, np.float32)

    def _facing(self, line: Array, towards: Array, below: Array) -> Array:
        """How far each point faces the light. What lies below a slope belongs to the spur that runs down from it."""
        width = max(3, self.height // 60) | 1
        smooth = np.convolve(np.pad(line, width // 2, mode="edge"), np.ones(width) / width, mode="valid")
        slope = np.tanh(np.gradient(smooth, self.x) * 1.6).astype(np.float32)
        lit = slope * -np.sign(towards)
        columns = np.arange(self.width)[None, :] + np.clip(below, 0, 0.4) * (-0.9 * self.height) * slope[None, :]
        return np.asarray(lit[np.clip(columns, 0, self.width - 1).astype(int)], np.float32)

    def _water(self, level: float, ripple: float) -> None:
        """What lies above the level, mirrored, darker with depth, and broken by a glittering path under the light."""
        first = min(self.height - 1, int(level * self.height))
        depth = self.height - first
        rng = self.scene.rng("water")
        below = np.linspace(0, 1, depth, dtype=np.float32)
        waves = terrain.field(rng, depth, self.width, cells=(34, 2.6 * self.aspect), octaves=4) - 0.5
        squeeze = np.arange(depth) * (first / max(first, depth * 1.15))
        mirrored = np.clip(
            first - 1 - squeeze[:, None] + waves * self.height * (ripple + 0.1 * below[:, None]), 0, first - 1
        )
        columns = np.broadcast_to(np.arange(self.width), mirrored.shape)
        surface = self.canvas[mirrored.astype(int), columns]
        deep = palette.rgb((palette.lab(self.mood.near) * 0.4 + palette.lab(self.mood.sky[0]) * 0.6).astype(np.float32))
        surface = surface + (deep - surface) * (0.22 + 0.5 * below[:, None, None])
        across = np.abs(self.x[None, :] - np.float32(self.light_x)) / (0.035 + 0.16 * below[:, None])
        glitter = np.exp(-(across**2)) * np.clip((waves + 0.12) * 4.5, 0, 1) * (0.7 - 0.35 * below[:, None])
        glitter = glitter * self.mood.glow
        self.canvas[first:] = surface + (self.light - surface) * np.clip(glitter, 0, 0.85)[..., None]

    # -- the whole

    def _blend(self, colour: Array, alpha: Array) -> None:
        self.canvas += (colour - self.canvas) * alpha[..., None].astype(np.float32)

    def _finish(self) -> Pixels:
        """A soft vignette and a little grain, which also keeps gradients from banding."""
        across = (self.x / np.float32(self.aspect) - 0.5)[None, :]
        down = (self.y - 0.5)[:, None]
        vignette = 1 - np.float32(0.28) * np.clip(across**2 + down**2, 0, 0.5)
        grain = self.scene.rng("grain").standard_normal((self.height, self.width), np.float32) * np.float32(0.006)
        out = self.canvas * vignette[..., None] + grain[..., None]
        return np.asarray(np.clip(out * 255 + 0.5, 0, 255), np.uint8)


def paint(scene: Scene, width: int, height: int) -> Pixels:
    """CPU work of about a quarter second a megapixel: call it in a thread."""
    return Painting(scene, width, height).paint()


def half_done(picture: Pixels, scene: Scene, progress: float) -> Pixels:
    """The picture as a denoiser would show it: noise at 0, itself at 1, in between blurred shapes first."""
    height, width, _ = picture.shape
    noise = scene.rng(f"noise {progress:.4f}").normal(0.5, 0.2, (height, width, 3)).astype(np.float32)
    blur = (1 - progress) * min(height, width) / 14
    shapes = png.blurred(picture, blur).astype(np.float32) / 255
    clear = np.float32(1 - (1 - progress) ** 2.2)
    return np.asarray(np.clip((noise + (shapes - noise) * clear) * 255, 0, 255), np.uint8)
