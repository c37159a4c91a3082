"""The figures of an image: what they say of themselves, and that a new one is one new file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.drawn_study import CLASSIFIER, STYLE, classify, files_of_figures, has_color
from support.specs import write_spec
from support.workflow import WORKFLOW

from promptflux.classifiers.kept import asked_layers
from promptflux.classifiers.spec import load_spec
from promptflux.figures.catalog import FIGURES, drawings
from promptflux.paths import HERE
from promptflux.runtime.code import python_digest

MEAN = '''\
"""The mean of each channel after pooling."""

from promptflux.figures.sheet import Sheet, Style
from promptflux.figures.subject import Subject

PLACE = 2.5
EACH = "maxpool"
FILE = "pool_{number}_means"
TITLE = "means of pool {number}"
CAPTION = "The mean of each channel that pooling {number} gives."
COLOR = "#0a0b0c"


def draw(subject: Subject, layer: str, style: Style) -> Sheet:
    means = subject.outputs[layer].mean(axis=(1, 2))
    sheet = Sheet(4, 3, style.dpi)
    sheet.title(subject.name, f"{layer}: {means.size} channels", subject.alarm)
    sheet.polygons([[(1, 1), (2, 1), (2, 2), (1, 2)]], facecolors=[COLOR])
    return sheet
'''
PLAN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.kept import asked_layers
from promptflux.figures.catalog import drawings
from promptflux.paths import HERE

spec = load_spec(sys.argv[2])
found = drawings(spec, asked_layers(spec, "all"))
drawn = {drawing.file: [drawing.title, drawing.caption, drawing.layer] for drawing in found}
print(json.dumps({"files": [HERE.figure(spec.name, "x", drawing.file) for drawing in found], "drawn": drawn,
                  "modules": sorted(sys.modules)}))
"""
DRAW = """
import json, sys
sys.path.insert(0, sys.argv[1])
import figures

figures.main(**json.loads(sys.argv[2]))
"""


def run(script: str, *arguments: str) -> str:
    finished = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy of the workflow's code, to add a file to."""
    house = tmp_path / "house"
    for part in ("scripts", "schemas"):
        shutil.copytree(WORKFLOW / part, house / part, ignore=shutil.ignore_patterns("__pycache__"))
    return house


def test_the_figures_stand_where_they_always_did(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    names = [drawing.file for drawing in drawings(spec, asked_layers(spec, 8))]
    assert [HERE.figure(spec.name, "forest_1", name) for name in names] == [
        f"results/figures/small/forest_1/{name}.png"
        for name in (
            "loaded_image_verification",
            "input_image_visualizations",
            "conv_layer_1_feature_maps",
            "conv_layer_2_feature_maps",
            "model_output",
        )
    ]


def test_every_figure_says_how_to_read_it(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    for drawing in drawings(spec, asked_layers(spec, "all")):
        assert len(drawing.caption) > 60 and "{" not in drawing.caption + drawing.title + drawing.file
    assert "convolution 2:" in drawings(spec, asked_layers(spec, "all"))[3].caption
    assert len({figure.place for figure in FIGURES}) == len(FIGURES)


def test_a_new_figure_is_one_new_file(house, tmp_path, photo):
    module = house / "scripts/promptflux/figures/of_image/pool_means.py"
    module.write_text(MEAN, encoding="utf-8")
    results = classify(tmp_path / "study", {"photo": str(photo)}, ["photo"])

    plan = json.loads(run(PLAN, str(house / "scripts"), str(tmp_path / "study/small.yaml")))
    assert plan["files"][2] == "results/figures/small/x/pool_1_means.png"  # by its place, between 2 and 3
    assert plan["drawn"]["pool_1_means"] == [
        "means of pool 1",
        "The mean of each channel that pooling 1 gives.",
        "maxpool1",
    ]
    assert not {"matplotlib", "PIL", "promptflux.figures.sheet"} & set(plan["modules"])

    figure = results.figure(CLASSIFIER, "photo", "pool_1_means")
    arguments = {
        **files_of_figures(results),
        "images": ["photo"],
        "figures": [figure],
        "threads": 1,
        "style": STYLE,
    }
    run(DRAW, str(house / "scripts"), json.dumps(arguments))
    assert has_color(figure, "#0a0b0c")


def test_figures_are_drawn_again_when_one_of_them_changes(house):
    """The digest of a job's code follows the files that it finds, and no other job's does."""
    module = house / "scripts/promptflux/figures/of_image/model_output.py"
    module.write_text(module.read_text(encoding="utf-8").replace("BAR = 0.68", "BAR = 0.7"), encoding="utf-8")
    scripts, changed = WORKFLOW / "scripts", house / "scripts"
    assert {
        name
        for name in ("figures", "gallery", "confusion", "parity", "preprocess")
        if python_digest(scripts / f"{name}.py", [scripts])
        != python_digest(changed / f"{name}.py", [changed])
    } == {"figures"}


def test_a_figure_that_does_not_say_its_place_is_named(house, tmp_path):
    module = house / "scripts/promptflux/figures/of_image/pool_means.py"
    module.write_text(MEAN.replace("PLACE = 2.5", "PLACE = 5 / 2"), encoding="utf-8")
    command = [sys.executable, "-c", PLAN, str(house / "scripts"), str(write_spec(tmp_path))]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert "of_image/pool_means.py: PLACE is missing, as a plain value" in finished.stderr
