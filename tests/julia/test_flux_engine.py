"""The Flux engine against PyTorch, in real Julia."""

import shutil
import subprocess

import h5py
import infer_torch
import numpy as np
import parity
import pytest
import yaml
from PIL import Image
from support.flux import (
    PROJECT,
    RUN_FLUX,
    differences,
    environment,
    random_spec,
    run_torch,
    structure,
    write_arrays,
    write_images,
    write_weights,
)
from support.specs import write_spec
from support.workflow import WORKFLOW

from promptflux.classifiers.importers.flux_file import flux_weights
from promptflux.classifiers.kinds import KINDS
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, load_weights, save_model
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions

# Pkg.test's default of --check-bounds=yes would compile every package anew, for minutes.
PKG_TEST = 'using Pkg; Pkg.test(; julia_args=["--check-bounds=auto"])'
RANDOM_SPECS = 60
BRANCHED_SPECS = 12
RARE_SPECS = 10
# Relative to the largest value of a layer, on the same input.
AGREES = 1e-5


def prepare(folder, spec, count, seed):
    images = np.random.default_rng(seed).random((count, *spec.input.shape), dtype=np.float32)
    write_weights(folder, spec, seed)
    write_images(folder, spec, images)
    return spec


def agree(folder, specs, count):
    """PyTorch, Flux's chain and the fast kernels agree in every layer that there is."""
    for spec in specs:
        torch = run_torch(folder, spec.name, count)
        for flux in ("flux", "plain"):
            found = differences(torch, folder / f"{spec.name}_{flux}.h5")
            assert max(found.values()) <= AGREES, (spec.to_dict(), flux, found)


def models(folder, specs):
    return [folder / f"{spec.name}.h5" for spec in specs]


def test_every_layer_of_random_specs_agrees(julia, tmp_path):
    specs = [prepare(tmp_path, random_spec(tmp_path, f"random{i}", i), 3, i) for i in range(RANDOM_SPECS)]
    kinds = {layer.kind for spec in specs for layer in spec.layers}
    assert kinds >= {
        "conv",
        "batchnorm",
        "maxpool",
        "meanpool",
        "dropout",
        "gelu",
        "leaky_relu",
        "dense",
        "softmax",
    }
    convolutions = [layer.settings for spec in specs for layer in spec.layers if layer.kind == "conv"]
    for key, plain in (
        ("stride", (1, 1)),
        ("padding", (0, 0)),
        ("dilation", (1, 1)),
        ("groups", 1),
        ("bias", True),
    ):
        assert any(settings[key] != plain for settings in convolutions), key
    julia(RUN_FLUX, *models(tmp_path, specs))
    agree(tmp_path, specs, 3)


def test_every_layer_of_random_networks_with_branches_agrees(julia, tmp_path):
    names = [f"branched{i}" for i in range(BRANCHED_SPECS)]
    specs = [
        prepare(tmp_path, random_spec(tmp_path, name, i, blocks=True), 3, i) for i, name in enumerate(names)
    ]
    layers = [layer for spec in specs for layer in spec.walk()]
    assert {layer.kind for layer in layers} >= {
        "residual",
        "parallel",
        "scale",
        "globalmaxpool",
        "globalmeanpool",
    }
    assert any(layer.branches and () in layer.branches for layer in layers)
    assert max(layer.name.count(".") for layer in layers) >= 2, "no block inside of a block"
    assert any(spec.layers[-1].kind.startswith("global") for spec in specs), "none ends in maps"
    julia(RUN_FLUX, *models(tmp_path, specs))
    agree(tmp_path, specs, 3)


