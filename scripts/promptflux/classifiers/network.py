"""The network of a description in PyTorch, and the weights of one that was never trained."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from math import prod, sqrt

import numpy as np
import torch
from torch import nn

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Block, Layer
from promptflux.classifiers.kinds import KINDS, activation_module
from promptflux.classifiers.weights import Weights
from promptflux.errors import StudyError


class Network(nn.Sequential):
    """The layers of a description under their names; an activation follows as `{layer}_{activation}`.

    The network of `conv: {out: 16, kernel: 3, activation: relu}` has the modules `conv1` and
    `conv1_relu`, and the parameters `conv1.weight` and `conv1.bias`. The layers of a block are modules of
    the block: `residual1.conv1`.
    """

    def __init__(self, description: Description):
        super().__init__()
        self.description = description
        _add_layers(self, description.layers)

    def outputs(self, images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Run the network and yield each layer's name and output, after its activation.

        images: float32 [N, C, H, W], normalized. Yields [N, C, H, W], or [N, K] after flatten; the layers
        of a block come before the block.
        """
        return _outputs(self, self.description.layers, images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits, float32 [N, K]: what the network gives before its softmax, if it has one."""
        logits = images
        for name, values in self.outputs(images):
            if not name.startswith("softmax"):
                logits = values
        return logits.flatten(1)

    def load(self, weights: Mapping[str, np.ndarray]) -> "Network":
        """Take over the parameters of `weights`, named `{layer}/{parameter}`. Returns the network."""
        state = {name.replace("/", "."): torch.from_numpy(array.copy()) for name, array in weights.items()}
        missing, unexpected = self.load_state_dict(state, strict=False)
        # PyTorch counts the batches that batch normalization has seen; inference does not use it.
        wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
        if wrong:
            raise StudyError(
                f"{self.description.source}: the weights do not fit the network in {', '.join(wrong)}."
            )
        return self

    def weights(self) -> Weights:
        """The parameters as float32 arrays named `{layer}/{parameter}`, in the network's order."""
        state = self.state_dict()
        return {
            name: state[name.replace("/", ".")].detach().cpu().contiguous().numpy().astype(np.float32)
            for name in self.description.parameters
        }


def _add_layers(module: nn.Module, layers: Iterable[Layer]) -> None:
    """Put `layers` into `module`, and the layers of blocks into the blocks."""
    for layer in layers:
        module.add_module(layer.own_name, KINDS[layer.kind].module(layer))
        _add_layers(module.get_submodule(layer.own_name), chain.from_iterable(layer.branches))
        if layer.activation != "identity":
            module.add_module(f"{layer.own_name}_{layer.activation}", activation_module(layer))


def _outputs(
    module: nn.Module, layers: Iterable[Layer], values: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """As `Network.outputs`, of the chain `layers`, whose modules are in `module`."""
    for layer in layers:
        part, kind = module.get_submodule(layer.own_name), KINDS[layer.kind]
        if isinstance(kind, Block):
            ends = []
            for branch in layer.branches:
                end = values
                for name, end in _outputs(part, branch, values):
                    yield name, end
                ends.append(end)
            values = kind.join(layer.settings, values, ends)
        else:
            values = part(values)
        if layer.activation != "identity":
            values = module.get_submodule(f"{layer.own_name}_{layer.activation}")(values)
        yield layer.name, values


def untrained_weights(description: Description, seed: int) -> Weights:
    """The weights of a network that has not been trained: the same for the same seed, everywhere.

    Weights and biases are uniform in ±1/sqrt(fan_in), PyTorch's own initialization of
    Conv2d and Linear. The numbers are made from the raw bits of PCG64, seeded by a hash of
    the seed and the parameter's name, as no library promises to keep its distributions.
    Batch normalization starts as the identity.
    """
    weights = {}
    for layer in description.walk():
        fan_in = prod(layer.parameters.get("weight", (1,))[1:])
        for parameter, shape in layer.parameters.items():
            name = f"{layer.name}/{parameter}"
            constant = KINDS[layer.kind].initial(parameter)
            if constant is not None:
                weights[name] = np.full(shape, constant, dtype=np.float32)
                continue
            entropy = int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest(), "big")
            bits = np.random.PCG64(entropy).random_raw(prod(shape)) >> np.uint64(11)
            uniform = bits.astype(np.float64) * 2.0**-52 - 1  # in [-1, 1)
            weights[name] = (uniform / sqrt(fan_in)).astype(np.float32).reshape(shape)
    return weights
