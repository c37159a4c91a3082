"""Where images lie: planted duplicates are found, and nothing else; the rest is what scikit-learn says of the features."""

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_distances
from support.drawn_study import CLASSIFIER, photograph

from promptflux.errors import StudyError
from promptflux.map import neighbors, projection
from promptflux.map.neighbors import distances, near_duplicates, nearest
from promptflux.map.projection import project
from promptflux.map.rows import Rows, read_rows


def cut(number: int) -> Image.Image:
    """A part of the photograph, each another one, 64×64."""
    left, top = 67 * number % 380, 151 * number % 420
    return photograph().resize((64, 64), box=(left, top, left + 130, top + 130))


def as_jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def tinted(picture: Image.Image) -> Image.Image:
    """The same in gray, by Pillow's own weights of red, green and blue, and in other colors."""
    red, _, blue = picture.split()
    green = np.asarray(picture.convert("L"), float) - 0.299 * np.asarray(blue) - 0.114 * np.asarray(red)
    green = Image.fromarray(np.clip(green / 0.587, 0, 255).round().astype(np.uint8))
    return Image.merge("RGB", (blue, green, red))


PICTURES = {f"{prompt}_{k}": cut(4 * number + k) for number, prompt in enumerate("abc") for k in (1, 2, 3)}
GENERATED = PICTURES | {"b_4": as_jpeg(PICTURES["a_2"]), "c_4": PICTURES["c_1"]}
OWN = {"z_mine": cut(20), "copy": as_jpeg(PICTURES["b_3"]), "other": cut(21)}


def test_planted_duplicates_are_found_and_nothing_else(mapped, capsys):
    study = mapped(GENERATED, {})
    first, second = study.table("duplicates")
    assert first == ["c_1", "c_4", "0.000000", "0.00", "prompt"]
    assert second[:2] == ["a_2", "b_4"] and second[4] == ""
    assert 0 < float(second[2]) <= 0.02 and 0 < float(second[3]) <= 10
    assert "2 pairs of near-duplicates among 11 generated images" in capsys.readouterr().err
    assert not Path(study.results.nearest_table(CLASSIFIER)).exists()


def test_what_a_classifier_alone_calls_alike_is_told_apart_by_the_pixels(mapped):
    """It sees gray. Where the pixels may differ by any amount, the pair is named."""
    study = mapped(PICTURES | {"c_4": tinted(PICTURES["a_1"])}, {})
    assert study.table("duplicates") == []
    study.map(True, False, pixels=255.0)
    assert ["a_1", "c_4"] in [row[:2] for row in study.table("duplicates")]
    study.map(True, False, pixels=255.0, distance=2.0)
    assert len(study.table("duplicates")) == 10 * 9 / 2


def test_variants_of_one_seed_are_told_from_chance(mapped):
    pictures = {"weak/a_1": cut(1), "strong/a_1": cut(1), "strong/a_2": cut(2), "weak/a_3": cut(2)}
    study = mapped(pictures, {})
    assert [[row[0], row[1], row[4]] for row in study.table("duplicates")] == [
        ["strong/a_1", "weak/a_1", "prompt and seed"],
        ["strong/a_2", "weak/a_3", "prompt"],
    ]
    header = Path(study.results.map_table(CLASSIFIER)).read_text().splitlines()[0]
    assert header.split("\t") == ["image", "variant", "prompt", "asked", "predicted", "pca_1", "pca_2"]


def test_the_own_images_nearest_to_each(mapped):
    study = mapped(PICTURES, OWN)
    rows = study.table("nearest")
    assert [row[:2] for row in rows] == [[name, place] for name in PICTURES for place in "12"]
    found, _ = read_rows(
        [study.results.features(CLASSIFIER, batch) for batch in study.batches], [*PICTURES, *sorted(OWN)]
    )
    apart = cosine_distances(found.matrix())[: len(PICTURES), len(PICTURES) :]
    for number, name in enumerate(PICTURES):
        order = np.argsort(apart[number])[:2]
        assert [row[2] for row in rows if row[0] == name] == [sorted(OWN)[it] for it in order]
    for row in rows:
        assert float(row[3]) == pytest.approx(
            apart[[*PICTURES].index(row[0]), sorted(OWN).index(row[2])], abs=1e-6
        )
        assert (row[4] != "") == (float(row[3]) <= 0.02)
    [copy] = [row for row in rows if row[0] == "b_3" and row[1] == "1"]
    assert copy[2] == "copy" and float(copy[4]) < 10


def test_batches_leave_no_trace(mapped):
    one = mapped(GENERATED, OWN, "one")
    names = list(GENERATED)
    shuffled = {name: GENERATED[name] for name in [*names[5:], *names[:5]]}
    other = mapped(shuffled, dict(reversed(OWN.items())), "other", size=2)
    assert one.bytes() == other.bytes()
    assert set(one.bytes()) == {
        f"{CLASSIFIER}_{it}" for it in ("map.tsv", "map.png", "duplicates.tsv", "nearest.tsv")
    }
    again = mapped(GENERATED, OWN, "again")
    file = one.results.features(CLASSIFIER, "p0")
    assert Path(file).read_bytes() == Path(again.results.features(CLASSIFIER, "p0")).read_bytes()


