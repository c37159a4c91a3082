"""Checkpoints as people have them, and as nobody should have them: read as tensors alone, or refused in a sentence."""

import json
import pickle
import random
import resource
import shutil
import struct
import zipfile
from argparse import Namespace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import import_weights
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from support.specs import write_spec
from support.workflow import WORKFLOW

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, load_weights, save_model, save_weights
from promptflux.errors import StudyError

CASES = WORKFLOW / "tests/cases/weights"
LAYERS = ["flatten", {"dense": 3}]  # of gray2: one parameter dense1, weight 3×4 and bias 3
STATE = {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.ones(3)}


def imported(folder, checkpoint="c.pt", layers=LAYERS, size=2, **weights):
    """The weights that a spec of `layers` gets from a checkpoint in its folder."""
    path = write_spec(
        folder, input=f"gray{size}", layers=layers, weights={"checkpoint": checkpoint, **weights}
    )
    return imported_by(path)


def imported_by(path):
    spec = load_spec(path)
    import_weights.main(
        spec=str(path),
        weights=str(spec.weights_path),
        model=str(path.parent / "model.h5"),
        architecture=str(path.parent / "architecture.txt"),
    )
    return load_model(path.parent / "model.h5")[1]


def refused(folder, *arguments, **options) -> str:
    """The one sentence with which a checkpoint is refused, that leaves no file and is fit for a terminal."""
    with pytest.raises(StudyError) as caught:
        imported(folder, *arguments, **options)
    [sentence] = caught.value.args
    assert sentence.isprintable() and sentence.endswith(".") and "c." in sentence
    assert "weights_only" not in sentence and "add_safe_globals" not in sentence
    assert not (folder / "model.h5").exists()
    return sentence


# As people have them ----------------------------------------------------------------------

PLAIN = {
    "features.0": "conv1",
    "features.1": "batchnorm1",
    "classifier.1": "dense1",
    "classifier.3": "dense2",
}
NUMBERS = {"0": "conv1", "1": "batchnorm1", "5": "dense1", "7": "dense2"}


@pytest.mark.parametrize(
    ("case", "key", "prefix", "modules"),
    [
        ("deforder", None, "", {"conv1": "conv1", "conv2": "conv2", "fc": "dense1"}),
        ("own", None, "", {"conv1": "conv1", "conv2": "conv2", "fc": "dense1"}),
        ("key_params", "params", "", PLAIN),
        ("key_module", "module", "", PLAIN),
        ("key_network", "network", "", PLAIN),
        ("lit", "state_dict", "model.", PLAIN),
        ("lit_ren", "state_dict", "model.", PLAIN),
        ("netdp", "net", "module.", PLAIN),
        ("seq", None, "", NUMBERS),
        ("seqn", None, "", NUMBERS),
    ],
)
def test_a_checkpoint_of_another_making(tmp_path, case, key, prefix, modules):
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    spec = yaml.safe_load((tmp_path / f"{case}.yaml").read_text())
    stored = torch.load(tmp_path / spec["weights"]["checkpoint"])
    stored = stored[key] if key else stored
    weights = imported_by(tmp_path / f"{case}.yaml")
    for module, layer in modules.items():
        assert np.array_equal(weights[f"{layer}/weight"], stored[f"{prefix}{module}.weight"].numpy())


@pytest.mark.parametrize("case", ["np", "st_as", "pt_as"])
def test_what_stands_beside_the_weights_or_in_the_name_does_not_matter(tmp_path, case):
    """A NumPy scalar, and the suffix of the other format."""
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    assert imported_by(tmp_path / f"{case}.yaml")["dense2/weight"].shape == (3, 8)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("clash", ["module.features.0.weight and features.0.weight are both features.0.weight"]),
        (
            "nobias",
            ["dense2 (weight 3×8, bias 3)", "classifier.3 (weight 3×8)", "write `bias: false` in dense2"],
        ),
        ("convnobias", ["conv1", "features.0 (weight 4×3×3×3)", "write `bias: false` in conv1"]),
        ("affine", ["batchnorm1", "bn (running_mean 4", "write `affine: false` in batchnorm1"]),
        ("trunc", ["not a readable safetensors file", "cut short"]),
    ],
)
def test_a_checkpoint_that_is_refused_with_what_to_do(tmp_path, case, said):
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    with pytest.raises(StudyError) as caught:
        imported_by(tmp_path / f"{case}.yaml")
    [sentence] = caught.value.args
    assert all(words in sentence for words in said), sentence


