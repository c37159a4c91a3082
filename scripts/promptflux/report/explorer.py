"""The page that explores a study: every image with what was asked and what was seen, in one file that opens from disk.

The page is a frame (`explorer_page/`) around one block of JSON. Columns with a value for each image are arrays of
numbers in base64, little endian: what is text stands once, in lists, and columns hold places in these.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from promptflux.classifiers.parity import PROBABILITY_FAILS
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.tables import read_table
from promptflux.files.tensors import open_tensors
from promptflux.files.whole import whole
from promptflux.generation.prompts import Prompt, images_of_variants, parts_of_image
from promptflux.generation.templates import combinations
from promptflux.images.inputs import InputSpec
from promptflux.images.provenance import read_head
from promptflux.metrics.truth import NO_TRUTH, Asked, read_truth
from promptflux.paths import Results
from promptflux.report.limits import MOST_EXPLORED
from promptflux.report.words import input_sentence
from promptflux.study.variants import Grid, laid_over, read_grid

FOLDER = Path(__file__).with_name("explorer_page")
# In this order they are one script; a name at the top of one is known to all.
SCRIPTS = (
    "data.js",
    "elements.js",
    "state.js",
    "filters.js",
    "grid.js",
    "picture.js",
    "image.js",
    "compare.js",
    "main.js",
)
MOST_LABELS = 12  # of which all probabilities are in the page; of more the TOP most probable
TOP = 5
OF_THE_PROMPT = ("prompt", "negative_prompt", "seed")  # of a recipe; they stand elsewhere in the page


def write_explorer(
    *,
    title: str,
    asked: Mapping[str, Any],
    own: Mapping[str, str],
    drawn: Sequence[str],
    classifiers: Sequence[Mapping[str, Any]],
    engines: Mapping[str, str],
    tensors: Sequence[str],
    output: str,
    explained: Sequence[str] = (),
) -> None:
    """Write the page to `output`, in the folder of the results; links in it are relative to that.

    asked: `config` and `prompts`, as `record` wrote them. own: the user's own images, name -> file. drawn: the images that
    have figures of their own. classifiers:
    of each its `name`, `description`, `input` (`InputSpec.to_dict()`), `predictions` (engine -> HDF5 files of all
    images), `truth` (a table, see `write_truth`), `alike` (`duplicates` and `nearest`, the tables of a map, of which each may be missing) and `drawings`, the figures of a drawn image (of each `file`, `title`,
    `caption` and whether it `explains`: those that do are there of the images `explained` alone).
    engines: name -> title, in their order. tensors: HDF5 files that hold all images. Of a study with more than
    MOST_EXPLORED images the page has the first, and says so. Raises StudyError if an image has no predictions.
    """
    data = explored(title, asked, own, drawn, explained, classifiers, engines, tensors, output)
    script = "".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("promptflux.report", "explorer_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        title=title,
        # The policy lets what has these digests run and be applied, and nothing else.
        script=script,
        script_digest=digest(script),
        style=style,
        style_digest=digest(style),
        data=inert(data),
    )
    with whole(output) as path:
        path.write_text(page, encoding="utf-8", errors="replace")


def digest(text: str) -> str:
    """The digest of an inline script or style, as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def inert(data: Mapping[str, Any]) -> str:
    """JSON that is text inside of a `script` element: no `<` that could end it, and ASCII alone."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def column(values: Iterable[float], kind: str) -> dict[str, str]:
    """A column as the page reads it. kind: `u1`, `u2`, `u4`, `f4` or `f8`."""
    packed = np.asarray(values if isinstance(values, np.ndarray) else list(values)).astype(f"<{kind}")
    return {kind: base64.b64encode(packed.tobytes()).decode("ascii")}


def places(values: Iterable[int]) -> dict[str, str]:
    """A column of places in a list, of one byte each if that is enough."""
    numbers = np.fromiter(values, dtype=np.int64)
    most = numbers.max(initial=0)
    return column(numbers, "u1" if most < 2**8 else "u2" if most < 2**16 else "u4")


@dataclass
class Listed:
    """A list in which each value stands once. Place 0 is that of nothing, whose value is null."""

    values: list[Any] = field(default_factory=lambda: [None])
    _places: dict[str, int] = field(default_factory=dict)

    def place(self, value: Any) -> int:
        """The place of a value; 0 if it is empty."""
        if not value:
            return 0
        key = json.dumps(value, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def explored(
    title: str,
    asked: Mapping[str, Any],
    own: Mapping[str, str],
    drawn: Sequence[str],
    explained: Sequence[str],
    classifiers: Sequence[Mapping[str, Any]],
    engines: Mapping[str, str],
    tensors: Sequence[str],
    output: str,
) -> dict[str, Any]:
    """All that the page shows, as JSON knows it; see `write_explorer`."""
    results, folder = Results.of(output), Path(output).parent
    config, prompts = asked["config"], [Prompt(**row) for row in asked["prompts"]]
    grid = read_grid(config)
    count = config["generator"]["images_per_prompt"] if prompts else 0
    of_prompts = (image for prompt in prompts for image in images_of_variants(prompt, count, grid.variants))
    generated = list(islice(of_prompts, MOST_EXPLORED))
    kept_own = list(own)[: MOST_EXPLORED - len(generated)]
    images = [*generated, *kept_own]
    total = len(own) + sum(len(grid.variants) * (prompt.images or count) for prompt in prompts)
    rows = {name: row for row, name in enumerate(images)}
    inputs = {
        spec.name: input_sentence(spec)
        for spec in (InputSpec.from_dict(classifier["input"]) for classifier in classifiers)
    }
    return {
        "title": title,
        "total": total,
        "tolerance": PROBABILITY_FAILS,
        "engines": [{"name": name, "title": engine} for name, engine in engines.items()],
        "inputs": inputs,
        "prompts": list(shown_prompts(prompts, config)),
        "variants": shown_variants(grid, config) if prompts else [],
        "axes": grid.label_of_axes,
        "paths": {
            "image": os.path.relpath(results.image("{image}"), folder),
            "preprocessed": os.path.relpath(results.preprocessed("{input_name}", "{image}"), folder),
            "figure": os.path.relpath(results.figure("{classifier}", "{image}", "{name}"), folder),
        },
        "own": [{"name": name, "source": link(own[name], folder)} for name in kept_own],
        "images": image_columns(generated, kept_own, prompts, grid, results, tensors),
        "no_truth": NO_TRUTH,
        "classifiers": [shown_classifier(classifier, images, engines) for classifier in classifiers],
        "drawn": sorted(rows[name] for name in drawn if name in rows),
        "explained": sorted(rows[name] for name in explained if name in rows),
    }


def link(path: str, folder: Path) -> str:
    """A relative URL from the page's folder to a file."""
    return quote(os.fsencode(os.path.relpath(path, folder)))


