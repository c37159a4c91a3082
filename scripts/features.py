"""Create the features of one batch of tensors: what a classifier's layer before the last gives, in PyTorch."""

import numpy as np
import torch

from promptflux.classifiers.before_last import IMAGE, before_last
from promptflux.classifiers.inference import check_tensors, device_name, resolve
from promptflux.classifiers.network import Network
from promptflux.classifiers.weights import load_model, weights_digest
from promptflux.errors import StudyError
from promptflux.files.features import write_features
from promptflux.files.tensors import open_tensors
from promptflux.runtime.job import note
from promptflux.script import run


def main(
    *, tensors: str, model: str, features: str, micro_batch: int, threads: int, device: str = "auto"
) -> None:
    """Write what `before_last` of the network gives for each image of `tensors`, as float16.

    model: a model file, `results/models/{classifier}.h5`. micro_batch, threads: as of `infer_torch.main`, so that an
    image's row does not depend on its batch. device: "auto", "cpu", "cuda" or "mps". Raises StudyError if the tensors are
    not those that the classifier wants, or if the network gives values that are not finite.
    """
    description, weights = load_model(model)
    torch.set_num_threads(threads)
    place = resolve(device)
    network = Network(description).load(weights).eval().to(place, memory_format=torch.channels_last)
    layer, shape = before_last(description)
    with open_tensors(tensors) as batch:
        check_tensors(batch, tensors, description, ())
        attributes = {
            "engine": "torch",
            "engine_version": str(torch.__version__),
            "device": device_name(place),
            "classifier": description.name,
            "description_sha256": description.digest,
            "weights_sha256": weights_digest(weights),
        }
        with write_features(
            features,
            names=batch.names,
            problems=batch.problems,
            layer=layer,
            shape=shape,
            attributes=attributes,
        ) as writer:
            for start in range(0, len(batch.names), micro_batch):
                images = batch.images[start : start + micro_batch]
                filled = np.zeros((micro_batch, *images.shape[1:]), dtype=np.float32)
                filled[: len(images)] = images
                values = given(network, filled, layer, place)[: len(images)]
                if not (finite := np.isfinite(values).reshape(len(values), -1).all(axis=1)).all():
                    raise StudyError(
                        f"{description.source}: {layer} gives values for {batch.names[start + finite.argmin()]} "
                        f"that are not finite."
                    )
                writer.keep(start, values)
        note(f"{description.name}: the features of {len(batch.names)} images are those of {layer}")


@torch.inference_mode()
def given(network: Network, images: np.ndarray, layer: str, device: torch.device) -> np.ndarray:
    """What `layer` gives for `images`, float32 [N, C, H, W]; the layers after it do not run."""
    taken = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
    values = taken if layer == IMAGE else next(out for name, out in network.outputs(taken) if name == layer)
    return values.float().contiguous().cpu().numpy()


if "snakemake" in globals():
    run(main, snakemake)