@pytest.mark.parametrize(("case", "layer", "setting"), [("nobias", 5, "bias"), ("affine", 1, "affine")])
def test_layers_without_bias_or_affine(tmp_path, case, layer, setting):
    """What the sentence says to write makes the checkpoint fit, and the network that of PyTorch without them."""
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    content = yaml.safe_load((tmp_path / f"{case}.yaml").read_text())
    [(kind, given)] = content["layers"][layer].items()
    content["layers"][layer] = {
        kind: (given if isinstance(given, dict) else {"out": given}) | {setting: False}
    }
    (tmp_path / f"{case}.yaml").write_text(yaml.safe_dump(content))
    weights = imported_by(tmp_path / f"{case}.yaml")
    stored = torch.load(tmp_path / f"{case}.pt")
    spec = load_spec(tmp_path / f"{case}.yaml")
    name = spec.layers[layer].name
    assert f"{name}/bias" not in weights
    images = torch.rand(2, *spec.layers[layer].in_shape)
    ours = Network(spec).load(weights).eval().get_submodule(name)(images)
    if kind == "dense":
        assert torch.equal(ours, images @ stored["classifier.3.weight"].T)
    else:
        mean, variance = (stored[f"bn.running_{of}"].reshape(4, 1, 1) for of in ("mean", "var"))
        assert torch.allclose(ours, (images - mean) / torch.sqrt(variance + 1e-5), atol=1e-6)


def test_a_description_without_these_settings_is_as_it_was(tmp_path):
    """So that the digests on record, and the model files, stay what they are."""
    plain, said = (
        load_spec(write_spec(tmp_path, name, layers=["flatten", dense, norm, {"dense": 3}]))
        for name, dense, norm in (
            ("small", {"dense": 4}, "batchnorm"),
            ("said", {"dense": {"out": 4, "bias": True}}, {"batchnorm": {"affine": True}}),
        )
    )
    assert plain.layers == said.layers
    assert set(plain.layers[1].settings) == {"out", "activation"}
    assert set(plain.layers[2].settings) == {"eps", "activation"}


@pytest.mark.parametrize("suffix", ["pt", "pth", "pth.tar", "th", "ckpt", "bin", "safetensors"])
@pytest.mark.parametrize("written", ["zip", "legacy", "safetensors"])
def test_the_format_is_told_by_the_content(tmp_path, suffix, written):
    path = tmp_path / f"c.{suffix}"
    if written == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=written == "zip")
    assert np.array_equal(imported(tmp_path, path.name)["dense1/weight"], STATE["fc.weight"].numpy())


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "model._orig_mod.module.", "module.model.model."]
)
def test_prefixes_in_any_nesting(tmp_path, prefix):
    torch.save({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path / "c.pt")
    assert imported(tmp_path, rename={f"{prefix}fc": "dense1"})
    assert imported(tmp_path, rename={"fc": "dense1"})
    assert imported(tmp_path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"weights": state},
        lambda state: {"a": {"b": {"c": state}}, "accuracy": torch.tensor(0.5), "mean": torch.ones(3)},
        lambda state: {"net": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(3, 4)}}}},
        lambda state: {"ema": state, "model": None, "best": np.float64(0.3), "at": np.int64(3)},
        lambda state: {"state_dict": state, "args": Namespace(lr=0.1, out=Path("runs"), best=np.float32(1))},
        lambda state: {"net": state, "rng": [np.random.RandomState(1).get_state(), np.ones((2, 3))]},
        lambda state: {"params": state, "at": datetime(2026, 1, 2), "more": SimpleNamespace(a=[Path("x")])},
    ],
)
def test_the_weights_lie_under_any_key(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "c.pt")
    assert np.array_equal(imported(tmp_path)["dense1/weight"], STATE["fc.weight"].numpy())


@pytest.mark.parametrize("key", ["model", "more.ema", "more"])
def test_several_places_are_listed_and_a_key_picks_one(tmp_path, key):
    more = {"ema": {name: tensor + 1 for name, tensor in STATE.items()}}
    torch.save({"model": STATE, "more": more}, tmp_path / "c.pt")
    assert "in 2 places, model, more.ema; say in the spec" in (said := refused(tmp_path))
    assert "`key: more.ema` in weights" in said
    wanted = (more["ema"] if "more" in key else STATE)["fc.weight"]
    assert np.array_equal(imported(tmp_path, key=key)["dense1/weight"], wanted.numpy())
    (tmp_path / "model.h5").unlink()
    assert (
        "no weights under the key 'mode' of the checkpoint; it holds weights under model, more.ema"
        in refused(tmp_path, key="mode")
    )


