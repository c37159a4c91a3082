"""The metrics: of planted labels the exact numbers, and of variants what differs and what does not."""

from pathlib import Path

import metrics
import numpy as np
import pytest
import sklearn.metrics
from scipy.special import softmax
from support.drawn_study import STYLE, has_color

from promptflux.errors import StudyError
from promptflux.figures.sheet import ACCENT
from promptflux.files.predictions import write_predictions
from promptflux.metrics.intervals import mean, paired_difference, share
from promptflux.metrics.table import HEADER, Metric, read_metrics
from promptflux.metrics.truth import (
    COLUMN,
    IMAGE_LABELS,
    NONE_NAMED,
    OWN_IMAGES,
    PROMPT,
    TEST_PATTERN,
    Asked,
    write_truth,
)
from promptflux.paths import Results
from promptflux.report.numbers import read_numbers

LABELS = ["forest", "city", "sea", "night sky"]
ENGINES = ["torch", "flux"]


def predictions(path: str, said: dict[str, np.ndarray], labels=LABELS) -> str:
    """A predictions file with the logits of each image."""
    logits = np.array(list(said.values()), np.float32)
    content = {"attributes": {}, "layer_shapes": {}, "layer_images": [], "kept": {}}
    with write_predictions(path, names=list(said), labels=labels, **content) as writer:
        writer.logits[:] = logits
        writer.probabilities[:] = softmax(logits, axis=1)
    return path


def says(label: int, sure: float, others=(0.0, 0.1, 0.2, 0.3)) -> np.ndarray:
    """Logits whose largest is that of a label, and whose softmax there is `sure`."""
    logits = np.array(others, float)
    rest = np.delete(logits, label)
    logits[label] = np.log(sure / (1 - sure)) + np.log(np.exp(rest).sum())
    return logits


def study(
    folder: Path,
    asked: dict[str, Asked],
    generated: dict[str, dict[str, dict[str, np.ndarray]]],
    own: dict[str, dict[str, dict[str, np.ndarray]]] | None = None,
    variants=(),
    labels=None,
) -> Results:
    """Run `metrics.main` on what classifiers say in engines: classifier -> engine -> image -> logits."""
    results = Results(f"{folder}/")
    labels = labels or dict.fromkeys(generated, LABELS)
    engines = list(next(iter(generated.values())))
    for name in generated:
        write_truth(results.truth(name), asked)

    def files(said, batch):
        return [
            predictions(results.predictions(name, engine, batch), said[name][engine], labels[name])
            for name in said
            for engine in engines
        ]

    metrics.main(
        generated=files(generated, "prompts"),
        own=files(own, "images") if own else [],
        truth=[results.truth(name) for name in generated],
        classifiers=labels,
        engines=engines,
        variants=list(variants),
        tables=[results.metrics(name) for name in generated],
        figures=[results.reliability_figure(name) for name in generated],
        style=STYLE,
    )
    return results


def table(results: Results, name="small") -> dict[tuple[str, str, str, str], Metric]:
    """The metrics of the first engine, by what, variant, label and other."""
    rows = read_metrics(results.metrics(name))
    return {
        (row.what, row.variant, row.label, row.other): row for row in rows if row.engine == rows[0].engine
    }


def page(results: Results, name="small") -> dict:
    return read_numbers(name, results.metrics(name), ["torch", "flux"])


# Planted labels ------------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path):
    """Two prompts with three images each, four own images and a broken one; in Flux one image is seen otherwise."""
    asked = {f"wood_{k}": Asked("forest", PROMPT) for k in (1, 2, 3)}
    asked |= {f"town_{k}": Asked("city", COLUMN) for k in (1, 2, 3)}
    asked |= {"fog_1": Asked(None, NONE_NAMED)}
    asked |= {
        "mine": Asked("sea", IMAGE_LABELS),
        "yours": Asked(None, OWN_IMAGES),
        "torn": Asked(None, TEST_PATTERN),
    }
    said = {
        "wood_1": says(0, 0.95),
        "wood_2": says(0, 0.95),
        "wood_3": says(1, 0.65, (0.25, 0, 0.2, 0.3)),
        # `town_3` is not seen among the first three.
        "town_1": says(1, 0.95),
        "town_2": says(2, 0.55),
        "town_3": says(3, 0.75, (0.2, -5, 0.3, 0)),
        "fog_1": says(3, 0.85),
    }
    own = {"mine": says(2, 0.95), "yours": says(2, 0.5), "torn": says(0, 0.4)}
    other = said | {"wood_3": says(0, 0.6)}
    return study(
        tmp_path,
        asked,
        {"small": {"torch": said, "flux": other}, "large": {"torch": other, "flux": other}},
        {"small": {"torch": own, "flux": own}, "large": {"torch": own, "flux": own}},
    )


