"""The table of predictions."""

import predictions
import pytest

from promptflux.errors import StudyError
from promptflux.files.predictions import write_predictions


def batch(path, names, logits, probabilities, labels=("forest", "city")):
    content = {
        "attributes": {"engine": "torch"},
        "names": names,
        "labels": labels,
        "layer_shapes": {},
        "layer_images": [],
        "kept": {},
    }
    with write_predictions(path, **content) as writer:
        writer.logits[:] = logits
        writer.probabilities[:] = probabilities
    return str(path)


def test_a_row_an_image_and_a_column_a_label(tmp_path):
    first = batch(
        tmp_path / "a.h5", ["forest_1", "forest_2"], [[2, 1], [0, 3]], [[0.7310586, 0.2689414], [0.05, 0.95]]
    )
    second = batch(tmp_path / "b.h5", ["my_photo"], [[1, 0]], [[0.5, 0.5]])
    out = tmp_path / "p.tsv"
    predictions.main(generated=[first], own=[second], table=str(out))
    assert out.read_bytes().decode() == (
        "image\tprompt\tpredicted\tconfidence\tforest\tcity\n"
        "forest_1\tforest\tforest\t0.731059\t0.731059\t0.268941\n"
        "forest_2\tforest\tcity\t0.950000\t0.050000\t0.950000\n"
        "my_photo\t\tforest\t0.500000\t0.500000\t0.500000\n"
    )


def test_the_order_of_the_rows_does_not_tell_the_batches(tmp_path):
    names = ["sea_1", "forest_2", "forest_10", "forest_1"]
    paths = [batch(tmp_path / f"{name}.h5", [name], [[2, 1]], [[0.7, 0.3]]) for name in names]
    photo = batch(tmp_path / "photo.h5", ["a_1"], [[2, 1]], [[0.7, 0.3]])
    predictions.main(generated=paths, own=[photo], table=str(tmp_path / "p.tsv"))
    rows = (tmp_path / "p.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["forest_1", "forest_2", "forest_10", "sea_1", "a_1"]


def test_the_logits_decide_where_probabilities_are_equal(tmp_path):
    path = batch(tmp_path / "a.h5", ["x"], [[50, 51]], [[1.0, 1.0]])
    predictions.main(generated=[], own=[path], table=str(tmp_path / "p.tsv"))
    assert (tmp_path / "p.tsv").read_text().splitlines()[1].split("\t")[2] == "city"


def test_labels_in_any_script(tmp_path):
    path = batch(tmp_path / "a.h5", ["x"], [[1, 0]], [[1, 0]], labels=['Wald & "Wiese" $5', "🌆 יער"])
    predictions.main(generated=[], own=[path], table=str(tmp_path / "p.tsv"))
    header = (tmp_path / "p.tsv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split("\t")[4:] == ['Wald & "Wiese" $5', "🌆 יער"]


def test_batches_with_other_labels_do_not_mix(tmp_path):
    first = batch(tmp_path / "a.h5", ["x"], [[1, 0]], [[1, 0]])
    second = batch(tmp_path / "b.h5", ["y"], [[1, 0]], [[1, 0]], labels=("forest", "town"))
    with pytest.raises(StudyError, match="b.h5: its labels differ"):
        predictions.main(generated=[], own=[first, second], table=str(tmp_path / "p.tsv"))
    assert not (tmp_path / "p.tsv").exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match="none.h5"):
        predictions.main(generated=[], own=[str(tmp_path / "none.h5")], table=str(tmp_path / "p.tsv"))