def test_one_image(mapped):
    study = mapped({"a_1": cut(1)}, {})
    assert study.table("duplicates") == []
    assert [(row[0], *row[4:]) for row in study.table("map")] == [("a_1", "0", "0")]


def test_own_images_alone(mapped):
    study = mapped({}, OWN)
    assert {row[0] for row in study.table("map")} == set(OWN)
    assert set(study.bytes()) == {f"{CLASSIFIER}_map.tsv", f"{CLASSIFIER}_map.png"}


def test_a_test_pattern_lies_nowhere(mapped, capsys):
    """Two of them are the same picture, and say nothing of the images."""
    study = mapped(PICTURES, OWN | {"bad": None, "worse": None})
    assert "2 test patterns are left out of the map" in capsys.readouterr().err
    assert {row[0] for row in study.table("map")} == PICTURES.keys() | OWN.keys()
    assert {row[2] for row in study.table("nearest")} <= OWN.keys()
    alone = mapped({}, {"bad": None}, "alone")
    assert alone.table("map") == []


def test_features_of_another_network_or_none_are_a_sentence(mapped):
    study = mapped({"a_1": cut(1), "a_2": cut(2)}, {}, size=1)
    table = study.results.predictions_table(CLASSIFIER, "torch")
    Path(table).write_text(Path(table).read_text().replace("a_2\t", "a_9\t"))
    with pytest.raises(StudyError, match="features of 'a_9' are in no file"):
        study.map(True, False)
    with h5py.File(study.results.features(CLASSIFIER, "p1"), "r+") as file:
        file.attrs["weights_sha256"] = "0"
    with pytest.raises(StudyError, match="p1.h5: its features are of another network"):
        study.map(True, False)
    Path(study.results.features(CLASSIFIER, "p1")).write_text("no features")
    with pytest.raises(StudyError, match="p1.h5: the features file cannot be read"):
        study.map(True, False)


def test_an_image_that_is_gone_is_a_sentence(mapped):
    study = mapped(GENERATED, {})
    Path(study.results.image("c_4")).unlink()
    with pytest.raises(StudyError, match="c_4.png.* cannot be read"):
        study.map(True, False)


# Of features that are known


def rows_of(values: np.ndarray) -> Rows:
    values = values.astype(np.float16)
    return Rows([f"p_{k}" for k in range(len(values))], values, np.ones(len(values), np.float32), "dense1")


class Flat:
    """Pictures of one color, each its own row's number; of `groups` neighboring images each."""

    def __init__(self, groups: int = 1):
        self.groups = groups
        self.opened: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.opened.add(name)
        return np.full(3072, int(name[2:]) // self.groups % 256, np.uint8)

    def difference(self, one: str, other: str) -> float:
        return float(abs(int(self[one][0]) - int(self[other][0])))


@pytest.fixture(params=[(2**24, 256), (200, 256), (2**24, 5)])
def blocks(request, monkeypatch):
    """Blocks as they are, of very few rows, and few rows beside many."""
    monkeypatch.setattr("promptflux.map.rows.BLOCK_VALUES", request.param[0])
    monkeypatch.setattr(neighbors, "FEW", request.param[1])


def test_pairs_are_those_of_all_with_all(blocks):
    random = np.random.default_rng(0)
    centers = random.normal(size=(12, 20))
    rows = rows_of(np.repeat(centers, 8, axis=0) + 0.1 * random.normal(size=(96, 20)))
    apart = np.round(cosine_distances(rows.matrix()), 6)
    pictures = Flat()
    wanted = {
        (f"p_{a}", f"p_{b}")
        for a in range(96)
        for b in range(a + 1, 96)
        if apart[a, b] <= 0.012 and b - a <= 3
    }
    assert 20 < len(wanted) < 200
    pairs, more = near_duplicates(rows, range(96), pictures, 0.012, 3)
    assert {(pair.one, pair.other) for pair in pairs} == wanted and not more
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)
    for pair in pairs:
        assert pair.distance == pytest.approx(apart[int(pair.one[2:]), int(pair.other[2:])], abs=2e-6)
    found = dict(nearest(rows, range(48), range(48, 96), 5))
    for row in range(48):
        exact = sorted((apart[row, other], other) for other in range(48, 96))[:5]
        assert [distance for _, distance in found[f"p_{row}"]] == pytest.approx(
            [it[0] for it in exact], abs=2e-6
        )


