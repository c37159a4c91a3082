"""The judge of generated images: a small CNN that answers `facts.FACTS` from pixels, trained on drawings alone.

It judges what `models/scenes` draws, so it must not come from it: no decoded drawing, no generated image.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from promptflux.files.whole import whole
from training.images import pixels
from training.world.facts import FACTS

SIDE, FEATURES = 64, 64  # pixels of what it sees; length of the vector that its answers come from


class Judge(nn.Module):
    """Images [N, 3, 64, 64] in -1..1 to logits [N, len(FACTS)]: above 0 where a fact is seen."""

    def __init__(self):
        super().__init__()
        blocks, before = [], 3
        for channels in (32, 64, 96, 128):
            blocks += [
                nn.Conv2d(before, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            before = channels
        self.body = nn.Sequential(
            *blocks, nn.Conv2d(before, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU()
        )
        self.squeeze = nn.Sequential(nn.Flatten(), nn.Linear(128 * 16, FEATURES), nn.ReLU())
        self.answers = nn.Linear(FEATURES, len(FACTS))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """float [N, 64], not negative: the space of the Fréchet distance."""
        return self.squeeze(self.body(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answers(self.features(images))


def seen(drawings: np.ndarray) -> torch.Tensor:
    """uint8 [N, 128, 128, 3] as the judge sees it: float [N, 3, 64, 64] in -1..1."""
    return F.avg_pool2d(pixels(drawings), drawings.shape[1] // SIDE)


@torch.no_grad()
def judged(judge: Judge, drawings: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [N, 64] and logits [N, len(FACTS)] of images, uint8 [N, H, W, 3]."""
    judge.eval()
    features = torch.cat([judge.features(seen(drawings[i : i + 100])) for i in range(0, len(drawings), 100)])
    return features, judge.answers(features)


def save_judge(judge: Judge, path: Path) -> None:
    with whole(path) as partial:
        save_file({name: value.contiguous() for name, value in judge.state_dict().items()}, partial)


def load_judge(path: Path) -> Judge:
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.eval()
