"""From a graph of steps to chains and blocks: series-parallel decomposition.

Where values meet again (a sum, a concatenation, a product), the block begins at the last step that all of them pass: the
immediate dominator (Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm", 2001, without cycles). Where ways
cross, as in Res2Net, all values that are still needed are carried along, side by side, from one stage to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from promptflux.classifiers.importers.entries import Entry
from promptflux.classifiers.importers.steps import (
    CONCAT,
    INPUT,
    JOINS,
    PRODUCT,
    SUM,
    Step,
    Unsupported,
)
from promptflux.classifiers.kind import MOST_DEEP
from promptflux.classifiers.kinds import ACTIVATIONS, KINDS

MOST_ENTRIES = 10_000


def entries_of(end: Step) -> list[Entry]:
    """The chain of layers, some of them blocks, that computes `end` from the one input.

    Raises Unsupported, whose arguments are pairs (node, why), for all that no layer computes, and for values that go ways
    which do not join in one place.
    """
    order = _ordered(end)
    problems = [(step.said, step.why) for step in order if step.why]
    if problems:
        raise Unsupported(*problems)
    # A concatenation that begins with all that another one has, as DenseNet's are written, begins with that one.
    chain = _Chains(_nested_concats(order)).chain(None, end, 0)
    return _tidy(chain)


def _ordered(end: Step) -> list[Step]:
    """The steps that `end` depends on and itself, each after its inputs."""
    order: list[Step] = []
    seen: set[Step] = set()
    waiting = [(end, False)]
    while waiting:
        step, done = waiting.pop()
        if done:
            order.append(step)
        elif step not in seen:
            seen.add(step)
            waiting.append((step, True))
            waiting += [(inner, False) for inner in reversed(step.inputs) if inner not in seen]
    return order


def _nested_concats(order: Sequence[Step]) -> list[Step]:
    """`order`, in which a concatenation takes the longest other one that its inputs begin with."""
    known: dict[tuple[Step, ...], Step] = {}
    for step in order:
        if step.kind != CONCAT:
            continue
        whole = step.inputs
        for count in range(len(whole) - 1, 1, -1):
            if whole[:count] in known:
                step.inputs = (known[whole[:count]], *whole[count:])
                break
        known.setdefault(whole, step)
    return list(order)


class _Crossing(Unsupported):
    """A step would be a layer twice: ways part in one block and join in another."""


def _crossing(step: Step) -> _Crossing:
    return _Crossing(
        (
            step.said,
            "its values go ways that cross others and do not join in one place; such values are carried along only where all "
            "are maps of one size",
        )
    )


@dataclass
class _Part:
    """A piece of a block in which ways cross: what joins its inputs, if they are several, and a chain of layers.

    end: the step whose values it gives.
    """

    end: Step
    inputs: tuple[Step, ...] = ()
    join: Step | None = None
    chain: list[Entry] = field(default_factory=list)


class _Chains:
    """What the chains of a graph are read with: of each step, the last one that all ways to it pass."""

    def __init__(self, order: Sequence[Step]):
        self.depth: dict[Step, int] = {}
        self.before: dict[Step, Step] = {}
        self.made: dict[Step, int] = {}
        self.takers: dict[Step, list[Step]] = {step: [] for step in order}
        for step in order:
            for inner in step.inputs:
                self.takers[inner].append(step)
            if step.inputs:
                fork = step.inputs[0]
                for other in step.inputs[1:]:
                    fork = self.fork(fork, other)
                self.before[step] = fork
                self.depth[step] = self.depth[fork] + 1
            else:
                self.depth[step] = 0

    def fork(self, first: Step, second: Step) -> Step:
        """The last step that all ways to both pass."""
        while first is not second:
            if self.depth[first] < self.depth[second]:
                second = self.before[second]
            else:
                first = self.before[first]
        return first

    def chain(self, start: Step | None, end: Step, deep: int) -> list[Entry]:
        """The layers from after `start`, None for the input, to `end`."""
        if deep > MOST_DEEP:
            raise Unsupported((end.said, f"it stands in more than {MOST_DEEP} branches inside of each other"))
        entries: list[Entry] = []
        while end is not start and end.kind != INPUT:
            self.count(end)
            entries += self.block(end, deep)[::-1] if end.kind in JOINS else [_entry(end)]
            end = self.before[end]
        return entries[::-1]

    def count(self, step: Step) -> None:
        """Raise Unsupported if a step would be a layer twice."""
        self.made[step] = self.made.get(step, 0) + 1
        if self.made[step] > 1 and (step.parameters or step.kind in JOINS):
            raise _crossing(step)
        if sum(self.made.values()) > MOST_ENTRIES:
            raise Unsupported((step.said, f"the network would have more than {MOST_ENTRIES:,} layers"))

    def block(self, step: Step, deep: int) -> list[Entry]:
        """The block that ends in a join; several after each other, if ways cross inside."""
        made = dict(self.made)
        try:
            return [self.nested(step, deep)]
        except _Crossing:
            self.made = made
            return self.staged(step, deep)

    def nested(self, step: Step, deep: int) -> Entry:
        """The block that ends in a join, of branches that join there and nowhere else."""
        fork = self.before[step]
        if step.kind == PRODUCT:
            values, gate = step.inputs
            if values is not fork:
                values, gate = gate, values
            if values is not fork or values.shape != step.shape:
                raise Unsupported(
                    (
                        step.said,
                        "it multiplies two ways of values; a gate is taken that multiplies what it takes itself",
                    )
                )
            return Entry("scale", {}, {}, [self.chain(fork, gate, deep + 1)], step.said)
        branches = [self.branch(fork, group, step, deep) for group in self.groups(step, fork)]
        if step.kind == SUM and len(branches) == 2 and any(branches):
            body, shortcut = branches if len(branches[0]) >= len(branches[1]) else branches[::-1]
            return Entry("residual", {}, {}, [body, shortcut], step.said)
        return Entry("parallel", {"join": step.kind}, {}, branches, step.said)

    # Ways that cross ---------------------------------------------------------------------------

    def staged(self, end: Step, deep: int) -> list[Entry]:
        """The stages from after the fork of a join to it; each computes what it can and hands on what is needed later."""
        state, stages = [self.before[end]], []
        left = self.parts(end, state[0], deep)
        while left:
            ready = [part for part in left if all(value in state for value in part.inputs)]
            for now in (ready, *([part] for part in ready), *(_of(value, ready) for value in state)):
                later = [part for part in left if part not in now]
                kept = [value for value in state if any(value in part.inputs for part in later)]
                if now and len({value.shape[1:] for value in (*kept, *(part.end for part in now))}) == 1:
                    break
            else:
                raise _crossing(end)
            branches = [_select(run, state) for run in _runs(kept, state)]
            branches += [[*self.taken(part, state), *part.chain] for part in now]
            stages += (
                branches[0]
                if len(branches) == 1
                else [Entry("parallel", {"join": CONCAT}, {}, branches, end.said)]
            )
            state, left = [*kept, *(part.end for part in now)], later
        return stages

    def parts(self, end: Step, fork: Step, deep: int) -> list[_Part]:
        """The pieces between a fork and the join that they end in, without what several of them take."""
        found: dict[Step, _Part] = {}
        waiting = [end]
        while waiting:
            step = waiting.pop()
            if step in found or step is fork:
                continue
            part = found[step] = _Part(step)
            while not part.inputs:
                if step.kind in JOINS and (step is end or not self.is_closed(step)):
                    part.inputs, part.join = step.inputs, step
                if step is not end:
                    self.count(step)
                if part.join is not None:
                    break
                if step.kind in JOINS:
                    part.chain[:0] = self.block(step, deep + 1)
                    step = self.before[step]
                else:
                    part.chain.insert(0, _entry(step))
                    [step] = step.inputs
                if step is fork or len(self.takers[step]) > 1:
                    part.inputs = (step,)
            waiting += part.inputs
        return list(found.values())

    def is_closed(self, join: Step) -> bool:
        """Whether nothing between the fork of a join and the join is taken by others."""
        inside, waiting = {self.before[join], join}, [*join.inputs]
        while waiting:
            step = waiting.pop()
            if step not in inside:
                inside.add(step)
                waiting += step.inputs
        return all(set(self.takers[step]) <= inside for step in inside - {self.before[join], join})

    def taken(self, part: _Part, state: list[Step]) -> list[Entry]:
        """What a piece takes of the values that are carried along, joined."""
        join = part.join
        if join is None:
            return _select(part.inputs, state)
        runs = _runs(part.inputs, state) if join.kind == CONCAT else [[value] for value in part.inputs]
        values = [_select(run, state) for run in runs]
        if len(values) == 1:
            return values[0]
        if join.kind == PRODUCT:
            raise Unsupported(
                (
                    join.said,
                    "it multiplies two ways of values; a gate is taken that multiplies what it takes itself",
                )
            )
        if join.kind == SUM and len(values) == 2 and any(values):
            return [Entry("residual", {}, {}, values if values[0] else values[::-1], join.said)]
        return [Entry("parallel", {"join": join.kind}, {}, values, join.said)]

    def branch(self, fork: Step, group: list[Step], step: Step, deep: int) -> list[Entry]:
        if len(group) == 1:
            return self.chain(fork, group[0], deep + 1)
        # Some of the ways part later than the others.
        shape = (
            (sum(way.shape[0] for way in group), *group[0].shape[1:]) if step.kind == CONCAT else step.shape
        )
        inner = Step(step.kind, tuple(group), shape, step.said)
        inner_fork = group[0]
        for way in group[1:]:
            inner_fork = self.fork(inner_fork, way)
        self.before[inner], self.depth[inner] = inner_fork, self.depth[inner_fork] + 1
        return self.chain(fork, inner, deep + 1)

    def groups(self, step: Step, fork: Step) -> list[list[Step]]:
        """The inputs of a join, those together that part after `fork`; the order of a concatenation stays."""
        groups: list[list[Step]] = []
        forks: list[Step] = []
        for way in step.inputs:
            places = range(len(groups))[-1:] if step.kind == CONCAT else range(len(groups))
            place = next((place for place in places if self.fork(forks[place], way) is not fork), None)
            if place is None:
                groups.append([way])
                forks.append(way)
            else:
                groups[place].append(way)
                forks[place] = self.fork(forks[place], way)
        return groups


def _of(value: Step, parts: Iterable[_Part]) -> list[_Part]:
    return [part for part in parts if value in part.inputs]


def _runs(values: Sequence[Step], state: Sequence[Step]) -> list[list[Step]]:
    """Values of a state in groups that stand side by side in it."""
    runs: list[list[Step]] = []
    for value in values:
        if runs and state.index(runs[-1][-1]) + 1 == state.index(value):
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _select(values: Sequence[Step], state: Sequence[Step]) -> list[Entry]:
    """The channels that hold these values, which stand side by side in a state; nothing if they are all of it."""
    if len(values) == len(state):
        return []
    first = sum(value.shape[0] for value in state[: state.index(values[0])])
    last = first + sum(value.shape[0] for value in values)
    return [Entry("channels", {"from": first, "to": last}, {}, [], values[0].said)]


def _entry(step: Step) -> Entry:
    parameters = {name: np.asarray(array, np.float32) for name, array in step.parameters.items()}
    return Entry(step.kind, dict(step.settings), parameters, [], step.said)


# What is written shorter ------------------------------------------------------------------------


def _tidy(entries: list[Entry]) -> list[Entry]:
    """A chain as one would write it: biases and activations inside of the layers that they follow."""
    tidied: list[Entry] = []
    for entry in _gates_of_maps(entries):
        entry.branches = [_tidy(branch) for branch in entry.branches]
        last = tidied[-1] if tidied else None
        if last is None or not any(
            take(last, entry) for take in (_takes_bias, _takes_scale, _takes_activation)
        ):
            tidied.append(entry)
    for entry in tidied:
        _leave_out_what_changes_nothing(entry)
    return tidied


def _leave_out_what_changes_nothing(entry: Entry) -> None:
    """An affine layer that only multiplies or only adds has no other parameter."""
    for name, nothing in (("weight", 1), ("bias", 0)):
        if entry.kind == "affine" and (entry.parameters[name] == nothing).all():
            entry.settings[name] = False
            del entry.parameters[name]


def _takes_bias(layer: Entry, entry: Entry) -> bool:
    """Put what an entry adds into the layer before it, if that is all it does and the layer has no bias."""
    if entry.kind != "affine" or layer.kind not in ("conv", "dense") or layer.settings.get("bias", True):
        return False
    if "activation" in layer.settings or not (entry.parameters["weight"] == 1).all():
        return False
    del layer.settings["bias"]
    layer.parameters["bias"] = entry.parameters["bias"]
    return True


def _takes_scale(layer: Entry, entry: Entry) -> bool:
    """Put what an entry multiplies with and adds into the normalization before it."""
    kinds = ("batchnorm", "layernorm", "groupnorm")
    if entry.kind != "affine" or layer.kind not in kinds or "activation" in layer.settings:
        return False
    scale = entry.parameters["weight"]
    layer.parameters["weight"] = layer.parameters["weight"] * scale
    layer.parameters["bias"] = layer.parameters["bias"] * scale + entry.parameters["bias"]
    return True


def _takes_activation(layer: Entry, entry: Entry) -> bool:
    """Put an activation into the layer before it."""
    kind = KINDS[layer.kind]
    if not kind.activates or entry.kind not in ACTIVATIONS or "activation" in layer.settings:
        return False
    layer.settings["activation"] = {entry.kind: entry.settings} if entry.settings else entry.kind
    return True


def _gates_of_maps(entries: list[Entry]) -> list[Entry]:
    """`flatten`, dense layers, `unflatten`, as many write squeeze-and-excitation, are convolutions of 1×1."""
    made: list[Entry] = []
    start = None
    for entry in entries:
        made.append(entry)
        if entry.kind == "flatten":
            start = len(made) - 1
        elif entry.kind == "unflatten":
            if start is None:
                raise Unsupported(
                    (
                        entry.said,
                        "it makes maps of a vector; only what was 1×1 maps before becomes such maps again",
                    )
                )
            made[start:] = [_as_conv(layer) for layer in made[start + 1 : -1]]
            start = None
    return made


def _as_conv(entry: Entry) -> Entry:
    if entry.kind != "dense":
        return entry
    weight = entry.parameters["weight"]
    settings = {**entry.settings, "kernel": 1}
    parameters = {**entry.parameters, "weight": weight.reshape(*weight.shape, 1, 1)}
    return Entry("conv", settings, parameters, [], entry.said)
