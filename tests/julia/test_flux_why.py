"""Why a classifier says what it says, in Flux as in PyTorch: maps by each engine's own gradient, and what channels give."""

from pathlib import Path

import explain_torch
import infer_torch
import numpy as np
import pytest
from support.flux import random_spec, write_arrays, write_images, write_weights
from support.planted import BLOCKS, LEVEL, UPRIGHT, bars, peak, planted
from support.specs import write_spec

from promptflux.classifiers.activity import counted_layers
from promptflux.classifiers.parity import GRADCAM_FAILS, PROBABILITY_FAILS, Parity, compare_maps
from promptflux.classifiers.parity import LayerDifference as Difference
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.why import last_convolution, window_of
from promptflux.files.activations import add_up
from promptflux.files.explanations import open_explanations
from promptflux.files.tensors import write_tensors

# Random networks by their seeds: chains, of which the last has no convolution, with branches, and of rare kinds.
RANDOM = {"chain": (4, 8, 1), "blocks": (0, 6), "rare": (7, 11), "both": (3, 6)}
SETTINGS = {"blocks": {"blocks": True}, "rare": {"rare": True}, "both": {"blocks": True, "rare": True}}
# What Flux has no layer of its own for, each behind the convolution.
OWN_LAYERS = [
    {"conv": {"out": 6, "kernel": 3, "activation": "hardswish"}},
    {"maxpool": {"kernel": 2, "stride": 1, "dilation": 2}},
    {"meanpool": {"kernel": 3, "stride": 2, "padding": 1, "count_include_pad": False}},
    {"maxpool": {"kernel": 3, "stride": 1, "padding": [1, 0, 0, 1]}},
    {"lrn": {"size": 3}},
    {"layernorm": {"over": "channels"}},
    {"pad": 1},
    {"shuffle": 2},
    "prelu",
    {"maxpool": {"size": 7}},
    {"meanpool": {"size": [3, 4]}},
    {"affine": {"weight": False}},
    {"leaky_relu": {"slope": 0.2}},
    "flatten",
    {"dense": 3},
]

# The maps of model files, each for its last label too, by the fast kernels and by Flux's chain; and the channels of the first.
RUN = """
for weights in ARGS
    at(suffix) = first(splitext(weights)) * suffix
    images = PromptFlux.h5open(file -> read(file["names"]), at("_tensors.h5"))
    patch, stride = [Tuple(parse.(Int, split(word, ','))) for word in split(read(at(".window"), String))]
    asked_labels = fill(length(load_description(weights).labels) - 1, length(images))
    for kernels in ("fast", "plain")
        explain(; tensors=at("_tensors.h5"), model=weights, output=at("_$kernels.h5"), images, asked_labels, patch,
                stride, micro_batch=16, kernels, device="cpu", threads=2)
    end
    infer(; tensors=at("_tensors.h5"), model=weights, output=at("_predictions.h5"), activations=at("_activations.h5"),
          counted=readlines(at(".counted")), micro_batch=2, kernels="fast", device="cpu", threads=2)
end
"""


@pytest.fixture(scope="module")
def explained(julia, tmp_path_factory):
    """A folder with the maps of several networks by both engines, and the networks."""
    folder = tmp_path_factory.mktemp("why")
    specs = [
        random_spec(folder, f"{kind}{seed}", seed, **SETTINGS.get(kind, {}))
        for kind, seeds in RANDOM.items()
        for seed in seeds
    ]
    specs.append(
        load_spec(
            write_spec(folder, "own", layers=OWN_LAYERS, input={"name": "own", "size": 26, "channels": "rgb"})
        )
    )
    for seed, spec in enumerate(specs):
        write_weights(folder, spec, seed)
        rng = np.random.default_rng(seed)
        write_images(folder, spec, rng.random((3, *spec.input.shape), dtype=np.float32))
    blocks, weights = planted(folder, layers=BLOCKS)
    write_arrays(folder, blocks, weights)
    write_images(folder, blocks, bars()[None])
    specs.append(blocks)
    for spec in specs:
        window = window_of(spec, "auto", "auto")
        width_first = (",".join(map(str, reversed(pair))) for pair in (window.patch, window.stride))
        (folder / f"{spec.name}.window").write_text(" ".join(width_first))
        (folder / f"{spec.name}.counted").write_text("\n".join(counted_layers(spec)))
    julia(RUN, *(folder / f"{spec.name}.h5" for spec in specs))
    return folder, specs


