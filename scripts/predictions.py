"""Create the table of a classifier's predictions: one row per image, one column per label."""

from collections.abc import Sequence

from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.whole import whole
from promptflux.generation.prompts import parts_of_image
from promptflux.script import run


def main(*, generated: Sequence[str], own: Sequence[str], table: str) -> None:
    """Gather predictions files into one table: of generated images `{prompt}_{k}`, then of the user's own.

    The rows are sorted by prompt and k, then by name, so that the batches leave no trace.
    Columns: image, in a study with variants the variant, prompt (both "" for a user's own), predicted,
    confidence (the probability of the predicted label), then the probability of each label, 0..1 with six
    decimals. Raises StudyError if the files have different labels.
    """
    header: list[str] = []
    rows: list[tuple] = []
    has_variants = False
    for path in [*generated, *own]:
        with open_predictions(path) as batch:
            if header and batch.labels != header:
                first = [*generated, *own][0]
                raise StudyError(f"{path}: its labels differ from those of {first}; make both anew.")
            header = batch.labels
            # The largest logit: probabilities near 1 round to equal floats sooner.
            best = batch.logits.argmax(axis=1)
            for name, index, probabilities in zip(batch.names, best, batch.probabilities, strict=True):
                values = [f"{value:.6f}" for value in (probabilities[index], *probabilities)]
                variant, prompt, k = parts_of_image(name) if path in generated else ("", "", 0)
                has_variants |= bool(variant)
                place = (not prompt, prompt, k, name)
                rows.append((place, [name, variant, prompt, batch.labels[index], *values]))
    lines = [cells for _, cells in sorted(rows)]
    lines.insert(0, ["image", "variant", "prompt", "predicted", "confidence", *header])
    with whole(table) as partial:
        kept = lines if has_variants else [[cells[0], *cells[2:]] for cells in lines]
        text = "".join("\t".join(cells) + "\n" for cells in kept)
        partial.write_text(text, encoding="utf-8", newline="\n")


if "snakemake" in globals():
    run(main, snakemake)