def test_every_layer_of_random_networks_of_every_kind_agrees(julia, tmp_path):
    names = [f"rare{i}" for i in range(RARE_SPECS)]
    specs = [
        prepare(tmp_path, random_spec(tmp_path, name, i, blocks=i % 6 == 0, rare=True), 3, i)
        for i, name in enumerate(names)
    ]
    layers = [layer for spec in specs for layer in spec.walk()]
    assert {layer.kind for layer in layers} | {layer.activation for layer in layers} == set(KINDS)
    said = {(layer.kind, key) for layer in layers for key in layer.settings}
    said |= {(layer.activation, key) for layer in layers for key in layer.activation_settings}
    # A largest value with windows that are not whole is resolved to one with another padding.
    resolved = {("maxpool", "ceil_mode")}
    assert {(kind.name, key) for kind in KINDS.values() for key in kind.unsaid} - said == resolved
    assert any(layer.kind == "softmax" and len(layer.in_shape) == 3 for layer in layers)
    sides = {(layer.kind, len(layer.settings.get("padding", ()))) for layer in layers}
    assert sides >= {("conv", 4), ("maxpool", 4), ("meanpool", 4)}
    julia(RUN_FLUX, *models(tmp_path, specs))
    agree(tmp_path, specs, 3)


def test_every_layer_of_ready_architectures_agrees(julia, tmp_path):
    """Two that are small, and have most of what the others have; for smaller images than theirs."""
    specs = []
    for name in ("shufflenet_v2_x1_0", "mobilenet_v3_small"):
        content = {"architecture": name, "input": "rgb64", "weights": {"seed": 1}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        specs.append(prepare(tmp_path, load_spec(tmp_path / f"{name}.yaml"), 2, 1))
        path = tmp_path / f"{name}.h5"
        weights = load_weights(path, specs[-1])
        # He's initialization, six times the variance of PyTorch's: in a deep network nothing is left of the images else.
        deep = {key: array * (6**0.5 if array.ndim > 1 else 1) for key, array in weights.items()}
        save_model(path, {key: array.astype(np.float32) for key, array in deep.items()}, specs[-1])
    julia(RUN_FLUX, *models(tmp_path, specs))
    agree(tmp_path, specs, 2)
    with open_predictions(tmp_path / f"{specs[-1].name}_torch.h5") as file:
        assert np.ptp(file.logits, axis=0).max() > 0.01 * np.abs(file.logits).max()


# As MobileNet-V3 and ResNet have them: strides, depthwise convolutions, squeeze-and-excitation, two kinds of residual sum.
MOBILE = """
input: {name: rgb43, size: [37, 43], channels: rgb}
layers:
  - conv: {out: 20, kernel: 7, stride: 2, padding: 3, bias: false}
  - batchnorm: {activation: hardswish}
  - maxpool: {kernel: 3, stride: 2, padding: 1}
  - residual:
      body:
        - conv: {out: 60, kernel: 1, bias: false}
        - batchnorm: {activation: relu6}
        - conv: {out: 60, kernel: 5, padding: 2, groups: 60, bias: false}
        - batchnorm: {activation: relu6}
        - scale:
            gate:
              - globalmeanpool
              - conv: {out: 8, kernel: 1, activation: relu}
              - conv: {out: 60, kernel: 1, activation: hardsigmoid}
        - conv: {out: 20, kernel: 1, bias: false}
        - batchnorm
  - residual:
      body:
        - conv: {out: 40, kernel: 3, stride: 2, padding: 1, groups: 2}
        - batchnorm: {activation: silu}
        - conv: {out: 40, kernel: 3, padding: 1}
        - batchnorm
      shortcut: [{conv: {out: 40, kernel: 1, stride: 2}}, batchnorm]
      activation: relu
  - conv: {out: 40, kernel: 3, stride: 2, padding: 1, groups: 40}
  - globalmeanpool
  - flatten
  - dense: 3
  - softmax
labels: [a, b, c]
weights: {seed: 1}
"""


def test_inverted_residuals_with_squeeze_and_excitation_agree(julia, tmp_path):
    (tmp_path / "mobile.yaml").write_text(MOBILE)
    spec = prepare(tmp_path, load_spec(tmp_path / "mobile.yaml"), 18, 2)
    julia(RUN_FLUX, *models(tmp_path, [spec]))
    agree(tmp_path, [spec], 18)


def test_every_layer_of_the_embedded_classifiers_agrees(julia, tmp_path):
    specs = []
    for classifier in ("cnn28", "cnn32", "cnn224"):
        shutil.copy(WORKFLOW / f"models/classifiers/{classifier}.yaml", tmp_path)
        specs.append(load_spec(tmp_path / f"{classifier}.yaml", weights_exist=False))
        prepare(tmp_path, specs[-1], 18, 1)
        weights = load_weights(WORKFLOW / f"models/classifiers/{classifier}.h5", specs[-1])
        save_model(tmp_path / f"{classifier}.h5", weights, specs[-1])
    julia.alone(RUN_FLUX, *models(tmp_path, specs))
    agree(tmp_path, specs, 18)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A spec that each fault changes the outputs of, with weights and images."""
    folder = tmp_path_factory.mktemp("small")
    content = {
        "input": {"name": "square", "size": 20, "channels": "rgb"},
        "layers": [
            {"conv": {"out": 8, "kernel": 3, "activation": "relu"}},
            {"maxpool": 2},
            {"conv": {"out": 8, "kernel": 3, "activation": "relu"}},
            "flatten",
            {"dense": 4},
            "softmax",
        ],
        "labels": ["a", "b", "c", "d"],
        "weights": {"seed": 1},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(content))
    return prepare(folder, load_spec(folder / "small.yaml"), 5, 3)


def check_parity(spec, folder, flux):
    """The verdicts of a parity table, written to `folder`; flux: the predictions that are held to PyTorch's."""
    torch = run_torch(spec.path.parent, spec.name, 5)
    parity.main(
        classifier=spec.name, titles=["Flux", "PyTorch"], reference=[str(torch)],
        predictions=[str(flux)],
        table=str(folder / "parity.tsv"), figure=str(folder / "parity.png"),
        style={"colormap": "viridis", "dpi": 50},
    )  # fmt: skip
    rows = [line.split("\t") for line in (folder / "parity.tsv").read_text().splitlines()]
    return {row[0]: row[-1] for row in rows[1:]}


def model_of(spec):
    return spec.path.parent / f"{spec.name}.h5"


def test_both_engines_write_the_same_file(julia, small, tmp_path):
    julia.alone(RUN_FLUX, model_of(small))
    folder = small.path.parent
    assert check_parity(small, tmp_path, folder / "small_flux.h5")["fast kernels"] == "ok"
    assert "fast kernels" not in check_parity(small, tmp_path, folder / "small_plain.h5")
    assert structure(folder / "small_flux.h5") == structure(folder / "small_torch.h5")
    first = (folder / "small_flux.h5").read_bytes(), (folder / "small.bson").read_bytes()
    julia.alone(RUN_FLUX, model_of(small))
    assert first == ((folder / "small_flux.h5").read_bytes(), (folder / "small.bson").read_bytes())


def test_flux_keeps_the_same_sample_of_a_large_layer(julia, tmp_path):
    layers = [
        {"conv": {"out": 5, "kernel": 3, "activation": "relu"}},
        {"maxpool": 4},
        "flatten",
        {"dense": 3},
    ]
    spec = prepare(tmp_path, load_spec(write_spec(tmp_path, input="rgb64", layers=layers)), 2, 3)
    julia(
        """
        infer(; tensors=ARGS[1], model=ARGS[2], output=ARGS[3], layers_of=["a2"], layers=String[],
              micro_batch=4, kernels="plain", device="cpu")
        """,
        tmp_path / "small_tensors.h5",
        model_of(spec),
        tmp_path / "flux.h5",
    )
    infer_torch.main(
        tensors=str(tmp_path / "small_tensors.h5"), model=str(model_of(spec)), layers_of=["a2"], layers=[],
        predictions=str(tmp_path / "torch.h5"), micro_batch=4, threads=2, device="cpu",
    )  # fmt: skip
    assert structure(tmp_path / "flux.h5") == structure(tmp_path / "torch.h5")
    with open_predictions(tmp_path / "flux.h5") as flux, open_predictions(tmp_path / "torch.h5") as torch:
        assert list(flux.samples) == ["conv1"] and "maxpool1" in flux.layers
        assert np.abs(flux.samples["conv1"][()] - torch.samples["conv1"][()]).max() <= AGREES


# A fault in what runs the network: the images that it is given are changed on the way.
CHANGED_IMAGES = """
function filled(images, batch, count)
    values = zeros(Float32, size(images)[1:3]..., count)
    copyto!(values, view(images, :, :, :, batch))
    return CHANGE(values)
end
"""
# By name: the first layer that differs, the file of julia/src whose code is replaced, and by what.
FAULTS = {
    "unflipped kernels": (
        "conv1",
        "layers/conv.jl",
        "take_weights!(layer::Conv, weight) ="
        '(copyto!(layer.weight, weight("weight")); copyto!(layer.bias, weight("bias")); layer)\n'
        "flipped(array::Array{<:Any,4}) = array",
    ),
    "transposed image": (
        "conv1",
        "network.jl",
        CHANGED_IMAGES.replace("CHANGE(values)", "permutedims(values, (2, 1, 3, 4))"),
    ),
    "double /255": ("conv1", "network.jl", CHANGED_IMAGES.replace("CHANGE(values)", "values ./ 255f0")),
    "wrong flatten order": (
        "flatten1",
        "layers/reshape.jl",
        "flux_layer(::Val{:flatten}, layer) = x -> reshape(permutedims(x, (3, 1, 2, 4)), :, size(x, 4))",
    ),
}


OF_KERNELS = ("", "fast/vectors.jl", "larger(a::Floats, b::Floats) = vifelse(b > a, a, b)")
NONE = ("", "network.jl", "")


@pytest.fixture(scope="module")
def faulty(julia, small, tmp_path_factory):
    """What Flux predicts with each fault, "of kernels" and at last with "none", in one process that mends each before the next."""
    predictions, code = {}, []
    for name, (_, file, fault) in {**FAULTS, "of kernels": OF_KERNELS, "none": NONE}.items():
        folder = tmp_path_factory.mktemp("faulty")
        for part in ("small.h5", "small_tensors.h5"):
            shutil.copy(small.path.parent / part, folder)
        predictions[name] = folder / "small_flux.h5"
        code += [
            f"@eval PromptFlux begin {fault} end",
            f'push!(empty!(ARGS), "{folder / "small.h5"}")',
            RUN_FLUX,
            f'Base.include(PromptFlux, joinpath(pkgdir(PromptFlux), "src", "{file}"))',
        ]
    julia.alone("\n".join(code))
    return predictions


@pytest.mark.parametrize("fault", FAULTS)
def test_parity_catches(faulty, small, tmp_path, fault):
    with pytest.raises(StudyError, match=f"The first layer to differ is {FAULTS[fault][0]}"):
        check_parity(small, tmp_path, faulty[fault])
    assert "FAIL" in (tmp_path / "parity.tsv").read_text()


def test_what_was_mended_agrees(faulty, small, tmp_path):
    """So that each fault was one of its own."""
    assert set(check_parity(small, tmp_path, faulty["none"]).values()) == {"ok"}


def test_the_kept_layers_are_those_of_flux_itself(faulty, small, tmp_path):
    """A fault in the fast kernels shows in their own row, and in no layer."""
    with pytest.raises(StudyError, match="its fast kernels differ from its own layers"):
        check_parity(small, tmp_path, faulty["of kernels"])
    rows = [line.split("\t") for line in (tmp_path / "parity.tsv").read_text().splitlines()]
    verdicts = {row[0]: row[-1] for row in rows[1:]}
    assert verdicts["fast kernels"] == verdicts["logits"] == "FAIL"
    assert all(verdicts[layer.name] == "ok" for layer in small.layers)


def test_the_way_back_to_pytorch(julia, small, tmp_path):
    """What a Flux user has trained, as `Flux.state` in a BSON file, becomes weights that PyTorch runs."""
    shutil.copy(small.path.parent / "small_tensors.h5", tmp_path)
    julia(
        """
        using Flux, BSON
        model = Chain(Conv((3, 3), 3 => 8, relu), MaxPool((2, 2)), Conv((3, 3), 8 => 8, relu), Flux.flatten,
                      Dense(392 => 4), softmax)
        BSON.bson(ARGS[1], Dict(:state => Flux.state(model)))
        images = PromptFlux.h5open(file -> read(file["images"]), ARGS[2])
        PromptFlux.h5open(file -> (file["probabilities"] = model(images)), ARGS[3], "w")
        """,
        *(tmp_path / name for name in ("own.bson", "small_tensors.h5", "own.h5")),
    )
    write_arrays(tmp_path, small, flux_weights(str(tmp_path / "own.bson"), small))
    with open_predictions(run_torch(tmp_path, "small", 1)) as ours, h5py.File(tmp_path / "own.h5") as theirs:
        assert np.abs(ours.probabilities - theirs["probabilities"][()]).max() <= AGREES


def test_blocks_move_into_and_out_of_a_model_that_is_written_as_one_writes_it(julia, tmp_path):
    """With Flux alone on the other side: SkipConnection, Parallel, and a gate that multiplies."""

    def conv(out, kernel=3, **settings):
        return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2, **settings}}

    gate = ["globalmeanpool", conv(4, 1, activation="sigmoid")]
    layers = [
        conv(4),
        {"residual": {"body": [conv(4, activation="relu"), conv(4)], "activation": "relu"}},
        {"residual": {"body": [conv(6, stride=2)], "shortcut": [conv(6, 1, stride=2)]}},
        {"parallel": {"branches": [[], [conv(3), conv(2)]], "activation": "tanh"}},
        {"parallel": {"branches": [[conv(4)], [conv(4, 1)]], "join": "sum"}},
        {"residual": {"body": [{"scale": {"gate": gate}}]}},
        conv(3, 1),
        "globalmeanpool",
    ]
    spec = prepare(tmp_path, load_spec(write_spec(tmp_path, "blocks", layers=layers)), 2, 7)
    julia(
        """
        using Flux, BSON
        model = Chain(
            Conv((3, 3), 1 => 4; pad=1),
            SkipConnection(Chain(Conv((3, 3), 4 => 4, relu; pad=1), Conv((3, 3), 4 => 4; pad=1)), (a, b) -> relu.(a + b)),
            Parallel(+, Chain(Conv((3, 3), 4 => 6; pad=1, stride=2)), Chain(Conv((1, 1), 4 => 6; stride=2))),
            Parallel((a, b) -> tanh.(cat(a, b; dims=3)), identity,
                     Chain(Conv((3, 3), 6 => 3; pad=1), Conv((3, 3), 3 => 2; pad=1))),
            Parallel(+, Chain(Conv((3, 3), 8 => 4; pad=1)), Chain(Conv((1, 1), 8 => 4))),
            SkipConnection(Chain(SkipConnection(Chain(GlobalMeanPool(), Conv((1, 1), 4 => 4, sigmoid)), (g, x) -> g .* x)), +),
            Conv((1, 1), 4 => 3), GlobalMeanPool(),
        )
        export_bson(; weights=ARGS[1], model=ARGS[2], architecture=ARGS[3])
        Flux.loadmodel!(model, (layers=Tuple(BSON.load(ARGS[2])[:state].layers),))
        images = PromptFlux.h5open(file -> read(file["images"]), ARGS[4])
        PromptFlux.h5open(file -> (file["logits"] = Flux.flatten(model(images))), ARGS[5], "w")
        BSON.bson(ARGS[6], Dict(:state => Flux.state(model)))
        """,
        model_of(spec),
        *(
            tmp_path / name
            for name in ("blocks.bson", "blocks.txt", "blocks_tensors.h5", "own.h5", "own.bson")
        ),
    )
    with open_predictions(run_torch(tmp_path, "blocks", 1)) as ours, h5py.File(tmp_path / "own.h5") as theirs:
        assert np.abs(ours.logits - theirs["logits"][()]).max() <= AGREES
    weights = load_model(model_of(spec))[1]
    for name in ("own.bson", "blocks.bson"):  # what a Flux user has of it, and what this project exports
        back = flux_weights(str(tmp_path / name), spec)
        assert list(back) == list(weights)
        assert all(np.array_equal(values, back[key]) for key, values in weights.items())
    assert "SkipConnection" in (tmp_path / "blocks.txt").read_text()


