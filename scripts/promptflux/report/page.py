"""The page on a whole study, in one file that opens offline."""

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from promptflux.figures.of_study import (
    activations,
    along_an_axis,
    confusion,
    map_of_images,
    parity,
    reliability,
    variants_of_a_prompt,
    where_the_time_went,
)
from promptflux.figures.of_study import gallery as gallery_figure
from promptflux.figures.sheet import Style
from promptflux.figures.text import duration, tame
from promptflux.files.predictions import open_predictions
from promptflux.files.tables import Prediction, read_predictions, read_table
from promptflux.files.tensors import open_tensors
from promptflux.files.whole import whole
from promptflux.generation.prompts import Prompt, images_of_variants
from promptflux.images.inputs import InputSpec
from promptflux.images.provenance import read_mark, read_provenance
from promptflux.images.thumbnails import data_uri, displayed, scaled, thumbnail
from promptflux.paths import Results
from promptflux.report.comparison import read_comparison
from promptflux.report.limits import MOST_PROMPTS
from promptflux.report.map import read_map, shown_images
from promptflux.report.numbers import read_numbers
from promptflux.report.times import read_times
from promptflux.report.variants import read_variants
from promptflux.report.words import input_sentence
from promptflux.study.variants import read_grid

# A study of a thousand prompts must still open in a browser.
MOST_THUMBNAILS = 60
MOST_PREDICTIONS = 200
MOST_DIFFERENCES = 50
MOST_SHEETS = 8  # of prompts, in a study with variants
MOST_DEAD = 12  # layers, and channels of each, that are named for being dead
MOST_DRAWN_IMAGES = 8  # of each classifier: the figures of so many images are in the page
PACKAGES = (
    *("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow", "h5py"),
    *("matplotlib", "jinja2", "pyyaml", "snakemake"),
)


