"""What a pack says of itself: an RO-Crate, https://www.researchobject.org/ro-crate/specification.html

Every file with what it is; the study's metrics and settings; and how it was made: an action for each stage, with the software
that ran, what it took and what it gave. No action has a time, as the results have none.
"""

import hashlib
import json
import mimetypes
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, CreativeWork, File, Person, SoftwareApplication
from rocrate.rocrate import ROCrate

from promptflux.errors import StudyError, plain
from promptflux.metrics.table import read_metrics
from promptflux.opened.pack import BROUGHT, INPUTS, METADATA, RECIPES, RESULTS, STUDY, Input
from promptflux.paths import HERE
from promptflux.study.finished import Finished

# Who the software is, for engines by their names.
HOMES = {
    "promptflux": ("promptflux, a workflow of Snakemake", "https://snakemake.github.io"),
    "flux": ("Flux", "https://fluxml.ai"),
    "torch": ("PyTorch", "https://pytorch.org"),
}
# What the files of the results are, by the beginnings of their names.
ABOUT = {
    f"{RESULTS}/predictions/": "What a classifier says of each image: label, confidence and the probability of every label",
    f"{RESULTS}/metrics/": "How well a classifier sees what was asked, with intervals",
    f"{RESULTS}/truth/": "The label that is asked of each image",
    f"{RESULTS}/parity/": "Flux beside PyTorch, layer by layer",
    f"{RESULTS}/manifest.sha256": "The SHA-256 of each image and each table of predictions",
    f"{RESULTS}/study.json": "The config and the prompts, as they were run",
    f"{RESULTS}/report.html": "The report: everything in one page",
    f"{RESULTS}/explorer.html": "The explorer: every image, with links to its files where these are there",
    f"{RESULTS}/images/metadata.jsonl": "What was asked of each image",
    f"{STUDY}/config.yaml": "The config of the study, with every default",
    f"{STUDY}/prompts.tsv": "The prompts",
    INPUTS: "Each file that the study read, its SHA-256 and whether it is in the pack",
    RECIPES: "What each image is a function of, and what it was made with",
    "environment/": "Versions, and what environments are made of",
}
MEDIA = {
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
    ".jsonl": "application/jsonl",
    ".sha256": "text/plain",
}


