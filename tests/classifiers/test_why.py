"""Why a classifier says what it says: maps of planted evidence, and what cannot be explained."""

import re

import explain_torch
import numpy as np
import parity
import pytest
from support.flux import write_arrays, write_images
from support.planted import BLOCKS, CHAIN, HEAD, LEVEL, SIDE, UPRIGHT, bars, peak, planted
from support.specs import write_spec

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.why import Window, last_convolution, window_of
from promptflux.errors import StudyError
from promptflux.figures.of_image.occlusion import spread
from promptflux.figures.subject import read_why
from promptflux.files.explanations import UNKNOWN, open_explanations


def explain(folder, spec, weights, images, asked, output="explained.h5", patch=(4, 4), stride=(2, 2)):
    path = folder / output
    explain_torch.main(
        tensors=str(write_images(folder, spec, images)),
        model=str(write_arrays(folder, spec, weights)),
        images=[f"a{number}" for number in range(1, len(images) + 1)],
        asked_labels=asked,
        explanations=str(path),
        patch=patch,
        stride=stride,
        micro_batch=16,
        threads=2,
        device="cpu",
    )
    return path


@pytest.mark.parametrize("layers", [CHAIN, BLOCKS], ids=["chain", "blocks"])
def test_the_maps_peak_where_the_evidence_is_planted(tmp_path, layers):
    spec, weights = planted(tmp_path, layers=layers)
    image = bars()
    image[0, LEVEL[0], LEVEL[1] - 2 : LEVEL[1] + 3] = 0.8  # so that the upright bar wins
    path = explain(tmp_path, spec, weights, image[None], [1])
    upright, level = read_why(str(path), "a1")
    assert (upright.target, upright.label, level.target, level.label) == ("predicted", 0, "asked", 1)
    assert upright.probability + level.probability == pytest.approx(1)
    for why, here, other in ((upright, UPRIGHT, LEVEL), (level, LEVEL, UPRIGHT)):
        occlusion = spread(why, (SIDE, SIDE))
        for values in (occlusion, why.gradcam):
            assert np.abs(np.subtract(peak(values), here)).max() <= 1
        assert occlusion[other] < -0.01, "covering what speaks against a label makes it more probable"
        assert why.gradcam[other] == 0
        assert abs(occlusion[0, -1]) < 0.02, "an empty corner is no reason"
    assert upright.layer == ("conv1" if layers is CHAIN else "parallel1.conv1")


def test_grad_cam_before_a_mean_is_the_sum_of_the_maps_by_the_weights(tmp_path):
    """Zhou et al., "Learning Deep Features for Discriminative Localization", 2016: CAM, which Grad-CAM is there but for a factor."""
    layers = [
        {"conv": {"out": 5, "kernel": 3, "activation": "relu"}},
        "globalmeanpool",
        "flatten",
        {"dense": 3},
    ]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    rng = np.random.default_rng(2)
    weights = {
        f"{layer.name}/{key}": rng.normal(size=shape).astype(np.float32)
        for layer in spec.walk()
        for key, shape in layer.parameters.items()
    }
    image = rng.random((1, 12, 10), dtype=np.float32)
    path = explain(tmp_path, spec, weights, image[None], [2])
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3))
    maps = np.einsum("ocij,hwij->ohw", weights["conv1/weight"], windows)
    maps = np.maximum(maps + weights["conv1/bias"][:, None, None], 0)
    with open_explanations(path) as found:
        for slot, target in enumerate(found.targets[0]):
            terms = weights["dense1/weight"][target][:, None, None] * maps / maps[0].size
            np.testing.assert_allclose(found.gradcam[0, slot], np.maximum(terms.sum(axis=0), 0), atol=1e-6)
            assert found.scales[0, slot] == pytest.approx(np.abs(terms).sum(axis=0).max(), rel=1e-5)


def test_an_image_has_the_same_maps_in_any_company(tmp_path):
    spec, weights = planted(tmp_path)
    images = np.random.default_rng(0).random((3, 1, SIDE, SIDE), dtype=np.float32)
    both = explain(tmp_path, spec, weights, images, [UNKNOWN, 0, 1])
    again = explain(tmp_path, spec, weights, images, [UNKNOWN, 0, 1], "again.h5")
    assert both.read_bytes() == again.read_bytes()
    alone = explain(tmp_path, spec, weights, images[:1], [UNKNOWN], "alone.h5")
    with open_explanations(both) as one, open_explanations(alone) as other:
        np.testing.assert_array_equal(one.occlusion[0], other.occlusion[0])
        np.testing.assert_array_equal(one.gradcam[0], other.gradcam[0])
        assert one.targets[0, 1] == UNKNOWN and not one.occlusion[0, 1].any() and not one.gradcam[0, 1].any()
    assert [why.target for why in read_why(str(both), "a1")] == ["predicted"]


