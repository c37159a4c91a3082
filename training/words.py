"""The words of the text model: it learns to tell from a caption what the scene holds, before the U-Net is there."""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.generation.context import words
from training.loop import Training, train
from training.world.captions import caption
from training.world.facts import FACTS, facts_of
from training.world.sampling import sample_scene


class Questions(nn.Module):
    """Answers FACTS from token states [N, T, C]: each question attends to the words by itself, as the U-Net will."""

    def __init__(self, channels: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(FACTS), channels) / channels**0.5)
        self.answers = nn.Parameter(torch.randn(len(FACTS), channels) / channels**0.5)
        self.biases = nn.Parameter(torch.full((len(FACTS),), -2.0))

    def forward(self, states: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        scores = torch.einsum("qc,ntc->nqt", self.queries, states).masked_fill(~valid[:, None], -1e9)
        return torch.einsum("nqt,ntc,qc->nq", scores.softmax(-1), states, self.answers) + self.biases


def teach_words(
    text_model: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    known: set[str],
    settings: Mapping,
    checkpoint: Path | None = None,
    workers: int = 0,
) -> Training:
    """Train the text model to answer FACTS from captions.

    known: the words that it knows already. settings: the `text_model` of config.yaml. workers: processes that make batches.

    A text model that knows words already first waits, for a fifth of the steps, until the answers are read from its
    states as they are, and is held to its states of captions of which it knows all words: what the U-Net learned of
    them is to stay true.
    """
    torch.manual_seed(settings["seed"])
    questions = Questions(text_model.config.hidden_size).to(text_model.device)
    before = copy.deepcopy(text_model).requires_grad_(False)
    waiting = settings["steps"] // 5 if known else 0

    def batch_of(step: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[int]]:
        scenes = [sample_scene(rng) for _ in range(settings["batch"])]
        texts = [caption(scene, rng) for scene in scenes]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        facts = torch.tensor(np.array([facts_of(scene) for scene in scenes]))
        return dict(tokens), facts, [i for i, text in enumerate(texts) if known.issuperset(words(text))]

    def loss_of(step: int, batch: tuple[torch.Tensor, list[int]]) -> torch.Tensor:
        text_model.requires_grad_(step >= waiting)
        tokens, facts, old = batch
        states = text_model(tokens["input_ids"]).last_hidden_state
        answers = questions(states, tokens["attention_mask"].bool())
        loss = F.binary_cross_entropy_with_logits(answers, facts) * len(FACTS)
        if old:
            held = before(tokens["input_ids"][old]).last_hidden_state
            loss = loss + settings["hold"] * F.mse_loss(states[old], held)
        return loss

    both = nn.ModuleDict({"text_model": text_model, "questions": questions})
    training = Training(
        name="text model",
        module=both,
        optimizer=torch.optim.AdamW(
            both.parameters(), lr=settings["learning_rate"], betas=(0.9, 0.99), weight_decay=0.01
        ),
        steps=settings["steps"],
        warmup=settings["warmup"],
        seeds=(settings["seed"], 1),
        clipped=list(text_model.parameters()),
        checkpoint=checkpoint,
    )
    training.resume()
    train(training, batch_of, loss_of, workers=workers)
    return training