def write_page(
    *,
    study: Mapping,
    prompts: Sequence[Mapping],
    gallery: str,
    explorer: str,
    classifiers: Sequence[Mapping],
    tensors: Sequence[str],
    benchmarks: Mapping[str, Sequence[str]],
    verified: str | None,
    variants: Mapping | None = None,
    comparisons: Mapping | None = None,
    output: str,
    times_figure: str,
    style: Mapping,
) -> None:
    """Write the report to `output`; links in it are relative to its folder.

    study: `config`, `engines` (name -> title), `engine_note` and, if wanted, `title`. prompts: of each its
    `name`, `prompt`, `negative_prompt`, `template` (or None), `seed` and its `images` (name -> path). gallery: a PNG. explorer:
    the page on every image.
    classifiers: of each its `name`, `description`, `input` (`InputSpec.to_dict()`), the paths of
    its `architecture`, `confusion`, `metrics` (a table) and `reliability` (a figure), in a study with a map its `map`
    (`figure`, `places` and, if there are such, `duplicates` and `nearest`), `parity` (a list of `titles`, `table`, `figure`), `predictions`
    (engine -> table), `figures` (a list of `image` and `paths`) and `captions` (name of a figure ->
    how to read it); if known, `activations` (the paths of a `table` and a `figure`), `no_gradcam` (whether there is none, for want of a
    convolution), `accuracy` (0..1) and `batches` (engine -> predictions files). tensors: HDF5 files of all images. benchmarks:
    stage -> Snakemake's benchmark files, of which some may be missing. verified: a table of
    `verify`, if there is one. variants: in a study that has some the paths of `answers` (classifier -> table), `costs`,
    `axes` (figures) and `sheets` (prompt's name -> figure). comparisons: other study -> the paths of its comparison, by name. times_figure: a PNG that is drawn of the benchmarks. style: the fields of
    `Style`.
    """
    folder = Path(output).parent
    sources = read_sources(tensors)
    paths = {name: path for prompt in prompts for name, path in prompt["images"].items()}
    own = [name for name in sources if name not in paths]
    maps = {it["name"]: read_map(it["map"]) for it in classifiers if it.get("map")}
    pictured = [*chosen_for_thumbnails(prompts, own), *shown_images(list(maps.values()))]
    thumbnails = make_thumbnails(list(dict.fromkeys(pictured)), paths, sources)
    times = read_times(benchmarks)
    where_the_time_went.draw(times, Style(**style)).save(times_figure)
    environment = Environment(
        loader=PackageLoader("promptflux.report", "."),
        autoescape=True,
        finalize=tame_text,  # names, texts and paths are data
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "percent": percent,
        "engine": lambda name: study["engines"].get(name, name),
    }
    page = environment.get_template("page.html.j2").render(
        title=study.get("title") or "promptflux study",
        study=study,
        config=yaml.safe_dump(dict(study["config"]), sort_keys=False, allow_unicode=True, width=100),
        prompts=[{**prompt, "images": list(prompt["images"])} for prompt in prompts[:MOST_PROMPTS]],
        prompt_count=len(prompts),
        image_count=len(paths.keys() | sources.keys()),
        own_images={name: sources[name] for name in own},
        problems={name: source.problem for name, source in sources.items() if source.problem},
        marks={name: mark for name, path in paths.items() if (mark := read_mark(path))},
        thumbnails=thumbnails,
        image_folder=folder_of(next(iter(paths.items())), folder) if paths else None,
        explorer=link(explorer, folder),
        gallery=picture(gallery) | {"caption": gallery_caption(prompts)},
        classifiers=[
            classifier_section(classifier, folder) | {"map": shown_map(classifier, maps, folder)}
            for classifier in classifiers
        ],
        numbers=[
            read_numbers(it["name"], it["metrics"], list(study["engines"]))
            | {
                "table": link(it["metrics"], folder),
                "reliability": picture(it["reliability"]) | {"caption": reliability.CAPTION},
            }
            for it in classifiers
        ],
        times=times,
        times_figure=picture(times_figure) | {"caption": where_the_time_went.CAPTION},
        verified=read_verified(verified) if verified else None,
        comparisons=[
            read_comparison(other, files, lambda path: link(path, folder), picture)
            for other, files in (comparisons or {}).items()
        ],
        variants=shown_variants(variants, folder) if variants else None,
        made_with=common_provenance({name: paths[name] for name in thumbnails if name in paths}),
        versions=versions(),
        engines=engine_versions(classifiers),
    )
    with whole(output) as path:
        # A lone surrogate, from a file name that is not UTF-8, becomes a question mark.
        path.write_text(page, encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Source:
    """Where an image came from: its tensors file and row, (height, width), mode, problem."""

    tensors: str
    row: int
    size: tuple[int, int]
    mode: str
    problem: str


def read_sources(tensors: Sequence[str]) -> dict[str, Source]:
    """The source of each image, by name; of an image in several files, the one with the most detail."""
    sources: dict[str, Source] = {}
    detail: dict[str, int] = {}
    for path in tensors:
        with open_tensors(path) as file:
            values = int(np.prod(file.images.shape[1:]))
            facts = zip(file.names, file.source_size.tolist(), file.source_mode, file.problems, strict=True)
            for row, (name, size, mode, problem) in enumerate(facts):
                if values > detail.get(name, 0):
                    detail[name] = values
                    sources[name] = Source(path, row, tuple(size), mode, problem)
    return sources


def prompt_sections(rows: Sequence[Mapping], config: Mapping, results: Results) -> list[dict]:
    """What the page shows of each prompt, a row of the prompts table, from the results folder; see `write_page`."""
    variants = read_grid(config).variants
    seed, count = config["generator"]["seed"], config["generator"]["images_per_prompt"]
    return [
        {
            "name": prompt.name,
            "prompt": prompt.prompt,
            "negative_prompt": prompt.negative_prompt,
            "template": prompt.template,
            "seed": seed if prompt.seed is None else prompt.seed,
            "images": {image: results.image(image) for image in images_of_variants(prompt, count, variants)},
        }
        for prompt in (Prompt(**row) for row in rows)
    ]


def chosen_for_thumbnails(prompts: Sequence[Mapping], own: Sequence[str]) -> list[str]:
    """At most MOST_THUMBNAILS images: each prompt's first, each prompt's second, ..., then the user's own."""
    images = [list(prompt["images"]) for prompt in prompts[:MOST_PROMPTS]]
    turns = max(map(len, images), default=0)
    generated = [names[turn] for turn in range(turns) for names in images if turn < len(names)]
    # Half of the room is kept for the user's own images, if there are so many.
    room = max(MOST_THUMBNAILS - len(own), MOST_THUMBNAILS // 2)
    return (generated[:room] + list(own))[:MOST_THUMBNAILS]


def make_thumbnails(
    names: Sequence[str], paths: Mapping[str, str], sources: Mapping[str, Source]
) -> dict[str, dict]:
    """A small picture of each image, by name: `uri`, `width`, `height`.

    A generated image is shown as it is; a user's own, whose file is not known here, as its tensor shows it.
    """
    thumbnails = {}
    for name in names:
        small = thumbnail(paths[name], 160) if name in paths else None
        if small is None and name in sources:
            with open_tensors(sources[name].tensors) as file:
                pixels = displayed(file.images[sources[name].row], file.input)
            small = scaled(Image.fromarray((pixels * 255).round().astype(np.uint8)), 160)
        if small is not None:
            uri = data_uri(small, "WEBP", quality=82)
            thumbnails[name] = {"uri": uri, "width": small.width, "height": small.height}
    return thumbnails


def classifier_section(classifier: Mapping, folder: Path) -> dict:
    """What the page shows of a classifier."""
    drawn = classifier["figures"][:MOST_DRAWN_IMAGES]
    first = next(iter(classifier["figures"]), None)
    return {
        "name": classifier["name"],
        "description": classifier["description"],
        "input": input_sentence(InputSpec.from_dict(classifier["input"])),
        "accuracy": classifier.get("accuracy"),
        "architecture": Path(classifier["architecture"]).read_text(encoding="utf-8").strip(),
        "predictions": prediction_table(classifier["predictions"]),
        "tables": {engine: link(path, folder) for engine, path in classifier["predictions"].items()},
        "confusion": picture(classifier["confusion"]) | {"caption": confusion.CAPTION},
        "parity": [
            {
                "titles": part["titles"],
                **read_parity(part["table"]),
                "picture": picture(part["figure"]) | {"caption": parity.CAPTION},
            }
            for part in classifier["parity"]
        ],
        "figures": [
            {"image": entry["image"], "pictures": captioned(entry["paths"], classifier["captions"])}
            for entry in drawn
        ],
        "activations": {
            "sentence": dead_channels(classifier["activations"]["table"]),
            "table": link(classifier["activations"]["table"], folder),
            "picture": picture(classifier["activations"]["figure"]) | {"caption": activations.CAPTION},
        }
        if "activations" in classifier
        else None,
        "no_gradcam": classifier.get("no_gradcam", False),
        "drawn_count": len(classifier["figures"]),
        "figure_folder": folder_of((first["image"], first["paths"][0]), folder, levels=2) if first else None,
    }


def shown_map(classifier: Mapping, maps: Mapping[str, Mapping], folder: Path) -> dict | None:
    """What the page shows of where the images lie; None without a map. maps: the tables, see `read_map`."""
    if classifier["name"] not in maps:
        return None
    files = classifier["map"]
    return {
        **maps[classifier["name"]],
        "picture": picture(files["figure"]) | {"caption": map_of_images.CAPTION},
        "links": {what: link(path, folder) for what, path in files.items() if what != "figure"},
    }


def dead_channels(path: str) -> str:
    """Which channels a table of activations calls dead, in words."""
    found: dict[str, list[str]] = {}
    for layer, channel, *_, dead in islice(read_table(path), 1, None):
        if dead == "dead":
            found.setdefault(layer, []).append(channel)
    if not found:
        return "No channel is dead: each gives more than one value over the images of this study."
    layers = [
        f"{layer} ({listed(channels, MOST_DEAD)})" for layer, channels in islice(found.items(), MOST_DEAD)
    ]
    count = sum(map(len, found.values()))
    are = "1 channel is dead: it gives" if count == 1 else f"{count:,} channels are dead: they give"
    more = f", and in {len(found) - MOST_DEAD} more layers" if len(found) > MOST_DEAD else ""
    return f"{are} one value at every place of every image of this study, in {', '.join(layers)}{more}."


def listed(texts: Sequence[str], most: int) -> str:
    """The first of some texts, and how many more there are."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def shown_variants(variants: Mapping, folder: Path) -> dict:
    """What the page shows of the variants."""
    sheets = list(variants["sheets"].items())
    return {
        **read_variants(variants["answers"], variants["costs"]),
        "tables": {name: link(path, folder) for name, path in variants["answers"].items()},
        "costs": link(variants["costs"], folder),
        "axes": [picture(path) | {"caption": along_an_axis.CAPTION} for path in variants["axes"]],
        "sheets": [
            {"name": name, "picture": picture(path) | {"caption": variants_of_a_prompt.CAPTION}}
            for name, path in sheets[:MOST_SHEETS]
        ],
        "sheet_count": len(sheets),
        "sheet_folder": link(sheets[0][1], folder, parent=True),
    }


def tame_text(value: Any) -> Any:
    """What the page prints, if it is text, without control characters and towers of marks; markup stays markup."""
    return type(value)(tame(value)) if isinstance(value, str) else value


def prediction_table(tables: Mapping[str, str]) -> dict:
    """The first rows of the engines' tables side by side: `engines`, `rows` and the `count` of all rows.

    A row: `image`, `prompt`, `answers` (engine -> Prediction or None) and `next`, the runners-up.
    """
    engines = list(tables)
    read = {engine: read_predictions(path) for engine, path in tables.items()}
    first = {
        engine: {row.image: row for row in islice(rows, MOST_PREDICTIONS)} for engine, rows in read.items()
    }
    shown = list(first[engines[0]].values())
    rows = [
        {
            "image": row.image,
            "prompt": row.prompt,
            "answers": {engine: first[engine].get(row.image) for engine in engines},
            "next": runners_up(row),
        }
        for row in shown
    ]
    return {"engines": engines, "rows": rows, "count": len(shown) + sum(1 for _ in read[engines[0]])}


def runners_up(prediction: Prediction, count: int = 2) -> list[tuple[str, float]]:
    """The most probable labels after the predicted one."""
    others = [item for item in prediction.probabilities.items() if item[0] != prediction.predicted]
    return sorted(others, key=lambda item: -item[1])[:count]


def read_parity(path: str) -> dict:
    """The parity table: `header`, `rows`, and whether a verdict is FAIL."""
    header, *rows = read_table(path)
    return {"header": header, "rows": rows, "failed": any("FAIL" in row for row in rows)}


def read_verified(path: str) -> dict:
    """A table of `verify`: the `files`, how many are the `same` bytes, and the `rows` of the others, a few of them.

    `largest`, `mean`: of the differences of pixels, 0..255, over the images that differ; None without one.
    """
    rows = list(read_table(path))[1:]
    others = [row for row in rows if row[1] != "same bytes"]
    pixels = [row for row in others if row[0].endswith(".png") and len(row) > 3 and row[2]]
    return {
        "files": len(rows),
        "same": len(rows) - len(others),
        "rows": others[:MOST_DIFFERENCES],
        "others": len(others),
        "largest": max((float(row[2]) for row in pixels), default=None),
        "mean": float(np.mean([float(row[3]) for row in pixels])) if pixels else None,
    }


def gallery_caption(prompts: Sequence[Mapping]) -> str:
    """How to read the gallery of a study with these prompts."""
    return gallery_figure.CAPTION if prompts else gallery_figure.CAPTION_WITHOUT_PROMPTS


def captioned(paths: Sequence[str], captions: Mapping[str, str]) -> Iterator[dict]:
    """The figures of one image, each with a caption that says how to read it; captions: by the name of the file."""
    for path in paths:
        yield picture(path) | {"caption": captions[Path(path).stem]}


def picture(path: str) -> dict:
    """A figure, a PNG that knows its dpi, as part of the page: `uri`, and `width` and `height` in CSS pixels.

    An inch of it takes 93 of them. As WebP it takes a quarter of the room of its PNG.
    """
    with Image.open(path) as file:
        dpi = file.info["dpi"][0]
        image = file.convert("RGB")
    width, height = (round(side / dpi * 93) for side in image.size)
    if image.width > 2 * width:
        image = scaled(image, 2 * max(width, height))
    return {"uri": data_uri(image, "WEBP", quality=88, method=3), "width": width, "height": height}


def common_provenance(paths: Mapping[str, str]) -> dict:
    """What the images themselves, name -> path, say of how they were made.

    `settings`: key -> its value, or its values if they differ. `seeds`: (image, seed, size).
    """
    values: dict[str, Counter] = {}
    seeds = []
    for name, path in paths.items():
        provenance = read_provenance(path)
        recipe, made_with = provenance.get("recipe"), provenance.get("made_with")
        if not isinstance(recipe, dict) or not isinstance(made_with, dict):
            continue
        size = f"{made_with.get('width', '?')} × {made_with.get('height', '?')}"
        seeds.append((name, recipe.get("seed", ""), size))
        own = ("prompt", "negative_prompt", "seed", "model", "width", "height")
        settings = {key: value for key, value in recipe.items() if key not in own} | made_with
        settings["model digest"] = recipe.get("model")
        settings["width × height"] = size
        for key, value in settings.items():
            if value is not None and key not in ("width", "height", "template"):
                values.setdefault(key.replace("_", " "), Counter())[str(value)] += 1
    return {"settings": {key: list(counts)[:6] for key, counts in values.items()}, "seeds": seeds}


def versions() -> dict[str, str]:
    """Python and the packages that are installed where the report is written."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def engine_versions(classifiers: Sequence[Mapping]) -> dict[str, str]:
    """Engine -> what ran it, as its predictions files record it."""
    found = {}
    for classifier in classifiers:
        for engine, paths in classifier.get("batches", {}).items():
            if engine not in found and paths:
                with open_predictions(paths[0]) as file:
                    ran = file.attributes
                found[engine] = f"{ran['engine_version']}, {ran['language_version']}, on {ran['device']}"
    return found


def link(path: str, folder: Path, *, parent: bool = False, levels: int = 1) -> str:
    """A relative URL from the report's folder to a file, or to the folder `levels` above it."""
    target = Path(path).parents[levels - 1] if parent else Path(path)
    return quote(os.path.relpath(target, folder)) + ("/" if parent else "")


def folder_of(image: tuple[str, str], folder: Path, levels: int = 1) -> str:
    """A relative URL to the folder that holds the files of all images; image: the name of one, and a file of its own.

    levels: how far above the file that is, for an image that lies in no folder of a variant.
    """
    name, path = image
    return link(path, folder, parent=True, levels=levels + name.count("/"))


def percent(value: float) -> str:
    """A share of 1: 93.1%, but not 100.0% for what is less than 1."""
    if 0.9995 <= value < 1:
        return ">99.9%"
    return f"{value:.1%}"
