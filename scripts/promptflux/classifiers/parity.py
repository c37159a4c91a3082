"""An engine compared with the reference, layer by layer."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod

import numpy as np

from promptflux.classifiers.kind import shape_text
from promptflux.classifiers.kinds import kind_of
from promptflux.errors import StudyError
from promptflux.files.explanations import UNKNOWN, Explanations, open_explanations
from promptflux.files.predictions import Predictions, open_predictions

# Of a layer's largest value. Sums of float32 in another order differ by 1e-7 to 1e-6 of it, and from layer to layer
# it adds up, slowly; beyond the bound, and in one step, something is computed otherwise.
LAYER_FAILS = 1e-5
STEP = 10  # times the largest difference of the layers before
MOST = 1e-3  # whatever came before
DEEP = 20  # layers for which the bound holds where none was compared
PROBABILITY_FAILS = 1e-4
# Of the largest sum of the sizes of what is added up in a map of Grad-CAM: a gradient jumps where a value meets the kink
# of a relu, and rounding may bring it to the other side.
GRADCAM_FAILS = 1e-3
# What to look at first where the very first layer differs.
INPUT_SUSPECT = "is the image transposed, or divided by 255 twice?"
OCCLUSION, GRADCAM = "occlusion", "grad-cam"  # the rows of the maps of why
FAST = "fast kernels"  # the row of an engine whose logits do not come from the layers that it keeps


@dataclass
class LayerDifference:
    """The largest difference between two engines in one layer, gathered over images.

    rel_diff: relative to the layer's largest absolute value in either engine. values: how many of an image's
    were compared.
    """

    name: str
    shape: tuple[int, ...]
    images: int = 0
    values: int = 0
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
        self.values = ours[0].size
        self.abs_diff = max(self.abs_diff, float(np.where(finite, difference, np.inf).max()))
        self.largest = max(self.largest, *(float(np.abs(x[finite]).max(initial=0)) for x in (ours, theirs)))

    @property
    def rel_diff(self) -> float:
        return self.abs_diff / self.largest if self.largest else self.abs_diff

    def row(self) -> list[str]:
        numbers = [f"{self.abs_diff:.3e}", f"{self.rel_diff:.3e}"] if self.images else ["", ""]
        return [self.name, str(self.images), shape_text(self.shape), self.compared, *numbers, self.verdict]

    @property
    def compared(self) -> str:
        """How much of an image's values was compared: all, or a sample."""
        if not self.images:
            return ""
        return "all" if self.values == prod(self.shape) else f"{self.values} of {prod(self.shape)}"


@dataclass
class Parity:
    """An engine beside the reference: layers in the network's order, then logits, probabilities and labels.

    titles: what people call the engine and the reference. fast: the logits of the engine's fast
    path beside those of its own layers, for the images whose layers are kept; None if it has
    one path. changed: the images whose predicted label differs. pairs: the probabilities of the
    reference and the engine, [2, N, K] a batch. occlusion, gradcam: the maps of why of all images that have some; None
    if none has.
    """

    titles: Sequence[str]
    layers: list[LayerDifference]
    logits: LayerDifference
    probabilities: LayerDifference
    fast: LayerDifference | None = None
    changed: list[str] = field(default_factory=list)
    images: int = 0
    pairs: list[np.ndarray] = field(default_factory=list)
    occlusion: LayerDifference | None = None
    gradcam: LayerDifference | None = None

    @property
    def parts(self) -> list[LayerDifference]:
        """All that was compared, in the order of the table."""
        fast = [self.fast] if self.fast else []
        maps = [part for part in (self.occlusion, self.gradcam) if part]
        return [*self.layers, *fast, self.logits, self.probabilities, *maps]

    def judge(self) -> None:
        """Fill in the verdicts."""
        before = (
            0.0
            if any(layer.images for layer in self.layers)
            else LAYER_FAILS / STEP / DEEP * len(self.layers)
        )
        for layer in self.layers:
            layer.verdict = verdict(layer, bound(before))
            if layer.verdict == "ok":
                before = max(before, layer.rel_diff)
        for part in [self.fast, self.logits] if self.fast else [self.logits]:
            part.verdict = verdict(part, bound(before))
        self.probabilities.verdict = (
            "ok" if self.probabilities.abs_diff <= self.most_of_a_probability else "FAIL"
        )

        if self.occlusion:
            # What is compared is one probability less another.
            most = 2 * self.most_of_a_probability
            self.occlusion.verdict = "ok" if self.occlusion.abs_diff <= most else "FAIL"
        if self.gradcam:
            self.gradcam.verdict = verdict(self.gradcam, GRADCAM_FAILS)

    @property
    def most_of_a_probability(self) -> float:
        """What a probability may differ by. A softmax makes at most half of a difference in logits of it."""
        return max(PROBABILITY_FAILS, LAYER_FAILS * self.logits.largest / 2)

    def rows(self) -> list[list[str]]:
        label = [
            "label",
            str(self.images),
            "",
            "",
            str(len(self.changed)),
            "",
            "FAIL" if self.changed else "ok",
        ]
        return [*(part.row() for part in self.parts), label]

    @property
    def failed(self) -> bool:
        return any(row[-1] == "FAIL" for row in self.rows())


