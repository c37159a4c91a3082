"""The PyTorch network of a spec, and the weights file."""

import hashlib

import h5py
import numpy as np
import pytest
import torch
from support.specs import write_spec

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import (
    load_description,
    load_model,
    load_weights,
    save_model,
    save_weights,
    weights_digest,
)
from promptflux.errors import StudyError


@pytest.fixture
def spec(tmp_path):
    return load_spec(write_spec(tmp_path))


def test_the_network_computes_what_the_spec_says(spec):
    """Against the same network written by hand with torch.nn.functional."""
    import torch.nn.functional as F

    weights = untrained_weights(spec, 3)
    rng = np.random.default_rng(0)
    for name in ("weight", "bias", "running_mean", "running_var"):
        weights[f"batchnorm1/{name}"] = rng.uniform(0.5, 2, 6).astype(np.float32)
    network = Network(spec).load(weights).eval()
    w = {name: torch.from_numpy(array) for name, array in weights.items()}
    x = images = torch.rand(5, 1, 12, 10)

    x = F.max_pool2d(F.relu(F.conv2d(x, w["conv1/weight"], w["conv1/bias"])), 2)
    x = F.conv2d(x, w["conv2/weight"], padding=1)
    scale = w["batchnorm1/weight"] / torch.sqrt(w["batchnorm1/running_var"] + 1e-5)
    shift = w["batchnorm1/bias"] - w["batchnorm1/running_mean"] * scale
    x = F.relu(x * scale[:, None, None] + shift[:, None, None])
    x = F.gelu(x.reshape(5, -1) @ w["dense1/weight"].T + w["dense1/bias"])
    logits = x @ w["dense2/weight"].T + w["dense2/bias"]

    with torch.no_grad():
        assert torch.allclose(network(images), logits, atol=1e-6)
        outputs = dict(network.outputs(images))
    assert list(outputs) == [layer.name for layer in spec.layers]
    assert outputs["conv1"].min() == 0  # after its activation
    assert torch.allclose(outputs["softmax1"], torch.softmax(logits, 1), atol=1e-6)


def test_weights_go_in_and_come_out(spec):
    weights = untrained_weights(spec, 3)
    back = Network(spec).load(weights).weights()
    assert list(back) == list(weights) == list(spec.parameters)
    assert all(np.array_equal(back[name], weights[name]) for name in weights)


def test_a_network_does_not_load_part_of_its_weights(spec):
    weights = untrained_weights(spec, 3)
    del weights["dense2/bias"]
    with pytest.raises(StudyError, match="dense2.bias"):
        Network(spec).load(weights)


def test_untrained_weights_are_the_same_everywhere(spec):
    """Their digest is on record: it must not change with NumPy, PyTorch or the platform."""
    weights = untrained_weights(spec, 1)
    assert weights_digest(weights) == "40370a016ef02c029a009dfd50b5790a8b773351accc56010d6846a126a3fd17"
    assert weights_digest(weights) == weights_digest(untrained_weights(spec, 1))
    assert weights_digest(weights) != weights_digest(untrained_weights(spec, 2))


def test_untrained_weights_are_distributed_as_pytorchs(tmp_path):
    layers = [{"conv": {"out": 64, "kernel": 3}}, {"conv": {"out": 64, "kernel": 3}}, "flatten", {"dense": 3}]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    torch.manual_seed(0)
    ours, pytorchs = untrained_weights(spec, 1), Network(spec).weights()
    for name in ("conv1/weight", "conv2/weight", "conv2/bias", "dense1/weight"):
        bound = np.sqrt(1 / np.prod(spec.parameters[name.split("/")[0] + "/weight"][1:]))
        assert 0.85 * bound < np.abs(ours[name]).max() <= bound
        assert ours[name].std() == pytest.approx(pytorchs[name].std(), rel=0.2)


def test_batch_normalisation_starts_as_the_identity(spec):
    weights = untrained_weights(spec, 1)
    assert [weights[f"batchnorm1/{name}"][0] for name in ("weight", "bias", "running_mean", "running_var")] == [
        1, 0, 0, 1,
    ]  # fmt: skip


def test_the_digest_is_what_its_description_says():
    weights = {"b/weight": np.array([[1, 2]], np.float32), "a/bias": np.array([3], np.float32)}
    bytes_ = b"a/bias\n" + b"\x00\x00\x40\x40" + b"b/weight\n" + b"\x00\x00\x80\x3f" + b"\x00\x00\x00\x40"
    assert weights_digest(weights) == hashlib.sha256(bytes_).hexdigest()


