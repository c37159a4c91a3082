"""Compare the two engines layer by layer: a table, a figure and a verdict."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.job import note
from promptflux.plotting import ACCENT, ALARM, FAINT, MUTED, Sheet, head
from promptflux.spec import times
from promptflux.tensors import Predictions, open_predictions

COLUMNS = ("layer", "images", "shape", "max_abs_diff", "max_rel_diff", "verdict")
# Of a layer's largest value. Sums of float32 in another order differ by 1e-7 to 1e-6 of it;
# beyond the bound something is computed otherwise.
LAYER_FAILS = 1e-5
PROBABILITY_FAILS = 1e-4

# What to look at first where a layer of this kind is the first to differ.
SUSPECTS = {
    "input": "is the image transposed, or divided by 255 twice?",
    "conv": "are its kernels flipped, or is its stride, padding or activation another?",
    "batchnorm": "do γ, β, μ, σ² stand in this order, and is it in test mode with the same eps?",
    "maxpool": "are its kernel, stride and padding the same?",
    "meanpool": "are its kernel, stride and padding the same, and does the mean count the padding?",
    "dropout": "is it switched on, instead of being the identity?",
    "flatten": "is the order of flatten channels, height, width with the width running fastest?",
    "dense": "is its weight matrix transposed?",
    "softmax": "does it run over the labels?",
}


@dataclass
class Comparison:
    """The largest difference between two engines in one layer, gathered over images.

    rel_diff: relative to the layer's largest absolute value in either engine.
    """

    name: str
    shape: tuple[int, ...]
    images: int = 0
    abs_diff: float = 0.0
    largest: float = 0.0
    verdict: str = field(default="", init=False)

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Take in the outputs [N, ...] of both engines; a value that is not finite differs infinitely."""
        if not len(ours):
            return
        with np.errstate(invalid="ignore"):
            difference = np.abs(ours.astype(np.float64) - theirs)
        finite = np.isfinite(ours) & np.isfinite(theirs)
        self.images += len(ours)
        self.abs_diff = max(self.abs_diff, float(np.where(finite, difference, np.inf).max()))
        self.largest = max(self.largest, *(float(np.abs(x[finite]).max(initial=0)) for x in (ours, theirs)))

    @property
    def rel_diff(self) -> float:
        return self.abs_diff / self.largest if self.largest else self.abs_diff

    def row(self) -> list[str]:
        numbers = [f"{self.abs_diff:.3e}", f"{self.rel_diff:.3e}"] if self.images else ["", ""]
        return [self.name, str(self.images), times(self.shape), *numbers, self.verdict]


@dataclass
class Parity:
    """Two engines compared: layers in the network's order, then logits, probabilities and labels."""

    layers: list[Comparison]
    logits: Comparison
    probabilities: Comparison
    changed: list[str]  # images whose predicted label differs
    images: int
    pairs: list[np.ndarray]  # the probabilities of both engines, [2, N, K] a batch

    def judge(self) -> None:
        """Fill in the verdicts."""
        for comparison in (*self.layers, self.logits):
            comparison.verdict = verdict(comparison)
        self.probabilities.verdict = "ok" if self.probabilities.abs_diff <= PROBABILITY_FAILS else "FAIL"

    def rows(self) -> list[list[str]]:
        label = ["label", str(self.images), "", str(len(self.changed)), "", "FAIL" if self.changed else "ok"]
        return [*(part.row() for part in (*self.layers, self.logits, self.probabilities)), label]

    @property
    def failed(self) -> bool:
        return any(row[-1] == "FAIL" for row in self.rows())


def main(*, classifier: str, flux: Sequence[str], torch: Sequence[str], table: str, figure: str) -> None:
    """Write the table and the figure of what differs between Flux and PyTorch on the same tensors.

    flux, torch: predictions files of the same batches. The columns of the table: layer, images
    compared, shape, largest absolute difference, that relative to the layer's largest value,
    verdict. The last row, `label`, counts the images whose predicted label differs. Raises
    StudyError after writing both if a probability differs by more than 1e-4, a layer by more
    than 1e-5 of its largest value, or a label; the table is then in the log, too.
    """
    parity = compare(flux, torch)
    parity.judge()
    text = "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *parity.rows()])
    with whole(table) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    draw(parity, classifier, figure)
    if parity.failed:
        print(text, file=sys.stderr)
        raise StudyError(complaint(parity, classifier))
    worst = parity.probabilities.abs_diff
    note(f"{classifier}: Flux and PyTorch agree on {parity.images} images (probabilities to {worst:.1e})")


