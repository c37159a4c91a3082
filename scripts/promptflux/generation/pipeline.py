"""Sampling images with a diffusers pipeline."""

import inspect
import platform
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable, shown
from promptflux.files.costs import Cost
from promptflux.files.whole import whole
from promptflux.generation.context import cut_off, cut_off_warning
from promptflux.generation.model_check import NAME, folder_problems, parts_of
from promptflux.generation.model_folder import check_sums, read_object
from promptflux.generation.recipe import Request
from promptflux.generation.schedulers import make_scheduler
from promptflux.images.provenance import write_png
from promptflux.runtime.job import note
from promptflux.runtime.version import version

FAILED = (
    " These images were not written; the model's parts do not fit each other, or it needs more than a prompt."
)


def make(missing: Sequence[Request], settings: dict, negative: bool) -> dict[Path, Cost]:
    """Generate the missing images in micro-batches of one fixed shape, with a progress bar; what each cost.

    negative: whether a prompt of the study has a negative one. Raises StudyError before an image is
    written if the model is broken or cannot do what is asked, or if what comes out is no picture.
    """
    import torch
    from tqdm import tqdm

    # A count of its own, whatever cores are at hand: it decides how sums are split, and so bits.
    torch.set_num_threads(settings["threads"])
    pipeline, made_with = load(settings, negative)
    warn_of_cut_off_words(pipeline, missing)
    total = len(missing) * settings["steps"]
    costs: dict[Path, Cost] = {}
    with tqdm(total=total, desc="generate", unit="step", mininterval=2.0) as bar:
        for group in micro_batches(missing, settings["micro_batch"]):
            start = time.perf_counter()
            pictures = sample(pipeline, group, settings, bar)
            seconds = (time.perf_counter() - start) / len(group)
            costs |= {request.path: Cost(seconds, peak_memory(made_with["device"])) for request in group}
            for request, picture in zip(group, pictures, strict=True):
                more: dict = {"width": picture.width, "height": picture.height}
                if request.template:
                    more["template"] = request.template
                with whole(request.path) as path:
                    write_png(path, picture, {"recipe": request.recipe, "made_with": made_with | more})
    return costs


