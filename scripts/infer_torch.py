"""Create the predictions of a classifier on one batch of tensors, in PyTorch."""

from collections.abc import Sequence

import torch

from promptflux.classifiers.inference import attributes_of, check_tensors, device_name, infer, resolve
from promptflux.classifiers.kept import asked_layers, kept_layers
from promptflux.classifiers.network import Network
from promptflux.classifiers.weights import load_model
from promptflux.files.activations import Tally, write_activations
from promptflux.files.predictions import write_predictions
from promptflux.files.tensors import open_tensors
from promptflux.runtime.job import note
from promptflux.script import run


def main(
    *,
    tensors: str,
    model: str,
    layers_of: Sequence[str],
    predictions: str,
    micro_batch: int,
    threads: int,
    layers: Sequence[str] | str = "all",
    counted: Sequence[str] = (),
    activations: str | None = None,
    device: str = "auto",
) -> None:
    """Write logits and probabilities of the images in `tensors`, and what the layers give for `layers_of`.

    model: a model file, `results/models/{classifier}.h5`. layers_of: names of images of this
    batch. layers: the layers that are kept whole, beside small ones, or "all". Of the others a sample
    is kept (`promptflux.files.sample`). counted: the layers whose channels are counted, over all images that are no test patterns,
    into `activations`, if that is not None. micro_batch, threads: part of what a prediction is, as a network evaluated on one fixed
    shape, with one count of threads, gives each row the same bits whatever the other rows hold
    and however many cores there are. device: "auto", "cpu", "cuda" or "mps". Raises
    StudyError if the tensors are not those that the classifier wants, or if the network gives
    values that are not finite.
    """
    description, weights = load_model(model)
    torch.set_num_threads(threads)
    place = resolve(device)
    network = Network(description).load(weights).eval().to(place, memory_format=torch.channels_last)
    with open_tensors(tensors) as batch:
        check_tensors(batch, tensors, description, layers_of)
        tallies: dict[str, Tally | None] = dict.fromkeys(counted)
        layer_images = [name for name in batch.names if name in set(layers_of)]
        with write_predictions(
            predictions,
            attributes=attributes_of(description, weights, place),
            names=batch.names,
            labels=description.labels,
            layer_shapes={layer.name: layer.shape for layer in description.walk()},
            layer_images=layer_images,
            kept=kept_layers(description, asked_layers(description, layers)),
        ) as writer:
            for start in range(0, len(batch.names), micro_batch):
                infer(network, batch, range(start, start + micro_batch), place, writer, layer_images, tallies)
        if activations is not None:
            images = sum(not problem for problem in batch.problems)
            write_activations(activations, images, {name: tally for name, tally in tallies.items() if tally})
        note(f"{description.name}: {len(batch.names)} images run in PyTorch on {device_name(place)}")


if "snakemake" in globals():
    run(main, snakemake)
