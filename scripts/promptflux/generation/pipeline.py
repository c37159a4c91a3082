"""Sampling images with a diffusers pipeline."""

import inspect
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError
from promptflux.files.whole import whole
from promptflux.generation.context import cut_off, cut_off_warning
from promptflux.generation.recipe import Request
from promptflux.images.provenance import write_png
from promptflux.runtime.job import note
from promptflux.runtime.version import version


def make(missing: Sequence[Request], settings: dict) -> None:
    """Generate the missing images in micro-batches of one fixed shape, with a progress bar."""
    import torch
    from tqdm import tqdm

    # A count of its own, whatever cores are at hand: it decides how sums are split, and so bits.
    torch.set_num_threads(settings["threads"])
    pipeline, made_with = load(settings)
    warn_of_cut_off_words(pipeline, missing)
    total = len(missing) * settings["steps"]
    with tqdm(total=total, desc="generate", unit="step", mininterval=2.0) as bar:
        for group in micro_batches(missing, settings["micro_batch"]):
            pictures = sample(pipeline, group, settings, bar)
            for request, picture in zip(group, pictures, strict=True):
                size = {"width": picture.width, "height": picture.height}
                with whole(request.path) as path:
                    write_png(
                        path,
                        picture.convert("RGB"),
                        {"recipe": request.recipe, "made_with": made_with | size},
                    )


def micro_batches(missing: Sequence[Request], size: int) -> Iterator[list[Request]]:
    """Groups of at most `size` requests, those with a negative prompt apart from those without.

    A pipeline takes a negative prompt for all rows or for none, and for some (SDXL) an
    empty one is not the same as none.
    """
    for has_negative in (False, True):
        alike = [request for request in missing if ("negative_prompt" in request.recipe) == has_negative]
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def load(settings: dict) -> tuple:
    """The diffusers pipeline on its device, and what the images are made with."""
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    device, dtype = resolve(settings["device"], settings["dtype"])
    model, revision = settings["model"], settings["revision"]
    note(f"generate: loading {model}{f' at {revision}' if revision else ''} on {device} as {dtype}")
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            model,
            revision=revision,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=revision is None,
        ).to(device)
    except (OSError, ValueError, ImportError, RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StudyError(f"generator.model: {model!r} cannot be loaded: {reason}") from None
    pipeline.set_progress_bar_config(disable=True)
    made_with = {
        "model": model if revision else Path(model).name,
        "pipeline": type(pipeline).__name__,
        "scheduler": type(pipeline.scheduler).__name__,
        "device": device,
        "dtype": dtype,
        "promptflux": version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }
    return pipeline, made_with


def resolve(device: str, dtype: str) -> tuple[str, str]:
    """The device and dtype that `auto` means here; StudyError for a device that is not there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, available in there.items() if available)
    elif not there[device]:
        raise StudyError(
            f"config.yaml: generator.device is {device!r}, and this machine has none; use auto or cpu."
        )
    if dtype == "auto":
        half = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float16"
        dtype = "float32" if device == "cpu" else half
    return device, dtype


def sample(pipeline: Any, group: Sequence[Request], settings: dict, bar: Any) -> list:
    """The pictures of a micro-batch, which is filled up to its fixed shape and cut back.

    A network evaluated on one fixed shape gives each row the same bits whatever the other
    rows hold; on another shape it may not.
    """
    import torch

    filled = list(group) + [group[-1]] * (settings["micro_batch"] - len(group))
    recipes = [request.recipe for request in filled]
    accepted = inspect.signature(pipeline.__call__).parameters
    asked = {
        "prompt": [recipe["prompt"] for recipe in recipes],
        "generator": [torch.Generator("cpu").manual_seed(recipe["seed"]) for recipe in recipes],
        "num_inference_steps": settings["steps"],
        "guidance_scale": settings["guidance_scale"],
        "output_type": "pil",
    }
    if "negative_prompt" in recipes[0]:
        asked["negative_prompt"] = [recipe["negative_prompt"] for recipe in recipes]
    for side in ("width", "height"):
        if settings[side] is not None:
            asked[side] = settings[side]
    unknown = sorted(set(asked) - set(accepted))
    if unknown:
        raise StudyError(
            f"generator.model: {type(pipeline).__name__} takes no {', '.join(unknown)}; leave it out."
        )
    if "callback_on_step_end" in accepted:

        def on_step_end(_pipeline: Any, _step: int, _timestep: Any, values: dict) -> dict:
            bar.update(len(group))
            return values

        asked["callback_on_step_end"] = on_step_end
    try:
        output = pipeline(**asked)
    except torch.OutOfMemoryError:
        raise StudyError(
            f"config.yaml: {len(filled)} images at once do not fit into the GPU's memory; "
            f"lower generator.micro_batch or choose a smaller size."
        ) from None
    except ValueError as error:
        raise StudyError(f"generator.model: {type(pipeline).__name__} refused: {error}") from None
    hidden = getattr(output, "nsfw_content_detected", None) or []
    for request, flagged in zip(group, hidden, strict=False):
        if flagged:
            note(f"warning: the model's safety checker blacked out {request.path.name}")
    return output.images[: len(group)]


def warn_of_cut_off_words(pipeline: Any, missing: Sequence[Request]) -> None:
    """Name the words that a prompt has beyond the model's context."""
    tokenizer: Any = getattr(pipeline, "tokenizer", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    for prompt in dict.fromkeys(request.recipe["prompt"] for request in missing):
        rest = cut_off(prompt, backend, tokenizer.model_max_length)
        if rest:
            note(cut_off_warning(prompt, rest))
