"""Sampling images with a diffusers pipeline, and looking at what comes out."""

import inspect
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError
from promptflux.files.costs import Cost
from promptflux.files.whole import whole
from promptflux.generation.ahead import size_bins
from promptflux.generation.context import cut_off_warnings
from promptflux.generation.init_images import fitted_init
from promptflux.generation.loading import configs_of, load, sentence
from promptflux.generation.model_folder import size_multiple
from promptflux.generation.parameters import parameters_text
from promptflux.generation.prompts import Prompt
from promptflux.generation.recipe import Request
from promptflux.generation.recipe import marks as marks_of
from promptflux.images.provenance import write_png
from promptflux.runtime.job import note

FAILED = (
    " These images were not written; the model's parts do not fit each other, or it needs more than a prompt."
)
FAILED_TOGETHER = (
    f"{FAILED[:-1]}, or takes one at a time: try generator.micro_batch: 1."  # as Kandinsky 2.2 does
)


def make(
    missing: Sequence[Request], settings: dict, prompts: Sequence[Prompt], on_bad_image: str = "stop"
) -> dict[Path, Cost]:
    """Generate the missing images in micro-batches of one fixed shape, with a progress bar; what each cost.

    prompts: all of the study. on_bad_image: `stop`, or else an image that is no picture (NaN, or of one value) is written
    with a mark. Raises StudyError before an image is written if the model is broken or cannot do what is asked,
    or if what comes out is no picture.
    """
    import torch
    from tqdm import tqdm

    # A count of its own, whatever cores are at hand: it decides how sums are split, and so bits.
    torch.set_num_threads(settings["threads"])
    pipeline, made_with = load(settings, prompts)
    for text in cut_off_warnings(pipeline, [request.recipe for request in missing]):
        note(text)
    inits = init_images(missing, settings)
    costs: dict[Path, Cost] = {}
    with tqdm(total=len(missing) * settings["steps"], desc="generate", unit="step", mininterval=2.0) as bar:
        for group in micro_batches(missing, settings["micro_batch"], inits):
            start = time.perf_counter()
            made = sample(pipeline, group, settings, bar, inits, on_bad_image)
            seconds = (time.perf_counter() - start) / len(group)
            costs |= {request.path: Cost(seconds, peak_memory(made_with["device"])) for request in group}
            for request, picture, marks in made:
                facts = {**made_with, "width": picture.width, "height": picture.height, **marks}
                if request.template:
                    facts["template"] = request.template
                if request.init_image is not None:
                    facts["init_image"] = Path(request.init_image).name
                for text in marks_of(request, marks):
                    note(text)
                with whole(request.path) as path:
                    write_png(
                        path,
                        picture,
                        {"recipe": request.recipe, "made_with": facts},
                        parameters_text(
                            request.recipe, facts, dict(getattr(pipeline.scheduler, "config", {}))
                        ),
                    )
    return costs


