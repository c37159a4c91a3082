"""The one loop that trains autoencoder, text model, denoiser, judge and classifiers.

A training script says what it trains (`Training`), the batch of a step and its loss; here is the rest: batches made
ahead, learning rate, step, average, checkpoint, one after the other.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.data import DataLoader, Dataset

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note, progress

UNREAD = 100  # losses that stay on the device before they are read: each reading waits for the GPU


@dataclass
class Training:
    """What is trained and how, and how far it is.

    optimizer: its learning rate is the highest that the schedule reaches. seeds: step n draws from
    `default_rng((*seeds, n))`, so that a training that was interrupted meets what it would have met.
    clipped: the parameters whose gradients together are held to the length 1. checkpoint: a file to go on from
    after a kill, written every `checkpoint_every` steps and after the last one.
    """

    name: str
    module: nn.Module
    optimizer: torch.optim.Optimizer
    steps: int
    warmup: int
    seeds: tuple[int, ...]
    clipped: Sequence[nn.Parameter] = ()
    average: AveragedModel | None = None
    checkpoint: Path | None = None
    checkpoint_every: int = 1000

    step: int = 0  # the steps that are done
    losses: list[float] = field(default_factory=list)  # one per step
    seconds: float = 0.0

    def save(self) -> None:
        """Write the checkpoint; the file appears whole."""
        parts = {"module": self.module, "optimizer": self.optimizer, "average": self.average}
        state = {name: part.state_dict() for name, part in parts.items() if part is not None}
        with whole(self.checkpoint) as partial:
            torch.save(state | {"step": self.step, "losses": self.losses, "seconds": self.seconds}, partial)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["step"] > self.steps:
            note(f"{self.checkpoint} is beyond the {self.steps} steps of this training: starting again")
            return
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.step, self.losses, self.seconds = state["step"], state["losses"], state["seconds"]
        note(f"going on after step {self.step} of {self.checkpoint}")


class Batches(Dataset):
    """The batches of the steps from `first` to `last` - 1, each a function of its number alone."""

    def __init__(
        self, batch_of: Callable[[int, np.random.Generator], Any], seeds: tuple, first: int, last: int
    ):
        self.batch_of, self.seeds, self.first, self.last = batch_of, seeds, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, place: int) -> Any:
        step = self.first + place
        return self.batch_of(step, np.random.default_rng((*self.seeds, step)))


def on_device(batch: Any, device: torch.device) -> Any:
    """The tensors of a batch (in tuples, lists, dicts) on `device`."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to(device, non_blocking=True), batch)


def train(
    training: Training,
    batch_of: Callable[[int, np.random.Generator], Any],
    loss_of: Callable[[int, Any], torch.Tensor],
    prepare: Callable[[Any], Any] | None = None,
    workers: int = 0,
    cycle: int = 0,
) -> None:
    """Do the steps that `training` has left.

    batch_of: what a step learns from, tensors on the CPU, given its number and its chances. loss_of: the loss of a step,
    given its number and its batch, which `prepare` brings to the module's device (and may do more than that). workers:
    processes that make batches ahead. cycle: the loss is the same function of the batch every `cycle` steps; then a GPU
    does them as CUDA graphs. 0: no such thing is known.
    """
    device = next(training.module.parameters()).device
    prepare = prepare or (lambda batch: on_device(batch, device))
    step_of = (
        GraphedSteps(training, loss_of, cycle)
        if cycle and device.type == "cuda"
        else Steps(training, loss_of)
    )
    batches = DataLoader(
        Batches(batch_of, training.seeds, training.step, training.steps),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,  # what a batch is made of is not copied
        pin_memory=device.type == "cuda",
    )
    begun = time.monotonic() - training.seconds
    unread: list[torch.Tensor] = []
    for step, batch in enumerate(
        progress(batches, training.name, "step", training.steps - training.step), start=training.step
    ):
        torch.manual_seed(training.seeds[0] * 1_000_003 + step)
        unread.append(step_of(step, prepare(batch)))
        if training.average is not None:
            training.average.update_parameters(training.module)

        training.step = step + 1
        ended = training.step == training.steps
        due = training.checkpoint is not None and (training.step % training.checkpoint_every == 0 or ended)
        if due or ended or len(unread) == UNREAD:
            training.losses += torch.stack(unread).float().tolist()
            unread.clear()
            training.seconds = time.monotonic() - begun
        if due:
            training.save()
    training.optimizer.zero_grad(set_to_none=True)


