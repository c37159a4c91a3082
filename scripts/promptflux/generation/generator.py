"""A diffusion model with its sampler settings, checked before any job runs."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, shown
from promptflux.files.whole import sha256_of_text
from promptflux.generation.adapters import NO_PICKLE, PICKLES, local_files, read_adapters
from promptflux.generation.model_check import folder_problems
from promptflux.generation.model_folder import HUB_ID, model_files
from promptflux.generation.schedulers import folder_scheduler_problems, read_scheduler
from promptflux.generation.single_file import file_problems
from promptflux.images.containers import dimensions

MOST_INIT_PIXELS = 2048 * 2048  # of an init image whose size the image is to have

Find = Callable[[str], Path | None]


@dataclass(frozen=True)
class Generator:
    """A diffusion model with its sampler settings; the fields are those of config.yaml.

    `model` is the path of a diffusers folder or of a single file, or a hub id; `is_folder` and `revision` tell which.
    """

    model: str
    is_folder: bool
    revision: str | None
    variant: str | None
    model_config: str | None
    lora: list[dict[str, Any]] | None
    textual_inversion: list[dict[str, Any]] | None
    scheduler: dict[str, Any] | None
    steps: int
    guidance_scale: float
    true_cfg_scale: float | None
    clip_skip: int | None
    width: int | None
    height: int | None
    init_images: list[str] | None
    strength: float | None
    images_per_prompt: int
    seed: int
    prompts_per_job: int | str
    micro_batch: int
    threads: int
    device: str
    dtype: str
    offload: str
    vae_slicing: bool
    vae_tiling: bool
    attention: str | None
    channels_last: bool
    compile: bool

    # What decides which images are made where, not what they look like.
    PLANNING = ("is_folder", "images_per_prompt", "prompts_per_job")

    def settings(self) -> dict:
        """The settings that an image depends on, but for its prompt."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in self.PLANNING}

    def files(self) -> list[str]:
        """The files of the user's that images are made with: the model's (none of a hub id), LoRA weights, init images."""
        own = [self.model] if self.revision is None and not self.is_folder else []
        folders = [self.model] if self.is_folder else []
        folders += [self.model_config] if self.model_config else []
        found = [str(path) for folder in folders for path in model_files(folder)]
        more = [*local_files(self.lora), *local_files(self.textual_inversion), *(self.init_images or [])]
        return list(dict.fromkeys([*found, *own, *more]))

    def of_the_hub(self) -> list[dict[str, Any]]:
        """What is fetched of the hub."""
        return hub_entries(self.settings())


