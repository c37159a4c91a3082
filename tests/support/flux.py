"""What the tests of the Flux engine share: Julia, random specs, and files that both engines read."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import h5py
import infer_torch
import numpy as np
import yaml

from promptflux.classifiers.network import untrained_weights
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.classifiers.weights import Weights, save_model
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import write_tensors
from support.workflow import WORKFLOW

PROJECT = WORKFLOW / "julia"


def write_weights(folder: Path, spec: Spec, seed: int) -> Path:
    """Untrained weights with batch normalizations that do something, in `{folder}/{name}.h5`."""
    rng = np.random.default_rng(seed)
    weights = untrained_weights(spec, seed)
    for name in weights:
        if name.rpartition(".")[2].startswith(("batchnorm", "layernorm", "groupnorm", "affine", "prelu")):
            low, high = (0.5, 1.5) if name.endswith(("/weight", "/running_var")) else (-0.5, 0.5)
            weights[name] = rng.uniform(low, high, weights[name].shape).astype(np.float32)
    return write_arrays(folder, spec, weights)


def write_arrays(folder: Path, spec: Spec, weights: Weights) -> Path:
    """A model file with these weights."""
    path = Path(folder) / f"{spec.name}.h5"
    save_model(path, weights, spec)
    return path


def write_images(folder: Path, spec: Spec, images: np.ndarray) -> Path:
    """A tensors file of `images`, float32 [N, C, H, W], named a1, a2, ..."""
    path = Path(folder) / f"{spec.name}_tensors.h5"
    with write_tensors(path, spec.input, [f"a{i + 1}" for i in range(len(images))]) as writer:
        for image in images:
            writer.add(image, "0" * 64, (1, 1), "RGB", "")
    return path


def run_torch(folder: Path, name: str, count: int) -> Path:
    """PyTorch's predictions on what `write_weights` and `write_images` wrote, with all layers of all images."""
    output = Path(folder) / f"{name}_torch.h5"
    infer_torch.main(
        tensors=str(folder / f"{name}_tensors.h5"),
        model=str(folder / f"{name}.h5"),
        layers_of=[f"a{i + 1}" for i in range(count)],
        predictions=str(output),
        micro_batch=16,
        threads=2,
        device="cpu",
    )
    return output


# Flux's predictions on the same files, of as many model files as there are arguments: by the fast kernels
# into {name}_flux.h5, and by Flux's chain alone into {name}_plain.h5.
RUN_FLUX = """
for weights in ARGS
    at(suffix) = first(splitext(weights)) * suffix
    images = PromptFlux.h5open(file -> read(file["names"]), at("_tensors.h5"))
    export_bson(; weights, model=at(".bson"), architecture=at(".txt"))
    for (kernels, suffix) in (("fast", "_flux.h5"), ("plain", "_plain.h5"))
        infer(; tensors=at("_tensors.h5"), model=at(".bson"), output=at(suffix), layers_of=images,
              micro_batch=16, kernels, device="cpu")
    end
end
"""


def differences(torch: Path, flux: Path) -> dict[str, float]:
    """Of each layer, the logits and the probabilities: the largest difference, relative to the largest value."""
    with open_predictions(torch) as ours, open_predictions(flux) as theirs:
        assert ours.layer_shapes == theirs.layer_shapes and ours.layer_images == theirs.layer_images
        pairs = {name: (ours.layers[name][()], theirs.layers[name][()]) for name in ours.layers}
        pairs |= {name: (getattr(ours, name), getattr(theirs, name)) for name in ("logits", "probabilities")}
        assert [a.shape for a, _ in pairs.values()] == [b.shape for _, b in pairs.values()]
        assert (ours.logits.argmax(axis=1) == theirs.logits.argmax(axis=1)).all()
    return {name: float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for name, (a, b) in pairs.items()}


def structure(path: Path) -> dict[str, tuple]:
    """The names, shapes and types of what an HDF5 file holds, and the names of its attributes."""
    found: dict[str, tuple] = {}
    with h5py.File(path) as file:
        found["attributes"] = tuple(sorted(file.attrs))
        file.visititems(
            lambda name, item: found.update(
                {name: (item.shape, item.dtype, h5py.check_string_dtype(item.dtype))}
                if isinstance(item, h5py.Dataset)
                else {}
            )
        )
        for key, value in file.attrs.items():
            assert isinstance(value, str), f"{path}: the attribute {key} is a {type(value)}"
    return found