@pytest.mark.parametrize("written", ["pt", "nested", "safetensors", "wrapped"])
def test_a_key_goes_on_in_the_names(tmp_path, written):
    """A student and a teacher in one mapping, as wrappers of two networks save them."""
    state = {
        f"{who}.{name}": tensor + add
        for add, who in enumerate(("student", "teacher"))
        for name, tensor in STATE.items()
    }
    if written == "safetensors":
        save_file(state, tmp_path / "c.pt")
    else:
        wrapped = {f"module.model.{name}": tensor for name, tensor in state.items()}
        torch.save({"pt": state, "nested": {"nets": state}, "wrapped": wrapped}[written], tmp_path / "c.pt")
    with pytest.raises(StudyError, match=r"student\.fc, teacher\.fc have the same shapes"):
        imported(tmp_path)
    key = "nets.teacher" if written == "nested" else "teacher"
    assert np.array_equal(imported(tmp_path, key=key)["dense1/weight"], STATE["fc.weight"].numpy() + 1)
    (tmp_path / "model.h5").unlink()
    assert "no weights under the key 'pupil' of the checkpoint" in refused(tmp_path, key="pupil")


@pytest.mark.parametrize(
    "content", [{"epoch": 3, "lr": {"a": 1}}, {"epoch": torch.tensor(3), "lr": torch.tensor(0.1)}]
)
def test_a_checkpoint_without_weights_says_what_it_has(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    assert "no weights under its keys epoch, lr" in refused(tmp_path)


@pytest.mark.parametrize("rename", [{0: "dense1"}, {"0": "dense1"}])
def test_numbers_are_keys_of_a_rename(tmp_path, rename):
    torch.save({"0.weight": STATE["fc.weight"], "0.bias": STATE["fc.bias"]}, tmp_path / "c.pt")
    assert imported(tmp_path, rename=rename)


def test_a_module_that_is_renamed_twice(tmp_path):
    torch.save(STATE, tmp_path / "c.pt")
    layers = ["flatten", {"dense": 3}, {"dense": 3}]
    assert "names the module fc" in refused(
        tmp_path, layers=layers, rename={"fc": "dense1", "module.fc": "dense2"}
    )


def test_a_rename_says_some_and_shapes_the_rest(tmp_path):
    state = {
        "a.weight": torch.rand(4, 4),
        "a.bias": torch.rand(4),
        "b.weight": torch.rand(4, 4),
        "b.bias": torch.rand(4),
    }
    torch.save(state | STATE, tmp_path / "c.pt")
    layers = ["flatten", {"dense": 4}, {"dense": 4}, {"dense": 3}]
    weights = imported(tmp_path, layers=layers, rename={"b": "dense1"})
    for module, layer in (("b", "dense1"), ("a", "dense2"), ("fc", "dense3")):
        assert np.array_equal(weights[f"{layer}/weight"], (state | STATE)[f"{module}.weight"].numpy())
    assert "{a: dense1, b: dense2}" in refused_without(tmp_path, layers=layers)


# By the names that a spec gives --------------------------------------------------------------

CONV = {"conv": {"out": 3, "kernel": 3, "padding": 1}}
NAMED = [
    {"conv": {"out": 3, "kernel": 3, "padding": 1, "module": "features.0"}},
    {"residual": {"body": [{"conv": {"out": 3, "kernel": 3, "padding": 1, "module": ["block.1", "old.2"]}}]}},
    {"residual": {"body": [{"conv": {"out": 3, "kernel": 1, "module": "mlp"}}]}},
    "flatten",
    {"dense": {"out": 3, "module": "head.fc"}},
]


def named_state(**tensors):
    """Weights for NAMED of rgb2; those of the two convolutions of one shape lie in the wrong order."""
    numbers = iter(range(1, 100))
    shapes = {"block.1": (3, 3, 3, 3), "features.0": (3, 3, 3, 3), "mlp": (3, 3), "head.fc": (3, 12)}
    state = {}
    for module, shape in shapes.items():
        state |= {f"{module}.weight": torch.full(shape, next(numbers) / 10), f"{module}.bias": torch.zeros(3)}
    return state | tensors


def imported_named(folder, state, layers=NAMED, **weights):
    torch.save(state, folder / "c.pt")
    path = write_spec(folder, input="rgb2", layers=layers, weights={"checkpoint": "c.pt", **weights})
    return imported_by(path)


def first_values(weights):
    return {
        name.split("/")[0]: round(float(array.flat[0]), 3)
        for name, array in weights.items()
        if "weight" in name
    }


RIGHT = {"conv1": 0.2, "residual1.conv1": 0.1, "residual2.conv1": 0.3, "dense1": 0.4}


@pytest.mark.parametrize("prefix", ["", "module.model.", "backbone.", "net.0.encoder."])
def test_layers_are_the_modules_that_the_spec_says(tmp_path, prefix):
    """Whatever their order, after a prefix that they have in common; a 1×1 convolution may be a linear layer's."""
    state = {prefix + name: tensor for name, tensor in named_state().items()}
    weights = imported_named(tmp_path, state)
    assert first_values(weights) == RIGHT
    assert weights["residual2.conv1/weight"].shape == (3, 3, 1, 1)


@pytest.mark.parametrize("name", ["old.2", "old2", "residual1.conv1"])
def test_a_module_may_have_several_names(tmp_path, name):
    """The second of a list, a name without the point before its number, and the layer's own."""
    state = {key.replace("block.1", name): tensor for key, tensor in named_state().items()}
    assert first_values(imported_named(tmp_path, state)) == RIGHT


def test_a_rename_comes_before_the_module_of_the_spec(tmp_path):
    state = {key.replace("block.1", "elsewhere"): tensor for key, tensor in named_state().items()}
    assert first_values(imported_named(tmp_path, state, rename={"elsewhere": "residual1.conv1"})) == RIGHT
    rename = {"features.0": "residual1.conv1", "elsewhere": "conv1"}
    assert first_values(imported_named(tmp_path, state, rename=rename)) == RIGHT | {
        "conv1": 0.1,
        "residual1.conv1": 0.2,
    }


def test_a_layer_of_one_parameter_may_be_a_single_tensor(tmp_path):
    layers = [
        {"dense": {"out": 3, "bias": False, "module": "tokens.scale"}} if layer == NAMED[4] else layer
        for layer in NAMED
    ]
    state = {key: tensor for key, tensor in named_state().items() if "head" not in key}
    state |= {"tokens.scale": torch.full((3, 12), 0.7)}
    assert first_values(imported_named(tmp_path, state, layers)) == RIGHT | {"dense1": 0.7}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state | {"extra.weight": torch.ones(3, 3, 3, 3), "extra.bias": torch.ones(3)},
         ["also holds extra", "another network", "`unused: [extra]`"]),
        (lambda state: {key: part for key, part in state.items() if "head" not in key},
         ["no module head.fc for dense1", "it has nothing more"]),
        (lambda state: state | {"mlp.weight": torch.ones(3, 3, 1, 2)},
         ["mlp has weight 3×3×1×2, bias 3, and residual2.conv1", "wants weight 3×3×1×1"]),
        (lambda state: state | {"head.fc.weight": torch.ones(9, 12), "head.fc.bias": torch.ones(9)},
         ["head.fc has weight 9×12, bias 9, and dense1", "has 9 outputs, and labels has 3 names"]),
        (lambda state: {f"{who}.{key}": part for who in ("a", "b") for key, part in state.items()},
         ["holds the network 2 times, under a., b.", "`key: a` in weights"]),
    ],
)  # fmt: skip
def test_named_modules_that_do_not_fit_are_said(tmp_path, change, said):
    with pytest.raises(StudyError) as caught:
        imported_named(tmp_path, change(named_state()))
    [sentence] = caught.value.args
    assert all(words in sentence for words in said), sentence


