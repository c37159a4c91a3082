"""The report: one page that is whole, harmless and of a bounded size."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import report
from PIL import Image
from support.drawn_study import HOSTILE, draw

from promptflux.figures.of_study import (
    activations,
    confusion,
    gallery,
    map_of_images,
    parity,
    reliability,
    where_the_time_went,
)
from promptflux.figures.text import tame
from promptflux.images.inputs import InputSpec
from promptflux.images.provenance import read_provenance, write_png
from promptflux.report import page as page_module
from promptflux.report.page import percent, picture
from promptflux.report.words import input_sentence

VOID = {"meta", "img", "br", "image", "use", "link", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags with attributes, its text, and unclosed tags."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.open, self.pieces = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def all(self, tag) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder and the arguments of a report on prompts of every kind."""
    folder = tmp_path_factory.mktemp("study")
    return folder, draw(folder, HOSTILE)


def write(drawn, **changes) -> Page:
    folder, arguments = drawn
    return written(folder, arguments | changes)


def written(folder, arguments: dict) -> Page:
    """The page that `report.main` writes into the results below `folder`."""
    output = folder / "results/report.html"
    report.main(**arguments, report=str(output), times=str(folder / "results/figures/times.png"))
    return Page(output)


def test_the_page_is_whole_and_needs_nothing_else(study):
    page = write(study)
    assert page.open == []
    assert not page.all("script") and not page.all("link")
    for tag in ("img", "image"):
        assert page.all(tag)
        assert all(
            (it.get("src") or it.get("href")).startswith("data:image/webp;base64,") for it in page.all(tag)
        )
    used = {it["href"].removeprefix("#") for it in page.all("use")}
    assert used <= {it["id"] for it in page.all("image")}
    for link in page.all("a"):
        file, _, _ = link["href"].partition("#")
        assert not file or (study[0] / "results" / file).exists()
    ids = [it["id"] for _, it in page.tags if "id" in it]
    assert len(ids) == len(set(ids))
    policy = next(it["content"] for it in page.all("meta") if it.get("http-equiv"))
    assert "default-src 'none'" in policy


def test_hostile_text_stays_text(study):
    page = write(study)
    for text in HOSTILE.values():
        assert tame(" ".join(text.split())) in page.text
    assert not set(page.text) & set(map(chr, (*range(9), *range(11, 32), *range(127, 160))))
    assert "{{ 7 * 7 }}" in page.text
    assert 'a "$(folder)" <i>🌆</i>' in page.text
    assert "A <small> network & no more." in page.text
    assert not [it for _, it in page.tags if any(key.startswith("on") for key in it)]
    assert not page.all("i") or all(
        "style" in it for it in page.all("i")
    )  # the bars, and no <i> of the config


def test_every_figure_is_there_with_a_caption(study):
    classifier = study[1]["classifiers"][0]
    expected = [gallery.CAPTION, reliability.CAPTION, confusion.CAPTION, activations.CAPTION]
    expected += [classifier["captions"][path.rpartition("/")[2][:-4]] for path in paths_of(classifier)]
    expected.append(where_the_time_went.CAPTION)
    page = write(study, benchmarks=benchmarks_of(study[0], 3.0))
    assert [image["alt"] for image in page.all("img")] == expected
    assert all(caption in page.text for caption in expected)


def mapped(study, duplicates: list[str], nearest: list[str] | None = None) -> Page:
    """The page with a map whose tables have these lines."""
    folder, arguments = study
    [classifier] = arguments["classifiers"]
    files = {"figure": classifier["confusion"]}
    tables = {"places": [], "duplicates": duplicates, **({} if nearest is None else {"nearest": nearest})}
    for name, lines in tables.items():
        path = folder / f"results/map/{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in ["the\thead", *lines]), encoding="utf-8")
        files[name] = str(path)
    asked = json.loads(Path(arguments["study"]).read_text())
    asked["config"]["map"] = {"distance": 0.02, "pixels": 10}
    other = folder / "results/mapped.json"
    other.write_text(json.dumps(asked))
    return write(study, classifiers=[{**classifier, "map": files}], study=str(other))


def test_near_duplicates_are_named_and_shown(study):
    page = mapped(study, ["plain_1\temoji_2\t0.001234\t3.25\t", "long_1\tlong_2\t0.010000\t9.00\tprompt"])
    assert map_of_images.CAPTION in page.text
    assert (
        "2 pairs of generated images are nearly the same" in page.text
        and "4 images are in such pairs" in page.text
    )
    assert (
        "plain_1 plain_1 emoji_2 emoji_2 0.001234 3.25 – long_1 long_1 long_2 long_2 0.010000 9.00 prompt"
        in page.text
    )
    assert "at most 0.02 apart" in page.text and "at most by 10 of 255" in page.text
    images = {it["href"] for it in page.all("use")}
    assert {f"#image-{name}" for name in ("plain_1", "emoji_2", "long_1", "long_2")} <= images
    assert "Your own" not in page.text


