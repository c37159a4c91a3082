"""Parity: what agrees passes, and each planted fault of a second engine is caught and located."""

import shutil

import h5py
import infer_torch
import numpy as np
import parity
import pytest
from PIL import Image
from support.specs import write_spec

from promptflux.classifiers.network import untrained_weights
from promptflux.classifiers.parity import LayerDifference, Parity
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import save_model, weights_digest
from promptflux.errors import StudyError
from promptflux.figures.of_study.parity import NAMED, named_rows
from promptflux.files.tensors import write_tensors

LAYERS = [
    {"conv": {"out": 4, "kernel": 3, "activation": "relu"}},
    {"batchnorm": {}},
    {"maxpool": 2},
    {"conv": {"out": 6, "kernel": 3, "padding": 1}},
    "gelu",
    "flatten",
    {"dense": {"out": 8, "activation": "relu"}},
    {"dense": 3},
    "softmax",
]
INPUT = {"name": "gray12", "size": 12, "channels": "gray"}


class Engines:
    """Two engines on the same tensors; the second stands for Flux, and can be given a fault."""

    def __init__(self, folder):
        self.folder = folder
        self.spec = load_spec(write_spec(folder, input=INPUT, layers=LAYERS))
        self.weights = untrained_weights(self.spec, 1)
        rng = np.random.default_rng(1)
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.weights[f"batchnorm1/{name}"] = rng.uniform(0.5, 1.5, 4).astype(np.float32)
        self.images = rng.random((20, 1, 12, 12), dtype=np.float32)

    def run(self, output, images=None, weights=None, layers_of=("image_0", "image_17")):
        images = self.images if images is None else images
        weights = self.weights if weights is None else weights
        names = [f"image_{index}" for index in range(len(images))]
        with write_tensors(self.folder / "t.h5", self.spec.input, names) as writer:
            for image in images:
                writer.add(image, "", (12, 12), "L", "")
        save_model(self.folder / "small.h5", weights, self.spec)
        path = self.folder / output
        infer_torch.main(
            tensors=str(self.folder / "t.h5"),
            model=str(self.folder / "small.h5"),
            layers_of=list(layers_of),
            predictions=str(path),
            micro_batch=16,
            threads=2,
            device="cpu",
        )
        with h5py.File(path, "r+") as file:  # the faulty engine does not know of its fault
            file.attrs["weights_sha256"] = weights_digest(self.weights)
        return str(path)

    def compare(self, flux, torch=None):
        parity.main(
            classifier="small",
            titles=["Flux", "PyTorch"],
            predictions=[flux] if isinstance(flux, str) else flux,
            reference=[torch or self.run("torch.h5")] if not isinstance(torch, list) else torch,
            table=str(self.folder / "parity.tsv"),
            figure=str(self.folder / "parity.png"),
            style={"colormap": "viridis", "dpi": 130},
        )

    def table(self):
        lines = (self.folder / "parity.tsv").read_text(encoding="utf-8").splitlines()
        return {line.split("\t")[0]: line.split("\t") for line in lines}


@pytest.fixture
def engines(tmp_path):
    return Engines(tmp_path)


def test_equal_engines_pass(engines):
    engines.compare(engines.run("flux.h5"))
    table = engines.table()
    assert table.pop("layer") == [
        "layer",
        "images",
        "shape",
        "compared",
        "max_abs_diff",
        "max_rel_diff",
        "verdict",
    ]
    assert list(table) == [layer.name for layer in engines.spec.layers] + ["logits", "probabilities", "label"]
    assert {row[6] for row in table.values()} == {"ok"}
    assert table["conv1"] == ["conv1", "2", "4×10×10", "all", "0.000e+00", "0.000e+00", "ok"]
    assert table["probabilities"][1] == "20"
    assert table["label"] == ["label", "20", "", "", "0", "", "ok"]
    with Image.open(engines.folder / "parity.png") as figure:
        assert figure.width > 800