def test_a_weights_file_holds_what_the_contract_says(spec, tmp_path):
    path, weights = tmp_path / "w.h5", untrained_weights(spec, 1)
    save_weights(path, weights, "small")
    with h5py.File(path) as file:
        assert dict(file.attrs) == {
            "format": "promptflux weights 1",
            "classifier": "small",
            "weights_sha256": weights_digest(weights),
        }
        assert file["conv2/weight"].shape == (6, 4, 3, 3)
        assert file["conv2/weight"].dtype == np.dtype("<f4")
    loaded = load_weights(path, spec)
    assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    save_weights(tmp_path / "again.h5", weights, "small")
    assert path.read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_a_model_file_holds_what_the_contract_says(spec, tmp_path):
    """What Julia reads, as HDF5's own types: it parses nothing."""
    path, weights = tmp_path / "m.h5", untrained_weights(spec, 1)
    save_model(path, weights, spec)
    with h5py.File(path) as file:
        assert dict(file.attrs) == {
            "format": "promptflux model 1",
            "classifier": "small",
            "description_sha256": spec.digest,
            "weights_sha256": weights_digest(weights),
        }
        assert file["conv2/weight"].shape == (6, 4, 3, 3)
        description = file["description"]
        assert description.attrs["name"] == "small"
        assert list(description["labels"].asstr()) == ["forest", "city", "a desert"]
        assert list(description["layer_names"].asstr()) == [layer.name for layer in spec.layers]
        assert description["input"].attrs["channels"] == "gray"
        assert description["input"].attrs["height"] == 12
        conv = description["layers/conv2"]
        assert (conv.attrs["kind"], conv.attrs["in_shape"].tolist()) == ("conv", [4, 5, 4])
        assert conv.attrs["shape"].tolist() == [6, 5, 4]
        assert conv["settings"].attrs["padding"].tolist() == [1, 1]
        assert conv["settings"].attrs["activation"] == "identity"
        assert conv["settings"].attrs["bias"] == 0
        assert list(conv["parameter_names"].asstr()) == ["weight"]
        assert conv["parameters"].attrs["weight"].tolist() == [6, 4, 3, 3]
        assert description["layers/batchnorm1/settings"].attrs["eps"] == 1e-5
        assert description["layers/dropout1/settings"].attrs["p"] == 0.5
        running = ["weight", "bias", "running_mean", "running_var"]
        assert list(description["layers/batchnorm1/parameter_names"].asstr()) == running
        assert len(description["layers/flatten1/parameter_names"]) == 0
    save_model(tmp_path / "again.h5", weights, spec)
    assert path.read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_a_model_comes_back_as_it_was(spec, tmp_path):
    weights = untrained_weights(spec, 1)
    save_model(tmp_path / "m.h5", weights, spec)
    description, loaded = load_model(tmp_path / "m.h5")
    assert description.to_dict() == spec.to_dict() == load_description(tmp_path / "m.h5").to_dict()
    assert description.digest == spec.digest
    assert description.layers == spec.layers
    assert description.source == str(tmp_path / "m.h5")
    assert list(loaded) == list(weights)
    images = torch.rand(3, 1, 12, 10)
    with torch.no_grad():
        ours, theirs = (Network(it).load(weights).eval()(images) for it in (description, spec))
    assert torch.equal(ours, theirs)


def test_the_digest_of_a_description_is_that_of_the_network(tmp_path, spec):
    """Where a spec lies, what it says of itself and where its weights come from is no part of the network."""
    (tmp_path / "elsewhere").mkdir()
    moved = write_spec(tmp_path / "elsewhere", description="Other words.", weights={"seed": 2})
    assert load_spec(moved).digest == spec.digest
    for changes in ({"labels": ["a", "b", "c"]}, {"layers": ["flatten", {"dense": 3}]}, {"input": "rgb8"}):
        assert load_spec(write_spec(tmp_path, **changes)).digest != spec.digest


def test_a_model_file_is_a_weights_file_but_not_the_other_way(spec, tmp_path):
    weights = untrained_weights(spec, 1)
    save_model(tmp_path / "m.h5", weights, spec)
    save_weights(tmp_path / "w.h5", weights, "small")
    loaded = load_weights(tmp_path / "m.h5", spec)
    assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    with pytest.raises(StudyError, match="w.h5: this is not a model file"):
        load_model(tmp_path / "w.h5")


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.__delitem__("description/labels"),
        lambda file: file.__delitem__("description/layers/conv1"),
        lambda file: file["description/layers/conv1"].attrs.__delitem__("shape"),
        lambda file: file["description/layers/dense1/parameters"].attrs.modify("weight", [8, 119]),
        lambda file: file.__delitem__("description"),
        lambda file: file.__delitem__("conv1/weight"),
        lambda file: file["conv1/bias"].write_direct(np.ones(4, np.float32)),
    ],
)
def test_a_damaged_model_is_a_sentence(spec, tmp_path, damage):
    save_model(tmp_path / "m.h5", untrained_weights(spec, 1), spec)
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        damage(file)
    with pytest.raises(StudyError, match="m.h5"):
        load_model(tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("dense1/bias"), ["dense1/bias is missing", "shape 8"]),
        (lambda w: w.update({"conv3/bias": np.zeros(2)}), ["conv3/bias belongs to no layer"]),
        (
            lambda w: w.update({"conv2/weight": np.zeros((4, 6, 3, 3))}),
            ["conv2/weight has the shape 4×6×3×3", "6×4×3×3"],
        ),
        (
            lambda w: w["dense2/weight"].__setitem__((0, 0), np.nan),
            ["dense2/weight holds 1 values", "not finite"],
        ),
        (lambda w: w["conv1/bias"].fill(np.inf), ["conv1/bias holds 4 values"]),
        (lambda w: w["batchnorm1/running_var"].fill(-1), ["running_var", "negative"]),
    ],
)
def test_weights_that_do_not_fit_are_named(spec, tmp_path, change, said):
    weights = untrained_weights(spec, 1)
    change(weights)
    save_weights(tmp_path / "w.h5", weights, "small")
    with pytest.raises(StudyError) as caught:
        load_weights(tmp_path / "w.h5", spec)
    for words in (*said, str(tmp_path / "w.h5")):
        assert words in str(caught.value)


