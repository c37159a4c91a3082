"""Still water that mirrors a wooded shore, with a boat, a house, reeds or a dock."""

import numpy as np

from training.world.kind import EVEN_SEASONS, Kind
from training.world.painter import Painter, down
from training.world.scenery import dome_city, ground_color, house, leaf_color, mirror, peaks, sailboat, tree
from training.world.sky import sky
from training.world.things import HOUSE, PINES, SAILBOAT, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.44, 0.64)
    sky(p, horizon - 0.08)
    ground = ground_color(p)
    if p.rng.random() < 0.65:
        rock = p.pick(((0.42, 0.45, 0.55), (0.48, 0.44, 0.44)))
        peaks(
            p,
            horizon,
            p.uniform(0.2, 0.34),
            0.6,
            0.55 if p.scene.season == "winter" else p.pick((0.0, 0.25, 0.35)),
            rock,
        )
    else:
        p.area(
            down(p.ridge(horizon - 0.12, 0.05, 3)), p.shade(leaf_color(p) * 0.7, 0.75), p.shade(ground, 0.6)
        )
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    p.area(down(p.ridge(horizon - 0.025, 0.02, 3)), p.shade(ground * 0.9, 0.4), p.shade(ground * 0.7, 0.3))
    pines = p.has("pines")
    for x in p.rng.uniform(
        0, 1, p.rng.integers(8, 13) if pines or p.scene.tree_color or p.mood("vibrant") else 5
    ):
        tree(p, x, horizon + p.uniform(-0.012, 0.008), p.uniform(0.13, 0.22), 0.3, pines)
    if p.has("house"):
        house(p, p.uniform(0.15, 0.85), horizon + 0.01, p.uniform(0.18, 0.25), 0.05)
    mirror(p, horizon, (0.16, 0.42, 0.58))
    if p.scene.season == "winter":
        for _ in range(6):
            p.oval(
                p.uniform(0, 1),
                p.uniform(horizon + 0.08, 0.95),
                p.uniform(0.05, 0.1),
                p.uniform(0.008, 0.018),
                p.shade((0.9, 0.95, 1.0)),
            )
    if p.has("sailboat"):
        y = p.uniform(horizon + 0.08, 0.8)
        sailboat(p, p.uniform(0.2, 0.8), y, 0.2 + 0.3 * (y - horizon))
    if p.has("dock"):
        x, color = p.uniform(0.3, 0.7), p.shade((0.52, 0.38, 0.26))
        p.polygon([(x - 0.2, 1.02), (x + 0.2, 1.02), (x + 0.06, 0.7), (x - 0.06, 0.7)], color)
        for y in np.linspace(0.73, 0.98, 6):
            half = 0.06 + 0.14 * (y - 0.7) / 0.32
            p.line([(x - half, y), (x + half, y)], color * 0.7, 0.011)
    else:
        p.area(down(p.ridge(0.94, 0.03, 3)), p.shade(ground), p.shade(ground * 0.75))
    if p.has("reeds"):
        for x in np.concatenate([p.rng.uniform(0.0, 0.33, 8), p.rng.uniform(0.67, 1.0, 8)]):
            h = p.uniform(0.12, 0.26)
            p.line(
                [(x, 1.0), (x + p.uniform(-0.03, 0.03), 1.0 - h)], p.shade(p.vary((0.32, 0.44, 0.18))), 0.013
            )


LAKE = Kind(
    name="lake",
    number=6,
    paint=paint,
    nouns="lake|lake|lakeside|lake landscape|mountain lake|still lake|pond",
    parts="reflections|water|clear water|a calm surface",
    glowing="water",
    things={
        SAILBOAT: 0.25,
        PINES: 0.4,
        HOUSE: 0.18,
        Thing("reeds", "reeds|tall grass|plants on the shore"): 0.25,
        Thing("dock", "a dock|a wooden pier|a jetty"): 0.2,
    },
    seasons=EVEN_SEASONS,
    green=True,
)
