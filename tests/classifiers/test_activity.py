"""What channels give over all images: the numbers are NumPy's, and a planted dead channel is found."""

import activations
import h5py
import infer_torch
import numpy as np
import pytest
from support.flux import write_arrays
from support.specs import write_spec

from promptflux.classifiers.activity import can_die, counted_layers
from promptflux.classifiers.network import untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError
from promptflux.files.activations import Tally, add_up, write_activations
from promptflux.files.predictions import open_predictions
from promptflux.files.tables import read_table
from promptflux.files.tensors import write_tensors
from promptflux.report.page import dead_channels

STYLE = {"colormap": "viridis", "dpi": 40}


def run(folder, batches, weights, spec, problems=()):
    """The predictions and the activations files of batches of images."""
    model = write_arrays(folder, spec, weights)
    made = []
    for number, images in enumerate(batches):
        names = [f"b{number}_{row}" for row in range(len(images))]
        paths = [str(folder / f"{what}{number}.h5") for what in ("tensors", "predictions", "activations")]
        with write_tensors(paths[0], spec.input, names) as writer:
            for name, image in zip(names, images, strict=True):
                writer.add(image, "0" * 64, (1, 1), "L", "it is broken" if name in problems else "")
        infer_torch.main(
            tensors=paths[0],
            model=str(model),
            layers_of=names,
            predictions=paths[1],
            counted=counted_layers(spec),
            activations=paths[2],
            micro_batch=4,
            threads=2,
            device="cpu",
        )
        made.append(paths)
    return str(model), made


def test_batches_add_up_to_the_numbers_of_all_images(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    rng = np.random.default_rng(0)
    images = rng.random((9, 1, 12, 10), dtype=np.float32)
    _, made = run(tmp_path, [images[:3], images[3:]], untrained_weights(spec, 1), spec, problems=["b0_1"])
    total, tallies = add_up([paths[2] for paths in made])
    assert total == 8, "a test pattern is no image"
    assert [*tallies] == [layer.name for layer in spec.walk() if layer.kind not in ("flatten", "dropout")]
    for name, tally in tallies.items():
        parts = []
        for number, paths in enumerate(made):
            with open_predictions(paths[1]) as file:
                values = file.layers[name][()]
            parts.append(np.delete(values, 1, axis=0) if number == 0 else values)
        flat = np.moveaxis(np.concatenate(parts), 1, -1).astype(np.float64)
        flat = flat.reshape(-1, flat.shape[-1])
        assert tally.values == len(flat)
        np.testing.assert_allclose(tally.mean, flat.mean(axis=0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(tally.std, flat.std(axis=0), rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(tally.zeros, (flat == 0).sum(axis=0))
        np.testing.assert_array_equal(tally.least, flat.min(axis=0))
        np.testing.assert_array_equal(tally.most, flat.max(axis=0))


def test_a_channel_is_dead_if_no_image_of_the_study_wakes_it(tmp_path):
    """Channel 1 answers to bright images alone, and channel 2 to none."""
    layers = [
        {"conv": {"out": 3, "kernel": 1, "activation": "relu"}},
        {"maxpool": 2},
        "flatten",
        {"dense": 3},
    ]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    weights = untrained_weights(spec, 1)
    weights["conv1/weight"][:, 0, 0, 0] = [1, 1, 1]
    weights["conv1/bias"][:] = [-0.5, -2, 0]
    rng = np.random.default_rng(0)
    dark, bright = (low + 0.4 * rng.random((2, 1, 12, 10), dtype=np.float32) for low in (0.0, 0.6))
    model, made = run(tmp_path, [dark, bright], weights, spec)

    def table(number, batches):
        path = tmp_path / f"table{number}.tsv"
        activations.main(
            classifier="small", model=model, batches=batches, table=str(path),
            figure=str(tmp_path / f"figure{number}.png"), style=STYLE,
        )  # fmt: skip
        _, *rows = read_table(path)
        return path, {(row[0], row[1]): row[-1] for row in rows if row[-1]}

    first, [one] = made[0][2], [paths[2] for paths in made[1:]]
    path, dead = table(1, [first])
    assert {key for key in dead if key[0] == "conv1"} == {("conv1", "1"), ("conv1", "2")}
    path, dead = table(2, [first, one])
    assert dead == {("conv1", "2"): "dead", ("maxpool1", "2"): "handed on"}
    assert dead_channels(str(path)) == (
        "1 channel is dead: it gives one value at every place of every image of this study, in conv1 (2)."
    )
    lines = path.read_text().splitlines()
    assert lines[0].split("\t") == ["layer", "channel", "mean", "std", "zeros", "least", "most", "dead"]
    assert lines[2].split("\t")[:5] == ["conv1", "2", "0", "0", "1"]
    path.write_text("\n".join(line.replace("dead", "") for line in lines if "handed" not in line))
    assert dead_channels(str(path)).startswith("No channel is dead")


def test_a_channel_dies_where_something_is_computed(tmp_path):
    names = ["conv1", "conv2", "batchnorm1", "dense1", "dense2"]
    assert [layer.name for layer in load_spec(write_spec(tmp_path)).walk() if can_die(layer)] == names


def test_files_that_do_not_belong_together_are_not_added_up(tmp_path):
    zeros = np.zeros(2)
    for name in ("conv1", "conv2"):
        write_activations(tmp_path / f"{name}.h5", 1, {name: Tally(4, zeros, zeros, zeros + 4, zeros, zeros)})
    write_activations(tmp_path / "none.h5", 0, {})
    total, tallies = add_up([str(tmp_path / "none.h5"), str(tmp_path / "conv1.h5")])
    assert total == 1 and tallies["conv1"].dead.all()
    with pytest.raises(StudyError, match=r"conv2.h5: its layers differ from those of .*conv1.h5"):
        add_up([str(tmp_path / "conv1.h5"), str(tmp_path / "conv2.h5")])
    with h5py.File(tmp_path / "conv1.h5", "r+") as file:
        file.attrs["format"] = "another"
    with pytest.raises(StudyError, match="this is not a activations file"):
        add_up([str(tmp_path / "conv1.h5")])
