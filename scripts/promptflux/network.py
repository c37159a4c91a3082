"""The network of a classifier spec in PyTorch, and its weights in HDF5."""

import hashlib
from collections.abc import Iterator, Mapping
from math import prod, sqrt
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.spec import Layer, Spec, times

FORMAT = "promptflux weights 1"
ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,  # the exact form, x Φ(x), not the tanh approximation
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
}

Weights = dict[str, np.ndarray]


class Network(nn.Sequential):
    """The layers of a spec under their names; an activation follows as `{layer}_{activation}`.

    The network of `conv: {out: 16, kernel: 3, activation: relu}` has the modules `conv1` and
    `conv1_relu`, and the parameters `conv1.weight` and `conv1.bias`.
    """

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        for layer in spec.layers:
            self.add_module(layer.name, _module(layer))
            activation = layer.settings.get("activation", "identity")
            if activation != "identity":
                self.add_module(f"{layer.name}_{activation}", ACTIVATIONS[activation]())

    def outputs(self, images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Run the network and yield each layer's name and output, after its activation.

        images: float32 [N, C, H, W], normalised. Yields [N, C, H, W], or [N, K] after flatten.
        """
        values = images
        for layer in self.spec.layers:
            values = self.get_submodule(layer.name)(values)
            activation = layer.settings.get("activation", "identity")
            if activation != "identity":
                values = self.get_submodule(f"{layer.name}_{activation}")(values)
            yield layer.name, values

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits, float32 [N, K]: what the network gives before its softmax, if it has one."""
        logits = images
        for name, values in self.outputs(images):
            if not name.startswith("softmax"):
                logits = values
        return logits

    def load(self, weights: Mapping[str, np.ndarray]) -> "Network":
        """Take over the parameters of `weights`, named `{layer}/{parameter}`. Returns the network."""
        state = {name.replace("/", "."): torch.from_numpy(array.copy()) for name, array in weights.items()}
        missing, unexpected = self.load_state_dict(state, strict=False)
        # PyTorch counts the batches that batch normalisation has seen; inference does not use it.
        wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
        if wrong:
            raise StudyError(f"{self.spec.path}: the weights do not fit the network in {', '.join(wrong)}.")
        return self

    def weights(self) -> Weights:
        """The parameters as float32 arrays named `{layer}/{parameter}`, in the spec's order."""
        state = self.state_dict()
        return {
            name: state[name.replace("/", ".")].detach().cpu().contiguous().numpy().astype(np.float32)
            for name in self.spec.parameters
        }


def _module(layer: Layer) -> nn.Module:
    settings, channels = layer.settings, layer.in_shape[0]
    match layer.kind:
        case "conv":
            return nn.Conv2d(
                channels,
                settings["out"],
                settings["kernel"],
                stride=settings["stride"],
                padding=settings["padding"],
                dilation=settings["dilation"],
                groups=settings["groups"],
                bias=settings["bias"],
            )
        case "batchnorm":
            kind = nn.BatchNorm2d if len(layer.shape) == 3 else nn.BatchNorm1d
            return kind(channels, eps=settings["eps"])
        case "maxpool":
            return nn.MaxPool2d(settings["kernel"], settings["stride"], settings["padding"])
        case "meanpool":
            return nn.AvgPool2d(settings["kernel"], settings["stride"], settings["padding"])
        case "dropout":
            return nn.Dropout(settings["p"])
        case "flatten":
            return nn.Flatten()
        case "dense":
            return nn.Linear(channels, settings["out"])
        case "leaky_relu":
            return nn.LeakyReLU(settings["slope"])
        case "identity":
            return nn.Identity()
        case "softmax":
            return nn.Softmax(dim=1)
        case activation:
            return ACTIVATIONS[activation]()


def untrained_weights(spec: Spec, seed: int) -> Weights:
    """The weights of a network that has not been trained: the same for the same seed, everywhere.

    Weights and biases are uniform in ±1/sqrt(fan_in), PyTorch's own initialisation of
    Conv2d and Linear. The numbers are made from the raw bits of PCG64, seeded by a hash of
    the seed and the parameter's name, as no library promises to keep its distributions.
    Batch normalisation starts as the identity.
    """
    fan_in = {layer.name: prod(layer.parameters.get("weight", (1,))[1:]) for layer in spec.layers}
    weights = {}
    for name, shape in spec.parameters.items():
        layer, parameter = name.split("/")
        if layer.startswith("batchnorm"):
            value = 1 if parameter in ("weight", "running_var") else 0
            weights[name] = np.full(shape, value, dtype=np.float32)
            continue
        entropy = int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest(), "big")
        bits = np.random.PCG64(entropy).random_raw(prod(shape)) >> np.uint64(11)
        uniform = bits.astype(np.float64) * 2.0**-52 - 1  # in [-1, 1)
        weights[name] = (uniform / sqrt(fan_in[layer])).astype(np.float32).reshape(shape)
    return weights


def weights_digest(weights: Mapping[str, np.ndarray]) -> str:
    """A SHA-256 over the weights themselves, as 64 hexadecimal digits.

    For each dataset, sorted by name (`batchnorm1/bias`, ..., `dense2/weight`): its name in
    UTF-8, a line feed, and its values as little-endian float32 in C order.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}\n".encode())
        digest.update(np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
    return digest.hexdigest()


def save_weights(path: str | Path, weights: Mapping[str, np.ndarray], classifier: str) -> None:
    """Write the weights file of a classifier; equal weights make equal bytes."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["classifier"] = classifier
        file.attrs["weights_sha256"] = weights_digest(weights)
        for name, array in weights.items():
            file.create_dataset(name, data=np.asarray(array, dtype="<f4"), track_times=False)


def load_weights(path: str | Path, spec: Spec) -> Weights:
    """Read a weights file and check it against `spec`: names, shapes, finite values, digest.

    Raises StudyError with a sentence for each parameter that does not fit.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise StudyError(f"{path}: this is not a weights file (its format is not {FORMAT!r}).")
            recorded = file.attrs.get("weights_sha256")
            names = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            weights = {name: np.asarray(file[name][()], dtype=np.float32) for name in names}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: the weights cannot be read ({error}).") from None
    check_weights(weights, spec, path)
    if recorded != weights_digest(weights):
        raise StudyError(f"{path}: the weights do not have the recorded weights_sha256; the file is damaged.")
    return {name: weights[name] for name in spec.parameters}


def check_weights(weights: Mapping[str, np.ndarray], spec: Spec, path: str | Path) -> None:
    """Raise StudyError if `weights`, read from `path`, are not those of the network of `spec`."""
    found = []
    for name, shape in spec.parameters.items():
        if name not in weights:
            found.append(f"{path}: {name} is missing; {spec.path} wants it with the shape {times(shape)}.")
        elif weights[name].shape != shape:
            found.append(
                f"{path}: {name} has the shape {times(weights[name].shape)}; "
                f"{spec.path} wants {times(shape)}."
            )
        elif not np.isfinite(weights[name]).all():
            count = int((~np.isfinite(weights[name])).sum())
            found.append(f"{path}: {name} holds {count} values that are not finite (NaN or infinite).")
        elif name.endswith("/running_var") and (weights[name] < 0).any():
            found.append(f"{path}: {name} holds negative values; a variance has none.")
    surplus = [name for name in weights if name not in spec.parameters]
    found += [f"{path}: {name} belongs to no layer of {spec.path}." for name in surplus]
    if found:
        raise StudyError(*found)