def bound(before: float) -> float:
    """What a layer may differ by, of its largest value, if those before it differ by up to `before` of theirs."""
    return min(max(LAYER_FAILS, STEP * before), MOST)


def verdict(layer: LayerDifference, most: float) -> str:
    """What the difference in a layer means that may be `most` of its largest value."""
    if not layer.images:
        return "not compared"
    return "ok" if layer.rel_diff <= most else "FAIL"


def compare(predictions: Sequence[str], reference: Sequence[str], titles: Sequence[str]) -> Parity:
    """Compare the predictions files of an engine with the reference's, batch by batch and layer by layer.

    titles: what people call the engine and the reference.
    """
    parity: Parity | None = None
    for engine_path, reference_path in zip(predictions, reference, strict=True):
        with ExitStack() as stack:
            ours = stack.enter_context(open_predictions(reference_path))
            theirs = stack.enter_context(open_predictions(engine_path))
            check_alike(ours, theirs)
            if parity is None:
                labels = (len(ours.labels),)
                parity = Parity(
                    titles=titles,
                    layers=[LayerDifference(name, shape) for name, shape in ours.layer_shapes.items()],
                    logits=LayerDifference("logits", labels),
                    probabilities=LayerDifference("probabilities", labels),
                )
            add(parity, ours, theirs)
    if parity is None:
        raise StudyError("there are no predictions to compare.")
    return parity


def add(parity: Parity, ours: Predictions, theirs: Predictions) -> None:
    """Take in a batch: `ours` of the reference, `theirs` of the engine."""
    for layer in parity.layers:
        if ours.layer_images:
            add_layer(layer, ours, theirs)
    parity.logits.add(ours.logits, theirs.logits)
    parity.probabilities.add(ours.probabilities, theirs.probabilities)
    if theirs.attributes.get("kernels") == "fast":
        parity.fast = parity.fast or LayerDifference(FAST, parity.logits.shape)
        add_fast(parity.fast, theirs)
    differs = ours.logits.argmax(axis=1) != theirs.logits.argmax(axis=1)
    parity.changed += [name for name, changed in zip(ours.names, differs, strict=True) if changed]
    parity.images += len(ours.names)
    parity.pairs.append(np.stack([ours.probabilities, theirs.probabilities]))


def compare_maps(parity: Parity, explanations: Sequence[str], reference: Sequence[str]) -> None:
    """Take in the explanations files of an engine and of the reference, batch by batch.

    Where the engines predict different labels, which fails by itself, only the maps of the label that was asked for are compared.
    """
    for engine_path, reference_path in zip(explanations, reference, strict=True):
        with open_explanations(reference_path) as ours, open_explanations(engine_path) as theirs:
            check_alike_maps(ours, theirs)
            known = (ours.targets == theirs.targets) & (ours.targets != UNKNOWN)
            if parity.occlusion is None:
                parity.occlusion = LayerDifference(OCCLUSION, ours.occlusion.shape[2:])
            add_maps(parity.occlusion, ours.occlusion, theirs.occlusion, known)
            if not ours.gradcam.size:
                continue
            if parity.gradcam is None:
                parity.gradcam = LayerDifference(GRADCAM, ours.gradcam.shape[2:])
            add_maps(parity.gradcam, ours.gradcam, theirs.gradcam, known)
            parity.gradcam.largest = max(
                parity.gradcam.largest, *(float(file.scales[known].max(initial=0)) for file in (ours, theirs))
            )


def add_maps(difference: LayerDifference, ours: np.ndarray, theirs: np.ndarray, known: np.ndarray) -> None:
    """Take in the maps [M, 2, ...] of M images where `known`, bool [M, 2]."""
    images = difference.images + int(known.any(axis=1).sum())
    difference.add(ours[known], theirs[known])
    difference.images = images  # two maps of an image are one


