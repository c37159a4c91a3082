"""What a foreign network computes, step by step, in the words of this project's layers.

An importer makes a `Step` of each node with the functions here. They recognize what exporters spread over several
nodes: a swish, a hard swish, a GELU, a layer normalization. What is no layer by itself, such as the `Erf` inside of a GELU, is a
step, too; only if the network's output still depends on it is it a problem.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptflux.classifiers.kind import Shape, shape_text
from promptflux.classifiers.kinds import KINDS
from promptflux.classifiers.spec import MOST_VALUES
from promptflux.errors import StudyError

INPUT, SUM, CONCAT, PRODUCT = "input", "sum", "concat", "product"
JOINS = (SUM, CONCAT, PRODUCT)
NEARBY = "nearby"  # the mean over so many channels around each, zeros beyond the first and the last
SPREAD = "spread"  # one number for each map, laid over the whole map
# Kinds whose values are never below 0, so that padding with zeros changes no maximum of them.
NEVER_NEGATIVE = ("relu", "relu6", "sigmoid", "hardsigmoid")
MOST_JOINED = 1000
# 32 bits hold seven digits of a constant; exporters write 0.7978845834732056 or 0.79788.
CLOSE = 1e-4


class Unsupported(Exception):
    """What a node does cannot be carried over; the text is half a sentence that says why."""


@dataclass(eq=False)
class Step:
    """One step of a network.

    kind: of a layer; or INPUT, a join, or an operation of which a layer is yet to be made. inputs: the steps that it
    takes. shape: of what it gives for one image, (C, H, W) or (K,). said: the node, for messages. why: of what is no
    layer, what it would take to be one.
    """

    kind: str
    inputs: tuple[Step, ...]
    shape: Shape
    said: str
    settings: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    why: str = ""


def layer(
    kind: str, values: Step, said: str, settings: Mapping[str, Any] | None = None, **parameters: np.ndarray
) -> Step:
    """A layer of this project; Unsupported if it does not take what comes in."""
    if kind not in KINDS:
        raise Unsupported(f"there is no layer {kind!r}")
    given = dict(settings or {})
    try:
        resolved = KINDS[kind].settings(given)
        resolved = KINDS[kind].resolved(resolved, values.shape)
        shape = KINDS[kind].shape(resolved, values.shape)
        wanted = KINDS[kind].parameters(resolved, values.shape)
    except StudyError as error:
        raise Unsupported(f"it gets {shape_text(values.shape)}; {error}") from None
    if math.prod(shape) > MOST_VALUES:
        raise Unsupported(
            f"it gives {shape_text(shape)} values for an image; at most {MOST_VALUES:,} are taken"
        )
    found = {name: np.asarray(array) for name, array in parameters.items()}
    for name, array in found.items():
        if wanted.get(name) != array.shape:
            expected = shape_text(wanted[name]) if name in wanted else "none"
            raise Unsupported(
                f"its {name} has {shape_text(array.shape) or 'one value'}, and {expected} would fit"
            )
    return Step(kind, (values,), shape, said, given, found)


def operation(kind: str, values: Step, said: str, why: str, **settings: Any) -> Step:
    """A function of each value that is no layer by itself."""
    return Step(kind, (values,), values.shape, said, settings, why=why)


def total(steps: list[Step], said: str) -> Step:
    """The sum of steps of one shape."""
    if any(step.shape != steps[0].shape for step in steps):
        shapes = ", ".join(shape_text(step.shape) for step in steps)
        raise Unsupported(f"it adds {shapes}, which are not alike")
    return Step(SUM, tuple(steps), steps[0].shape, said)


def concat(steps: list[Step], said: str) -> Step:
    """Steps side by side, along their channels."""
    if any(step.shape[1:] != steps[0].shape[1:] for step in steps):
        shapes = ", ".join(shape_text(step.shape) for step in steps)
        raise Unsupported(f"it sets {shapes} side by side, which are not of one height and width")
    if len(steps) > MOST_JOINED:
        raise Unsupported(f"it sets {len(steps):,} values side by side; at most {MOST_JOINED:,} are taken")
    if (whole := _all_channels(steps, said)) is not None:
        return whole
    channels = sum(step.shape[0] for step in steps)
    return Step(CONCAT, tuple(steps), (channels, *steps[0].shape[1:]), said)


def _all_channels(steps: list[Step], said: str) -> Step | None:
    """All channels of one step, set side by side again after each has been multiplied and added to."""
    bases, weights, biases = zip(*map(_parts, steps), strict=True)
    if any(base.kind != "channels" or base.inputs != bases[0].inputs for base in bases):
        return None
    [values] = bases[0].inputs
    ends = [base.settings["to"] for base in bases]
    if [base.settings["from"] for base in bases] != [0, *ends[:-1]] or ends[-1] != values.shape[0]:
        return None
    return affine(values, np.concatenate(weights), np.concatenate(biases), said)


# Multiples and sums with constants -----------------------------------------------------------


def affine(values: Step, weight: Any, bias: Any, said: str) -> Step:
    """weight · x + bias, each one number or one for each channel; several in a row become one."""
    channels = values.shape[0]
    weight = np.broadcast_to(np.asarray(weight, np.float64), (channels,))
    bias = np.broadcast_to(np.asarray(bias, np.float64), (channels,))
    if values.kind == "affine":
        weight, bias = weight * values.parameters["weight"], weight * values.parameters["bias"] + bias
        [values] = values.inputs
    if np.allclose(weight, 1, 0, 1e-6) and np.allclose(bias, 0, 0, 1e-6):
        return values
    # relu6(x + 3) / 6
    if values.kind == "relu6" and np.allclose(weight, 1 / 6, CLOSE) and not bias.any():
        [inner] = values.inputs
        plain = _without_shift(inner, 3)
        if plain is not None:
            return layer("hardsigmoid", plain, said)
    return Step("affine", (values,), values.shape, said, {}, {"weight": weight, "bias": bias})


def _parts(step: Step) -> tuple[Step, np.ndarray, np.ndarray]:
    """A step as weight · base + bias."""
    if step.kind == "affine":
        return step.inputs[0], step.parameters["weight"], step.parameters["bias"]
    channels = step.shape[0]
    return step, np.ones(channels), np.zeros(channels)


def relation(step: Step, other: Step) -> tuple[float, float] | None:
    """The numbers s and t of `step` = s · `other` + t; None if there are none."""
    base, weight, bias = _parts(step)
    other_base, other_weight, other_bias = _parts(other)
    if base is not other_base or not other_weight.all():
        return None
    scales = weight / other_weight
    shifts = bias - scales * other_bias
    if np.ptp(scales) > CLOSE * abs(scales[0]) or np.ptp(shifts) > CLOSE * max(1, np.abs(bias).max()):
        return None
    return float(scales.mean()), float(shifts.mean())


def _without_shift(step: Step, shift: float) -> Step | None:
    """The x of a step x + shift."""
    base, weight, bias = _parts(step)
    if step.kind != "affine" or not np.allclose(bias, shift, CLOSE):
        return None
    return affine(base, weight, 0, step.said)


def one_pair(step: Step) -> tuple[Step, float, float] | None:
    """A step as s · base + t with two numbers s and t; None if they differ from channel to channel."""
    base, weight, bias = _parts(step)
    if np.ptp(weight) > CLOSE * abs(weight[0]) or np.ptp(bias) > CLOSE * max(abs(bias[0]), 1e-6):
        return None
    return base, float(weight[0]), float(bias[0])


# Products ------------------------------------------------------------------------------------


def product(first: Step, second: Step, said: str) -> Step:
    """first · second: an activation that is written as one, a power, or values and their gate."""
    if first.kind != second.kind and first.shape == second.shape:
        first, second = (step.inputs[0] if step.kind == SPREAD else step for step in (first, second))
    if first is second:
        return power(first, 2, said)
    for values, gate in ((first, second), (second, first)):
        if gate.kind == "power" and gate.inputs[0] is values:
            return power(values, gate.settings["exponent"] + 1, said)
        if (found := _gated(values, gate, said)) is not None:
            return found
    large, small = (first, second) if math.prod(first.shape) >= math.prod(second.shape) else (second, first)
    if small.shape not in (large.shape, (large.shape[0], *(1 for _ in large.shape[1:]))):
        raise Unsupported(
            f"it multiplies {shape_text(large.shape)} by {shape_text(small.shape)}, where one number for each channel "
            f"or for each value would fit"
        )
    return Step(PRODUCT, (large, small), large.shape, said)


def _gated(values: Step, gate: Step, said: str) -> Step | None:
    """values · gate where the gate is a known function of the values; values may be a multiple of the x of that function."""

    def activation(kind: str, inner: Step, times: float, **settings: Any) -> Step:
        return affine(layer(kind, inner, said, settings), times, 0, said)

    if gate.kind in ("sigmoid", "relu6", "hardsigmoid"):
        related = relation(gate.inputs[0], values)
        if related is None or not related[0]:
            return None
        s, t = related
        x = affine(values, s, 0, said)  # values = x / s
        alpha = gate.settings.get("alpha", 1 / 6)
        if gate.kind == "sigmoid" and abs(t) < CLOSE:
            return activation("silu", x, 1 / s)
        if gate.kind == "relu6" and abs(t - 3) < CLOSE:
            return activation("hardswish", x, 6 / s)
        if gate.kind == "hardsigmoid" and abs(alpha * t + gate.settings.get("beta", 0.5) - 0.5) < CLOSE:
            x, s = affine(values, 6 * alpha * s, 0, said), 6 * alpha * s
            return activation("hardswish", x, 1 / s)
        return None
    if gate.kind == "tanh" and gate.inputs[0].kind == "softplus" and gate.inputs[0].inputs[0] is values:
        return layer("mish", values, said)
    pair = one_pair(gate)
    if pair is None or pair[0] is gate or abs(pair[1] - pair[2]) > CLOSE:
        return None
    function, w, _ = pair  # w (1 + function)
    if function.kind == "erf":
        related = relation(function.inputs[0], values)
        if related and abs(related[1]) < CLOSE and related[0]:
            s = related[0] * math.sqrt(2)
            return activation("gelu", affine(values, s, 0, said), 2 * w / s)
    if function.kind == "tanh":
        for s in (1.0, 2.0):  # x, or x / 2
            x = affine(values, s, 0, said)
            if _is_gelu_inside(function.inputs[0], x):
                return activation("gelu", x, 2 * w / s, approximate="tanh")
    return None


def _is_gelu_inside(step: Step, x: Step) -> bool:
    """Whether a step is √(2/π) (x + 0.044715 x³). (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.)"""
    root = math.sqrt(2 / math.pi)
    pair = one_pair(step)
    if pair is None or abs(pair[2]) > CLOSE:
        return False
    inner, scale, _ = pair
    if inner.kind == SUM and len(inner.inputs) == 2 and abs(scale - root) < CLOSE:
        for plain, cubed in (inner.inputs, inner.inputs[::-1]):
            cube = one_pair(cubed)
            if relation(plain, x) == (1.0, 0.0) and cube and _is_power(cube[0], x, 3):
                return abs(cube[1] - 0.044715) < 1e-5 and abs(cube[2]) < 1e-6
    if inner.kind == PRODUCT:
        for plain, squared in (inner.inputs, inner.inputs[::-1]):
            related, square = relation(plain, x), one_pair(squared)
            if related and square and abs(related[1]) < CLOSE and _is_power(square[0], x, 2):
                times = scale * related[0]
                return (
                    abs(times * square[2] - root) < CLOSE and abs(times * square[1] - root * 0.044715) < 1e-5
                )
    return False


def _is_power(step: Step, x: Step, exponent: int) -> bool:
    return (
        step.kind == "power"
        and step.settings["exponent"] == exponent
        and relation(step.inputs[0], x) == (1.0, 0.0)
    )


def power(values: Step, exponent: float, said: str) -> Step:
    """x to the power of a number, which is no layer by itself."""
    if exponent == 1:
        return values
    why = "powers of the values are known as parts of a GELU and of normalizations alone"
    return operation("power", values, said, why, exponent=exponent)


# Layer normalization, written out ---------------------------------------------------------------


def difference(first: Step, second: Step, said: str) -> Step:
    """first − second."""
    if second.kind == "channelmean" and second.inputs[0] is first:
        why = "the values without their mean are known as part of a layer normalization alone"
        return operation("centered", first, said, why)
    return total([first, affine(second, -1, 0, said)], said)


def quotient(first: Step, second: Step, said: str) -> Step:
    """first / second, where that is a layer normalization, (x − mean) / √(variance + eps), or a local response
    normalization, x / (k + alpha · the mean of x² over channels nearby)^beta."""
    if first.kind == "centered" and second.kind == "root":
        pair = one_pair(second.inputs[0])
        if pair and pair[0].kind == "channelmean" and abs(pair[1] - 1) < CLOSE:
            [square] = pair[0].inputs
            centered = square.inputs[0] if _is_square(square) else None
            if centered is not None and (centered is first or centered.inputs == first.inputs):
                channels = first.shape[0]
                weights = {"weight": np.ones(channels), "bias": np.zeros(channels)}
                return layer("layernorm", first.inputs[0], said, {"eps": float(f"{pair[2]:.6g}")}, **weights)
    if second.kind == "power" and (pair := one_pair(second.inputs[0])) and pair[0].kind == NEARBY:
        near, alpha, k = pair
        [square] = near.inputs
        if _is_power(square, first, 2):
            numbers = {"alpha": alpha, "beta": second.settings["exponent"], "k": k}
            settings = {"size": near.settings["size"]} | {
                name: float(f"{number:.6g}") for name, number in numbers.items()
            }
            return layer("lrn", first, said, settings)
    raise Unsupported(
        "it divides values by values, which is known as part of a layer normalization and a local response "
        "normalization alone"
    )


def _is_square(step: Step) -> bool:
    return step.kind == "power" and step.settings["exponent"] == 2 and step.inputs[0].kind == "centered"