def test_a_last_layer_that_was_put_into_another_module_is_taken_and_said(tmp_path, capsys):
    """As `model.fc = nn.Sequential(nn.Dropout(), nn.Linear(...))` makes it."""
    state = {key.replace("head.fc", "head.fc.1"): tensor for key, tensor in named_state().items()}
    assert first_values(imported_named(tmp_path, state)) == RIGHT
    assert "warning: head.fc.1 of c.pt is taken as dense1" in capsys.readouterr().err
    # Several are another network, and the file that names the modules is the one to copy.
    state |= {"head.fc.3.weight": torch.ones(3, 3), "head.fc.3.bias": torch.ones(3)}
    torch.save(state, tmp_path / "c.pt")
    (tmp_path / "ready.yaml").write_text(
        yaml.safe_dump({"input": "rgb2", "labels": "names.txt", "layers": NAMED})
    )
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "net.yaml").write_text("architecture: ready.yaml\nweights: {checkpoint: c.pt}\n")
    with pytest.raises(StudyError) as caught:
        imported_by(tmp_path / "net.yaml")
    assert "in place of the one module head.fc the checkpoint has head.fc.1, head.fc.3" in str(caught.value)
    assert f"otherwise than {tmp_path / 'ready.yaml'}; copy that file" in str(caught.value)
    del state["block.1.weight"], state["block.1.bias"]
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(
        StudyError, match=f"block.1 for residual1.conv1, .* as {tmp_path / 'ready.yaml'} calls"
    ):
        imported_by(tmp_path / "net.yaml")