def shown_prompts(prompts: Sequence[Prompt], config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of each prompt its `name`, `text` and `seed`, and what of `negative`, `label` and `template` it has.

    cell, negative_cell: where that is another text, how a prompts table has it; null if none can have it.
    """
    for prompt in prompts:
        shown: dict[str, Any] = {
            "name": prompt.name,
            "text": prompt.prompt,
            "seed": config["generator"]["seed"] if prompt.seed is None else prompt.seed,
        }
        if prompt.negative_prompt:
            shown["negative"] = prompt.negative_prompt
        if prompt.label is not None:
            shown["label"] = prompt.label
        if prompt.template:
            shown["template"] = prompt.template
        for key, text in (("cell", prompt.prompt), ("negative_cell", prompt.negative_prompt)):
            if (cell := cell_of(text)) != text:
                shown[key] = cell
        yield shown


def cell_of(text: str) -> str | None:
    """What in a prompts table stands for `text` and nothing else, where braces have a meaning; None if nothing does."""
    for cell in (text, text.replace("{", "{{").replace("}", "}}")):
        try:
            if combinations(cell, lambda name: []) == [(text, ())]:
                return cell
        except StudyError:
            continue
    return None


def shown_variants(grid: Grid, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Of each variant its `name`, its `label` and the `config` that makes its images without variants."""
    return [
        {
            "name": name,
            "label": grid.label(variant) or "the study",
            "config": yaml.safe_dump(
                {"generator": laid_over(config["generator"], variant)},
                sort_keys=False,
                allow_unicode=True,
                width=100,
            ),
        }
        for name, variant in grid.variants.items()
    ]


def image_columns(
    generated: Sequence[str],
    own: Sequence[str],
    prompts: Sequence[Prompt],
    grid: Grid,
    results: Results,
    tensors: Sequence[str],
) -> dict[str, Any]:
    """The columns of what is known of the images themselves, and the lists that they point into.

    prompt, variant: places, from 1; 0 of a user's own image. seed: NaN if it is not known. parameters: places of what stands
    before and after the seed in the image's own `parameters`, or of the whole of it.
    """
    prompt_places = {prompt.name: place for place, prompt in enumerate(prompts, start=1)}
    texts = {prompt.name: (prompt.prompt, prompt.negative_prompt) for prompt in prompts}
    variant_places = {name: place for place, name in enumerate(grid.variants, start=1)}
    recipes, made, parameters, problems, marks = Listed(), Listed(), Listed(), Listed(), Listed()
    loaded = read_loaded(tensors)
    columns: dict[str, list[float]] = {
        key: []
        for key in (
            *("prompt", "variant", "number", "seed", "width", "height"),
            *("recipe", "made", "parameters", "problem", "mark"),
        )
    }

    def add(**values: float) -> None:
        for key, into in columns.items():
            into.append(values.get(key, 0))

    for image in generated:
        variant, prompt, number = parts_of_image(image)
        head = read_head(results.image(image))
        recipe, made_with = head["recipe"], head["made_with"]
        seed = recipe.get("seed")
        (height, width), problem = loaded.get(image, ((0, 0), ""))
        add(
            prompt=prompt_places[prompt],
            variant=variant_places[variant],
            number=number,
            seed=seed if is_whole(seed) else float("nan"),
            width=width or pixels_of(made_with, "width"),
            height=height or pixels_of(made_with, "height"),
            recipe=recipes.place({key: it for key, it in recipe.items() if key not in OF_THE_PROMPT}),
            made=made.place({key: it for key, it in made_with.items() if key not in ("template", "problem")}),
            parameters=parameters.place(around_seed(head["parameters"], seed, *texts[prompt])),
            problem=problems.place(problem),
            mark=marks.place(mark_of(made_with)),
        )
    for image in own:
        (height, width), problem = loaded.get(image, ((0, 0), ""))
        add(number=0, seed=float("nan"), width=width, height=height, problem=problems.place(problem))
    packed = {
        key: column(np.array(values), "f8") if key == "seed" else places(map(int, values))
        for key, values in columns.items()
    }
    return {
        "count": len(generated) + len(own),
        "columns": packed,
        "recipes": recipes.values,
        "made": made.values,
        "parameters": parameters.values,
        "problems": problems.values,
        "marks": marks.values,
    }


def is_whole(value: Any) -> bool:
    """Whether a value that a PNG says is a whole number that JavaScript keeps exactly."""
    return type(value) is int and 0 <= value < 2**53


def pixels_of(made_with: Mapping[str, Any], side: str) -> int:
    """The length of a side as a PNG says it; 0 if it says nothing that can be one."""
    value = made_with.get(side, 0)
    return value if is_whole(value) and value < 2**31 else 0


def mark_of(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong with a generated picture: `safety`, if a safety checker blacked it out, and its `problem`."""
    return {
        **({"safety": True} if "safety_checker" in made_with else {}),
        **({"problem": str(made_with["problem"])} if "problem" in made_with else {}),
    }


def around_seed(text: str, seed: Any, prompt: str, negative: str) -> list[str]:
    """`parameters` of an image without what differs from image to image: what is before and after its seed, under its prompts.

    Where these are not as expected, the whole of it, and nothing else.
    """
    head = prompt + (f"\nNegative prompt: {negative}" if negative else "") + "\n"
    before, found, after = text[len(head) :].partition(f"Seed: {seed},")
    if text.startswith(head) and found:
        return [f"{before}Seed: ", f",{after}"]
    return [text] if text else []


def read_loaded(tensors: Sequence[str]) -> dict[str, tuple[tuple[int, int], str]]:
    """Of each image the (height, width) of its file, and why a test pattern stands in, "" of most."""
    found = {}
    for path in tensors:
        with open_tensors(path) as file:
            for name, size, problem in zip(file.names, file.source_size.tolist(), file.problems, strict=True):
                found[name] = ((size[0], size[1]), problem)
    return found


def shown_classifier(
    classifier: Mapping[str, Any],
    images: Sequence[str],
    engines: Mapping[str, str],
) -> dict[str, Any]:
    """What the page shows of a classifier: its answers on each image, in each engine, and the labels that were asked.

    asked: see `asked_places`. answers: engine -> `seen`, a column of the
    place of the label seen, `labels`, a column of the places
    [images × shown] of the most probable labels (null where all are shown, in the classifier's order), and
    `probabilities` [images × shown]. difference: the largest difference of a probability between engines, if several ran.
    """
    labels: list[str] = []
    answers: dict[str, Any] = {}
    lowest: np.ndarray | None = None
    highest: np.ndarray | None = None
    rows = {name: row for row, name in enumerate(images)}
    for engine in engines:
        probabilities, seen, labels = read_answers(classifier["predictions"][engine], rows)
        lowest = probabilities if lowest is None else np.minimum(lowest, probabilities)
        highest = probabilities if highest is None else np.maximum(highest, probabilities)
        shown = min(len(labels), TOP) if len(labels) > MOST_LABELS else len(labels)
        order = None
        if shown < len(labels):
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :shown]
            probabilities = np.take_along_axis(probabilities, order, axis=1)
        answers[engine] = {
            "seen": places(seen),
            "labels": None if order is None else places(order.ravel()),
            "probabilities": column(probabilities.ravel(), "f4"),
        }
    difference = None
    if lowest is not None and highest is not None and len(engines) > 1:
        difference = column((highest - lowest).max(axis=1, initial=0), "f4")
    return {
        "name": classifier["name"],
        "description": classifier["description"],
        "input": InputSpec.from_dict(classifier["input"]).name,
        "labels": labels,
        "shown": min(len(labels), TOP) if len(labels) > MOST_LABELS else len(labels),
        "asked": asked_places(read_truth(classifier["truth"]), images, labels),
        "answers": answers,
        "difference": difference,
        "drawings": list(classifier["drawings"]),
        "alike": {kind: read_alike(path, rows) for kind, path in classifier["alike"].items()},
    }


def asked_places(truth: Mapping[str, Asked], images: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """The column of what is asked of each image: the place of a label after those of NO_TRUTH, why there is none."""
    place = {name: number for number, name in enumerate([*NO_TRUTH, *labels])}
    return places(place[truth[image].label or truth[image].source] for image in images)


def read_alike(path: str, rows: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """The columns `one`, `other` and `distance` of a table of near-duplicates or of nearest images; rows: that of each image."""
    header, *lines = read_table(path)
    first, distance = header.index("image"), header.index("distance")
    other = header.index("own" if "own" in header else "other")
    kept = [cells for cells in lines if cells[first] in rows and cells[other] in rows]
    return {
        "one": places(rows[cells[first]] for cells in kept),
        "other": places(rows[cells[other]] for cells in kept),
        "distance": column([float(cells[distance]) for cells in kept], "f4"),
    }


def read_answers(files: Sequence[str], rows: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(Probabilities float32 [images, labels], place of the label seen [images], the labels); rows: that of each image."""
    labels: list[str] = []
    probabilities = np.zeros((len(rows), 0), dtype=np.float32)
    seen = np.full(len(rows), -1)
    for path in files:
        with open_predictions(path) as file:
            if not labels:
                labels = file.labels
                probabilities = np.zeros((len(rows), len(labels)), dtype=np.float32)
            elif file.labels != labels:
                raise StudyError(f"{path}: its labels differ from those of {files[0]}; make both anew.")
            here = [place for place, name in enumerate(file.names) if name in rows]
            there = [rows[file.names[place]] for place in here]
            probabilities[there] = file.probabilities[here]
            # The largest logit: probabilities near 1 round to equal floats sooner.
            seen[there] = file.logits[here].argmax(axis=1) if here else []
    if (seen < 0).any():
        missing = list(rows)[int(np.argmin(seen))]
        raise StudyError(
            f"{', '.join(files[:1])}: the image {missing!r} is in no file of predictions; make them anew."
        )
    return probabilities, seen, labels
