"""What a caption can say and a picture can show of a scene, as yes-or-no questions."""

import numpy as np

from training.world import scenes
from training.world.scenes import Scene, sample_scene

# A fact is a field of `Scene` and a value of it: ("time", "night"), ("things", "sun").
FACTS = [
    *((field, value) for field, values in (("kind", scenes.LABELS), ("time", scenes.TIMES), ("weather", scenes.WEATHERS)) for value in values),
    *(("season", value) for value in scenes.SEASONS[1:]),
    *(("moods", value) for value in scenes.MOODS),
    *(("things", value) for value in sorted({thing for things in scenes.THINGS.values() for thing in things})),
    *(("things", value) for value in ("sun", "moon", "stars", "clouds", "birds", "balloons", "rainbow", "flying cars")),
    *(("tree_color", value) for value in scenes.TREE_COLORS),
    *(("sky_color", value) for value in scenes.SKY_COLORS),
    *(("flower_color", value) for value in scenes.FLOWER_COLORS),
]  # fmt: skip


def facts_of(scene: Scene) -> list[float]:
    """1.0 for each of FACTS that holds for `scene`, else 0.0."""
    return [
        float(value in field if isinstance(field := getattr(scene, name), tuple) else value == field)
        for name, value in FACTS
    ]


def facts_of_drawings(first_seed: int, count: int) -> np.ndarray:
    """float32 [count, len(FACTS)] of the drawings from `first_seed` on; nothing is drawn for it."""
    told = (sample_scene(np.random.default_rng(first_seed + i)) for i in range(count))
    return np.array([facts_of(scene) for scene in told], np.float32)


def places_of(field: str) -> list[int]:
    """Where the facts on one field of `Scene` stand in FACTS."""
    return [i for i, (name, _) in enumerate(FACTS) if name == field]