# ---- the scripts, as Snakemake and people start them --------------------------------------


@pytest.fixture
def study(tmp_path):
    """A study of photographs in a folder with a space in its name, for both engines."""
    folder = tmp_path / "a study"
    folder.mkdir()
    config = {
        "prompts": None,
        "images": str(WORKFLOW / "examples/photos"),
        "classifiers": ["small.yaml"],
        "engines": ["torch", "flux"],
        "figures": {"images": 1},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    layers = [
        {"conv": {"out": 4, "kernel": 3, "activation": "relu"}},
        {"maxpool": 2},
        "flatten",
        {"dense": 3},
    ]
    spec = {"input": "gray28", "layers": layers, "labels": ["a", "b", "c"], "weights": {"seed": 1}}
    (folder / "small.yaml").write_text(yaml.safe_dump(spec))
    return folder


def test_snakemake_runs_both_engines_as_in_a_conda_environment(julia, snakemake, study):
    """With JULIA_PROJECT and JULIA_LOAD_PATH as conda's Julia sets them; the examples run without."""
    variables = {"JULIA_PROJECT": "@elsewhere", "JULIA_LOAD_PATH": "@:@elsewhere:@stdlib"}
    target = "results/parity/small/flux.tsv"
    snakemake("--directory", str(study), target, env=environment(**variables))
    rows = [line.split("\t") for line in (study / target).read_text().splitlines()]
    assert {row[-1] for row in rows[1:]} == {"ok"}
    architecture = (study / "results/models/small_architecture.txt").read_text()
    assert architecture.startswith("Chain(\n  conv1 = Conv((3, 3), 1 => 4, relu)")
    [log] = (study / "results/logs/infer_flux/small").glob("*.log")
    assert "small: 4 images on cpu, 2 threads" in log.read_text()


def run_script(folder, script, **options):
    """Start a Snakemake script of julia/ as Snakemake does: its text after a preamble, in a file elsewhere."""
    preamble = f"""
    snakemake = (scriptdir={str(PROJECT)!r}, input=Dict("tensors" => "none.h5", "model" => "none.bson",
                 "weights" => "none.h5"), output=Dict("predictions" => "out.h5", "model" => "m.bson",
                 "architecture" => "a.txt"), params=Dict("asked" => Dict("layers_of" => [], "layers" => [], "counted" => [], "micro_batch" => 16, "kernels" => "fast")),
                 log=Dict(1 => "log.txt"), threads=2, resources=Dict())
    """.replace("'", '"')
    (folder / "job.jl").write_text(preamble + (PROJECT / script).read_text())
    return subprocess.run(
        ["julia", "job.jl"], cwd=folder, capture_output=True, text=True, timeout=300, **options
    )


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("infer_flux.jl", "error: none.bson: the model cannot be read"),
        ("export_bson.jl", "error: none.h5: the model file is missing or not HDF5."),
    ],
)
def test_an_error_is_a_sentence(julia, tmp_path, script, error):
    run = run_script(tmp_path, script)
    assert run.returncode == 1
    assert run.stderr.startswith(error) and len(run.stderr.strip().splitlines()) == 1
    assert (tmp_path / "log.txt").read_text().strip() == run.stderr.strip()


