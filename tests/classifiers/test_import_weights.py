"""Weights from a file, a seed or somebody's PyTorch checkpoint."""

import hashlib
import pickle
import re
from collections import OrderedDict

import import_weights
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from support.specs import write_spec
from torch import nn

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, load_weights, save_weights
from promptflux.errors import StudyError


class Theirs(nn.Module):
    """A network as others write them: the same as the spec SMALL, under other names."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(120, 8), nn.GELU(), nn.Linear(8, 3))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


@pytest.fixture
def theirs():
    torch.manual_seed(0)
    network = Theirs()
    with torch.no_grad():
        network.features[4].running_mean.uniform_(-1, 1)
        network.features[4].running_var.uniform_(0.5, 2)
    return network.eval()


def run(spec_path, weights):
    out = spec_path.parent / "out"
    import_weights.main(
        spec=str(spec_path),
        weights=None if weights is None else str(weights),
        model=str(out / "w.h5"),
        architecture=str(out / "architecture.txt"),
    )
    return out


def run_checkpoint(tmp_path, checkpoint, **weights):
    return run(write_spec(tmp_path, weights={"checkpoint": checkpoint.name, **weights}), checkpoint)


def same_function(out, spec_path, theirs) -> bool:
    spec = load_spec(spec_path)
    images = torch.rand(4, 1, 12, 10)
    with torch.no_grad():
        ours = Network(spec).load(load_weights(out / "w.h5", spec)).eval()(images)
        return torch.allclose(ours, theirs(images), atol=1e-6)


def test_a_seed(tmp_path):
    path = write_spec(tmp_path)
    out = run(path, None)
    spec = load_spec(path)
    weights = load_weights(out / "w.h5", spec)
    wanted = untrained_weights(spec, 1)
    assert all(np.array_equal(weights[name], wanted[name]) for name in wanted)
    description, in_the_model = load_model(out / "w.h5")
    assert description.to_dict() == spec.to_dict()
    assert all(np.array_equal(in_the_model[name], wanted[name]) for name in wanted)
    text = (out / "architecture.txt").read_text()
    assert "(conv1): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))" in text
    assert [line.split() for line in text.splitlines()[-10:]] == [
        ["conv1", "4×10×8", "40"],
        ["maxpool1", "4×5×4", "0"],
        ["conv2", "6×5×4", "216"],
        ["batchnorm1", "6×5×4", "12"],
        ["dropout1", "6×5×4", "0"],
        ["flatten1", "120", "0"],
        ["dense1", "8", "968"],
        ["dense2", "3", "27"],
        ["softmax1", "3", "0"],
        ["total", "1,263"],
    ]


def test_a_weights_file_and_its_digest(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    save_weights(tmp_path / "w.h5", untrained_weights(spec, 5), "small")
    digest = hashlib.sha256((tmp_path / "w.h5").read_bytes()).hexdigest()
    path = write_spec(tmp_path, weights={"file": "w.h5", "sha256": digest})
    out = run(path, tmp_path / "w.h5")
    assert np.array_equal(
        load_weights(out / "w.h5", spec)["conv1/weight"], untrained_weights(spec, 5)["conv1/weight"]
    )
    write_spec(tmp_path, weights={"file": "w.h5", "sha256": "0" * 64})
    with pytest.raises(StudyError, match=f"SHA-256 is {digest}.*wants 0000"):
        run(path, tmp_path / "w.h5")


def wrapped(state, kind):
    return {
        "plain": state,
        "state_dict": {"epoch": 3, "state_dict": state},
        "model": {"model": state, "optimizer": {"lr": 0.1}},
        "DataParallel": {f"module.{name}": value for name, value in state.items()},
        "compiled": {f"_orig_mod.module.{name}": value for name, value in state.items()},
    }[kind]


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("kind", ["plain", "state_dict", "model", "DataParallel", "compiled"])
def test_a_pickled_checkpoint(tmp_path, theirs, kind, suffix):
    torch.save(wrapped(theirs.state_dict(), kind), tmp_path / f"c{suffix}")
    out = run_checkpoint(tmp_path, tmp_path / f"c{suffix}")
    assert same_function(out, tmp_path / "small.yaml", theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_safetensors_checkpoint(tmp_path, theirs, dtype):
    save_file(
        {name: value.to(dtype) for name, value in theirs.state_dict().items()}, tmp_path / "c.safetensors"
    )
    out = run_checkpoint(tmp_path, tmp_path / "c.safetensors")
    assert same_function(out, tmp_path / "small.yaml", theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(tmp_path, theirs, dtype):
    state = {name: value.to(dtype) for name, value in theirs.state_dict().items()}
    save_file(state, tmp_path / "c.safetensors")
    out = run_checkpoint(tmp_path, tmp_path / "c.safetensors")
    weights = load_weights(out / "w.h5", load_spec(tmp_path / "small.yaml"))
    assert np.array_equal(weights["conv2/weight"], state["features.3.weight"].float().numpy())


RENAME = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.4": "batchnorm1",
    "classifier.1": "dense1",
    "classifier.3": "dense2",
}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_rename_picks_modules(tmp_path, theirs, prefix, capsys):
    state = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    state["module.head_of_another_task.weight"] = torch.rand(2, 2)
    torch.save(state, tmp_path / "c.pt")
    rename = {prefix + module: layer for module, layer in RENAME.items()}
    out = run_checkpoint(tmp_path, tmp_path / "c.pt", rename=rename)
    assert same_function(out, tmp_path / "small.yaml", theirs)
    assert "head_of_another_task" in capsys.readouterr().err


def test_a_layer_that_rename_leaves_out_has_its_own_name(tmp_path, theirs):
    state = {name.replace("features.0.", "conv1."): value for name, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "c.pt")
    rename = {module: layer for module, layer in RENAME.items() if layer != "conv1"}
    assert same_function(
        run_checkpoint(tmp_path, tmp_path / "c.pt", rename=rename), tmp_path / "small.yaml", theirs
    )


def test_rename_of_a_module_that_is_not_there(tmp_path, theirs):
    torch.save(theirs.state_dict(), tmp_path / "c.pt")
    rename = {module: layer for module, layer in RENAME.items() if layer != "conv1"} | {"features.1": "conv1"}
    with pytest.raises(
        StudyError, match="no module 'features.1' for the layer conv1.*features.0, features.3"
    ):
        run_checkpoint(tmp_path, tmp_path / "c.pt", rename=rename)


EQUAL = [
    {"conv": {"out": 3, "kernel": 3, "padding": 1}},
    {"conv": {"out": 3, "kernel": 3, "padding": 1}},
    {"conv": {"out": 3, "kernel": 3, "padding": 1}},
    "flatten",
    {"dense": 3},
]


def equal_state(*names):
    rng = torch.Generator().manual_seed(0)
    state = OrderedDict()
    for name in names:
        state[f"{name}.weight"] = torch.rand(3, 3, 3, 3, generator=rng)
        state[f"{name}.bias"] = torch.rand(3, generator=rng)
    state["fc.weight"], state["fc.bias"] = torch.rand(3, 192, generator=rng), torch.rand(3, generator=rng)
    return state


def imported(tmp_path, checkpoint, **weights):
    path = write_spec(
        tmp_path, layers=EQUAL, input="rgb8", weights={"checkpoint": checkpoint.name, **weights}
    )
    return load_weights(run(path, checkpoint) / "w.h5", load_spec(path))


@pytest.mark.parametrize(
    "names", [("stem", "body", "body10"), ("body.9", "body.2", "body.10"), ("conv1", "conv3", "conv5")]
)
def test_equal_shapes_that_could_go_in_several_orders_need_rename(tmp_path, names):
    """Names without a count, a count that is not the file's order, and one that is not the spec's."""
    state = equal_state(*names)
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(StudyError) as caught:
        imported(tmp_path, tmp_path / "c.pt")
    written = re.search(r"weights.rename of .*?, such as (\{.*\})", str(caught.value))[1]
    assert set(yaml.safe_load(written)) == set(names)
    rename = dict(zip(names, ["conv3", "conv1", "conv2"], strict=True))
    weights = imported(tmp_path, tmp_path / "c.pt", rename=rename)
    for name, layer in rename.items():
        assert np.array_equal(weights[f"{layer}/weight"], state[f"{name}.weight"].numpy())


@pytest.mark.parametrize("names", [("body.2", "body.9", "body.10"), ("0", "3", "12")])
def test_equal_shapes_are_taken_by_their_numbers_where_the_file_agrees(tmp_path, names):
    state = equal_state(*names)
    torch.save(state, tmp_path / "c.pt")
    weights = imported(tmp_path, tmp_path / "c.pt")
    for name, layer in zip(names, ["conv1", "conv2", "conv3"], strict=True):
        assert np.array_equal(weights[f"{layer}/weight"], state[f"{name}.weight"].numpy())


@pytest.mark.parametrize(
    "names", [("conv3", "conv1", "conv2"), ("model.conv2", "model.conv3", "model.conv1")]
)
def test_a_layers_own_name_decides(tmp_path, names):
    state = equal_state(*names)
    torch.save(state, tmp_path / "c.pt")
    weights = imported(tmp_path, tmp_path / "c.pt")
    for name in names:
        assert np.array_equal(weights[f"{name[-5:]}/weight"], state[f"{name}.weight"].numpy())


def test_a_name_of_another_shape_decides_nothing(tmp_path, theirs):
    """Their classifier.3 is called dense1 in the checkpoint, and is dense2 of the spec."""
    state = {name.replace("classifier.3.", "dense1."): value for name, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "c.pt")
    assert same_function(run_checkpoint(tmp_path, tmp_path / "c.pt"), tmp_path / "small.yaml", theirs)


def test_equal_shapes_in_safetensors_are_taken_by_their_numbers(tmp_path):
    state = equal_state("body.2", "body.9", "body.10")
    save_file(state, tmp_path / "c.safetensors")
    weights = imported(tmp_path, tmp_path / "c.safetensors")
    for name, layer in (("body.2", "conv1"), ("body.9", "conv2"), ("body.10", "conv3")):
        assert np.array_equal(weights[f"{layer}/weight"], state[f"{name}.weight"].numpy())


def test_equal_shapes_in_safetensors_without_numbers_need_rename(tmp_path):
    save_file(equal_state("stem", "body", "head"), tmp_path / "c.safetensors")
    with pytest.raises(StudyError, match="body, head, stem have the same shapes.*weights.rename"):
        imported(tmp_path, tmp_path / "c.safetensors")
    rename = {"stem": "conv1", "body": "conv2", "head": "conv3", "fc": "dense1"}
    assert imported(tmp_path, tmp_path / "c.safetensors", rename=rename)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"features.3.weight": torch.rand(6, 4, 5, 5)},
            ["conv2 (weight 6×4×3×3)", "features.3 (weight 6×4×5×5)"],
        ),
        ({"classifier.3.bias": None}, ["dense2 (weight 3×8, bias 3)", "classifier.3 (weight 3×8)"]),
        ({"extra.weight": torch.rand(7, 7)}, ["wants nothing more", "extra (weight 7×7)", "weights.rename"]),
        (
            {"features.0.weight": torch.full((4, 1, 3, 3), float("nan"))},
            ["conv1/weight holds 36 values", "not finite"],
        ),
        (
            {"features.4.running_var": torch.full((6,), 1e39, dtype=torch.float64)},
            ["running_var", "not finite"],
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit(tmp_path, theirs, change, said):
    state = {name: value for name, value in (theirs.state_dict() | change).items() if value is not None}
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(StudyError) as caught:
        run_checkpoint(tmp_path, tmp_path / "c.pt")
    for words in (*said, "c.pt"):
        assert words in str(caught.value)
    assert not (tmp_path / "out/w.h5").exists()


def test_shapes_that_do_not_fit_under_rename(tmp_path, theirs):
    state = theirs.state_dict() | {"features.3.weight": torch.rand(4, 6, 3, 3)}
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(
        StudyError, match="features.3 has weight 4×6×3×3, and conv2 of .* wants weight 6×4×3×3"
    ):
        run_checkpoint(tmp_path, tmp_path / "c.pt", rename=RENAME)


class Evil:
    def __reduce__(self):
        return (print, ("this code must not run",))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", pickle.dumps(Evil()), pickle.dumps({"a": 1}), b"\x10" + b"\0" * 7 + b"{" * 16],
    ids=["empty", "text", "evil", "dict", "header"],
)
def test_a_file_that_is_no_checkpoint(tmp_path, content, suffix, capsys):
    path = tmp_path / f"c{suffix}"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=f"c{suffix}"):
        run_checkpoint(tmp_path, path)
    assert "must not run" not in capsys.readouterr().out


def test_a_whole_pickled_model_is_refused(tmp_path, theirs):
    torch.save(theirs, tmp_path / "c.pt")
    with pytest.raises(StudyError, match="state_dict"):
        run_checkpoint(tmp_path, tmp_path / "c.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"step": torch.tensor(3)}])
def test_a_checkpoint_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(StudyError, match="state_dict|no weights"):
        run_checkpoint(tmp_path, tmp_path / "c.pt")


def test_the_digest_of_a_checkpoint(tmp_path, theirs):
    torch.save(theirs.state_dict(), tmp_path / "c.pt")
    digest = hashlib.sha256((tmp_path / "c.pt").read_bytes()).hexdigest()
    assert run_checkpoint(tmp_path, tmp_path / "c.pt", sha256=digest)
    with pytest.raises(StudyError, match="SHA-256"):
        run_checkpoint(tmp_path, tmp_path / "c.pt", sha256="f" * 64)
