"""Create the maps of why a classifier says what it says of some images, in PyTorch."""

from collections.abc import Sequence

import numpy as np
import torch

from promptflux.classifiers.explaining import gradcam, probabilities_while_covered
from promptflux.classifiers.inference import attributes_of, check_tensors, resolve
from promptflux.classifiers.network import Network
from promptflux.classifiers.weights import load_model
from promptflux.classifiers.why import Window, last_convolution
from promptflux.errors import StudyError
from promptflux.files.explanations import TARGETS, UNKNOWN, write_explanations
from promptflux.files.tensors import open_tensors
from promptflux.runtime.job import note, progress
from promptflux.script import run


def main(
    *,
    tensors: str,
    model: str,
    images: Sequence[str],
    asked_labels: Sequence[int],
    explanations: str,
    patch: Sequence[int],
    stride: Sequence[int],
    micro_batch: int,
    threads: int,
    device: str = "auto",
) -> None:
    """Write the occlusion and Grad-CAM maps of `images`, each for the predicted label and the one that was asked for.

    tensors: HDF5, of a batch with these images. model: a model file. asked_labels: of each image the place of the label that was
    asked for, UNKNOWN if it is not known. patch, stride: of the occlusion, (height, width) in pixels. micro_batch, threads:
    as in infer_torch. Raises StudyError if the tensors are not those that the classifier wants, or if the
    network gives values that are not finite.
    """
    description, weights = load_model(model)
    torch.set_num_threads(threads)
    place = resolve(device)
    network = Network(description).load(weights).eval().to(place, memory_format=torch.channels_last)
    window = Window(description.input.shape[1:], tuple(patch), tuple(stride))
    layer = last_convolution(description)
    sizes = {each.name: each.shape[1:] for each in description.walk()}
    count, both = len(images), len(TARGETS)
    targets = np.full((count, both), UNKNOWN, np.int32)
    probabilities = np.zeros((count, both), np.float32)
    occlusion = np.zeros((count, both, *window.places), np.float32)
    cams = np.zeros((count, both, *sizes.get(layer, (0, 0))), np.float32)
    scales = np.zeros((count, both), np.float32)
    with open_tensors(tensors) as batch:
        check_tensors(batch, tensors, description, images)
        for row, (name, asked) in enumerate(
            progress(zip(images, asked_labels, strict=True), "explanations", "image", count)
        ):
            image = batch.images[batch.names.index(name)]
            found = probabilities_while_covered(network, image, window, micro_batch, place)
            if not np.isfinite(found).all():
                raise StudyError(
                    f"{model}: the network gives values for {name}, or parts of it, that are not finite."
                )
            targets[row] = found[0].argmax(), asked
            for slot, target in enumerate(targets[row]):
                if target == UNKNOWN:
                    continue
                probabilities[row, slot] = found[0, target]
                occlusion[row, slot] = (found[0, target] - found[1:, target]).reshape(window.places)
                if layer:
                    cams[row, slot], scales[row, slot] = gradcam(network, image, layer, int(target), place)
    write_explanations(
        explanations,
        attributes={**attributes_of(description, weights, place), "layer": layer},
        patch=patch,
        stride=stride,
        names=images,
        labels=description.labels,
        targets=targets,
        probabilities=probabilities,
        occlusion=occlusion,
        gradcam=cams,
        scales=scales,
    )
    of_layer = f"Grad-CAM of {layer}" if layer else "no Grad-CAM, as it has no convolution with maps"
    note(f"{description.name}: {count} images covered in {np.prod(window.places)} places each; {of_layer}")


if "snakemake" in globals():
    run(main, snakemake)
