"""The loop: what a step does, and that a training that was interrupted ends where it would have ended."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from training.loop import (
    UNREAD,
    Training,
    checkpoint_of,
    learning_rate_factor,
    running_average,
    seed_of,
    train,
)
from training.optimizer import MuonAndAdamW


def small_training(optimizer_of, checkpoint=None) -> Training:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(first=nn.Linear(3, 8), inner=nn.Linear(8, 6), last=nn.Linear(6, 2)))
    return Training(
        name="small",
        module=network,
        optimizer=optimizer_of(network),
        steps=9,
        warmup=3,
        seeds=(5, 1),
        clipped=list(network.parameters()),
        average=running_average(network, 0.9),
        checkpoint=checkpoint,
        checkpoint_every=4,
    )


def batch_of(step, rng):
    return torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)


def loss_of(training, killed_at=None):
    def loss(step, images):
        if step == killed_at:
            raise KeyboardInterrupt
        return (training.module(images) - torch.randn(4, 2, device=images.device)).square().mean()

    return loss


@pytest.mark.parametrize(
    "optimizer_of",
    [
        lambda network: torch.optim.AdamW(network.parameters(), lr=0.01),
        lambda network: MuonAndAdamW(network, ("first", "last"), lr=0.01, weight_decay=0.01),
    ],
    ids=["AdamW", "Muon"],
)
def test_a_training_that_was_killed_ends_as_one_that_was_not(optimizer_of, tmp_path, capsys):
    whole = small_training(optimizer_of)
    train(whole, batch_of, loss_of(whole))

    killed = small_training(optimizer_of, tmp_path / "small.pt")
    with pytest.raises(KeyboardInterrupt):
        train(killed, batch_of, loss_of(killed, killed_at=6))
    resumed = small_training(optimizer_of, tmp_path / "small.pt")
    resumed.resume()
    assert resumed.step == 4 and "going on after step 4" in capsys.readouterr().err
    train(resumed, batch_of, loss_of(resumed))

    assert resumed.losses == whole.losses and len(whole.losses) == 9
    for one, other in ((resumed.module, whole.module), (resumed.average, whole.average)):
        state = other.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_the_learning_rate_rises_holds_and_falls():
    rates = [learning_rate_factor(step, 100, 10) for step in range(101)]
    assert rates[0] == 0.1 and rates[9:70] == [1.0] * 61 and rates[100] == 0
    assert rates[85] == pytest.approx(0.5)
    seen = []
    training = small_training(lambda network: MuonAndAdamW(network, ("first",), lr=0.5, weight_decay=0.0))

    def loss(step, images):
        own = [training.optimizer.muon.param_groups, training.optimizer.adamw.param_groups]
        seen.append({group["lr"] for groups in own for group in groups})
        return loss_of(training)(step, images)

    train(training, batch_of, loss)
    assert seen == [{0.5 * learning_rate_factor(step, 9, 3)} for step in range(9)]


def test_early_weights_are_forgotten_sooner_by_the_average():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average, expected = running_average(module, 0.5), 0.0
    for step in range(12):
        nn.init.constant_(module.weight, step + 1.0)
        average.update_parameters(module)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_of_other_settings_data_or_code_is_kept_and_named(tmp_path, capsys):
    before = checkpoint_of("net", tmp_path, {"steps": 5, "code": "one"})
    assert before == checkpoint_of("net", tmp_path, {"code": "one", "steps": 5})
    assert not capsys.readouterr().err
    before.write_bytes(b"learned")
    after = checkpoint_of("net", tmp_path, {"steps": 5, "code": "two"})
    said = capsys.readouterr().err
    assert after != before and str(before) in said and after.name in said
    assert before.read_bytes() == b"learned"


def test_a_training_that_goes_on_meets_other_batches(tmp_path):
    starts = [tmp_path / "one.h5", tmp_path / "two.h5"]
    for start in starts:
        start.write_text(start.name)
    seeds = {seed_of(2, None), *(seed_of(2, start) for start in starts)}
    assert 2 in seeds and len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_inner_weights_equally_far_in_every_direction(layout):
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(first=nn.Conv2d(3, 8, 3), inner=nn.Conv2d(8, 6, 3)))
    network = network.to(memory_format=layout)
    optimizer = MuonAndAdamW(network, ("first",), lr=0.01, weight_decay=0.0)
    assert [weight.shape for weight in optimizer.weights] == [(6, 8, 3, 3)]
    before = network.inner.weight.detach().clone()
    network(torch.randn(4, 3, 9, 9)).square().sum().backward()
    gradient = network.inner.weight.grad.flatten(1)
    optimizer.step()
    optimizer.zero_grad()
    moved = (before - network.inner.weight.detach()).flatten(1)
    lengths = torch.linalg.svdvals(moved) / (0.01 * 0.2 * 72**0.5)  # the largest side of the matrix
    assert lengths.min() > 0.5 and lengths.max() < 1.5
    assert (moved * gradient).sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_steps_of_a_training_draw_the_same_wherever_it_began():
    """What a step draws hangs on its number alone, not on how many were done before in this process."""
    drawn = {}
    for begin in (0, 4):
        training = small_training(lambda network: torch.optim.SGD(network.parameters(), lr=0.0))
        for group in training.optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        training.step = begin

        def loss(step, batch, training=training, begin=begin):
            drawn[begin, step] = (float(batch[1]), float(torch.rand(())))
            return loss_of(training)(step, batch[0])

        train(training, lambda step, rng: (batch_of(step, rng), torch.tensor(rng.random())), loss)
    assert all(drawn[0, step] == drawn[4, step] for step in range(4, 9))
    assert len({np.round(value, 9) for pair in drawn.values() for value in pair}) == 18


def test_batches_that_are_made_ahead_are_the_same():
    """In processes of their own, in whatever order these are done."""
    alone, ahead = (
        small_training(lambda network: torch.optim.SGD(network.parameters(), lr=0.1)) for _ in range(2)
    )
    train(alone, batch_of, loss_of(alone))
    train(ahead, batch_of, loss_of(ahead), workers=2)
    assert ahead.losses == alone.losses and len(alone.losses) == 9


def test_losses_are_read_late_and_none_is_lost():
    training = small_training(lambda network: torch.optim.SGD(network.parameters(), lr=0.0))
    training.steps = 2 * UNREAD + 5
    train(training, batch_of, loss_of(training))
    assert len(training.losses) == training.steps and np.isfinite(training.losses).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU, and there is none here")
def test_steps_in_graphs_are_the_steps_without():
    """Their order of operations is the same but for the learning rate, which is taken off afterwards."""
    found = []
    for cycle in (0, 2):
        training = small_training(
            lambda network: MuonAndAdamW(network.cuda(), ("first", "last"), lr=0.01, weight_decay=0.01)
        )
        training.steps = 30
        train(training, batch_of, loss_of(training), cycle=cycle)
        found.append(training.losses)
    np.testing.assert_allclose(*found, rtol=1e-4)
