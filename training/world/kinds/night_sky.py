"""Stars, the milky way, an aurora or a planet above dark hills."""

from training.world.kind import Kind
from training.world.painter import Painter, down, height_at, mix
from training.world.scenery import dome_city
from training.world.sky import sky
from training.world.things import AURORA, PINES, PLANET, Thing


def paint(p: Painter) -> None:
    horizon = p.uniform(0.7, 0.9)
    sky(p, horizon)
    if p.mood("futuristic"):
        dome_city(p, horizon)
    dark = p.shade((0.06, 0.09, 0.14))
    form = p.rng.integers(3)
    line = p.ridge(horizon, 0.05, 3 if form else 5)
    p.area(down(p.ridge(horizon - 0.03, 0.04, 4)), mix(dark, p.haze, 0.5), mix(dark, p.haze, 0.3))
    p.area(down(line), dark, dark * 0.5)
    if p.has("pines"):
        for x in p.rng.uniform(0, 1, p.rng.integers(5, 10)):
            y, h = height_at(line, x) + 0.03, p.uniform(0.14, 0.28)
            for part in (0.0, 0.3, 0.55):
                w = h * 0.26 * (1 - part)
                p.polygon(
                    [(x - w, y - part * h), (x + w, y - part * h), (x, y - min(1, part + 0.5) * h)],
                    dark * 0.7,
                )


NIGHT_SKY = Kind(
    name="night sky",
    number=9,
    paint=paint,
    nouns="night sky|night sky|starry sky|starry night|starry night sky|galaxy|cosmos|sky full of stars",
    parts="black hills below|dark hills|a dark horizon",
    glowing="stars",
    things={
        Thing("milky way", "the milky way|a galaxy", where="sky"): 0.4,
        Thing("shooting star", "a shooting star|a comet|meteors", where="sky"): 0.25,
        AURORA: 0.2,
        PINES: 0.35,
        PLANET: 0.12,
    },
    time="night",
    moods={"magical": 2},
    never=("rain", "storm", "cloudy"),
    starry=True,
)
