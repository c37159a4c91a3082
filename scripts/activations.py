"""Create the table and the figure of what each channel of a network gave, over all images of the study."""

from collections.abc import Mapping, Sequence

from promptflux.classifiers.activity import can_die
from promptflux.classifiers.weights import load_description
from promptflux.figures.of_study.activations import draw
from promptflux.figures.sheet import Style
from promptflux.files.activations import add_up
from promptflux.files.whole import whole
from promptflux.runtime.job import note
from promptflux.script import run

COLUMNS = ("layer", "channel", "mean", "std", "zeros", "least", "most", "dead")


def main(
    *, classifier: str, model: str, batches: Sequence[str], table: str, figure: str, style: Mapping
) -> None:
    """Write the table and the figure of what the activations files `batches` count together.

    model: the classifier's model file. The columns of the table: layer, channel (1 for the first), mean and standard deviation, the
    share of zeros (0..1), the least and the largest value, all of what the channel gives at every place of every image that is
    no test pattern; and "dead" for a channel that gives nothing else than one value, "handed on" in a layer that
    only hands on that of one before it. style: the fields of `Style`.
    """
    images, tallies = add_up(list(batches))
    layers = {layer.name for layer in load_description(model).walk() if can_die(layer)}
    rows = []
    for layer, tally in tallies.items():
        word = "dead" if layer in layers else "handed on"
        numbers = (tally.mean, tally.std, tally.share_of_zeros, tally.least, tally.most)
        for channel, (values, dead) in enumerate(
            zip(zip(*numbers, strict=True), tally.dead, strict=True), start=1
        ):
            rows.append([layer, str(channel), *(f"{value:.6g}" for value in values), word if dead else ""])
    with whole(table) as partial:
        text = "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *rows])
        partial.write_text(text, encoding="utf-8", newline="\n")
    shown = {name: tally for name, tally in tallies.items() if name in layers}
    draw(shown, images, classifier, Style(**style)).save(figure)
    dead = sum(int(tally.dead.sum()) for tally in shown.values())
    note(f"{classifier}: {dead} dead channels over {images} images")


if "snakemake" in globals():
    run(main, snakemake)
