"""A finished study in Python: what was asked and made, as pandas frames and as arrays that are read where asked.

import promptflux

with promptflux.open_study("results") as study:
    study.images            # a row per image
    study.predictions       # a row per classifier, engine and image
    study.tensors["gray28"]["forest_1"]           # float32 [C, H, W]
    study.layers["cnn28"]["torch"]["conv1"][:4]   # float32 [4, C, H, W]
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
from PIL import Image

from promptflux.classifiers.description import Description
from promptflux.classifiers.weights import load_description
from promptflux.errors import StudyError, listed, plain, reason, shown
from promptflux.files.hdf5 import read_texts
from promptflux.files.predictions import PREDICTIONS
from promptflux.files.tables import Prediction, read_predictions
from promptflux.files.tensors import TENSORS
from promptflux.generation.prompts import Prompt
from promptflux.images.opening import open_rgb
from promptflux.metrics.table import Metric, read_metrics
from promptflux.metrics.truth import read_truth
from promptflux.opened.arrays import Lazily, LazyArray, OpenFiles
from promptflux.paths import HERE
from promptflux.study.finished import Finished, find_finished
from promptflux.study.image_folder import metadata

if TYPE_CHECKING:
    import pandas as pd

Value = TypeVar("Value")


def open_study(folder: str | Path = "results") -> "OpenStudy":
    """Open the finished study of a results folder, or of the folder that has one named `results`.

    Raises StudyError with a sentence for a folder that is no study, for one that is not finished, with what is missing,
    and for damaged files. Close it at the end, or open it with `with`; frames and arrays that were read stay.
    """
    return OpenStudy(find_finished(folder))


class OpenStudy:
    """A finished study.

    Frames are made when they are asked for, each time a new one. Arrays are `LazyArray`, [N, ...] in PyTorch's order.

    folder: of its results. config: as it was run, with all defaults. tensors: input -> float32 [N, C, H, W], what the
    classifiers got. logits, probabilities: classifier -> engine -> float32 [N, K]. layers: classifier -> engine -> layer
    -> float32 [M, C, H, W] or [M, K], what the layers that are kept give for the M images that have figures; samples: of
    the other layers 16,384 values of each image, float32 [M, 16384].
    """

    def __init__(self, finished: Finished):
        self._finished, self._files = finished, OpenFiles()
        self.folder = finished.folder
        self.config: dict[str, Any] = dict(finished.asked.config)
        self.tables = {name: list(engines) for name, engines in finished.tables.items()}
        self._batches = finished.batches
        self._order = [*finished.asked.images, *self.own_images]
        self._check_files()
        inputs = dict.fromkeys(description.input.name for description in self.descriptions.values())
        self.tensors = Lazily(list(inputs), self._tensors, "input")
        self.logits = self._of_engines(partial(self._outputs, "logits"))
        self.probabilities = self._of_engines(partial(self._outputs, "probabilities"))
        self.layers = self._of_engines(partial(self._layers, "layers"))
        self.samples = self._of_engines(partial(self._layers, "samples"))

    def __enter__(self) -> "OpenStudy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files; what was not read cannot be read any more."""
        self._files.close()

    def __repr__(self) -> str:
        seen_by = ", ".join(f"{name} in {' and '.join(engines)}" for name, engines in self.tables.items())
        prompts = len(self._finished.asked.prompts)
        return f"<study {plain(self.folder)}: {len(self._order):,} images, {prompts:,} prompts; {seen_by}>"

    # What it has, without a frame

    @cached_property
    def own_images(self) -> list[str]:
        """The names of the user's own images, in the order of the batches."""
        made = self._finished.asked.images
        return [image for images in self._batches.values() for image in images if image not in made]

    @property
    def labels(self) -> dict[str, list[str]]:
        """The labels of each classifier, in the order of its outputs."""
        return {name: list(description.labels) for name, description in self.descriptions.items()}

    @cached_property
    def descriptions(self) -> dict[str, Description]:
        """The network of each classifier: its input, its layers, its labels."""
        return {name: load_description(self._finished(HERE.model(name, ".h5"))) for name in self.tables}

    def said(self, classifier: str, engine: str | None = None) -> dict[str, Prediction]:
        """What a classifier says of each image, by the image's name. engine: the first that ran, if it is not named."""
        return {row.image: row for row in self._rows(classifier, engine or self.tables[classifier][0])}

    def truth(self, classifier: str) -> dict[str, str | None]:
        """The label that is asked of each image, for a classifier, by the image's name; None where none is known."""
        path = self._finished(HERE.truth(classifier))
        try:
            asked = {image: it.label for image, it in read_truth(path).items()}
            return {image: asked[image] for image in self._order}
        except (ValueError, OSError, KeyError) as error:
            raise StudyError(f"{plain(path)}: the table of truth is damaged ({reason(error)}).") from None

    def ran(self, classifier: str, engine: str) -> dict[str, str]:
        """What ran a classifier: engine_version, language_version, device, kernels, weights_sha256 and more."""
        file = self._predictions(classifier, engine, next(iter(self._batches)))
        return {key: str(value) for key, value in file.attrs.items() if key != "format"}

    def path(self, image: str) -> Path:
        """The file of a generated image. StudyError for a user's own, whose file the results do not know."""
        if image not in self._finished.asked.images:
            what = (
                "is the user's own; its file is not in the results"
                if image in self.own_images
                else "is unknown"
            )
            raise StudyError(f"{plain(self.folder)}: the image {shown(image)} {what}.")
        return self._finished(HERE.image(image))

    def picture(self, image: str) -> Image.Image:
        """A generated image, 8-bit RGB."""
        return open_rgb(self.path(image))[0]

    # Frames

    @property
    def prompts(self) -> "pd.DataFrame":
        """A row per prompt, by its name: prompt, negative_prompt, and what else the table may have, with missing values."""
        rows = [dataclasses.asdict(prompt) for prompt in self._finished.asked.prompts]
        frame = _pandas().DataFrame(rows, columns=[field.name for field in dataclasses.fields(Prompt)])
        return _whole(frame).set_index("name")

    @property
    def images(self) -> "pd.DataFrame":
        """A row per image, by its name.

        variant (in a study with some), prompt (its name, missing for a user's own image), number, text, seed of the
        image and the settings of the generator; sha256, height, width and mode of its file; problem: why a test
        pattern stands in for it, "" for most.
        """
        pd = _pandas()
        rows: dict[str, dict[str, Any]] = {image: {} for image in self._order}
        for row in metadata(self.config, self._finished.asked.prompts):
            image, text = row.pop("file_name").removesuffix(".png"), row.pop("prompt")
            row = {
                "variant": row.pop("variant"),
                "prompt": row.pop("name"),
                "number": row.pop("number"),
                "text": text,
            } | row
            rows[image] = {key: value for key, value in row.items() if key != "variant" or value}
        for batch in self._batches:
            file = self._file(HERE.tensors(next(iter(self.tensors)), batch), "tensors", TENSORS)
            columns = {name: _read(file, partial(_texts, name)) for name in SOURCES}
            sizes = _read(file, lambda file: file["source_size"][()].tolist())
            for place, name in enumerate(columns["names"]):
                height, width = sizes[place]
                rows[name] |= {
                    "sha256": columns["source_sha256"][place],
                    "height": height,
                    "width": width,
                    "mode": columns["source_mode"][place],
                    "problem": columns["problems"][place],
                }
        return _whole(pd.DataFrame.from_dict(rows, orient="index")).rename_axis("image")

    @property
    def predictions(self) -> "pd.DataFrame":
        """A row per classifier, engine and image.

        variant (in a study with some), prompt, predicted, confidence (0..1), asked: the label that is its truth for the
        classifier, and whether that is predicted, right; both missing where none is known.
        """
        has_variants = bool(self._finished.asked.grid.axes)
        truth = {classifier: self.truth(classifier) for classifier in self.tables}
        rows = [
            {
                "classifier": classifier,
                "engine": engine,
                "image": row.image,
                **({"variant": row.variant or None} if has_variants else {}),
                "prompt": row.prompt or None,
                "predicted": row.predicted,
                "confidence": row.confidence,
                "asked": truth[classifier][row.image],
                "right": row.predicted == truth[classifier][row.image]
                if truth[classifier][row.image]
                else None,
            }
            for classifier, engine, _ in self._finished.each_table()
            for row in self._rows(classifier, engine)
        ]
        return (
            _pandas()
            .DataFrame(rows)
            .astype(
                {"classifier": "category", "engine": "category", "predicted": "category", "right": "boolean"}
            )
        )

    @property
    def metrics(self) -> "pd.DataFrame":
        """A row per classifier and number: what, engine, variant, label, other, value, low, high, level, n, as docs/metrics.md says."""
        rows = [
            {"classifier": classifier, **dataclasses.asdict(it)}
            for classifier in self.tables
            for it in self._metrics(classifier)
        ]
        return _pandas().DataFrame(rows).astype({"low": float, "high": float, "level": float})

    # Reading

    def _metrics(self, classifier: str) -> list[Metric]:
        path = self._finished(HERE.metrics(classifier))
        try:
            return read_metrics(path)
        except (ValueError, TypeError, OSError) as error:
            raise StudyError(f"{plain(path)}: the table of metrics is damaged ({reason(error)}).") from None

    def _rows(self, classifier: str, engine: str) -> list[Prediction]:
        path = self._finished.tables[classifier][engine]
        try:
            return list(read_predictions(path))
        except (ValueError, TypeError, OSError) as error:
            raise StudyError(
                f"{plain(path)}: the table of predictions is damaged ({reason(error)})."
            ) from None

    def _check_files(self) -> None:
        """StudyError if one of the files with arrays is missing."""
        wanted = [
            HERE.predictions(classifier, engine, batch)
            for classifier, engine, _ in self._finished.each_table()
            for batch in self._batches
        ]
        self._missing(wanted)
        inputs = {description.input.name for description in self.descriptions.values()}
        self._missing([HERE.tensors(name, batch) for name in sorted(inputs) for batch in self._batches])

    def _missing(self, wanted: Sequence[str]) -> None:
        if missing := [HERE.name(file) for file in wanted if not self._finished(file).is_file()]:
            raise StudyError(
                f"{plain(self.folder)}: the study is not finished: {listed(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing; run snakemake there again."
            )

    def _file(self, file: str, what: str, format_: str) -> h5py.File:
        return self._files.get(self._finished(file), what, format_)

    def _predictions(self, classifier: str, engine: str, batch: str) -> h5py.File:
        return self._file(HERE.predictions(classifier, engine, batch), "predictions", PREDICTIONS)

    def _of_engines(self, make: Callable[[str, str], Any]) -> Mapping[str, Mapping[str, Any]]:
        return Lazily(
            list(self.tables),
            lambda classifier: Lazily(self.tables[classifier], partial(make, classifier), "engine"),
            "classifier",
        )

    def _tensors(self, input_name: str) -> LazyArray:
        files = [
            partial(self._file, HERE.tensors(input_name, batch), "tensors", TENSORS)
            for batch in self._batches
        ]
        return self._array(files, "images", "names", f"tensors {input_name}")

    def _outputs(self, what: str, classifier: str, engine: str) -> LazyArray:
        files = [partial(self._predictions, classifier, engine, batch) for batch in self._batches]
        return self._array(files, what, "names", f"{what} of {classifier} in {engine}")

    def _layers(self, group: str, classifier: str, engine: str) -> Mapping[str, LazyArray]:
        files = [partial(self._predictions, classifier, engine, batch) for batch in self._batches]
        files = [file for file in files if _read(file(), lambda it: len(it["layer_images"]))]
        names = (
            _read(
                files[0](), lambda it: [name for name in read_texts(it["layer_names"]) if name in it[group]]
            )
            if files
            else []
        )
        return Lazily(
            names,
            lambda layer: self._array(
                files, f"{group}/{layer}", "layer_images", f"{layer} of {classifier} in {engine}"
            ),
            "layer",
        )

    def _array(
        self, files: Sequence[Callable[[], h5py.File]], dataset: str, names: str, what: str
    ) -> LazyArray:
        return LazyArray(
            [partial(_dataset, file, dataset) for file in files],
            [_read(file(), partial(_texts, names)) for file in files],
            self._order,
            what,
        )


WHOLE = (
    "number",
    "images",
    "seed",
    "image_seed",
    "height",
    "width",
)  # numbers, of which some images have none
SOURCES = ("names", "source_sha256", "source_mode", "problems")  # of a tensors file


def _read(file: h5py.File, reading: Callable[[h5py.File], Value]) -> Value:
    """What is read of a file; whatever a damaged one makes of it is a StudyError."""
    try:
        return reading(file)
    except (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{plain(file.filename)}: it is damaged or of another version ({reason(error)})."
        ) from None


def _texts(name: str, file: h5py.File) -> list[str]:
    return read_texts(file[name])


def _dataset(file: Callable[[], h5py.File], name: str) -> h5py.Dataset:
    return _read(file(), lambda it: it[name])


def _whole(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.astype({column: "Int64" for column in WHOLE if column in frame})


def _pandas() -> Any:
    """pandas, where a frame is asked for. StudyError if it is not there."""
    try:
        import pandas
    except ModuleNotFoundError:
        raise StudyError("frames are made by pandas, which is not there: pip install pandas.") from None
    return pandas
