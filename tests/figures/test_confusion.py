"""The confusion: which label a prompt names, and how often it was seen."""

import confusion
import numpy as np
import pytest
from support.drawn_study import LABELS, STYLE, pixels
from support.specs import write_spec

from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError
from promptflux.files.tensors import write_tensors
from promptflux.metrics.truth import named_label, read_truth


def prompts_table(folder, texts: dict[str, str]) -> str:
    """A prompts table of names and texts."""
    path = folder / "prompts.tsv"
    path.write_text("name\tprompt\n" + "".join(f"{name}\t{text}\n" for name, text in texts.items()))
    return str(path)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A vibrant FOREST at dusk", "forest"),
        ("two cities and a forest", "city"),
        ("beaches", "beach"),
        ("a rainforest and a cityscape", None),
        ("a night sky over the city", "night sky"),
        ("night-skies", "night sky"),
        ("forest, city", "forest"),
        ("", None),
        ("it costs c++ (really) $5", "c++ (really)"),
    ],
)
def test_the_label_that_a_prompt_names(text, label):
    labels = ["city", "forest", "beach", "night", "night sky", "c++ (really)"]
    assert named_label(text, labels) == label


def test_the_confusion_counts_what_was_asked_against_what_was_predicted(tmp_path):
    rows = [
        ("a_1", "forest"),
        ("a_2", "city"),
        ("b_1", "city"),
        ("c_1", LABELS[2]),
        ("own", "forest"),
        ("own_2", "city"),
    ]
    lines = [["image", "prompt", "predicted", "confidence", *LABELS]]
    prompts = {image: image.rpartition("_")[0] if "own" not in image else "" for image, _ in rows}
    lines += [[image, prompts[image], predicted, "1", "0", "0", "1"] for image, predicted in rows]
    table = tmp_path / "torch.tsv"
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")

    def run(**image_labels):
        confusion.main(
            predictions=str(table),
            prompts=[prompts_table(tmp_path, {"a": "a forest", "b": "the city", "c": "nothing of these"})],
            tensors=[],
            labels=LABELS,
            image_labels=image_labels,
            classifier="small",
            truth=str(tmp_path / "truth.tsv"),
            table=str(tmp_path / "confusion.tsv"),
            figure=str(tmp_path / "confusion.png"),
            style=STYLE,
        )
        lines = (tmp_path / "confusion.tsv").read_text(encoding="utf-8").splitlines()
        return [line.split("\t") for line in lines]

    assert run() == [
        ["asked", *LABELS],
        ["forest", "1", "1", "0"],
        ["city", "0", "1", "0"],
        ["(none named)", "0", "0", "1"],
        ["(own images)", "1", "1", "0"],
    ]
    assert (tmp_path / "truth.tsv").read_text(encoding="utf-8").splitlines() == [
        "image\tlabel\tsource",
        "a_1\tforest\tprompt",
        "a_2\tforest\tprompt",
        "b_1\tcity\tprompt",
        "c_1\t\t(none named)",
        "own\t\t(own images)",
        "own_2\t\t(own images)",
    ]
    assert run(city=["own_2"], whale=["own"])[2:] == [
        ["city", "0", "2", "0"],
        ["(none named)", "0", "0", "1"],
        ["(another label)", "1", "0", "0"],
    ]
    own = [[cells[0], "", *cells[2:]] for cells in lines[1:]]
    table.write_text("".join("\t".join(line) + "\n" for line in [lines[0], *own]), encoding="utf-8")
    assert run() == [["asked", *LABELS], ["(own images)", "2", "3", "1"]]
    table.write_text("\t".join(lines[0]) + "\n", encoding="utf-8")
    with pytest.raises(StudyError, match="no rows"):
        run()


def test_a_confusion_of_a_thousand_labels_draws_those_that_matter(tmp_path):
    labels = [f"label {number}" for number in range(1000)]
    lines = [["image", "prompt", "predicted", "confidence", *labels]]
    lines += [
        [f"a{number}_1", f"a{number}", labels[500 + number % 7], "1", *["0"] * 1000] for number in range(50)
    ]
    table = tmp_path / "torch.tsv"
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    confusion.main(
        predictions=str(table),
        prompts=[
            prompts_table(tmp_path, {f"a{number}": f"a label {number % 3} here" for number in range(50)})
        ],
        tensors=[],
        labels=labels,
        image_labels={},
        classifier="wide",
        truth=str(tmp_path / "truth.tsv"),
        table=str(tmp_path / "confusion.tsv"),
        figure=str(tmp_path / "confusion.png"),
        style=STYLE,
    )
    assert pixels(tmp_path / "confusion.png").shape[1] < 40 * 20


def test_a_test_pattern_is_asked_nothing(tmp_path):
    spec = load_spec(write_spec(tmp_path, "small")).input
    with write_tensors(tmp_path / "tensors.h5", spec, ["a_1", "a_2", "own"]) as writer:
        for problem in ("", "cannot be read", "cannot be read"):
            writer.add(np.zeros(spec.shape, np.float32), "0" * 64, (1, 1), "RGB", problem)
    rows = [["image", "prompt", "predicted", "confidence", *LABELS]]
    rows += [
        [image, prompt, "city", "1", "0", "1", "0"]
        for image, prompt in (("a_1", "a"), ("a_2", "a"), ("own", ""))
    ]
    (tmp_path / "torch.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    confusion.main(
        predictions=str(tmp_path / "torch.tsv"),
        prompts=[prompts_table(tmp_path, {"a": "a forest"})],
        tensors=[str(tmp_path / "tensors.h5")],
        labels=LABELS,
        image_labels={"city": ["own"]},
        classifier="small",
        truth=str(tmp_path / "truth.tsv"),
        table=str(tmp_path / "confusion.tsv"),
        figure=str(tmp_path / "confusion.png"),
        style=STYLE,
    )
    assert {image: it.label for image, it in read_truth(tmp_path / "truth.tsv").items()} == {
        "a_1": "forest",
        "a_2": None,
        "own": None,
    }
    assert (tmp_path / "confusion.tsv").read_text(encoding="utf-8").splitlines()[1:] == [
        "forest\t0\t1\t0",
        "(test pattern)\t0\t2\t0",
    ]
