"""Dunes with a lit and a shaded side, with cacti, pyramids, rocks or an oasis."""

import numpy as np

from training.world.kind import Kind
from training.world.painter import Painter, down, mix
from training.world.scenery import cactus, dome_city, palm
from training.world.sky import sky
from training.world.things import PALMS, ROCKS, Thing


def paint(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.38, 0.66), p.uniform(0.4, 2.2), p.uniform(0.09, 0.15)
    sky(p, horizon)
    sand = p.vary(
        p.pick(
            (
                (0.90, 0.70, 0.40),
                (0.92, 0.62, 0.34),
                (0.86, 0.74, 0.50),
                (0.78, 0.46, 0.28),
                (0.96, 0.87, 0.70),
            )
        )
        if not p.mood("vibrant")
        else (0.98, 0.55, 0.20),
        0.03,
    )
    if p.mood("futuristic"):
        dome_city(p, horizon)
    if p.has("rocks"):  # table mountains
        for _ in range(p.rng.integers(2, 4)):
            x, w, h = p.uniform(0.05, 0.95), p.uniform(0.06, 0.13), p.uniform(0.1, 0.22)
            color = p.shade((0.70, 0.36, 0.22), 0.4)
            p.polygon(
                [
                    (x - 1.5 * w, horizon + 0.05),
                    (x - w, horizon - h),
                    (x + w, horizon - h * 0.97),
                    (x + 1.4 * w, horizon + 0.05),
                ],
                color,
            )
            p.polygon(
                [
                    (x + 0.3 * w, horizon - h),
                    (x + w, horizon - h * 0.97),
                    (x + 1.4 * w, horizon + 0.05),
                    (x + 0.5 * w, horizon + 0.05),
                ],
                color * 0.82,
            )
    if p.has("pyramids"):
        for i in range(p.rng.integers(1, 4)):
            x, h = p.uniform(0.15, 0.85), p.uniform(0.2, 0.34)
            color = p.shade(sand * (1.0, 0.94, 0.8), 0.2 - 0.08 * i)
            p.polygon([(x, horizon - h), (x - 1.1 * h, horizon + 0.04), (x + 0.3 * h, horizon + 0.05)], color)
            p.polygon(
                [(x, horizon - h), (x + 0.3 * h, horizon + 0.05), (x + 1.1 * h, horizon + 0.04)], color * 0.75
            )
    for i, far in enumerate(
        (0.6, 0.35, 0.15, 0.0)
    ):  # dunes: a lit side and a shaded side under a curved crest
        line = p.ridge(horizon + 0.02 + apart * i, swell * (0.035 + 0.012 * i), 2)
        p.area(down(line), p.shade(sand * 1.05, far), p.shade(sand * 0.86, far * 0.7))
        top = min(range(8, 90), key=lambda j: line[j][1])
        end = min(96, top + p.rng.integers(22, 40))
        crest, width = line[top:end], p.uniform(0.05, 0.11)
        foot = [
            (x - 0.25 * width * t, y + width * np.sin(np.pi * t) ** 0.7 * (1 - t) * 1.6)
            for t, (x, y) in zip(np.linspace(0, 1, len(crest)), crest, strict=True)
        ]
        p.polygon([*crest, *reversed(foot)], p.shade(sand * 0.74, far))
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
            p.polygon(
                [
                    (x - 0.25 * h, y),
                    (x - 0.2 * h, y - 0.6 * h),
                    (x, y - h),
                    (x + 0.2 * h, y - 0.6 * h),
                    (x + 0.25 * h, y),
                ],
                hue,
                hue * 0.7,
            )


DESERT = Kind(
    name="desert",
    number=4,
    paint=paint,
    nouns="desert|desert|desert landscape|sand dunes|dunes|sandy desert|sahara",
    nouns_with={"palms": "oasis|desert oasis"},
    parts="sand|sand dunes|golden sand|hot sand",
    glowing="crystals",
    things={
        Thing("cacti", "cacti|cactuses|a cactus|cactus plants"): 0.35,
        Thing("pyramids", "pyramids|a pyramid|ancient pyramids"): 0.28,
        PALMS: 0.15,
        ROCKS: 0.2,
    },
    displaced={"rocks": "pyramids"},
    never=("rain",),
)