def test_planted_labels_have_exactly_their_numbers(planted):
    rows = table(planted)

    def of(what, variant="", label="", other=""):
        return rows[what, variant, label, other]

    assert [of("images", group).value for group in ("", "(generated)", "(own images)")] == [10, 7, 3]
    left_out = {row.label: row.value for row in rows.values() if row.what == "left out" and not row.variant}
    assert left_out == {NONE_NAMED: 1, OWN_IMAGES: 1, TEST_PATTERN: 1}
    assert (of("right").value, of("right").n) == (pytest.approx(4 / 7, abs=1e-6), 7)
    assert (of("right", "(generated)").value, of("right", "(own images)").value) == (0.5, 1)
    assert of("top 3").value == pytest.approx(6 / 7, abs=1e-6)
    found = {
        label: tuple(
            rows[what, "", label, ""].value if (what, "", label, "") in rows else None
            for what in ("recall", "precision")
        )
        for label in LABELS
    }
    third = pytest.approx(1 / 3, abs=1e-6)
    two = pytest.approx(2 / 3, abs=1e-6)
    assert found == {"forest": (two, 1), "city": (third, 0.5), "sea": (1, 0.5), "night sky": (None, 0)}
    # Bins: 4 images at 0.95, all right; at 0.55, 0.65 and 0.75 one each, all wrong.
    assert of("calibration error").value == pytest.approx((4 * 0.05 + 0.55 + 0.65 + 0.75) / 7, abs=1e-6)
    bins = {
        row.label: (row.value, row.n)
        for row in rows.values()
        if row.what == "right in a bin" and not row.variant
    }
    assert bins == {"0.5 to 0.6": (0, 1), "0.6 to 0.7": (0, 1), "0.7 to 0.8": (0, 1), "0.9 to 1.0": (1, 4)}
    # Of the nine that are pictures, with or without a label.
    confidences = [0.95, 0.95, 0.65, 0.95, 0.55, 0.75, 0.85, 0.95, 0.5]
    assert of("confidence").value == pytest.approx(np.mean(confidences), abs=1e-6)
    assert of("confidence").n == 9
    assert of("agreement of engines", other="flux").value == pytest.approx(8 / 9, abs=1e-6)
    assert of("agreement of classifiers", other="large").value == pytest.approx(8 / 9, abs=1e-6)
    assert has_color(planted.reliability_figure("small"), ACCENT)


def test_every_row_is_of_an_engine_and_the_others_are_those_of_the_other(planted):
    rows = read_metrics(planted.metrics("small"))
    assert {row.engine for row in rows} == {"torch", "flux"}
    right = {row.engine: row.value for row in rows if row.what == "right" and not row.variant}
    assert right == {"torch": pytest.approx(4 / 7, abs=1e-6), "flux": pytest.approx(5 / 7, abs=1e-6)}
    header = Path(planted.metrics("small")).read_text(encoding="utf-8").splitlines()[0]
    assert header.split("\t") == HEADER


def test_the_page_says_what_is_left_out_and_that_seven_images_are_few(planted):
    shown = page(planted)
    assert shown["known"] == 7 and shown["images"] == 10
    assert shown["left_out"] == (
        "3 of 10 images have no known label, and are left out: 1 whose prompt names none of its labels, 1 of your own "
        "without a label, 1 that could not be read."
    )
    assert shown["wide"].startswith(
        "With few images the numbers are wide: of 1 image (your own images) the share"
    )
    assert [group["title"] for group in shown["groups"]] == [
        "all images",
        "generated images",
        "your own images",
    ]
    assert [row["label"] for row in shown["labels"]] == ["forest", "city", "sea", "night sky"]
    assert (
        shown["compared"] == 0
        and list(shown["classifiers"]) == ["large"]
        and list(shown["engines"]) == ["flux"]
    )


def test_a_study_without_any_truth_says_why_there_are_no_shares(tmp_path):
    images = {f"fog_{k}": says(k, 0.8) for k in (1, 2)}
    results = study(
        tmp_path, {name: Asked(None, NONE_NAMED) for name in images}, {"small": {"torch": images}}
    )
    found = {row.what for row in read_metrics(results.metrics("small"))}
    assert found == {"images", "left out", "confidence"}
    shown = page(results)
    assert shown["known"] == 0 and shown["wide"] == "" and not shown["labels"]
    assert shown["left_out"] == "No image has a known label: 2 whose prompt names none of its labels."
    assert not has_color(results.reliability_figure("small"), ACCENT)


