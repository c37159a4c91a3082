"""A study: the config, checked as a whole, and what follows from it before any job runs."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import yaml

from promptflux.checksums import read_checksums
from promptflux.errors import StudyError
from promptflux.files import sha256_of_text
from promptflux.images import OwnImage, list_images
from promptflux.inputs import InputSpec
from promptflux.prompts import Prompt, batches, image_names, read_prompts
from promptflux.provenance import model_files
from promptflux.schema import problems, shorten, typed
from promptflux.spec import Spec, load_spec

OWN_IMAGES_PER_BATCH = 128
PROMPTS_PER_JOB, BATCHES = 64, 32  # of `prompts_per_job: auto`
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Generator:
    """A diffusion model with its sampler settings; the fields are those of config.yaml.

    `model` is the path of a diffusers folder, or a hub id; `is_folder` tells which.
    """

    model: str
    is_folder: bool
    revision: str | None
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


@dataclass(frozen=True)
class Study:
    """Everything that the rules ask for.

    `image_batches`: batch -> its image names. `prompts_of`: batch -> its prompts (batches of
    generated images only). `own_images`: image name -> its file. `chosen`: the images that
    get figures of their own, in order. `reference`: the run to compare with, if any.
    """

    config: dict
    prompts_path: Path | None
    prompts: list[Prompt]
    generator: Generator | None
    own_images: dict[str, OwnImage]
    prompts_of: dict[str, list[Prompt]]
    image_batches: dict[str, list[str]]
    classifiers: dict[str, Spec]
    chosen: list[str]
    reference: Path | None

    @property
    def reference_files(self) -> list[str]:
        """What stands for the run to compare with: a list of SHA-256 sums, its own if it is a folder that has one."""
        if self.reference is None:
            return []
        candidates = [
            self.reference,
            self.reference / "manifest.sha256",
            self.reference / "results/manifest.sha256",
        ]
        return [str(path) for path in candidates if path.is_file()]

    @property
    def inputs(self) -> dict[str, InputSpec]:
        """The inputs that the classifiers want, by name."""
        return {spec.input.name: spec.input for spec in self.classifiers.values()}

    @property
    def prompt_of_image(self) -> dict[str, Prompt]:
        """The prompt of each generated image, by image name, in the order of the table."""
        return {image: prompt for prompt in self.prompts for image in self.images_of(prompt)}

    def images_of(self, prompt: Prompt) -> list[str]:
        """The names of a prompt's images: `{name}_1`, `{name}_2`, ..."""
        return image_names(prompt, self.generator.images_per_prompt)

    def source(self, image: str, root: str = "") -> str:
        """The file of an image: a user's own, or one to be generated, in `results/` below `root`."""
        own = self.own_images.get(image)
        return str(own.path) if own else f"{root}results/images/{image}.png"

    def chosen_in(self, batch: str) -> list[str]:
        """The images of a batch that get figures of their own, in the batch's order."""
        chosen = set(self.chosen)
        return [image for image in self.image_batches[batch] if image in chosen]

    def lost_and_edited(self, results: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Of each batch made before, the images that are gone since, and those that somebody wrote since.

        results: the folder of the results. A batch was made if its list of checksums is
        there; every image that it made is older than this list.
        """
        listed = _times_of_files(results / "checksums")
        there = _times_of_files(results / "images")
        lost, edited = {}, {}
        for batch in self.prompts_of:
            made = listed.get(f"{batch}.sha256")
            if made is not None:
                times = {image: there.get(f"{image}.png") for image in self.image_batches[batch]}
                gone = [image for image, time in times.items() if time is None]
                if gone:  # or new, and never made
                    lists = read_checksums(results / "checksums" / f"{batch}.sha256")
                    lost[batch] = [image for image in gone if f"images/{image}.png" in lists]
                edited[batch] = [image for image, time in times.items() if time is not None and time > made]
        return lost, edited

    def request_digest(self, batch: str) -> str:
        """A digest of all that a batch's images depend on; it changes when one of them would."""
        asked = [dataclasses.astuple(prompt) for prompt in self.prompts_of[batch]]
        return sha256_of_text(json.dumps([self.generator.settings(), asked], ensure_ascii=False))[:16]


def overlay(defaults: Mapping, changes: Mapping) -> dict:
    """`defaults` with the keys of `changes` in their place, mappings merged key by key."""
    merged = deepcopy(dict(defaults))
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = overlay(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def find(path: str, folders: Sequence[Path]) -> Path | None:
    """The first existing `folder / path`, relative to the first folder where it lies there."""
    for folder in folders:
        candidate = Path(folder) / path
        if candidate.exists():
            return Path(path) if folder == folders[0] else candidate
    return None


def load_study(changes: Mapping, folders: Sequence[str | Path]) -> Study:
    """Read the study that `changes` make of the workflow's defaults.

    `folders`: the working folder and the workflow's own; paths of the config are looked up
    in this order. Raises StudyError with every problem that was found, a line each.
    """
    folders = [Path(folder) for folder in folders]
    defaults = yaml.safe_load((folders[-1] / "config.yaml").read_text(encoding="utf-8"))
    config = typed(overlay(defaults, changes), "config")
    found = problems(config, "config", "config.yaml")
    if found:
        raise StudyError(*found)

    def attempt(part, *arguments, otherwise):
        try:
            return part(*arguments)
        except StudyError as error:
            found.extend(error.args)
            return otherwise

    prompts_path = attempt(_found, config, "prompts", "file", folders, otherwise=None)
    prompts = attempt(read_prompts, prompts_path, otherwise=[]) if prompts_path else []
    generator = attempt(_generator, config, folders, otherwise=None) if prompts_path else None
    reference = attempt(_found, config, "verify", "folder or file", folders, otherwise=None)
    classifiers = attempt(_classifiers, config, folders, otherwise={})
    own_images = attempt(_own_images, config, folders, otherwise=[])
    if config["prompts"] is None and config["images"] is None:
        found.append("config.yaml: prompts and images are both null; a study needs one of them.")
    if found:
        raise StudyError(*found)

    study = Study(
        config=config,
        prompts_path=prompts_path,
        prompts=prompts,
        generator=generator,
        own_images={image.name: image for image in own_images},
        prompts_of={},
        image_batches={},
        classifiers=classifiers,
        chosen=[],
        reference=reference,
    )
    by_name = {prompt.name: prompt for prompt in prompts}
    if prompts:
        size = prompts_per_job(generator.prompts_per_job, len(prompts))
        for batch, names in batches(sorted(by_name), size, "prompts").items():
            study.prompts_of[batch] = [by_name[name] for name in names]
            study.image_batches[batch] = [image for name in names for image in study.images_of(by_name[name])]
    study.image_batches.update(batches(study.own_images, OWN_IMAGES_PER_BATCH, "images"))
    _check_image_names(study)
    study.chosen.extend(_chosen(study, config["figures"]["images"]))
    return study


def prompts_per_job(setting: int | str, prompts: int) -> int:
    """The most prompts of a batch; for `auto` 64, doubled until some 32 batches hold a study of so many prompts.

    A job costs about 0.2 s beside its work, and a study of 10,000 prompts would have
    hundreds in each stage. As the size doubles only when the study does, what is sorted
    into other batches stays in proportion to what is added.
    """
    if setting != "auto":
        return setting
    size = PROMPTS_PER_JOB
    while prompts > size * BATCHES:
        size *= 2
    return size


def _times_of_files(folder: Path) -> dict[str, int]:
    """The modification time in ns of each file of a folder, by name; empty if there is no such folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_mtime_ns for entry in entries}


def _found(config: dict, key: str, what: str, folders: list[Path]) -> Path | None:
    """The path that `config[key]` names, None if it names none."""
    if config[key] is None:
        return None
    path = find(config[key], folders)
    if path is None:
        raise StudyError(
            f"config.yaml: {key} is {shorten(config[key])}, and there is no such {what} in "
            f"{' or '.join(map(str, folders))}."
        )
    return path


def _own_images(config: dict, folders: list[Path]) -> list[OwnImage]:
    return [] if config["images"] is None else list_images(config["images"], folders)


def _classifiers(config: dict, folders: list[Path]) -> dict[str, Spec]:
    found: list[str] = []
    specs: dict[str, Spec] = {}
    for entry in config["classifiers"]:
        path = find(entry, folders) if entry.endswith((".yaml", ".yml")) else None
        path = path or find(f"models/classifiers/{entry}.yaml", folders)
        if path is None:
            known = sorted(
                {spec.stem for folder in folders for spec in (folder / "models/classifiers").glob("*.yaml")}
            )
            found.append(
                f"config.yaml: the classifier {shorten(entry)} is unknown; "
                f"known are {', '.join(known)}, and a path of a spec file (.yaml) is welcome."
            )
            continue
        try:
            spec = load_spec(path)
        except StudyError as error:
            found.extend(error.args)
            continue
        twin = specs.get(spec.name)
        if twin:
            found.append(
                f"config.yaml: the classifiers {twin.path} and {path} have the same name {spec.name!r}."
            )
        for other in specs.values():
            if other.input.name == spec.input.name and other.input != spec.input:
                found.append(
                    f"{path}: the input {spec.input.name!r} differs from that of {other.path}; "
                    f"give one of them another name."
                )
        specs[spec.name] = spec
    if found:
        raise StudyError(*found)
    return specs


def _generator(config: dict, folders: list[Path]) -> Generator:
    settings = config["generator"]
    model = settings["model"]
    folder = find(model, folders)
    found: list[str] = []
    if folder is not None and folder.is_dir():
        found += _folder_problems(folder, settings)
    elif HUB_ID.fullmatch(model) and settings["revision"] is not None:
        pass
    elif HUB_ID.fullmatch(model):
        found.append(
            f"config.yaml: generator.model is {model!r}, which is not a folder here; if it is a hub id, "
            f"set generator.revision to the commit of it that you want."
        )
    else:
        found.append(
            f"config.yaml: generator.model is {shorten(model)}; there is no such folder, nor is it a hub id."
        )
    if found:
        raise StudyError(*found)
    return Generator(**{**settings, "model": str(folder or model), "is_folder": folder is not None})


def _folder_problems(folder: Path, settings: Mapping) -> list[str]:
    index_path = folder / "model_index.json"
    if not index_path.is_file():
        return [
            f"config.yaml: generator.model is {str(folder)!r}, a folder without model_index.json; "
            f"it must be a pipeline in diffusers' folder format."
        ]
    try:
        index = json.loads(index_path.read_text(encoding="utf-8"))
    except ValueError:
        return [f"{index_path} is not valid JSON; the model folder is damaged."]
    found = []
    for part in ("unet", "transformer", "vae", "text_encoder"):
        if part in index and index[part][0] and not list((folder / part).glob("*.safetensors")):
            found.append(
                f"{folder / part}: there is no .safetensors file; weights in other formats are not loaded."
            )
    factor = size_multiple(folder)
    for side in ("width", "height"):
        if settings[side] is not None and settings[side] % factor:
            found.append(
                f"config.yaml: generator.{side} is {settings[side]}; "
                f"{folder} can only make multiples of {factor} pixels."
            )
    return found


def size_multiple(folder: Path) -> int:
    """What an image's sides must be a multiple of: the pixels of one latent of the model's VAE."""
    try:
        channels = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))[
            "block_out_channels"
        ]
    except (OSError, ValueError, KeyError):
        return 8
    return 2 ** (len(channels) - 1)


def _check_image_names(study: Study) -> None:
    generated = {image.casefold(): prompt.name for image, prompt in study.prompt_of_image.items()}
    clashes = [
        f"{image.path}: its name {name!r} is that of an image of the prompt {generated[name.casefold()]!r}; "
        f"rename the file or the prompt."
        for name, image in study.own_images.items()
        if name.casefold() in generated
    ]
    if clashes:
        raise StudyError(*clashes)


def _chosen(study: Study, wanted: int | str | list[str]) -> list[str]:
    """The images of `figures.images`; a number takes turns among the prompts and the own images."""
    groups = [study.images_of(prompt) for prompt in study.prompts]
    groups += [[name] for name in study.own_images]
    if isinstance(wanted, list):
        known = {image for group in groups for image in group}
        unknown = [name for name in wanted if name not in known]
        if unknown:
            example = shorten(groups[0][0])
            raise StudyError(
                f"config.yaml: figures.images names {', '.join(map(shorten, unknown))}, "
                f"and the study has no such image; a name looks like {example}."
            )
        return wanted
    turns = max((len(group) for group in groups), default=0)
    ordered = [group[turn] for turn in range(turns) for group in groups if turn < len(group)]
    return ordered if wanted == "all" else ordered[:wanted]