def random_spec(folder: Path, name: str, seed: int, blocks: bool = False, rare: bool = False) -> Spec:
    """A small spec of random layers that fit each other, in `{folder}/{name}.yaml`.

    blocks: of branches, too. rare: of every kind and setting. Without these it is the same for a seed as ever, as the
    golden files need it.
    """
    choose = random.Random(seed)
    size, channels = [choose.randint(9, 40), choose.randint(9, 40)], choose.choice(["gray", "rgb"])
    content = {
        "input": {"name": "random", "size": size, "channels": channels},
        "layers": [],
        "labels": [f"label {i}" for i in range(choose.randint(2, 7))],
        "weights": {"seed": seed},
    }
    ending = ["flatten", {"dense": {"out": choose.randint(3, 20), "activation": choose.choice(ACTIVATIONS)}}]
    ending += (
        [choose.choice(["batchnorm", {"dropout": 0.3}, "gelu", "identity"])] if choose.random() < 0.5 else []
    )
    ending += [{"dense": len(content["labels"])}] + (["softmax"] if choose.random() < 0.7 else [])
    if (blocks or rare) and choose.random() < 0.3:
        pool = choose.choice(["globalmeanpool", "globalmaxpool"])
        ending = [{"conv": {"out": len(content["labels"]), "kernel": 1}}, pool]
    if rare and ending[0] == "flatten":
        dense = {"out": 12, "bias": choose.random() < 0.5, "activation": choose.choice(RARE_ACTIVATIONS)}
        part = [{"channels": {"from": 2, "to": 8}}] if choose.random() < 0.3 else []
        ending[1:1] = [{"dense": dense}, rare_norm(choose, "identity", vector=True), *part]
    elif rare:
        ending += ["softmax"] if choose.random() < 0.8 else []
    path = Path(folder) / f"{name}.yaml"

    def fits(layers: Sequence) -> Spec | None:
        path.write_text(yaml.safe_dump(content | {"layers": [*layers, *ending]}))
        try:
            return load_spec(path)
        except StudyError:
            return None

    layers: list = []
    for _ in range(choose.randint(6, 14) if rare else choose.randint(1, 6)):
        block = blocks and choose.random() < 0.6
        spec = fits(layers) if block else None
        simple = rare_layer if rare and choose.random() < 0.9 else random_layer
        more = random_block(choose, spec.layers[len(layers)].in_shape[0]) if spec else simple(choose)
        if fits([*layers, more]):
            layers.append(more)
    assert fits(layers)
    return load_spec(path)