def test_the_numbers_are_those_of_scikit_learn_on_the_same_images(tmp_path):
    random = np.random.default_rng(3)
    truth, said = {}, {}
    for number in range(300):
        label = int(random.integers(4))
        truth[f"a{number}_1"] = Asked(LABELS[label], PROMPT)
        said[f"a{number}_1"] = random.normal(0, 1.5, 4) + 2 * np.eye(4)[label]
    rows = table(study(tmp_path, truth, {"small": {"torch": said}}))
    asked = [LABELS.index(it.label) for it in truth.values()]
    logits = np.array(list(said.values()), np.float32)
    seen = logits.argmax(axis=1)
    report = sklearn.metrics.classification_report(asked, seen, target_names=LABELS, output_dict=True)
    assert rows["right", "", "", ""].value == pytest.approx(report["accuracy"], abs=1e-6)
    for label in LABELS:
        for what in ("precision", "recall"):
            row = rows[what, "", label, ""]
            assert row.value == pytest.approx(report[label][what], abs=1e-6)
            assert row.low < row.value < row.high
        assert rows["recall", "", label, ""].n == report[label]["support"]
    third = np.sort(logits, axis=1)[:, -3]
    top = np.mean(logits[np.arange(300), asked] >= third)
    assert rows["top 3", "", "", ""].value == pytest.approx(top, abs=1e-6)
    sure = softmax(logits, axis=1).max(axis=1)
    error = sum(
        abs((seen == asked)[chosen].mean() - sure[chosen].mean()) * chosen.mean()
        for chosen in (np.ceil(sure * 10) == edge for edge in range(1, 11))
        if chosen.any()
    )
    assert rows["calibration error", "", "", ""].value == pytest.approx(error, abs=1e-5)


# Variants ------------------------------------------------------------------------------


def variants_of(folder: Path, right: dict[str, list[bool]]) -> Results:
    """A study whose variants have these images of one label right."""
    said = {
        f"{variant}/p{number}_1": says(0 if is_right else 1, 0.9 if is_right else 0.7)
        for variant, row in right.items()
        for number, is_right in enumerate(row)
    }
    asked = {name: Asked("forest", PROMPT) for name in said}
    return study(folder, asked, {"small": {"torch": said}}, variants=right)


def test_a_variant_that_is_better_and_one_that_is_not(tmp_path):
    base = [number % 2 == 0 for number in range(60)]
    better = [number % 10 != 1 for number in range(60)]
    same = [not it if number < 6 else it for number, it in enumerate(base)]
    results = variants_of(tmp_path, {"weak": base, "same": same, "strong": better})
    rows = table(results)
    it = rows["difference of right", "strong", "", "weak"]
    assert (it.value, it.n, it.level) == (
        pytest.approx(0.4, abs=1e-6),
        60,
        pytest.approx(1 - 0.05 / 3, abs=1e-6),
    )
    assert rows["difference of confidence", "strong", "", "weak"].value == pytest.approx(0.4 * 0.2, abs=1e-5)
    shown = page(results)
    assert (shown["compared"], shown["distinct"]) == (3, 2)
    texts = [said["text"] for said in shown["statements"]]
    assert texts[0].startswith(
        "same and weak: the difference is not distinguishable from none with 60 pairs (\u221210.1 to 10.1 points)."
    )
    assert texts[1].startswith("strong is right more often than weak: by 40.0 points (")
    assert texts[2].startswith("strong is right more often than same: by 40.0 points (")
    assert [said["is_any"] for said in shown["statements"]] == [False, True, True]


def test_equal_variants_differ_in_nothing_and_the_first_may_be_the_better(tmp_path):
    equal = variants_of(tmp_path / "equal", {"a": [True] * 8, "b": [True] * 8})
    [said] = page(equal)["statements"]
    assert "not distinguishable from none with 8 pairs" in said["text"]  # and not "with certainty the same"
    row = table(equal)["difference of right", "b", "", "a"]
    assert row.low < -0.2 and row.high > 0.2 and row.level == 0.95
    worse = variants_of(tmp_path / "worse", {"a": [True] * 40, "b": [False] * 30 + [True] * 10})
    [said] = page(worse)["statements"]
    assert said["text"].startswith("a is right more often than b: by 75.0 points (")


def test_pairs_are_those_of_the_same_prompt_and_number(tmp_path):
    """The same shares, in other pairs, have another interval."""
    one = [True] * 20 + [False] * 20
    aligned = table(variants_of(tmp_path / "one", {"a": one, "b": [*one[:-4], *[True] * 4]}))
    crossed = table(variants_of(tmp_path / "two", {"a": one, "b": [False] * 16 + [True] * 24}))
    near, far = (rows["difference of right", "b", "", "a"] for rows in (aligned, crossed))
    assert near.value == far.value == pytest.approx(0.1)
    assert near.high - near.low < 0.5 * (far.high - far.low)


