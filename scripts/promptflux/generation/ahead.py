"""What a pipeline cannot do, or would pass over, of what a study asks: said before the first image."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, shown
from promptflux.generation.adapter_loading import file_of, token_of
from promptflux.generation.model_folder import native_size, read_object
from promptflux.generation.prompts import Prompt


def image_to_image(pipeline_class: type) -> Any:
    """The sibling of a text-to-image pipeline that starts from an image. Raises StudyError if diffusers has none."""
    from diffusers.pipelines import auto_pipeline

    sibling = auto_pipeline._get_task_class(
        auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
        pipeline_class.__name__,
        throw_error_if_not_exist=False,
    )
    if sibling is None:
        raise StudyError(
            f"config.yaml: generator.init_images is set, and diffusers has no image-to-image pipeline beside {pipeline_class.__name__}; "
            f"set it to null, or choose another model."
        )
    return sibling


def check_asked(pipeline_class: type, settings: Mapping[str, Any], negative: bool) -> None:
    """Raise StudyError if a pipeline does not take what it is to be called with, or takes no prompt alone."""
    accepted = inspect.signature(pipeline_class.__call__).parameters
    asked = {"prompt", "generator", "num_inference_steps", "guidance_scale", "output_type"}
    asked |= {key for key in ("true_cfg_scale", "clip_skip") if settings[key] is not None}
    if settings["init_images"]:
        asked |= {"image", *(["strength"] if settings["strength"] is not None else [])}
    # Where image to image takes no size, it is the init image's, which is fitted to it.
    asked |= {
        side
        for side in ("width", "height")
        if settings[side] is not None and not (settings["init_images"] and side not in accepted)
    }
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


def effects(
    pipeline_class: type, folder: Path, settings: Mapping[str, Any], prompts: Sequence[Prompt]
) -> list[str]:
    """What a pipeline will pass over of the settings and the prompts, a warning each. folder: with its configs.

    Raises StudyError for what it could not do at all.
    """
    accepted = inspect.signature(pipeline_class.__call__).parameters
    check_clip_skip(folder, settings)
    found = [
        *_ignored_negative(pipeline_class, folder, settings, prompts),
        *_ignored_guidance(pipeline_class, folder, settings, prompts),
        *_unused_tokens(settings, prompts),
    ]
    if "use_resolution_binning" in accepted:
        found += _rounded(pipeline_class, folder, settings)
    if settings["vae_slicing"] and settings["micro_batch"] == 1:
        found.append("generator.vae_slicing has no effect, as micro_batch is 1")
    return [f"warning: {text}" for text in found]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _config(folder: Path, part: str) -> dict[str, Any]:
    path = folder / part / "config.json"
    return read_object(path) if path.is_file() else {}


def _ignored_negative(
    pipeline_class: type, folder: Path, settings: Mapping[str, Any], prompts: Sequence[Prompt]
) -> Iterator[str]:
    accepted, name = inspect.signature(pipeline_class.__call__).parameters, pipeline_class.__name__
    names = [prompt.name for prompt in prompts if prompt.negative_prompt]
    if "true_cfg_scale" in accepted:
        scale = settings["true_cfg_scale"]
        scale = accepted["true_cfg_scale"].default if scale is None else scale
        if names and scale <= 1:
            yield (
                f"the negative prompt of {_listed(names)} is ignored: {name} takes it with generator.true_cfg_scale "
                f"above 1, and that is {scale:g}"
            )
        elif not names and settings["true_cfg_scale"] is not None:
            yield "generator.true_cfg_scale has no effect, as no prompt has a negative prompt"
    elif names and settings["guidance_scale"] <= 1:
        yield (
            f"the negative prompt of {_listed(names)} is ignored: {name} takes it with generator.guidance_scale above 1, "
            f"and that is {settings['guidance_scale']:g}"
        )
    elif names and _config(folder, "unet").get("time_cond_proj_dim") is not None:
        yield f"the negative prompt of {_listed(names)} is ignored: the model is distilled to do without one"


def _ignored_guidance(
    pipeline_class: type, folder: Path, settings: Mapping[str, Any], prompts: Sequence[Prompt]
) -> Iterator[str]:
    accepted = inspect.signature(pipeline_class.__call__).parameters
    # FLUX.1 [schnell], and Qwen-Image: guidance is given to those networks alone that are distilled with it.
    if "true_cfg_scale" in accepted and _config(folder, "transformer").get("guidance_embeds") is False:
        yield (
            f"generator.guidance_scale has no effect: this model of {pipeline_class.__name__} is not made to be guided by it"
        )


def check_clip_skip(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise StudyError if more layers of CLIP are to be left out than a text encoder has."""
    for part in ("text_encoder", "text_encoder_2"):
        config = _config(folder, part)
        layers = config.get("num_hidden_layers")
        if (
            settings["clip_skip"] is not None
            and str(config.get("model_type", "")).startswith("clip")
            and isinstance(layers, int)
            and settings["clip_skip"] >= layers
        ):
            raise StudyError(
                f"config.yaml: generator.clip_skip is {settings['clip_skip']}, and the {part} of the model has {layers} layers; "
                f"it must be less."
            )


def _unused_tokens(settings: Mapping[str, Any], prompts: Sequence[Prompt]) -> Iterator[str]:
    texts = [text for prompt in prompts for text in (prompt.prompt, prompt.negative_prompt)]
    for entry in settings["textual_inversion"] or []:
        token = token_of(file_of("textual_inversion", entry), entry.get("token"))
        if texts and not any(token in text for text in texts):
            yield f"no prompt has the word {shown(token)}, which generator.textual_inversion is for"


def size_bins(pipeline_class: type, pixels: int | None) -> dict[str, list[float]] | None:
    """The sizes that a pipeline with `use_resolution_binning` makes (height and width by their ratio), which it then scales
    and crops to what is asked; None if it has none for a model of images of so many pixels in height."""
    return getattr(sys.modules[pipeline_class.__module__], f"ASPECT_RATIO_{pixels}_BIN", None)


def _rounded(pipeline_class: type, folder: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    height, width = settings["height"], settings["width"]
    if height is None or width is None:
        return
    name, module = pipeline_class.__name__, sys.modules[pipeline_class.__module__]
    if hasattr(module, "map_to_standard_shapes"):  # HunyuanDiT
        made_width, made_height = module.map_to_standard_shapes(width, height)
        if (made_height, made_width) != (height, width):
            raise StudyError(
                f"config.yaml: generator.width and height are {width} × {height}, and {name} makes {made_width} × {made_height} "
                f"of it; ask for this, or another size of its own."
            )
    elif bins := size_bins(pipeline_class, (native_size(folder) or (None,))[0]):
        made_height, made_width = map(
            int, min(bins.items(), key=lambda item: abs(float(item[0]) - height / width))[1]
        )
        if (made_height, made_width) != (height, width):
            yield (
                f"{name} makes {made_width} × {made_height} pixels of generator.width and height, and scales and crops the image "
                f"to {width} × {height}"
            )
