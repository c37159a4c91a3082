"""The stages of a study, in the order of the flow: what people call them, and their jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promptflux.study.engines import ENGINES, REFERENCE, Engine
from promptflux.study.exports import EXPORTS
from promptflux.study.study import Study

Jobs = Callable[[Study, Sequence[Engine]], list[str]]


@dataclass(frozen=True)
class Stage:
    """A stage. title: for people. jobs: the names of its jobs in a study, as `Results.benchmark` takes them."""

    title: str
    jobs: Jobs


def _fetch(study: Study, engines: Sequence[Engine]) -> list[str]:
    return [f"fetch_model/{name}" for name in study.of_the_hub]


def _generate(study: Study, engines: Sequence[Engine]) -> list[str]:
    return [f"generate/{batch}" for batch in study.prompts_of]


def _preprocess(study: Study, engines: Sequence[Engine]) -> list[str]:
    return [f"preprocess/{name}/{batch}" for name in study.inputs for batch in study.image_batches]


def _models(study: Study, engines: Sequence[Engine]) -> list[str]:
    flux = ENGINES["flux"] in engines or any(EXPORTS[name].of == "flux" for name in study.config["export"])
    rules = ["import_weights", *(["export_bson"] if flux else [])]
    return [f"{rule}/{name}" for rule in rules for name in study.classifiers]


def _export(study: Study, engines: Sequence[Engine]) -> list[str]:
    names = [name for name in study.config["export"] if not EXPORTS[name].is_model]
    return [f"export/{classifier}/{name}" for classifier in study.classifiers for name in names]


def _infer(engine: Engine) -> Jobs:
    return lambda study, engines: [
        f"{engine.stage}/{name}/{batch}"
        for name in study.classifiers
        for batch in study.image_batches
        if engine in engines
    ]


def _explain(study: Study, engines: Sequence[Engine]) -> list[str]:
    batches = [batch for batch in study.image_batches if study.explained_in(batch)]
    return [
        f"{engine.explain}/{name}/{batch}"
        for engine in engines
        for name in study.classifiers
        for batch in batches
    ]


def _parity(study: Study, engines: Sequence[Engine]) -> list[str]:
    return [f"parity/{name}/{engine.name}" for name in study.classifiers for engine in compared(engines)]


def _features(study: Study, engines: Sequence[Engine]) -> list[str]:
    batches = study.image_batches if study.config["map"] else []
    return [f"features/{name}/{batch}" for name in study.classifiers for batch in batches]


def _map(study: Study, engines: Sequence[Engine]) -> list[str]:
    return [f"map/{name}" for name in study.classifiers if study.config["map"]]


def _metrics(study: Study, engines: Sequence[Engine]) -> list[str]:
    return ["metrics"]


def _figures(study: Study, engines: Sequence[Engine]) -> list[str]:
    batches = [batch for batch in study.image_batches if study.chosen_in(batch)]
    sheets = study.prompt_batches if study.has_variants else []
    return [
        "gallery",
        *(f"sheets/{batch}" for batch in sheets),
        *(f"figures/{name}/{batch}" for name in study.classifiers for batch in batches),
    ]


def compared(engines: Sequence[Engine]) -> list[Engine]:
    """The engines that are held to the reference, if that runs, too."""
    return [engine for engine in engines if engine != REFERENCE] if REFERENCE in engines else []


STAGES = {
    "fetch": Stage("Fetching the model", _fetch),
    "generate": Stage("Generating the images", _generate),
    "preprocess": Stage("Preprocessing", _preprocess),
    "models": Stage("Reading the classifiers", _models),
    "export": Stage("Exporting the classifiers", _export),
    **{engine.stage: Stage(f"Inference in {engine.title}", _infer(engine)) for engine in ENGINES.values()},
    "explain": Stage("Explaining the answers", _explain),
    "parity": Stage("Comparing the engines", _parity),
    "features": Stage("Keeping the layer before the last", _features),
    "map": Stage("Mapping the images", _map),
    "metrics": Stage("Counting what is right", _metrics),
    "figures": Stage("Drawing the figures", _figures),
}
