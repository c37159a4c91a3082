"""The ready architectures against torchvision and timm: parameters, and what they compute of the same weights."""

import numpy as np
import pytest
import torch
import yaml
from support.beside import beside, with_numbers

from promptflux.classifiers.architectures import ARCHITECTURES
from promptflux.classifiers.checkpoints import taken
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec

# The parameters that torchvision publishes for its weights (docs.pytorch.org/vision/stable/models.html). Those of
# googlenet and inception_v3 are without the classifiers for training, which have 6,379,984 and 3,326,696 more.
COUNTS = {
    "alexnet": 61_100_840,
    "densenet121": 7_978_856,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "wide_resnet50_2": 68_883_240,
}


@pytest.fixture(scope="module")
def others():
    with beside() as models_and_timm:
        yield models_and_timm


def ready(folder, name, **said):
    """The spec of an architecture alone."""
    path = folder / "ready.yaml"
    said = {"input": "rgb224", "labels": [f"l{i}" for i in range(1000)]}
    path.write_text(yaml.safe_dump({"architecture": name, "weights": {"checkpoint": "c.pt"}} | said))
    return load_spec(path, weights_exist=False)


def made(make, images, *arguments, **options):
    """A network of another library's with random weights."""
    with torch.device("meta"):
        network = make(*arguments, **options)
    return with_numbers(network, images)


def compared(spec, network, images):
    """Hold the network of `spec`, with the weights of `network`, to it: each logit within 1e-4."""
    state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    weights = taken("c.pt", state, spec)
    ours = Network(spec).load(weights).eval()
    with torch.no_grad():
        theirs, logits = network(images), ours(images)
    assert 0.1 < theirs.std() < 100 and (theirs[0] - theirs[1]).std() > 0.01
    torch.testing.assert_close(logits, theirs, rtol=1e-4, atol=1e-4)


def test_every_architecture_is_here():
    assert sorted(COUNTS) == sorted(path.stem for path in ARCHITECTURES.glob("*.yaml"))


@pytest.mark.parametrize("name", COUNTS)
def test_as_torchvision_computes_it(tmp_path, others, name):
    spec = ready(tmp_path, name)
    count = sum(np.prod(shape) for name, shape in spec.parameters.items() if "running" not in name)
    assert count == COUNTS[name]
    images = torch.randn(2, *spec.input.shape, generator=torch.Generator().manual_seed(1))
    network = made(getattr(others[0], name), images, weights=None)
    compared(spec, network, images)