def test_images_that_are_all_the_same_are_named_up_to_a_number_and_that_is_said(
    mapped, monkeypatch, capsys, blocks
):
    monkeypatch.setattr(neighbors, "MOST_PAIRS", 7)
    rows = rows_of(np.ones((40, 6)))
    pairs, more = near_duplicates(rows, range(40), Flat(100), 0.02, 0)
    assert more and [(pair.one, pair.other) for pair in pairs] == [("p_0", f"p_{k}") for k in range(1, 8)]
    pairs, more = near_duplicates(rows, range(40), Flat(10), 0.02, 0)
    assert more and all(pair.pixels == 0 for pair in pairs)
    monkeypatch.setattr("map.MOST_PAIRS", 7)
    mapped({f"a_{k}": cut(1) for k in range(1, 7)}, {})
    assert "there are more; the table has the first 7" in capsys.readouterr().err


def test_a_threshold_is_where_it_is():
    angles = np.radians([0, 10, 90, 90 + 10.05, 180])
    rows = rows_of(np.column_stack([np.cos(angles), np.sin(angles)]) * 100)
    near, far = distances(rows, np.array([0, 2]), np.array([1, 3]))
    assert near < far < near + 2e-4
    pictures = Flat()
    for distance, count in ((near - 1e-6, 0), (near, 1), (far - 1e-6, 1), (far, 2)):
        assert len(near_duplicates(rows, range(5), pictures, distance, 1)[0]) == count
    assert pictures.opened == {"p_0", "p_1", "p_2", "p_3"}  # none that is alone
    assert len(near_duplicates(rows, range(5), Flat(), far, 0.99)[0]) == 0


def test_features_without_a_direction():
    rows = rows_of(np.array([[0, 0], [0, 0], [1, 0], [0, 1], [2, 0]]))
    pairs, _ = near_duplicates(rows, range(5), Flat(100), 0.02, 0)
    assert [(pair.one, pair.other, pair.distance) for pair in pairs] == [
        ("p_0", "p_1", 0.0),
        ("p_2", "p_4", 0.0),
    ]
    [(_, found)] = nearest(rows, [0], [2, 3, 1], 2)
    assert found == [("p_1", 0.0), ("p_2", 1.0)]


# The plane


@pytest.mark.parametrize("how", ["full", "arpack", "in parts"])
@pytest.mark.parametrize("shape", [(60, 30), (60, 300)])
def test_places_are_the_principal_components(how, shape, monkeypatch):
    """Of one scale or of several; in parts only nearly."""
    random = np.random.default_rng(1)
    values = random.normal(size=(shape[0], 6)) * [9, 5, 1, 1, 1, 1] @ random.normal(size=(6, shape[1]))
    rows = rows_of(values)
    rows = Rows(rows.names, rows.values, np.where(np.arange(60) < 5, 4, 1).astype(np.float32), rows.layer)
    monkeypatch.setattr(projection, "MOST_FULL", 0 if how == "arpack" else 2**22)
    if how == "in parts":
        monkeypatch.setattr(projection, "MOST_AT_ONCE", 1)
        monkeypatch.setattr(projection, "IN_PARTS", 10)
    found = project(rows, "pca")
    matrix = rows.values.astype(float) * np.where(np.arange(60) < 5, 4, 1)[:, None]
    pca = PCA(2, svd_solver="full").fit(matrix)
    wanted = pca.transform(matrix)
    close = 1e-2 if how == "in parts" else 1e-4
    np.testing.assert_allclose(found.places, wanted, atol=close * np.abs(wanted).max())
    assert found.shares == pytest.approx(pca.explained_variance_ratio_, abs=close)
    assert found.method == ("PCA in parts" if how == "in parts" else "PCA")
    assert all(pca.components_[k, np.abs(pca.components_[k]).argmax()] > 0 for k in (0, 1))


@pytest.mark.parametrize("values", [np.ones((3, 4)), np.zeros((2, 1)), np.ones((1, 5)), np.zeros((0, 5))])
def test_where_nothing_differs_all_lie_at_zero(values):
    found = project(rows_of(values), "pca")
    assert found.places.tolist() == [[0, 0]] * len(values) and found.shares == (0, 0)


def test_two_images_lie_on_a_line():
    found = project(rows_of(np.array([[1.0, 0], [0, 1.0]])), "pca")
    assert found.shares == pytest.approx((1, 0)) and (found.places[:, 1] == 0).all()
    assert found.places[0, 0] == -found.places[1, 0] != 0


def test_umap_gives_the_same_every_time():
    pytest.importorskip("umap", reason="NOT TESTED: the map by UMAP, as umap-learn is not installed")
    random = np.random.default_rng(0)
    rows = rows_of(np.repeat(random.normal(size=(3, 8)) * 4, 20, axis=0) + 0.1 * random.normal(size=(60, 8)))
    found = project(rows, "umap")
    assert found.method == "UMAP" and found.shares is None
    np.testing.assert_array_equal(found.places, project(rows, "umap").places)
    groups = found.places.reshape(3, 20, 2)
    within = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).max()
    between = np.linalg.norm(groups.mean(axis=1)[0] - groups.mean(axis=1)[1])
    assert between > within
    for few in (1, 4, 5, 15, 16):
        some = Rows(rows.names[:few], rows.values[:few], rows.scale[:few], "dense1")
        assert np.isfinite(project(some, "umap").places).all()
