"""Hills under snow, with pines, a house, an igloo or a snowman."""

import numpy as np

from training.world.kind import Kind
from training.world.painter import Painter, down, height_at
from training.world.scenery import conifer, dome_city, house, peaks, snow_shade
from training.world.sky import sky
from training.world.things import AURORA, HOUSE, PINES, Thing


def paint(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.42, 0.68), p.uniform(0.4, 2.2), p.uniform(0.08, 0.14)
    sky(p, horizon - 0.04)
    if p.rng.random() < (0.4 if p.has("pines") or p.has("house") else 0.8):
        peaks(p, horizon, p.uniform(0.2, 0.3), 0.6, 0.7, (0.55, 0.62, 0.74))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    white = np.array((0.93, 0.96, 1.0))
    lines = []
    for i, far in enumerate((0.5, 0.25, 0.0)):
        line = p.ridge(horizon + 0.01 + apart * i, swell * 0.04, 2)
        lines.append(line)
        p.area(
            down(line), snow_shade(p, white, far * 0.5), snow_shade(p, white * (0.66, 0.78, 0.96), far * 0.5)
        )
        if p.has("pines") and i < 2:
            for x in p.rng.uniform(0, 1, 6 - 2 * i):
                conifer(
                    p, x, height_at(line, x) + 0.02, p.uniform(0.17, 0.25) * (1 + 0.6 * i), 0.35 - 0.25 * i
                )
    if p.has("igloo"):
        x, y, r = p.uniform(0.25, 0.75), p.uniform(0.78, 0.88), p.uniform(0.14, 0.19)
        p.polygon(
            [(x + r * np.cos(a), y + r * np.sin(a)) for a in np.linspace(-np.pi, 0, 24)],
            p.shade((0.66, 0.77, 0.91)),
        )
        for t in (0.35, 0.68):
            w = r * np.sqrt(1 - t * t)
            p.line([(x - w, y - t * r), (x + w, y - t * r)], p.shade((0.5, 0.62, 0.8)), 0.008)
        p.polygon(
            [(x + 0.36 * r * np.cos(a), y + 0.5 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
            (1.0, 0.75, 0.35) if p.lit_windows else p.shade((0.25, 0.32, 0.45)),
            (0.8, 0.5, 0.15) if p.lit_windows else None,
        )
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.78, 0.9), p.uniform(0.22, 0.3))
    if p.has("snowman"):
        x, y, r = p.uniform(0.15, 0.85), p.uniform(0.86, 0.94), p.uniform(0.085, 0.115)
        for dy, part in ((0, 1.0), (-1.5, 0.75), (-2.6, 0.52)):
            p.oval(x, y + dy * r, part * r * 1.08, part * r * 1.08, p.shade((0.68, 0.76, 0.88)))
            p.oval(x - 0.06 * r, y + dy * r, part * r, part * r, p.shade((0.99, 0.99, 1.0)))
        p.polygon([(x, y - 2.65 * r), (x + 0.7 * r, y - 2.5 * r), (x, y - 2.4 * r)], p.shade((1.0, 0.5, 0.1)))
        p.box(x - 0.5 * r, y - 3.7 * r, x + 0.5 * r, y - 3.0 * r, p.shade((0.12, 0.12, 0.15)))
        p.box(x - 0.8 * r, y - 3.1 * r, x + 0.8 * r, y - 2.95 * r, p.shade((0.12, 0.12, 0.15)))
    for _ in range(7):
        x, y = p.uniform(0, 1), p.uniform(horizon + 0.25, 1.0)
        p.line(
            [(x, y), (x + p.uniform(0.05, 0.18), y + p.uniform(-0.012, 0.012))],
            snow_shade(p, white * (0.7, 0.8, 0.96)),
            0.008,
        )
    if p.mood("glowing"):
        for _ in range(9):
            x, y, h = p.uniform(0.05, 0.95), p.uniform(horizon + 0.15, 0.97), p.uniform(0.05, 0.12)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.polygon(
                [
                    (x - 0.22 * h, y),
                    (x - 0.2 * h, y - 0.6 * h),
                    (x, y - h),
                    (x + 0.2 * h, y - 0.6 * h),
                    (x + 0.22 * h, y),
                ],
                hue,
                hue * 0.7,
            )


SNOW = Kind(
    name="snow",
    number=8,
    paint=paint,
    nouns="snowy landscape|snow landscape|snow|snowy hills|snow-covered field|winter wonderland|tundra|"
    "arctic landscape|frozen landscape|winter landscape",
    parts="deep snow|white snow|snow everywhere|snowdrifts",
    glowing="crystals",
    things={
        PINES: 0.65,
        HOUSE: 0.25,
        Thing("igloo", "an igloo"): 0.18,
        Thing("snowman", "a snowman"): 0.25,
    },
    things_of_clear_nights={AURORA: 0.3},
    snowy=True,
)