class Steps:
    """The steps of a training, one operation after the other."""

    def __init__(self, training: Training, loss_of: Callable[[int, Any], torch.Tensor]):
        self.training, self.loss_of = training, loss_of
        self.schedule = LambdaLR(training.optimizer, self.factor, last_epoch=training.step - 1)

    def factor(self, step: int) -> float:
        return learning_rate_factor(step, self.training.steps, self.training.warmup)

    def __call__(self, step: int, batch: Any) -> torch.Tensor:
        """Do a step; returns its loss."""
        loss = self.gradients(step, batch)
        self.training.optimizer.step()
        self.schedule.step()
        return loss

    def gradients(self, step: int, batch: Any) -> torch.Tensor:
        """Of the loss of a step, which is returned."""
        self.training.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(step, batch)
        loss.backward()
        if self.training.clipped:
            nn.utils.clip_grad_norm_(self.training.clipped, 1.0)
        return loss.detach()


class GraphedSteps(Steps):
    """The steps of a training as CUDA graphs: a GPU does not wait for Python, which takes three times as long as small networks.

    A graph holds its numbers fast, the learning rate too. So it steps at the highest one, and goes back a part of the way:
    the steps of AdamW and Muon are proportional to their learning rate.
    """

    WARM = 3  # steps of a sort before its graph is made: libraries choose their ways, optimizers make their states

    def __init__(self, training: Training, loss_of: Callable[[int, Any], torch.Tensor], cycle: int):
        self.training, self.loss_of, self.cycle = training, loss_of, cycle
        self.parameters = [p for p in training.module.parameters() if p.requires_grad]
        self.before = [torch.empty_like(p) for p in self.parameters]
        self.share = torch.ones((), device=self.parameters[0].device)
        self.warmed: Counter[int] = Counter()
        self.graphs: dict[int, tuple[torch.cuda.CUDAGraph, Any, torch.Tensor]] = {}
        for group in training.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"])
            if "capturable" in group:
                group["capturable"] = True

    def __call__(self, step: int, batch: Any) -> torch.Tensor:
        self.share.fill_(self.factor(step))
        sort = step % self.cycle
        if self.warmed[sort] < self.WARM:
            self.warmed[sort] += 1
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                loss = self.whole(step, batch)
            torch.cuda.current_stream().wait_stream(side)
            return loss
        if sort not in self.graphs:
            held, graph = tree_map_only(torch.Tensor, torch.clone, batch), torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, capture_error_mode="thread_local"
            ):  # others are making batches meanwhile
                loss = self.whole(step, held)
            self.graphs[sort] = graph, held, loss
        graph, held, loss = self.graphs[sort]
        for place, values in zip(tree_leaves(held), tree_leaves(batch), strict=True):
            place.copy_(values)
        graph.replay()
        return loss.clone()

    def whole(self, step: int, batch: Any) -> torch.Tensor:
        """A step from the gradients to the changed parameters; returns its loss."""
        loss = self.gradients(step, batch)
        with torch.no_grad():
            torch._foreach_copy_(self.before, self.parameters)
            self.training.optimizer.step()
            torch._foreach_sub_(self.parameters, self.before)
            torch._foreach_mul_(self.parameters, self.share)
            torch._foreach_add_(self.parameters, self.before)
        return loss


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up to 1, which then holds until the last 30 % of the steps, a straight line down to 0.

    Until that line begins, nothing depends on `steps`: a training can go on for longer than it was planned
    (Hu et al. 2024, arXiv:2404.06395).
    """
    return min(1.0, (step + 1) / warmup, (steps - step) / (0.3 * steps))


def running_average(module: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a module's parameters, to which a `Training` adds after each step.

    The decay rises as (1 + step) / (10 + step) up to `decay`, so that early steps are forgotten. diffusers'
    EMAModel has this decay, too, but rounds otherwise, so that a training would end in other weights.
    """

    def toward(averages: list[torch.Tensor], values: list[torch.Tensor], _count: torch.Tensor) -> None:
        count = int(average.n_averaged)  # which is on the CPU: no waiting for a GPU
        torch._foreach_lerp_(averages, values, 1 - min(decay, count / (9 + count)))

    average = AveragedModel(module, multi_avg_fn=toward)
    average.n_averaged += 1  # from 0 it would forget the weights before the first step at once
    return average


def seed_of(seed: int, start: str | Path | None) -> int:
    """The seed of a training: `seed` if it begins from nothing, else one that follows from the weights file `start`.

    Otherwise a training that goes on would meet the batches again that made `start`.
    """
    return seed if start is None else seed ^ int(sha256_of_file(start)[:8], 16)


def checkpoint_of(name: str, folder: str | Path, made_of: Mapping) -> Path:
    """The checkpoint of a training in `folder`: its name tells what the training is made of.

    made_of: settings, digests of the data and of the code. A checkpoint of others stays where it is, and is
    named, so that whoever knows better can go on from it.
    """
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    path = Path(folder) / f"{name}_{digest}.pt"
    others = sorted(path.parent.glob(f"{name}_*.pt"), key=lambda other: other.stat().st_mtime)
    if others and not path.exists():
        note(
            f"{others[-1]} was made with other settings, data or code: starting again. It is kept; "
            f"named {path.name} it would be gone on from."
        )
    return path