def test_what_is_unused_is_left_out_and_said(tmp_path, capsys):
    state = named_state(**{"aux.fc.weight": torch.ones(2, 2), "aux.bias": torch.ones(2)})
    assert first_values(imported_named(tmp_path, state, unused=["aux"])) == RIGHT
    assert "aux.fc, aux of c.pt are left out, as unused" in capsys.readouterr().err
    wrapped = {f"model.backbone.{key}": tensor for key, tensor in state.items()}
    for unused in ("aux", "backbone.aux", "model.backbone.aux"):
        assert first_values(imported_named(tmp_path, wrapped, unused=[unused])) == RIGHT
    with pytest.raises(StudyError, match="also holds aux.fc, aux, for which"):
        imported_named(tmp_path, state, unused=["au"])


def test_the_mistakes_of_a_large_network_stay_short(tmp_path):
    layers = [{"conv": {"out": 3, "kernel": 3, "padding": 1, "module": f"m{i}"}} for i in range(300)]
    state = {
        f"m{i}.{name}": tensor
        for i in range(300)
        for name, tensor in (("weight", torch.ones(3, 3, 5, 5)), ("bias", torch.ones(3)))
    }
    end = ["flatten", {"dense": {"out": 3, "module": "fc"}}]
    fc = {"fc.weight": torch.ones(3, 12), "fc.bias": torch.ones(3)}
    said = []
    for found in (state | fc, {f"x{key}": part for key, part in (state | fc).items()}, fc):
        with pytest.raises(StudyError) as caught:
            imported_named(tmp_path, found, [*layers, *end])
        said.append(str(caught.value))
    assert "so have 296 more modules" in said[0]
    assert all(len(text) < 2500 for text in said), [len(text) for text in said]


def test_many_unclear_shapes_stay_short(tmp_path):
    """Of each size a layer that its shape tells, and two that only names could."""
    layers, shapes = [], {}
    for size in range(5, 25):
        layers += [{"dense": size}] * 3
        shapes |= {f"enter{size}": (size, size - 1), f"b{size}": (size, size), f"a{size}": (size, size)}
    shapes["fc"] = (3, 24)
    state = {f"{name}.weight": torch.ones(shape) for name, shape in shapes.items()}
    state |= {f"{name}.bias": torch.ones(shape[:1]) for name, shape in shapes.items()}
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(StudyError) as caught:
        imported(tmp_path, layers=["flatten", *layers, {"dense": 3}])
    assert "{b5: dense2, a5: dense3}" in caught.value.args[0]
    assert "of 17 more shapes it is as unclear" in caught.value.args[-1] and len(caught.value.args) == 4


def refused_without(folder, **options) -> str:
    (folder / "model.h5").unlink()
    return refused(folder, **options)


# As nobody should have them ---------------------------------------------------------------