def peak_memory(device: str) -> float:
    """The most memory in MB that this process has held so far: of the GPU where it has one, else of the machine."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if platform.system() == "Darwin" else most * 1024 / 1e6


def micro_batches(missing: Sequence[Request], size: int) -> Iterator[list[Request]]:
    """Groups of at most `size` requests, those with a negative prompt apart from those without.

    A pipeline takes a negative prompt for all rows or for none, and for some (SDXL) an
    empty one is not the same as none.
    """
    for has_negative in (False, True):
        alike = [request for request in missing if ("negative_prompt" in request.recipe) == has_negative]
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def load(settings: dict, negative: bool) -> tuple:
    """The diffusers pipeline on its device, and what the images are made with.

    What can be told of the model without its weights is told first; none of its own code is run.
    """
    import diffusers
    import torch
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    device, dtype = resolve(settings["device"], settings["dtype"])
    model, revision = settings["model"], settings["revision"]
    note(f"generate: loading {model}{f' at {revision}' if revision else ''} on {device} as {dtype}")
    folder = Path(model)
    if revision is not None:
        with sentence(f"generator.model: {model!r} cannot be loaded"):
            folder = Path(
                diffusers.DiffusionPipeline.download(model, revision=revision, use_safetensors=True)
            )
    if found := folder_problems(folder, settings):
        raise StudyError(*found)
    check_sums(folder)
    pipeline_class, classes = classes_of(folder)
    check_asked(pipeline_class, settings, negative)
    for name, part_class in classes.items():
        check_config(folder / name, part_class)
    if settings["scheduler"] is not None:
        if "scheduler" not in classes:
            raise StudyError(
                f"config.yaml: generator.scheduler is set, and {pipeline_class.__name__} has none."
            )
        with sentence(f"generator.model: the scheduler of {model!r} cannot be loaded"):
            own = classes["scheduler"].from_pretrained(folder / "scheduler", local_files_only=True)
        make_scheduler(
            settings["scheduler"], own, pipeline_class
        )  # or a sentence, before the weights are loaded
    parts = {
        name: load_part(folder / name, part_class, getattr(torch, dtype))
        for name, part_class in classes.items()
        if issubclass(part_class, (diffusers.ModelMixin, transformers.PreTrainedModel))
    }
    with sentence(f"generator.model: {model!r} cannot be loaded"):
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            **parts,
        ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    if settings["scheduler"] is not None:
        pipeline.scheduler = make_scheduler(settings["scheduler"], pipeline.scheduler, pipeline_class)
        if pipeline.scheduler.config.get("clip_sample") and "clip_sample" not in settings["scheduler"]:
            note(
                f"warning: {type(pipeline.scheduler).__name__} clips what it predicts, which models of latents are not made for, "
                f"as the model's own config does not say; with the option clip_sample: false it does not"
            )
    check_finite(folder, {name: getattr(pipeline, name) for name in parts}, dtype)
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


@contextmanager
def sentence(what: str, advice: str = "") -> Iterator[None]:
    """Turn whatever a library raises on a model into a StudyError: `{what}: {its reason}.{advice}`."""
    import torch

    try:
        yield
    except (StudyError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each component of each model has errors of its own
        text = " ".join(str(error).split())[:300].rstrip(".") or "without a reason"
        if "ignore_mismatched_sizes" in text:  # transformers' advice
            text = "the weights have other shapes than config.json says"
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        raise StudyError(f"{what}: {kind}{text if text.isprintable() else ascii(text)}.{advice}") from None


def classes_of(folder: Path) -> tuple[type, dict[str, type]]:
    """The class of a model's pipeline, and those of its parts by name; all of diffusers or transformers."""
    import diffusers
    import transformers

    index = read_object(folder / "model_index.json")
    where, name = printable(folder / "model_index.json"), index["_class_name"]
    pipeline_class = _class_in(diffusers, name)
    if pipeline_class is None or not issubclass(pipeline_class, diffusers.DiffusionPipeline):
        raise StudyError(
            f"{where}: _class_name is {shown(name)}, which is no pipeline of diffusers {diffusers.__version__}; "
            f"code of a model's own is not run."
        )
    classes = {}
    for part, (library, class_name) in parts_of(index).items():
        room = {"diffusers": diffusers, "transformers": transformers}.get(library)
        if room is None and NAME.fullmatch(library):
            room = getattr(diffusers.pipelines, library, None)
        # transformers finds those whose name changed
        known = _class_in(room, class_name) or (object if library == "transformers" else None)
        if known is None:
            raise StudyError(
                f"{where}: {part} is {class_name} of {library}, which neither diffusers nor transformers has; "
                f"code of a model's own is not run."
            )
        classes[part] = known
    return pipeline_class, classes


def _class_in(room: Any, name: str) -> type | None:
    """The class of a module by its name; None where it has none, or where a package that it needs is not installed."""
    try:
        found = getattr(room, name, None)
    except Exception:
        return None
    return found if isinstance(found, type) else None


def check_asked(pipeline_class: type, settings: dict, negative: bool) -> None:
    """Raise StudyError if a pipeline does not take what it is to be called with, or takes no prompt alone."""
    accepted = inspect.signature(pipeline_class.__call__).parameters
    asked = {"prompt", "generator", "num_inference_steps", "guidance_scale", "output_type"}
    asked |= {side for side in ("width", "height") if settings[side] is not None}
    if negative:
        asked.add("negative_prompt")
    unknown = sorted(asked - set(accepted))
    if unknown:
        raise StudyError(
            f"generator.model: {pipeline_class.__name__} takes no {', '.join(unknown)}; "
            f"leave it out, or choose another model. No image was made."
        )
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [
        name
        for name, parameter in accepted.items()
        if parameter.default is parameter.empty and parameter.kind in plain and name not in {"self", *asked}
    ]
    if needed:
        raise StudyError(
            f"generator.model: {pipeline_class.__name__} needs {', '.join(needed)} beside a prompt; "
            f"choose a model that makes images of prompts alone."
        )


