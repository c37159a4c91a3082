"""Plausible scenes by seed: no rainbow at night, no snowman in the desert."""

import numpy as np

from training.world.labels import KINDS, LABELS
from training.world.scene import (
    FLOWER_COLORS,
    MOODS,
    SEASONS,
    SKY_COLORS,
    TIMES,
    TREE_COLORS,
    WEATHERS,
    Scene,
)
from training.world.things import (
    BALLOONS,
    BIRDS,
    CLOUDS,
    MOON,
    PLANET,
    RAINBOW,
    STARS,
    SUN,
)

# How likely a mood is where the kind of scene does not say otherwise, in the order of MOODS.
MOOD_WEIGHTS = dict(zip(MOODS, (1.5, 1, 1, 1.5, 0.4, 0.8, 0.8, 0.35, 0.35), strict=True))
RIVAL_MOODS = (  # at most one of each
    ("vibrant", "dark", "monochrome", "vintage", "dreamy"),
    ("serene", "dark"),
    ("magical", "monochrome"),
    ("glowing", "monochrome", "vintage"),
    ("futuristic", "vintage"),
    ("serene", "vibrant"),
)


def scene_of(seed: int) -> Scene:
    """What drawing number `seed` shows; nothing is drawn for it."""
    return sample_scene(np.random.default_rng(seed))


def sample_scene(rng: np.random.Generator, name: str | None = None) -> Scene:
    """Draw a plausible scene; `name` fixes the kind, else all are equally likely.

    The order in which `rng` is asked is part of what a drawing is: the seeds of the embedded models go by it.
    """

    def chance(probability: float) -> bool:
        return rng.random() < probability

    def one_of(options, weights=None) -> str:
        weights = None if weights is None else np.array(weights) / np.sum(weights)
        return str(options[rng.choice(len(options), p=weights)])

    kind = KINDS[name or one_of(LABELS)]
    time = kind.time or one_of(TIMES, (0.42, 0.14, 0.2, 0.24))

    season = ""
    if kind.seasons and chance(0.5):
        season = one_of(SEASONS[1:], kind.seasons)
    snowy = kind.snowy or season == "winter"
    weather = one_of(WEATHERS[:5], (0.55, 0.17, 0.14, 0.09, 0.05))
    if weather in kind.never:
        weather = "clear"
    if snowy and weather in ("clear", "cloudy", "rain") and chance(0.35):
        weather = "snowfall"
    if snowy and weather == "rain":
        weather = "cloudy"

    weights = np.array(list((MOOD_WEIGHTS | kind.moods).values()))
    moods: list[str] = []
    for _ in range(rng.choice(3, p=(0.36, 0.42, 0.22))):
        mood = one_of(MOODS, weights)
        moods.append(mood)
        weights[MOODS.index(mood)] = 0
        for rivals in RIVAL_MOODS:
            if mood in rivals:
                weights[[MOODS.index(rival) for rival in rivals]] = 0
    if "serene" in moods and weather in ("rain", "storm"):
        weather = "clear"
    if "vibrant" in moods and weather in ("rain", "storm", "misty"):
        weather = "clear"

    things = [thing for thing, probability in kind.things.items() if chance(probability)]
    if season == "winter":
        things = [thing for thing in things if thing.in_winter]
    if time != "night":
        things = [thing for thing in things if thing.by_day]
    names = {thing.name for thing in things}
    things = [thing for thing in things if kind.displaced.get(thing.name) not in names]

    open_sky = weather in ("clear", "cloudy", "snowfall")
    if time == "night":
        things += [MOON] if open_sky and chance(0.55) else []
        things += [STARS] if weather == "clear" and (kind.starry or chance(0.75)) else []
        if weather == "clear":
            things += [thing for thing, share in kind.things_of_clear_nights.items() if chance(share)]
    elif open_sky and chance(0.65):
        things.append(SUN)
    if weather == "cloudy" or (weather == "clear" and time != "night" and chance(0.35)):
        things.append(CLOUDS)
    if time != "night" and open_sky:
        things += [BIRDS] if chance(0.18) else []
        if weather == "clear" and BALLOONS.name not in kind.never and chance(0.08):
            things.append(BALLOONS)
    if time == "day" and weather in ("clear", "rain") and "dark" not in moods and chance(0.09):
        things.append(RAINBOW)
    if {"futuristic", "magical"} & set(moods) and PLANET not in kind.things and chance(0.2):
        things.append(PLANET)
    for mood, often in kind.things_of_moods.items():
        things += [thing for thing, share in often.items() if mood in moods and chance(share)]

    tree_color = sky_color = flower_color = ""
    if kind.green and season != "winter" and not {"vibrant", "monochrome"} & set(moods) and chance(0.16):
        tree_color = one_of(TREE_COLORS)
    if open_sky and "monochrome" not in moods and chance(0.08):
        sky_color = one_of(SKY_COLORS)
    names = tuple(thing.name for thing in things)
    if "flowers" in names and chance(0.7):
        flower_color = one_of(FLOWER_COLORS)
    return Scene(kind.name, time, weather, season, tuple(moods), names, tree_color, sky_color, flower_color)
