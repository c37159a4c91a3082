"""A scene: everything that a caption may say of a drawing, and the values that it may take."""

from dataclasses import dataclass

TIMES = ("day", "sunrise", "sunset", "night")
WEATHERS = ("clear", "cloudy", "misty", "rain", "storm", "snowfall")
SEASONS = ("", "spring", "summer", "autumn", "winter")
MOODS = ("vibrant", "magical", "glowing", "serene", "futuristic", "dark", "dreamy", "monochrome", "vintage")
TREE_COLORS = ("red", "orange", "yellow", "pink", "purple", "blue")
SKY_COLORS = ("pink", "purple", "red", "orange", "green")
FLOWER_COLORS = ("red", "yellow", "purple", "pink", "white", "blue")


@dataclass(frozen=True)
class Scene:
    """What a drawing shows. Empty strings and tuples mean: nothing special."""

    kind: str  # one of training.world.labels.LABELS
    time: str = "day"  # one of TIMES
    weather: str = "clear"  # one of WEATHERS
    season: str = ""  # one of SEASONS
    moods: tuple[str, ...] = ()  # some of MOODS
    things: tuple[str, ...] = ()  # what stands in it and in its sky, of training.world.labels.THINGS
    tree_color: str = ""  # one of TREE_COLORS
    sky_color: str = ""  # one of SKY_COLORS
    flower_color: str = ""  # one of FLOWER_COLORS
