"""A study: the config, checked as a whole, and what follows from it before any job runs."""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from promptflux.classifiers.architectures import ARCHITECTURES
from promptflux.classifiers.kept import asked_layers
from promptflux.classifiers.spec import CLASSIFIER_NAME, Spec, load_spec
from promptflux.classifiers.why import Window, window_of
from promptflux.documents import read_text
from promptflux.errors import StudyError, plain, shown
from promptflux.figures.catalog import FIGURES, Drawing, drawings
from promptflux.files.checksums import read_checksums
from promptflux.files.digests import Digests
from promptflux.files.whole import sha256_of_text, whole
from promptflux.generation.generator import Generator, hub_name, read_generator
from promptflux.generation.init_images import init_image_problems
from promptflux.generation.prompts import BESIDE_IMAGES, Prompt, image_names, images_of_variants, read_prompts
from promptflux.generation.recipe import named
from promptflux.images.inputs import InputSpec
from promptflux.metrics.truth import Truth
from promptflux.paths import HERE, Results
from promptflux.schema import Schema
from promptflux.study.batches import OWN_IMAGES_PER_BATCH, batches, prompts_per_job
from promptflux.study.colormaps import colormap_schema
from promptflux.study.config import CONFIG, find, overlay, read_config
from promptflux.study.engines import engines_schema
from promptflux.study.exports import exports_schema
from promptflux.study.finished import Finished, find_finished
from promptflux.study.image_labels import read_image_labels
from promptflux.study.own_images import SNAKEMAKE_VARIABLE, OwnImage, list_images
from promptflux.study.variants import Grid, laid_over, read_grid, variants_schema

SCHEMA = Schema(
    "config",
    {
        "engines": engines_schema(),
        "export": exports_schema(),
        "colormap": colormap_schema(),
        **variants_schema(),
    },
)
MOST_IMAGES = 1_000_000
SHEETS = "sheets"  # the folder of the sheets among those of the classifiers' figures
MOST_SUMS = 200_000_000  # bytes of a list; a line has some 100


