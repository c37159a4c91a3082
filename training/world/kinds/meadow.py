"""Rolling hills of grass, with flowers, a tree, a house, a windmill or a fence."""

import numpy as np

from training.world.kind import Kind
from training.world.painter import Painter, down, height_at, mix
from training.world.scenery import dome_city, flowers, ground_color, house, round_tree, way
from training.world.sky import sky
from training.world.things import FLOWERS, HOUSE, PATH, Thing


def paint(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.38, 0.64), p.uniform(0.4, 2.2), p.uniform(0.08, 0.14)
    sky(p, horizon)
    ground = ground_color(p) if not p.mood("vibrant") else p.vary((0.45, 0.85, 0.20), 0.04)
    p.area(
        down(p.ridge(horizon - p.uniform(0.01, 0.1), p.uniform(0.02, 0.07), 3)),
        p.shade(mix(ground, (0.2, 0.4, 0.5), 0.3), 0.85),
        p.shade(ground, 0.7),
    )
    if p.mood("futuristic"):
        dome_city(p, horizon)
    hills = []
    for i, far in enumerate((0.6, 0.35, 0.1)):
        line = p.ridge(horizon + 0.03 + apart * i, swell * 0.045, 2)
        hills.append(line)
        p.area(
            down(line),
            p.shade(ground * (1.06 - 0.06 * i), far),
            p.shade(ground * (0.86 - 0.05 * i), far * 0.6),
        )
        for _ in range(5 * (i + 1)):  # tufts of grass
            x = p.uniform(0, 1)
            y = p.uniform(min(height_at(line, x) + 0.02, 1.0), 1.0)
            p.line(
                [(x, y), (x + p.uniform(-0.01, 0.01), y - 0.02 - 0.012 * i)],
                p.shade(ground * p.uniform(0.72, 1.12), far),
                0.010,
            )
    if p.has("windmill"):
        x = p.uniform(0.2, 0.8)
        y, w = height_at(hills[1], x) + 0.06, 0.07
        p.polygon(
            [(x - w, y), (x + w, y), (x + 0.6 * w, y - 0.3), (x - 0.6 * w, y - 0.3)],
            p.shade((0.92, 0.88, 0.8), 0.1),
        )
        p.polygon(
            [(x - 0.75 * w, y - 0.3), (x + 0.75 * w, y - 0.3), (x, y - 0.38)], p.shade((0.6, 0.2, 0.16))
        )
        turn = p.uniform(0, 1.5)
        for i in range(4):
            a = turn + i * np.pi / 2
            p.line(
                [(x, y - 0.3), (x + 0.21 * np.cos(a), y - 0.3 + 0.21 * np.sin(a))],
                p.shade((0.36, 0.26, 0.2)),
                0.028,
            )
    if p.has("house"):
        x = p.uniform(0.2, 0.8)
        house(p, x, height_at(hills[1], x) + 0.06, p.uniform(0.2, 0.27), 0.05)
    if p.has("path"):
        way(
            p, (p.uniform(0.3, 0.7), horizon + 0.16), p.shade((0.80, 0.69, 0.48)), p.shade(ground * 0.8), 0.12
        )
    if p.has("fence"):
        line = p.ridge(0.8, 0.02, 2)
        for shift in (-0.05, -0.02):
            p.line([(x, y + shift) for x, y in line], p.shade((0.55, 0.4, 0.28)), 0.009)
        for x in np.linspace(0.03, 0.97, 9):
            p.box(
                x - 0.008,
                height_at(line, x) - 0.075,
                x + 0.008,
                height_at(line, x) + 0.02,
                p.shade((0.5, 0.36, 0.24)),
            )
    if p.has("tree"):
        round_tree(p, p.uniform(0.2, 0.8), horizon + p.uniform(0.2, 0.28), p.uniform(0.38, 0.52), 0.05)
    if p.has("flowers"):
        flowers(p, horizon + 0.14, p.rng.integers(34, 56))


MEADOW = Kind(
    name="meadow",
    number=5,
    paint=paint,
    nouns="meadow|meadow|field|grassland|countryside|green hills|rolling hills|prairie|pasture",
    nouns_with={"flowers": "flower field|field of flowers|flowery meadow|meadow of flowers"},
    parts="grass|tall grass|hills|rolling hills",
    glowing="flowers",
    things={
        FLOWERS: 0.55,
        Thing("tree", "a {tree} tree|a lonely {tree} tree|a single {tree} tree|an old {tree} tree"): 0.35,
        HOUSE: 0.15,
        Thing("windmill", "a windmill|an old windmill"): 0.2,
        PATH: 0.15,
        Thing("fence", "a fence|a wooden fence"): 0.1,
    },
    seasons=(1, 1, 1.2, 0),  # in winter it would be the kind "snow"
    green=True,
)
