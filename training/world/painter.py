"""The painter of scenes: a picture in the making, its palette and the marks that it can make.

Coordinates are those of the unit square, x to the right and y down. Colors are RGB in 0..1. Everything is
drawn at twice the size and halved at the end, which smooths the edges. Beside the picture there is a second
one that holds only the light that things give off; nearer things cover it, and at the end it is blurred and
screened onto the picture, so that lamps, lava and magic trees glow.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from training.world.kind import Kind
from training.world.scene import Scene

Color = Sequence[float]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

# Zenith, middle and horizon of the sky, the tint of everything that the sky lights, and the sun's color.
SKIES = {
    "day": (
        (0.20, 0.50, 0.92),
        (0.48, 0.74, 0.97),
        (0.84, 0.93, 0.99),
        (1.00, 1.00, 0.98),
        (1.0, 0.95, 0.62),
    ),
    "sunrise": (
        (0.50, 0.62, 0.90),
        (0.93, 0.75, 0.80),
        (1.00, 0.90, 0.66),
        (1.00, 0.90, 0.84),
        (1.0, 0.93, 0.70),
    ),
    "sunset": (
        (0.27, 0.18, 0.46),
        (0.86, 0.34, 0.38),
        (1.00, 0.66, 0.24),
        (0.84, 0.58, 0.52),
        (1.0, 0.78, 0.35),
    ),
    "night": (
        (0.03, 0.05, 0.18),
        (0.07, 0.12, 0.33),
        (0.16, 0.25, 0.50),
        (0.36, 0.45, 0.70),
        (0.95, 0.95, 0.85),
    ),
}
# The gray that weather mixes into the sky, how much of it, and how far things fade with distance.
WEATHERS = {
    "clear": ((1.0, 1.0, 1.0), 0.0, 1.0),
    "cloudy": ((0.74, 0.77, 0.81), 0.55, 1.1),
    "misty": ((0.86, 0.88, 0.90), 0.66, 1.5),
    "rain": ((0.48, 0.53, 0.60), 0.72, 1.3),
    "storm": ((0.27, 0.29, 0.37), 0.8, 1.1),
    "snowfall": ((0.85, 0.88, 0.93), 0.60, 1.4),
}
NAMED = {
    "red": (0.84, 0.16, 0.15),
    "orange": (0.96, 0.52, 0.12),
    "yellow": (0.98, 0.84, 0.20),
    "pink": (0.97, 0.52, 0.72),
    "purple": (0.58, 0.28, 0.78),
    "blue": (0.22, 0.42, 0.92),
    "white": (0.97, 0.97, 0.95),
    "green": (0.30, 0.74, 0.50),
}
VIBRANT = (
    (0.95, 0.25, 0.30),
    (1.00, 0.62, 0.10),
    (0.98, 0.85, 0.15),
    (0.25, 0.75, 0.30),
    (0.15, 0.62, 0.90),
    (0.70, 0.30, 0.85),
    (0.98, 0.45, 0.70),
)
GLOWS = ((0.30, 0.95, 1.00), (0.45, 1.00, 0.65), (1.00, 0.55, 0.95), (1.00, 0.85, 0.35), (0.60, 0.55, 1.00))
NEONS = ((0.10, 0.95, 1.00), (1.00, 0.20, 0.80), (0.60, 0.35, 1.00), (0.25, 1.00, 0.75), (1.00, 0.75, 0.20))


def mix(one: Color, other: Color, share: float) -> np.ndarray:
    """`one` with a `share` (0..1) of `other`."""
    share = min(max(share, 0.0), 1.0)
    return np.asarray(one, float) * (1 - share) + np.asarray(other, float) * share


def rgb(color: Color) -> tuple[int, int, int]:
    return tuple(int(255 * min(max(float(value), 0.0), 1.0) + 0.5) for value in color)


class Painter:
    """A picture in the making: `image` and `light`, both twice the final size, and the palette of `scene`."""

    def __init__(self, scene: Scene, kind: Kind, rng: np.random.Generator, size: int):
        self.scene, self.kind, self.rng, self.size, self.side = scene, kind, rng, size, 2 * size
        self.image = Image.new("RGB", (self.side, self.side))
        self.light = Image.new("RGB", (self.side, self.side))
        self._pens = ImageDraw.Draw(self.image), ImageDraw.Draw(self.light)

        *sky, ambient, self.sun_color = SKIES[scene.time]
        gray, share, self.fading = WEATHERS[scene.weather]
        brightness = {"day": 1.0, "sunrise": 0.95, "sunset": 0.85, "night": 0.22}[scene.time]
        clouded = mix(
            np.asarray(gray) * brightness,
            sky[2],
            {"day": 0.1, "sunrise": 0.4, "sunset": 0.5, "night": 0.3}[scene.time],
        )
        if scene.sky_color:
            tone = mix(NAMED[scene.sky_color], BLACK, 0.6 if scene.time == "night" else 0.0)
            sky = [mix(tone, BLACK, 0.2), tone, mix(tone, WHITE, 0.1 if scene.time == "night" else 0.45)]
        sky = [mix(color, clouded, share) for color in sky]
        ambient = mix(
            ambient, np.full(3, np.mean(ambient) * (0.75 if scene.weather == "storm" else 0.95)), share * 0.8
        )
        if "magical" in scene.moods:
            sky = [
                mix(color, hue, 0.5)
                for color, hue in zip(
                    sky, ((0.22, 0.08, 0.50), (0.45, 0.20, 0.72), (0.40, 0.70, 0.85)), strict=True
                )
            ]
            ambient = ambient * (0.82, 0.78, 1.05)
        if "glowing" in scene.moods:  # glowing things need some dusk around them
            sky = [mix(color, (0.03, 0.06, 0.16), 0.35) for color in sky]
            ambient = np.asarray(ambient) * 0.72
        if "futuristic" in scene.moods:
            sky = [
                mix(color, hue, 0.3)
                for color, hue in zip(
                    sky, ((0.10, 0.10, 0.40), (0.40, 0.25, 0.70), (0.30, 0.80, 0.95)), strict=True
                )
            ]
        # No two days are as bright; nights, of which less is to be seen, differ more.
        light = float(
            rng.uniform(0.85, 1.5) if scene.time == "night" else np.clip(rng.normal(1.0, 0.08), 0.82, 1.14)
        )
        hue = rng.normal(0, 0.02, 3)
        self.sky_colors = [np.clip(np.asarray(color) * light + hue, 0, 1) for color in sky]
        self.ambient, self.haze = (
            np.clip(np.asarray(ambient) * light, 0, 1),
            mix(self.sky_colors[2], self.sky_colors[1], 0.25),
        )
        self.snowy = kind.snowy or scene.season == "winter"
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

    def shade(self, color: Color, far: float = 0.0, light: Color | None = None) -> np.ndarray:
        """`color` as the sky (or another `light`) lights it, faded into the haze: `far` is 0 here and 1 at the horizon."""
        light = self.ambient if light is None else light
        return mix(np.asarray(color, float) * light, self.haze, far * 0.72 * self.fading)

    def vary(self, color: Color, amount: float = 0.05) -> np.ndarray:
        return np.clip(
            np.asarray(color, float) + self.rng.normal(0, amount / 2, 3) + self.rng.normal(0, amount / 2),
            0,
            1,
        )

    # Marks: each covers what lies behind, its light included, and may give off light itself.

    def _draw(self, mark: str, xy, color: Color, glow: Color | None, **options) -> None:
        for pen, fill in zip(self._pens, (color, BLACK if glow is None else glow), strict=True):
            getattr(pen, mark)(xy, fill=rgb(fill), **options)

    def polygon(self, points: Iterable[tuple[float, float]], color: Color, glow: Color | None = None) -> None:
        self._draw("polygon", [(x * self.side, y * self.side) for x, y in points], color, glow)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, color: Color, glow: Color | None = None
    ) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, glow)

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color, glow: Color | None = None) -> None:
        s = self.side
        self._draw("ellipse", [(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], color, glow)

    def line(
        self, points: Iterable[tuple[float, float]], color: Color, width: float, glow: Color | None = None
    ) -> None:
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
        self.image.paste(rgb(color), (0, 0), mask)
        self.light.paste((0, 0, 0), (0, 0), mask)

    def ridge(
        self, y: float, height: float, octaves: int = 5, roughness: float = 0.5, count: int = 97
    ) -> list[tuple[float, float]]:
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
        return list(zip(xs, y + height * ys / (1 + roughness), strict=True))


def gradient(colors: Sequence[Color], width: int, height: int) -> Image.Image:
    """An image shaded from the first color at the top to the last at the bottom."""
    stops = np.linspace(0, 1, len(colors))
    rows = np.stack(
        [np.interp(np.linspace(0, 1, height), stops, [c[i] for c in colors]) for i in range(3)], -1
    )
    column = Image.fromarray((255 * rows.clip(0, 1) + 0.5).astype(np.uint8)[:, None])
    return column.resize((width, height), Image.Resampling.NEAREST)


def down(line: list[tuple[float, float]], bottom: float = 1.02) -> list[tuple[float, float]]:
    """The area below a line."""
    return [*line, (line[-1][0], bottom), (line[0][0], bottom)]


def height_at(line: list[tuple[float, float]], x: float) -> float:
    return float(np.interp(x, [p[0] for p in line], [p[1] for p in line]))
