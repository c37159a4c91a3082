"""What the tests share: a tiny diffusion model, a study that has run, and real Snakemake runs in a temporary folder."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.workflow import MAP, TEMPLATE, VARIANTS, WORKFLOW, Study, start


def pytest_terminal_summary(terminalreporter):
    """Say once, and loudly, what could not be tested here."""
    reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reason for reason in reasons if "NOT TESTED" in reason):
        terminalreporter.write_line(reason.removeprefix("Skipped: "), red=True, bold=True)


def pytest_collection_modifyitems(items):
    """Whole runs first: where several processes test, the many short tests fill the time at the end."""
    items.sort(
        key=lambda item: not {"julia", "workflow", "training"} & set(item.path.relative_to(WORKFLOW).parts)
    )


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once a session, also where several processes test: `made_once(name, make)` calls `make(folder)`."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return made_once


@pytest.fixture(scope="session")
def tiny_model(made_once) -> Path:
    """An untrained Stable Diffusion pipeline of 32×32 images in diffusers' folder format."""
    return made_once("tiny", make_tiny_model)


def make_tiny_model(folder: Path) -> None:
    import torch
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
        )
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        # Draws noise in each step: that too must depend on nothing but the seed of its image.
        scheduler=DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


@pytest.fixture(scope="session")
def finished(made_once, tiny_model) -> Study:
    """A small study after a complete run, with a photograph beside its prompts; for reading only."""

    def make(folder: Path) -> None:
        study = start(folder, tiny_model)
        study.add_photograph()
        study.change(map=MAP, explain={"images": 2})
        study.run()

    return Study(made_once("finished", make))


@pytest.fixture
def study(finished, tmp_path) -> Study:
    """A copy of the finished study."""
    return Study(shutil.copytree(finished.folder, tmp_path / "study"))


@pytest.fixture(scope="session")
def finished_grid(made_once, tiny_model) -> Study:
    """A study of two variants after a complete run, with a photograph beside its prompts; for reading only."""

    def make(folder: Path) -> None:
        study = start(folder, tiny_model)
        study.write_prompts({"forest": TEMPLATE, "sea": "the sea"})
        study.add_photograph()
        study.change(variants=VARIANTS, generator={"images_per_prompt": 1}, map=MAP, explain={"images": 2})
        study.run()

    return Study(made_once("finished_grid", make))


@pytest.fixture
def grid(finished_grid, tmp_path) -> Study:
    """A copy of it."""
    return Study(shutil.copytree(finished_grid.folder, tmp_path / "grid"))


@pytest.fixture
def new_study(tmp_path, tiny_model) -> Study:
    """The same study before its first run, without the photograph."""
    return start(tmp_path / "study", tiny_model)


@pytest.fixture
def snakemake(tmp_path):
    """Run `snakemake --directory tmp_path` on the workflow; returns the finished process."""

    def run(*arguments: str, expect: int = 0, **options) -> subprocess.CompletedProcess:
        command = [
            sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor",
            "--snakefile", str(WORKFLOW / "Snakefile"), "--directory", str(tmp_path), *arguments,
        ]  # fmt: skip
        finished = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=600, **options
        )
        assert finished.returncode == expect, finished.stderr[-6000:]
        assert "Traceback" not in finished.stderr, finished.stderr[-6000:]
        return finished

    return run
