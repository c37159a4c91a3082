"""A cone with lava, sparks and smoke, or asleep."""

import numpy as np

from training.world.kind import Kind
from training.world.painter import Painter, down, mix
from training.world.scenery import dome_city, way
from training.world.sky import sky
from training.world.things import ROCKS, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.62, 0.82)
    sky(p, horizon - 0.05)
    x, top = p.uniform(0.24, 0.76), p.uniform(0.24, 0.46)
    half = (horizon - top) * p.uniform(0.85, 1.25)
    crater = half * p.uniform(0.15, 0.24)
    far_hills = p.ridge(horizon - p.uniform(0.05, 0.16), p.uniform(0.03, 0.08), 5)
    p.area(down(far_hills), p.shade((0.35, 0.32, 0.36), 0.8), p.shade((0.3, 0.28, 0.3), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.05)
    fire = (1.0, 0.42, 0.08)
    if p.has("smoke"):
        for t in np.linspace(1, 0, 24):
            r = 0.035 + 0.1 * t
            for _ in range(2):
                gray = np.full(3, p.uniform(0.3, 0.55)) * (0.45 + 0.55 * np.mean(p.ambient))
                gray = mix(gray, fire, 0.5 * max(0.0, 0.4 - t) if p.has("lava") else 0.0)
                p.oval(
                    x + 0.1 * np.sin(3 * t + p.sun[0] * 6) * t + p.uniform(-0.05, 0.05) * (0.3 + t),
                    top - 0.36 * t,
                    r,
                    r * 0.8,
                    gray,
                )
    steps = np.linspace(0, 1, 12)
    left = [
        (x - crater - (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t)
        for t in steps
    ]
    right = [
        (x + crater + (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t)
        for t in steps
    ]
    rock = p.vary((0.36, 0.28, 0.28), 0.04)
    p.area([*left, *reversed(right)], p.shade(rock, 0.15), p.shade(rock * 0.8, 0.3))
    p.polygon([(x + 0.3 * crater, top), *right, (x + 0.25 * half, horizon + 0.05)], p.shade(rock * 0.72, 0.2))
    if p.has("lava"):
        bright = p.uniform(0.7, 1.0)
        for _ in range(p.rng.integers(5, 10)):  # sparks
            a, r = p.uniform(-2.4, -0.7), p.uniform(0.05, 0.22)
            p.oval(x + r * np.cos(a), top + r * np.sin(a), 0.010, 0.010, (1.0, 0.7, 0.2), (1.0, 0.5, 0.1))
        p.polygon(
            [(x - 0.6 * crater, top), (x, top - p.uniform(0.05, 0.14)), (x + 0.6 * crater, top)],
            (1.0, 0.6, 0.15),
            (1.0, 0.45, 0.1),
        )
        p.oval(x, top, crater, 0.022, fire, np.array(fire) * bright)
        for _ in range(p.rng.integers(2, 5)):
            px, py, points = x + p.uniform(-0.6, 0.6) * crater, top, []
            drift = (px - x) / crater
            while py < horizon + 0.04:
                points.append((px, py))
                px, py = px + drift * p.uniform(0.0, 0.045) + p.uniform(-0.012, 0.012), py + 0.03
            p.line(points, fire, p.uniform(0.024, 0.036), np.array(fire) * bright)
            p.line(points, (1.0, 0.8, 0.3), 0.011, (1.0, 0.6, 0.2))
    else:
        p.oval(x, top, crater, 0.022, p.shade(rock * 0.5))
    ground = p.vary(
        p.pick(((0.24, 0.22, 0.23), (0.28, 0.34, 0.20), (0.40, 0.30, 0.24)))
        if not p.mood("vibrant")
        else (0.40, 0.66, 0.24),
        0.03,
    )
    p.area(down(p.ridge(horizon + 0.02, 0.025)), p.shade(ground, 0.15), p.shade(ground * 0.75))
    if p.has("lava") and p.rng.random() < 0.5:
        way(p, (x, horizon + 0.03), fire, (0.5, 0.12, 0.05), 0.1, np.array(fire) * 0.4)
    if p.has("rocks"):
        for _ in range(p.rng.integers(4, 8)):
            bx, by, r = p.uniform(0, 1), p.uniform(horizon + 0.1, 1.0), p.uniform(0.03, 0.07)
            p.polygon(
                [
                    (bx + r * np.cos(a) * p.uniform(0.8, 1.1), by + 0.7 * r * np.sin(a) * p.uniform(0.8, 1.1))
                    for a in np.linspace(0, 5.6, 7)
                ],
                p.shade(p.vary((0.2, 0.18, 0.2))),
            )


VOLCANO = Kind(
    name="volcano",
    number=7,
    paint=paint,
    nouns="volcano|volcano|volcanic landscape|volcanic mountain",
    nouns_with={
        "lava": "erupting volcano|volcano erupting|volcano eruption|erupting volcano|active volcano",
        "smoke": "smoking volcano|erupting volcano",
    },
    parts="a crater|black rock|an eruption",
    glowing="lava",
    things={
        Thing("lava", "lava|flowing lava|red lava|rivers of lava|hot lava"): 0.7,
        Thing("smoke", "smoke|a cloud of smoke|ash"): 0.7,
        ROCKS: 0.2,
    },
    never=("balloons",),
)