def check_config(folder: Path, part_class: Any) -> None:
    """Hold the config of a part of diffusers' own to the types of its settings, which diffusers does not look at.

    Raises StudyError for the first that is of another type; notes those that diffusers passes over.
    """
    import diffusers

    if not issubclass(part_class, diffusers.ConfigMixin):
        return
    path = folder / part_class.config_name
    config, settings = read_object(path), inspect.signature(part_class.__init__).parameters
    if not isinstance(config.get("_class_name"), str):
        raise StudyError(
            f"{printable(path)}: _class_name is {shown(config.get('_class_name'))}; it must be a class such as {part_class.__name__}."
        )
    for key, value in config.items():
        if key in settings and (wanted := _other_type(value, settings[key].default)):
            raise StudyError(
                f"{printable(path)}: {key} is {shown(value)}; {part_class.__name__} takes {wanted}."
            )
    unknown = [shown(key) for key in config if key not in settings and not key.startswith("_")]
    if unknown and issubclass(part_class, diffusers.ModelMixin):  # schedulers share their settings
        note(
            f"warning: {printable(path)}: {part_class.__name__} of diffusers {diffusers.__version__} passes over {', '.join(unknown)}"
        )


def _other_type(value: Any, default: Any) -> str | None:
    """What is wanted where `value` is not of the type of `default`, nor a list of such; None where all is well."""
    if value is None or default is None or default is inspect.Parameter.empty or value == default:
        return None
    if isinstance(value, list) and value:
        item = default[0] if isinstance(default, (list, tuple)) and default else default
        return next((wanted for each in value if (wanted := _other_type(each, item))), None)
    if isinstance(default, (list, tuple)):
        return "a list"
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, (int, float)):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return None if is_number and value == value else "a number"
    if isinstance(default, str):
        return None if isinstance(value, str) else "a word"
    return None


def load_part(folder: Path, part_class: Any, dtype: Any) -> Any:
    """A network of a pipeline, with each of its weights from its files; diffusers would fill those that lack at random."""
    import transformers

    key = "dtype" if issubclass(part_class, transformers.PreTrainedModel) else "torch_dtype"
    with sentence(f"{printable(folder)} cannot be loaded"):
        part, loaded = part_class.from_pretrained(
            folder,
            **{key: dtype},
            use_safetensors=True,
            low_cpu_mem_usage=True,
            local_files_only=True,
            output_loading_info=True,
        )
        lacking = sorted(set(loaded["missing_keys"]) & {name for name, _ in part.named_parameters()})
    if lacking:
        raise StudyError(
            f"{printable(folder)}: {len(lacking)} weights are not in its .safetensors files, the first is {shown(lacking[0])}; "
            f"they are damaged, or of another model. No image was made."
        )
    return part


def check_finite(folder: Path, parts: Mapping[str, Any], dtype: str) -> None:
    """Raise StudyError if a weight of the networks is NaN or infinite, or a buffer is NaN."""
    import torch

    for name, part in parts.items():
        weights = [*part.named_parameters(), *part.named_buffers()]
        trained = {weight for weight, _ in part.named_parameters()}
        for weight, values in weights:
            if values.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
                continue
            if bool(values.isfinite().all()) or (weight not in trained and not bool(values.isnan().any())):
                continue  # a mask may be infinite
            reason = (
                "they are damaged, or too large for float16: try generator.dtype: float32"
                if dtype == "float16"
                else "the file is damaged, get it again"
            )
            raise StudyError(
                f"{printable(folder / name)}: the weights {shown(weight)} are not all finite numbers; {reason}. No image was made."
            )


