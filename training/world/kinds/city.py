"""A skyline in three rows, above water, a road or a park."""

import numpy as np

from training.world.kind import EVEN_SEASONS, Kind
from training.world.painter import NEONS, Painter, down
from training.world.scenery import building, mirror, round_tree, tower, way
from training.world.sky import sky
from training.world.things import FLYING_CARS, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.6, 0.72)
    sky(p, horizon)
    future = p.mood("futuristic")
    for far, count, low, high, wide in (
        (0.75, 9, 0.14, 0.32, 0.13),
        (0.4, 7, 0.2, 0.46, 0.15),
        (0.05, 5, 0.2, 0.55, 0.18),
    ):
        for x in p.rng.permutation(np.linspace(0.0, 1.0, count)) + p.rng.normal(0, 0.03, count):
            height = p.uniform(low, high) * (1.1 if future else 0.95)
            (tower if future and p.rng.random() < 0.85 else building)(
                p, x, horizon + 0.06, wide * p.uniform(0.7, 1.15), height, far
            )
    if p.has("water"):
        mirror(p, horizon + 0.05, (0.10, 0.25, 0.40))
    else:
        ground = {"winter": (0.88, 0.91, 0.95)}.get(p.scene.season, (0.36, 0.37, 0.42))
        p.area(
            down([(-0.02, horizon + 0.05), (1.02, horizon + 0.05)]),
            p.shade(ground, 0.2),
            p.shade(np.array(ground) * 0.8),
        )
    if p.has("bridge"):
        y, color = horizon + 0.12, p.shade((0.70, 0.28, 0.22))
        for x in (0.22, 0.78):
            p.box(x - 0.015, y - 0.22, x + 0.015, y + 0.06, color)
        cable = [(x, y - 0.2 + 0.17 * (1 - ((x - 0.5) / 0.28) ** 2)) for x in np.linspace(0.22, 0.78, 15)]
        p.line([(-0.02, y - 0.02), (0.22, y - 0.2), *cable, (0.78, y - 0.2), (1.02, y - 0.02)], color, 0.013)
        for x, top in cable[2:-1:3]:
            p.line([(x, top), (x, y)], color, 0.008)
        p.box(-0.02, y, 1.02, y + 0.022, color * 0.9)
    if p.has("road") and not p.has("water"):
        way(
            p,
            (p.uniform(0.4, 0.6), horizon + 0.05),
            p.shade((0.22, 0.22, 0.25)),
            p.shade((0.6, 0.6, 0.6)),
            0.3,
        )
        if p.lit_windows or future:
            for _ in range(6):
                y = p.uniform(horizon + 0.1, 0.98)
                x = 0.5 + p.rng.normal(0, 0.25) * (y - horizon)
                color = np.array(p.pick(((1.0, 0.3, 0.2), (1.0, 0.9, 0.6)) if not future else NEONS))
                p.box(x, y, x + 0.035, y + 0.016, color, color * 0.7)
    if p.has("park"):
        for _ in range(p.rng.integers(3, 6)):
            round_tree(p, p.uniform(0.0, 1.0), p.uniform(horizon + 0.14, 0.98), p.uniform(0.2, 0.28), 0.05)
    if p.has("flying cars"):
        for _ in range(p.rng.integers(3, 6)):
            x, y, w = p.uniform(0.05, 0.95), p.uniform(0.12, horizon - 0.1), p.uniform(0.028, 0.042)
            neon = np.array(p.pick(NEONS))
            p.oval(x, y, w, 0.35 * w, p.shade((0.75, 0.78, 0.85)))
            p.line([(x - 2.6 * w, y + 0.1 * w), (x - w, y)], neon, 0.012, neon * 0.8)


CITY = Kind(
    name="city",
    number=1,
    paint=paint,
    nouns="city|city|city|city skyline|skyline|metropolis|cityscape|town|downtown",
    parts="skyscrapers|tall buildings|skyscrapers|high-rise buildings",
    glowing="lights",
    things={
        Thing("water", "a river|reflections on the water|water in front|a harbor"): 0.3,
        Thing("bridge", "a bridge|a long bridge"): 0.12,
        Thing("road", "a road|a street|a highway"): 0.25,
        Thing("park", "a park|trees|green trees"): 0.15,
    },
    things_of_moods={"futuristic": {FLYING_CARS: 0.4}},
    seasons=EVEN_SEASONS,
    moods={"magical": 0.7, "glowing": 1.2, "futuristic": 7},
)