@dataclass(frozen=True)
class Study:
    """Everything that the rules ask for.

    `grid`: the variants, and their axes. `generators`: variant -> its diffusion model and settings, "" in a
    study without variants; none without prompts. `prompt_batches`: the prompts that are made together.
    `prompts_of`: batch -> its prompts (batches of generated images only); with variants a batch is that of
    one of them, `{variant}/{prompt batch}`. `image_batches`: batch -> its image names. `own_images`: image
    name -> its file. `image_labels`: the labels of those that have one, by image name. `chosen`: the images that get figures of their own, in order. `layers`: classifier -> its layers
    whose outputs for these images are kept and drawn. `explained`: those of the chosen images of which the classifiers say why, in
    order. `windows`: classifier -> what is covered of them. `reference`: the run to compare with, if any. `compared`:
    other finished studies, by the names that they have here.
    """

    config: dict
    prompts_path: Path | None
    prompts: list[Prompt]
    grid: Grid
    generators: dict[str, Generator]
    own_images: dict[str, OwnImage]
    image_labels: dict[str, str]
    prompt_batches: dict[str, list[Prompt]]
    prompts_of: dict[str, list[Prompt]]
    image_batches: dict[str, list[str]]
    classifiers: dict[str, Spec]
    chosen: list[str]
    layers: dict[str, list[str]]
    explained: list[str]
    windows: dict[str, Window]
    reference: Path | None
    compared: dict[str, Finished]

    @property
    def compared_files(self) -> dict[str, list[str]]:
        """Of each study to compare with, what its results are known by."""
        return {name: [str(file) for file in it.records()] for name, it in self.compared.items()}

    @property
    def has_variants(self) -> bool:
        return bool(self.grid.axes)

    @property
    def of_the_hub(self) -> dict[str, dict[str, Any]]:
        """What is fetched of the hub for all variants, by the name of its job."""
        generators = self.generators.values()
        return {hub_name(wanted): wanted for it in generators for wanted in it.of_the_hub()}

    def write_generators(self, results: Results) -> None:
        """Write the settings of each variant for the jobs that make images, if there is more than one."""
        path = Path(results.generators)
        text = json.dumps({variant: it.settings() for variant, it in self.generators.items()}, indent=1)
        if len(self.generators) > 1 and not (path.is_file() and path.read_text(encoding="utf-8") == text):
            with whole(path) as partial:
                partial.write_text(text, encoding="utf-8")
            path.with_suffix(".said").unlink(missing_ok=True)

    def variant_of(self, batch: str) -> str:
        """The variant of a batch of generated images, or of such an image; "" in a study without variants."""
        return batch.rpartition("/")[0]

    def generator_of(self, batch: str) -> Generator:
        """The generator that makes a batch."""
        return self.generators[self.variant_of(batch)]

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
        """The names of a prompt's images: `{name}_1`, `{name}_2`, ...; with variants the first of each, the second of each, ..."""
        return _images_of(prompt, self.generators)

    @property
    def images_of_label(self) -> dict[str, list[str]]:
        """The user's own images that have a label, by it, both sorted."""
        found: dict[str, list[str]] = {}
        for image, label in sorted(self.image_labels.items(), key=lambda item: item[::-1]):
            found.setdefault(label, []).append(image)
        return found

    def source(self, image: str, results: Results = HERE) -> str:
        """The file of an image: a user's own, or one to be generated."""
        own = self.own_images.get(image)
        return str(own.path) if own else results.image(image)

    def chosen_in(self, batch: str) -> list[str]:
        """The images of a batch that get figures of their own, in the batch's order."""
        chosen = set(self.chosen)
        return [image for image in self.image_batches[batch] if image in chosen]

    @cached_property
    def _explained(self) -> frozenset[str]:
        return frozenset(self.explained)

    def explained_in(self, batch: str) -> list[str]:
        """The images of a batch of which the classifiers say why, in the batch's order."""
        return [image for image in self.image_batches[batch] if image in self._explained]

    @cached_property
    def _asked(self) -> dict[str, dict[str, str | None]]:
        """Classifier -> explained image -> the label that is asked of it, None if that is not known."""
        prompts = {
            image: prompt for image, prompt in self.prompt_of_image.items() if image in self._explained
        }
        asked = {}
        for classifier, spec in self.classifiers.items():
            truth = Truth(
                spec.labels, {prompt.name: prompt for prompt in prompts.values()}.values(), self.image_labels
            )
            asked[classifier] = {
                image: truth.of(image, prompts[image].name if image in prompts else "").label
                for image in self.explained
            }
        return asked

    def asked_labels(self, classifier: str, images: Iterable[str]) -> list[int]:
        """Of explained images the place of the label that is asked of each among a classifier's, -1 if that is not known."""
        labels = self.classifiers[classifier].labels
        asked = (self._asked[classifier][image] for image in images)
        return [-1 if label is None else labels.index(label) for label in asked]

    def drawings_of(self, classifier: str, image: str) -> list[Drawing]:
        """The figures that a chosen image gets."""
        return drawings(self.classifiers[classifier], self.layers[classifier], image in self._explained)

    def lost_and_edited(
        self, results: Results, digests: Digests
    ) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Of each batch made before, the images that are gone since, and those that somebody changed since.

        A batch was made if its list of checksums is there; every image that it made is older than
        this list, unless the results were copied, which changes no digest.
        """
        listed = {
            variant: _times_of_files(Path(results(f"checksums/{variant}"))) for variant in self.generators
        }
        there = {variant: _times_of_files(Path(results(f"images/{variant}"))) for variant in self.generators}
        lost: dict[str, list[str]] = {}
        edited: dict[str, list[str]] = {}
        for batch in self.prompts_of:
            variant, _, name = batch.rpartition("/")
            made = listed[variant].get(f"{name}.sha256")
            if made is None:
                continue
            times = {
                image: there[variant].get(Path(results.image(image)).name)
                for image in self.image_batches[batch]
            }
            gone = [image for image, time in times.items() if time is None]
            newer = [image for image, time in times.items() if time is not None and time > made]
            if gone or newer:
                sums = _sums(results.checksums(batch))
                # An image that is gone may also be new, and was never made.
                lost[batch] = [image for image in gone if results.name(results.image(image)) in sums]
                edited[batch] = [
                    image
                    for image in newer
                    if sums.get(results.name(results.image(image)), "")
                    not in ("", digests.of(results.image(image)))
                ]
        return lost, edited

    def request_digest(self, batch: str) -> str:
        """A digest of all that a batch's images depend on; it changes when one of them would."""
        # A template that grows leaves the images of its combinations as they are.
        rows = (dataclasses.replace(prompt, **BESIDE_IMAGES) for prompt in self.prompts_of[batch])
        asked = [named(dataclasses.asdict(row)) for row in rows]
        settings = named(self.generator_of(batch).settings())
        return sha256_of_text(json.dumps([settings, asked], ensure_ascii=False))[:16]