def init_images(missing: Sequence[Request], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The init images that some requests start from, by their paths, in the size that they are to have."""
    paths = list(dict.fromkeys(request.init_image for request in missing if request.init_image is not None))
    if not paths:
        return {}
    with configs_of(settings) as (folder, _):
        multiple = size_multiple(folder)
    return {path: fitted_init(path, settings, multiple) for path in paths}


def peak_memory(device: str) -> float:
    """The most memory in MB that this process has held so far: of the GPU where it has one, else of the machine."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if platform.system() == "Darwin" else most * 1024 / 1e6


def micro_batches(
    missing: Sequence[Request], size: int, inits: Mapping[str, Any] | None = None
) -> Iterator[list[Request]]:
    """Groups of at most `size` requests, those with a negative prompt apart from those without.

    A pipeline takes a negative prompt for all rows or for none, and for some (SDXL) an
    empty one is not the same as none. Init images of a group are of one size.
    """
    groups: dict[tuple, list[Request]] = {}
    for request in missing:
        init = (inits or {}).get(request.init_image or "")
        alike = ("negative_prompt" in request.recipe, getattr(init, "size", (0, 0)))
        groups.setdefault(alike, []).append(request)
    for alike in sorted(groups):
        for start in range(0, len(groups[alike]), size):
            yield groups[alike][start : start + size]


def own_pixels(pipeline: Any) -> int | None:
    """The side of the images that a pipeline with a transformer was made for, in pixels; None where it does not say."""
    latents = getattr(getattr(pipeline, "transformer", None), "config", {}).get("sample_size")
    return latents * pipeline.vae_scale_factor if isinstance(latents, int) else None


def arguments(
    pipeline: Any, recipes: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], inits: Sequence[Any]
) -> dict[str, Any]:
    """What a pipeline is called with for a micro-batch, but for what watches it. inits: the init images, [] without."""
    import torch

    accepted = inspect.signature(pipeline.__call__).parameters
    asked: dict[str, Any] = {
        "prompt": [recipe["prompt"] for recipe in recipes],
        "generator": [torch.Generator("cpu").manual_seed(recipe["seed"]) for recipe in recipes],
        "num_inference_steps": settings["steps"],
        "guidance_scale": settings["guidance_scale"],
        "output_type": "pil",
    }
    if "negative_prompt" in recipes[0]:
        asked["negative_prompt"] = [recipe["negative_prompt"] for recipe in recipes]
    sides = {side: settings[side] for side in ("width", "height")}
    if inits:
        asked["image"] = list(inits)
        sides = {side: getattr(inits[0], side) if side in accepted else None for side in sides}
    for key, value in {
        **sides,
        **{key: settings[key] for key in ("true_cfg_scale", "clip_skip", "strength")},
    }.items():
        if value is not None:
            asked[key] = value
    # PixArt, Sana and others make images of known sizes; a model of no such size cannot do with them.
    if "use_resolution_binning" in accepted and size_bins(type(pipeline), own_pixels(pipeline)) is None:
        asked["use_resolution_binning"] = False
    return asked


def sample(
    pipeline: Any,
    group: Sequence[Request],
    settings: dict,
    bar: Any,
    inits: Mapping[str, Any] | None = None,
    on_bad_image: str = "stop",
) -> list[tuple[Request, Any, dict[str, str]]]:
    """The pictures of a micro-batch, RGB, each with its request and marks; it is filled up to its fixed shape and cut back.

    A network evaluated on one fixed shape gives each row the same bits whatever the other
    rows hold; on another shape it may not. inits: the init images by their paths. Marks: `safety_checker`, and `problem`
    where `on_bad_image` is not `stop`. Raises StudyError if the pipeline fails, or if what it makes are no pictures.
    """
    import torch

    filled = list(group) + [group[-1]] * (settings["micro_batch"] - len(group))
    starts = [(inits or {})[request.init_image] for request in filled if request.init_image is not None]
    asked = arguments(pipeline, [request.recipe for request in filled], settings, starts)
    slices = settings["vae_slicing"] and not settings["vae_tiling"]
    watch = Watch(pipeline, len(group), len(filled), on_bad_image == "stop", slices)
    asked |= watch.callbacks(lambda: bar.update(len(group)))
    try:
        with (
            watch.decoder(),
            sentence(
                f"generator.model: {type(pipeline).__name__} failed",
                FAILED if len(filled) == 1 else FAILED_TOGETHER,
            ),
        ):
            output = pipeline(**asked)
    except torch.OutOfMemoryError:
        raise StudyError(
            f"config.yaml: {len(filled)} images at once do not fit into the GPU's memory; lower generator.micro_batch, set "
            f"generator.offload, vae_slicing or vae_tiling (docs/models.md), or choose a smaller size."
        ) from None
    hidden = getattr(output, "nsfw_content_detected", None) or [False] * len(group)
    made = []
    for row, (request, picture) in enumerate(zip(group, pictures_of(output, group, pipeline), strict=True)):
        check_size(picture, settings, pipeline)
        marks = {"safety_checker": "blacked out"} if bool(hidden[row]) else {}
        problem = watch.problems.get(row) or one_value(picture, bool(hidden[row]))
        if problem and on_bad_image == "stop":
            raise StudyError(
                f"{request.path.name}: the image {problem}, and was not written. {likely_reason(pipeline)}"
            )
        if problem:
            marks["problem"] = f"it {problem}. {likely_reason(pipeline)}"
        made.append((request, picture, marks))
    return made


def pictures_of(output: Any, group: Sequence[Request], pipeline: Any) -> list:
    """The pictures that a pipeline returned for a micro-batch, as RGB."""
    from PIL import Image

    images = getattr(output, "images", None)
    if not isinstance(images, list) or not all(isinstance(image, Image.Image) for image in images):
        raise StudyError(
            f"generator.model: {type(pipeline).__name__} returns no list of images; choose a model that makes images of prompts."
        )
    if len(images) < len(group):
        raise StudyError(
            f"generator.model: {type(pipeline).__name__} made {len(images)} images of {len(group)} prompts; set generator.micro_batch to 1."
        )
    return [image.convert("RGB") for image in images[: len(group)]]


