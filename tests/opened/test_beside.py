"""Two studies beside each other: planted differences are found, and nothing else."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.workflow import PROMPTS

from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums, write_checksums
from promptflux.files.tables import read_table
from promptflux.files.whole import sha256_of_file
from promptflux.generation.prompts import Prompt, image_seed
from promptflux.metrics.intervals import paired_difference
from promptflux.opened import beside
from promptflux.study.finished import Asked, find_finished

CONFIG = {"generator": {"seed": 0, "images_per_prompt": 2}}
GRID = {**CONFIG, "variants": {"weak": {"steps": 1}, "long": {"steps": 9}}}


def asked(config=CONFIG, **prompts) -> Asked:
    return Asked(config, [Prompt(name, text) for name, text in prompts.items()])


def names(found) -> list[tuple]:
    return [(it.image, it.other) for it in found]


@pytest.fixture
def other(finished, tmp_path) -> Path:
    """A copy of the results, to be another study."""
    return Path(shutil.copytree(finished / "results", tmp_path / "other/results"))


def record_again(results: Path, *files: str) -> None:
    """Write the sums of files that were changed, as the rule record would."""
    sums = read_checksums(results / "manifest.sha256")
    write_checksums(
        results / "manifest.sha256", sums | {file: sha256_of_file(results / file) for file in files}
    )


def test_images_of_the_same_prompt_and_seed_are_pairs():
    here, there = asked(forest="a forest", sea="the sea"), asked(sea="the sea", forest="a forest")
    found = beside.pairs(here, there)
    assert names(found) == [(f"{name}_{k}", f"{name}_{k}") for name in ("forest", "sea") for k in (1, 2)]
    assert found[0].seed == image_seed(0, "forest", 1) and found[0].prompt == "a forest"
    # Another text, another seed, another negative prompt: not the same image.
    for changed in (
        asked(forest="a wood", sea="the sea"),
        Asked(CONFIG, [Prompt("forest", "a forest", seed=7), Prompt("sea", "the sea")]),
        Asked(CONFIG, [Prompt("forest", "a forest", "fog"), Prompt("sea", "the sea")]),
    ):
        found = names(beside.pairs(here, changed))
        assert found[:2] == [("forest_1", None), ("forest_2", None)] and found[4:] == [
            (None, "forest_1"),
            (None, "forest_2"),
        ]
    # The seed of a prompt may be that of the study there.
    with_seed = Asked(
        {"generator": {**CONFIG["generator"], "seed": 5}}, [Prompt("forest", "a forest", seed=0)]
    )
    assert names(beside.pairs(here, with_seed))[:2] == [("forest_1", "forest_1"), ("forest_2", "forest_2")]


def test_variants_meet_those_of_their_name_or_the_one_study():
    plain, grid = asked(sea="the sea"), asked(GRID, sea="the sea")
    assert names(beside.pairs(plain, grid)) == [
        (f"sea_{k}", f"{variant}/sea_{k}") for k in (1, 2) for variant in ("weak", "long")
    ]
    assert names(beside.pairs(grid, plain)) == [
        (f"{variant}/sea_{k}", f"sea_{k}") for k in (1, 2) for variant in ("weak", "long")
    ]
    one = asked({**CONFIG, "variants": {"weak": {"steps": 1}}}, sea="the sea")
    assert names(beside.pairs(grid, one)) == [
        (f"{variant}/sea_{k}", f"weak/sea_{k}" if variant == "weak" else None)
        for k in (1, 2)
        for variant in ("weak", "long")
    ]


def test_a_study_beside_itself_differs_in_nothing(finished, other):
    here, there = find_finished(finished / "results"), find_finished(other)
    assert beside.differences(here, there) == []
    compared = list(beside.compare_images(here, there, beside.pairs(here.asked, there.asked)))
    assert {it.verdict for it in compared} == {beside.SAME} and len(compared) == 2 * len(PROMPTS)
    said = list(beside.said_of_both(here, there, [it.pair for it in compared]))
    assert len(said) == 2 * len(PROMPTS) + 1  # and the photograph
    rows = list(beside.metrics_beside(here, there, said))
    assert rows and all(it.there is None or it.here == it.there for it in rows)
    assert [it.here.value for it in rows if it.what == "right, here less there"] == [0.0]


def test_planted_differences_are_found(finished, other, tmp_path):
    record = json.loads((other / "study.json").read_text())
    record["config"]["generator"]["guidance_scale"] = 9
    record["prompts"][1]["label"] = "sea"
    (other / "study.json").write_text(json.dumps(record))
    picture = np.asarray(Image.open(other / "images/sea_2.png")).copy()
    picture[0, 0, 0] = picture[0, 0, 0] ^ 64
    Image.fromarray(picture).save(other / "images/sea_2.png")
    Image.open(other / "images/rain_1.png").save(other / "images/rain_1.png", compress_level=0)
    Image.fromarray(picture[:16]).save(other / "images/rain_2.png")
    (other / "images/forest_1.png").write_bytes(b"no image")
    table = other / "predictions/small/torch.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    [row] = [row for row in lines if row[0] == "sea_1"]
    before, row[2] = row[2], next(label for label in lines[0][4:] if label != row[2])
    table.write_text("".join("\t".join(line) + "\n" for line in lines))
    record_again(other, "images/sea_2.png", "predictions/small/torch.tsv")

    here, there = find_finished(finished / "results"), find_finished(other)
    found = {it.what: it for it in beside.differences(here, there)}
    assert {what for what in found if not what.startswith("images made with")} == {
        "generator.guidance_scale",
        "prompt city",
    }
    assert (found["generator.guidance_scale"].here, found["generator.guidance_scale"].there) == ("3", "9")
    compared = {
        it.pair.image: it for it in beside.compare_images(here, there, beside.pairs(here.asked, there.asked))
    }
    assert (compared["sea_2"].verdict, compared["sea_2"].largest) == (beside.DIFFERS, 64.0)
    assert compared["sea_2"].mean == pytest.approx(64 / picture.size)
    assert compared["rain_1"].verdict == beside.SAME_PIXELS and compared["rain_1"].largest == 0
    assert compared["rain_2"].verdict == beside.OTHER_SIZE and compared["rain_2"].largest is None
    assert compared["forest_1"].verdict == beside.BROKEN
    assert {
        it.verdict for name, it in compared.items() if name not in ("sea_2", "rain_1", "rain_2", "forest_1")
    } == {beside.SAME}
    said = list(beside.said_of_both(here, there, [it.pair for it in compared.values()]))
    assert beside.write_labels(tmp_path / "labels.tsv", said) == 1
    header, changed = read_table(tmp_path / "labels.tsv")
    changed = dict(zip(header, changed, strict=True))
    assert (changed["image"], changed["asked"], changed["label"], changed["label_there"]) == (
        "sea_1",
        "sea",
        before,
        row[2],
    )


def test_what_is_right_is_compared_in_pairs(finished, other):
    here = find_finished(finished / "results")
    rows = list(beside.said_of_both(here, find_finished(other), beside.pairs(here.asked, here.asked)))
    rows = [replace(it, asked="forest", here=replace(it.here, predicted="forest")) for it in rows]
    wrong = [
        replace(it, there=replace(it.there, predicted="city" if n < 5 else "forest"))
        for n, it in enumerate(rows)
    ]
    [apart] = [
        it.here for it in beside.metrics_beside(here, here, wrong) if it.what == "right, here less there"
    ]
    ours, theirs = np.ones(len(rows), bool), np.arange(len(rows)) >= 5
    assert apart == paired_difference(ours, theirs) and apart.value == 5 / 9 and apart.low > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("truth/small.tsv", "table of truth"),
        ("metrics/small.tsv", "table of metrics"),
        ("predictions/small/torch.tsv", "table of predictions"),
    ],
)
def test_damaged_tables_are_a_sentence(finished, other, name, said):
    path = other / name
    path.write_text(path.read_text() + "half a row\n")
    if name in read_checksums(other / "manifest.sha256"):
        record_again(other, name)
    here, there = find_finished(finished / "results"), find_finished(other)
    with pytest.raises(StudyError, match=f"{said}.*damaged"):
        found = list(beside.said_of_both(here, there, beside.pairs(here.asked, there.asked)))
        list(beside.metrics_beside(here, there, found))