def test_differences_of_rounding_pass(engines):
    flux = engines.run("flux.h5")
    with h5py.File(flux, "r+") as file:
        for dataset in (file["probabilities"], file["logits"], *file["layers"].values()):
            dataset[...] = dataset[()] * (1 + 1e-6)
    engines.compare(flux)
    row = engines.table()["conv2"]
    assert 5e-7 < float(row[5]) < 2e-6
    assert float(row[4]) == pytest.approx(
        float(row[5]) * np.abs(h5py.File(flux)["layers/conv2"][()]).max(), rel=0.01
    )


def test_the_bound_of_a_layer(engines):
    for change, verdict in ((0.9e-5, "ok"), (1.2e-5, "FAIL")):
        flux = engines.run("flux.h5")
        with h5py.File(flux, "r+") as file:
            values = file["layers/conv2"][()]
            values[0, 0, 0, 0] += change * np.abs(values).max()
            file["layers/conv2"][...] = values
        if verdict == "ok":
            engines.compare(flux)
        else:
            with pytest.raises(StudyError, match="conv2 differs by 1.2e-05 of its largest value"):
                engines.compare(flux)
        verdicts = {name: row[6] for name, row in engines.table().items()}
        assert verdicts["conv2"] == verdict
        assert verdicts["conv1"] == verdicts["flatten1"] == verdicts["probabilities"] == "ok"


def flipped(weights):
    return {name: np.flip(w, (2, 3)) if w.ndim == 4 else w for name, w in weights.items()}


def flattened_otherwise(weights):
    """Dense weights that see channels fastest, as after a flatten of [H, W, C]."""
    w = weights["dense1/weight"]
    return weights | {"dense1/weight": w.reshape(8, 6, 5, 5).transpose(0, 2, 3, 1).reshape(8, 150)}


def swapped(weights, one, other):
    return weights | {one: weights[other], other: weights[one]}