def check_alike_maps(ours: Explanations, theirs: Explanations) -> None:
    """Raise StudyError unless two explanations files are of the same images, network, labels and patches."""
    for what in ("names", "labels", "patch", "stride"):
        if getattr(ours, what) != getattr(theirs, what):
            raise StudyError(f"{ours.path} and {theirs.path} differ in {what}; they are not of the same run.")
    for what in ("description_sha256", "weights_sha256", "layer"):
        if ours.attributes.get(what) != theirs.attributes.get(what):
            raise StudyError(
                f"{theirs.path} has the {what} {theirs.attributes.get(what)}, and {ours.path} has "
                f"{ours.attributes.get(what)}; the engines ran different networks, so make both files anew."
            )


def check_alike(ours: Predictions, theirs: Predictions) -> None:
    """Raise StudyError unless two predictions files are of the same images, network and labels."""
    for what in ("names", "labels", "layer_shapes", "layer_images"):
        if getattr(ours, what) != getattr(theirs, what):
            raise StudyError(f"{ours.path} and {theirs.path} differ in {what}; they are not of the same run.")
    for what in ("description_sha256", "weights_sha256"):
        if ours.attributes.get(what) != theirs.attributes.get(what):
            raise StudyError(
                f"{theirs.path} has the {what} {theirs.attributes.get(what)}, and {ours.path} has "
                f"{ours.attributes.get(what)}; the engines ran different networks, so make both files anew."
            )
    for part in ("layers", "samples"):
        our_shapes, their_shapes = (
            {name: dataset.shape for name, dataset in getattr(file, part).items()} for file in (ours, theirs)
        )
        if our_shapes != their_shapes:
            name = next(
                name
                for name in {**our_shapes, **their_shapes}
                if our_shapes.get(name) != their_shapes.get(name)
            )
            theirs_is, ours_is = (
                f"of the shape {shape_text(shapes[name])}" if name in shapes else "not there"
                for shapes in (their_shapes, our_shapes)
            )
            raise StudyError(f"{theirs.path}: {part}/{name} is {theirs_is}, and {ours_is} in {ours.path}.")


def add_layer(layer: LayerDifference, ours: Predictions, theirs: Predictions) -> None:
    """Compare a layer, or the samples of it, image by image: all images at once could fill the memory."""
    part = "layers" if layer.name in ours.layers else "samples"
    for index in range(len(ours.layer_images)):
        layer.add(*(getattr(engine, part)[layer.name][index : index + 1] for engine in (ours, theirs)))


def add_fast(fast: LayerDifference, theirs: Predictions) -> None:
    """Compare the logits of a fast path with those of the engine's own layers."""
    *_, last = (name for name in theirs.layer_shapes if not name.startswith("softmax"))
    if last in theirs.layers:
        rows = [theirs.names.index(name) for name in theirs.layer_images]
        fast.add(theirs.layers[last][:].reshape(len(rows), -1), theirs.logits[rows])


def complaint(parity: Parity, classifier: str) -> str:
    """What fails, how much, and where it begins, as a sentence."""
    facts = []
    if parity.probabilities.verdict == "FAIL":
        facts.append(
            f"a probability differs by {parity.probabilities.abs_diff:.1e} (at most {parity.most_of_a_probability:.0e} is right)"
        )
    if parity.changed:
        some = ", ".join(parity.changed[:3]) + (", ..." if len(parity.changed) > 3 else "")
        facts.append(f"{len(parity.changed)} of {parity.images} images have another label ({some})")
    if parity.occlusion and parity.occlusion.verdict == "FAIL":
        facts.append(f"a map of occlusion differs by {parity.occlusion.abs_diff:.1e} of a probability")
    if parity.gradcam and parity.gradcam.verdict == "FAIL":
        facts.append(f"a map of Grad-CAM differs by {parity.gradcam.rel_diff:.1e} of what is added up in it")
    compared = [layer for layer in parity.layers if layer.images]
    failing = [layer for layer in compared if layer.verdict == "FAIL"]
    if failing:
        worst = max(failing, key=lambda layer: layer.rel_diff)
        facts.append(f"{worst.name} differs by {worst.rel_diff:.1e} of its largest value")
    first = next((layer for layer in compared if layer.verdict != "ok"), None)
    where = ""
    if first is not None:
        suspects = [kind_of(first.name).suspect]
        if first is compared[0]:
            suspects.insert(0, INPUT_SUSPECT)
        where = f" The first layer to differ is {first.name}: {' '.join(suspects)}"
    elif parity.fast and parity.fast.verdict == "FAIL":
        facts.append(
            f"its fast kernels differ from its own layers by {parity.fast.rel_diff:.1e} of the largest logit"
        )
        where = " Set inference.flux_kernels to plain in config.yaml, and please report it."
    elif not compared:
        where = " Ask for figures of an image (figures.images) to see in which layer it begins."
    return f"{classifier}: {' and '.join(parity.titles)} do not agree: {'; '.join(facts or ['the logits differ'])}.{where}"
