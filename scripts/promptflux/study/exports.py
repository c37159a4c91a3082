"""The formats that a classifier is exported in, for others."""

from collections.abc import Sequence
from dataclasses import dataclass

from promptflux.errors import StudyError
from promptflux.paths import Results
from promptflux.study.engines import ENGINES, Found


@dataclass(frozen=True)
class Export:
    """A format. name: in the config, and of the suffix. of: the engine whose model file it is made of."""

    name: str
    of: str

    @property
    def is_model(self) -> bool:
        """Whether it is the engine's model file itself."""
        return ENGINES[self.of].model == f".{self.name}"

    def file(self, results: Results, classifier: str) -> str:
        if self.is_model:
            return results.model(classifier, ENGINES[self.of].model)
        return results.export(classifier, self.name)


EXPORTS = {
    export.name: export
    for export in (
        Export("bson", "flux"),
        Export("jld2", "flux"),
        Export("safetensors", "torch"),
        Export("onnx", "torch"),
    )
}


def asks_for_flux(engines: str | Sequence[str], exports: Sequence[str]) -> bool:
    """Whether `engines` and `export` of config.yaml leave anything to Flux; what they do not, need not be looked for."""
    return engines == "auto" or "flux" in engines or any(EXPORTS[name].of == "flux" for name in exports)


def check_exports(wanted: Sequence[str], flux: Found) -> None:
    """Raise StudyError if a format of `export` needs Flux, which is not found."""
    is_found, detail = flux
    missing = [name for name in wanted if EXPORTS[name].of == "flux" and not is_found]
    if missing:
        raise StudyError(f"config.yaml: export asks for {' and '.join(missing)}, made by Flux, but {detail}")


def exports_schema() -> dict:
    """What `export` of config.yaml may be."""
    return {
        "description": f"a list of {', '.join(EXPORTS)}, [] for none",
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": list(EXPORTS)},
    }
