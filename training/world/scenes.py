"""The drawn world: ten kinds of scene, what can be said of them, and how they are drawn by seed.

A `Scene` holds everything that a caption may say; `sample_scene` makes one by rules that keep
it plausible (no rainbow at night, no snowman in the desert), `painting.paint` draws it and
`captions.caption` describes it. The denoiser learns from these pairs, the classifiers from the kinds.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

LABELS = ("forest", "city", "mountains", "ocean", "desert", "meadow", "lake", "volcano", "snow", "night sky")
TIMES = ("day", "sunrise", "sunset", "night")
WEATHERS = ("clear", "cloudy", "misty", "rain", "storm", "snowfall")
SEASONS = ("", "spring", "summer", "autumn", "winter")
MOODS = ("vibrant", "magical", "glowing", "serene", "futuristic", "dark", "dreamy", "monochrome", "vintage")
TREE_COLORS = ("red", "orange", "yellow", "pink", "purple", "blue")
SKY_COLORS = ("pink", "purple", "red", "orange", "green")
FLOWER_COLORS = ("red", "yellow", "purple", "pink", "white", "blue")

# How often a thing stands in a kind of scene when nothing speaks against it.
THINGS = {
    "forest": {
        "path": 0.2,
        "river": 0.15,
        "house": 0.15,
        "mushrooms": 0.12,
        "flowers": 0.12,
        "fireflies": 0.08,
    },
    "city": {"water": 0.3, "bridge": 0.12, "road": 0.25, "park": 0.15},
    "mountains": {"waterfall": 0.18, "pines": 0.5, "house": 0.15, "castle": 0.18, "river": 0.12},
    "ocean": {
        "sailboat": 0.3,
        "ship": 0.14,
        "lighthouse": 0.2,
        "beach": 0.25,
        "palms": 0.15,
        "island": 0.15,
    },
    "desert": {"cacti": 0.35, "pyramids": 0.28, "palms": 0.15, "rocks": 0.2},
    "meadow": {"flowers": 0.55, "tree": 0.35, "house": 0.15, "windmill": 0.2, "path": 0.15, "fence": 0.1},
    "lake": {"sailboat": 0.25, "pines": 0.4, "house": 0.18, "reeds": 0.25, "dock": 0.2},
    "volcano": {"lava": 0.7, "smoke": 0.7, "rocks": 0.2},
    "snow": {"pines": 0.65, "house": 0.25, "igloo": 0.18, "snowman": 0.25},
    "night sky": {"milky way": 0.4, "shooting star": 0.25, "aurora": 0.2, "pines": 0.35, "planet": 0.12},
}


@dataclass(frozen=True)
class Scene:
    """What a drawing shows. Empty strings and tuples mean: nothing special."""

    kind: str  # one of LABELS
    time: str = "day"  # one of TIMES
    weather: str = "clear"  # one of WEATHERS
    season: str = ""  # one of SEASONS
    moods: tuple[str, ...] = ()  # some of MOODS
    things: tuple[str, ...] = ()  # what stands in it, of THINGS and the sky's own: sun, moon, stars, ...
    tree_color: str = ""  # one of TREE_COLORS
    sky_color: str = ""  # one of SKY_COLORS
    flower_color: str = ""  # one of FLOWER_COLORS


def sample_scene(rng: np.random.Generator, kind: str | None = None) -> Scene:
    """Draw a plausible scene; `kind` fixes the kind, else all ten are equally likely."""

    def chance(probability: float) -> bool:
        return rng.random() < probability

    def one_of(options, weights=None) -> str:
        weights = None if weights is None else np.array(weights) / np.sum(weights)
        return str(options[rng.choice(len(options), p=weights)])

    kind = kind or one_of(LABELS)
    time = "night" if kind == "night sky" else one_of(TIMES, (0.42, 0.14, 0.2, 0.24))

    season = ""
    if kind in ("forest", "lake", "mountains", "city", "meadow") and chance(0.5):
        season = one_of(SEASONS[1:], (1, 1, 1.2, 0 if kind == "meadow" else 0.8))
    weather = one_of(WEATHERS[:5], (0.55, 0.17, 0.14, 0.09, 0.05))
    if kind == "night sky" and weather in ("rain", "storm", "cloudy"):
        weather = "clear"
    if kind == "desert" and weather == "rain":
        weather = "clear"
    if (kind == "snow" or season == "winter") and weather in ("clear", "cloudy", "rain") and chance(0.35):
        weather = "snowfall"
    if (kind == "snow" or season == "winter") and weather == "rain":
        weather = "cloudy"

    likely = {"forest": (2.5, 3, 3), "city": (1.5, 0.7, 1.2), "night sky": (1.5, 2, 1)}.get(kind, (1.5, 1, 1))
    weights = np.array([*likely, 1.5, 7 if kind == "city" else 0.4, 0.8, 0.8, 0.35, 0.35])
    moods: list[str] = []
    for _ in range(rng.choice(3, p=(0.36, 0.42, 0.22))):
        mood = one_of(MOODS, weights)
        weights[MOODS.index(mood)] = 0
        for rivals in (
            ("vibrant", "dark", "monochrome", "vintage", "dreamy"),
            ("serene", "dark"),
            ("magical", "monochrome"),
            ("glowing", "monochrome", "vintage"),
            ("futuristic", "vintage"),
            ("serene", "vibrant"),
        ):
            if mood in rivals:
                weights[[MOODS.index(rival) for rival in rivals]] = 0
        moods.append(mood)
    if "serene" in moods and weather in ("rain", "storm"):
        weather = "clear"
    if "vibrant" in moods and weather in ("rain", "storm", "misty"):
        weather = "clear"

    things = [thing for thing, probability in THINGS[kind].items() if chance(probability)]
    if season == "winter":
        things = [thing for thing in things if thing not in ("flowers", "mushrooms", "fireflies")]
    if "pyramids" in things and "rocks" in things:
        things.remove("rocks")
    if "fireflies" in things and time != "night":
        things.remove("fireflies")
    open_sky = weather in ("clear", "cloudy", "snowfall")
    if time == "night":
        things += ["moon"] if open_sky and chance(0.55) else []
        things += ["stars"] if weather == "clear" and (kind == "night sky" or chance(0.75)) else []
        if kind == "snow" and weather == "clear" and chance(0.3):
            things.append("aurora")
    elif open_sky and chance(0.65):
        things.append("sun")
    if weather == "cloudy" or (
        weather == "clear" and time != "night" and kind != "night sky" and chance(0.35)
    ):
        things.append("clouds")
    if time != "night" and open_sky:
        things += ["birds"] if chance(0.18) else []
        things += (
            ["balloons"]
            if weather == "clear" and kind not in ("volcano", "night sky") and chance(0.08)
            else []
        )
    if time == "day" and weather in ("clear", "rain") and "dark" not in moods and chance(0.09):
        things.append("rainbow")
    if {"futuristic", "magical"} & set(moods) and kind != "night sky" and chance(0.2):
        things.append("planet")
    if kind == "city" and "futuristic" in moods and chance(0.4):
        things.append("flying cars")

    green = kind in ("forest", "meadow", "lake") and season != "winter"
    tree_color = (
        one_of(TREE_COLORS) if green and not {"vibrant", "monochrome"} & set(moods) and chance(0.16) else ""
    )
    sky_color = one_of(SKY_COLORS) if open_sky and "monochrome" not in moods and chance(0.08) else ""
    flower_color = one_of(FLOWER_COLORS) if "flowers" in things and chance(0.7) else ""
    return Scene(
        kind, time, weather, season, tuple(moods), tuple(things), tree_color, sky_color, flower_color
    )


def draw(seed: int, size: int = 128, kind: str | None = None) -> tuple[Image.Image, Scene]:
    """Drawing number `seed`: an RGB image of `size` × `size` pixels, and what it shows.

    The same seed gives the same scene at every size, and the same pixels with the same
    versions of NumPy and Pillow.
    """
    from training.world.painting import paint

    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, kind)
    return paint(scene, rng, size), scene