def test_of_many_duplicates_the_nearest_are_named(study):
    page = mapped(study, [f"plain_1\tno_{k}\t0.000000\t0.00\t" for k in range(500)])
    assert "500 pairs" in page.text and "no_11" in page.text and "no_12" not in page.text
    assert "The nearest 12 of 500 pairs are listed." in page.text


def test_without_a_duplicate_that_is_said(study):
    page = mapped(study, [], ["plain_1\t1\tphoto\t0.500000\t", "plain_2\t1\tphoto\t0.001000\t2.00"])
    assert "No two generated images are nearly the same." in page.text
    assert page.text.index("photo photo 0.001000 2.00") < page.text.index("photo photo 0.500000 –")


def test_without_a_map_there_is_none(study):
    assert "Where the images lie" not in write(study).text


def paths_of(classifier: dict) -> list[str]:
    return [path for entry in classifier["figures"] for path in entry["paths"]]


def benchmarks_of(folder, seconds: float) -> dict[str, list[str]]:
    """The benchmark of one job of a stage, as Snakemake writes it."""
    path = folder / "benchmark.tsv"
    path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    return {"Drawing the figures": [str(path)]}


def test_the_page_says_what_is_dead_and_what_there_is_not(study, tmp_path):
    arguments = study[1]
    page = write(study)
    assert ("dead: " in page.text) or "No channel is dead" in page.text
    assert "There is no Grad-CAM" not in page.text
    table = Path(arguments["classifiers"][0]["activations"]["table"])
    planted = tmp_path / "activations.tsv"
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    for row in lines[1:]:
        row[-1] = "dead" if row[0] == "conv2" and int(row[1]) <= 3 else ""
    planted.write_text("\n".join("\t".join(row) for row in lines))
    [classifier] = arguments["classifiers"]
    changed = classifier | {
        "activations": classifier["activations"] | {"table": str(planted)},
        "no_gradcam": True,
    }
    page = write(study, classifiers=[changed])
    assert "3 channels are dead: they give one value at every place" in page.text
    assert "in conv2 (1, 2, 3)." in page.text
    assert "There is no Grad-CAM of small" in page.text


def test_a_figure_has_its_size_in_inches_whatever_its_dpi(tmp_path):
    for dpi in (50, 100, 400):
        Image.new("RGB", (2 * dpi, dpi)).save(tmp_path / "figure.png", dpi=(dpi, dpi))
        shown = picture(str(tmp_path / "figure.png"))
        assert (shown["width"], shown["height"]) == (186, 93)
        assert shown["uri"].startswith("data:image/webp;base64,")


def test_a_broken_image_is_red(study):
    page = write(study)
    assert "1 image could not be read." in page.text
    assert "broken.png' is not a PNG, JPEG or WebP image" in page.text
    assert [row for row in page.all("tr") if "bad" in (row.get("class") or "")]


def test_an_image_that_is_marked_is_said(tmp_path):
    """What looking at it found is text of others, too."""
    drawn = (tmp_path, draw(tmp_path, HOSTILE))
    assert "no picture of the prompt" not in write(drawn).text
    first, second, *_ = sorted((tmp_path / "results/images").glob("*.png"))
    for path, mark in {
        first: {"problem": "it came out all <b>black</b>"},
        second: {"safety_checker": "blacked out"},
    }.items():
        with Image.open(path) as image:
            picture = image.convert("RGB")
        provenance = read_provenance(path)
        write_png(path, picture, {**provenance, "made_with": {**provenance.get("made_with", {}), **mark}})
    page = write(drawn)
    assert "2 generated images are no picture of the prompt." in page.text
    assert f"{first.stem} : it came out all <b>black</b>" in page.text
    assert f"{second.stem} : the model's safety checker blacked it out" in page.text