def test_missing_packages_are_named_with_the_command_that_installs_them(julia, tmp_path):
    run = run_script(tmp_path, "infer_flux.jl", env=environment(JULIA_DEPOT_PATH=str(tmp_path)))
    assert run.returncode == 1
    assert "is not installed; run: julia --project=" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_a_depot_that_cannot_be_written_is_no_hindrance(julia, tmp_path):
    """A small package in place of ours, which is compiled anew, where Julia's first depot is a file."""
    for name in ("activate.jl", "Project.toml", "Manifest.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/PromptFlux.jl").write_text("module PromptFlux\nend\n")
    (tmp_path / "depot").write_text("no folder")
    [depots] = subprocess.run(
        ["julia", "--startup-file=no", "-e", "print(join(DEPOT_PATH, ':'))"], capture_output=True, text=True
    ).stdout.splitlines()
    run = subprocess.run(
        ["julia", "--startup-file=no", str(tmp_path / "activate.jl")],
        env=environment(JULIA_DEPOT_PATH=f"{tmp_path / 'depot'}:{depots}"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_predict_prints_what_pytorch_says(julia, tmp_path):
    """The command of the README, on files, without Python; then the same in Python."""
    import torch

    from promptflux.classifiers.network import Network
    from promptflux.images.fitting import fitted, tensor
    from promptflux.images.opening import open_rgb

    shutil.copy(WORKFLOW / "models/classifiers/cnn32.yaml", tmp_path)
    spec = load_spec(tmp_path / "cnn32.yaml", weights_exist=False)
    model = write_weights(tmp_path, spec, 2)
    Image.open(WORKFLOW / "examples/photos/cat.png").save(tmp_path / "a cat.png")
    shutil.copy(WORKFLOW / "examples/photos/coffee.jpg", tmp_path)
    images = [tmp_path / "a cat.png", tmp_path / "coffee.jpg"]
    command = [
        "julia",
        PROJECT / "predict.jl",
        *images,
        "--classifier",
        model,
        "--top",
        "2",
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert run.returncode == 0, run.stderr

    network = Network(spec).load(load_model(model)[1]).eval()
    for line, image in zip(run.stdout.splitlines(), images, strict=True):
        with torch.no_grad():
            pixels = torch.from_numpy(tensor(fitted(open_rgb(image)[0], spec.input), spec.input))
            probabilities = torch.softmax(network(pixels[None]), dim=1)[0]
        first, second = probabilities.topk(2).indices.tolist()
        shown = [f"{spec.labels[label]} {100 * probabilities[label]:5.1f} %" for label in (first, second)]
        assert line.startswith(str(image))
        assert all(" ".join(part.split()) in " ".join(line.split()) for part in shown)

    wrong = subprocess.run([*command[:2], "--nonsense"], capture_output=True, text=True, timeout=300)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: --nonsense is not understood; use: julia --project=julia")


def test_the_package_passes_its_own_tests(julia):
    # Pkg's own flag, --check-bounds=yes, would compile Flux and all that it needs once more.
    code = 'using Pkg; Pkg.test(; julia_args=["--check-bounds=auto"])'
    command = ["julia", "--startup-file=no", f"--project={PROJECT}", "-e", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout + run.stderr


def test_layers_without_bias_or_affine_and_labels_that_look_like_code(julia, tmp_path):
    """Both engines agree on the layers, and what Julia would run or obey in a text comes back as it was."""
    labels = ["$(touch(string(:PWNED)))", '"; exit(3); "', "\x1b[2J'`{}<\\"]
    layers = [
        {"conv": {"out": 4, "kernel": 3, "bias": False}},
        {"batchnorm": {"affine": False, "activation": "relu"}},
        {"meanpool": 2},
        {"batchnorm": {"affine": False}},
        "flatten",
        {"batchnorm": {"affine": False}},
        {"dense": {"out": 6, "bias": False, "activation": "tanh"}},
        {"dense": {"out": 3, "bias": False}},
    ]
    content = {"input": "rgb12", "layers": layers, "labels": labels, "weights": {"seed": 1}}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(content))
    try:
        spec = load_spec(tmp_path / "plain.yaml")
    except StudyError:  # a label with a control character may be refused before
        content["labels"] = [*labels[:2], "'`{}<\\"]
        (tmp_path / "plain.yaml").write_text(yaml.safe_dump(content))
        spec = load_spec(tmp_path / "plain.yaml")
    prepare(tmp_path, spec, 3, 1)
    julia(
        f'{RUN_FLUX}\nsave_model(ARGS[1], load_model(replace(ARGS[1], ".h5" => ".bson"))[1:2]...)',
        *models(tmp_path, [spec]),
    )
    agree(tmp_path, [spec], 3)
    description, weights = load_model(tmp_path / "plain.h5")
    assert description.to_dict() == spec.to_dict() and list(weights) == list(spec.parameters)
    assert not (tmp_path / "PWNED").exists() and not (WORKFLOW / "PWNED").exists()
