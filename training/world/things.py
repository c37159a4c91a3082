"""Things that stand in scenes, with the words for them.

A thing of one kind of scene stands in the file of that kind; here are those of several kinds, and those
that come with the hour, the weather or a mood.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    """A thing, the phrases that captions use for it, and when it is not there."""

    name: str
    phrases: (
        str  # with | between them; {flower} and {tree} are the colors of flowers and trees, if they have one
    )
    where: str = "ground"  # or "sky", or "water": what floats on it. One of training.world.captions.PLACES
    in_winter: bool = True
    by_day: bool = True  # False: at night alone


FLOWERS = Thing(
    "flowers",
    "{flower} flowers|{flower} flowers|{flower} wildflowers|{flower} blossoms",
    in_winter=False,
)
HOUSE = Thing("house", "a house|a cabin|a cottage|a small house|a wooden cabin|a hut")
PALMS = Thing("palms", "palm trees|palms|a palm tree|coconut palms")
PATH = Thing("path", "a path|a winding path|a trail")
PINES = Thing("pines", "pine trees|fir trees|pines|trees|evergreens")
RIVER = Thing("river", "a river|a stream|a small river")
ROCKS = Thing("rocks", "rocks|boulders|big rocks")
SAILBOAT = Thing("sailboat", "a sailboat|a boat|a sailing boat|a small boat", where="water")

SUN = Thing("sun", "the sun|a bright sun|a sun|a big sun", where="sky")
MOON = Thing("moon", "the moon|a full moon|a moon|a bright moon", where="sky")
STARS = Thing("stars", "stars|many stars|a starry sky|bright stars", where="sky")
CLOUDS = Thing("clouds", "clouds|white clouds|fluffy clouds|clouds in the sky", where="sky")
BIRDS = Thing("birds", "birds|flying birds|a flock of birds|birds in the sky", where="sky")
BALLOONS = Thing("balloons", "hot air balloons|a hot air balloon|balloons", where="sky")
RAINBOW = Thing("rainbow", "a rainbow|a bright rainbow", where="sky")
FLYING_CARS = Thing("flying cars", "flying cars|hovering vehicles|flying vehicles", where="sky")
AURORA = Thing("aurora", "northern lights|an aurora|aurora borealis|the northern lights", where="sky")
PLANET = Thing("planet", "a planet|a ringed planet|a giant planet in the sky", where="sky")

# These come with the hour, the weather or a mood; the order is that of the judge's answers.
OF_EVERY_KIND = (SUN, MOON, STARS, CLOUDS, BIRDS, BALLOONS, RAINBOW, FLYING_CARS)
