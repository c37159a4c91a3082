"""The one loop that trains autoencoder, text model, denoiser, judge and classifiers.

A training script says what it trains (`Training`) and the loss of a step; here is the rest: learning rate,
step, average, checkpoint, one after the other.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note, progress


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


def train(training: Training, loss_of: Callable[[int, np.random.Generator], torch.Tensor]) -> None:
    """Do the steps that `training` has left. loss_of: the loss of a step, given its number and its chances."""
    schedule = LambdaLR(
        training.optimizer,
        lambda step: learning_rate_factor(step, training.steps, training.warmup),
        last_epoch=training.step - 1,
    )
    begun = time.monotonic() - training.seconds
    for step in progress(range(training.step, training.steps), training.name, "step"):
        torch.manual_seed(training.seeds[0] * 1_000_003 + step)
        loss = loss_of(step, np.random.default_rng((*training.seeds, step)))

        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if training.clipped:
            nn.utils.clip_grad_norm_(training.clipped, 1.0)
        training.optimizer.step()
        schedule.step()
        if training.average is not None:
            training.average.update_parameters(training.module)

        training.losses.append(float(loss.detach()))
        training.step, training.seconds = step + 1, time.monotonic() - begun
        due = training.step % training.checkpoint_every == 0 or training.step == training.steps
        if training.checkpoint is not None and due:
            training.save()
    training.optimizer.zero_grad(set_to_none=True)


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

    def toward(averages: list[torch.Tensor], values: list[torch.Tensor], count: torch.Tensor) -> None:
        torch._foreach_lerp_(averages, values, 1 - min(decay, int(count) / (9 + int(count))))

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
