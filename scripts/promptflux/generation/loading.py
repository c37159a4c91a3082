"""Loading a diffusers pipeline: its classes, its parts, and what the study lays over it."""

import inspect
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable, shown
from promptflux.generation.adapter_loading import check_adapters, load_adapters
from promptflux.generation.ahead import check_asked, effects, image_to_image
from promptflux.generation.hub_cache import NotFetchedError, cached_folder
from promptflux.generation.model_check import NAME, folder_problems, index_problems, parts_of
from promptflux.generation.model_folder import check_sums, read_object
from promptflux.generation.placing import place
from promptflux.generation.prompts import Prompt
from promptflux.generation.schedulers import make_scheduler
from promptflux.generation.single_file import config_folder
from promptflux.runtime.cuda import need_cuda
from promptflux.runtime.job import note
from promptflux.runtime.version import version


def load(settings: dict, prompts: Sequence[Prompt]) -> tuple:
    """The diffusers pipeline on its device, and what the images are made with.

    prompts: all of the study. What can be told of the model without its weights is told first; none of its own code
    is run. Raises StudyError if it is broken, or cannot do what is asked.
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
    with ExitStack() as stack:
        folder, file = stack.enter_context(configs_of(settings))
        pipeline_class, classes, warnings = check(folder, settings, prompts, is_whole=file is None)
        for text in warnings:
            note(text)
        if file is None:
            check_sums(folder)
        if file is not None:
            with sentence(f"generator.model: {model!r} cannot be loaded"):
                pipeline = pipeline_class.from_single_file(
                    str(file), config=str(folder), dtype=getattr(torch, dtype), local_files_only=True
                )
            parts = {
                name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)
            }
            refuse_empty(file, parts)
        else:
            parts = {
                name: load_part(folder / name, part_class, getattr(torch, dtype), settings["variant"])
                for name, part_class in classes.items()
                if issubclass(part_class, (diffusers.ModelMixin, transformers.PreTrainedModel))
            }
            with sentence(f"generator.model: {model!r} cannot be loaded"):
                pipeline = diffusers.DiffusionPipeline.from_pretrained(
                    folder, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True, **parts
                )
        check_finite(
            folder if file is None else file, {name: getattr(pipeline, name) for name in parts}, dtype
        )
    pipeline.set_progress_bar_config(disable=True)
    if settings["scheduler"] is not None:
        pipeline.scheduler = make_scheduler(settings["scheduler"], pipeline.scheduler, pipeline_class)
        if pipeline.scheduler.config.get("clip_sample") and "clip_sample" not in settings["scheduler"]:
            note(
                f"warning: {type(pipeline.scheduler).__name__} clips what it predicts, which models of latents are not made for, "
                f"as the model's own config does not say; with the option clip_sample: false it does not"
            )
    if settings["clip_skip"] is not None:
        name_text_model(getattr(pipeline, "text_encoder", None))
    load_adapters(pipeline, settings, note)
    if settings["init_images"]:
        pipeline = image_to_image(pipeline_class).from_pipe(pipeline)
        pipeline.set_progress_bar_config(disable=True)
    place(pipeline, settings, device)
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


def name_text_model(encoder: Any) -> None:
    """Let a text encoder be found under `text_model`, where diffusers 0.42 looks for it to skip layers of CLIP.

    transformers 5.6 made CLIPTextModel flat, so that it is its own; as a part of itself it would have no end.
    """
    if encoder is not None and not hasattr(encoder, "text_model"):
        object.__setattr__(encoder, "text_model", encoder)


@contextmanager
def configs_of(settings: Mapping[str, Any]) -> Iterator[tuple[Path, Path | None]]:
    """The folder in diffusers' format that a model's configs lie in, and the single file with its weights, if it is one.

    Nothing is asked of the network. Raises StudyError if a hub id is not in the cache.
    """
    model = Path(settings["model"])
    if settings["revision"] is not None:
        yield cached_folder(settings["model"], settings["revision"]), None
    elif model.is_dir():
        yield model, None
    elif settings["model_config"]:
        yield Path(settings["model_config"]), model
    else:
        with config_folder(model) as folder:
            yield folder, model


def check(
    folder: Path, settings: Mapping[str, Any], prompts: Sequence[Prompt], is_whole: bool
) -> tuple[Any, dict[str, type], list[str]]:
    """Hold a model and what is asked of it to each other before a weight is loaded.

    is_whole: whether the folder has the weights, too. Returns the class of the pipeline, those of its parts, and a warning
    for each thing that will have no effect. Raises StudyError if something cannot be done.
    """
    if found := folder_problems(folder, settings) if is_whole else index_problems(folder):
        raise StudyError(*found)
    pipeline_class, classes = classes_of(folder)
    check_adapters(pipeline_class, settings)
    sampled = image_to_image(pipeline_class) if settings["init_images"] else pipeline_class
    check_asked(sampled, settings, any(prompt.negative_prompt for prompt in prompts))
    if settings["scheduler"] is not None:
        if "scheduler" not in classes:
            raise StudyError(
                f"config.yaml: generator.scheduler is set, and {pipeline_class.__name__} has none."
            )
        with sentence(f"generator.model: the scheduler of {settings['model']!r} cannot be loaded"):
            scheduler_class: Any = classes["scheduler"]
            own = scheduler_class.from_pretrained(folder / "scheduler", local_files_only=True)
        make_scheduler(settings["scheduler"], own, pipeline_class)
    for name, part_class in classes.items():
        if (folder / name).is_dir():
            check_config(folder / name, part_class)
    return pipeline_class, classes, effects(sampled, folder, settings, prompts)


def check_variants(path: Path, own: Mapping[str, Any], prompts: Sequence[Prompt]) -> None:
    """Hold all variants of a study to its prompts, so that what one cannot do is said before an image of any is made.

    path: their settings, as `Study.write_generators` writes them. own: those of this job, which `load` looks at. Notes what
    will have no effect, in the first job alone. Raises StudyError with all that cannot be done.
    """
    if not path.is_file():
        return
    found, warnings = [], []
    for variant, settings in json.loads(path.read_text(encoding="utf-8")).items():
        if settings == own:
            continue
        try:
            with configs_of(settings) as (folder, file):
                told = check(folder, settings, prompts, is_whole=file is None)[2]
        except NotFetchedError:
            continue  # its own job says the rest
        except StudyError as error:
            found += [f"{sentence} (In the variant {variant}.)" for sentence in error.args]
            continue
        warnings += [f"{text} (in the variant {variant})" for text in told]
    if found:
        raise StudyError(*found)
    with suppress(FileExistsError), open(path.with_suffix(".said"), "x"):
        for text in warnings:
            note(text)


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
    if isinstance(default, (list, tuple)):
        if not isinstance(value, list):
            return "a list"
        return next((wanted for each in value if default and (wanted := _other_type(each, default[0]))), None)
    if isinstance(value, list) and value:
        return next((wanted for each in value if (wanted := _other_type(each, default))), None)
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, (int, float)):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return None if is_number and value == value else "a number"
    if isinstance(default, str):
        return None if isinstance(value, str) else "a word"
    return None


def load_part(folder: Path, part_class: Any, dtype: Any, variant: str | None = None) -> Any:
    """A network of a pipeline, with each of its weights from its files; diffusers would fill those that lack at random."""
    import transformers

    if variant and not any(folder.glob(f"*.{variant}.*")) and not any(folder.glob(f"*.{variant}-*")):
        note(f"warning: {printable(folder)} has no files of the variant {variant}; its others are loaded")
        variant = None
    key = "dtype" if issubclass(part_class, transformers.PreTrainedModel) else "torch_dtype"
    with sentence(f"{printable(folder)} cannot be loaded"):
        part, loaded = part_class.from_pretrained(
            folder,
            **{key: dtype},
            variant=variant,
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


def refuse_empty(file: Path, parts: Mapping[str, Any]) -> None:
    """Raise StudyError if a network of a single file has weights that the file does not."""
    for name, part in parts.items():
        if lacking := [weight for weight, values in part.named_parameters() if values.is_meta]:
            raise StudyError(
                f"{printable(file)}: {len(lacking)} weights of its {name} are not in the file, the first is {shown(lacking[0])}; "
                f"it is damaged, or of another model. No image was made."
            )


def check_finite(folder: Path, parts: Mapping[str, Any], dtype: str) -> None:
    """Raise StudyError if a weight of the networks is NaN or infinite, or a buffer is NaN. folder: of the model, or its file."""
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