def random_block(choose: random.Random, channels: int, deep: int = 0) -> dict:
    """A block for maps of so many channels."""

    def conv(out: int, kernel: int | None = None, stride: int = 1) -> dict:
        kernel = kernel or choose.choice([1, 3, 5])
        settings = {"out": out, "kernel": kernel, "padding": kernel // 2, "stride": stride}
        return {"conv": settings | {"activation": choose.choice(ACTIVATIONS), "bias": choose.random() < 0.5}}

    def inner(out: int) -> list:
        more = [random_block(choose, channels, deep + 1)] if deep < 2 and choose.random() < 0.3 else []
        return [*more, conv(out), *(["batchnorm"] if choose.random() < 0.5 else [])]

    activation = {"activation": choose.choice(ACTIVATIONS)}
    match choose.choice(["residual", "shortcut", "concat", "sum", "scale"]) if not deep else "residual":
        case "residual":
            return {"residual": {"body": inner(channels)} | activation}
        case "shortcut":
            out, stride = choose.choice([2, 5, 8]), choose.choice([1, 2])
            body, shortcut = [conv(out, 3, stride), "batchnorm"], [conv(out, 1, stride)]
            return {"residual": {"body": body, "shortcut": shortcut} | activation}
        case "concat":
            pool = {"meanpool": {"kernel": 3, "stride": 1, "padding": 1}}
            branches = [[], [pool, conv(3, 1)], inner(2), inner(4)]
            return {"parallel": {"branches": choose.sample(branches, choose.randint(1, 4))} | activation}
        case "sum":
            branches = [[], inner(channels), inner(channels)]
            return {"parallel": {"branches": choose.sample(branches, 3), "join": "sum"} | activation}
        case _:
            pool = choose.choice(["globalmeanpool", "globalmaxpool"])
            return {"scale": {"gate": [pool, conv(channels, 1)]} | activation}


ACTIVATIONS = ["relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity"]


def random_layer(choose: random.Random) -> dict | str:
    def size(low: int, high: int) -> int | list[int]:
        return choose.choice(
            [choose.randint(low, high), [choose.randint(low, high), choose.randint(low, high)]]
        )

    kind = choose.choice(
        ["conv", "conv", "conv", "batchnorm", "maxpool", "meanpool", "dropout", "elementwise"]
    )
    match kind:
        case "conv":
            # Groups of 1 and 3 suit RGB, others fit after a convolution or not at all.
            return {
                "conv": {
                    "out": choose.choice([1, 3, 6, 8, 12, 16, 17]),
                    "kernel": size(1, 5),
                    "stride": choose.choice([1, 1, 1, size(1, 3)]),
                    "padding": choose.choice([0, 0, 1, size(0, 3)]),
                    "dilation": choose.choice([1, 1, 1, size(1, 3)]),
                    "groups": choose.choice([1, 1, 1, 3, 2]),
                    "bias": choose.random() < 0.7,
                    "activation": choose.choice(ACTIVATIONS),
                }
            }
        case "batchnorm":
            return {
                "batchnorm": {"eps": choose.choice([1e-5, 1e-3]), "activation": choose.choice(ACTIVATIONS)}
            }
        case "maxpool" | "meanpool":
            kernel = choose.choice([2, size(1, 4)])
            pool = {"kernel": kernel}
            if choose.random() < 0.5:
                pool["stride"] = size(1, 3)
            if choose.random() < 0.3:
                pool["padding"] = [
                    side // 2 for side in (kernel if isinstance(kernel, list) else [kernel] * 2)
                ]
            return {kind: pool}
        case "dropout":
            return {"dropout": 0.4}
        case _:
            return choose.choice([*ACTIVATIONS, {"leaky_relu": {"slope": 0.2}}])


RARE_ACTIVATIONS = [
    "relu6", "silu", "mish", "hardswish", "hardsigmoid", "elu", "selu", "softplus",
    {"gelu": {"approximate": "tanh"}}, {"leaky_relu": {"slope": 0.3}}, {"elu": {"alpha": 0.5}},
    {"hardsigmoid": {"alpha": 0.2}}, {"hardsigmoid": {"alpha": 0.3, "beta": 0.4}},
]  # fmt: skip


def rare_layer(choose: random.Random) -> dict | str:
    """A layer of a kind or with settings that few networks have."""
    activation = choose.choice(RARE_ACTIVATIONS)
    match choose.choice(
        ["conv", "conv", "maxpool", "meanpool", "size", "norm", "norm", "channels", "elementwise"]
    ):
        case "conv":
            out, groups = choose.choice([4, 6, 8, 12]), choose.choice([1, 1, 2, 4])
            return {"conv": window(choose) | {"out": out, "groups": groups, "activation": activation}}
        case "maxpool":
            dilation = choose.choice([1, 1, 2, [1, 2]])
            return {"maxpool": window(choose) | {"dilation": dilation, "ceil_mode": choose.random() < 0.7}}
        case "meanpool":
            pool = window(choose)
            counted = {} if pool["padding"] == "same" else {"count_include_pad": choose.random() < 0.5}
            return {"meanpool": pool | counted | {"ceil_mode": choose.random() < 0.7}}
        case "size":
            pool = choose.choice(["maxpool", "meanpool"])
            return {pool: {"size": [choose.randint(3, 9), choose.randint(3, 9)]}}
        case "norm":
            return rare_norm(choose, activation)
        case "channels":
            part = {"channels": {"from": choose.choice([0, 1]), "to": choose.choice([3, 6])}}
            return choose.choice(
                [{"shuffle": 3}, {"shuffle": 2}, part, {"channels": {"from": 1}}, {"pad": [0, 1, 2, 1]}]
            )
        case _:
            return activation


def window(choose: random.Random) -> dict:
    """Kernel, stride and padding."""
    kernel = choose.choice([1, 2, 3, 3, 4])
    sides = [choose.randint(0, kernel - 1) for _ in range(4)]
    padding = choose.choice([0, kernel // 2, sides, sides, sides[:2], "same"])
    return {"kernel": kernel, "stride": choose.choice([1, 2, 2, 3]), "padding": padding}


def rare_norm(choose: random.Random, activation: str | dict, vector: bool = False) -> dict:
    """A normalization or what is learned for each channel, for maps or for a vector."""
    affine = {"affine": choose.random() < 0.7, "activation": activation}
    norms = [
        {"batchnorm": affine},
        {"layernorm": affine | {"over": "channels", "eps": 1e-6}},
        {"layernorm": affine | {"over": "all", "eps": 0.1}},
        {"groupnorm": affine | {"groups": choose.choice([1, 2, 3])}},
        {"affine": {**choose.choice([{}, {"weight": False}, {"bias": False}]), "activation": activation}},
        {"prelu": {"shared": choose.random() < 0.3}},
        {"lrn": {"size": choose.randint(1, 6), "alpha": 0.5, "k": choose.choice([1, 2])}},
    ]
    return choose.choice(norms[:-1] if vector else norms)


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, **changes}
