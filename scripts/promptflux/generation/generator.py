"""A diffusion model with its sampler settings, checked before any job runs."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError, shown
from promptflux.generation.model_check import folder_problems
from promptflux.generation.model_folder import model_files
from promptflux.generation.schedulers import folder_scheduler_problems, read_scheduler

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Generator:
    """A diffusion model with its sampler settings; the fields are those of config.yaml.

    `model` is the path of a diffusers folder, or a hub id; `is_folder` tells which.
    """

    model: str
    is_folder: bool
    revision: str | None
    scheduler: dict | None
    steps: int
    guidance_scale: float
    width: int | None
    height: int | None
    images_per_prompt: int
    seed: int
    prompts_per_job: int | str
    micro_batch: int
    threads: int
    device: str
    dtype: str

    # What decides which images are made where, not what they look like.
    PLANNING = ("is_folder", "images_per_prompt", "prompts_per_job")

    def settings(self) -> dict:
        """The settings that an image depends on, but for its prompt."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in self.PLANNING}

    def files(self) -> list[str]:
        """The files of a model folder, sorted; none for a hub id."""
        return [str(path) for path in model_files(self.model)] if self.is_folder else []


def read_generator(settings: Mapping, find: Callable[[str], Path | None]) -> Generator:
    """The generator of `settings`, which are those of config.yaml.

    find: where a path of the config lies; None if there is no such path. Raises StudyError
    with a sentence for each problem.
    """
    model, folder = settings["model"], find(settings["model"])
    found: list[str] = []
    scheduler = None
    try:
        scheduler = read_scheduler(settings["scheduler"])
    except StudyError as error:
        found += error.args
    is_folder = folder is not None and folder.is_dir()
    if folder is not None and is_folder:
        wrong = folder_problems(folder, settings)
        found += wrong or folder_scheduler_problems(folder, scheduler)
        if settings["revision"] is not None:
            found.append(
                f"config.yaml: generator.revision is {shown(settings['revision'])}, but generator.model is a folder here, "
                f"which counts by its contents; set revision to null."
            )
    elif folder is None and HUB_ID.fullmatch(model) and settings["revision"] is not None:
        pass
    elif folder is None and HUB_ID.fullmatch(model):
        found.append(
            f"config.yaml: generator.model is {model!r}, which is not a folder here; if it is a hub id, "
            f"set generator.revision to the commit of it that you want."
        )
    else:
        found.append(
            f"config.yaml: generator.model is {shown(model)}, a file; it must be a folder in diffusers' format, or a hub id."
            if folder is not None
            else f"config.yaml: generator.model is {shown(model)}; there is no such folder, nor is it a hub id."
        )
    if found:
        raise StudyError(*found)
    return Generator(
        **{**settings, "model": str(folder or model), "is_folder": is_folder, "scheduler": scheduler}
    )