def describe(
    study: Finished,
    files: Mapping[str, Path | bytes],
    inputs: list[Input],
    *,
    name: str,
    description: str,
    authors: list[str],
    license_url: str | None,
) -> bytes:
    """The metadata of a pack of `files`, UTF-8 JSON-LD. The same files and words make the same bytes."""
    crate = ROCrate()
    root = crate.root_dataset
    crate.name, crate.description = name, description
    crate.datePublished = _date(study)
    root["keywords"] = "diffusion models, image classification, reproducibility"
    license_id = license_url or "#no-license"
    crate.license = crate.add(
        CreativeWork(
            crate,
            license_id,
            properties={
                "name": license_url or "No license is stated",
                "description": "The license of this study"
                if license_url
                else "Ask its authors before you use it",
            },
        )
    )
    people = [crate.add(_person(crate, author)) for author in authors]
    if people:
        root["author"] = _plain(people)
        root["publisher"] = people[0]
    entities = {file: _file(crate, file, content) for file, content in files.items()}
    brought = [
        crate.add(
            ContextEntity(
                crate,
                f"#input-{it.sha256[:16]}",
                properties={
                    "@type": "CreativeWork",
                    "name": Path(it.file).name,
                    "sha256": it.sha256,
                    "description": "Read by the study, and not in this crate",
                },
            )
        )
        for it in inputs
        if it.where == BROUGHT
    ]
    if brought:
        root["isBasedOn"] = _plain(brought)
    if measured := _metrics(crate, study):
        root["variableMeasured"] = _plain(measured)
    _actions(crate, study, entities, json.loads(bytes(files["environment/versions.json"])))
    graph = crate.metadata.generate()
    graph["@graph"].sort(key=lambda entity: (entity["@id"] != METADATA, entity["@id"] != "./", entity["@id"]))
    return (json.dumps(graph, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _person(crate: ROCrate, author: str) -> Person:
    """An author, "Ada Lovelace" or "Ada Lovelace https://orcid.org/0000-0001-2345-6789"."""
    name, _, orcid = author.rpartition(" ")
    if name and orcid.startswith("https://orcid.org/"):
        return Person(crate, orcid, properties={"name": name})
    return Person(crate, f"#{author.replace(' ', '-')}", properties={"name": author})


def _date(study: Finished) -> str:
    """The day on which the study was finished, which a copy with its times keeps; or SOURCE_DATE_EPOCH, where that is set.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    told = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        seconds = int(told) if told is not None else int(study(HERE.study).stat().st_mtime)
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        raise StudyError(f"SOURCE_DATE_EPOCH is {plain(told)}; it must be seconds since 1970.") from None


def _file(crate: ROCrate, name: str, content: Path | bytes) -> File:
    data = content if isinstance(content, bytes) else content.read_bytes()
    about = next((text for start, text in ABOUT.items() if name.startswith(start)), None)
    suffix = Path(name).suffix
    properties: dict[str, Any] = {
        "name": Path(name).name,
        "description": about
        or ("A file of the study's own" if name.startswith(f"{STUDY}/") else "A result of the study"),
        "contentSize": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "encodingFormat": MEDIA.get(suffix) or mimetypes.types_map.get(suffix, "text/plain"),
    }
    return crate.add(File(crate, dest_path=name, properties=properties))


def _metrics(crate: ROCrate, study: Finished) -> list[Any]:
    """The shares that are right, of all images and of each variant, as values of the study."""
    found: list[Any] = []
    for classifier in study.tables:
        for it in read_metrics(study(HERE.metrics(classifier))):
            if it.what != "right" or it.label or it.other:
                continue
            of = f" of {it.variant}" if it.variant else ""
            properties = {
                "@type": "PropertyValue",
                "name": f"{classifier} in {it.engine}: share right{of}, of {it.n} images",
                "value": it.value,
                **({"minValue": it.low, "maxValue": it.high} if it.low is not None else {}),
            }
            place = f"#metric-{classifier}-{it.engine}-{len(found) + 1}"
            found.append(crate.add(ContextEntity(crate, place, properties=properties)))
    return found


def _actions(
    crate: ROCrate, study: Finished, entities: Mapping[str, File], versions: Mapping[str, Any]
) -> None:
    """How it was made: the images, what each classifier says of them in each engine, and what is right of that."""
    software = {"promptflux": _software(crate, "promptflux", versions["promptflux"])}
    asked = [entities[file] for file in (f"{STUDY}/config.yaml", f"{STUDY}/prompts.tsv") if file in entities]
    manifest = entities[f"{RESULTS}/manifest.sha256"]
    actions = []

    def act(place: str, name: str, told: str, by: str, taken: list[Any], given: list[Any]) -> None:
        properties = {"@type": "CreateAction", "name": name, "description": told}
        action = crate.add(ContextEntity(crate, place, properties=properties))
        action["instrument"], action["object"], action["result"] = software[by], _plain(taken), _plain(given)
        actions.append(action)

    if made := versions["images"]:
        told = ", ".join(f"{key} {value}" for key, value in made.items() if isinstance(value, str))
        results = [entities[RECIPES], manifest]
        act("#generate", "Generating the images", f"Made with {told}", "promptflux", asked, results)
    for classifier, engine, _ in study.each_table():
        ran = versions["classifiers"][f"{classifier}/{engine}"]
        if engine not in software:
            software[engine] = _software(crate, engine, f"{ran['engine_version']}, {ran['language_version']}")
        told = f"On {ran['device']}, weights with the SHA-256 {ran['weights_sha256']}"
        table = entities[f"{RESULTS}/predictions/{classifier}/{engine}.tsv"]
        act(
            f"#infer-{classifier}-{engine}",
            f"Running {classifier} in {engine}",
            told,
            engine,
            [manifest],
            [table],
        )
    for classifier in study.tables:
        start = f"{RESULTS}/predictions/{classifier}/"
        tables = [entity for file, entity in entities.items() if file.startswith(start)]
        result = entities[f"{RESULTS}/metrics/{classifier}.tsv"]
        told = f"What {classifier} says beside what was asked"
        act(f"#metrics-{classifier}", "Counting what is right", told, "promptflux", tables, [result])
    crate.root_dataset["mentions"] = _plain(actions)


def _software(crate: ROCrate, name: str, version: str) -> SoftwareApplication:
    title, url = HOMES.get(name, (name, HOMES["promptflux"][1]))
    properties = {"name": title, "version": version, "url": url}
    return crate.add(SoftwareApplication(crate, f"#{name}", properties=properties))


def _plain(entities: list[Any]) -> Any:
    """One entity alone, or a list of several, as the specification wants it."""
    return entities[0] if len(entities) == 1 else entities
