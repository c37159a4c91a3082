"""Running a classifier in PyTorch."""

import platform
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from promptflux.classifiers.description import Description
from promptflux.classifiers.network import Network
from promptflux.classifiers.weights import weights_digest
from promptflux.errors import StudyError
from promptflux.files.activations import Tally
from promptflux.files.predictions import PredictionsWriter
from promptflux.files.tensors import Tensors
from promptflux.runtime.cuda import need_cuda
from promptflux.runtime.memory import keep_memory

IN_CACHE, ROW = 2**18, 128  # numbers: a megabyte, and what a row has at least, for the processor's vectors


def resolve(device: str) -> torch.device:
    """The device that `auto` means here, set to compute in full float32. StudyError if it is not there,

    or if the job holds a GPU that PyTorch does not see.
    """
    need_cuda()
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, available in there.items() if available)
    elif not there[device]:
        raise StudyError(f"the device {device!r} is asked for, and this machine has none; use auto or cpu.")
    # On GPUs cuDNN would round convolutions to TF32, 10 bits of mantissa, which parity does not forgive (5e-4 of a layer's
    # largest value on an H100). By these names: `torch.backends.fp32_precision` did not reach cuDNN in PyTorch 2.11.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    if device == "cpu":
        keep_memory()
    return torch.device(device)


def device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def attributes_of(
    description: Description, weights: Mapping[str, np.ndarray], device: torch.device
) -> dict[str, str]:
    """What a file says of the run that made it: engine, versions, device, and the digests of network and weights."""
    return {
        "engine": "torch",
        "engine_version": str(torch.__version__),
        "language_version": f"Python {platform.python_version()}",
        "device": device_name(device),
        "kernels": "plain",
        "classifier": description.name,
        "description_sha256": description.digest,
        "weights_sha256": weights_digest(weights),
    }


def check_tensors(batch: Tensors, path: str, description: Description, layers_of: Sequence[str]) -> None:
    """Raise StudyError if a tensors file is not what the classifier wants."""
    if batch.input != description.input:
        raise StudyError(
            f"{path}: the tensors were made for {batch.input}; {description.source} wants {description.input}."
        )
    if batch.images.shape[1:] != description.input.shape:
        raise StudyError(
            f"{path}: an image has the shape {batch.images.shape[1:]}, not {description.input.shape}."
        )
    unknown = sorted(set(layers_of) - set(batch.names))
    if unknown:
        raise StudyError(
            f"{path}: feature maps are asked of {', '.join(unknown)}, which is not in this batch."
        )


@torch.inference_mode()
def infer(
    network: Network,
    batch: Tensors,
    rows: range,
    device: torch.device,
    writer: PredictionsWriter,
    layer_images: Sequence[str],
    tallies: dict[str, Tally | None],
) -> None:
    """Run the micro-batch `rows`, filled up with zeros to its fixed shape, and write what comes out.

    tallies: by layer, None before the first image; what the layers give for images that are no test patterns is added.
    """
    names = batch.names[rows.start : rows.stop]
    filled = np.zeros((len(rows), *batch.images.shape[1:]), dtype=np.float32)
    filled[: len(names)] = batch.images[rows.start : rows.stop]
    images = torch.from_numpy(filled).to(device, memory_format=torch.channels_last)

    kept = {row: layer_images.index(name) for row, name in enumerate(names) if name in layer_images}
    counted = [row for row in range(len(names)) if not batch.problems[rows.start + row]]
    logits = images
    for layer, values in network.outputs(images):
        if layer in tallies and counted:
            found = tally_of(values[: len(names)] if len(counted) == len(names) else values[counted])
            tally = tallies[layer]
            if tally is None:
                tallies[layer] = found
            else:
                tally.add(found)
        if not layer.startswith("softmax"):
            logits = values
        for row, index in kept.items():
            writer.keep(layer, index, values[row].cpu().numpy())
    logits = logits.flatten(1)
    probabilities = torch.softmax(logits.float(), dim=1)
    for row, name in enumerate(names):
        if not probabilities[row].isfinite().all():
            raise StudyError(
                f"{network.description.source}: the network gives values for {name} that are not finite."
            )
    there = slice(rows.start, rows.start + len(names))
    writer.logits[there] = logits[: len(names)].cpu().numpy()
    writer.probabilities[there] = probabilities[: len(names)].cpu().numpy()


def tally_of(values: torch.Tensor) -> Tally:
    """The tally of what a layer gives, float32 [N, C, H, W] or [N, K], with N of at least 1.

    In parts that a cache holds, with the channels of several pixels in a row: all at once, the counting took longer than the network.
    """
    channels = values.shape[1]
    flat = values.movedim(1, -1).reshape(-1, channels)
    origin = flat[0].clone()  # near the values, so that what they are apart can be squared and added up
    wide = -(-ROW // channels)
    most_rows = len(flat) // wide * wide
    parts = [*flat[:most_rows].reshape(-1, wide * channels).split(max(1, IN_CACHE // (wide * channels)))]
    counted = [
        _counted(part, origin.repeat(part.shape[1] // channels), channels)
        for part in (*parts, flat[most_rows:])
        if len(part)
    ]
    every = torch.stack(counted)
    total, squares, zeros = every[:, :3].sum(dim=0)
    least, most = every[:, 3].amin(dim=0), every[:, 4].amax(dim=0)
    mean = total / len(flat)
    squares = (squares - total * mean).clamp(min=0)
    columns = (origin.double() + mean, squares, zeros, least, most)
    return Tally(len(flat), *(column.cpu().numpy() for column in columns))


def _counted(part: torch.Tensor, origin: torch.Tensor, channels: int) -> torch.Tensor:
    """Of rows [R, k C] the sum of what each channel is apart from `origin` [k C], of its square, zeros, least and most: float64 [5, C]."""
    apart = part - origin
    sums = [apart.sum(dim=0), apart.square_().sum(dim=0), (part == 0).sum(dim=0)]
    added = torch.stack([column.double() for column in sums]).reshape(3, -1, channels).sum(dim=1)
    least, most = (end.reshape(-1, channels).double() for end in (part.amin(dim=0), part.amax(dim=0)))
    return torch.stack([*added, least.amin(dim=0), most.amax(dim=0)])
