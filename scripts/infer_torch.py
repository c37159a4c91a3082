"""Create the predictions of a classifier on one batch of tensors, in PyTorch."""

import platform
from collections.abc import Sequence

import numpy as np
import torch

from promptflux.errors import StudyError
from promptflux.files import sha256_of_file
from promptflux.job import note
from promptflux.memory import keep_memory
from promptflux.network import Network, load_weights, weights_digest
from promptflux.spec import Spec, load_spec
from promptflux.tensors import PredictionsWriter, Tensors, open_tensors, write_predictions

# Part of what a prediction is: a network evaluated on one fixed shape, with one count of
# threads, gives each row the same bits whatever the other rows hold and however many cores there are.
MICRO_BATCH = 16
THREADS = 2


def main(
    *,
    tensors: str,
    spec: str,
    weights: str,
    layers_of: Sequence[str],
    classifier: str,
    output: str,
    device: str = "auto",
    threads: int = THREADS,
) -> None:
    """Write logits and probabilities of the images in `tensors`, and every layer's output for `layers_of`.

    layers_of: names of images of this batch. device: "auto", "cpu", "cuda" or "mps". Raises
    StudyError if the tensors or the weights are not those that the spec wants, or if the
    network gives values that are not finite.
    """
    loaded = load_spec(spec, weights_exist=False)
    arrays = load_weights(weights, loaded)
    torch.set_num_threads(threads)
    place = resolve(device)
    network = Network(loaded).load(arrays).eval().to(place, memory_format=torch.channels_last)
    with open_tensors(tensors) as batch:
        check_tensors(batch, tensors, loaded, layers_of)
        content = {
            "attributes": {
                "engine": "torch",
                "engine_version": str(torch.__version__),
                "language_version": f"Python {platform.python_version()}",
                "device": device_name(place),
                "classifier": classifier,
                "spec_sha256": sha256_of_file(spec),
                "weights_sha256": weights_digest(arrays),
            },
            "names": batch.names,
            "labels": loaded.labels,
            "layer_shapes": {layer.name: layer.shape for layer in loaded.layers},
            "layer_images": [name for name in batch.names if name in set(layers_of)],
        }
        with write_predictions(output, **content) as writer:
            for start in range(0, len(batch.names), MICRO_BATCH):
                infer(network, batch, start, place, writer, content["layer_images"])
    note(f"{classifier}: {len(content['names'])} images run in PyTorch on {device_name(place)}")


def resolve(device: str) -> torch.device:
    """The device that `auto` means here, set to compute in full float32. StudyError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, available in there.items() if available)
    elif not there[device]:
        raise StudyError(f"the device {device!r} is asked for, and this machine has none; use auto or cpu.")
    # On GPUs cuDNN would round convolutions to TF32, 10 bits of mantissa, which parity does not forgive.
    torch.backends.fp32_precision = "ieee"
    torch.backends.cudnn.deterministic = True
    if device == "cpu":
        keep_memory()
    return torch.device(device)


def device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def check_tensors(batch: Tensors, path: str, spec: Spec, layers_of: Sequence[str]) -> None:
    """Raise StudyError if a tensors file is not what the classifier wants."""
    if batch.input != spec.input:
        raise StudyError(f"{path}: the tensors were made for {batch.input}; {spec.path} wants {spec.input}.")
    if batch.images.shape[1:] != spec.input.shape:
        raise StudyError(f"{path}: an image has the shape {batch.images.shape[1:]}, not {spec.input.shape}.")
    unknown = sorted(set(layers_of) - set(batch.names))
    if unknown:
        raise StudyError(
            f"{path}: feature maps are asked of {', '.join(unknown)}, which is not in this batch."
        )


@torch.inference_mode()
def infer(
    network: Network,
    batch: Tensors,
    start: int,
    device: torch.device,
    writer: PredictionsWriter,
    layer_images: Sequence[str],
) -> None:
    """Run one micro-batch, filled up with zeros to its fixed shape, and write what comes out."""
    names = batch.names[start : start + MICRO_BATCH]
    filled = np.zeros((MICRO_BATCH, *batch.images.shape[1:]), dtype=np.float32)
    filled[: len(names)] = batch.images[start : start + MICRO_BATCH]
    images = torch.from_numpy(filled).to(device, memory_format=torch.channels_last)

    kept = {row: layer_images.index(name) for row, name in enumerate(names) if name in layer_images}
    logits = images
    for layer, values in network.outputs(images):
        if not layer.startswith("softmax"):
            logits = values
        for row, index in kept.items():
            writer.layers[layer][index] = values[row].cpu().numpy()
    probabilities = torch.softmax(logits.float(), dim=1)
    for row, name in enumerate(names):
        if not probabilities[row].isfinite().all():
            raise StudyError(f"{network.spec.path}: the network gives values for {name} that are not finite.")
    rows = slice(start, start + len(names))
    writer.logits[rows] = logits[: len(names)].cpu().numpy()
    writer.probabilities[rows] = probabilities[: len(names)].cpu().numpy()


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            tensors=snakemake.input.tensors,  # noqa: F821
            spec=snakemake.input.spec,  # noqa: F821
            weights=snakemake.input.weights,  # noqa: F821
            layers_of=snakemake.params.layers_of,  # noqa: F821
            classifier=snakemake.wildcards.classifier,  # noqa: F821
            output=snakemake.output[0],  # noqa: F821
        )
