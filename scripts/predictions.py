"""Create the table of a classifier's predictions: a row an image, a column a label."""

from collections.abc import Mapping, Sequence

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.tensors import open_predictions


def main(*, batches: Sequence[str], output: str, prompts: Mapping[str, str]) -> None:
    """Gather predictions files into one table, in their order.

    prompts: image name -> its prompt's name; an image without one is the user's own. Columns:
    image, prompt, predicted, confidence (the probability of the predicted label), then the
    probability of each label, 0..1 with six decimals. Raises StudyError if the files have
    different labels.
    """
    header: list[str] = []
    lines = []
    for path in batches:
        with open_predictions(path) as batch:
            columns = ["image", "prompt", "predicted", "confidence", *batch.labels]
            if header and columns != header:
                raise StudyError(f"{path}: its labels differ from those of {batches[0]}; make both anew.")
            header = columns
            # The largest logit: probabilities near 1 round to equal floats sooner.
            best = batch.logits.argmax(axis=1)
            for name, index, probabilities in zip(batch.names, best, batch.probabilities, strict=True):
                values = [f"{value:.6f}" for value in (probabilities[index], *probabilities)]
                lines.append([name, prompts.get(name, ""), batch.labels[index], *values])
    with whole(output) as partial:
        text = "".join("\t".join(cells) + "\n" for cells in [header, *lines])
        partial.write_text(text, encoding="utf-8", newline="\n")


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            batches=snakemake.input,  # noqa: F821
            output=snakemake.output[0],  # noqa: F821
            prompts=snakemake.params.prompts,  # noqa: F821
        )
