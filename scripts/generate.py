"""Create the images of one batch of prompts, `images/{name}_{k}.png`, and the list of their SHA-256 sums.

An image whose recorded recipe is what would be made anyway is kept as it is; the model is
loaded only if one is missing.
"""

import inspect
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptflux.checksums import write_checksums
from promptflux.context import cut_off, cut_off_warning
from promptflux.errors import StudyError
from promptflux.files import sha256_of_file, whole
from promptflux.job import note
from promptflux.prompts import image_seed, read_prompts
from promptflux.provenance import digest_of_model, read_provenance, write_png


@dataclass(frozen=True)
class Request:
    """An image to be had: where it goes, and the recipe that it is a function of."""

    path: Path
    recipe: dict


def main(*, prompts: str, settings: dict, images: Sequence[str], folder: str, checksums: str) -> None:
    """Make the PNGs `{folder}/{image}.png`, where an image is `{name}_{k}`, and then their list `checksums`.

    prompts: the prompts table. settings: `promptflux.study.Generator.settings()`.
    Each file is an 8-bit RGB PNG that holds its provenance (`promptflux.provenance`).
    Raises StudyError if the model cannot be loaded or cannot do what is asked.
    """
    wanted = requests(prompts, settings, [Path(folder) / f"{image}.png" for image in images])
    missing = [request for request in wanted if read_provenance(request.path).get("recipe") != request.recipe]
    note(
        f"generate: {len(wanted) - len(missing)} of {len(wanted)} images are there and kept, {len(missing)} to make"
    )
    if missing:
        make(missing, settings)
    # The names in the list are relative to the folder above: `cd results && sha256sum -c checksums/*.sha256`.
    sums = {f"{Path(folder).name}/{request.path.name}": sha256_of_file(request.path) for request in wanted}
    write_checksums(checksums, sums)


def requests(prompts: str, settings: dict, images: Sequence[Path]) -> list[Request]:
    """A request for each of `images`, in their order."""
    model = settings["model"]
    if settings["revision"] is None:
        model = f"sha256:{digest_of_model(model)}"
    shared = {key: value for key, value in settings.items() if key not in ("model", "seed")}
    by_name = {prompt.name: prompt for prompt in read_prompts(prompts)}
    wanted = []
    for image in images:
        name, _, k = image.stem.rpartition("_")
        if name not in by_name:
            raise StudyError(
                f"{prompts}: the prompt {name!r} is gone; the table changed while the study ran."
            )
        prompt = by_name[name]
        seed = settings["seed"] if prompt.seed is None else prompt.seed
        recipe = {
            "prompt": prompt.prompt,
            "negative_prompt": prompt.negative_prompt,
            "seed": image_seed(seed, name, int(k)),
            "model": model,
            **shared,
        }
        wanted.append(Request(image, recipe))
    return wanted


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
        alike = [request for request in missing if bool(request.recipe["negative_prompt"]) == has_negative]
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


def sample(pipeline, group: Sequence[Request], settings: dict, bar) -> list:
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
    if recipes[0]["negative_prompt"]:
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

        def on_step_end(_pipeline, _step, _timestep, values):
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


def warn_of_cut_off_words(pipeline, missing: Sequence[Request]) -> None:
    """Name the words that a prompt has beyond the model's context."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    for prompt in dict.fromkeys(request.recipe["prompt"] for request in missing):
        rest = cut_off(prompt, backend, tokenizer.model_max_length)
        if rest:
            note(cut_off_warning(prompt, rest))


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            prompts=snakemake.input.prompts,  # noqa: F821
            settings=snakemake.params.settings,  # noqa: F821
            images=snakemake.params.images,  # noqa: F821
            folder=str(Path(snakemake.output.checksums).parents[1] / "images"),  # noqa: F821
            checksums=snakemake.output.checksums,  # noqa: F821
        )
