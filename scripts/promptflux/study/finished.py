"""A finished study, as its results folder tells of it: what was asked, and that all that it made is there.

Without NumPy and HDF5, as planning looks at the studies that `compare` names.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from promptflux.documents import read_text
from promptflux.errors import StudyError, listed, plain
from promptflux.files.batches import read_batches
from promptflux.files.checksums import read_checksums
from promptflux.files.whole import sha256_of_file
from promptflux.generation.prompts import Prompt, images_of_variants
from promptflux.paths import HERE
from promptflux.study.variants import Grid, read_grid

MOST_RECORD = 50_000_000  # bytes of a record; 10,000 prompts take two or three millions
# The names of a classifier and an engine in a manifest, which may be anybody's.
TABLE = re.compile(r"predictions/[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_-]*\.tsv")
RECORDS = (HERE.study, HERE.manifest, HERE.batches)  # what the rule record makes, at the end
# Of which one tells that a folder has results of a study.
SIGNS = ("images", "tensors", "predictions", "requests", "made", "models")


@dataclass(frozen=True)
class Asked:
    """What a study asked for: its config, and its prompts in their order."""

    config: Mapping[str, Any]
    prompts: Sequence[Prompt]

    @cached_property
    def grid(self) -> Grid:
        return read_grid(self.config)

    @cached_property
    def images(self) -> dict[str, Prompt]:
        """The prompt of each generated image, by its name, in the order of the prompts."""
        count = self.config["generator"]["images_per_prompt"]
        return {
            image: prompt
            for prompt in self.prompts
            for image in images_of_variants(prompt, count, self.grid.variants)
        }


def read_asked(record: str | Path, what: str = "record of the study") -> Asked:
    """What the record of a study says, its study.json. StudyError, which calls it `what`, if it is damaged.

    A prompt of another version has this version's columns, others are left out.
    """
    text = read_text(record, what, MOST_RECORD)
    try:
        content = json.loads(text)
        columns = {field.name for field in dataclasses.fields(Prompt)}
        prompts = [
            Prompt(**{column: value for column, value in row.items() if column in columns})
            for row in content["prompts"]
        ]
        asked = Asked(dict(content["config"]), prompts)
        if not all(isinstance(prompt.name, str) and isinstance(prompt.prompt, str) for prompt in prompts):
            raise TypeError
        asked.grid, asked.images  # noqa: B018, or an error where the config does not tell them
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StudyError):
        raise StudyError(f"{plain(record)}: the {what} is damaged, or of another version.") from None
    return asked


@dataclass(frozen=True)
class Finished:
    """A finished study.

    folder: of its results, whatever it is called. tables: classifier -> engine -> the table of its predictions; the
    engines in the order in which they are shown. batches: the images of each batch. sums: the SHA-256 of each image and table, by its name in the results.
    """

    folder: Path
    asked: Asked
    tables: Mapping[str, Mapping[str, Path]]
    batches: Mapping[str, Sequence[str]]
    sums: Mapping[str, str]

    def __call__(self, file: str) -> Path:
        """Where a file lies that `Results` names."""
        return self.folder / HERE.name(file)

    def records(self) -> list[Path]:
        """The files that its results are known by: who has them, has what was asked and the sums of what was made."""
        return [self(file) for file in (*RECORDS, *self._of_classifiers())]

    def _of_classifiers(self) -> Iterator[str]:
        for classifier in self.tables:
            yield from (HERE.model(classifier, ".h5"), HERE.truth(classifier), HERE.metrics(classifier))

    def each_table(self) -> Iterator[tuple[str, str, Path]]:
        """Each classifier and engine, and the table of their predictions."""
        for classifier, engines in self.tables.items():
            for engine, path in engines.items():
                yield classifier, engine, path


def find_finished(folder: str | Path) -> Finished:
    """The finished study of a results folder, or of the folder that has one named `results`.

    Raises StudyError for a folder that is none, for a study that is not finished, with what is missing, and where a
    record or a table is damaged or another than was recorded.
    """
    results = results_of(folder)
    missing = [name for name in map(HERE.name, RECORDS) if not (results / name).is_file()]
    if missing and not any((results / sign).exists() for sign in SIGNS):
        raise StudyError(
            f"{plain(folder)}: there are no results of a study in this folder; name the results folder of a run."
        )
    if missing:
        raise _unfinished(results, missing)
    asked = read_asked(results / HERE.name(HERE.study))
    sums = read_checksums(results / HERE.name(HERE.manifest))
    images = [HERE.name(HERE.image(image)) for image in asked.images]
    if unknown := [name for name in images if name not in sums]:
        raise StudyError(
            f"{plain(results)}: study.json and manifest.sha256 are not of one run, as the manifest has no "
            f"{listed(unknown)}; run snakemake there again."
        )
    tables: dict[str, dict[str, Path]] = {}
    for name in filter(TABLE.fullmatch, sums):
        _, classifier, file = name.split("/")
        tables.setdefault(classifier, {})[file.removesuffix(".tsv")] = results / name
    batches = read_batches(results / HERE.name(HERE.batches))
    study = Finished(results, asked, tables, batches, sums)
    found = {
        f"predictions/{classifier}/{engine}.tsv": path for classifier, engine, path in study.each_table()
    }
    wanted = [*images, *found, *(str(path.relative_to(results)) for path in study.records())]
    if missing := [name for name in wanted if not (results / name).is_file()]:
        raise _unfinished(results, missing)
    if changed := [name for name, path in found.items() if sha256_of_file(path) != sums[name]]:
        raise StudyError(
            f"{plain(results)}: the study is not finished, or its files were changed: {listed(changed)} "
            f"{'is' if len(changed) == 1 else 'are'} not what manifest.sha256 says; run snakemake there again."
        )
    if not tables:
        raise StudyError(
            f"{plain(results)}: manifest.sha256 names no table of predictions; run snakemake there again."
        )
    return study


def _unfinished(results: Path, missing: Sequence[str]) -> StudyError:
    return StudyError(
        f"{plain(results)}: the study is not finished: {listed(missing)} {'is' if len(missing) == 1 else 'are'} "
        f"missing; run snakemake there again."
    )


def results_of(folder: str | Path) -> Path:
    """The results folder that is meant: the folder itself, or the one named `results` in it. StudyError if there is none."""
    path = Path(folder)
    try:
        if not path.is_dir():
            what = "a file, and no folder" if path.exists() else "not there"
            raise StudyError(f"{plain(folder)}: the results folder is {what}; name that of a finished run.")
        own = any((path / HERE.name(file)).exists() for file in RECORDS)
        return path / "results" if not own and (path / "results").is_dir() else path
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise StudyError(f"{plain(folder)}: the results folder cannot be read ({error.strerror}).") from None
