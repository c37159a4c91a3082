"""What an image is a function of: its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError
from promptflux.generation.model_folder import digest_of_model
from promptflux.generation.prompts import image_seed, parts_of_image, read_prompts
from promptflux.paths import Results

Recipe = Mapping[str, Any]

# What is done anyway, beside what is null. A recipe does not name it, so that a setting that is
# new to promptflux, and is not used, leaves every image as it was.
ANYWAY = {"negative_prompt": "", "device": "auto", "dtype": "auto"}


@dataclass(frozen=True)
class Request:
    """An image to be had: where it goes, the recipe that it is a function of, and the template of its prompt, if any."""

    path: Path
    recipe: Recipe
    template: str | None = None

    def is_made(self) -> bool:
        """Whether the image is there and was made by this recipe."""
        from promptflux.images.provenance import read_provenance  # needs Pillow, which planning does without

        made = read_provenance(self.path).get("recipe")
        return isinstance(made, Mapping) and named(made) == self.recipe


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
    model = settings["model"]
    if settings["revision"] is None:
        model = f"sha256:{digest_of_model(model)}"
    shared = {key: value for key, value in settings.items() if key not in ("model", "seed")}
    by_name = {prompt.name: prompt for prompt in read_prompts(prompts)}
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
            "model": model,
            **shared,
        }
        wanted.append(Request(Path(results.image(image)), named(recipe), prompt.template))
    return wanted
