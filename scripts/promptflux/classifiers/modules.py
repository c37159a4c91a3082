"""Layers that PyTorch has no module for."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from promptflux.classifiers.kind import Shape


def bordered(maps: Tensor, border: Shape, value: float = 0.0) -> Tensor:
    """Maps [N, C, H, W] with `value` around them: (top, left, bottom, right) of it."""
    top, left, bottom, right = border
    return F.pad(maps, (left, right, top, bottom), value=value)


class BorderedConv2d(nn.Conv2d):
    """A convolution with zeros around the maps: (top, left, bottom, right) of them."""

    def __init__(self, *sizes: Any, padding: Shape, **settings: Any):
        super().__init__(*sizes, **settings)
        self.border = padding

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(bordered(maps, self.border))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, border={self.border}"


class MaxOfWindow(nn.Module):
    """The largest value of each window; the border, (top, left, bottom, right), counts as −∞."""

    def __init__(self, kernel: Shape, stride: Shape, border: Shape, dilation: Shape):
        super().__init__()
        self.kernel, self.stride, self.border, self.dilation = kernel, stride, border, dilation

    def forward(self, maps: Tensor) -> Tensor:
        maps = bordered(maps, self.border, -torch.inf)
        return F.max_pool2d(maps, self.kernel, self.stride, dilation=self.dilation)


class MeanOfWindow(nn.Module):
    """The mean of each window over what counts of it.

    border: zeros around the maps, (top, left, bottom, right), which count if `count_border`. beyond: zeros at the
    bottom and at the right that never count, for last windows that are not whole.
    """

    def __init__(self, kernel: Shape, stride: Shape, border: Shape, beyond: Shape, count_border: bool):
        super().__init__()
        self.kernel, self.stride, self.border, self.beyond = kernel, stride, border, (0, 0, *beyond)
        self.count_border = float(count_border)

    def forward(self, maps: Tensor) -> Tensor:
        counted = bordered(torch.ones_like(maps[:1, :1]), self.border, self.count_border)
        return self._sums(bordered(maps, self.border)) / self._sums(counted)

    def _sums(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(bordered(maps, self.beyond), self.kernel, self.stride, divisor_override=1)


class Ramp(nn.Module):
    """alpha x + beta, cut to 0..1."""

    def __init__(self, alpha: float, beta: float):
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def forward(self, values: Tensor) -> Tensor:
        return (self.alpha * values + self.beta).clamp(0, 1)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, beta={self.beta}"


class PixelLayerNorm(nn.LayerNorm):
    """Layer normalization over the channels of each pixel of maps [N, C, H, W]."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PerChannel(nn.Module):
    """A factor and a summand for each channel, or one of the two."""

    def __init__(self, channels: int, weight: bool, bias: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if weight else None
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, values: Tensor) -> Tensor:
        shape = (-1, *(1 for _ in values.shape[2:]))
        values = values if self.weight is None else values * self.weight.reshape(shape)
        return values if self.bias is None else values + self.bias.reshape(shape)

    def extra_repr(self) -> str:
        return f"weight={self.weight is not None}, bias={self.bias is not None}"


class ChannelSlice(nn.Module):
    """The channels `first` to before `last`."""

    def __init__(self, first: int, last: int):
        super().__init__()
        self.first, self.last = first, last

    def forward(self, values: Tensor) -> Tensor:
        return values[:, self.first : self.last]

    def extra_repr(self) -> str:
        return f"{self.first}, {self.last}"
