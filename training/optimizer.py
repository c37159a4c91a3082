"""Muon inside a network, AdamW at its ends."""

from collections.abc import Sequence

import torch
from torch import nn


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon for the matrices inside a network, AdamW for its first and last layers, its biases and norms.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) gives every direction of a weight a step of the same
    length; a convolution counts as the matrix [out, in × k × k]. Its steps are scaled to the size of AdamW's
    (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both.

    outer: how the names of the parameters begin that are AdamW's.
    """

    def __init__(self, module: nn.Module, outer: Sequence[str], lr: float, weight_decay: float):
        named = dict(module.named_parameters())
        inner = [name for name, p in named.items() if p.ndim > 1 and not name.startswith(tuple(outer))]
        rest = [p for name, p in named.items() if name not in set(inner)]
        self.weights = [named[name] for name in inner]
        # The same memory, in another shape.
        self.matrices = [nn.Parameter(_matrix(weight.data, weight)) for weight in self.weights]
        self.muon = torch.optim.Muon(
            self.matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self.adamw = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
        super().__init__([{"params": self.matrices}, {"params": rest}], {"lr": lr})
        self._share_groups()

    def _share_groups(self) -> None:
        """What sets a learning rate here sets it there."""
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure=None) -> None:
        """One step along the gradients of the module."""
        for matrix, weight in zip(self.matrices, self.weights, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad, weight)
        self.muon.step(closure)
        self.adamw.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the module."""
        self.muon.zero_grad(set_to_none)
        self.adamw.zero_grad(set_to_none)
        for weight in self.weights:
            weight.grad = None

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])
        self._share_groups()


def _matrix(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The `values` of a weight [out, in] or [out, in, k, k], or its gradient, as a matrix in the weight's order in memory."""
    if weight.ndim == 4 and not weight.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)
