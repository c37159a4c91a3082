"""Create the map of a study's images as a classifier sees them, and the tables of which lie near each other."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from promptflux.figures.of_study.map_of_images import OWN, draw
from promptflux.figures.sheet import Style
from promptflux.files.tables import Prediction, read_predictions
from promptflux.files.whole import whole
from promptflux.generation.prompts import parts_of_image
from promptflux.map.neighbors import MOST_PAIRS, Pair, near_duplicates, nearest
from promptflux.map.pictures import Pictures
from promptflux.map.projection import Projection, project
from promptflux.map.rows import Rows, read_rows
from promptflux.metrics.truth import read_truth
from promptflux.paths import Results
from promptflux.runtime.job import note
from promptflux.script import run


def main(
    *,
    features: Sequence[str],
    predictions: str,
    truth: str,
    own_images: Sequence[str],
    classifier: str,
    method: str,
    distance: float,
    pixels: float,
    neighbors: int,
    places: str,
    figure: str,
    duplicates: str | None = None,
    nearest_own: str | None = None,
    style: Mapping,
) -> None:
    """Write where each image lies to `places`, the map to `figure`, and the tables of what lies near each other.

    features: the files of all batches. predictions: a table of one engine, whose order the images have here. truth: what is asked of each. own_images:
    the user's own files, in the order of their names. method: "pca" or "umap". duplicates: of the generated images the
    pairs whose features are at most `distance` apart (1 − cosine), and their pixels at most `pixels` (of 255, see `Pictures`).
    nearest_own: of each generated image the `neighbors` own ones with the nearest features. An image that a test pattern
    stands in for is in none of them. style: the fields of `Style`.
    """
    said = {row.image: row for row in read_predictions(predictions)}
    own_names = [row.image for row in said.values() if not row.prompt]
    files = dict(zip(own_names, own_images, strict=True))
    results = Results.of(places)
    rows, problems = read_rows(features, list(said))
    if problems:
        many = f"{len(problems)} test patterns are" if len(problems) > 1 else "1 test pattern is"
        note(f"{classifier}: {many} left out of the map")
    generated = [row for row, name in enumerate(rows.names) if said[name].prompt]
    own = [row for row, name in enumerate(rows.names) if not said[name].prompt]
    pictures = Pictures(lambda name: files.get(name) or results.image(name))
    if duplicates:
        pairs, more = near_duplicates(rows, generated, pictures, distance, pixels)
        lines = [[pair.one, pair.other, *numbers(pair), shared(pair)] for pair in pairs]
        write(duplicates, ["image", "other", "distance", "pixels", "same"], lines)
        many = "1 pair" if len(pairs) == 1 else f"{len(pairs):,} pairs"
        note(f"{classifier}: {many} of near-duplicates among {len(generated):,} generated images")
        if more:
            note(
                f"warning: there are more; the table has the first {MOST_PAIRS:,}, in the order of the images."
            )
    if nearest_own:
        write(
            nearest_own,
            ["image", "place", "own", "distance", "pixels"],
            nearest_lines(rows, generated, own, neighbors, pictures, distance),
        )
    found = project(rows, method)
    asked = {name: it.label or "" for name, it in read_truth(truth).items()}
    write_places(places, rows, said, asked, found)
    draw_map(figure, classifier, rows, said, asked, found, Style(**style))


def numbers(pair: Pair) -> list[str]:
    """The distances of a pair as the tables have them; no pixels where they were not compared."""
    return [f"{pair.distance:.6f}", "" if pair.pixels is None else f"{pair.pixels:.2f}"]


def shared(pair: Pair) -> str:
    """What two generated images were made of alike: "prompt and seed" (in two variants), "prompt" or ""."""
    _, prompt, k = parts_of_image(pair.one)
    _, other_prompt, other_k = parts_of_image(pair.other)
    if prompt != other_prompt:
        return ""
    return "prompt and seed" if k == other_k else "prompt"


def nearest_lines(
    rows: Rows, generated: Sequence[int], own: Sequence[int], count: int, pictures: Pictures, distance: float
) -> Iterable[list[str]]:
    """The lines of the table of nearest own images; pixels are compared where features are at most `distance` apart."""
    for name, found in nearest(rows, generated, own, count):
        for place, (other, apart) in enumerate(found, start=1):
            by_pixels = round(pictures.difference(name, other), 2) if apart <= distance else None
            yield [name, str(place), other, *numbers(Pair(name, other, apart, by_pixels))]


def write(path: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Write a table."""
    with whole(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.writelines("\t".join(cells) + "\n" for cells in chain([header], lines))


def write_places(
    path: str, rows: Rows, said: Mapping[str, Prediction], asked: Mapping[str, str], found: Projection
) -> None:
    """Write a row for each image: its variant in a study that has some, prompt, label asked, label predicted, and place."""
    has_variants = any(row.variant for row in said.values())
    axes = [f"{'umap' if found.shares is None else 'pca'}_{number}" for number in (1, 2)]
    lines = []
    for name, place in zip(rows.names, found.places.tolist(), strict=True):
        row = said[name]
        variant = [row.variant] if has_variants else []
        lines.append(
            [name, *variant, row.prompt, asked[name], row.predicted, *(f"{value:.10g}" for value in place)]
        )
    header = ["image", *(["variant"] if has_variants else []), "prompt", "asked", "predicted", *axes]
    write(path, header, lines)


def draw_map(
    path: str,
    classifier: str,
    rows: Rows,
    said: Mapping[str, Prediction],
    asked: Mapping[str, str],
    found: Projection,
    style: Style,
) -> None:
    """Draw the map, colored by prompt, variant, and label, asked and predicted, as far as the study has them."""
    told = [said[name] for name in rows.names]
    panels = {}
    if any(row.prompt for row in told):
        panels["by prompt"] = [row.prompt or OWN for row in told]
    if any(row.variant for row in told):
        panels["by variant"] = [row.variant or OWN for row in told]
    if any(asked[name] for name in rows.names):
        panels["by the label asked"] = [asked[row.image] or ("" if row.prompt else OWN) for row in told]
    panels["by the label seen"] = [row.predicted for row in told]
    labels = ("by the label asked", "by the label seen")
    if found.shares is None:
        axes = ("UMAP 1", "UMAP 2")
    else:
        axes = tuple(
            f"component {number} ({share:.0%} of the variance)"
            for number, share in enumerate(found.shares, start=1)
        )
    count, width = rows.values.shape
    subtitle = f"{found.method} of the {width:,} values that {rows.layer} gives of {count:,} image{'s' * (count != 1)}"
    own = [not row.prompt for row in told]
    draw(
        found.places, panels, own, axes, f"{classifier}: where the images lie", subtitle, style, labels
    ).save(path)


if "snakemake" in globals():
    run(main, snakemake)
