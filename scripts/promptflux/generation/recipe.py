"""What an image is a function of: its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, plain
from promptflux.files.whole import sha256_of_file
from promptflux.generation import adapters
from promptflux.generation.init_images import init_image_of
from promptflux.generation.model_folder import digest_of_model
from promptflux.generation.prompts import image_seed, parts_of_image, read_prompts
from promptflux.paths import Results

Recipe = Mapping[str, Any]

# What is done anyway, beside what is null. A recipe does not name it, so that a setting that is
# new to promptflux, and is not used, leaves every image as it was.
ANYWAY = {
    "negative_prompt": "",
    "device": "auto",
    "dtype": "auto",
    "offload": "none",
    "vae_slicing": False,
    "vae_tiling": False,
    "channels_last": False,
    "compile": False,
}


@dataclass(frozen=True, eq=False)
class Request:
    """An image to be had: where it goes, the recipe that it is a function of, the template of its prompt and the image
    that it starts from, if any."""

    path: Path
    recipe: Recipe
    template: str | None = None
    init_image: str | None = None

    def kept(self, on_bad_image: str = "stop") -> Mapping[str, Any] | None:
        """What the image was made with, if it is there and was made by this recipe; else None.

        An image that is marked as a bad one is made again where that stops the study.
        """
        from promptflux.images.provenance import read_provenance  # needs Pillow, which planning does without

        provenance = read_provenance(self.path)
        made, made_with = provenance.get("recipe"), provenance.get("made_with")
        if not isinstance(made, Mapping) or named(made) != self.recipe:
            return None
        made_with = made_with if isinstance(made_with, Mapping) else {}
        return None if on_bad_image == "stop" and "problem" in made_with else made_with

    def is_made(self) -> bool:
        """Whether the image is there and was made by this recipe."""
        return self.kept() is not None


def marks(request: Request, made_with: Mapping[str, Any]) -> list[str]:
    """A warning for each mark of an image: what its model's safety checker did to it, or what is wrong with it."""
    found = []
    if "safety_checker" in made_with:
        found.append(f"warning: the model's safety checker blacked out {request.path.name}")
    if "problem" in made_with:
        found.append(f"warning: {request.path.name} is no picture: {plain(made_with['problem'])}")
    return found


def named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` without what is done anyway."""
    return {
        key: value
        for key, value in settings.items()
        if value is not None and not (key in ANYWAY and value == ANYWAY[key])
    }


def requests(prompts: str, settings: Mapping, names: Sequence[str], results: Results) -> list[Request]:
    """A request for each of the images `names`, in their order.

    prompts: the prompts table. settings: `Generator.settings()`.
    """
    shared = by_content(settings)
    by_name = {prompt.name: prompt for prompt in read_prompts(prompts)}
    digest = cache(sha256_of_file)
    wanted = []
    for image in names:
        _, name, k = parts_of_image(image)
        if name not in by_name:
            raise StudyError(
                f"{prompts}: the prompt {name!r} is gone; the table changed while the study ran."
            )
        prompt = by_name[name]
        recipe = {
            "prompt": prompt.prompt,
            "negative_prompt": prompt.negative_prompt,
            "seed": image_seed(settings["seed"] if prompt.seed is None else prompt.seed, name, k),
            **shared,
        }
        init = init_image_of(name, k, settings.get("init_images") or [], by_name)
        if init is not None:
            recipe["init_image"] = f"sha256:{digest(init)}"
        wanted.append(Request(Path(results.image(image)), named(recipe), prompt.template, init))
    return wanted


def by_content(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a recipe names them, the model first: what is a file here by its digest, not by its path."""
    shared = {key: value for key, value in settings.items() if key not in ("model", "seed", "init_images")}
    model = settings["model"]
    if settings["revision"] is None:
        digest = digest_of_model(model) if Path(model).is_dir() else sha256_of_file(model)
        model = f"sha256:{digest}"
    for key in ("lora", "textual_inversion"):
        if settings.get(key):
            shared[key] = adapters.by_content(settings[key])
    if settings.get("model_config"):
        shared["model_config"] = f"sha256:{digest_of_model(settings['model_config'])}"
    return {"model": model, **shared}
