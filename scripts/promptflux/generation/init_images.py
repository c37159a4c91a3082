"""Image to image: which of the user's images an image starts from, and in what size."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptflux.errors import StudyError, printable, shown
from promptflux.generation.prompts import Prompt, image_names

if TYPE_CHECKING:
    from PIL.Image import Image


def init_image_of(name: str, k: int, paths: Sequence[str], names: Iterable[str]) -> str | None:
    """The init image that the image `k` (from 1) of the prompt `name` starts from; None if there is none for it.

    A file named like a prompt of the study (`names`) is that prompt's. The others are for all prompts that have none of
    their own: the k-th for the k-th image, and after the last the first again.
    """
    known = set(names)
    own = [path for path in paths if Path(path).stem == name]
    others = [path for path in paths if Path(path).stem not in known]
    circle = own or others
    return circle[(k - 1) % len(circle)] if circle else None


def init_image_problems(
    prompts: Sequence[Prompt], paths: Sequence[str] | None, images_per_prompt: int
) -> list[str]:
    """Prompts without an init image, and init images that no image starts from, a sentence for each kind."""
    if not paths:
        return []
    names = [prompt.name for prompt in prompts]
    lacking: list[str] = []
    used: set[str] = set()
    for prompt in prompts:
        for k in range(1, len(image_names(prompt, images_per_prompt)) + 1):
            path = init_image_of(prompt.name, k, paths, names)
            if path is None:
                lacking.append(prompt.name)
                break
            used.add(path)
    found = []
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        found.append(
            f"config.yaml: generator.init_images has none for the prompt {', '.join(map(shown, lacking[:5]))}{more}; each file is "
            f"named like another prompt, whose it is. Add a file of another name, or one named like the prompt."
        )
    if unused := [path for path in paths if path not in used]:
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        found.append(
            f"config.yaml: generator.init_images names {', '.join(map(printable, unused[:5]))}{more}, from which no image "
            f"would start: the k-th file is for the k-th image of a prompt; raise images_per_prompt, or leave files out."
        )
    return found


def fitted_init(path: str | Path, settings: Mapping[str, Any], multiple: int) -> "Image":
    """An init image as the pipeline gets it: 8-bit RGB, upright, of sides that are multiples of `multiple` pixels.

    With generator.width and height it is fitted to them, its middle where the shape is another. Without, it keeps
    its own size, but for the rest that is no multiple. Raises StudyError if it cannot be opened or is too small.
    """
    from PIL import Image, ImageOps

    from promptflux.images.opening import open_rgb

    picture, _ = open_rgb(path)
    own = [side // multiple * multiple for side in picture.size]
    width, height = settings["width"] or own[0], settings["height"] or own[1]
    if not width or not height:
        raise StudyError(
            f"{printable(path)}: this init image has {picture.width} × {picture.height} pixels; an image of this model has at least "
            f"{multiple} × {multiple}."
        )
    return (
        picture
        if picture.size == (width, height)
        else ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    )
