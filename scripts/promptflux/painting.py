"""How a scene is painted: sky, far things, near things, weather and light, in this order.

Coordinates are those of the unit square, x to the right and y down. Colours are RGB in 0..1. Everything is
drawn at twice the size and halved at the end, which smooths the edges. Beside the picture there is a second
one that holds only the light that things give off; nearer things cover it, and at the end it is blurred and
screened onto the picture, so that lamps, lava and magic trees glow.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from promptflux.scenes import Scene

Color = Sequence[float]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

# Zenith, middle and horizon of the sky, the tint of everything that the sky lights, and the sun's colour.
SKIES = {
    "day": ((0.20, 0.50, 0.92), (0.48, 0.74, 0.97), (0.84, 0.93, 0.99), (1.00, 1.00, 0.98), (1.0, 0.95, 0.62)),
    "sunrise": ((0.50, 0.62, 0.90), (0.93, 0.75, 0.80), (1.00, 0.90, 0.66), (1.00, 0.90, 0.84), (1.0, 0.93, 0.70)),
    "sunset": ((0.27, 0.18, 0.46), (0.86, 0.34, 0.38), (1.00, 0.66, 0.24), (0.84, 0.58, 0.52), (1.0, 0.78, 0.35)),
    "night": ((0.02, 0.03, 0.12), (0.05, 0.09, 0.25), (0.12, 0.19, 0.40), (0.27, 0.35, 0.58), (0.95, 0.95, 0.85)),
}
# The gray that weather mixes into the sky, how much of it, and how far things fade with distance.
WEATHERS = {
    "clear": ((1.0, 1.0, 1.0), 0.0, 1.0),
    "cloudy": ((0.74, 0.77, 0.81), 0.55, 1.1),
    "misty": ((0.86, 0.88, 0.90), 0.72, 2.0),
    "rain": ((0.48, 0.53, 0.60), 0.72, 1.3),
    "storm": ((0.22, 0.24, 0.31), 0.82, 1.1),
    "snowfall": ((0.85, 0.88, 0.93), 0.60, 1.4),
}
NAMED = {
    "red": (0.84, 0.16, 0.15), "orange": (0.96, 0.52, 0.12), "yellow": (0.98, 0.84, 0.20), "pink": (0.97, 0.52, 0.72),
    "purple": (0.58, 0.28, 0.78), "blue": (0.22, 0.42, 0.92), "white": (0.97, 0.97, 0.95), "green": (0.30, 0.74, 0.50),
}
FOLIAGE = {
    "": ((0.16, 0.42, 0.18), (0.25, 0.52, 0.22), (0.33, 0.56, 0.24)),
    "spring": ((0.50, 0.74, 0.32), (0.62, 0.80, 0.42), (0.97, 0.74, 0.84), (0.95, 0.82, 0.90)),
    "summer": ((0.14, 0.52, 0.16), (0.22, 0.60, 0.18), (0.32, 0.66, 0.22)),
    "autumn": ((0.86, 0.36, 0.10), (0.93, 0.60, 0.14), (0.74, 0.20, 0.12), (0.90, 0.72, 0.22)),
    "winter": ((0.86, 0.91, 0.96), (0.78, 0.85, 0.92), (0.93, 0.96, 0.99)),
}
VIBRANT = ((0.95, 0.25, 0.30), (1.00, 0.62, 0.10), (0.98, 0.85, 0.15), (0.25, 0.75, 0.30), (0.15, 0.62, 0.90), (0.70, 0.30, 0.85),
           (0.98, 0.45, 0.70))
GLOWS = ((0.30, 0.95, 1.00), (0.45, 1.00, 0.65), (1.00, 0.55, 0.95), (1.00, 0.85, 0.35), (0.60, 0.55, 1.00))
NEONS = ((0.10, 0.95, 1.00), (1.00, 0.20, 0.80), (0.60, 0.35, 1.00), (0.25, 1.00, 0.75), (1.00, 0.75, 0.20))


def mix(one: Color, other: Color, share: float) -> np.ndarray:
    """`one` with a `share` (0..1) of `other`."""
    share = min(max(share, 0.0), 1.0)
    return np.asarray(one, float) * (1 - share) + np.asarray(other, float) * share


def _rgb(color: Color) -> tuple[int, int, int]:
    return tuple(int(255 * min(max(float(value), 0.0), 1.0) + 0.5) for value in color)


class Painter:
    """A picture in the making: `image` and `light`, both twice the final size, and the palette of `scene`."""

    def __init__(self, scene: Scene, rng: np.random.Generator, size: int):
        self.scene, self.rng, self.size, self.side = scene, rng, size, 2 * size
        self.image = Image.new("RGB", (self.side, self.side))
        self.light = Image.new("RGB", (self.side, self.side))
        self._pens = ImageDraw.Draw(self.image), ImageDraw.Draw(self.light)

        *sky, ambient, self.sun_color = SKIES[scene.time]
        gray, share, self.fading = WEATHERS[scene.weather]
        brightness = {"day": 1.0, "sunrise": 0.95, "sunset": 0.85, "night": 0.22}[scene.time]
        clouded = mix(np.asarray(gray) * brightness, sky[2], {"day": 0.1, "sunrise": 0.4, "sunset": 0.5, "night": 0.3}[scene.time])
        if scene.sky_color:
            tone = mix(NAMED[scene.sky_color], BLACK, 0.6 if scene.time == "night" else 0.0)
            sky = [mix(tone, BLACK, 0.2), tone, mix(tone, WHITE, 0.1 if scene.time == "night" else 0.45)]
        sky = [mix(color, clouded, share) for color in sky]
        ambient = mix(ambient, np.full(3, np.mean(ambient) * (0.75 if scene.weather == "storm" else 0.95)), share * 0.8)
        if "magical" in scene.moods:
            sky = [mix(color, hue, 0.5) for color, hue in zip(sky, ((0.22, 0.08, 0.50), (0.45, 0.20, 0.72), (0.40, 0.70, 0.85)))]
            ambient = ambient * (0.82, 0.78, 1.05)
        if "glowing" in scene.moods:  # glowing things need some dusk around them
            sky = [mix(color, (0.03, 0.06, 0.16), 0.35) for color in sky]
            ambient = np.asarray(ambient) * 0.72
        if "futuristic" in scene.moods:
            sky = [mix(color, hue, 0.3) for color, hue in zip(sky, ((0.10, 0.10, 0.40), (0.40, 0.25, 0.70), (0.30, 0.80, 0.95)))]
        jitter = rng.normal(0, 0.018, 3)
        self.sky_colors = [np.clip(np.asarray(color) + jitter, 0, 1) for color in sky]
        self.ambient, self.haze = np.asarray(ambient), mix(self.sky_colors[2], self.sky_colors[1], 0.25)
        self.lit_windows = scene.time in ("night", "sunset") or "dark" in scene.moods
        self.sun = (rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.3))  # where the sun or the moon stands
        self.glow_hues = [np.array(GLOWS[i]) for i in rng.choice(len(GLOWS), 2, replace=False)]

    def has(self, thing: str) -> bool:
        return thing in self.scene.things

    def mood(self, mood: str) -> bool:
        return mood in self.scene.moods

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def pick(self, options: Sequence) -> Color:
        return options[self.rng.integers(len(options))]

    def shade(self, color: Color, far: float = 0.0) -> np.ndarray:
        """`color` as the sky lights it, faded into the haze: `far` is 0 here and 1 at the horizon."""
        return mix(np.asarray(color, float) * self.ambient, self.haze, far * 0.72 * self.fading)

    def vary(self, color: Color, amount: float = 0.05) -> np.ndarray:
        return np.clip(np.asarray(color, float) + self.rng.normal(0, amount / 2, 3) + self.rng.normal(0, amount / 2), 0, 1)

    # Marks: each covers what lies behind, its light included, and may give off light itself.

    def _draw(self, mark: str, xy, color: Color, glow: Color | None, **options) -> None:
        for pen, fill in zip(self._pens, (color, BLACK if glow is None else glow)):
            getattr(pen, mark)(xy, fill=_rgb(fill), **options)

    def polygon(self, points: Iterable[tuple[float, float]], color: Color, glow: Color | None = None) -> None:
        self._draw("polygon", [(x * self.side, y * self.side) for x, y in points], color, glow)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: Color, glow: Color | None = None) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, glow)

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color, glow: Color | None = None) -> None:
        s = self.side
        self._draw("ellipse", [(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], color, glow)

    def line(self, points: Iterable[tuple[float, float]], color: Color, width: float, glow: Color | None = None) -> None:
        points = [(x * self.side, y * self.side) for x, y in points]
        self._draw("line", points, color, glow, width=max(1, round(width * self.side)), joint="curve")

    def area(self, points: Iterable[tuple[float, float]], top: Color, bottom: Color) -> None:
        """A polygon shaded from `top` to `bottom` between its highest and lowest point."""
        points = list(points)
        ys = [y for _, y in points]
        first, last = int(max(0, min(ys)) * self.side), int(np.ceil(min(1, max(ys)) * self.side))
        if last <= first:
            return
        mask = Image.new("L", (self.side, last - first))
        ImageDraw.Draw(mask).polygon([(x * self.side, y * self.side - first) for x, y in points], fill=255)
        self.image.paste(gradient((top, bottom), self.side, last - first), (0, first), mask)
        self.light.paste((0, 0, 0), (0, first), mask)

    def veil(self, mask: Image.Image, color: Color) -> None:
        """Lay `color` over everything, as opaque as `mask` (mode L, 255 is opaque), the light behind it included."""
        self.image.paste(_rgb(color), (0, 0), mask)
        self.light.paste((0, 0, 0), (0, 0), mask)

    def ridge(self, y: float, height: float, octaves: int = 5, roughness: float = 0.5, count: int = 97) -> list[tuple[float, float]]:
        """A wandering line from left to right about `y`, at most about `height` above and below it."""
        xs = np.linspace(-0.02, 1.02, count)
        ys = np.zeros(count)
        for octave in range(octaves):
            knots = self.rng.uniform(-1, 1, 4 + 2 ** (octave + 1))
            where = np.linspace(0, len(knots) - 1.001, count)
            left = where.astype(int)
            part = where - left
            part = part * part * (3 - 2 * part) if octaves <= 3 else part
            ys += roughness**octave * (knots[left] * (1 - part) + knots[left + 1] * part)
        return list(zip(xs, y + height * ys / (1 + roughness)))


def gradient(colors: Sequence[Color], width: int, height: int) -> Image.Image:
    """An image shaded from the first colour at the top to the last at the bottom."""
    stops = np.linspace(0, 1, len(colors))
    rows = np.stack([np.interp(np.linspace(0, 1, height), stops, [c[i] for c in colors]) for i in range(3)], -1)
    column = Image.fromarray((255 * rows.clip(0, 1) + 0.5).astype(np.uint8)[:, None])
    return column.resize((width, height), Image.Resampling.NEAREST)


def down(line: list[tuple[float, float]], bottom: float = 1.02) -> list[tuple[float, float]]:
    """The area below a line."""
    return [*line, (line[-1][0], bottom), (line[0][0], bottom)]


def height_at(line: list[tuple[float, float]], x: float) -> float:
    return float(np.interp(x, [p[0] for p in line], [p[1] for p in line]))


# ---------------------------------------------------------------- the sky


def sky(p: Painter, horizon: float) -> None:
    """The sky down to `horizon` and everything in it."""
    rows = int(p.side * min(1.0, horizon + 0.1))
    p.image.paste(_rgb(p.haze), (0, 0, p.side, p.side))
    p.image.paste(gradient(p.sky_colors, p.side, rows), (0, 0))
    night = p.scene.time == "night"
    if p.scene.time in ("sunrise", "sunset"):
        p.sun = (p.sun[0], horizon - p.uniform(0.0, 0.16))
    else:
        p.sun = (p.sun[0], min(p.sun[1], horizon - 0.08))
    if p.has("milky way"):
        milky_way(p, horizon)
    if p.has("stars"):
        for _ in range(p.rng.integers(60, 130) if p.scene.kind == "night sky" else p.rng.integers(25, 60)):
            x, y, r = p.uniform(0, 1), p.uniform(0, horizon), p.uniform(0.0015, 0.0042)
            color = mix(WHITE, p.pick(((0.7, 0.8, 1), (1, 0.9, 0.7), WHITE)), 0.6)
            color = mix(color, p.pick(GLOWS), 0.6) if p.mood("magical") or p.mood("vibrant") else color
            r *= 1.5 if p.mood("glowing") else 1
            p.oval(x, y, r, r, color, color * (0.9 if p.mood("glowing") else 0.45))
    if p.has("aurora"):
        aurora(p, horizon)
    if p.has("planet"):
        x, y, r = p.uniform(0.15, 0.85), p.uniform(0.1, horizon * 0.5), p.uniform(0.07, 0.15)
        color = p.shade(p.pick(((0.85, 0.6, 0.5), (0.6, 0.65, 0.9), (0.75, 0.5, 0.8), (0.5, 0.8, 0.8))), 0.3)
        p.oval(x, y, r, r, color)
        p.oval(x - r * 0.25, y - r * 0.25, r * 0.6, r * 0.6, mix(color, WHITE, 0.15))
        tilt = p.uniform(-0.5, 0.5)
        p.line([(x + 1.7 * r * np.cos(a), y + r * (0.35 * np.sin(a) + tilt * np.cos(a))) for a in np.linspace(-0.4, 3.5, 24)],
               mix(color, WHITE, 0.5), 0.008)
    if p.has("sun") or p.has("moon"):
        (x, y), r = p.sun, p.uniform(0.045, 0.08) * (1.15 if p.scene.time in ("sunrise", "sunset") else 1)
        strength = {"clear": 1.0, "cloudy": 0.6, "snowfall": 0.4}.get(p.scene.weather, 0.3)
        color = mix(p.sun_color, p.haze, 1 - strength ** 0.5)
        p.oval(x, y, r, r, color, color * strength * (0.55 if night else 0.8))
        if night:
            for dx, dy, part in ((-0.3, -0.2, 0.22), (0.25, 0.3, 0.17), (0.2, -0.35, 0.12)):
                p.oval(x + dx * r, y + dy * r, part * r, part * r, color * 0.86, color * 0.4)
    if p.has("rainbow"):
        x, y, r = p.uniform(0.25, 0.75), horizon + 0.08, p.uniform(0.42, 0.6)
        for i, color in enumerate(((0.9, 0.25, 0.25), (0.98, 0.6, 0.2), (0.98, 0.9, 0.3), (0.35, 0.8, 0.4), (0.3, 0.55, 0.95), (0.55, 0.35, 0.8))):
            arc = [(x + (r - 0.016 * i) * np.cos(a), y - (r - 0.016 * i) * np.sin(a)) for a in np.linspace(0, np.pi, 60)]
            p.line(arc, mix(color, p.sky_colors[1], 0.35), 0.018)
    if p.has("clouds"):
        for _ in range(p.rng.integers(5, 9) if p.scene.weather == "cloudy" else p.rng.integers(2, 6)):
            cloud(p, p.uniform(-0.05, 1.05), p.uniform(0.04, horizon * 0.72), p.uniform(0.07, 0.17))
    elif p.scene.weather in ("rain", "storm"):
        for _ in range(9):
            cloud(p, p.uniform(-0.05, 1.05), p.uniform(-0.02, 0.2), p.uniform(0.12, 0.24))
    if p.scene.weather == "storm":
        x, y = p.uniform(0.2, 0.8), 0.12
        bolt = [(x, y)]
        while y < horizon:
            x, y = x + p.uniform(-0.05, 0.05), y + p.uniform(0.04, 0.08)
            bolt.append((x, y))
        p.line(bolt, (1.0, 1.0, 0.9), 0.009, (0.75, 0.8, 1.0))
        branch = len(bolt) // 2
        p.line([bolt[branch], (bolt[branch][0] + p.uniform(-0.12, 0.12), bolt[branch][1] + 0.1)], (0.95, 0.95, 0.95), 0.006, (0.5, 0.55, 0.8))
    if p.has("shooting star"):
        x, y, length = p.uniform(0.3, 0.9), p.uniform(0.06, horizon * 0.45), p.uniform(0.14, 0.28)
        for i in range(10):
            part = i / 10
            p.line([(x - length * part, y + 0.5 * length * part), (x - length * (part + 0.1), y + 0.5 * length * (part + 0.1))],
                   mix(WHITE, p.sky_colors[0], part), 0.009 * (1 - 0.6 * part), np.array((0.8, 0.85, 1)) * (1 - part))
    if p.has("birds"):
        x, y = p.uniform(0.15, 0.75), p.uniform(0.1, horizon * 0.6)
        for _ in range(p.rng.integers(4, 9)):
            bx, by, w = x + p.uniform(-0.13, 0.2), y + p.uniform(-0.08, 0.1), p.uniform(0.014, 0.026)
            p.line([(bx - w, by - 0.4 * w), (bx - 0.4 * w, by - 0.6 * w), (bx, by), (bx + 0.4 * w, by - 0.6 * w), (bx + w, by - 0.4 * w)],
                   p.shade((0.12, 0.12, 0.16)), 0.006)
    if p.has("balloons"):
        for _ in range(p.rng.integers(1, 4)):
            x, y, r = p.uniform(0.12, 0.88), p.uniform(0.1, horizon * 0.6), p.uniform(0.035, 0.07)
            color, other = p.shade(p.pick(VIBRANT), 0.1), p.shade(p.pick(VIBRANT), 0.1)
            p.polygon([(x - 0.8 * r, y + 0.5 * r), (x + 0.8 * r, y + 0.5 * r), (x + 0.2 * r, y + 1.5 * r), (x - 0.2 * r, y + 1.5 * r)], color)
            p.oval(x, y, r, r, color)
            p.oval(x, y, 0.42 * r, r, other)
            p.box(x - 0.2 * r, y + 1.6 * r, x + 0.2 * r, y + 2.0 * r, p.shade((0.4, 0.25, 0.15)))


def cloud(p: Painter, x: float, y: float, width: float) -> None:
    color = mix(p.sky_colors[1], np.clip(p.ambient * 1.05, 0, 1) if p.scene.weather != "storm" else (0.16, 0.17, 0.22), 0.82)
    if p.scene.time == "sunset":
        color = mix(color, (1.0, 0.6, 0.5), 0.45)
    if p.scene.weather in ("rain", "cloudy"):
        color = mix(color, np.full(3, 0.55 * np.mean(p.ambient)), 0.5)
    puffs = [(x + p.uniform(-1, 1) * width * 0.75, y - p.uniform(0, 0.25) * width, width * p.uniform(0.2, 0.42)) for _ in range(7)]
    for bx, by, r in puffs:
        p.oval(bx, by + 0.16 * r, r * 1.25, r * 0.66, color * 0.93)
    for bx, by, r in puffs:
        p.oval(bx, by, r * 1.2, r * 0.6, mix(color, WHITE, 0.12))


def milky_way(p: Painter, horizon: float) -> None:
    x0, slope, width = p.uniform(0.2, 0.8), p.uniform(-0.8, 0.8), p.uniform(0.07, 0.13)
    band = Image.new("RGB", (p.side, p.side))
    pen = ImageDraw.Draw(band)
    hues = ((0.55, 0.45, 0.85), (0.35, 0.55, 0.95), (0.9, 0.6, 0.75)) if not p.mood("vibrant") else VIBRANT
    for _ in range(220):
        y = p.uniform(-0.05, horizon + 0.05)
        x, r = x0 + slope * (y - 0.4) + p.rng.normal(0, width * 0.6), p.uniform(0.01, 0.05)
        color = np.array(p.pick(hues)) * p.uniform(0.15, 0.5)
        pen.ellipse([v * p.side for v in (x - r, y - r, x + r, y + r)], fill=_rgb(color))
    band = np.asarray(band.filter(ImageFilter.GaussianBlur(p.side * 0.018)), np.float32)
    p.image.paste(Image.fromarray((255 - (255 - np.asarray(p.image, np.float32)) * (1 - band / 255 * 0.9)).astype(np.uint8)))
    for _ in range(150):
        y = p.uniform(0, horizon)
        x, r = x0 + slope * (y - 0.4) + p.rng.normal(0, width * 0.7), p.uniform(0.001, 0.003)
        p.oval(x, y, r, r, (0.95, 0.95, 1.0), (0.25, 0.25, 0.3))


def aurora(p: Painter, horizon: float) -> None:
    for color in ((0.2, 0.95, 0.55), (0.25, 0.85, 0.75), (0.65, 0.35, 0.9))[: p.rng.integers(2, 4)]:
        line = p.ridge(p.uniform(0.25, 0.5) * horizon + 0.1, 0.1, octaves=3)
        tall = p.uniform(0.12, 0.25)
        layer = Image.new("L", (p.side, p.side))
        pen = ImageDraw.Draw(layer)
        for x, y in p.rng.permutation(np.array([(x, height_at(line, x)) for x in np.linspace(0, 1, 110)])):
            for i in range(6):  # a curtain: bright at its foot
                pen.line([(x * p.side, (y - tall * i / 6) * p.side), (x * p.side, (y - tall * (i + 1) / 6) * p.side)],
                         fill=int(190 * (1 - i / 6) * p.uniform(0.6, 1)), width=int(p.side * 0.014))
        p.image.paste(_rgb(color), (0, 0), layer.filter(ImageFilter.GaussianBlur(p.side * 0.012)))


# ---------------------------------------------------------------- things


def ground_color(p: Painter) -> np.ndarray:
    base = {"": (0.36, 0.56, 0.24), "spring": (0.52, 0.74, 0.32), "summer": (0.32, 0.64, 0.22), "autumn": (0.66, 0.52, 0.24),
            "winter": (0.92, 0.95, 0.99)}[p.scene.season]
    return p.vary(base, 0.04)


def leaf_color(p: Painter) -> np.ndarray:
    if p.scene.tree_color:
        return p.vary(NAMED[p.scene.tree_color], 0.1)
    if p.mood("vibrant") and p.scene.season != "winter":
        return p.vary(p.pick(VIBRANT), 0.06)
    return p.vary(p.pick(FOLIAGE[p.scene.season]), 0.07)


def leaf_glow(p: Painter) -> np.ndarray | None:
    """The light of a tree's crown in a glowing scene: one of the scene's two hues, for harmony."""
    return p.vary(p.glow_hues[p.rng.integers(2)], 0.05) if p.mood("glowing") else None


def conifer(p: Painter, x: float, foot: float, height: float, far: float) -> None:
    snowy = p.scene.season == "winter" or p.scene.kind == "snow"
    base = p.vary((0.10, 0.34, 0.22), 0.05) if not (p.scene.tree_color or p.mood("vibrant")) or snowy else leaf_color(p)
    glow = leaf_glow(p)
    color = p.shade(base, far) if glow is None else glow * (0.95 - 0.4 * far)
    light = None if glow is None else glow * (0.5 - 0.3 * far)
    width = height * p.uniform(0.2, 0.28)
    p.box(x - 0.03 * height, foot - 0.14 * height, x + 0.03 * height, foot, p.shade((0.30, 0.20, 0.13), far))
    for i, part in enumerate((0.10, 0.34, 0.58)):
        low, top, w = foot - part * height, foot - min(1.0, part + 0.44) * height, width * (1 - 0.27 * i)
        p.polygon([(x - w, low), (x + w, low), (x, top)], color * (0.92 + 0.08 * i), light)
        if snowy:
            p.polygon([(x - 0.55 * w, low - 0.16 * height), (x, top), (x + 0.5 * w, low - 0.2 * height)], p.shade((0.95, 0.97, 1), far))


def round_tree(p: Painter, x: float, foot: float, height: float, far: float) -> None:
    glow = leaf_glow(p)
    color = p.shade(leaf_color(p), far) if glow is None else glow * (0.95 - 0.4 * far)
    light = None if glow is None else glow * (0.5 - 0.3 * far)
    trunk = p.shade(p.vary((0.32, 0.21, 0.14), 0.05), far)
    w = 0.035 * height
    p.polygon([(x - w, foot), (x + w, foot), (x + 0.6 * w, foot - 0.6 * height), (x - 0.6 * w, foot - 0.6 * height)], trunk)
    r = height * p.uniform(0.24, 0.3)
    blobs = [(p.uniform(-0.75, 0.75), p.uniform(-0.65, 0.65), p.uniform(0.5, 0.75)) for _ in range(5)]
    for brightness, shift in ((0.80, 0.12), (1.0, 0.0), (1.14, -0.22)):
        for dx, dy, size in blobs if brightness < 1.1 else blobs[:3]:
            size *= 1 if brightness < 1.1 else 0.5
            p.oval(x + dx * r + 0.3 * shift * r, foot - 0.68 * height + (dy * 0.8 + shift) * r, size * r, size * r * 0.9, np.clip(color * brightness, 0, 1), light)


def tree(p: Painter, x: float, foot: float, height: float, far: float, pine: bool) -> None:
    (conifer if pine else round_tree)(p, x, foot, height, far)


def palm(p: Painter, x: float, foot: float, height: float) -> None:
    lean = p.uniform(-0.3, 0.3) * height
    stem = [(x + lean * t * t, foot - height * t) for t in np.linspace(0, 1, 8)]
    p.line(stem, p.shade((0.45, 0.32, 0.2)), 0.05 * height)
    tx, ty = stem[-1]
    for angle in np.linspace(-2.9, -0.2, 7) + p.uniform(-0.1, 0.1):
        r = height * p.uniform(0.38, 0.48)
        leaf = [(tx + r * t * np.cos(angle), ty + r * t * np.sin(angle) * 0.7 + 0.5 * r * t * t) for t in np.linspace(0, 1, 6)]
        p.line(leaf, p.shade(p.vary((0.16, 0.46, 0.18))), 0.045 * height)


def house(p: Painter, x: float, foot: float, width: float, far: float = 0.0) -> None:
    wall = p.shade(p.vary(p.pick(((0.72, 0.52, 0.36), (0.90, 0.86, 0.78), (0.68, 0.34, 0.28), (0.85, 0.78, 0.55))), 0.05), far)
    roof = (0.95, 0.97, 1.0) if p.scene.season == "winter" or p.scene.kind == "snow" else p.pick(((0.55, 0.2, 0.16), (0.35, 0.25, 0.22)))
    h = width * p.uniform(0.5, 0.65)
    p.box(x + 0.22 * width, foot - 1.9 * h, x + 0.36 * width, foot - h, p.shade((0.4, 0.3, 0.28), far))
    p.box(x - width / 2, foot - h, x + width / 2, foot, wall)
    p.polygon([(x - 0.64 * width, foot - h), (x + 0.64 * width, foot - h), (x, foot - 1.9 * h)], p.shade(roof, far))
    window = (1.0, 0.85, 0.45) if p.lit_windows else p.shade((0.45, 0.6, 0.72), far)
    light = np.array((1.0, 0.75, 0.3)) * 0.8 if p.lit_windows else None
    for dx in (-0.28, 0.28):
        p.box(x + (dx - 0.1) * width, foot - 0.72 * h, x + (dx + 0.1) * width, foot - 0.36 * h, window, light)
    p.box(x - 0.08 * width, foot - 0.6 * h, x + 0.08 * width, foot, p.shade((0.3, 0.18, 0.12), far))


def way(p: Painter, top: tuple[float, float], color: Color, edge: Color, wide: float = 0.2) -> None:
    """A path or a river that comes towards us and widens."""
    x0, y0 = top
    sway, end = p.uniform(-0.14, 0.14), p.uniform(0.25, 0.75)
    t = np.linspace(0, 1, 16)
    xs = x0 + (end - x0) * t**1.3 + sway * np.sin(2 * np.pi * t) * t
    ys, ws = y0 + (1.03 - y0) * t, 0.008 + wide * t**1.5
    for grow, fill in ((1.12, edge), (1.0, color)):
        p.polygon([*zip(xs - grow * ws, ys), *reversed(list(zip(xs + grow * ws, ys)))], fill)


def stroke_water(p: Painter, top: float, bottom: float, count: int = 46) -> None:
    """Ripples, denser towards the horizon, and the glitter below a low sun or the moon."""
    for _ in range(count):
        t = p.uniform(0, 1) ** 1.6
        y, length = top + (bottom - top) * t, 0.02 + 0.1 * t * p.uniform(0.4, 1)
        x = p.uniform(-0.05, 1.05)
        tone = mix(p.sky_colors[2], WHITE, 0.25) if p.rng.random() < 0.6 else p.shade((0.05, 0.2, 0.35))
        below = p.image.getpixel((min(max(int(x * p.side), 0), p.side - 1), min(int(y * p.side), p.side - 1)))
        glow = None
        if p.mood("glowing"):
            tone, glow = p.glow_hues[0], np.array(p.glow_hues[0]) * 0.5 * p.uniform(0.3, 1)
        p.line([(x, y), (x + length, y + p.uniform(-0.003, 0.003))], mix(np.array(below) / 255, tone, 0.4), 0.004 + 0.005 * t, glow)
    if (p.has("sun") and p.scene.time != "day") or p.has("moon"):
        for _ in range(34):
            t = p.uniform(0, 1)
            y, spread = top + 0.01 + (bottom - top - 0.02) * t, 0.02 + 0.07 * t
            x, length = p.sun[0] + p.rng.normal(0, spread * 0.5), p.uniform(0.01, 0.03) + 0.03 * t
            p.line([(x - length, y), (x + length, y)], mix(p.sun_color, p.haze, 0.15), 0.006, p.sun_color * np.array(0.25))


def sailboat(p: Painter, x: float, y: float, size: float) -> None:
    sail = p.shade(p.pick(((0.97, 0.97, 0.95), (0.97, 0.97, 0.95), (0.9, 0.3, 0.25), (0.98, 0.8, 0.3))))
    p.polygon([(x, y - size), (x, y - 0.12 * size), (x + 0.5 * size, y - 0.12 * size)], sail)
    p.polygon([(x - 0.05 * size, y - 0.85 * size), (x - 0.05 * size, y - 0.12 * size), (x - 0.4 * size, y - 0.12 * size)], sail * 0.9)
    p.polygon([(x - 0.5 * size, y - 0.08 * size), (x + 0.55 * size, y - 0.08 * size), (x + 0.36 * size, y + 0.1 * size),
               (x - 0.34 * size, y + 0.1 * size)], p.shade((0.42, 0.22, 0.14)))


def flowers(p: Painter, top: float, count: int) -> None:
    for y in np.sort(p.rng.uniform(0, 1, count) ** 0.8):
        r, x, at = 0.004 + 0.012 * y, p.uniform(-0.02, 1.02), top + (1.02 - top) * y
        color = NAMED[p.scene.flower_color] if p.scene.flower_color else p.pick(VIBRANT)
        glow = None
        if p.mood("glowing"):
            color = mix(color, p.glow_hues[p.rng.integers(2)], 0.5)
            glow = np.array(color) * 0.6
        shown = p.shade(p.vary(color), 0.3 * (1 - y)) if glow is None else color
        p.line([(x, at), (x, at + 2.2 * r)], p.shade((0.2, 0.42, 0.15)), 0.3 * r)
        p.oval(x, at, r, r * 0.8, shown, glow)
        p.oval(x, at, r * 0.35, r * 0.3, mix(shown, (1, 0.9, 0.3), 0.6))


def dome_city(p: Painter, horizon: float) -> None:
    """What "futuristic" adds to scenes without a city: slender towers and a dome far away, with lights."""
    for _ in range(p.rng.integers(3, 7)):
        tower(p, p.uniform(0.08, 0.92), horizon + 0.03, p.uniform(0.02, 0.05), p.uniform(0.12, 0.34), 0.45)


def tower(p: Painter, x: float, foot: float, width: float, height: float, far: float) -> None:
    """One building of a futuristic city: a spire, a slab or a tower with discs, edged in neon."""
    color = p.shade(p.vary(p.pick(((0.34, 0.40, 0.58), (0.24, 0.28, 0.44), (0.50, 0.56, 0.70))), 0.04), far)
    neon = np.array(p.pick(NEONS))
    light, shown = neon * (0.75 - 0.5 * far), mix(neon, p.haze, 0.5 * far)
    top, w = foot - height, width / 2
    form = p.rng.integers(4)
    if form == 0:
        p.polygon([(x - w, foot), (x - 0.5 * w, top + 0.25 * height), (x, top), (x + 0.5 * w, top + 0.25 * height), (x + w, foot)], color)
        p.line([(x, top), (x, foot)], shown, 0.006, light)
    elif form == 1:
        p.polygon([(x - w, foot), (x - w, top + 0.5 * width), (x + w, top), (x + w, foot)], color)
        p.line([(x - w, top + 0.5 * width), (x + w, top)], shown, 0.007, light)
    elif form == 2:
        p.box(x - 0.4 * w, top, x + 0.4 * w, foot, color)
        for part in p.rng.uniform(0.0, 0.6, p.rng.integers(1, 4)):
            y = top + part * height
            p.oval(x, y, 1.5 * w, 0.5 * w, mix(color, WHITE, 0.12))
            p.line([(x - 1.4 * w, y + 0.1 * w), (x + 1.4 * w, y + 0.1 * w)], shown, 0.006, light)
    else:
        p.box(x - w, top + w, x + w, foot, color)
        p.oval(x, top + w, w, w, color)
    bright = (1.0, 0.9, 0.6) if p.lit_windows else mix(color, WHITE, 0.35)
    for y in np.arange(top + 0.3 * height, min(foot, 1.0), 0.024):
        if p.rng.random() < 0.7:
            x0 = x + p.uniform(-0.5, 0.3) * w
            p.box(x0, y, x0 + 0.3 * w + 0.004, y + 0.007, mix(bright, p.haze, 0.5 * far), np.array(neon) * 0.3 * (1 - far) if p.lit_windows else None)


def building(p: Painter, x: float, foot: float, width: float, height: float, far: float) -> None:
    walls = VIBRANT if p.mood("vibrant") else ((0.45, 0.48, 0.55), (0.58, 0.52, 0.48), (0.36, 0.40, 0.50), (0.66, 0.62, 0.58), (0.55, 0.38, 0.34))
    color = p.shade(p.vary(p.pick(walls), 0.05), far)
    top, w = foot - height, width / 2
    p.box(x - w, top, x + w, foot, color)
    p.box(x + 0.45 * w, top, x + w, foot, color * 0.85)
    roof = p.rng.integers(4)
    if roof == 0:
        p.box(x - 0.5 * w, top - 0.03, x + 0.5 * w, top, color)
    elif roof == 1:
        p.line([(x, top), (x, top - p.uniform(0.03, 0.07))], color, 0.006)
    elif roof == 2:
        p.polygon([(x - w, top), (x + w, top), (x, top - 0.8 * width)], color * 0.8)
    if p.scene.season == "winter":
        p.box(x - w, top - 0.012, x + w, top + 0.004, p.shade((0.95, 0.97, 1.0), far))
    glow = p.mood("glowing")
    share = 0.65 if p.lit_windows else 0.9
    for y in np.arange(top + 0.025, min(foot - 0.02, 1.0), 0.034):
        for dx in np.arange(-w + 0.012, w - 0.018, 0.026):
            if p.rng.random() < share:
                lit = p.lit_windows or glow
                tone = np.array((1.0, 0.85, 0.45) if not glow else p.glow_hues[p.rng.integers(2)])
                p.box(x + dx, y, x + dx + 0.013, y + 0.018, mix(tone, p.haze, 0.5 * far) if lit else mix(color, (0.75, 0.88, 1.0), 0.45),
                      tone * (0.5 if glow else 0.3) * (1 - far) if lit else None)


# ---------------------------------------------------------------- the ten kinds


def forest(p: Painter) -> None:
    horizon = p.uniform(0.5, 0.62)
    sky(p, horizon)
    far_hills = p.ridge(horizon - 0.08, 0.06, 3)
    p.area(down(far_hills), p.shade(leaf_color(p) * 0.8, 0.8), p.shade(ground_color(p), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    pines = p.rng.choice((0.0, 0.15, 0.85, 1.0))
    if p.scene.tree_color or p.scene.season in ("autumn", "spring") or p.mood("vibrant"):
        pines = p.rng.choice((0.0, 0.2))
    for far, count, foot, size in ((0.75, 20, 0.02, 0.24), (0.45, 13, 0.08, 0.36)):
        for x in p.rng.permutation(np.linspace(0, 1, count)) + p.rng.normal(0, 0.02, count):
            tree(p, x, horizon + foot + p.uniform(-0.02, 0.02), size * p.uniform(0.8, 1.25), far, p.rng.random() < pines)
    ground = ground_color(p)
    line = p.ridge(horizon + 0.1, 0.02, 3)
    p.area(down(line), p.shade(ground, 0.25), p.shade(ground * 0.8))
    if p.has("river"):
        way(p, (p.uniform(0.35, 0.65), horizon + 0.1), mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5), p.shade(ground * 0.6))
    if p.has("path"):
        way(p, (p.uniform(0.35, 0.65), horizon + 0.1), p.shade((0.78, 0.66, 0.46)), p.shade(ground * 0.8), 0.14)
    if p.has("house"):
        house(p, p.uniform(0.3, 0.7), horizon + p.uniform(0.16, 0.24), p.uniform(0.16, 0.22))
    sides = p.rng.random() < 0.6  # tall trees left and right, as a frame
    for i in range(p.rng.integers(5, 9)):
        x = p.uniform(-0.05, 0.28) if i % 2 else p.uniform(0.72, 1.05)
        x = x if sides else p.uniform(-0.05, 1.05)
        if p.has("house") and 0.3 < x < 0.7:
            continue
        y = horizon + 0.14 + 0.035 * i + p.uniform(0, 0.05)
        tree(p, x, y, p.uniform(0.42, 0.62) * (0.7 + 0.05 * i), 0.12, p.rng.random() < pines)
    if p.has("flowers"):
        flowers(p, horizon + 0.22, 60)
    if p.has("mushrooms"):
        for _ in range(p.rng.integers(4, 9)):
            x, y, r = p.uniform(0.05, 0.95), p.uniform(0.82, 0.98), p.uniform(0.025, 0.05)
            p.box(x - 0.25 * r, y - r, x + 0.25 * r, y, p.shade((0.92, 0.88, 0.8)))
            cap = (0.85, 0.15, 0.12) if not p.mood("magical") else p.glow_hues[0]
            p.polygon([(x + r * np.cos(a), y - r + 0.8 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
                      p.shade(cap), np.array(cap) * 0.5 if p.mood("magical") else None)
            for dx in (-0.5, 0.0, 0.5):
                p.oval(x + dx * r, y - r * (1.3 + 0.2 * (dx == 0)), 0.13 * r, 0.1 * r, p.shade(WHITE))


def city(p: Painter) -> None:
    horizon = p.uniform(0.6, 0.72)
    sky(p, horizon)
    future = p.mood("futuristic")
    for far, count, low, high, wide in ((0.8, 16, 0.08, 0.26, 0.09), (0.45, 11, 0.16, 0.42, 0.11), (0.1, 7, 0.2, 0.55, 0.14)):
        for x in p.rng.permutation(np.linspace(0.0, 1.0, count)) + p.rng.normal(0, 0.03, count):
            height = p.uniform(low, high) * (1.1 if future else 0.95)
            (tower if future and p.rng.random() < 0.85 else building)(p, x, horizon + 0.06, wide * p.uniform(0.7, 1.15), height, far)
    if p.has("water"):
        mirror(p, horizon + 0.05, (0.10, 0.25, 0.40))
    else:
        ground = {"winter": (0.88, 0.91, 0.95)}.get(p.scene.season, (0.36, 0.37, 0.42))
        p.area(down([(-0.02, horizon + 0.05), (1.02, horizon + 0.05)]), p.shade(ground, 0.2), p.shade(np.array(ground) * 0.8))
    if p.has("bridge"):
        y, color = horizon + 0.12, p.shade((0.70, 0.28, 0.22))
        for x in (0.22, 0.78):
            p.box(x - 0.015, y - 0.22, x + 0.015, y + 0.06, color)
        cable = [(x, y - 0.2 + 0.17 * (1 - ((x - 0.5) / 0.28) ** 2)) for x in np.linspace(0.22, 0.78, 15)]
        p.line([(-0.02, y - 0.02), (0.22, y - 0.2), *cable, (0.78, y - 0.2), (1.02, y - 0.02)], color, 0.008)
        for x, top in cable[1:-1]:
            p.line([(x, top), (x, y)], color, 0.004)
        p.box(-0.02, y, 1.02, y + 0.022, color * 0.9)
    if p.has("road") and not p.has("water"):
        way(p, (p.uniform(0.4, 0.6), horizon + 0.05), p.shade((0.22, 0.22, 0.25)), p.shade((0.6, 0.6, 0.6)), 0.3)
        if p.lit_windows or future:
            for _ in range(14):
                y = p.uniform(horizon + 0.1, 0.98)
                x = 0.5 + p.rng.normal(0, 0.25) * (y - horizon)
                color = np.array(p.pick(((1.0, 0.3, 0.2), (1.0, 0.9, 0.6)) if not future else NEONS))
                p.box(x, y, x + 0.02, y + 0.008, color, color * 0.7)
    if p.has("park"):
        for _ in range(p.rng.integers(5, 9)):
            round_tree(p, p.uniform(0.0, 1.0), p.uniform(horizon + 0.14, 0.98), p.uniform(0.14, 0.22), 0.05)
    if p.has("flying cars"):
        for _ in range(p.rng.integers(5, 10)):
            x, y, w = p.uniform(0.05, 0.95), p.uniform(0.12, horizon), p.uniform(0.014, 0.03)
            neon = np.array(p.pick(NEONS))
            p.oval(x, y, w, 0.35 * w, p.shade((0.75, 0.78, 0.85)))
            p.line([(x - 2.6 * w, y + 0.1 * w), (x - w, y)], neon, 0.006, neon * 0.8)


def mirror(p: Painter, top: float, tint: Color) -> None:
    """Water from `top` to the lower edge that reflects what stands above it."""
    first = int(top * p.side)
    rows = p.side - first
    dark = p.shade(tint)
    for layer, share in ((p.image, 0.6), (p.light, 0.5)):
        above = layer.crop((0, max(0, first - rows), p.side, first)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        above = above.resize((p.side, rows)).filter(ImageFilter.BoxBlur(p.side * 0.004))
        plain = gradient((mix(p.sky_colors[1], dark, 0.5), dark), p.side, rows) if layer is p.image else Image.new("RGB", (p.side, rows))
        layer.paste(Image.blend(plain, above, share), (0, first))
    stroke_water(p, top + 0.01, 1.0)


def peaks(p: Painter, base: float, height: float, far: float, snowcap: float, color: Color) -> None:
    """A range of pointed mountains with lit and shaded sides."""
    for x in p.rng.permutation(np.linspace(-0.05, 1.05, p.rng.integers(4, 7))):
        h, half = height * p.uniform(0.65, 1.1), height * p.uniform(0.65, 0.95)
        x, top = x + p.uniform(-0.08, 0.08), base - h
        rock = p.vary(color, 0.04)
        left = [(x, top), *((x - half * t + p.uniform(-0.012, 0.012), top + h * t) for t in (0.2, 0.4, 0.6, 0.8)), (x - half, base + 0.02)]
        right = [(x, top), *((x + half * t + p.uniform(-0.012, 0.012), top + h * t) for t in (0.2, 0.4, 0.6, 0.8)), (x + half, base + 0.02)]
        ridge = [(x, top), (x + 0.10 * half, top + 0.35 * h), (x - 0.06 * half, top + 0.65 * h), (x + 0.12 * half, base + 0.02)]
        p.polygon([*left, *reversed(ridge)], p.shade(rock, far))
        p.polygon([*right, *reversed(ridge)], p.shade(rock * 0.72, far))
        if snowcap:
            s = snowcap * p.uniform(0.8, 1.2)
            light, glow = p.shade((0.97, 0.98, 1.0), far * 0.6), None
            if p.mood("glowing"):
                light, glow = mix(light, p.glow_hues[0], 0.7), np.array(p.glow_hues[0]) * 0.5
            p.polygon([(x, top), (x - s * half, top + s * h), (x - 0.5 * s * half, top + 0.8 * s * h), (x - 0.25 * s * half, top + 1.1 * s * h),
                       (x + 0.05 * half, top + 0.75 * s * h)], light, glow)
            p.polygon([(x, top), (x + 0.05 * half, top + 0.75 * s * h), (x + 0.3 * s * half, top + 1.1 * s * h), (x + 0.55 * s * half, top + 0.8 * s * h),
                       (x + s * half, top + s * h)], mix(light, p.shade((0.5, 0.6, 0.8), far), 0.4), glow)


def mountains(p: Painter) -> None:
    horizon = p.uniform(0.62, 0.72)
    sky(p, horizon - 0.1)
    winter = p.scene.season == "winter"
    rock = p.vary(p.pick(VIBRANT) if p.mood("vibrant") else p.pick(((0.45, 0.46, 0.54), (0.50, 0.44, 0.42), (0.38, 0.45, 0.55))), 0.05)
    cap = 0.6 if winter else p.pick((0.2, 0.3, 0.42))
    peaks(p, horizon, p.uniform(0.32, 0.42), 0.75, cap, rock)
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    peaks(p, horizon + 0.06, p.uniform(0.36, 0.5), 0.3, cap, rock)
    if p.has("waterfall"):
        x, top = p.uniform(0.35, 0.65), horizon - 0.2
        p.polygon([(x - 0.012, top), (x + 0.012, top), (x + 0.03, horizon + 0.1), (x - 0.03, horizon + 0.1)], p.shade((0.85, 0.94, 1.0)))
        for dx in (-0.01, 0.006):
            p.line([(x + dx, top + 0.02), (x + 2 * dx, horizon + 0.1)], p.shade((0.6, 0.8, 0.95)), 0.004)
    if p.has("castle"):
        x, y, color = p.uniform(0.25, 0.75), horizon + 0.06, p.shade((0.66, 0.62, 0.62), 0.15)
        for dx, w, h in ((-0.09, 0.035, 0.15), (0.0, 0.05, 0.22), (0.09, 0.035, 0.17)):
            p.box(x + dx - w / 2, y - h, x + dx + w / 2, y, color)
            p.polygon([(x + dx - 0.7 * w, y - h), (x + dx + 0.7 * w, y - h), (x + dx, y - h - 1.6 * w)], p.shade((0.35, 0.3, 0.55), 0.1))
            p.box(x + dx - 0.006, y - h + 0.03, x + dx + 0.006, y - h + 0.055, (1, 0.85, 0.4) if p.lit_windows else color * 0.5,
                  (0.9, 0.6, 0.2) if p.lit_windows else None)
        p.box(x - 0.1, y - 0.09, x + 0.1, y, color * 0.92)
    ground = ground_color(p)
    line = p.ridge(horizon + 0.09, 0.035, 3)
    p.area(down(line), p.shade(ground * 0.9, 0.3), p.shade(ground * 0.75))
    if p.has("river"):
        way(p, (p.uniform(0.35, 0.65), horizon + 0.1), mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5), p.shade(ground * 0.6), 0.13)
    if p.has("pines"):
        for _ in range(p.rng.integers(9, 20)):
            y = p.uniform(0.06, 0.3)
            conifer(p, p.uniform(0, 1), horizon + 0.03 + y, 0.1 + 0.5 * y * p.uniform(0.8, 1.2), 0.3 - y)
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.86, 0.94), p.uniform(0.13, 0.18))


def ocean(p: Painter) -> None:
    horizon = p.uniform(0.42, 0.56)
    sky(p, horizon)
    deep = p.pick(((0.05, 0.30, 0.52), (0.04, 0.40, 0.55), (0.08, 0.24, 0.48))) if not p.mood("vibrant") else (0.0, 0.55, 0.75)
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.03)
    if p.has("island"):
        x, w = p.uniform(0.15, 0.85), p.uniform(0.1, 0.18)
        p.polygon([(x + w * np.cos(a), horizon + 0.01 + 0.45 * w * np.sin(a)) for a in np.linspace(-np.pi, 0, 20)], p.shade((0.25, 0.42, 0.25), 0.4))
    p.area(down([(-0.02, horizon), (1.02, horizon)]), mix(p.shade(deep, 0.35), p.sky_colors[2], 0.35), p.shade(deep))
    stroke_water(p, horizon + 0.01, 1.0, 60)
    rough = p.scene.weather in ("storm", "rain") or p.rng.random() < 0.4
    if rough and not p.mood("serene"):
        for y in np.linspace(horizon + 0.1, 0.97, 6):  # waves with foam
            t = (y - horizon) / (1 - horizon)
            crest = [(x, y - 0.03 * t * abs(np.sin(7 * x / (0.4 + t) + 5 * y * 9))) for x in np.linspace(-0.02, 1.02, 60)]
            glow = np.array(p.glow_hues[0]) * 0.5 if p.mood("glowing") else None
            p.area(down(crest, y + 0.08 * t), p.shade(np.array(deep) * 1.15, 0.3 * (1 - t)), p.shade(deep, 0.2 * (1 - t)))
            p.line(crest, p.shade((0.88, 0.95, 1.0), 0.2) if glow is None else p.glow_hues[0], 0.003 + 0.005 * t, glow)
    if p.has("ship"):
        x, y, w = p.uniform(0.25, 0.75), horizon + 0.03, p.uniform(0.09, 0.14)
        p.polygon([(x - w, y - 0.03), (x + w * 1.1, y - 0.03), (x + 0.85 * w, y + 0.02), (x - 0.9 * w, y + 0.02)], p.shade((0.55, 0.15, 0.14), 0.1))
        p.box(x - 0.7 * w, y - 0.075, x - 0.2 * w, y - 0.03, p.shade((0.9, 0.9, 0.9), 0.1))
        p.box(x - 0.5 * w, y - 0.11, x - 0.38 * w, y - 0.07, p.shade((0.2, 0.2, 0.25), 0.1))
    if p.has("sailboat"):
        for _ in range(p.rng.integers(1, 3)):
            y = p.uniform(horizon + 0.06, 0.78)
            sailboat(p, p.uniform(0.15, 0.85), y, 0.1 + 0.28 * (y - horizon))
    if p.has("lighthouse"):
        x, y = p.pick((0.14, 0.2, 0.8, 0.86)), horizon + 0.12
        p.polygon([(x - 0.2, y + 0.04), (x - 0.1, y - 0.05), (x, y - 0.075), (x + 0.1, y - 0.05), (x + 0.2, y + 0.04)], p.shade((0.36, 0.34, 0.34)))
        for i in range(4):
            w0, w1 = 0.034 - 0.004 * i, 0.03 - 0.004 * i
            y0, y1 = y - 0.05 - 0.065 * i, y - 0.115 - 0.065 * i
            p.polygon([(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)], p.shade((0.95, 0.95, 0.93) if i % 2 else (0.85, 0.18, 0.15)))
        lamp = (1.0, 0.92, 0.55)
        p.box(x - 0.016, y - 0.345, x + 0.016, y - 0.31, lamp, lamp if p.lit_windows else None)
        p.polygon([(x - 0.022, y - 0.345), (x + 0.022, y - 0.345), (x, y - 0.375)], p.shade((0.7, 0.12, 0.1)))
    if p.has("beach") or p.has("palms"):
        shore = p.ridge(p.uniform(0.8, 0.86), 0.03, 2)
        p.area(down([(x, y - 0.015) for x, y in shore]), p.shade((0.93, 0.97, 0.98)), p.shade((0.93, 0.97, 0.98)))
        p.area(down(shore), p.shade((0.93, 0.83, 0.60)), p.shade((0.82, 0.68, 0.45)))
    if p.has("palms"):
        for _ in range(p.rng.integers(1, 4)):
            palm(p, p.pick((p.uniform(0.05, 0.25), p.uniform(0.75, 0.95))), p.uniform(0.86, 0.94), p.uniform(0.34, 0.48))


def desert(p: Painter) -> None:
    horizon = p.uniform(0.48, 0.6)
    sky(p, horizon)
    sand = p.vary(p.pick(((0.90, 0.70, 0.40), (0.92, 0.62, 0.34), (0.86, 0.74, 0.50))) if not p.mood("vibrant") else (0.98, 0.55, 0.20), 0.03)
    if p.mood("futuristic"):
        dome_city(p, horizon)
    if p.has("rocks"):  # table mountains
        for _ in range(p.rng.integers(2, 4)):
            x, w, h = p.uniform(0.05, 0.95), p.uniform(0.06, 0.13), p.uniform(0.1, 0.22)
            color = p.shade((0.70, 0.36, 0.22), 0.4)
            p.polygon([(x - 1.5 * w, horizon + 0.05), (x - w, horizon - h), (x + w, horizon - h * 0.97), (x + 1.4 * w, horizon + 0.05)], color)
            p.polygon([(x + 0.3 * w, horizon - h), (x + w, horizon - h * 0.97), (x + 1.4 * w, horizon + 0.05), (x + 0.5 * w, horizon + 0.05)], color * 0.82)
    if p.has("pyramids"):
        for i in range(p.rng.integers(1, 4)):
            x, h = p.uniform(0.15, 0.85), p.uniform(0.13, 0.24)
            color = p.shade(sand * (0.95, 0.88, 0.75), 0.35 - 0.1 * i)
            p.polygon([(x, horizon - h), (x - 1.1 * h, horizon + 0.04), (x + 0.3 * h, horizon + 0.05)], color)
            p.polygon([(x, horizon - h), (x + 0.3 * h, horizon + 0.05), (x + 1.1 * h, horizon + 0.04)], color * 0.75)
    for i, far in enumerate((0.6, 0.35, 0.15, 0.0)):  # dunes: a lit side and a shaded side under a curved crest
        y = horizon + 0.02 + 0.12 * i
        line = p.ridge(y, 0.035 + 0.012 * i, 2)
        p.area(down(line), p.shade(sand * 1.05, far), p.shade(sand * 0.86, far * 0.7))
        top = min(range(8, 90), key=lambda j: line[j][1])
        end = min(96, top + p.rng.integers(22, 40))
        crest, width = line[top:end], p.uniform(0.05, 0.11)
        foot = [(x - 0.25 * width * t, y + width * np.sin(np.pi * t) ** 0.7 * (1 - t) * 1.6) for t, (x, y) in zip(np.linspace(0, 1, len(crest)), crest)]
        p.polygon([*crest, *reversed(foot)], p.shade(sand * 0.8, far))
    if p.has("cacti"):
        for _ in range(p.rng.integers(2, 5)):
            y = p.uniform(horizon + 0.14, 0.95)
            cactus(p, p.uniform(0.06, 0.94), y, 0.12 + 0.35 * (y - horizon))
    if p.has("palms"):
        x = p.uniform(0.2, 0.8)
        p.oval(x, 0.84, 0.17, 0.035, mix(p.sky_colors[0], p.shade((0.2, 0.55, 0.6)), 0.5))
        for dx in (-0.12, -0.04, 0.1):
            palm(p, x + dx, 0.83 + p.uniform(-0.02, 0.02), p.uniform(0.24, 0.36))
    if p.mood("glowing"):
        for _ in range(9):
            x, y, h = p.uniform(0.05, 0.95), p.uniform(horizon + 0.15, 0.97), p.uniform(0.05, 0.11)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.polygon([(x - 0.25 * h, y), (x - 0.2 * h, y - 0.6 * h), (x, y - h), (x + 0.2 * h, y - 0.6 * h), (x + 0.25 * h, y)], hue, hue * 0.7)


def cactus(p: Painter, x: float, foot: float, height: float) -> None:
    color, w = p.shade(p.vary((0.20, 0.46, 0.24))), 0.15 * height
    p.line([(x, foot), (x, foot - height)], color, w)
    p.oval(x, foot - height, w / 2, w / 2, color)
    for side, at in ((-1, 0.4), (1, 0.55)):
        y = foot - at * height
        p.line([(x, y), (x + side * 0.28 * height, y), (x + side * 0.28 * height, y - 0.3 * height)], color, 0.75 * w)
        p.oval(x + side * 0.28 * height, y - 0.3 * height, 0.37 * w, 0.37 * w, color)


def meadow(p: Painter) -> None:
    horizon = p.uniform(0.46, 0.58)
    sky(p, horizon)
    ground = ground_color(p) if not p.mood("vibrant") else p.vary((0.45, 0.85, 0.20), 0.04)
    p.area(down(p.ridge(horizon - 0.02, 0.03, 3)), p.shade(mix(ground, (0.2, 0.4, 0.5), 0.3), 0.85), p.shade(ground, 0.7))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    hills = []
    for i, far in enumerate((0.6, 0.35, 0.1)):
        line = p.ridge(horizon + 0.03 + 0.11 * i, 0.05, 2)
        hills.append(line)
        p.area(down(line), p.shade(ground * (1.06 - 0.06 * i), far), p.shade(ground * (0.86 - 0.05 * i), far * 0.6))
        for _ in range(26 * (i + 1)):  # blades of grass
            x = p.uniform(0, 1)
            y = p.uniform(height_at(line, x) + 0.02, 1.0)
            p.line([(x, y), (x + p.uniform(-0.006, 0.006), y - 0.012 - 0.01 * i)], p.shade(ground * p.uniform(0.72, 1.12), far), 0.004)
    if p.has("windmill"):
        x = p.uniform(0.2, 0.8)
        y, w = height_at(hills[1], x) + 0.03, 0.045
        p.polygon([(x - w, y), (x + w, y), (x + 0.6 * w, y - 0.2), (x - 0.6 * w, y - 0.2)], p.shade((0.92, 0.88, 0.8), 0.1))
        p.polygon([(x - 0.7 * w, y - 0.2), (x + 0.7 * w, y - 0.2), (x, y - 0.25)], p.shade((0.5, 0.2, 0.16), 0.1))
        turn = p.uniform(0, 1.5)
        for i in range(4):
            a = turn + i * np.pi / 2
            p.line([(x, y - 0.2), (x + 0.15 * np.cos(a), y - 0.2 + 0.15 * np.sin(a))], p.shade((0.45, 0.36, 0.3), 0.1), 0.014)
    if p.has("house"):
        x = p.uniform(0.2, 0.8)
        house(p, x, height_at(hills[1], x) + 0.04, p.uniform(0.13, 0.19), 0.15)
    if p.has("path"):
        way(p, (p.uniform(0.3, 0.7), horizon + 0.16), p.shade((0.80, 0.69, 0.48)), p.shade(ground * 0.8), 0.12)
    if p.has("fence"):
        line = p.ridge(0.8, 0.02, 2)
        for shift in (-0.05, -0.02):
            p.line([(x, y + shift) for x, y in line], p.shade((0.55, 0.4, 0.28)), 0.009)
        for x in np.linspace(0.03, 0.97, 9):
            p.box(x - 0.008, height_at(line, x) - 0.075, x + 0.008, height_at(line, x) + 0.02, p.shade((0.5, 0.36, 0.24)))
    if p.has("tree"):
        round_tree(p, p.uniform(0.2, 0.8), horizon + p.uniform(0.2, 0.28), p.uniform(0.38, 0.52), 0.05)
    if p.has("flowers"):
        flowers(p, horizon + 0.14, p.rng.integers(110, 220))


def lake(p: Painter) -> None:
    horizon = p.uniform(0.5, 0.6)
    sky(p, horizon - 0.08)
    ground = ground_color(p)
    if p.rng.random() < 0.65:
        rock = p.pick(((0.42, 0.45, 0.55), (0.48, 0.44, 0.44)))
        peaks(p, horizon, p.uniform(0.2, 0.34), 0.6, 0.55 if p.scene.season == "winter" else p.pick((0.0, 0.25, 0.35)), rock)
    else:
        p.area(down(p.ridge(horizon - 0.12, 0.05, 3)), p.shade(leaf_color(p) * 0.7, 0.75), p.shade(ground, 0.6))
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    p.area(down(p.ridge(horizon - 0.025, 0.02, 3)), p.shade(ground * 0.9, 0.4), p.shade(ground * 0.7, 0.3))
    pines = p.has("pines")
    for x in p.rng.uniform(0, 1, p.rng.integers(14, 26) if pines or p.scene.tree_color or p.mood("vibrant") else 7):
        tree(p, x, horizon + p.uniform(-0.012, 0.008), p.uniform(0.08, 0.16), 0.35, pines)
    if p.has("house"):
        house(p, p.uniform(0.15, 0.85), horizon, p.uniform(0.1, 0.15), 0.2)
    mirror(p, horizon, (0.16, 0.42, 0.58))
    if p.scene.season == "winter":
        for _ in range(6):
            p.oval(p.uniform(0, 1), p.uniform(horizon + 0.08, 0.95), p.uniform(0.05, 0.1), p.uniform(0.008, 0.018), p.shade((0.9, 0.95, 1.0)))
    if p.has("sailboat"):
        y = p.uniform(horizon + 0.08, 0.8)
        sailboat(p, p.uniform(0.2, 0.8), y, 0.1 + 0.3 * (y - horizon))
    if p.has("dock"):
        x, color = p.uniform(0.3, 0.7), p.shade((0.52, 0.38, 0.26))
        p.polygon([(x - 0.13, 1.02), (x + 0.13, 1.02), (x + 0.05, 0.74), (x - 0.02, 0.74)], color)
        for y in np.linspace(0.76, 0.99, 8):
            p.line([(x - 0.02 - 0.11 * (y - 0.74) / 0.28, y), (x + 0.05 + 0.08 * (y - 0.74) / 0.28, y)], color * 0.75, 0.005)
    else:
        p.area(down(p.ridge(0.94, 0.03, 3)), p.shade(ground), p.shade(ground * 0.75))
    if p.has("reeds"):
        for x in np.concatenate([p.rng.uniform(-0.02, 0.35, 22), p.rng.uniform(0.65, 1.02, 22)]):
            h = p.uniform(0.08, 0.24)
            p.line([(x, 1.0), (x + p.uniform(-0.03, 0.03), 1.0 - h)], p.shade(p.vary((0.32, 0.44, 0.18))), 0.006)


def volcano(p: Painter) -> None:
    horizon = p.uniform(0.66, 0.76)
    sky(p, horizon - 0.05)
    x, top, half = p.uniform(0.38, 0.62), p.uniform(0.3, 0.38), p.uniform(0.36, 0.46)
    crater = p.uniform(0.06, 0.09)
    p.area(down(p.ridge(horizon - 0.1, 0.05)), p.shade((0.35, 0.32, 0.36), 0.8), p.shade((0.3, 0.28, 0.3), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.05)
    fire = (1.0, 0.42, 0.08)
    if p.has("smoke"):
        for t in np.linspace(1, 0, 24):
            r = 0.035 + 0.1 * t
            for _ in range(2):
                gray = np.full(3, p.uniform(0.3, 0.55)) * (0.45 + 0.55 * np.mean(p.ambient))
                gray = mix(gray, fire, 0.5 * max(0.0, 0.4 - t) if p.has("lava") else 0.0)
                p.oval(x + 0.1 * np.sin(3 * t + p.sun[0] * 6) * t + p.uniform(-0.05, 0.05) * (0.3 + t), top - 0.36 * t, r, r * 0.8, gray)
    steps = np.linspace(0, 1, 12)
    left = [(x - crater - (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t) for t in steps]
    right = [(x + crater + (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t) for t in steps]
    rock = p.vary((0.36, 0.28, 0.28), 0.04)
    p.area([*left, *reversed(right)], p.shade(rock, 0.15), p.shade(rock * 0.8, 0.3))
    p.polygon([(x + 0.3 * crater, top), *right, (x + 0.25 * half, horizon + 0.05)], p.shade(rock * 0.72, 0.2))
    if p.has("lava"):
        bright = p.uniform(0.7, 1.0)
        for _ in range(p.rng.integers(8, 16)):  # sparks
            a, r = p.uniform(-2.4, -0.7), p.uniform(0.05, 0.22)
            p.oval(x + r * np.cos(a), top + r * np.sin(a), 0.006, 0.006, (1.0, 0.7, 0.2), (1.0, 0.5, 0.1))
        p.polygon([(x - 0.6 * crater, top), (x, top - p.uniform(0.05, 0.14)), (x + 0.6 * crater, top)], (1.0, 0.6, 0.15), (1.0, 0.45, 0.1))
        p.oval(x, top, crater, 0.022, fire, np.array(fire) * bright)
        for _ in range(p.rng.integers(2, 5)):
            px, py, points = x + p.uniform(-0.6, 0.6) * crater, top, []
            drift = (px - x) / crater
            while py < horizon + 0.04:
                points.append((px, py))
                px, py = px + drift * p.uniform(0.0, 0.045) + p.uniform(-0.012, 0.012), py + 0.03
            p.line(points, fire, p.uniform(0.013, 0.024), np.array(fire) * bright)
            p.line(points, (1.0, 0.8, 0.3), 0.006, (1.0, 0.6, 0.2))
    else:
        p.oval(x, top, crater, 0.022, p.shade(rock * 0.5))
    ground = p.vary(p.pick(((0.24, 0.22, 0.23), (0.28, 0.34, 0.20), (0.40, 0.30, 0.24))) if not p.mood("vibrant") else (0.45, 0.75, 0.2), 0.03)
    p.area(down(p.ridge(horizon + 0.02, 0.025)), p.shade(ground, 0.15), p.shade(ground * 0.75))
    if p.has("lava") and p.rng.random() < 0.5:
        way(p, (x, horizon + 0.03), fire, (0.5, 0.12, 0.05), 0.1)
        p._pens[1].polygon([(x * p.side, (horizon + 0.03) * p.side), (0.55 * p.side, p.side), (0.45 * p.side, p.side)], fill=_rgb(np.array(fire) * 0.4))
    if p.has("rocks"):
        for _ in range(p.rng.integers(4, 8)):
            bx, by, r = p.uniform(0, 1), p.uniform(horizon + 0.1, 1.0), p.uniform(0.03, 0.07)
            p.polygon([(bx + r * np.cos(a) * p.uniform(0.8, 1.1), by + 0.7 * r * np.sin(a) * p.uniform(0.8, 1.1)) for a in np.linspace(0, 5.6, 7)],
                      p.shade(p.vary((0.2, 0.18, 0.2))))


def snow(p: Painter) -> None:
    horizon = p.uniform(0.52, 0.62)
    sky(p, horizon - 0.04)
    if p.rng.random() < 0.4:
        peaks(p, horizon, p.uniform(0.16, 0.28), 0.7, 0.8, (0.62, 0.68, 0.78))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    white = np.array((0.93, 0.96, 1.0))
    lines = []
    for i, far in enumerate((0.5, 0.25, 0.0)):
        line = p.ridge(horizon + 0.01 + 0.12 * i, 0.045, 2)
        lines.append(line)
        p.area(down(line), p.shade(white, far * 0.5), p.shade(white * (0.72, 0.81, 0.95), far * 0.5))
        if p.has("pines") and i < 2:
            for x in p.rng.uniform(0, 1, 9 - 3 * i):
                conifer(p, x, height_at(line, x) + 0.02, p.uniform(0.12, 0.2) * (1 + 0.7 * i), 0.35 - 0.25 * i)
    if p.has("igloo"):
        x, y, r = p.uniform(0.25, 0.75), p.uniform(0.78, 0.88), p.uniform(0.1, 0.14)
        p.polygon([(x + r * np.cos(a), y + r * np.sin(a)) for a in np.linspace(-np.pi, 0, 24)], p.shade((0.84, 0.91, 0.98)))
        for t in (0.35, 0.68):
            w = r * np.sqrt(1 - t * t)
            p.line([(x - w, y - t * r), (x + w, y - t * r)], p.shade((0.62, 0.74, 0.88)), 0.005)
        p.polygon([(x + 0.36 * r * np.cos(a), y + 0.5 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
                  (1.0, 0.75, 0.35) if p.lit_windows else p.shade((0.25, 0.32, 0.45)), (0.8, 0.5, 0.15) if p.lit_windows else None)
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.76, 0.88), p.uniform(0.16, 0.22))
    if p.has("snowman"):
        x, y, r = p.uniform(0.15, 0.85), p.uniform(0.84, 0.94), p.uniform(0.045, 0.07)
        for dy, part in ((0, 1.0), (-1.5, 0.75), (-2.6, 0.52)):
            p.oval(x, y + dy * r, part * r * 1.08, part * r * 1.08, p.shade((0.68, 0.76, 0.88)))
            p.oval(x - 0.06 * r, y + dy * r, part * r, part * r, p.shade((0.99, 0.99, 1.0)))
        p.polygon([(x, y - 2.65 * r), (x + 0.7 * r, y - 2.5 * r), (x, y - 2.4 * r)], p.shade((1.0, 0.5, 0.1)))
        p.box(x - 0.5 * r, y - 3.7 * r, x + 0.5 * r, y - 3.0 * r, p.shade((0.12, 0.12, 0.15)))
        p.box(x - 0.8 * r, y - 3.1 * r, x + 0.8 * r, y - 2.95 * r, p.shade((0.12, 0.12, 0.15)))
    for _ in range(7):
        x, y = p.uniform(0, 1), p.uniform(horizon + 0.25, 1.0)
        p.line([(x, y), (x + p.uniform(0.05, 0.18), y + p.uniform(-0.012, 0.012))], p.shade(white * (0.75, 0.83, 0.95)), 0.006)
    if p.mood("glowing"):
        for _ in range(9):
            x, y, h = p.uniform(0.05, 0.95), p.uniform(horizon + 0.15, 0.97), p.uniform(0.05, 0.12)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.polygon([(x - 0.22 * h, y), (x - 0.2 * h, y - 0.6 * h), (x, y - h), (x + 0.2 * h, y - 0.6 * h), (x + 0.22 * h, y)], hue, hue * 0.7)


def night_sky(p: Painter) -> None:
    horizon = p.uniform(0.76, 0.88)
    sky(p, horizon)
    if p.mood("futuristic"):
        dome_city(p, horizon)
    dark = p.shade((0.06, 0.09, 0.14))
    form = p.rng.integers(3)
    line = p.ridge(horizon, 0.05, 3 if form else 5)
    p.area(down(p.ridge(horizon - 0.03, 0.04, 4)), mix(dark, p.haze, 0.5), mix(dark, p.haze, 0.3))
    p.area(down(line), dark, dark * 0.5)
    if p.has("pines"):
        for x in p.rng.uniform(0, 1, p.rng.integers(10, 22)):
            y, h = height_at(line, x) + 0.03, p.uniform(0.08, 0.2)
            for part in (0.0, 0.3, 0.55):
                w = h * 0.26 * (1 - part)
                p.polygon([(x - w, y - part * h), (x + w, y - part * h), (x, y - min(1, part + 0.5) * h)], dark * 0.7)


KINDS = {"forest": forest, "city": city, "mountains": mountains, "ocean": ocean, "desert": desert, "meadow": meadow, "lake": lake,
         "volcano": volcano, "snow": snow, "night sky": night_sky}


# ---------------------------------------------------------------- weather, moods and the finished picture


def weather(p: Painter) -> None:
    """What lies in the air before everything else: fog, rain, snowflakes, sparks of magic."""
    if p.scene.weather == "misty":
        rows = np.linspace(0, 1, p.side)
        center = p.uniform(0.5, 0.7)
        opacity = (0.22 if p.scene.kind != "snow" else 0.08) + 0.5 * np.exp(-(((rows - center) / 0.2) ** 2))
        bands = p.rng.uniform(0.75, 1.25, (7, 5)).astype(np.float32)
        bands = np.asarray(Image.fromarray(bands).resize((p.side, p.side), Image.Resampling.BICUBIC))
        mask = np.clip(255 * opacity[:, None] * bands, 0, 235).astype(np.uint8)
        p.veil(Image.fromarray(mask), mix(p.haze, p.ambient, 0.25))
    if p.scene.weather in ("rain", "storm"):
        mask = Image.new("L", (p.side, p.side))
        pen, slant = ImageDraw.Draw(mask), p.uniform(-0.25, 0.25)
        for _ in range(190):
            x, y, length = p.uniform(-0.1, 1.1) * p.side, p.uniform(-0.1, 1) * p.side, p.uniform(0.04, 0.09) * p.side
            pen.line([(x, y), (x + slant * length, y + length)], fill=int(p.uniform(70, 150)), width=max(1, round(0.0042 * p.side)))
        p.image.paste(_rgb(mix(p.haze, WHITE, 0.5)), (0, 0), mask)
    if p.scene.weather == "snowfall":
        for _ in range(150):
            x, y, r = p.uniform(0, 1), p.uniform(0, 1), p.uniform(0.002, 0.0075)
            p.oval(x, y, r, r, mix(p.shade(WHITE), WHITE, 0.35))
    if p.mood("magical"):
        for _ in range(p.rng.integers(28, 46)):
            x, y, r = p.uniform(0, 1), p.uniform(0.2, 1), p.uniform(0.003, 0.008)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.oval(x, y, r, r, mix(hue, WHITE, 0.5), hue * 0.9)
    if p.has("fireflies"):
        for _ in range(26):
            x, y = p.uniform(0, 1), p.uniform(0.45, 0.95)
            p.oval(x, y, 0.006, 0.006, (1.0, 0.95, 0.5), (0.9, 0.9, 0.25))


def grade(p: Painter, pixels: np.ndarray) -> np.ndarray:
    """The moods that colour a whole picture. `pixels`: float RGB in 0..1, [size, size, 3]."""
    gray = pixels @ np.array((0.299, 0.587, 0.114))
    if p.mood("vibrant"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 1.35
        pixels = 0.5 + (pixels - 0.5) * 1.08 + 0.03
    if p.mood("serene"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 0.8
        pixels = 0.62 + (pixels - 0.62) * 0.8 if p.scene.time != "night" else 0.25 + (pixels - 0.25) * 0.85
    if p.mood("dreamy"):
        rows = np.linspace(0, 1, p.size)[:, None, None]
        tint = np.array((0.98, 0.76, 0.90)) * (1 - rows) + np.array((0.80, 0.84, 1.0)) * rows
        strength = 0.42 if p.scene.time != "night" else 0.25
        pixels = pixels * (1 - strength) + tint * strength
    if p.mood("dark"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 0.45
        y, x = np.mgrid[-1 : 1 : p.size * 1j, -1 : 1 : p.size * 1j]
        pixels = pixels * (np.array((0.58, 0.60, 0.66)) if p.scene.time != "night" else np.array((0.82, 0.84, 0.90))) * (1 - 0.38 * np.clip(x * x + y * y, 0, 1.6) / 1.6)[..., None]
    if p.mood("monochrome"):
        pixels = np.repeat(0.5 + (gray[..., None] - 0.5) * 1.15, 3, axis=-1)
    if p.mood("vintage"):
        pixels = 0.12 + 0.8 * gray[..., None] * np.array((1.05, 0.90, 0.68)) + 0.06 * pixels
    return pixels.clip(0, 1)


def paint(scene: Scene, rng: np.random.Generator, size: int) -> Image.Image:
    """`scene` as an RGB image of `size` × `size` pixels; `rng` decides what the scene leaves open."""
    p = Painter(scene, rng, size)
    KINDS[scene.kind](p)
    weather(p)
    light = p.light.reduce(2)
    glow = 1.0 - np.asarray(light, np.float32) / 255 * 0.4
    for radius, strength in ((0.012, 0.9), (0.045, 0.9)):
        blurred = light.filter(ImageFilter.GaussianBlur(radius * size))
        glow *= 1.0 - (np.asarray(blurred, np.float32) / 255 * strength).clip(0, 1)
    pixels = 1.0 - (1.0 - np.asarray(p.image.reduce(2), np.float32) / 255) * glow
    return Image.fromarray((255 * grade(p, pixels) + 0.5).astype(np.uint8))