def test_one_engine_and_two(study, tmp_path):
    assert (
        "as one engine ran. The classifiers run in PyTorch alone: Julia was not found." in write(study).text
    )
    table = tmp_path / "parity.tsv"
    header = "layer\timages\tshape\tmax_abs_diff\tmax_rel_diff\tverdict\n"
    classifier = study[1]["classifiers"][0]
    compared = {"titles": ["Flux", "PyTorch"], "table": str(table), "figure": classifier["confusion"]}
    changed = classifier | {
        "parity": [compared],
        "predictions": dict.fromkeys(("torch", "flux"), classifier["predictions"]["torch"]),
    }
    both = {"classifiers": [changed], "engines": {"torch": "PyTorch", "flux": "Flux"}}
    table.write_text(header + "conv1\t2\t4×10×8\t1.2e-07\t3.0e-07\tok\n", encoding="utf-8")
    page = write(study, **both)
    assert "Flux and PyTorch compared The engines agree." in page.text
    assert "1.2e-07" in page.text and "PyTorch says Flux says" in page.text
    assert parity.CAPTION in page.text and "as one engine ran" not in page.text
    table.write_text(header + "probabilities\t2\t3\t1.2e-01\t3.0e-01\tFAIL\n", encoding="utf-8")
    assert "The engines differ" in write(study, **both).text


def test_where_the_time_went(study, tmp_path):
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, line in (("a", "95.2\t0:01:35\t1500.4"), ("b", "10.0\t0:00:10\tNA"), ("c", "NA\tNA\tNA")):
        (tmp_path / name).write_text(header + line + "\t0" * 7 + "\n")
    paths = [str(tmp_path / name) for name in ("a", "b", "c", "absent")]
    page = write(study, benchmarks={"Generating the images": paths, "Inference in Flux": paths[3:]})
    assert "Generating the images 1 min 45 s 2 1,500 MB" in page.text
    assert "Inference in Flux" not in page.text
    assert len(page.all("img")) == 1 + len(write(study).all("img"))
    assert "No stage has been measured." in write(study).text


def test_how_far_another_run_is(study, tmp_path):
    table = tmp_path / "verify.tsv"
    header = "file\tverdict\tlargest_difference\tmean_difference\n"
    table.write_text(header + "images/a_1.png\tsame bytes\t0\t0\n", encoding="utf-8")
    assert "All files are the same bytes (1)." in write(study, verified=str(table)).text
    with table.open("a") as file:
        file.write("images/b_1.png\tdiffers\t3\t0.25\nimages/c_1.png\tnot there\t\t\n")
    text = write(study, verified=str(table)).text
    assert (
        "1 of 3 files are the same bytes. Where images differ, they do by at most 3 of 255, by 0.25" in text
    )
    assert "images/c_1.png not there" in text
    assert "Compared with another run" not in write(study).text


def test_what_it_was_made_with(study):
    page = write(study)
    assert re.search(r"scheduler DDIMScheduler", page.text)
    assert re.search(r"PyTorch 2\.\S+, Python 3\.\S+, on cpu", page.text)
    assert f"numpy {np.__version__}" in page.text


def test_own_images_alone(study):
    asked = json.loads(Path(study[1]["study"]).read_text(encoding="utf-8")) | {"prompts": []}
    alone = study[0] / "alone.json"
    alone.write_text(json.dumps(asked), encoding="utf-8")
    page = write(study, study=str(alone))
    assert "Images of your own" in page.text
    assert "512 × 600, RGB" in page.text
    assert gallery.CAPTION_WITHOUT_PROMPTS in page.text


def test_a_large_study_makes_a_small_page(tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_DRAWN_IMAGES", 2)
    texts = {f"prompt{number}": f"A city, number {number} " + "x" * 300 for number in range(250)}
    arguments = draw(tmp_path, texts, count=1, images_drawn=3)
    page = written(tmp_path, arguments)
    assert (tmp_path / "results/report.html").stat().st_size < 5e6
    assert len(page.all("image")) == 60
    assert "200 of 250 prompts are listed." in page.text
    assert "60 images of 252 are shown; all generated images lie in images/" in page.text
    assert "200 of 252 images are listed; the explorer has all." in page.text
    assert "The figures of 2 of 3 images are shown; all lie in figures/small/" in page.text


def test_shares():
    assert [percent(value) for value in (0, 0.5, 0.99949, 0.99999, 1)] == [
        "0.0%",
        "50.0%",
        "99.9%",
        ">99.9%",
        "100.0%",
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gray28", "gray, 28 × 28 pixels, the center cropped, values 0 to 1"),
        ("imagenet224", "RGB, 224 × 224 pixels, the center of an image whose shorter side has 256 pixels, "
         "values less 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225"),
    ],
)  # fmt: skip
def test_how_a_classifier_wants_its_images_is_a_sentence(name, sentence):
    assert input_sentence(InputSpec.from_config(name)) == sentence
