"""Two ranges of peaks behind a foreground with pines, a river, a castle or a waterfall."""

import numpy as np

from training.world.kind import EVEN_SEASONS, Kind
from training.world.painter import VIBRANT, Painter, down, mix
from training.world.scenery import conifer, dome_city, ground_color, house, peaks, way
from training.world.sky import sky
from training.world.things import HOUSE, PINES, RIVER, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.62, 0.72)
    sky(p, horizon - 0.1)
    winter = p.scene.season == "winter"
    rock = p.vary(
        p.pick(VIBRANT)
        if p.mood("vibrant")
        else p.pick(((0.45, 0.46, 0.54), (0.50, 0.44, 0.42), (0.38, 0.45, 0.55))),
        0.05,
    )
    cap = 0.6 if winter else p.pick((0.2, 0.3, 0.42))
    peaks(p, horizon, p.uniform(0.32, 0.42), 0.75, cap, rock)
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    peaks(p, horizon + 0.06, p.uniform(0.36, 0.5), 0.3, cap, rock)
    if p.has("waterfall"):
        x, top = p.uniform(0.35, 0.65), horizon - 0.2
        p.polygon(
            [(x - 0.025, top), (x + 0.025, top), (x + 0.055, horizon + 0.1), (x - 0.055, horizon + 0.1)],
            p.shade((0.85, 0.94, 1.0)),
        )
        for dx in (-0.016, 0.01):
            p.line([(x + dx, top + 0.02), (x + 2 * dx, horizon + 0.1)], p.shade((0.6, 0.8, 0.95)), 0.008)
    if p.has("castle"):
        x, y, color = p.uniform(0.25, 0.75), horizon + 0.09, p.shade((0.80, 0.76, 0.70), 0.05)
        for dx, w, h in ((-0.15, 0.07, 0.25), (0.0, 0.1, 0.36), (0.15, 0.07, 0.28)):
            p.box(x + dx - w / 2, y - h, x + dx + w / 2, y, color)
            p.polygon(
                [(x + dx - 0.7 * w, y - h), (x + dx + 0.7 * w, y - h), (x + dx, y - h - 1.6 * w)],
                p.shade((0.42, 0.24, 0.55)),
            )
            p.box(
                x + dx - 0.012,
                y - h + 0.04,
                x + dx + 0.012,
                y - h + 0.09,
                (1, 0.85, 0.4) if p.lit_windows else color * 0.5,
                (0.9, 0.6, 0.2) if p.lit_windows else None,
            )
        p.box(x - 0.16, y - 0.15, x + 0.16, y, color * 0.92)
        p.box(x - 0.03, y - 0.08, x + 0.03, y, color * 0.45)
    ground = ground_color(p)
    line = p.ridge(horizon + 0.09, 0.035, 3)
    p.area(down(line), p.shade(ground * 0.9, 0.3), p.shade(ground * 0.75))
    if p.has("river"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5),
            p.shade(ground * 0.6),
            0.13,
        )
    if p.has("pines"):
        for y in np.sort(p.rng.uniform(0.06, 0.3, p.rng.integers(5, 9))):
            conifer(p, p.uniform(0, 1), horizon + 0.03 + y, 0.16 + 0.6 * y * p.uniform(0.8, 1.2), 0.3 - y)
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.88, 0.95), p.uniform(0.2, 0.27))


MOUNTAINS = Kind(
    name="mountains",
    number=2,
    paint=paint,
    nouns="mountains|mountains|mountain range|mountain landscape|mountain peaks|mountain|alps|mountain valley",
    parts="snow-capped peaks|snow on the peaks|snowy peaks|rocky cliffs|high peaks",
    glowing="peaks",
    adjectives="snow-capped|snow-capped|snow capped|snowcapped|snowy|snow-covered|rocky|high",
    things={
        Thing("waterfall", "a waterfall|waterfalls"): 0.18,
        PINES: 0.5,
        HOUSE: 0.15,
        Thing("castle", "a castle|an old castle"): 0.18,
        RIVER: 0.12,
    },
    seasons=EVEN_SEASONS,
)