def test_of_many_variants_each_is_compared_with_the_first(tmp_path):
    results = variants_of(tmp_path, {f"v{number:02}": [True, False] for number in range(14)})
    shown = page(results)
    assert shown["compared"] == 13 and shown["first"] == "v00" and shown["statements"] == []
    others = {
        (row.variant, row.other) for row in table(results).values() if row.what == "difference of right"
    }
    assert others == {(f"v{number:02}", "v00") for number in range(1, 14)}


def test_a_label_of_other_classifiers_is_no_agreement(tmp_path):
    images = {"a_1": says(0, 0.9)}
    asked = {"a_1": Asked("forest", PROMPT)}
    labels = {"small": LABELS, "other": LABELS[::-1]}
    results = study(tmp_path, asked, {"small": {"torch": images}, "other": {"torch": images}}, labels=labels)
    assert not any("agreement" in row.what for row in read_metrics(results.metrics("small")))


def test_a_truth_of_other_images_or_other_labels_is_refused(tmp_path):
    images = {"a_1": says(0, 0.9), "b_1": says(0, 0.9)}
    with pytest.raises(StudyError, match="'b_1' is in one of them alone"):
        study(tmp_path, {"a_1": Asked("forest", PROMPT)}, {"small": {"torch": images}})
    Path(f"{tmp_path}/table.tsv").write_text("image\tlabel\n")
    with pytest.raises(StudyError, match="the columns are image, label; a table of metrics has what"):
        read_metrics(tmp_path / "table.tsv")


def test_classifiers_agree_on_images_in_whichever_order_their_files_have_them(tmp_path):
    said = {f"{name}_1": says(number % 4, 0.9) for number, name in enumerate("abcdef")}
    asked = {name: Asked("forest", PROMPT) for name in said}
    turned = dict(reversed(said.items()))
    results = study(tmp_path, asked, {"small": {"torch": said}, "large": {"torch": turned}})
    assert table(results)["agreement of classifiers", "", "", "large"].value == 1


def test_the_same_bytes_whatever_the_batches(tmp_path):
    random = np.random.default_rng(0)
    said = {f"{name}_{k}": random.normal(0, 1, 4) for name in "ab" for k in (1, 2)}
    asked = {name: Asked("forest", PROMPT) for name in said}
    one = study(tmp_path / "one", asked, {"small": {"torch": said}})
    two = study(tmp_path / "two", asked, {"small": {"torch": dict(reversed(said.items()))}})
    for path in (Results.metrics, Results.reliability_figure):
        assert Path(path(one, "small")).read_bytes() == Path(path(two, "small")).read_bytes()


# Intervals -----------------------------------------------------------------------------


def pairs(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    one = np.repeat([True, True, False, False], [both, first, second, neither])
    two = np.repeat([True, False, True, False], [both, first, second, neither])
    return one, two


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Newcombe (1998), table II, method 10
        (
            (1, 1, 7, 12),
            -0.507,
            -0.026,
        ),  # Fagerland, Lydersen, Laake, Statistical Analysis of Contingency Tables (2017)
    ],
)
def test_a_paired_interval_is_the_published_one(cells, low, high):
    it = paired_difference(*pairs(*cells))
    assert (it.low, it.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_a_paired_interval_holds_what_it_says():
    """In 95% of studies the true difference lies in it: 0.5 less 0.35, on 40 pairs that go together."""
    random = np.random.default_rng(1)
    draws = random.multinomial(40, [0.25, 0.25, 0.1, 0.4], size=2000)
    inside = [
        it.low <= 0.15 <= it.high
        for it in (paired_difference(*pairs(*cells)) for cells in np.unique(draws, axis=0))
    ]
    _, counts = np.unique(draws, axis=0, return_counts=True)
    assert 0.935 < np.average(inside, weights=counts) < 0.985


def test_intervals_of_shares_and_means():
    it = share(8, 10)  # Wilson (1927) by Brown, Cai and DasGupta's formula
    z = 1.959963984540054
    center, half = (0.8 + z**2 / 20) / (1 + z**2 / 10), z * np.sqrt(0.016 + z**2 / 400) / (1 + z**2 / 10)
    assert (it.low, it.high) == (pytest.approx(center - half), pytest.approx(center + half))
    assert mean(np.array([0.9]), (0, 1)).low is None and mean(np.full(5, 0.3), (0, 1)).high is None
    assert mean(np.array([0.99, 0.9, 1.0]), (0, 1)).high == 1