class Evil:
    """What runs `code` when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Theirs(torch.nn.Module):
    pass


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_named_and_does_not_run(tmp_path, legacy):
    import os

    for content, named in (
        ({**STATE, "x": Evil(os.system, f"touch {tmp_path}/ran")}, "posix.system"),
        ({**STATE, "x": Evil(exec, f"open('{tmp_path}/ran', 'w')")}, "exec"),
        (Theirs(), "test_checkpoints.Theirs"),
        ({**STATE, "x": random.Random(1)}, "random.Random"),
    ):
        torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=not legacy)
        said = refused(tmp_path)
        assert f"it holds a {named}, which is no tensor and could run code" in said and "state_dict" in said
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_not_even_opened(tmp_path):
    for protocol in range(2, 6):
        (tmp_path / "c.pt").write_bytes(pickle.dumps(Evil(open, f"{tmp_path}/ran", "w"), protocol))
        assert "a pickle that torch.save did not write" in refused(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>404", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "name it with `file`"),
        (b"\x00\x01\x02" * 30, "neither a safetensors file nor a PyTorch checkpoint"),
        (b"PK\x03\x04" + b"\0" * 200, "damaged or cut short"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(tmp_path, content, said):
    (tmp_path / "c.pt").write_bytes(content)
    assert said in refused(tmp_path)


def test_a_torchscript_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as archive:  # its code is compressed
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"c/{name}", bytes(1000))
    assert "TorchScript" in refused(tmp_path)


def test_an_archive_that_unpacks_to_more_than_it_is_stays_packed(tmp_path):
    torch.save({"fc.weight": torch.zeros(2**22), "fc.bias": torch.zeros(3)}, tmp_path / "big.pt")
    with (
        zipfile.ZipFile(tmp_path / "big.pt") as big,
        zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for entry in big.infolist():
            small.writestr(entry.filename, big.read(entry))
    (tmp_path / "big.pt").unlink()
    assert (tmp_path / "c.pt").stat().st_size < 2**18
    assert "the archive is compressed" in refused(tmp_path)


def bombs():
    text = b"X\x0a\x00\x00\x00" + b"0" * 10
    doubled = b"c_codecs\nencode\n(" + text + b"X\x06\x00\x00\x00latin1tR"
    for _ in range(40):
        doubled = b"c_codecs\nencode\n(" + doubled + b"X\x03\x00\x00\x00hextR"
    yield "bytearray", b"\x80\x02cbuiltins\nbytearray\n(\x8a\x06\0\0\0\0\0\x01tR."
    yield "codec", b"\x80\x02" + doubled + b"."
    yield "tensor", b"\x80\x02ctorch\nFloatTensor\n(\x8a\x06\0\0\0\0\0\x01tR."


@pytest.mark.parametrize(
    ("name", "content"), list(bombs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_pickle_that_asks_for_memory_gets_none(tmp_path, name, content):
    before = resource.getrlimit(resource.RLIMIT_AS), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("c/data.pkl", content)
        archive.writestr("c/version", b"3")
    assert "more memory than its size accounts for" in refused(tmp_path)
    assert resource.getrlimit(resource.RLIMIT_AS) == before[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before[1] < 2 * 2**20  # KiB


def test_a_tensor_that_is_larger_than_what_is_stored_of_it(tmp_path):
    torch.save(
        {"fc.weight": torch.ones(1, dtype=torch.float16).expand(2**22, 2**22), "fc.bias": torch.ones(3)},
        tmp_path / "c.pt",
    )
    assert "fc (weight 4194304×4194304" in refused(tmp_path)
    assert "fc has weight 4194304×4194304" in refused(tmp_path, rename={"fc": "dense1"})


def test_references_without_end_are_followed_once(tmp_path):
    level = {"weights": STATE}
    for _ in range(60):
        level = {"a": level, "b": level}
    level["self"] = level
    torch.save(level, tmp_path / "c.pt")
    assert imported(tmp_path)


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\r"


@pytest.mark.parametrize("written", ["pt", "safetensors"])
def test_a_name_reaches_the_terminal_escaped(tmp_path, capsys, written):
    def save(state):
        if written == "pt":
            torch.save(state, tmp_path / "c.pt")
        else:
            save_file(state, tmp_path / "c.pt")

    fc = {f"{HOSTILE}.{name[3:]}": tensor for name, tensor in STATE.items()}
    save(fc | {f"{HOSTILE}.extra": torch.ones(3, dtype=torch.int32)})
    assert imported(tmp_path)
    (tmp_path / "model.h5").unlink()
    for state in (
        fc | {f"module.{HOSTILE}.weight": torch.ones(3)},
        {f"{HOSTILE}.weight": torch.ones(5)},
        {HOSTILE: torch.ones(3, dtype=torch.int32)},
    ):
        save(state)
        refused(tmp_path)
        refused(tmp_path, rename={"fc": "dense1"})
    printed = capsys.readouterr().err
    assert "\\x1b]0;owned" in printed and "\x1b" not in printed and "\u202e" not in printed


def headers():
    good = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}
    bias = {"dtype": "F32", "shape": [3], "data_offsets": [48, 60]}
    yield "more than there is", {"fc.weight": good | {"shape": [3, 400], "data_offsets": [0, 4800]}}
    yield "overlapping", {"fc.weight": good, "fc.bias": bias | {"data_offsets": [36, 48]}}
    yield "a hole", {"fc.weight": good, "fc.bias": bias | {"data_offsets": [50, 62]}}
    yield "backwards", {"fc.weight": good | {"data_offsets": [48, 0]}}
    yield "another shape", {"fc.weight": good | {"shape": [4, 4]}, "fc.bias": bias}
    yield "an overflow", {"fc.weight": good | {"shape": [2**62, 4]}, "fc.bias": bias}
    yield "a negative side", {"fc.weight": good | {"shape": [-3, -4]}, "fc.bias": bias}
    yield "an unknown type", {"fc.weight": good | {"dtype": "F33"}, "fc.bias": bias}
    yield "no mapping", [good]
    yield "a text", "fc.weight"


@pytest.mark.parametrize(("lie", "header"), list(headers()))
def test_a_header_that_lies(tmp_path, lie, header):
    text = json.dumps(header).encode()
    (tmp_path / "c.pt").write_bytes(struct.pack("<Q", len(text)) + text + bytes(60))
    refused(tmp_path)


@pytest.mark.parametrize("length", [2**63, 2**40, 10**6])
def test_a_header_longer_than_the_file(tmp_path, length):
    (tmp_path / "c.pt").write_bytes(struct.pack("<Q", length) + b"{}" + bytes(60))
    assert "not a readable safetensors file" in refused(tmp_path)


def test_a_flipped_bit_in_the_weights_is_noticed(tmp_path):
    torch.save(STATE, tmp_path / "c.pt")
    content = bytearray((tmp_path / "c.pt").read_bytes())
    place = content.index(STATE["fc.weight"].numpy().tobytes())
    content[place + 5] ^= 1
    (tmp_path / "c.pt").write_bytes(content)
    assert "does not have its recorded checksum" in refused(tmp_path)


# Mutated at random ------------------------------------------------------------------------


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A copy with some bytes changed, cut off, put in or repeated."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(content)) if content else 0
        match rng.randrange(5):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                content[at:] = b""
            case 2:
                content[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**32 - 1]))
            case 3:
                content[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                content[at : at + 8] = content[rng.randrange(len(content)) :][:8] if content else b""
    return bytes(content)


@pytest.mark.parametrize("written", ["zip", "legacy", "pickle", "safetensors", "weights", "model"])
def test_what_is_mutated_is_refused_in_a_sentence_or_loads(tmp_path, written):
    """A fixed seed; anything but a StudyError that a terminal can show, or finite weights, fails."""
    rng = random.Random(f"mutations of {written}")
    path = write_spec(tmp_path, input="gray2", layers=LAYERS, weights={"checkpoint": "c.pt"})
    seed = tmp_path / "seed"
    seed.touch()
    (tmp_path / "c.pt").touch()
    spec = load_spec(path)
    match written:
        case "zip" | "pickle":
            torch.save({"state_dict": STATE, "best": np.float64(0.5)}, seed)
        case "legacy":
            torch.save(STATE, seed, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file(STATE, seed)
        case "weights":
            save_weights(seed, untrained_weights(spec, 1), "small")
        case "model":
            save_model(seed, untrained_weights(spec, 1), spec)
    for _ in range(150):
        if written == "pickle":  # the pickle alone, in an archive whose checksums are right
            with zipfile.ZipFile(seed) as whole, zipfile.ZipFile(tmp_path / "c.pt", "w") as changed:
                for entry in whole.infolist():
                    content = whole.read(entry)
                    changed.writestr(
                        entry.filename,
                        mutated(content, rng) if entry.filename.endswith("data.pkl") else content,
                    )
        else:
            (tmp_path / "c.pt").write_bytes(mutated(seed.read_bytes(), rng))
        try:
            if written == "weights":
                weights = load_weights(tmp_path / "c.pt", spec)
            elif written == "model":
                description, weights = load_model(tmp_path / "c.pt")
                Network(description).load(weights)
            else:
                weights = imported_by(path)
            assert all(np.isfinite(array).all() for array in weights.values())
        except StudyError as error:
            assert all(sentence.isprintable() and "c.pt" in sentence for sentence in error.args), error.args
