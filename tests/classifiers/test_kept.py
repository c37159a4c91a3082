"""Which layers are kept: those asked for whole, of large others a sample, and all of them are compared."""

import re

import h5py
import infer_torch
import numpy as np
import parity
import pytest
from support.specs import write_spec

from promptflux.classifiers.kept import asked_layers, kept_bytes, kept_layers
from promptflux.classifiers.network import untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import save_model
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.sample import SAMPLE, sample_places
from promptflux.files.tensors import write_tensors


def conv(out: int) -> dict:
    return {"conv": {"out": out, "kernel": 3, "padding": 1}}


# Six convolutions; the maps of the first four are larger than a sample.
LAYERS = [
    conv(8),
    {"residual": {"body": [conv(8), conv(8)], "activation": "relu"}},
    conv(5),
    {"maxpool": 4},
    conv(4),
    conv(3),
    "globalmeanpool",
]


@pytest.fixture
def spec(tmp_path):
    return load_spec(write_spec(tmp_path, input="gray64", layers=LAYERS))


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (0, []),
        (1, ["conv1"]),
        (2, ["conv1", "conv4"]),
        (3, ["conv1", "residual1.conv2", "conv4"]),
        (100, ["conv1", "residual1.conv1", "residual1.conv2", "conv2", "conv3", "conv4"]),
        (["maxpool1", "residual1.conv2", "conv77"], ["residual1.conv2", "maxpool1"]),
    ],
)
def test_a_number_is_spread_over_the_depth_and_names_are_names(spec, wanted, asked):
    assert asked_layers(spec, wanted) == asked


def test_all_layers(spec):
    assert asked_layers(spec, "all") == [layer.name for layer in spec.walk()]


def test_small_layers_are_kept_in_any_case(spec):
    assert [name for name, kept in kept_layers(spec, ["conv1"]).items() if not kept] == [
        "residual1.conv1",
        "residual1.conv2",
        "residual1",
        "conv2",
    ]
    assert kept_bytes(spec, ["conv1"]) < kept_bytes(spec, asked_layers(spec, "all"))


def test_the_places_of_a_sample_differ_and_reach_everywhere():
    """Every channel, row and column, in shapes whose sides would hide in a regular stride."""
    for channels, height, width in (
        (64, 112, 112),
        (2048, 7, 7),
        (32, 128, 128),
        (3, 224, 224),
        (1, 5, 3277),
    ):
        places = sample_places(channels * height * width)
        assert len(set(places)) == SAMPLE and places.min() >= 0
        for found, side in zip(
            np.unravel_index(places, (channels, height, width)), (channels, height, width), strict=True
        ):
            assert len(set(found)) == min(side, SAMPLE) or side > SAMPLE / 8


def run(folder, spec, output, layers, fault=None):
    images = np.random.default_rng(3).random((3, *spec.input.shape), dtype=np.float32)
    weights = untrained_weights(spec, 1)
    save_model(folder / "small.h5", weights, spec)
    with write_tensors(folder / "t.h5", spec.input, ["a_1", "a_2", "a_3"]) as writer:
        for image in images:
            writer.add(image, "", (64, 64), "L", "")
    infer_torch.main(
        tensors=str(folder / "t.h5"), model=str(folder / "small.h5"), layers_of=["a_1", "a_3"], layers=layers,
        predictions=str(folder / output), micro_batch=4, threads=2, device="cpu",
    )  # fmt: skip
    if fault:
        with h5py.File(folder / output, "r+") as file:
            file[fault][...] = file[fault][()] * (1 + 1e-3)
    return str(folder / output)


def test_of_a_large_layer_that_is_not_asked_for_a_sample_is_kept(spec, tmp_path):
    with (
        open_predictions(run(tmp_path, spec, "all.h5", "all")) as whole,
        open_predictions(run(tmp_path, spec, "some.h5", ["residual1.conv2"])) as some,
    ):
        assert whole.samples == {} and list(whole.layers) == list(whole.layer_shapes)
        assert list(some.samples) == ["conv1", "residual1.conv1", "residual1", "conv2"]
        assert some.layer_shapes == {layer.name: layer.shape for layer in spec.walk()}
        for name, sample in some.samples.items():
            values = whole.layers[name][()].reshape(2, -1)
            assert np.array_equal(sample[()], values[:, sample_places(values.shape[1])])
        for name, values in some.layers.items():
            assert np.array_equal(values[()], whole.layers[name][()])


def compared(tmp_path, flux, torch):
    parity.main(
        classifier="small", titles=["Flux", "PyTorch"], predictions=[flux], reference=[torch],
        table=str(tmp_path / "parity.tsv"), figure=str(tmp_path / "parity.png"),
        style={"colormap": "viridis", "dpi": 50},
    )  # fmt: skip
    lines = (tmp_path / "parity.tsv").read_text(encoding="utf-8").splitlines()
    return {line.split("\t")[0]: line.split("\t") for line in lines}


def test_every_layer_is_compared_and_the_table_says_on_how_much(spec, tmp_path):
    torch = run(tmp_path, spec, "torch.h5", ["residual1.conv2"])
    table = compared(tmp_path, run(tmp_path, spec, "flux.h5", ["residual1.conv2"]), torch)
    assert {row[6] for name, row in table.items() if name != "layer"} == {"ok"}
    assert table["conv1"][1:4] == ["2", "8×64×64", "16384 of 32768"]
    assert table["residual1.conv2"][3] == "all"
    flux = run(tmp_path, spec, "flux.h5", ["residual1.conv2"], fault="samples/residual1.conv1")
    with pytest.raises(StudyError, match=r"The first layer to differ is residual1\.conv1: are its kernels"):
        compared(tmp_path, flux, torch)


def test_files_that_keep_different_layers_are_not_compared(spec, tmp_path):
    torch, flux = run(tmp_path, spec, "torch.h5", ["conv1"]), run(tmp_path, spec, "flux.h5", [])
    with pytest.raises(
        StudyError, match=r"flux\.h5: layers/conv1 is not there, and of the shape 2×8×64×64 in"
    ):
        compared(tmp_path, flux, torch)


def test_what_is_held_at_one_time(tmp_path):
    """Of a chain a layer's input and output; in a block also what the block took and what its branches gave."""

    def write(*layers):
        return load_spec(write_spec(tmp_path, input="gray64", layers=[*layers, "flatten", {"dense": 3}]))

    place = 64 * 64
    assert write(conv(8), conv(2)).most_values == 10 * place
    assert write(conv(8), {"residual": {"body": [conv(8)]}}).most_values == 24 * place
    branches = [[conv(1)], [conv(2)], [conv(3)]]
    assert write({"parallel": {"branches": branches}}).most_values == 13 * place


def test_a_layer_that_no_classifier_has_is_named(tmp_path, monkeypatch):
    from support.workflow import WORKFLOW

    from promptflux.study.study import load_study

    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=re.escape("figures.layers names 'conv9'")):
        load_study({"figures": {"layers": ["conv1", "conv9"]}}, [tmp_path, WORKFLOW])
    study = load_study({"figures": {"layers": ["conv3"]}}, [tmp_path, WORKFLOW])
    assert study.layers == {"cnn28": [], "cnn32": ["conv3"], "cnn224": ["conv3"]}
