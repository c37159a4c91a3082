"""Studies with images of known places, from the pictures to the map."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import features
import import_weights
import infer_torch
import map as map_script
import predictions
import preprocess
import pytest
from PIL import Image
from support.drawn_study import CLASSIFIER, STYLE
from support.specs import write_spec

from promptflux.classifiers.spec import load_spec
from promptflux.files.tables import read_table
from promptflux.metrics.truth import NONE_NAMED, OWN_IMAGES, PROMPT, Asked, write_truth
from promptflux.paths import Results

SETTINGS = {"method": "pca", "distance": 0.02, "pixels": 10.0, "neighbors": 2}


class Mapped:
    """A study below `folder` of `generated` images and the user's `own`, mapped; a batch has `size` images.

    settings: of the map. spec: changes of the small spec.
    """

    def __init__(
        self,
        folder: Path,
        generated: Mapping[str, Image.Image],
        own: Mapping[str, Image.Image],
        *,
        size: int = 100,
        micro_batch: int = 4,
        spec: Mapping | None = None,
        **settings,
    ):
        self.folder, self.results = folder, Results(f"{folder}/")
        for name, picture in generated.items():
            path = Path(self.results.image(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        self.own = {name: str(folder / f"{name}.png") for name in own}
        for name, picture in own.items():
            folder.mkdir(parents=True, exist_ok=True)
            if picture is not None:
                picture.save(self.own[name])
            else:
                Path(self.own[name]).write_text("no picture")
        self.spec = load_spec(write_spec(folder, CLASSIFIER, **(spec or {})))
        import_weights.main(
            spec=str(self.spec.path),
            model=self.results.model(CLASSIFIER, ".h5"),
            architecture=self.results.model(CLASSIFIER, ".txt"),
        )
        made, brought = self._batches(generated, size, "p"), self._batches(own, size, "i")
        for batch, names in (made | brought).items():
            self._look(batch, names, micro_batch)
        table = self.results.predictions_table(CLASSIFIER, "torch")
        files = [
            [self.results.predictions(CLASSIFIER, "torch", it) for it in part] for part in (made, brought)
        ]
        predictions.main(generated=files[0], own=files[1], table=table)
        asked = {name: Asked("city", PROMPT) for name in generated if "a_" in name}
        asked |= {name: Asked(None, OWN_IMAGES) for name in own}
        write_truth(
            self.results.truth(CLASSIFIER), {name: Asked(None, NONE_NAMED) for name in generated} | asked
        )
        self.batches = [*made, *brought]
        self.map(bool(generated), bool(generated) and bool(own), **settings)

    def _batches(self, names, size: int, prefix: str) -> dict[str, list[str]]:
        names = list(names)
        return {f"{prefix}{start}": names[start : start + size] for start in range(0, len(names), size)}

    def _look(self, batch: str, names: Sequence[str], micro_batch: int) -> None:
        tensors = self.results.tensors(self.spec.input.name, batch)
        preprocess.main(
            own=[self.own[name] for name in names if name in self.own],
            names=names,
            input_spec=self.spec.input.to_dict(),
            on_bad_image="test_pattern",
            tensors=tensors,
            threads=1,
        )
        common = {
            "tensors": tensors,
            "model": self.results.model(CLASSIFIER, ".h5"),
            "micro_batch": micro_batch,
            "threads": 1,
            "device": "cpu",
        }
        infer_torch.main(
            **common, layers_of=[], predictions=self.results.predictions(CLASSIFIER, "torch", batch)
        )
        features.main(**common, features=self.results.features(CLASSIFIER, batch))

    def map(self, duplicates: bool, nearest: bool, **settings) -> None:
        map_script.main(
            features=[self.results.features(CLASSIFIER, batch) for batch in self.batches],
            predictions=self.results.predictions_table(CLASSIFIER, "torch"),
            truth=self.results.truth(CLASSIFIER),
            own_images=[self.own[name] for name in sorted(self.own)],
            classifier=CLASSIFIER,
            **{**SETTINGS, **settings},
            places=self.results.map_table(CLASSIFIER),
            figure=self.results.map_figure(CLASSIFIER),
            duplicates=self.results.duplicates_table(CLASSIFIER) if duplicates else None,
            nearest_own=self.results.nearest_table(CLASSIFIER) if nearest else None,
            style=STYLE,
        )

    def table(self, what: str) -> list[list[str]]:
        """The rows of a table, `map`, `duplicates` or `nearest`, without its head."""
        return list(read_table(self.results(f"map/{CLASSIFIER}_{what}.tsv")))[1:]

    def bytes(self) -> dict[str, bytes]:
        """The files of the map."""
        return {path.name: path.read_bytes() for path in Path(self.results("map")).iterdir()}


@pytest.fixture
def mapped(tmp_path) -> Callable[..., Mapped]:
    """`mapped(generated, own)`: see Mapped."""

    def make(generated: Mapping, own: Mapping, name: str = "study", **changes) -> Mapped:
        return Mapped(tmp_path / name, generated, own, **changes)

    return make
