"""The drawn world: the same seed draws the same, scenes are plausible, and a kind of scene is one file."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter

import numpy as np
import pytest
from support.workflow import WORKFLOW

from training.evaluation import NEAR_IDENTICAL, distances
from training.world import scene as values
from training.world.drawing import draw, paint
from training.world.labels import KINDS, LABELS, THINGS
from training.world.sampling import sample_scene, scene_of
from training.world.scene import Scene

# Of `repr` of what the seeds 0 to 4999 show; the embedded models were trained on these scenes.
SCENES = "d89f2dcaaeff437d"


def test_a_seed_shows_what_it_has_always_shown():
    shown = "\n".join(repr(scene_of(seed)) for seed in range(5000))
    assert hashlib.sha256(shown.encode()).hexdigest()[:16] == SCENES


def test_the_labels_are_those_of_the_classifiers():
    assert LABELS == (
        "forest", "city", "mountains", "ocean", "desert", "meadow", "lake", "volcano", "snow", "night sky",
    )  # fmt: skip
    assert [kind.number for kind in KINDS.values()] == list(range(len(LABELS)))


def test_a_seed_is_a_drawing():
    first, scene = draw(7)
    again, same = draw(7)
    assert first.tobytes() == again.tobytes() and scene == same
    assert draw(8)[0].tobytes() != first.tobytes()


def test_the_scene_of_a_seed_is_known_without_drawing_it():
    assert draw(11)[1] == scene_of(11)
    assert draw(11, size=64)[1] == draw(11, size=128)[1]


@pytest.mark.parametrize("kind", LABELS)
def test_every_kind_is_drawn_at_every_time_and_weather(kind):
    for time in values.TIMES:
        for weather in values.WEATHERS:
            picture = paint(Scene(kind, time, weather), np.random.default_rng(1), 64)
            assert picture.size == (64, 64) and picture.mode == "RGB"
            assert np.asarray(picture).std() > 4, (kind, time, weather)


@pytest.mark.parametrize("mood", values.MOODS)
def test_moods_show(mood):
    plain = paint(Scene("forest"), np.random.default_rng(3), 64)
    moody = paint(Scene("forest", moods=(mood,)), np.random.default_rng(3), 64)
    assert np.abs(np.asarray(plain, float) - np.asarray(moody, float)).mean() > 3


def test_nights_are_darker_than_days():
    def brightness(time):
        return np.mean(
            [np.asarray(paint(Scene(kind, time), np.random.default_rng(2), 32)).mean() for kind in LABELS]
        )

    assert brightness("night") < 0.6 * brightness("day")


def test_samples_are_plausible_and_varied():
    rng = np.random.default_rng(0)
    found = [sample_scene(rng) for _ in range(3000)]
    for field, expected in (
        ("kind", LABELS),
        ("time", values.TIMES),
        ("weather", values.WEATHERS),
        ("season", values.SEASONS),
    ):
        assert {getattr(scene, field) for scene in found} == set(expected)
    assert {mood for scene in found for mood in scene.moods} == set(values.MOODS)
    assert {thing for scene in found for thing in scene.things} == set(THINGS)
    for scene in found:
        assert scene.kind != "night sky" or scene.time == "night"
        assert "rainbow" not in scene.things or scene.time == "day"
        assert "sun" not in scene.things or scene.time != "night"
        assert not {"vibrant", "dark"} <= set(scene.moods)


@pytest.mark.parametrize(
    "scene",
    [
        Scene("desert", "sunset"),
        Scene("meadow", "sunrise", "misty"),
        Scene("volcano", "night"),
        Scene("volcano", "sunset", moods=("dark",)),
    ],
)
def test_empty_scenes_of_one_description_look_different(scene):
    drawn = np.stack([paint(scene, np.random.default_rng(i), 64) for i in range(16)])
    assert np.mean(distances(drawn, prompts=1) < NEAR_IDENTICAL) < 0.1


def test_snow_under_a_red_sky_is_bluer_than_sand():
    def blueness(kind):  # of the ground, which has nothing on it
        pictures = [paint(Scene(kind, "sunset"), np.random.default_rng(i), 64) for i in range(8)]
        red, _, blue = np.mean([np.asarray(picture)[52:] for picture in pictures], (0, 1, 2))
        return blue / red

    assert blueness("snow") > 1 > blueness("desert") + 0.2


KIND = '''"""A cave with a lantern."""

from training.world.kind import Kind
from training.world.painter import Painter, down
from training.world.sky import sky
from training.world.things import ROCKS, Thing


def paint(p: Painter) -> None:
    sky(p, 0.4)
    p.area(down(p.ridge(0.4, 0.1)), p.shade((0.3, 0.3, 0.35)), p.shade((0.1, 0.1, 0.15)))
    if p.has("lantern"):
        p.oval(0.5, 0.7, 0.05, 0.05, (1.0, 0.9, 0.5), (1.0, 0.8, 0.3))


CAVE = Kind(
    name="cave",
    number=10,
    paint=paint,
    nouns="cave|cavern",
    parts="damp walls",
    glowing="crystals",
    things={ROCKS: 0.3, Thing("lantern", "a lantern|an old lantern"): 0.5},
)
'''
USE = """
import numpy as np
from training.world.captions import caption
from training.world.drawing import draw
from training.world.facts import FACTS
from training.world.labels import LABELS
assert LABELS[-1] == "cave" and ("kind", "cave") in FACTS and ("things", "lantern") in FACTS
drawn = [draw(seed, 32, "cave") for seed in range(20)]
assert {scene.kind for _, scene in drawn} == {"cave"} and any("lantern" in scene.things for _, scene in drawn)
assert min(np.asarray(picture).std() for picture, _ in drawn) > 4
rng = np.random.default_rng(0)
texts = [caption(scene, rng) for _, scene in drawn]
assert any("cave" in text for text in texts) and any("lantern" in text for text in texts)
"""


def test_a_new_kind_of_scene_is_one_file(tmp_path):
    shutil.copytree(
        WORKFLOW / "training",
        tmp_path / "training",
        ignore=shutil.ignore_patterns("tests", "scripts", ".*", "__pycache__"),
    )
    (tmp_path / "training/world/kinds/cave.py").write_text(KIND)
    paths = os.pathsep.join([str(tmp_path), str(WORKFLOW / "scripts")])
    run = subprocess.run(
        [sys.executable, "-c", USE], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def imports_of(path):
    """The modules that a file may import, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_go_one_way():
    files = [path for path in WORKFLOW.glob("training/**/*.py") if "tests" not in path.parts]
    names = {path: ".".join(path.relative_to(WORKFLOW).with_suffix("").parts) for path in files}
    imports = {name: set(imports_of(path)) & set(names.values()) for path, name in names.items()}
    # The registry imports every kind.
    imports["training.world.labels"] |= {name for name in imports if name.startswith("training.world.kinds.")}
    order = list(TopologicalSorter(imports).static_order())  # raises CycleError
    assert order.index("training.world.kind") < order.index("training.world.kinds.lake")
    assert order.index("training.world.kinds.lake") < order.index("training.world.drawing")


def test_the_study_uses_nothing_of_the_training():
    for path in WORKFLOW.glob("scripts/**/*.py"):
        assert not [name for name in imports_of(path) if name and name.split(".")[0] == "training"], path