def check_size(picture: Any, settings: Mapping[str, Any], pipeline: Any) -> None:
    """Raise StudyError if a picture is not of the size that was asked for."""
    for side in ("width", "height"):
        if settings[side] is not None and settings[side] != getattr(picture, side):
            raise StudyError(
                f"config.yaml: generator.{side} is {settings[side]}, and {type(pipeline).__name__} made an image of "
                f"{picture.width} × {picture.height} pixels; ask for a size that it can make. No image was written."
            )


def one_value(picture: Any, flagged: bool) -> str | None:
    """What is wrong with a picture whose pixels are all alike; None if they are not, or a safety checker did it (flagged)."""
    bands = picture.getextrema()
    if flagged or picture.width * picture.height == 1 or any(least != most for least, most in bands):
        return None
    if not any(most for _, most in bands):
        return "came out all black"
    return f"came out all of one color, {[most for _, most in bands]}"


class Watch:
    """Looks at the latents of each step, and at what the VAE decodes, for what is no finite number: black in an image.

    rows: the images of a micro-batch; filled: with those that fill it up. stops: raise StudyError at the first one.
    slices: the VAE decodes row by row. `problems`: row -> what was found.
    """

    def __init__(self, pipeline: Any, rows: int, filled: int, stops: bool, slices: bool):
        self.pipeline, self.rows, self.filled, self.stops, self.slices = pipeline, rows, filled, stops, slices
        self.problems: dict[int, str] = {}

    def look(self, values: Any, what: str, only: int | None = None) -> None:
        """Look at a tensor, whose first dimension are the rows if it is as long, or which is of the row `only`."""
        import torch

        if not isinstance(values, torch.Tensor) or not values.is_floating_point() or values.isfinite().all():
            return
        rows = list(range(self.rows))
        if only is not None:
            rows = [only]
        elif values.shape[0] == self.filled:
            rows = (~values.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
        rows = [row for row in rows if row < self.rows]
        if rows and self.stops:
            raise StudyError(
                f"generator.model: {what} are not all finite numbers, so no image was written. {likely_reason(self.pipeline)}"
            )
        for row in rows:
            self.problems.setdefault(row, f"came out of {what}, which are not all finite numbers")

    def callbacks(self, stepped: Callable[[], object]) -> dict[str, Any]:
        """What a pipeline is called with so that each step is looked at, and `stepped` called; {} if it tells nothing."""
        accepted = inspect.signature(self.pipeline.__call__).parameters

        def on_step_end(_pipeline: Any, step: int, _timestep: Any, values: dict) -> dict:
            self.look(values.get("latents"), f"the latents of step {step + 1}")
            stepped()
            return values

        def callback(step: int, _timestep: Any, latents: Any) -> None:
            self.look(latents, f"the latents of step {step + 1}")
            stepped()

        if "callback_on_step_end" in accepted:
            return {"callback_on_step_end": on_step_end}
        if {"callback", "callback_steps"} <= set(accepted):  # PixArt
            return {"callback": callback, "callback_steps": 1}
        return {}

    @contextmanager
    def decoder(self) -> Iterator[None]:
        """Look at what the VAE decodes, whose NaN a picture does not show as such."""
        import torch

        calls = iter(range(self.filled))

        def look(_module: Any, _inputs: Any, output: Any) -> None:
            only = next(calls, None) if self.slices else None
            self.look(getattr(output, "sample", output), "the pixels that the VAE decodes", only)

        vaes = (getattr(self.pipeline, name, None) for name in ("vae", "movq", "vqvae"))
        decoders = [getattr(vae, "decoder", None) for vae in vaes]
        hooks = [
            module.register_forward_hook(look) for module in decoders if isinstance(module, torch.nn.Module)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def likely_reason(pipeline: Any) -> str:
    """A sentence on why there is no picture in what came out."""
    if str(getattr(pipeline, "dtype", "")) == "torch.float16":
        return "The likely reason is that float16 overflows in its VAE: set generator.dtype to float32 or bfloat16."
    return "The likely reasons are broken weights, or a guidance_scale or number of steps that this model cannot do."