def verdict(layer: Comparison) -> str:
    """What the difference in a layer means."""
    if not layer.images:
        return "not compared"
    return "ok" if layer.rel_diff <= LAYER_FAILS else "FAIL"


def compare(flux: Sequence[str], torch: Sequence[str]) -> Parity:
    """Compare the predictions files of the two engines, batch by batch and layer by layer."""
    parity: Parity | None = None
    for flux_path, torch_path in zip(flux, torch, strict=True):
        with ExitStack() as stack:
            ours = stack.enter_context(open_predictions(torch_path))
            theirs = stack.enter_context(open_predictions(flux_path))
            check_alike(ours, theirs)
            if parity is None:
                labels = (len(ours.labels),)
                parity = Parity(
                    layers=[Comparison(name, ()) for name in ours.layer_names],
                    logits=Comparison("logits", labels),
                    probabilities=Comparison("probabilities", labels),
                    changed=[],
                    images=0,
                    pairs=[],
                )
            for layer in parity.layers:
                if layer.name in ours.layers:
                    add_layer(layer, ours, theirs)
            parity.logits.add(ours.logits, theirs.logits)
            parity.probabilities.add(ours.probabilities, theirs.probabilities)
            differs = ours.logits.argmax(axis=1) != theirs.logits.argmax(axis=1)
            parity.changed += [name for name, changed in zip(ours.names, differs, strict=True) if changed]
            parity.images += len(ours.names)
            parity.pairs.append(np.stack([ours.probabilities, theirs.probabilities]))
    if parity is None:
        raise StudyError("there are no predictions to compare.")
    return parity


def check_alike(ours: Predictions, theirs: Predictions) -> None:
    """Raise StudyError unless two predictions files are of the same images, network and labels."""
    for what in ("names", "labels", "layer_names", "layer_images"):
        if getattr(ours, what) != getattr(theirs, what):
            raise StudyError(f"{ours.path} and {theirs.path} differ in {what}; they are not of the same run.")
    for what in ("spec_sha256", "weights_sha256"):
        if ours.attributes.get(what) != theirs.attributes.get(what):
            raise StudyError(
                f"{theirs.path} has the {what} {theirs.attributes.get(what)}, and {ours.path} has "
                f"{ours.attributes.get(what)}; the engines ran different networks, so make both files anew."
            )
    shapes = [(name, ours.layers[name].shape, theirs.layers[name].shape) for name in ours.layers]
    for name, our_shape, their_shape in shapes:
        if our_shape != their_shape:
            raise StudyError(
                f"{theirs.path}: {name} has the shape {times(their_shape)}; "
                f"{times(our_shape)} is right, as in {ours.path}."
            )


def add_layer(layer: Comparison, ours: Predictions, theirs: Predictions) -> None:
    """Compare a layer image by image: all images at once could fill the memory."""
    layer.shape = ours.layers[layer.name].shape[1:]
    for index in range(len(ours.layer_images)):
        layer.add(*(engine.layers[layer.name][index : index + 1] for engine in (ours, theirs)))