def hub_entries(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What settings need of the hub: `kind`, `repo` and `revision`; of a model its `variant`, of others the `file`."""
    found: list[dict[str, Any]] = []
    if settings["revision"] is not None:
        model = {"repo": settings["model"], "revision": settings["revision"]}
        found.append({"kind": "model", **model, "variant": settings["variant"]})
    for kind in ("lora", "textual_inversion"):
        for entry in settings[kind] or []:
            if "revision" in entry:
                place = {"repo": entry["model"], "revision": entry["revision"]}
                found.append({"kind": kind, **place, "file": entry.get("file")})
    return found


def hub_name(wanted: Mapping[str, Any]) -> str:
    """A name for what is fetched of the hub, an entry of `Generator.of_the_hub()`."""
    digest = sha256_of_text(json.dumps(wanted, sort_keys=True))[:8]
    return f"{wanted['repo'].replace('/', '--')}_{digest}"


def read_generator(
    settings: Mapping[str, Any], find: Find, list_images: Callable[[Any], Sequence[Path]] = lambda setting: []
) -> Generator:
    """The generator of `settings`, which are those of config.yaml.

    find: where a path of the config lies; None if there is no such path. list_images: the files that a value of
    `init_images` names. Raises StudyError with a sentence for each problem.
    """
    found: list[str] = []

    def attempt(part: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return part(*arguments)
        except StudyError as error:
            found.extend(error.args)
            return None

    folder = find(settings["model"])
    scheduler = attempt(read_scheduler, settings["scheduler"])
    adapters = {
        key: attempt(read_adapters, key, settings[key], find) for key in ("lora", "textual_inversion")
    }
    config = attempt(_model_config, settings, find)
    found += _model_problems(settings, folder, config, scheduler)
    images = None
    if settings["init_images"] is not None:
        images = attempt(list_images, settings["init_images"])
    found += _without_effect(settings)
    if images:
        found += _init_problems(settings, images)
    if found:
        raise StudyError(*found)
    return Generator(
        **{
            **settings,
            **adapters,
            "model": str(folder or settings["model"]),
            "is_folder": folder is not None and folder.is_dir(),
            "model_config": str(config) if config else None,
            "scheduler": scheduler,
            "init_images": [str(path) for path in images] if images else None,
        }
    )


def _model_problems(
    settings: Mapping[str, Any], path: Path | None, config: Path | None, scheduler: Mapping[str, Any] | None
) -> list[str]:
    model, revision = settings["model"], settings["revision"]
    what = f"config.yaml: generator.model is {shown(model)}"
    if path is None:
        if HUB_ID.fullmatch(model) and revision is not None:
            return []
        if Path(model).suffix in {".safetensors", *PICKLES}:
            return [f"{what}; there is no such file."]
        if HUB_ID.fullmatch(model):
            return [
                f"{what}, which is not a folder here; if it is a hub id, "
                f"set generator.revision to the commit of it that you want."
            ]
        return [f"{what}; there is no such folder, nor is it a hub id."]
    found = []
    if revision is not None:
        found.append(
            f"config.yaml: generator.revision is {shown(revision)}, but generator.model is "
            f"{'a folder' if path.is_dir() else 'a file'} here, which counts by its contents; set revision to null."
        )
    if path.is_dir():
        wrong = folder_problems(path, settings)
        return found + (wrong or folder_scheduler_problems(path, scheduler))
    if path.suffix in PICKLES:
        return [*found, f"{what}, which {NO_PICKLE}."]
    if path.suffix != ".safetensors":
        return [
            *found,
            f"{what}, a file; it must be a folder in diffusers' format, a .safetensors file, or a hub id.",
        ]
    if settings["variant"] is not None:
        found.append(
            f"config.yaml: generator.variant is {shown(settings['variant'])}, but generator.model is a single file, "
            f"which has one; set variant to null."
        )
    found += file_problems(path, config is not None)
    found += [
        f"config.yaml: generator.{side} is {settings[side]}; {path} can only make multiples of 8 pixels."
        for side in ("width", "height")
        if settings[side] is not None and settings[side] % 8
    ]
    return found + (folder_scheduler_problems(config, scheduler) if config else [])


def _model_config(settings: Mapping[str, Any], find: Find) -> Path | None:
    """The folder of `model_config`, if it is one in diffusers' format and there is a single file that needs it."""
    if settings["model_config"] is None:
        return None
    what = f"config.yaml: generator.model_config is {shown(settings['model_config'])}"
    folder = find(settings["model_config"])
    if not settings["model"].endswith(".safetensors"):
        raise StudyError(f"{what}, which only a model in a single file needs; set it to null.")
    if folder is None or not (folder / "model_index.json").is_file():
        raise StudyError(f"{what}; it must be a folder in diffusers' format, with model_index.json.")
    return folder


def _without_effect(settings: Mapping[str, Any]) -> list[str]:
    """Settings that would do nothing, as far as they tell it by themselves."""
    found = []
    if settings["strength"] is not None and settings["init_images"] is None:
        found.append(
            f"config.yaml: generator.strength is {settings['strength']}, which has no effect without init_images; "
            f"set it to null, or name init_images."
        )
    if settings["strength"] is not None and int(settings["steps"] * settings["strength"]) < 1:
        found.append(
            f"config.yaml: generator.strength is {settings['strength']} of {settings['steps']} steps, which is not one step; "
            f"take more steps or a larger strength."
        )
    if settings["offload"] != "none" and settings["device"] == "cpu":
        found.append(
            f"config.yaml: generator.offload is {settings['offload']}, which has no effect as generator.device is cpu; "
            f"set it to none."
        )
    return found


def _init_problems(settings: Mapping[str, Any], images: Sequence[Path]) -> list[str]:
    """Init images that cannot be told the size of, or that are too large to be made in their own."""
    if settings["width"] is not None and settings["height"] is not None:
        return []
    found = []
    for path in images:
        size = dimensions(path)
        if size is not None and size[0] * size[1] > MOST_INIT_PIXELS:
            found.append(
                f"{path}: this init image has {size[0]} × {size[1]} pixels, and the image made of it would have as many; "
                f"set generator.width and height, to which it is then fitted."
            )
    return found
