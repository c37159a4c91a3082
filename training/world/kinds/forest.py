"""Woods: rows of trees far and near, with a path, a river or a house between them."""

import numpy as np

from training.world.kind import EVEN_SEASONS, Kind
from training.world.painter import WHITE, Painter, down, mix
from training.world.scenery import dome_city, flowers, ground_color, house, leaf_color, tree, way
from training.world.sky import sky
from training.world.things import FLOWERS, HOUSE, PATH, RIVER, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.5, 0.62)
    sky(p, horizon)
    far_hills = p.ridge(horizon - 0.08, 0.06, 3)
    p.area(down(far_hills), p.shade(leaf_color(p) * 0.8, 0.8), p.shade(ground_color(p), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    pines = p.rng.choice((0.0, 0.15, 0.85, 1.0))
    if p.scene.tree_color or p.scene.season in ("autumn", "spring") or p.mood("vibrant"):
        pines = p.rng.choice((0.0, 0.2))
    for far, count, foot, size in ((0.7, 9, 0.03, 0.3), (0.4, 6, 0.1, 0.42)):
        for x in p.rng.permutation(np.linspace(0, 1, count)) + p.rng.normal(0, 0.03, count):
            tree(
                p,
                x,
                horizon + foot + p.uniform(-0.02, 0.02),
                size * p.uniform(0.8, 1.25),
                far,
                p.rng.random() < pines,
            )
    ground = ground_color(p)
    line = p.ridge(horizon + 0.1, 0.02, 3)
    p.area(down(line), p.shade(ground, 0.25), p.shade(ground * 0.8))
    if p.has("river"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5),
            p.shade(ground * 0.6),
        )
    if p.has("path"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            p.shade((0.78, 0.66, 0.46)),
            p.shade(ground * 0.8),
            0.14,
        )
    if p.has("house"):
        house(p, p.uniform(0.3, 0.7), horizon + p.uniform(0.18, 0.26), p.uniform(0.22, 0.3))
    sides = p.rng.random() < 0.6  # tall trees left and right, as a frame
    for i in range(p.rng.integers(3, 6)):
        x = p.uniform(-0.05, 0.28) if i % 2 else p.uniform(0.72, 1.05)
        x = x if sides else p.uniform(-0.05, 1.05)
        if p.has("house") and 0.3 < x < 0.7:
            continue
        y = horizon + 0.16 + 0.05 * i + p.uniform(0, 0.05)
        tree(p, x, y, p.uniform(0.48, 0.64) * (0.8 + 0.07 * i), 0.08, p.rng.random() < pines)
    if p.has("flowers"):
        flowers(p, horizon + 0.22, 22)
    if p.has("mushrooms"):
        for _ in range(p.rng.integers(3, 6)):
            x, y, r = p.uniform(0.05, 0.95), p.uniform(0.84, 0.98), p.uniform(0.045, 0.07)
            p.box(x - 0.25 * r, y - r, x + 0.25 * r, y, p.shade((0.92, 0.88, 0.8)))
            cap = (0.85, 0.15, 0.12) if not p.mood("magical") else p.glow_hues[0]
            p.polygon(
                [(x + r * np.cos(a), y - r + 0.8 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
                p.shade(cap),
                np.array(cap) * 0.5 if p.mood("magical") else None,
            )
            for dx in (-0.5, 0.0, 0.5):
                p.oval(x + dx * r, y - r * (1.3 + 0.2 * (dx == 0)), 0.13 * r, 0.1 * r, p.shade(WHITE))


FOREST = Kind(
    name="forest",
    number=0,
    paint=paint,
    nouns="forest|forest|forest|woods|woodland|forest landscape|grove|deep forest",
    parts="tall trees|old trees|many trees",
    glowing="trees",
    nouns_of_trees="trees|forest of trees|group of trees",
    things={
        PATH: 0.2,
        RIVER: 0.15,
        HOUSE: 0.15,
        Thing("mushrooms", "mushrooms|red mushrooms|giant mushrooms", in_winter=False): 0.12,
        FLOWERS: 0.12,
        Thing("fireflies", "fireflies|glowing fireflies", in_winter=False, by_day=False): 0.08,
    },
    seasons=EVEN_SEASONS,
    moods={"vibrant": 2.5, "magical": 3, "glowing": 3},
    green=True,
)