def test_a_network_without_convolution_has_no_grad_cam_and_says_so(tmp_path, capsys):
    spec = load_spec(write_spec(tmp_path, layers=["flatten", {"dense": 3}]))
    weights = {"dense1/weight": np.ones((3, 120), np.float32), "dense1/bias": np.zeros(3, np.float32)}
    path = explain(tmp_path, spec, weights, np.ones((1, 1, 12, 10), np.float32), [0])
    assert "no Grad-CAM, as it has no convolution" in capsys.readouterr().err
    [why] = read_why(str(path), "a1")
    assert why.layer == "" and why.gradcam.size == 0 and why.occlusion.shape == (5, 4)


def test_the_last_convolution_is_the_last_that_knows_of_places(tmp_path):
    gate = {"scale": {"gate": ["globalmeanpool", {"conv": {"out": 2, "kernel": 1, "activation": "sigmoid"}}]}}
    to_labels = {"conv": {"out": 3, "kernel": 1}}
    for layers, name in (
        ([CHAIN[0], gate, *HEAD[:-2], {"dense": 3}], "conv1"),
        ([{"residual": {"body": [CHAIN[0]], "shortcut": [{"conv": {"out": 2, "kernel": 1}}]}}, *HEAD[:2], {"dense": 3}],
         "residual1.conv2"),
        ([CHAIN[0], "globalmeanpool", to_labels, "flatten"], "conv1"),
        (["globalmeanpool", to_labels, "flatten"], ""),
    ):  # fmt: skip
        assert last_convolution(load_spec(write_spec(tmp_path, layers=layers))) == name


def test_every_pixel_is_covered(tmp_path):
    assert Window((10, 7), (4, 3), (3, 2)).starts == ([0, 3, 6], [0, 2, 4])
    assert Window((11, 7), (4, 7), (4, 1)).starts == ([0, 4, 7], [0])
    spec = load_spec(write_spec(tmp_path))  # of 12 × 10 pixels
    assert window_of(spec, "auto", "auto") == Window((12, 10), (2, 1), (1, 1))
    assert window_of(spec, [4, 6], 4) == Window((12, 10), (4, 6), (4, 4))
    with pytest.raises(
        StudyError, match="explain.patch covers 11×11 pixels, and the images of small have 12×10"
    ):
        window_of(spec, 11, "auto")
    with pytest.raises(
        StudyError, match="explain.stride is 3×3, and a patch on the images of small covers 4×2 pixels"
    ):
        window_of(spec, [4, 2], 3)


def test_what_cannot_be_explained_is_said(tmp_path):
    spec, weights = planted(tmp_path)
    weights["conv1/weight"] *= np.float32(1e38)  # the sums overflow
    with pytest.raises(StudyError, match="values for a1, or parts of it, that are not finite"):
        explain(tmp_path, spec, weights, bars()[None], [0])
    assert not (tmp_path / "explained.h5").exists()
    broken = tmp_path / "broken.h5"
    broken.write_text("no HDF5")
    with pytest.raises(StudyError, match="the explanations file cannot be read"):
        read_why(str(broken), "a1")


# The maps of two engines ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (None, None),
        ("occlusion", "a map of occlusion differs by 1.0e-03 of a probability"),
        ("gradcam", "a map of Grad-CAM differs by"),
        ("names", "differ in names; they are not of the same run"),
        ("stride", "differ in stride; they are not of the same run"),
    ],
)
def test_another_map_of_an_engine_fails(tmp_path, fault, said):
    import h5py
    import infer_torch

    spec, weights = planted(tmp_path)
    ours = explain(tmp_path, spec, weights, bars()[None], [1])
    theirs = explain(tmp_path, spec, weights, bars()[None], [1], "theirs.h5")
    with h5py.File(theirs, "r+") as file:
        if fault == "occlusion":
            file["occlusion"][0, 0, 3, 3] += 1e-3
        elif fault == "gradcam":
            file["gradcam"][0, 1, 3, 3] += 2e-3 * file["scales"][()].max()
        elif fault == "names":
            file["names"][0] = "b1"
        elif fault == "stride":
            file["stride"][0] = 3
    predictions = str(tmp_path / "predictions.h5")
    infer_torch.main(
        tensors=str(tmp_path / "planted_tensors.h5"),
        model=str(tmp_path / "planted.h5"),
        layers_of=["a1"],
        predictions=predictions,
        micro_batch=16,
        threads=2,
        device="cpu",
    )

    def compare():
        parity.main(
            classifier="planted",
            titles=["Flux", "PyTorch"],
            predictions=[predictions],
            reference=[predictions],
            explanations=[str(theirs)],
            reference_explanations=[str(ours)],
            table=str(tmp_path / "parity.tsv"),
            figure=str(tmp_path / "parity.png"),
            style={"colormap": "viridis", "dpi": 40},
        )

    if said:
        with pytest.raises(StudyError, match=re.escape(said)):
            compare()
    else:
        compare()
    if fault in (None, "occlusion", "gradcam"):
        rows = [line.split("\t") for line in (tmp_path / "parity.tsv").read_text().splitlines()]
        verdicts = {row[0]: row[-1] for row in rows}
        failing = {"occlusion": "occlusion", "gradcam": "grad-cam"}.get(fault)
        assert [name for name in ("occlusion", "grad-cam") if verdicts[name] == "FAIL"] == (
            [failing] if failing else []
        )