def load_study(changes: Mapping, folders: Sequence[str | Path]) -> Study:
    """Read the study that `changes` make of the workflow's defaults.

    `folders`: the working folder and the workflow's own; paths of the config are looked up
    in this order. Raises StudyError with every problem that was found, a line each.
    """
    places = [Path(folder) for folder in folders]
    defaults = read_config(places[-1] / CONFIG)
    config = SCHEMA.typed(overlay(defaults, changes))
    found = SCHEMA.problems(config, "config.yaml")
    if found:  # what is sound is looked at all the same, so that all mistakes are said at once
        wrong = SCHEMA.wrong(config)
        config = {key: config[key] for key in config if key not in wrong}
        config = {
            "prompts": None,
            "images": None,
            "image_labels": None,
            "compare": None,
            "verify": None,
            "classifiers": [],
        } | config
        config = SCHEMA.typed(overlay(defaults, {"figures": {"images": "all"}} | config))

    def attempt(part: Callable, *arguments: Any, otherwise: Any) -> Any:
        try:
            return part(*arguments)
        except StudyError as error:
            found.extend(error.args)
            return otherwise

    prompts_path = attempt(_found, config, "prompts", "file", places, otherwise=None)
    classifiers = attempt(_classifiers, config, places, otherwise={})
    labels = dict.fromkeys(label for spec in classifiers.values() for label in spec.labels)
    prompts = attempt(read_prompts, prompts_path, labels, otherwise=[]) if prompts_path else []
    no_grid = read_grid({})
    grid = attempt(read_grid, config, otherwise=no_grid)
    generators = attempt(_generators, config, grid, places, otherwise={}) if prompts_path else {}
    reference = attempt(_reference, config, places, otherwise=None)
    compared = attempt(_compared, config, places, otherwise={})
    own_images = attempt(_own_images, config, places, otherwise=None)
    by_image_name = {image.name: image for image in own_images or []}
    image_labels = (
        attempt(read_image_labels, config["image_labels"], by_image_name, labels, places, otherwise={})
        if own_images is not None
        else {}
    )
    windows = attempt(_windows, classifiers, config["explain"], otherwise={})
    if config["prompts"] is None and grid.axes:
        found.append("config.yaml: variants and axes are of images made from prompts, and prompts is null.")
    if grid.axes and (named_so := classifiers.get(SHEETS)):
        found.append(
            f"{named_so.path}: in a study with variants no classifier is called {SHEETS!r}; rename the file."
        )
    if config["prompts"] is None and config["images"] is None and not found:
        found.append("config.yaml: prompts and images are both null; a study needs one of them.")
    read = [prompts_path, reference, *(it.folder for it in compared.values())]
    read += list(dict.fromkeys(file for generator in generators.values() for file in generator.files()))
    read += [path for spec in classifiers.values() for path in (*spec.files, spec.weights_path)]
    found += _variables(places[-1].resolve(), [path for path in read if path])
    for generator in generators.values():
        found += init_image_problems(prompts, generator.init_images, generator.images_per_prompt)
    if generators:
        each = next(iter(generators.values())).images_per_prompt
        wanted = len(generators) * sum(prompt.images or each for prompt in prompts)
        if wanted > MOST_IMAGES:
            found.append(
                f"{prompts_path}: the study has {wanted:,} images; at most {MOST_IMAGES:,} are made."
            )
    if found:
        raise StudyError(*found)

    by_name = {prompt.name: prompt for prompt in prompts}
    size = prompts_per_job(next(iter(generators.values())).prompts_per_job, len(prompts)) if generators else 1
    prompt_batches = {
        batch: [by_name[name] for name in names]
        for batch, names in batches(sorted(by_name), size, "prompts").items()
    }
    images_of = {prompt.name: _images_of(prompt, generators) for prompt in prompts}
    prompts_of, image_batches = {}, {}
    for variant, generator in generators.items():
        for batch, members in prompt_batches.items():
            batch = f"{variant}/{batch}".lstrip("/")
            prompts_of[batch] = members
            image_batches[batch] = [
                image
                for prompt in members
                for image in image_names(prompt, generator.images_per_prompt, variant)
            ]
    _check_image_names(images_of, by_image_name)
    chosen = _chosen([*images_of.values(), *([name] for name in by_image_name)], config["figures"]["images"])
    return Study(
        config=config,
        prompts_path=prompts_path,
        prompts=prompts,
        grid=grid,
        generators=generators,
        own_images=by_image_name,
        image_labels=image_labels,
        prompt_batches=prompt_batches,
        prompts_of=prompts_of,
        image_batches={**image_batches, **batches(by_image_name, OWN_IMAGES_PER_BATCH, "images")},
        classifiers=classifiers,
        chosen=chosen,
        layers=_layers(classifiers, config["figures"]["layers"]),
        explained=_explained(chosen, config["explain"]["images"]),
        windows=windows,
        reference=reference,
        compared=compared,
    )


