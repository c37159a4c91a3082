"""The sea, calm or rough, with ships, an island, a lighthouse or a beach."""

import numpy as np

from training.world.kind import Kind
from training.world.painter import Painter, down, mix
from training.world.scenery import dome_city, palm, sailboat, stroke_water
from training.world.sky import sky
from training.world.things import PALMS, SAILBOAT, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.42 if p.has("lighthouse") else 0.32, 0.66)
    sky(p, horizon)
    deep = (
        p.pick(((0.05, 0.30, 0.52), (0.04, 0.40, 0.55), (0.08, 0.24, 0.48)))
        if not p.mood("vibrant")
        else (0.0, 0.55, 0.75)
    )
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.03)
    if p.has("island"):
        x, w = p.uniform(0.15, 0.85), p.uniform(0.1, 0.18)
        p.polygon(
            [(x + w * np.cos(a), horizon + 0.01 + 0.45 * w * np.sin(a)) for a in np.linspace(-np.pi, 0, 20)],
            p.shade((0.25, 0.42, 0.25), 0.4),
        )
    p.area(
        down([(-0.02, horizon), (1.02, horizon)]),
        mix(p.shade(deep, 0.35), p.sky_colors[2], 0.35),
        p.shade(deep),
    )
    stroke_water(p, horizon + 0.01, 1.0)
    rough = p.scene.weather in ("storm", "rain") or p.rng.random() < 0.4
    if rough and not p.mood("serene"):
        for y in np.linspace(horizon + 0.12, 0.95, 4):  # waves with foam
            t = (y - horizon) / (1 - horizon)
            crest = [
                (x, y - 0.03 * t * abs(np.sin(7 * x / (0.4 + t) + 5 * y * 9)))
                for x in np.linspace(-0.02, 1.02, 60)
            ]
            glow = np.array(p.glow_hues[0]) * 0.5 if p.mood("glowing") else None
            p.area(
                down(crest, y + 0.08 * t),
                p.shade(np.array(deep) * 1.15, 0.3 * (1 - t)),
                p.shade(deep, 0.2 * (1 - t)),
            )
            p.line(
                crest,
                p.shade((0.88, 0.95, 1.0), 0.2) if glow is None else p.glow_hues[0],
                0.006 + 0.008 * t,
                glow,
            )
    if p.has("ship"):
        x, y, w = p.uniform(0.25, 0.75), horizon + 0.06, p.uniform(0.15, 0.2)
        p.polygon(
            [(x - w, y - 0.05), (x + w * 1.1, y - 0.05), (x + 0.85 * w, y + 0.035), (x - 0.9 * w, y + 0.035)],
            p.shade((0.55, 0.15, 0.14), 0.1),
        )
        p.box(x - 0.7 * w, y - 0.13, x - 0.1 * w, y - 0.05, p.shade((0.9, 0.9, 0.9), 0.1))
        p.box(x - 0.52 * w, y - 0.19, x - 0.34 * w, y - 0.12, p.shade((0.2, 0.2, 0.25), 0.1))
    if p.has("sailboat"):
        for _ in range(p.rng.integers(1, 3)):
            y = p.uniform(horizon + 0.08, 0.78)
            sailboat(p, p.uniform(0.15, 0.85), y, 0.2 + 0.3 * (y - horizon))
    if p.has("lighthouse"):
        x, y = p.pick((0.16, 0.22, 0.78, 0.84)), horizon + 0.16
        p.polygon(
            [
                (x - 0.24, y + 0.05),
                (x - 0.13, y - 0.05),
                (x, y - 0.08),
                (x + 0.13, y - 0.05),
                (x + 0.24, y + 0.05),
            ],
            p.shade((0.36, 0.34, 0.34)),
        )
        for i in range(4):
            w0, w1 = 0.056 - 0.007 * i, 0.049 - 0.007 * i
            y0, y1 = y - 0.05 - 0.095 * i, y - 0.145 - 0.095 * i
            p.polygon(
                [(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)],
                p.shade((0.95, 0.95, 0.93) if i % 2 else (0.85, 0.18, 0.15)),
            )
        lamp = (1.0, 0.92, 0.55)
        p.box(x - 0.026, y - 0.485, x + 0.026, y - 0.43, lamp, lamp if p.lit_windows else None)
        p.polygon([(x - 0.038, y - 0.485), (x + 0.038, y - 0.485), (x, y - 0.54)], p.shade((0.7, 0.12, 0.1)))
    if p.has("beach") or p.has("palms"):
        shore = p.ridge(p.uniform(0.76, 0.88), 0.03, 2)
        p.area(
            down([(x, y - 0.015) for x, y in shore]), p.shade((0.93, 0.97, 0.98)), p.shade((0.93, 0.97, 0.98))
        )
        p.area(down(shore), p.shade((0.93, 0.83, 0.60)), p.shade((0.82, 0.68, 0.45)))
    if p.has("palms"):
        for _ in range(p.rng.integers(1, 4)):
            palm(
                p,
                p.pick((p.uniform(0.05, 0.25), p.uniform(0.75, 0.95))),
                p.uniform(0.86, 0.94),
                p.uniform(0.34, 0.48),
            )


OCEAN = Kind(
    name="ocean",
    number=3,
    paint=paint,
    nouns="ocean|ocean|sea|seascape|ocean view|coast|waves of the sea|seaside",
    nouns_with={"beach": "beach|sandy beach|shore|tropical beach|bay"},
    parts="waves|water|blue water|open water",
    glowing="waves",
    things={
        SAILBOAT: 0.3,
        Thing("ship", "a ship|a big ship|a cargo ship", where="water"): 0.14,
        Thing("lighthouse", "a lighthouse"): 0.2,
        Thing("beach", "a beach|a sandy beach|sand in front"): 0.25,
        PALMS: 0.15,
        Thing("island", "an island|a small island"): 0.15,
    },
)
