"""docs/networks.md: every example with PyTorch is run, with random weights in place of published ones."""

import re

import import_weights
import pytest
import torch
import yaml
from support.beside import beside
from support.workflow import WORKFLOW

from promptflux.classifiers.architectures import ARCHITECTURES
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model

PAGE = (WORKFLOW / "docs/networks.md").read_text(encoding="utf-8")


def examples(heading, language):
    """The blocks of code in a section of the page."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def others():
    with beside() as models_and_timm:
        yield models_and_timm


def network_of(folder, example):
    """The network that a study makes of an example, which says in its first line what file it is."""
    path = folder / re.match(r"# (\w+\.yaml)", example)[1]
    path.write_text(example, encoding="utf-8")
    spec = load_spec(path)
    files = {"model": str(folder / "model.h5"), "architecture": str(folder / "printed.txt")}
    import_weights.main(spec=str(path), weights=str(spec.weights_path), **files)
    description, weights = load_model(files["model"])
    return Network(description).load(weights).eval()


def same(ours, theirs, size):
    """Whether two networks compute the same of random images: each logit within 1e-4 of their spread."""
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, logits = theirs.eval()(images), ours(images)
    return bool((logits - wanted).abs().max() < 1e-4 * wanted.std())


def test_torchvision(tmp_path, others):
    published, further = examples("torchvision", "yaml")
    torch.manual_seed(0)
    resnet = others[0].resnet18(weights=None)
    torch.save(resnet.state_dict(), tmp_path / "resnet18-f37072fd.pth")
    network = network_of(tmp_path, published)
    assert same(network, resnet, 224)
    assert network.description.labels[:2] == ("tench", "goldfish") and network.description.input.resize == 256
    mobilenet, ema = (others[0].mobilenet_v3_small(weights=None, num_classes=3) for _ in range(2))
    torch.nn.init.normal_(ema.classifier[3].weight)
    (tmp_path / "training").mkdir()
    state = {"state_dict": mobilenet.state_dict(), "ema": ema.state_dict(), "epoch": 7}
    torch.save(state, tmp_path / "training/last.ckpt")
    network = network_of(tmp_path, further)
    assert same(network, ema, 224) and not same(network, mobilenet, 224)


def test_the_page_names_every_architecture():
    """Of a row of sizes the first and the last."""
    between = ("vgg13", "vgg16", "resnet34", "resnet50", "resnet101", "mobilenet_v3_large")
    names = {path.stem.removesuffix("_bn") for path in ARCHITECTURES.glob("*.yaml")}
    assert [name for name in sorted(names.difference(between)) if name not in PAGE] == []


def test_timm(tmp_path, others, monkeypatch, capsys):
    [code] = examples("timm", "python")
    [example] = examples("timm", "yaml")
    assert "pretrained=True" in code
    monkeypatch.chdir(tmp_path)
    said: dict = {}
    exec(compile(code.replace("pretrained=True", "pretrained=False"), "docs/networks.md", "exec"), said)
    assert "crop_pct" in capsys.readouterr().out
    assert same(network_of(tmp_path, example), said["model"], 224)


class Own(torch.nn.Module):
    """The network that the page writes down; its convolutions are made in another order than they are used."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.head = nn.Linear(16, 3)
        self.block = nn.ModuleDict({name: nn.Conv2d(16, 16, 3, padding=1) for name in ("second", "first")})
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))

    def forward(self, images):
        x = self.stem(images).relu()
        y = self.block["second"](self.block["first"](x).relu())
        return self.head((x + y).relu().mean((2, 3)))


def test_a_network_of_ones_own(tmp_path):
    [example] = examples("PyTorch", "yaml")
    torch.manual_seed(0)
    own = Own()
    torch.save(own.state_dict(), tmp_path / "own.pt")
    assert same(network_of(tmp_path, example), own, 32)
    bare = re.sub(r", module: block\.\w+", "", example)
    rename = re.search(r"`(weights: \{checkpoint: own.pt, rename: .*?\}\})`", PAGE)[1]
    bare = re.sub(r"^weights:.*", rename, bare, flags=re.MULTILINE)
    (tmp_path / "renamed").mkdir()
    torch.save(own.state_dict(), tmp_path / "renamed/own.pt")
    assert same(network_of(tmp_path / "renamed", bare), own, 32)


def test_layers_in_a_file_of_their_own(tmp_path):
    """As the page says at its end of PyTorch."""
    [example] = examples("PyTorch", "yaml")
    content = yaml.safe_load(example)
    layers = {key: content[key] for key in ("input", "layers")}
    (tmp_path / "layers.yaml").write_text(yaml.safe_dump(layers))
    own = Own()
    torch.save(own.state_dict(), tmp_path / "own.pt")
    spec = {key: content[key] for key in ("labels", "weights")} | {"architecture": "layers.yaml"}
    assert same(network_of(tmp_path, "# own.yaml\n" + yaml.safe_dump(spec)), own, 32)


def test_the_readme_has_the_same_example():
    readme = (WORKFLOW / "README.md").read_text(encoding="utf-8")
    assert "\n".join(examples("torchvision", "yaml")[0].splitlines()[1:]) in readme