def resolve(device: str, dtype: str) -> tuple[str, str]:
    """The device and dtype that `auto` means here; StudyError for a device that is not there,

    or if the job holds a GPU that PyTorch does not see.
    """
    import torch

    from promptflux.runtime.cuda import need_cuda

    need_cuda()
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
    """The pictures of a micro-batch, RGB, which is filled up to its fixed shape and cut back.

    A network evaluated on one fixed shape gives each row the same bits whatever the other
    rows hold; on another shape it may not. Raises StudyError if the pipeline fails, or if what it
    makes are no pictures.
    """
    import torch

    filled = list(group) + [group[-1]] * (settings["micro_batch"] - len(group))
    recipes = [request.recipe for request in filled]
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
    if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:

        def on_step_end(_pipeline: Any, step: int, _timestep: Any, values: dict) -> dict:
            refuse_nan(values.get("latents"), f"the latents of step {step + 1}", pipeline)
            bar.update(len(group))
            return values

        asked["callback_on_step_end"] = on_step_end
    try:
        with (
            decoder_watched(pipeline),
            sentence(f"generator.model: {type(pipeline).__name__} failed", FAILED),
        ):
            output = pipeline(**asked)
    except torch.OutOfMemoryError:
        raise StudyError(
            f"config.yaml: {len(filled)} images at once do not fit into the GPU's memory; "
            f"lower generator.micro_batch or choose a smaller size."
        ) from None
    hidden = getattr(output, "nsfw_content_detected", None) or [False] * len(group)
    pictures = pictures_of(output, group, pipeline)
    for request, picture, flagged in zip(group, pictures, hidden, strict=False):
        if flagged:
            note(f"warning: the model's safety checker blacked out {request.path.name}")
        check_picture(picture, request, settings, bool(flagged), pipeline)
    return pictures


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


def check_picture(picture: Any, request: Request, settings: dict, flagged: bool, pipeline: Any) -> None:
    """Raise StudyError if a picture is of one value, or not of the size that was asked for.

    flagged: a safety checker blacked it out.
    """
    for side in ("width", "height"):
        if settings[side] is not None and settings[side] != getattr(picture, side):
            raise StudyError(
                f"config.yaml: generator.{side} is {settings[side]}, and {type(pipeline).__name__} made an image of "
                f"{picture.width} × {picture.height} pixels; ask for a size that it can make. No image was written."
            )
    bands = picture.getextrema()
    if not flagged and picture.width * picture.height > 1 and all(least == most for least, most in bands):
        value = (
            "black" if not any(most for _, most in bands) else f"of one color, {[most for _, most in bands]}"
        )
        raise StudyError(
            f"{request.path.name}: the image came out all {value}, and was not written. {likely_reason(pipeline)}"
        )


def refuse_nan(values: Any, what: str, pipeline: Any) -> None:
    """Raise StudyError if a tensor holds NaN or infinity, which becomes black in an image."""
    import torch

    if isinstance(values, torch.Tensor) and values.is_floating_point() and not values.isfinite().all():
        raise StudyError(
            f"generator.model: {what} are not all finite numbers, so no image was written. {likely_reason(pipeline)}"
        )


@contextmanager
def decoder_watched(pipeline: Any) -> Iterator[None]:
    """Refuse what a VAE decodes to NaN, which a picture does not show as such."""
    import torch

    def look(_module: Any, _inputs: Any, output: Any) -> None:
        refuse_nan(output, "the pixels that the VAE decodes", pipeline)

    vaes = (getattr(pipeline, name, None) for name in ("vae", "movq", "vqvae"))
    decoders = [getattr(vae, "decoder", None) for vae in vaes]
    hooks = [module.register_forward_hook(look) for module in decoders if isinstance(module, torch.nn.Module)]
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


def warn_of_cut_off_words(pipeline: Any, missing: Sequence[Request]) -> None:
    """Name the words that a prompt has beyond the model's context."""
    tokenizer: Any = getattr(pipeline, "tokenizer", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    for prompt in dict.fromkeys(request.recipe["prompt"] for request in missing):
        with sentence("generator.model: its tokenizer fails"):
            rest = cut_off(prompt, backend, tokenizer.model_max_length)
        if rest:
            note(cut_off_warning(prompt, rest))
