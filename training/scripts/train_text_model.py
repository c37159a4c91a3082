"""Train the text model of models/scenes: it learns to tell from a caption what the scene holds.

That takes minutes, and spares the U-Net an hour of waiting for useful words.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.files.whole import whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, machine, workers
from training.loop import checkpoint_of, seed_of
from training.models import new_text_model, new_tokenizer
from training.words import teach_words
from training.world.captions import caption, known_words
from training.world.sampling import sample_scene


def main(
    *,
    settings: Mapping,
    model: str,
    curve: str,
    checkpoints: str,
    scale: float = 1.0,
    start: str | None = None,
    code: str = "",
    threads: int = 1,
) -> None:
    """Write the folder `model` with tokenizer, text_encoder, words.txt and training.json, and the loss `curve`.

    settings: the `text_model` of config.yaml. checkpoints: a folder for what a killed training goes on from. scale:
    multiplies the number of steps and of captions. start: a models/scenes to go on from, instead of from nothing; its
    tokenizer stays as it is. code: a digest of it; what other code learned is no start. threads: processes that make
    batches for a GPU.
    """
    output, begin = Path(model), Path(start) if start else None
    # Another seed than that of the training that made `start`.
    weights = next((begin / "text_encoder").glob("*.safetensors")) if begin else None
    settings = {**settings, "seed": seed_of(settings["seed"], weights)} | {
        key: max(2, round(settings[key] * scale)) for key in ("steps", "vocabulary_captions")
    }
    rng = np.random.default_rng(settings["seed"])
    captions = [caption(sample_scene(rng), rng) for _ in range(settings["vocabulary_captions"])]
    torch.manual_seed(settings["seed"])
    if begin:
        tokenizer = CLIPTokenizer.from_pretrained(begin / "tokenizer")
        text_model = CLIPTextModel.from_pretrained(begin / "text_encoder", dtype=torch.float32)
        known = set((begin / "words.txt").read_text(encoding="utf-8").split())
    else:
        tokenizer = new_tokenizer(captions)
        text_model, known = new_text_model(tokenizer), set()
    made_of = {"settings": settings, "start": start is not None, "code": code}
    taught = teach_words(
        text_model.to(device()),
        tokenizer,
        known,
        settings,
        checkpoint_of("text_model", checkpoints, made_of),
        workers(threads),
    )

    tokenizer.save_pretrained(output / "tokenizer")
    text_model.save_pretrained(output / "text_encoder")
    (output / "words.txt").write_text("\n".join(known_words(captions)) + "\n", encoding="utf-8")
    loss_curve({"text model": taught.losses}, "Training of the text model", curve)
    record = {"steps": taught.steps, "seconds": round(taught.seconds), "machine": machine()}
    with whole(output / "training.json") as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    note(f"text model: {taught.steps} steps in {taught.seconds / 60:.1f} min")


if "snakemake" in globals():
    run(main, snakemake)