def complaint(parity: Parity, classifier: str) -> str:
    """What fails, how much, and where it begins, as a sentence."""
    facts = []
    if parity.probabilities.verdict == "FAIL":
        facts.append(
            f"a probability differs by {parity.probabilities.abs_diff:.1e} (at most {PROBABILITY_FAILS:.0e} is right)"
        )
    if parity.changed:
        some = ", ".join(parity.changed[:3]) + (", ..." if len(parity.changed) > 3 else "")
        facts.append(f"{len(parity.changed)} of {parity.images} images have another label ({some})")
    compared = [layer for layer in parity.layers if layer.images]
    failing = [layer for layer in compared if layer.verdict == "FAIL"]
    if failing:
        worst = max(failing, key=lambda layer: layer.rel_diff)
        facts.append(f"{worst.name} differs by {worst.rel_diff:.1e} of its largest value")
    first = next((layer for layer in compared if layer.verdict != "ok"), None)
    where = ""
    if first is not None:
        suspects = [SUSPECTS.get(first.name.rstrip("0123456789"), "is it the same function?")]
        if first is compared[0]:
            suspects.insert(0, SUSPECTS["input"])
        where = f" The first layer to differ is {first.name}: {' '.join(suspects)}"
    elif not compared:
        where = " Ask for figures of an image (figures.images) to see in which layer it begins."
    return f"{classifier}: Flux and PyTorch do not agree: {'; '.join(facts or ['the logits differ'])}.{where}"


def draw(parity: Parity, classifier: str, path: str) -> None:
    """Draw the difference of each layer, and the probabilities of both engines against each other."""
    rows = [*parity.layers, parity.logits, parity.probabilities]
    tall = max(2.6, 0.24 * len(rows) + 0.3)
    alarm = (
        "The engines do not agree; the log of the parity rule says where it begins." if parity.failed else ""
    )
    top = head(alarm) + 0.25
    sheet = Sheet(9.0, top + tall + 0.65)
    sheet.title(
        f"Flux and PyTorch on {classifier}",
        f"{parity.images} images, {sum(layer.images > 0 for layer in parity.layers)} layers compared "
        f"on {max((layer.images for layer in parity.layers), default=0)} of them",
        alarm,
    )
    draw_layers(sheet.axes(1.3, top, 3.9, tall), rows)
    draw_probabilities(
        sheet.axes(6.1, top, min(2.6, tall), min(2.6, tall)), np.concatenate(parity.pairs, axis=1)
    )
    sheet.save(path, dpi=130)


def draw_layers(axes, rows: Sequence[Comparison]) -> None:
    """A dot a layer on a logarithmic scale; what is exactly equal stands at its left end."""
    floor, ceiling = 1e-9, 10.0
    for position, row in enumerate(rows):
        if not row.images:
            axes.text(floor * 2, position, "not compared", fontsize=7, color=MUTED, va="center")
            continue
        color = ACCENT if row.verdict == "ok" else ALARM
        value = float(np.clip(row.rel_diff, floor, ceiling))
        axes.plot([floor, value], [position] * 2, color=FAINT, linewidth=1, zorder=1)
        axes.plot([value], [position], "o", color=color, markersize=5, clip_on=False, zorder=3)
        if row.abs_diff == 0:
            axes.text(floor * 2, position, "equal to the last bit", fontsize=7, color=MUTED, va="center")
    axes.set_xscale("log")
    axes.set_xlim(floor, ceiling)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.axvline(LAYER_FAILS, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    axes.text(LAYER_FAILS, -0.7, "more fails", fontsize=7, color=MUTED, ha="center", va="bottom")
    axes.set_xlabel("largest difference / largest value of the layer")


def draw_probabilities(axes, probabilities: np.ndarray) -> None:
    """PyTorch's probabilities against Flux's, [2, N, K]; equal ones lie on the diagonal."""
    torch, flux = (engine.ravel() for engine in probabilities)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=0)
    agree = np.abs(torch - flux) <= PROBABILITY_FAILS
    for chosen, color in ((agree, ACCENT), (~agree, ALARM)):
        axes.plot(torch[chosen], flux[chosen], "o", color=color, markersize=3, alpha=0.5, markeredgewidth=0)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.set_xlabel("probability in PyTorch")
    axes.set_ylabel("probability in Flux")


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            classifier=snakemake.wildcards.classifier,  # noqa: F821
            flux=snakemake.input.flux,  # noqa: F821
            torch=snakemake.input.torch,  # noqa: F821
            table=snakemake.output.table,  # noqa: F821
            figure=snakemake.output.figure,  # noqa: F821
        )
