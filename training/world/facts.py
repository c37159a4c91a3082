"""What a caption can say and a picture can show of a scene, as yes-or-no questions."""

import numpy as np

from training.world import scene
from training.world.labels import LABELS, THINGS
from training.world.sampling import scene_of
from training.world.scene import Scene

# The fields of `Scene` and the values that are asked for.
_ASKED = {
    "kind": LABELS,
    "time": scene.TIMES,
    "weather": scene.WEATHERS,
    "season": scene.SEASONS[1:],
    "moods": scene.MOODS,
    "things": tuple(THINGS),
    "tree_color": scene.TREE_COLORS,
    "sky_color": scene.SKY_COLORS,
    "flower_color": scene.FLOWER_COLORS,
}
# A fact is a field of `Scene` and a value of it: ("time", "night"), ("things", "sun").
FACTS = [(field, value) for field, values in _ASKED.items() for value in values]


def facts_of(scene: Scene) -> list[float]:
    """1.0 for each of FACTS that holds for `scene`, else 0.0."""
    return [
        float(value in field if isinstance(field := getattr(scene, name), tuple) else value == field)
        for name, value in FACTS
    ]


def facts_of_drawings(first_seed: int, count: int) -> np.ndarray:
    """float32 [count, len(FACTS)] of the drawings from `first_seed` on; nothing is drawn for it."""
    return np.array([facts_of(scene_of(first_seed + i)) for i in range(count)], np.float32)


def places_of(field: str) -> list[int]:
    """Where the facts on one field of `Scene` stand in FACTS."""
    return [i for i, (name, _) in enumerate(FACTS) if name == field]