def _sums(path: str) -> dict[str, str]:
    """The sums of a list of checksums; none of a damaged one, which is made again."""
    try:
        return read_checksums(path)
    except StudyError:
        return {}


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
            f"config.yaml: {key} is {shown(config[key])}, and there is no such {what} in "
            f"{' or '.join(map(str, folders))}."
        )
    return path


def _reference(config: dict, folders: list[Path]) -> Path | None:
    """What `verify` names, if it is what it can be: the results of a run, or a list of their SHA-256 sums."""
    path = _found(config, "verify", "folder or file", folders)
    if path is None:
        return None
    if path.is_dir():
        results = path / "results" if (path / "results").is_dir() else path
        if not any((results / name).exists() for name in ("manifest.sha256", "images", "predictions")):
            raise StudyError(
                f"config.yaml: verify is {shown(str(path))}, a folder without the results of a run "
                f"(manifest.sha256, images or predictions)."
            )
        return path
    read_text(path, "list of SHA-256 sums", MOST_SUMS)  # or a sentence, for a pipe or what is huge
    if not read_checksums(path):
        raise StudyError(f"config.yaml: verify is {shown(str(path))}, a list of SHA-256 sums without any.")
    return path


def _compared(config: dict, folders: list[Path]) -> dict[str, Finished]:
    """The finished studies that `compare` names, by what they are called here.

    That is the name of the folder that has them, or theirs, if they are called otherwise than `results`.
    """
    wanted = [config["compare"]] if isinstance(config["compare"], str) else config["compare"] or []
    compared: dict[str, Finished] = {}
    found: list[str] = []
    for entry in wanted:
        path = find(entry, folders)
        if path is None:
            where = " or ".join(map(str, folders))
            found.append(
                f"config.yaml: compare names {shown(entry)}, and there is no such folder in {where}."
            )
            continue
        try:
            study = find_finished(path)
        except StudyError as error:
            found += [f"config.yaml: compare names {shown(entry)}. {sentence}" for sentence in error.args]
            continue
        full = study.folder.resolve()
        if full == Path(HERE()).resolve():
            found.append(
                f"config.yaml: compare names {shown(entry)}, which are the results of this study itself."
            )
            continue
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", (full.parent if full.name == HERE() else full).name)[
            :60
        ].strip("_")
        name, number = "other" if name in ("", HERE()) else name, 1
        while (numbered := name if number == 1 else f"{name}_{number}") in compared:
            number += 1
        compared[numbered] = study
    if found:
        raise StudyError(*found)
    return compared


def _variables(workflow: Path, paths: Iterable[str | Path]) -> list[str]:
    """A sentence for each variable that Snakemake would see in a path: in that of the workflow, each brace counts."""
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if variable := SNAKEMAKE_VARIABLE.search(str(path)):
            found.setdefault(variable[0], path)
    if variable := SNAKEMAKE_VARIABLE.search(str(workflow)) or re.search(r"[{}]", str(workflow)):
        found[variable[0]] = workflow
    return [
        f"{plain(path)}: Snakemake takes {shown(variable)} in this path for a variable of its own; "
        f"rename the file or folder."
        for variable, path in found.items()
    ]


def _images_of(prompt: Prompt, generators: Mapping[str, Generator]) -> list[str]:
    """The names of a prompt's images; the number of each is that of any generator."""
    counts = [generator.images_per_prompt for generator in generators.values()][:1]
    return [image for count in counts for image in images_of_variants(prompt, count, generators)]


def _generators(config: dict, grid: Grid, folders: list[Path]) -> dict[str, Generator]:
    """The generator of each variant. What is wrong with all of them is said once, of `generator`."""
    found: dict[str, list[str]] = {}
    generators = {}
    for name, variant in grid.variants.items():
        settings = laid_over(config["generator"], variant)
        try:
            generators[name] = read_generator(
                settings, lambda path: find(path, folders), lambda setting: _init_images(setting, folders)
            )
        except StudyError as error:
            for sentence in error.args:
                found.setdefault(sentence, []).append(name)
    if found:
        raise StudyError(
            *(
                sentence
                if len(names) == len(grid.variants)
                else f"{sentence} (In {_listed(names, 'the variant')}.)"
                for sentence, names in found.items()
            )
        )
    return generators


