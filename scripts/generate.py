"""Create the images of one batch of prompts, `images/{name}_{k}.png`, and the list of their SHA-256 sums.

An image whose recorded recipe is what would be made anyway is kept as it is; the model is
loaded only if one is missing.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptflux.files.checksums import write_checksums
from promptflux.files.costs import read_costs, write_costs
from promptflux.files.whole import sha256_of_file
from promptflux.generation.generator import hub_entries
from promptflux.generation.hub import fetch
from promptflux.generation.loading import check_variants
from promptflux.generation.pipeline import make
from promptflux.generation.prompts import read_prompts
from promptflux.generation.recipe import marks, requests
from promptflux.paths import Results
from promptflux.runtime.job import note
from promptflux.script import run


def main(
    *,
    prompts: str,
    settings: Mapping,
    names: Sequence[str],
    checksums: str,
    costs: str | None = None,
    on_bad_image: str = "stop",
    fetches: bool = False,
) -> None:
    """Make the images `names`, each `{prompt}_{k}`, in the results that `checksums` lies in, and then this list.

    prompts: the prompts table. settings: `Generator.settings()`. costs: a table of what each image cost, which keeps
    the rows of images that are kept. on_bad_image: `stop`, or else an image that is no picture is marked. fetches: what is of the hub is fetched here, not
    by a job before. Each file is
    an 8-bit RGB PNG that holds its provenance (`promptflux.images.provenance`). Raises StudyError if the model cannot
    be loaded or cannot do what is asked.
    """
    results = Results.of(checksums)
    wanted = requests(prompts, settings, names, results)
    kept = {request: made for request in wanted if (made := request.kept(on_bad_image)) is not None}
    missing = [request for request in wanted if request not in kept]
    note(f"generate: {len(kept)} of {len(wanted)} images are there and kept, {len(missing)} to make")
    for request, made_with in kept.items():
        for text in marks(request, made_with):
            note(text)
    made = {}
    if missing and fetches:
        for entry in hub_entries(settings):
            fetch(entry)
    if missing:
        # Of all rows and variants, not of this batch alone: what a model cannot do is said before the first image.
        rows = read_prompts(prompts)
        check_variants(Path(results.generators), settings, rows)
        made = make(missing, settings, rows, on_bad_image)
    if costs:
        known = read_costs(costs)
        known |= {name: made[it.path] for name, it in zip(names, wanted, strict=True) if it.path in made}
        write_costs(costs, {name: known[name] for name in names if name in known})
    # The names in the list are relative to the folder above: `cd results && sha256sum -c checksums/*.sha256`.
    write_checksums(
        checksums, {results.name(request.path): sha256_of_file(request.path) for request in wanted}
    )


if "snakemake" in globals():
    if not snakemake.params.fetches:
        os.environ["HF_HUB_OFFLINE"] = "1"
    run(main, snakemake)
