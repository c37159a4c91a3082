"""The tests that the onnx package brings for those who run ONNX: single operators, and layers that PyTorch converted.

They bring their own inputs and expected outputs, in both of which nothing is of this project.
"""

import importlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test import loader
from support.onnx_models import network_of, outputs

from promptflux.errors import StudyError

DATA = Path(loader.DATA_DIR)
# The modules of its cases that are of operators which layers compute.
OF_LAYERS = (
    "averagepool batch_normalization celu clip conv dropout elu flatten gelu globalaveragepool globalmaxpool "
    "groupnormalization hardsigmoid hardswish identity instance_normalization layernormalization leakyrelu lrn maxpool "
    "mish prelu relu selu sigmoid softmax swish tanh"
).split()
OF_EACH_VALUE = "Celu Clip Elu Gelu HardSigmoid HardSwish LeakyRelu Mish Relu Selu Sigmoid Swish Tanh".split()
# What no layer computes, and what is said of it; everything else must be carried over.
REFUSED = {
    "test_averagepool_2d_dilations": "its dilations are not 1",
    **dict.fromkeys(
        [
            f"test_flatten_{axis}"
            for axis in ("axis0", "axis2", "axis3", "negative_axis1", "negative_axis2", "negative_axis3")
        ],
        "which are neither maps nor a vector",
    ),
    "test_group_normalization_example_expanded": "it reduces the axes",
    "test_group_normalization_epsilon_expanded": "it reduces the axes",
    "test_ConstantPad2d": "it puts 2 around maps",
    "test_ReflectionPad2d": "it pads 'reflect'",
    "test_ReplicationPad2d": "it pads 'edge'",
    "test_ConvTranspose2d": "no layer of a classifier computes it",
    "test_ConvTranspose2d_no_bias": "no layer of a classifier computes it",
    "test_log_softmax_dim3": "does not run over the labels",
    "test_softmax_functional_dim3": "does not run over the labels",
}


def cases():
    """Each case that takes maps, by its name: its model, with all inputs but the image as weights, the image, and what is expected."""
    from onnx.backend.test.case.node import _NodeTestCases

    with warnings.catch_warnings(action="ignore"):
        for name in OF_LAYERS:
            importlib.import_module(f"onnx.backend.test.case.node.{name}")
        known = {case.name: (case.model, *case.data_sets[0]) for case in _NodeTestCases}
    for folder in (*DATA.glob("pytorch-converted/*2d*"), *DATA.glob("pytorch-converted/test_*ax*")):
        known[folder.name] = (
            onnx.load(folder / "model.onnx"),
            *map(arrays, [folder, folder], ["input", "output"]),
        )
    found = {}
    for name, (model, given, wanted) in known.items():
        if not fits(model, given, wanted):
            continue
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        names = [value.name for value in model.graph.input]
        have = {tensor.name for tensor in model.graph.initializer}
        for key, array in list(zip([key for key in names if key not in have], given, strict=True))[1:]:
            copy.graph.initializer.append(numpy_helper.from_array(array, key))
        image, output = given[0], wanted[0]
        if image.ndim != 4:  # a function of each value, whatever the shape
            for value in (copy.graph.input[0], copy.graph.output[0]):
                value.type.tensor_type.shape.ClearField("dim")
                for side in as_maps(image).shape:
                    value.type.tensor_type.shape.dim.add(dim_value=side)
        found[name] = (copy, as_maps(image), output)
    return found


def arrays(folder: Path, what: str) -> list[np.ndarray]:
    files = sorted(folder.glob(f"test_data_set_0/{what}_*.pb"))
    return [numpy_helper.to_array(onnx.load_tensor(str(file))) for file in files]


def as_maps(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 4 else image.reshape((1,) * (4 - image.ndim) + image.shape)


def fits(model: onnx.ModelProto, given: list, wanted: list) -> bool:
    """Whether a case takes one float image and gives one output."""
    image = given[0] if given else None
    if not isinstance(image, np.ndarray) or image.dtype != np.float32 or len(model.graph.output) != 1:
        return False
    if any(not isinstance(array, np.ndarray) for array in given) or len(wanted) != 1:
        return False
    of_each = len(model.graph.node) == 1 and model.graph.node[0].op_type in OF_EACH_VALUE
    return image.ndim == 4 or (of_each and image.ndim == 3)


CASES = cases()


def test_there_are_as_many_cases_as_there_were():
    assert len(CASES) - len(REFUSED) >= 80, sorted(CASES)
    assert set(REFUSED) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_onnx_package(tmp_path, name):
    model, image, wanted = CASES[name]
    path = tmp_path / f"{name}.onnx"
    onnx.save(model, path)
    if name in REFUSED:
        with pytest.raises(StudyError, match=REFUSED[name]):
            network_of(path, image.shape[1:])
        return
    found = outputs(network_of(path, image.shape[1:]), image)
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-3, atol=1e-5)
