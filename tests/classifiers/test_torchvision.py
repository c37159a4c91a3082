"""The ready architectures against torchvision and timm: parameters, and what they compute of the same weights."""

import re
from math import prod

import numpy as np
import pytest
import torch
import yaml
from support.beside import beside, with_numbers

from promptflux.classifiers.architectures import ARCHITECTURES
from promptflux.classifiers.checkpoints import taken
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError

# The parameters that torchvision publishes for its weights (docs.pytorch.org/vision/stable/models.html); those of
# inception_v3 count its classifier for training, too.
COUNTS = {
    "alexnet": 61_100_840,
    "convnext_tiny": 28_589_128,
    "densenet121": 7_978_856,
    "efficientnet_b0": 5_288_548,
    "googlenet": 6_624_904,
    "inception_v3": 27_161_264 - 3_326_696,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "shufflenet_v2_x1_0": 2_278_604,
    "squeezenet1_1": 1_235_496,
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


# As timm calls the networks whose names an architecture knows, too, or whose names are torchvision's.
TIMM = {
    "convnext_tiny": "convnext_tiny",
    "efficientnet_b0": "efficientnet_b0",
    "mobilenet_v2": "mobilenetv2_100",
    "resnet18": "resnet18",
    "vgg11": "vgg11",
}
# These have the blocks of vgg11, more of them, and half a gigabyte of weights each: `make test-networks` computes with them.
LARGE = ("vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
SIZES = {"inception_v3": 299}  # the least that its classifier for training takes
SIZE = 64  # pixels: a network is the same for the default input, at a tenth of the time
LABELS = [f"label {number}" for number in range(1000)]


@pytest.fixture(scope="module")
def others():
    with beside() as models_and_timm:
        yield models_and_timm


def ready(folder, name, **said):
    """The spec of an architecture, for smaller images."""
    content = {
        "architecture": name,
        "input": f"rgb{SIZES.get(name, SIZE)}",
        "labels": LABELS,
        "weights": {"checkpoint": "c.pt"},
    }
    (folder / "ready.yaml").write_text(yaml.safe_dump(content | said))
    return load_spec(folder / "ready.yaml", weights_exist=False)


def random_images(spec):
    return torch.randn(2, *spec.input.shape, generator=torch.Generator().manual_seed(1))


def made(make, images, **options):
    """A network of another library's with random weights."""
    with torch.device("meta"):
        network = make(**options)
    return with_numbers(network, images)


def of_torchvision(models, name, images, **options):
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False}
    return made(getattr(models, name), images, weights=None, **options)


def state_of(network):
    """What a checkpoint of it holds."""
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def hold(spec, network, state, images):
    """Hold the network of `spec` to `network`, from whose weights `state` it takes its own: each logit within 1e-4."""
    ours = Network(spec).load(taken("c.pt", state, spec)).eval()
    with torch.no_grad():
        theirs, logits = network(images), ours(images)
    assert 0.1 < theirs.std() < 100 and (theirs[0] - theirs[1]).std() > 0.01
    torch.testing.assert_close(logits, theirs, rtol=1e-4, atol=1e-4)


def test_every_architecture_is_here():
    assert sorted(COUNTS) == sorted(path.stem for path in ARCHITECTURES.glob("*.yaml"))


@pytest.mark.parametrize("name", COUNTS)
def test_the_parameters_are_as_many_as_on_record(tmp_path, name):
    parameters = ready(tmp_path, name).parameters
    assert sum(prod(shape) for name, shape in parameters.items() if "running" not in name) == COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_without_a_word_input_and_labels_are_those_of_the_published_weights(tmp_path, others, name):
    (tmp_path / "ready.yaml").write_text(yaml.safe_dump({"architecture": name, "weights": {"seed": 1}}))
    spec = load_spec(tmp_path / "ready.yaml")
    weights = others[0].get_model_weights(name).IMAGENET1K_V1
    wanted = weights.transforms()
    mean, std = np.array(wanted.mean), np.array(wanted.std)
    if name in ("googlenet", "inception_v3"):  # (x - mean) / std, and then transform_input
        factor, summand = std / 0.5, (mean - 0.5) / 0.5
        mean, std = mean - summand * std / factor, std / factor
    assert ([spec.input.height], [spec.input.resize]) == (wanted.crop_size, wanted.resize_size)
    assert (spec.input.filter, spec.input.fit) == (wanted.interpolation.value, "crop")
    np.testing.assert_allclose([spec.input.mean, spec.input.std], [mean, std], rtol=1e-12)
    assert len(spec.labels) == 1000
    assert [label.partition(",")[0] for label in weights.meta["categories"]][:3] == list(spec.labels[:3])


@pytest.mark.parametrize("name", LARGE)
def test_the_names_are_those_of_torchvision(tmp_path, others, name):
    with torch.device("meta"):
        network = getattr(others[0], name)(weights=None)
    state = {key: torch.zeros(1).expand(tensor.shape) for key, tensor in state_of(network).items()}
    spec = ready(tmp_path, name)
    assert list(taken("c.pt", state, spec)) == list(spec.parameters)


@pytest.mark.parametrize("name", [name for name in COUNTS if name not in LARGE])
def test_as_torchvision_computes_it(tmp_path, others, name):
    spec = ready(tmp_path, name)
    images = random_images(spec)
    network = of_torchvision(others[0], name, images)
    hold(spec, network, state_of(network), images)


@pytest.mark.parametrize("name", TIMM)
def test_as_timm_computes_it(tmp_path, others, name):
    spec = ready(tmp_path, name)
    images = random_images(spec)
    network = made(others[1].create_model, images, model_name=TIMM[name])
    hold(spec, network, state_of(network), images)


def test_other_labels_are_other_outputs(tmp_path, others):
    """As of a network that was trained further on three labels, and saved by Lightning."""
    spec = ready(tmp_path, "squeezenet1_1", labels=["a", "b", "c"])
    images = random_images(spec)
    network = of_torchvision(others[0], "squeezenet1_1", images, num_classes=3)
    state = {f"model.backbone.{name}": tensor for name, tensor in state_of(network).items()}
    hold(spec, network, state, images)


def test_the_names_of_the_first_densenets(tmp_path, others):
    """torchvision's densenet121-a639ec97.pth calls `norm.1` what its code calls `norm1` today."""
    spec = ready(tmp_path, "densenet121")
    state = state_of(of_torchvision(others[0], "densenet121", torch.randn(2, 3, 32, 32)))
    pattern = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    old = {pattern.sub(r"\1.\2", name): tensor for name, tensor in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    weights = taken("c.pt", state, spec)
    assert all(np.array_equal(weights[name], array) for name, array in taken("c.pt", old, spec).items())


@pytest.mark.parametrize(
    ("name", "of", "said"),
    [
        ("resnet18", "resnet34", "also holds layer1.2.conv1, layer1.2.bn1, "),
        ("resnet34", "resnet18", "has no module layer1.2.conv1 for residual3.conv1, "),
        ("resnet50", "wide_resnet50_2", "layer1.0.conv1 has weight 128×64×1×1, and residual1.conv1"),
        ("vgg11_bn", "vgg11", "the spec wants batchnorm1 (weight 64"),
        ("vgg11", "densenet121", "has not the modules that"),
    ],
)
def test_another_network_is_refused_in_few_words(tmp_path, others, name, of, said):
    with torch.device("meta"):
        state = state_of(getattr(others[0], of)(weights=None))
    with pytest.raises(StudyError) as error:
        taken("c.pt", state, ready(tmp_path, name))
    assert said in str(error.value) and len(str(error.value)) < 2500, str(error.value)


def test_names_that_nobody_knows_are_refused_in_few_words(tmp_path, others):
    """timm's MobileNetV3 has the shapes of torchvision's, other names, and another eps."""
    with torch.device("meta"):
        state = state_of(others[1].create_model("mobilenetv3_small_100"))
    with pytest.raises(StudyError) as error:
        taken("c.pt", state, ready(tmp_path, "mobilenet_v3_small"))
    said = str(error.value)
    assert (
        "has not the modules that" in said
        and "export that as ONNX" in said
        and "{bn1: batchnorm1, blocks.0.0.bn1: batchnorm2, " in said
    )
    assert len(said) < 5000, said