def of_torch(folder: Path, spec) -> str:
    """PyTorch's maps of the same."""
    path = folder / f"{spec.name}_torch.h5"
    window = window_of(spec, "auto", "auto")
    with open_explanations(folder / f"{spec.name}_fast.h5") as theirs:
        images = theirs.names
    explain_torch.main(
        tensors=str(folder / f"{spec.name}_tensors.h5"),
        model=str(folder / f"{spec.name}.h5"),
        images=images,
        asked_labels=[len(spec.labels) - 1] * len(images),
        explanations=str(path),
        patch=window.patch,
        stride=window.stride,
        micro_batch=16,
        threads=2,
        device="cpu",
    )
    return str(path)


def test_the_maps_of_both_engines_agree(explained):
    folder, specs = explained
    layers = {last_convolution(spec) for spec in specs}
    assert any("." in layer for layer in layers) and "" in layers
    drawn = 0
    for spec in specs:
        ours = of_torch(folder, spec)
        for kernels in ("fast", "plain"):
            parity = Parity(
                ["Flux", "PyTorch"], [], Difference("logits", ()), Difference("probabilities", ())
            )
            compare_maps(parity, [str(folder / f"{spec.name}_{kernels}.h5")], [ours])
            assert parity.occlusion.abs_diff <= PROBABILITY_FAILS, (spec.name, kernels)
            if parity.gradcam or last_convolution(spec):
                assert parity.gradcam.rel_diff <= GRADCAM_FAILS, (spec.name, kernels, spec.to_dict())
        with open_explanations(ours) as file:
            if file.gradcam.size:
                drawn += int((file.gradcam.max(axis=(2, 3)) > 0.01 * file.scales).sum())
    assert drawn > len(specs), "most maps are empty"


def test_flux_finds_what_is_planted(explained):
    folder, _ = explained
    with open_explanations(folder / "planted_fast.h5") as file:
        for slot, target in enumerate(file.targets[0]):
            here = np.array([UPRIGHT, LEVEL][target])
            assert np.abs(peak(file.gradcam[0, slot]) - here).max() <= 1
            assert np.abs(peak(file.occlusion[0, slot]) - here).max() <= 2


def test_the_channels_of_both_engines_agree(explained):
    folder, specs = explained
    for spec in specs:
        path = folder / f"{spec.name}_torch_activations.h5"
        infer_torch.main(
            tensors=str(folder / f"{spec.name}_tensors.h5"),
            model=str(folder / f"{spec.name}.h5"),
            layers_of=[],
            predictions=str(folder / "p.h5"),
            counted=counted_layers(spec),
            activations=str(path),
            micro_batch=16,
            threads=2,
            device="cpu",
        )
        (images, ours), (same, theirs) = (
            add_up([str(file)]) for file in (path, folder / f"{spec.name}_activations.h5")
        )
        assert (images, [*ours]) == (same, [*theirs])
        for name, tally in ours.items():
            size = max(np.abs(tally.least).max(), np.abs(tally.most).max())
            for what in ("mean", "std", "least", "most"):
                apart = np.abs(getattr(tally, what) - getattr(theirs[name], what)).max()
                assert apart <= 1e-4 * size + 1e-6, (
                    spec.name,
                    name,
                    what,
                )  # sums that cancel leave rounding alone
            assert tally.values == theirs[name].values
            assert np.abs(tally.share_of_zeros - theirs[name].share_of_zeros).max() < 0.01


def test_flux_says_what_it_cannot_explain(julia, tmp_path):
    spec, weights = planted(tmp_path)
    write_arrays(tmp_path, spec, weights)
    with write_tensors(tmp_path / "planted_tensors.h5", spec.input, ["a1"]) as writer:
        writer.add(bars(), "0" * 64, (1, 1), "L", "")
    code = """
    PromptFlux.job() do
        explain(; tensors=ARGS[1], model=ARGS[2], output=ARGS[3], images=["a2"], asked_labels=[0], patch=(4, 4), stride=(2, 2),
                micro_batch=16, kernels="fast", device="cpu")
    end
    """
    files = [tmp_path / name for name in ("planted_tensors.h5", "planted.h5", "out.h5")]
    assert "maps are asked of a2, which is not in this batch" in julia.alone(code, *files, expect=1)
    assert not files[-1].exists()