def _listed(names: list[str], what: str) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"


def _init_images(setting: str | list[str], folders: list[Path]) -> list[Path]:
    """The files that `generator.init_images` names, found as those of `images`."""
    try:
        return [image.path for image in list_images(setting, folders)]
    except StudyError as error:
        names = [
            str(text).replace("config.yaml: images names", "config.yaml: generator.init_images names")
            for text in error.args
        ]
        raise StudyError(*names) from None


def _own_images(config: dict, folders: list[Path]) -> list[OwnImage]:
    if config["images"] is None:
        return []
    try:
        return list_images(config["images"], folders)
    except OSError as error:  # a name that is too long, a folder that may not be read
        named = shown(error.filename if error.filename is not None else config["images"])
        raise StudyError(
            f"config.yaml: images names {named}, which cannot be read ({error.strerror})."
        ) from None


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
            ready = (ARCHITECTURES / f"{entry}.yaml").is_file() if CLASSIFIER_NAME.fullmatch(entry) else False
            hint = f"; for the network without weights, a spec says `architecture: {entry}`" if ready else ""
            found.append(
                f"config.yaml: the classifier {shown(entry)} is unknown; "
                f"known are {', '.join(known)}, and a path of a spec file (.yaml) is welcome{hint}."
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


def _check_image_names(images_of: Mapping[str, list[str]], own_images: Mapping[str, OwnImage]) -> None:
    """Raise StudyError if an image of the user's has the name of one to be generated; images_of: by prompt."""
    generated = {image.casefold(): prompt for prompt, images in images_of.items() for image in images}
    clashes = [
        f"{image.path}: its name {name!r} is that of an image of the prompt {generated[name.casefold()]!r}; "
        f"rename the file or the prompt."
        for name, image in own_images.items()
        if name.casefold() in generated
    ]
    if clashes:
        raise StudyError(*clashes)


def _layers(classifiers: Mapping[str, Spec], wanted: int | str | list[str]) -> dict[str, list[str]]:
    """The layers that `figures.layers` asks for of each classifier."""
    if isinstance(wanted, list):
        known = {layer.name for spec in classifiers.values() for layer in spec.walk()}
        if unknown := [name for name in wanted if name not in known]:
            raise StudyError(
                f"config.yaml: figures.layers names {', '.join(map(shown, unknown[:5]))}, and no classifier of the "
                f"study has such a layer; the layers are listed in results/models/{{classifier}}_architecture_torch.txt."
            )
    kinds = sorted({figure.each for figure in FIGURES if figure.each})
    return {name: asked_layers(spec, wanted, kinds) for name, spec in classifiers.items()}


def _chosen(groups: Sequence[list[str]], wanted: int | str | list[str]) -> list[str]:
    """The images of `figures.images`; a number takes turns among `groups`, the prompts and the own images."""
    if isinstance(wanted, list):
        known = {image for group in groups for image in group}
        unknown = [name for name in wanted if name not in known]
        if unknown:
            example = shown(groups[0][0])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise StudyError(
                f"config.yaml: figures.images names {', '.join(map(shown, unknown[:5]))}{more}, "
                f"and the study has no such image; a name looks like {example}."
            )
        return wanted
    turns = max((len(group) for group in groups), default=0)
    ordered = [group[turn] for turn in range(turns) for group in groups if turn < len(group)]
    return ordered if wanted == "all" else ordered[: int(wanted)]


def _explained(chosen: list[str], wanted: int | str | list[str]) -> list[str]:
    """The images of `explain.images`, which are some of those that get figures."""
    if isinstance(wanted, list):
        if unknown := [name for name in wanted if name not in chosen]:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise StudyError(
                f"config.yaml: explain.images names {', '.join(map(shown, unknown[:5]))}{more}, which is none of the images that "
                f"get figures; name it in figures.images, too."
            )
        return [name for name in chosen if name in wanted]
    return chosen if wanted == "all" else chosen[: int(wanted)]


def _windows(classifiers: Mapping[str, Spec], settings: Mapping[str, Any]) -> dict[str, Window]:
    """What is covered of an image, for each classifier. Raises StudyError with a sentence for each that cannot be."""
    windows: dict[str, Window] = {}
    found: list[str] = []
    for name, spec in classifiers.items() if settings["images"] else ():
        try:
            windows[name] = window_of(spec, settings["patch"], settings["stride"])
        except StudyError as error:
            found.extend(error.args)
    if found:
        raise StudyError(*found)
    return windows