FAULTS = {
    "unflipped kernels": ({"weights": flipped}, "conv1", "are its kernels flipped"),
    "transposed image": ({"images": lambda x: x.transpose(0, 1, 3, 2)}, "conv1", "is the image transposed"),
    "double / 255": ({"images": lambda x: x / 255}, "conv1", "divided by 255 twice"),
    "mirrored image": ({"images": lambda x: x[..., ::-1]}, "conv1", "transposed"),
    "wrong flatten order": ({"weights": flattened_otherwise}, "dense1", "transposed"),
    "variance for mean": (
        {"weights": lambda w: swapped(w, "batchnorm1/running_mean", "batchnorm1/running_var")},
        "batchnorm1",
        "γ, β, μ, σ²",
    ),
    "scale for shift": (
        {"weights": lambda w: swapped(w, "batchnorm1/weight", "batchnorm1/bias")},
        "batchnorm1",
        "γ, β, μ, σ²",
    ),
    "no bias": (
        {"weights": lambda w: w | {"conv2/bias": 0 * w["conv2/bias"]}},
        "conv2",
        "are its kernels flipped",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_and_located(engines, fault, capsys):
    changes, first, hint = FAULTS[fault]
    changed = {key: change(getattr(engines, key)) for key, change in changes.items()}
    with pytest.raises(StudyError) as caught:
        engines.compare(engines.run("flux.h5", **changed))
    message = str(caught.value)
    assert "\n" not in message
    assert f"The first layer to differ is {first}:" in message
    assert hint in message
    table = engines.table()
    assert table[first][6] == "FAIL"
    log = capsys.readouterr().err
    assert all("\t".join(row) in log for row in table.values())
    with Image.open(engines.folder / "parity.png") as figure:
        figure.verify()


def test_another_gelu_is_caught(engines):
    """Flux's gelu is the tanh approximation unless the exact one is asked for."""
    flux = engines.run("flux.h5")
    with h5py.File(flux, "r+") as file:
        x = file["layers/conv2"][()]
        file["layers/gelu1"][...] = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    with pytest.raises(StudyError, match="The first layer to differ is gelu1"):
        engines.compare(flux)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dataset", ["probabilities", "logits", "layers/conv1"])
def test_values_that_are_not_finite_fail(engines, dataset, value):
    flux = engines.run("flux.h5")
    with h5py.File(flux, "r+") as file:
        file[dataset][0] = value
    with pytest.raises(StudyError):
        engines.compare(flux)
    assert engines.table()[dataset.split("/")[-1]][4:] == ["inf", "inf", "FAIL"]


def test_the_bound_of_a_probability(engines):
    for change, passes in ((0.9e-4, True), (1.1e-4, False)):
        flux = engines.run("flux.h5")
        with h5py.File(flux, "r+") as file:
            file["probabilities"][19, 0] += change
        if passes:
            engines.compare(flux)
        else:
            with pytest.raises(StudyError, match="a probability differs by 1.1e-04"):
                engines.compare(flux)


def test_another_label_fails(engines):
    flux = engines.run("flux.h5")
    with h5py.File(flux, "r+") as file:
        logits = file["logits"][()]
        order = logits[4].argsort()
        logits[4, order[-2]] = logits[4, order[-1]] + 1e-5
        file["logits"][...] = logits
    with pytest.raises(StudyError, match=r"1 of 20 images have another label \(image_4\)"):
        engines.compare(flux)
    assert engines.table()["label"][4:] == ["1", "", "FAIL"]


def test_without_layers_the_probabilities_still_count(engines):
    torch = engines.run("torch.h5", layers_of=[])
    engines.compare(engines.run("flux.h5", layers_of=[]), torch)
    assert engines.table()["conv1"] == ["conv1", "0", "4×10×10", "", "", "", "not compared"]
    with pytest.raises(StudyError, match=r"figures\.images"):
        engines.compare(engines.run("flux.h5", layers_of=[], images=engines.images / 255), torch)


def with_fast_kernels(path, apart=0.0):
    """The predictions as of an engine whose logits come from fast kernels, `apart` of the largest from its layers'."""
    with h5py.File(path, "r+") as file:
        file.attrs["kernels"] = "fast"
        largest = np.abs(file["layers/dense2"][()]).max() if "layers/dense2" in file else 1.0
        file["logits"][...] = file["logits"][()] + apart * largest
    return path


def test_fast_kernels_have_a_row_of_their_own(engines):
    engines.compare(engines.run("flux.h5"))
    assert "fast kernels" not in engines.table()
    engines.compare(with_fast_kernels(engines.run("flux.h5"), apart=1e-6))
    table = engines.table()
    assert list(table)[-4:] == ["fast kernels", "logits", "probabilities", "label"]
    layer, images, shape, _, _, rel_diff, verdict = table["fast kernels"]
    assert (layer, images, shape, verdict) == ("fast kernels", "2", "3", "ok")
    assert float(rel_diff) == pytest.approx(1e-6, rel=0.3)


def test_fast_kernels_that_differ_from_the_layers_fail(engines):
    flux = with_fast_kernels(engines.run("flux.h5"), apart=1e-4)
    with pytest.raises(
        StudyError, match="its fast kernels differ from its own layers by .*flux_kernels to plain"
    ):
        engines.compare(flux)
    assert engines.table()["fast kernels"][6] == "FAIL"
    assert {engines.table()[name][6] for name in ("conv1", "dense2", "softmax1")} == {"ok"}


def test_a_layer_that_differs_is_named_before_the_fast_kernels(engines):
    flux = with_fast_kernels(engines.run("flux.h5", weights=flipped(engines.weights)), apart=1e-4)
    with pytest.raises(StudyError, match="The first layer to differ is conv1:"):
        engines.compare(flux)


def test_fast_kernels_without_kept_layers_are_not_compared(engines):
    torch = engines.run("torch.h5", layers_of=[])
    engines.compare(with_fast_kernels(engines.run("flux.h5", layers_of=[])), torch)
    assert engines.table()["fast kernels"][1:] == ["0", "3", "", "", "", "not compared"]


def test_several_batches_are_taken_together(engines):
    torch = [engines.run("torch1.h5"), engines.run("torch2.h5", layers_of=[])]
    flux = [shutil.copy(path, path.replace("torch", "flux")) for path in torch]
    engines.compare(flux, torch)
    assert engines.table()["conv1"][1] == "2"
    assert engines.table()["label"][1] == "40"


def test_files_of_different_runs_are_not_compared(engines):
    torch = engines.run("torch.h5")
    fewer = engines.run("flux.h5", images=engines.images[:18])
    with pytest.raises(StudyError, match="differ in names"):
        engines.compare(fewer, torch)
    other = engines.run("flux.h5", layers_of=["image_1"])
    with pytest.raises(StudyError, match="differ in layer_images"):
        engines.compare(other, torch)
    flux = engines.run("flux.h5")
    for attribute in ("weights_sha256", "description_sha256"):
        with h5py.File(flux, "r+") as file:
            file.attrs[attribute] = "another"
        with pytest.raises(StudyError, match=f"the {attribute} another.*different networks"):
            engines.compare(flux, torch)


def test_a_layer_of_another_shape(engines):
    flux = engines.run("flux.h5")
    with h5py.File(flux, "r+") as file:
        transposed = file["layers/conv1"][:, :, :, :9]
        del file["layers/conv1"]
        file["layers/conv1"] = transposed
    with pytest.raises(
        StudyError, match="layers/conv1 is of the shape 2×4×10×9, and of the shape 2×4×10×10 in"
    ):
        engines.compare(flux)


def test_the_same_comparison_gives_the_same_bytes(engines):
    flux = engines.run("flux.h5")
    contents = []
    for _ in range(2):
        engines.compare(flux)
        contents.append([(engines.folder / name).read_bytes() for name in ("parity.tsv", "parity.png")])
    assert contents[0] == contents[1]


def test_of_a_deep_network_the_first_that_fails_is_among_the_names():
    rows = [LayerDifference(f"residual{i}.conv1", (4,), images=1) for i in range(300)]
    for number, row in enumerate(rows):
        row.verdict = "FAIL" if number >= 217 else "ok"
    named = named_rows(rows)
    assert {217, 299} <= named and 30 < len(named) <= NAMED + 2
    assert min(abs(a - b) for a in named for b in named if a != b) >= 6, "names would stand in each other"
    assert named_rows(rows[:40]) == set(range(40))


def judged(differences, logits=3e-7, largest=10.0):
    """The verdicts of a network whose layers differ by so much of their largest value."""

    def row(name, difference, size=1.0):
        return LayerDifference(name, (4,), images=1, values=4, abs_diff=difference * size, largest=size)

    layers = [row(f"conv{i}", difference) for i, difference in enumerate(differences, start=1)]
    parity = Parity(["Flux", "PyTorch"], layers, row("logits", logits, largest), row("probabilities", 0.0))
    parity.judge()
    return "".join("F" if part.verdict == "FAIL" else "o" for part in [*layers, parity.logits]), parity


def test_rounding_that_adds_up_over_the_layers_is_no_fault_and_a_step_is():
    slowly = [2e-7 * 1.5**i for i in range(14)]
    assert slowly[-1] > 3e-5 and judged(slowly, logits=2e-4)[0] == 15 * "o"
    assert judged([2e-7, 3e-7, 2e-5, 4e-7])[0] == "ooFoo"
    assert judged([2e-7, 2e-6, 1.9e-5, 1.8e-4, 1.2e-3, 1e-6])[0] == "ooooFoo", (
        "more than 1e-3 is none of rounding"
    )
    assert judged([], logits=2e-5)[0] == "F"


def test_a_probability_may_differ_by_what_the_rounding_of_large_logits_makes():
    assert judged([1e-7], largest=10.0)[1].most_of_a_probability == 1e-4
    assert judged([1e-7], largest=2000.0)[1].most_of_a_probability == pytest.approx(1e-2)
