"""What makes a kind of scene: its words, its things, what is plausible in it, and its painter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from training.world.things import Thing

EVEN_SEASONS = (1, 1, 1.2, 0.8)  # how likely spring, summer, autumn and winter are where seasons show


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of scene. An instance at the top of a module of `training.world.kinds` is one.

    Phrases are separated by |, and one that stands there twice is said twice as often.
    """

    name: str
    number: int  # its place among the labels, which classifiers, judge and seeds go by
    paint: Callable[..., None]  # paints it, with all that it may hold, by a `training.world.painter.Painter`

    # Words
    nouns: str
    parts: str  # what every scene of the kind shows
    glowing: str  # what glows in it, where it is not the whole scene that is said to glow
    nouns_with: Mapping[str, str] = field(default_factory=dict)  # other nouns for it with one of its things
    nouns_of_trees: str = ""  # other nouns for it as long as its trees have no color of their own
    adjectives: str = ""  # now and then said of it

    # What stands in it, and how often when nothing speaks against it
    things: Mapping[Thing, float] = field(default_factory=dict)
    things_of_clear_nights: Mapping[Thing, float] = field(default_factory=dict)
    things_of_moods: Mapping[str, Mapping[Thing, float]] = field(default_factory=dict)
    displaced: Mapping[str, str] = field(default_factory=dict)  # things, and what they do not stand beside

    # What is plausible
    time: str = ""  # the one time of day at which it is seen
    seasons: tuple[float, ...] = ()  # weights of spring, summer, autumn and winter, where they show
    moods: Mapping[str, float] = field(default_factory=dict)  # weights that differ from those of other kinds
    never: tuple[str, ...] = ()  # weathers, and things of the sky, that it does not have
    snowy: bool = False  # under snow all year
    green: bool = False  # with trees that may be of any color
    starry: bool = False  # a sky full of stars is what it is

    @property
    def all_things(self) -> list[Thing]:
        """What may stand in it, whatever the time and the mood."""
        tables = [self.things, self.things_of_clear_nights, *self.things_of_moods.values()]
        return [thing for table in tables for thing in table]
