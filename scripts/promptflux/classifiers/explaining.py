"""Why a classifier says what it says of an image, in PyTorch: what happens if a part is covered, and what a gradient says."""

import numpy as np
import torch

from promptflux.classifiers.network import Network
from promptflux.classifiers.why import Window


def mean_color(image: np.ndarray) -> np.ndarray:
    """The mean of each channel of an image, float32 [C, H, W], as float32 [C, 1, 1]: what patches are covered with."""
    return image.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)


@torch.inference_mode()
def probabilities_while_covered(
    network: Network, image: np.ndarray, window: Window, micro_batch: int, device: torch.device
) -> np.ndarray:
    """The probabilities, float32 [1 + H' W', K], of an image, and then of it while each place of `window`, row by row, is covered.

    image: float32 [C, H, W]. A patch is covered with the image's mean color: Zeiler and Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014 (arXiv:1311.2901), section 4.2, take gray, which in a dark image would be a bright thing.
    micro_batch: images that run together, filled up with zeros, so that each has the same bits in any company.
    """
    rows, columns = window.starts
    height, width = window.patch
    color = mean_color(image)
    places = [None, *((row, column) for row in rows for column in columns)]
    found = []
    for start in range(0, len(places), micro_batch):
        part = places[start : start + micro_batch]
        images = np.zeros((micro_batch, *image.shape), np.float32)
        for copy, place in zip(images, part, strict=False):
            copy[:] = image
            if place is not None:
                row, column = place
                copy[:, row : row + height, column : column + width] = color
        logits = network(torch.from_numpy(images).to(device, memory_format=torch.channels_last))
        found.append(torch.softmax(logits.float(), dim=1)[: len(part)].cpu().numpy())
    return np.concatenate(found)


def gradcam(
    network: Network, image: np.ndarray, layer: str, target: int, device: torch.device
) -> tuple[np.ndarray, float]:
    """Grad-CAM of a label on the maps that `layer` gives: float32 [h, w], and the largest sum of the sizes of what is added up.

    image: float32 [C, H, W]. The maps A_k, after the activation that is part of the layer, are weighted by the mean α_k of the
    gradient of the label's logit over each of them: max(0, Σ α_k A_k). Selvaraju et al., "Grad-CAM: Visual Explanations from
    Deep Networks via Gradient-based Localization", 2017 (arXiv:1610.02391), equations 1 and 2.
    """
    batch = torch.from_numpy(image[None]).to(device, memory_format=torch.channels_last).requires_grad_()
    maps, logits = batch, batch
    for name, values in network.outputs(batch):
        if name == layer:
            maps = values
        if not name.startswith("softmax"):
            logits = values
    [gradient] = torch.autograd.grad(logits.flatten(1)[0, target], maps)
    terms = gradient.mean(dim=(2, 3), keepdim=True) * maps
    cam = terms.sum(dim=1)[0].clamp(min=0)
    return cam.detach().cpu().numpy(), float(terms.detach().abs().sum(dim=1).max())