def test_weights_that_were_changed_are_noticed(spec, tmp_path):
    save_weights(tmp_path / "w.h5", untrained_weights(spec, 1), "small")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file["conv1/bias"][0] = 0.123
    with pytest.raises(StudyError, match="weights_sha256"):
        load_weights(tmp_path / "w.h5", spec)


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_a_file_that_holds_no_weights(spec, tmp_path, content):
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(StudyError, match="w.h5"):
        load_weights(tmp_path / "w.h5", spec)


def test_another_hdf5_file_holds_no_weights(spec, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StudyError, match="not a weights file"):
        load_weights(tmp_path / "w.h5", spec)


@pytest.mark.parametrize(
    ("found", "at", "written"),
    [
        (b"GCOL", 24, b"\0"),  # the size of its first text: read without end
        (b"GCOL", 24, b"\xff"),
        (b"GCOL", 12, b"\xff"),  # its own size
        (b"format\0\0\x19", 9, b"\x3e"),  # what a text is made of: another sort crashes
        (b"format\0\0\x19", 9, b"\x00"),
    ],
)
def test_damage_on_which_hdf5_hangs_or_crashes_is_a_sentence(spec, tmp_path, found, at, written):
    save_weights(tmp_path / "w.h5", untrained_weights(spec, 1), "small")
    content = bytearray((tmp_path / "w.h5").read_bytes())
    place = content.index(found) + at
    content[place : place + 1] = written
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(StudyError, match="w.h5: the weights file is damaged"):
        load_weights(tmp_path / "w.h5", spec)


def test_numbers_that_lie_in_another_file_are_not_read(spec, tmp_path):
    weights = untrained_weights(spec, 1)
    save_weights(tmp_path / "w.h5", weights, "small")
    (tmp_path / "secret").write_bytes(bytes(4 * weights["conv1/bias"].size))
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["conv1/bias"]
        file.create_dataset(
            "conv1/bias", (4,), "<f4", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        )
    with pytest.raises(StudyError, match="conv1/bias holds float32 or lies elsewhere"):
        load_weights(tmp_path / "w.h5", spec)


def test_a_dataset_larger_than_what_is_stored_of_it_is_not_read(spec, tmp_path):
    save_weights(tmp_path / "w.h5", untrained_weights(spec, 1), "small")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file.create_dataset("bomb", (2**40,), "<f4", chunks=(2**20,), compression="gzip")
    with pytest.raises(StudyError, match="w.h5: bomb belongs to no layer"):
        load_weights(tmp_path / "w.h5", spec)


def test_a_description_that_contradicts_itself_is_refused(spec, tmp_path):
    """Also where its digest is that of what it says."""
    from dataclasses import replace

    weights = untrained_weights(spec, 1)
    for changes, said in (
        ({"shape": (4, 10, 9)}, "conv1 does not follow"),
        ({"kind": "konv"}, "conv1 is of the kind 'konv', which this version does not know"),
    ):
        save_model(
            tmp_path / "m.h5",
            weights,
            replace(spec, layers=(replace(spec.layers[0], **changes), *spec.layers[1:])),
        )
        for read in (load_model, load_description):
            with pytest.raises(StudyError, match=said):
                read(tmp_path / "m.h5")


def test_a_name_in_a_model_file_reaches_the_terminal_escaped(spec, tmp_path):
    weights = untrained_weights(spec, 1) | {"\x1b[2J/\u202e": np.zeros(2, np.float32)}
    save_weights(tmp_path / "w.h5", weights, "small")
    with pytest.raises(StudyError) as caught:
        load_weights(tmp_path / "w.h5", spec)
    assert str(caught.value).isprintable() and "\\x1b[2J/\\u202e belongs to no layer" in str(caught.value)
