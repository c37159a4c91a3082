"""What is exported, read by what others would read it with. Flux alone reads .bson in tests/julia."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from convert import main as convert
from export import main as export
from support.flux import random_spec, write_weights

from promptflux.classifiers.importers.bson import read_bson
from promptflux.classifiers.importers.flux_file import flux_weights
from promptflux.classifiers.importers.julia_values import Named
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.state_files import checksum
from promptflux.classifiers.weights import load_model
from promptflux.errors import StudyError

CASES = Path(__file__).parents[1] / "cases" / "flux"
STATE = CASES / "flux_0.14.25_state.bson"


@pytest.fixture
def model(tmp_path):
    """A model file with blocks, and images that go through it."""
    spec = random_spec(tmp_path, "blocks", 5, blocks=True)
    images = np.random.default_rng(0).standard_normal((2, *spec.input.shape), dtype=np.float32)
    return write_weights(tmp_path, spec, 1), images


def end_of(model, images):
    """What the last layer gives."""
    description, weights = load_model(model)
    with torch.inference_mode():
        *_, (_, values) = Network(description).load(weights).eval().outputs(torch.from_numpy(images))
    return values.flatten(1).numpy()


def test_safetensors_are_a_state_dict_of_pytorch(model, tmp_path):
    path, _ = model
    export(model=str(path), exported=str(tmp_path / "net.safetensors"))
    description, weights = load_model(path)
    network = Network(description)
    state = safetensors.torch.load_file(tmp_path / "net.safetensors")
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    for name, array in weights.items():
        np.testing.assert_array_equal(state[name.replace("/", ".")].numpy(), array)


def test_onnx_runtime_runs_the_onnx_file(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not there: .onnx is NOT TESTED")
    path, images = model
    export(model=str(path), exported=str(tmp_path / "net.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    [given] = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(given, end_of(path, images), atol=1e-5)


def test_h5py_reads_the_jld2_file(tmp_path):
    export(model=str(STATE), exported=str(tmp_path / "net.jld2"))
    state = read_bson(STATE.read_bytes())["state"]

    def same(item, value):
        if isinstance(value, (tuple, Named)):
            parts = value if isinstance(value, Named) else {str(i): part for i, part in enumerate(value, 1)}
            assert set(item) == set(parts)
            for name, part in parts.items():
                same(item[name], part)
        else:
            np.testing.assert_array_equal(item[()], False if value is None else value)

    with h5py.File(tmp_path / "net.jld2") as file:
        assert list(file) == ["model_state"]
        same(file["model_state"], state)
        assert file["model_state/layers/1/weight"].dtype == np.float32


def test_it_is_a_checkpoint_again(tmp_path):
    spec = convert([str(CASES / "flux_0.14.25.bson"), str(tmp_path / "net.yaml"), "--input", "rgb8x12"])
    export(model=str(STATE), exported=str(tmp_path / "net.jld2"))
    value = yaml.safe_load(spec.path.read_text())
    value["weights"] = {"checkpoint": "net.jld2"}
    spec.path.write_text(yaml.safe_dump(value))
    back = flux_weights(str(tmp_path / "net.jld2"), load_spec(spec.path))
    first = safetensors.torch.load_file(tmp_path / "net.safetensors")
    for name, array in back.items():
        np.testing.assert_array_equal(first[name.replace("/", ".")].numpy(), array)


def test_equal_content_makes_equal_bytes(model, tmp_path):
    for suffix, source in (("safetensors", model[0]), ("onnx", model[0]), ("jld2", STATE)):
        for name in ("a", "b"):
            export(model=str(source), exported=str(tmp_path / f"{name}.{suffix}"))
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_the_checksum_is_that_of_jld2():
    start = (CASES / "jld2_0.6.5.jld2").read_bytes()[512:560]
    assert checksum(start[:44]) == start[44:]


def test_another_file_than_a_model_is_told(tmp_path):
    shutil.copy(CASES / "anonymous.bson", tmp_path / "net.bson")
    with pytest.raises(StudyError, match="this is no model file of Flux"):
        export(model=str(tmp_path / "net.bson"), exported=str(tmp_path / "net.jld2"))
    assert [path.name for path in tmp_path.iterdir()] == ["net.bson"]
