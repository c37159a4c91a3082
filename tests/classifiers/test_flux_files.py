"""Files that plain Flux, BSON.jl and JLD2.jl wrote, in PyTorch: see tests/cases/flux/README.md."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from convert import main as convert
from import_weights import main as import_weights
from support.bson import bson, chain, dense, function, made, named, numbers, several
from support.workflow import WORKFLOW

from promptflux.classifiers.importers.bson import read_bson
from promptflux.classifiers.importers.entries import spec_layers
from promptflux.classifiers.importers.flux_file import flux_network
from promptflux.classifiers.importers.flux_model import model_of
from promptflux.classifiers.importers.jld2 import read_jld2
from promptflux.classifiers.importers.julia_values import JuliaType, Struct
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model
from promptflux.errors import StudyError

CASES = Path(__file__).parents[1] / "cases" / "flux"
WHOLE = [
    path.name
    for path in sorted(CASES.iterdir())
    if re.fullmatch(r"(flux|jld2)_[\d.]+\.(bson|jld2)", path.name)
]
STATES = ["flux_0.14.25_state.bson", "jld2_0.4.53_state.jld2", "jld2_0.6.5_compressed.jld2"]


def values_of(name):
    read = read_jld2 if name.endswith("jld2") else read_bson
    return read((CASES / name).read_bytes())


def converted(name, folder, *options):
    return convert([str(CASES / name), str(folder / "net.yaml"), *options])


def imported(spec):
    """The network, with its weights, that import_weights makes of a spec."""
    weights = load_spec(spec).weights_path
    out = Path(spec).with_suffix(".h5")
    import_weights(
        spec=str(spec), weights=str(weights), model=str(out), architecture=str(out.with_suffix(".txt"))
    )
    description, arrays = load_model(out)
    return Network(description).load(arrays).eval()


def probabilities(network, images):
    with torch.inference_mode():
        *_, (_, values) = network.outputs(torch.from_numpy(images.copy()))
    return values.numpy()


def held(network, name, atol=2e-6):
    """Hold what a network gives to what Flux gave, as it is stored in the file."""
    values = values_of(name)
    np.testing.assert_allclose(probabilities(network, values["x"]), values["y"], atol=atol)


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    """The layers of the network of these files, as a spec has them."""
    spec = converted("flux_0.16.9.bson", tmp_path_factory.mktemp("spec"), "--input", "rgb8x12")
    return yaml.safe_load(spec.path.read_text())["layers"]


def as_checkpoint(name, folder, layers, size=(8, 12), channels="rgb", labels=5, **weights):
    """A spec with `layers`, and the file as its checkpoint."""
    shutil.copy(CASES / name, folder / name)
    value = {
        "input": {"name": "small", "size": list(size), "channels": channels},
        "layers": layers,
        "labels": [f"label {number}" for number in range(labels)],
        "weights": {"checkpoint": name, **weights},
    }
    (folder / "net.yaml").write_text(yaml.safe_dump(value))
    return folder / "net.yaml"


@pytest.mark.parametrize("name", WHOLE)
def test_a_chain_of_any_flux_is_converted_and_gives_what_flux_gave(name, tmp_path):
    spec = converted(name, tmp_path, "--input", "rgb8x12")
    assert [layer.kind for layer in spec.walk() if layer.parameters] == [
        *("conv", "batchnorm", "conv", "conv", "conv", "conv", "dense", "batchnorm", "dense")
    ]
    held(imported(spec.path), name)


@pytest.mark.parametrize("name", ["flux_0.12.0.bson", "jld2_0.6.5.jld2", *STATES])
def test_a_file_of_flux_is_a_checkpoint(name, layers, tmp_path):
    held(imported(as_checkpoint(name, tmp_path, layers)), name)


@pytest.mark.parametrize("name", ["flux_0.14.25.bson", "flux_0.14.25_state.bson"])
def test_a_network_of_height_before_width_is_turned(name, layers, tmp_path):
    """The same network, its arrays taken to be (height 12, width 8, channels, N)."""
    turned = yaml.safe_load(yaml.safe_dump(layers))
    turned[4]["conv"] |= {"kernel": [2, 3], "stride": [1, 2], "padding": [0, 1]}
    network = imported(as_checkpoint(name, tmp_path, turned, size=(12, 8), axes="hwcn"))
    values = values_of(name)
    np.testing.assert_allclose(probabilities(network, values["x"].swapaxes(2, 3)), values["y"], atol=2e-6)


def test_so_is_one_that_is_converted(tmp_path):
    spec = converted("flux_0.16.9.bson", tmp_path, "--axes", "hwcn", "--input", "rgb12x8")
    values = values_of("flux_0.16.9.bson")
    given = probabilities(imported(spec.path), values["x"].swapaxes(2, 3))
    np.testing.assert_allclose(given, values["y"], atol=2e-6)


def test_an_anonymous_function_is_named_with_the_layer_to_write(tmp_path):
    with pytest.raises(StudyError) as error:
        converted("anonymous.bson", tmp_path)
    assert str(error.value).endswith(
        "model[3] is an anonymous function that calls size, reshape, written in train.jl:7, which is not run; "
        "if it does what `flatten` does, say `--instead 'model[3]=flatten'`, or in a spec `instead: {'model[3]': flatten}`."
    )
    assert not list(tmp_path.iterdir())


def test_with_that_layer_it_is_converted(tmp_path):
    spec = converted("anonymous.bson", tmp_path, "--instead", "model[3]=flatten", "--input", "gray8")
    assert yaml.safe_load(spec.path.read_text())["layers"] == [
        {"conv": {"out": 4, "kernel": 3, "activation": "relu"}},
        {"maxpool": 2},
        "flatten",
        {"dense": 3},
        "softmax",
    ]
    held(imported(spec.path), "anonymous.bson")


ANONYMOUS = [
    {"conv": {"out": 4, "kernel": 3, "activation": "relu"}},
    {"maxpool": 2},
    "flatten",
    {"dense": 3},
    "softmax",
]


def test_in_a_spec_the_layer_stands_where_the_function_is(tmp_path, capsys):
    spec = as_checkpoint("anonymous.bson", tmp_path, ANONYMOUS, size=(8, 8), channels="gray", labels=3)
    held(imported(spec), "anonymous.bson")
    assert "model[3] is an anonymous function" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "layer", "said"),
    [
        (0, {"conv": {"out": 6, "kernel": 3}}, "model[1] has"),
        (0, {"conv": {"out": 6, "kernel": 3, "padding": 1}}, "after model[1] the file has leaky_relu, and the spec nothing"),
        (1, {"batchnorm": {"activation": "relu", "eps": 0.001}}, "model[2] has the eps 1e-05, and batchnorm1 0.001"),
        (2, {"meanpool": 2}, "after model[2] the file has relu, maxpool 2×2 2×2 0×0, and the spec relu, meanpool 2×2 2×2 0×0"),
        (8, {"dense": {"out": 12, "bias": False, "activation": "tanh"}}, "model[9] has weight 12×32, bias 12, and dense1 wants weight 12×32"),
        (11, {"dense": 5}, "model[12] has weight 5×12, and dense2 wants weight 5×12, bias 5; write `bias: false` in it"),
        (11, "relu", "the file has conv 6×3×3×3"),
    ],
)  # fmt: skip
def test_another_network_is_told_by_its_first_layer_that_differs(at, layer, said, layers, tmp_path):
    changed = [*layers[:at], layer, *layers[at + 1 :]]
    if at == 11 and layer == "relu":
        changed = [*layers[:8], {"dense": 5}]
    spec = as_checkpoint("flux_0.15.2.bson", tmp_path, changed)
    with pytest.raises(StudyError, match=re.escape(said)):
        imported(spec)


def test_the_docs_command_does_what_it_says(tmp_path, monkeypatch):
    text = (WORKFLOW / "docs" / "networks.md").read_text()
    [line] = [
        line for line in text.splitlines() if line.startswith("python scripts/convert.py trained_model")
    ]
    shutil.copy(CASES / "anonymous.bson", tmp_path / "trained_model.bson")
    monkeypatch.chdir(tmp_path)
    spec = convert(shlex.split(line.replace("gray28", "gray8"))[2:])
    assert spec.path.name == "trained_model.yaml"
    held(imported(spec.path), "anonymous.bson")


def test_the_docs_specs_do_what_they_say(tmp_path):
    text = (WORKFLOW / "docs" / "networks.md").read_text().partition("\n## Flux\n")[2]
    model, checkpoint = [part.partition("```")[0] for part in text.split("```yaml\n")[1:3]]
    shutil.copy(CASES / "anonymous.bson", tmp_path / "trained_model.bson")
    (tmp_path / "model.yaml").write_text(model.replace("gray28", "gray8"))
    held(imported(tmp_path / "model.yaml"), "anonymous.bson")
    shutil.copy(CASES / "anonymous.bson", tmp_path / "trained_state.jld2")
    said = yaml.safe_load(checkpoint)
    said["layers"][-1] = {"dense": 3}
    said |= {"input": "gray8", "labels": ["cat", "dog", "other"]}
    said["layers"][0]["conv"]["out"] = 4
    said["layers"].append("softmax")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(said))
    held(imported(tmp_path / "net.yaml"), "anonymous.bson")


def test_where_several_sizes_fit_they_are_told(tmp_path):
    with pytest.raises(StudyError, match=r"square images of 8, 9 pixels.*--input gray8"):
        converted("anonymous.bson", tmp_path, "--instead", "model[3]=flatten")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--instead", "model[9]=flatten"],
            r"model\[9\] is no function of the user's own; such are model\[3\]",
        ),
        (["--instead", "model[3]=conv"], "conv cannot stand in the place of a function; flatten, "),
        (["--instead", "flatten"], r"write a place and a layer, such as 'model\[3\]=flatten'"),
    ],
)
def test_a_wrong_instead_is_told(options, said, tmp_path):
    with pytest.raises(StudyError, match=said):
        converted("anonymous.bson", tmp_path, *options)


NORMS = [
    {"conv": {"out": 8, "kernel": 3, "padding": 1}},
    {"groupnorm": {"groups": 4, "activation": "relu"}},
    {"layernorm": {"over": "all", "eps": 1e-10, "activation": "tanh"}},
    {"affine": {"activation": "relu"}},
    {"maxpool": 2},
    {"groupnorm": {"groups": 2, "eps": 0.001, "affine": False}},
    "flatten",
    {"dense": 6},
    {"layernorm": {"eps": 1e-10, "activation": "relu"}},
    {"affine": {"bias": False}},
    {"layernorm": {"eps": 1e-10, "affine": False}},
    {"dense": 5},
    "softmax",
]
INSTANCES = [
    {"conv": {"out": 4, "kernel": 3, "padding": 1}},
    {"groupnorm": {"groups": 4, "activation": "relu"}},
    {"groupnorm": {"groups": 4, "affine": False}},
    {"maxpool": 2},
    "flatten",
    {"dense": 5},
    "softmax",
]
JOINS = [
    {"conv": {"out": 4, "kernel": 3, "padding": 1}},
    {"parallel": {"branches": [[{"conv": {"out": 2, "kernel": 3, "padding": 1}}], []]}},
    {"residual": {"body": [{"conv": {"out": 6, "kernel": 1, "activation": "relu"}}, {"conv": {"out": 6, "kernel": 1}}], "activation": "relu"}},
    {"scale": {"gate": ["globalmeanpool", {"conv": {"out": 6, "kernel": 1, "activation": "sigmoid"}}]}},
    {"residual": {"body": [{"conv": {"out": 3, "kernel": 1}}], "shortcut": [{"conv": {"out": 3, "kernel": 1}}]}},
    "globalmeanpool",
    "flatten",
    {"dense": 5},
    "softmax",
]  # fmt: skip
SAYING = [
    "--instead", "model[2].connection=concat",
    "--instead", "model[3].connection=sum relu",
    "--instead", "model[4].connection=scale",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "layers", "options"),
    [("norms.bson", NORMS, []), ("instances.bson", INSTANCES, []), ("joins.bson", JOINS, SAYING)],
)
def test_normalizations_and_joins_are_converted(name, layers, options, tmp_path, capsys):
    spec = converted(name, tmp_path, "--input", "rgb8x12", *options)
    assert yaml.safe_load(spec.path.read_text())["layers"] == layers
    held(imported(spec.path), name)
    assert ("with ϵ as Flux has it from 0.15 on" in capsys.readouterr().err) == (layers is NORMS)


@pytest.mark.parametrize("axes", ["whcn", "hwcn"])
@pytest.mark.parametrize("name", ["norms.bson", "norms_state.bson", "joins.bson", "joins_state.bson"])
def test_normalizations_and_joins_are_checkpoints(name, axes, tmp_path):
    size, images = (8, 12), values_of(name)["x"]
    if axes == "hwcn":
        size, images = (12, 8), images.swapaxes(2, 3)
    network = imported(
        as_checkpoint(name, tmp_path, NORMS if "norms" in name else JOINS, size=size, axes=axes)
    )
    np.testing.assert_allclose(probabilities(network, images), values_of(name)["y"], atol=2e-6)


@pytest.mark.parametrize(
    ("name", "at", "layer", "said"),
    [
        ("norms.bson", 1, {"groupnorm": {"groups": 2, "activation": "relu"}}, "model[2] has the groups 4, and groupnorm1 2"),
        ("norms.bson", 2, {"layernorm": {"over": "channels", "eps": 1e-10, "activation": "tanh"}}, "model[3] has weight 8×8×12"),
        ("norms.bson", 5, {"groupnorm": {"groups": 4, "eps": 0.001, "affine": False}}, "and the spec relu, maxpool 2×2 2×2 0×0, groupnorm groups 4 eps 0.001 affine False"),
        ("flux_0.16.9.bson", 0, {"conv": {"out": 6, "kernel": 3, "padding": 1, "activation": {"leaky_relu": {"slope": 0.3}}}}, "after model[1] the file has leaky_relu, and the spec leaky_relu slope 0.3"),
        ("joins.bson", 1, {"parallel": {"branches": [[{"conv": {"out": 2, "kernel": 1}}], []]}}, "model[2].layers has weight 2×4×3×3"),
    ],
)  # fmt: skip
def test_so_is_one_that_differs_in_a_setting(name, at, layer, said, tmp_path, layers):
    whole = NORMS if "norms" in name else JOINS if "joins" in name else layers
    spec = as_checkpoint(name, tmp_path, [*whole[:at], layer, *whole[at + 1 :]])
    with pytest.raises(StudyError, match=re.escape(said)):
        imported(spec)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "model[3].connection is the anonymous function #"),
        ([], "say `--instead 'model[2].connection=concat'`"),
        ([], "say `--instead 'model[3].connection=sum relu'`"),
        ([], "say `--instead 'model[4].connection=scale'`"),
        ([*SAYING[:4], "--instead", "model[4].connection=relu"], "relu does not join branches; concat, sum, scale do, and an activation may follow: `sum relu`."),
        ([*SAYING[2:], "--instead", "model[2].connection=sum swish"], "sum swish does not join branches"),
    ],
)  # fmt: skip
def test_a_function_that_joins_is_named_with_what_to_say(options, said, tmp_path):
    with pytest.raises(StudyError, match=re.escape(said)):
        converted("joins.bson", tmp_path, *options)


# A spec with such a file in place of layers and weights


def with_model(name, folder, **said):
    shutil.copy(CASES / name, folder / name)
    value = {
        "model": name,
        "input": {"name": "small", "size": [8, 12], "channels": "rgb"},
        "labels": [f"label {number}" for number in range(5)],
        **said,
    }
    (folder / "net.yaml").write_text(yaml.safe_dump(value))
    return folder / "net.yaml"


JOINED = dict(option.split("=") for option in SAYING[1::2])


@pytest.mark.parametrize(
    ("name", "said"),
    [("flux_0.12.0.bson", {}), ("jld2_0.6.5.jld2", {}), ("joins.bson", {"instead": JOINED})],
)
def test_a_file_of_flux_is_a_model(name, said, tmp_path):
    spec = with_model(name, tmp_path, **said)
    held(imported(spec), name)
    converted_spec = convert([str(spec), str(tmp_path / "edited.yaml")])
    assert converted_spec.layers == load_spec(spec).layers
    held(imported(converted_spec.path), name)


def test_a_model_of_height_before_width_is_turned(tmp_path):
    size = {"name": "small", "size": [12, 8], "channels": "rgb"}
    network = imported(with_model("flux_0.16.9.bson", tmp_path, axes="hwcn", input=size))
    values = values_of("flux_0.16.9.bson")
    np.testing.assert_allclose(probabilities(network, values["x"].swapaxes(2, 3)), values["y"], atol=2e-6)


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("joins.bson", {}, "or in a spec `instead: {'model[3].connection': sum relu}`."),
        ("flux_0.16.9.bson", {"instead": {"model[3]": "flatten"}}, "model[3] is no function of the user's own; it has none."),
        ("flux_0.16.9.bson", {"instead": ["flatten"]}, "instead is ['flatten']; it must be a mapping of functions of your own"),
        ("flux_0.16.9.bson", {"axes": "chw"}, "axes is 'chw'; it must be whcn or hwcn"),
        ("flux_0.16.9.bson", {"output": "y"}, "output is given, which a file of Flux has not."),
        ("flux_0.16.9.bson", {"model": "net.onnx", "axes": "hwcn"}, "axes is given, which an .onnx file has not."),
        ("flux_0.16.9.bson", {"input": "rgb20"}, "and for images of 3×20×20 it would have "),
        ("flux_0.16.9.bson", {"layers": ["relu"]}, "model and layers are both given"),
        ("norms_state.bson", {}, "this is the state of a model, which has its weights and not its functions; write a spec"),
        ("norms.bson", {"input": {"name": "small", "size": [12, 8], "channels": "rgb"}}, "has weight 8×8×12, bias 8×8×12, and for images of 3×12×8 it would have weight 8×12×8, bias 8×12×8."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_spec_with_a_model_is_a_sentence(name, said, told, tmp_path):
    (tmp_path / "net.onnx").touch()
    with pytest.raises(StudyError, match=re.escape(told)):
        load_spec(with_model(name, tmp_path, **said))


def test_without_a_model_what_is_said_of_one_is_refused(tmp_path):
    spec = as_checkpoint("norms.bson", tmp_path, NORMS)
    spec.write_text(spec.read_text() + "axes: hwcn\n")
    with pytest.raises(StudyError, match="axes is given, which only a model has"):
        load_spec(spec)


def test_fields_that_other_files_have_in_another_place_or_not_at_all():
    """JLD2 writes no field that holds nothing, which its type tells; Flux 0.12.0 has the number of channels first."""
    relu, four = Struct(JuliaType("NNlib.#relu")), np.float32([1, 2, 3, 4])
    numbers = (1e-5, 0.1, True, False, None)
    types = (relu.type, JuliaType("Core.Array"), JuliaType("Core.Float32"))
    said = {"G": 2, "β": four, "γ": four, "ϵ": 1e-5, "momentum": 0.1, "affine": True, "chs": 4}
    plain = {"ϵ": 1e-5, "size": (4,), "affine": False}
    layers = (
        Struct(JuliaType("Flux.GroupNorm", types), said),
        Struct(JuliaType("Flux.GroupNorm"), (4, 2, relu, four, four, None, None, *numbers)),
        Struct(JuliaType("Flux.InstanceNorm"), (4, relu, four, four, None, None, *numbers)),
        Struct(JuliaType("Flux.InstanceNorm"), (relu, four, four, four, four, *numbers, 4)),
        Struct(JuliaType("Flux.LayerNorm", (relu.type, JuliaType("Base.#identity"))), plain),
        Struct(JuliaType("Flux.Diagonal"), (four, four)),
    )
    model = model_of({"model": Struct(JuliaType("Flux.Chain"), {"layers": layers})}, "a.jld2")
    assert spec_layers(model.layers) == [
        {"groupnorm": {"groups": 2, "activation": "relu"}},
        {"groupnorm": {"groups": 2, "activation": "relu"}},
        {"groupnorm": {"groups": 4, "activation": "relu"}},
        {"batchnorm": {"activation": "relu"}},
        {"layernorm": {"eps": 1e-10, "affine": False, "activation": "relu"}},
        "affine",
    ]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Struct(JuliaType("Flux.LayerNorm"), ((), (), 1e-5, (4, 3), False)), "normalizes over the first dimensions of maps, 4×3"),
        (Struct(JuliaType("Flux.LayerNorm"), ((), (), 1e-5, (4,), True)), "has no factors, although it is affine"),
        (Struct(JuliaType("Flux.Scale"), (np.ones((2, 3), np.float32), False, ())), "has factors for 3×2 values"),
        (Struct(JuliaType("Flux.GroupNorm"), (2, (), *4 * [np.ones(4, np.float32)], 1e-5, 0.1, True, True, None, 4)), "keeps a mean and variance of groups"),
    ],
)  # fmt: skip
def test_a_normalization_that_no_layer_is_is_told(layer, said):
    with pytest.raises(StudyError, match=re.escape(f"model[1] {said}")):
        model_of({"model": Struct(JuliaType("Flux.Chain"), ((layer,),))}, "a.bson")


# What people save, with functions of their own -------------------------------------------------------


def written(folder, **content):
    file = folder / "model.bson"
    file.write_bytes(bson(content))
    return file


def own(kind):
    """A dense layer with an activation of the user's own, before one without."""
    return chain(made("Flux.Dense", numbers(np.eye(3)), False, made(kind)), dense(np.eye(3)))


def test_an_activation_of_ones_own_is_named_and_said_instead(tmp_path):
    for kind, what in (("Main.#16#18", "an anonymous function"), ("Main.#bent", "the function bent of Main")):
        with pytest.raises(
            StudyError, match=re.escape(f"model[1].σ is {what}, which is not run; if it does what `relu`")
        ):
            flux_network(written(tmp_path, model=own(kind)))
    for said, wanted in (
        ("leaky_relu 0.2", [{"leaky_relu": {"slope": 0.2}}]),
        ("relu", ["relu"]),
        ("identity", []),
        ("softplus elu 0.5", ["softplus", {"elu": {"alpha": 0.5}}]),
    ):
        _, *between, _ = flux_network(tmp_path / "model.bson", instead={"model[1].σ": said}).spec_layers()
        assert between == wanted
    for said in ("leaky_relu x", "0.2", "relu 0.2", ""):
        with pytest.raises(StudyError, match="cannot stand in the place of a function"):
            flux_network(tmp_path / "model.bson", instead={"model[1].σ": said})


def test_the_slope_of_a_leaky_relu_is_asked_for(tmp_path):
    calls = JuliaType("Main.#1#2", calls=("leakyrelu",))
    content = {"model": Struct(JuliaType("Flux.Chain"), ((Struct(calls),),))}
    assert model_of(content, "model.bson").unknown == [
        ("model[1]", "an anonymous function that calls leakyrelu", "leaky_relu 0.01")
    ]
    calls = JuliaType("Main.#1#2", calls=("mean", "dropdims"))
    content = {"model": Struct(JuliaType("Flux.Chain"), ((Struct(calls),),))}
    assert model_of(content, "model.bson").unknown[0][2] == "globalmeanpool flatten"


def test_a_model_is_found_beside_its_optimizer_and_in_dictionaries(tmp_path):
    layers = {"tag": "symbol", "name": "layers"}
    optimizer = {
        "tag": "struct",
        "type": named("Core.NamedTuple", several(layers), named("Core.Tuple")),
        "data": [several(made("Optimisers.Leaf", 1))],
    }
    model = chain(dense(np.eye(3)))
    texts = {"tag": "array", "type": named("Core.String"), "size": [2], "data": ["loss", "model"]}
    values = {"tag": "array", "type": named("Core.Any"), "size": [2], "data": [0.1, model]}
    for content in (
        {"model": model, "opt": optimizer, "epoch": 3},
        {"state": {"model": model, "opt": optimizer}},
        {"both": several(model, optimizer)},
        {"checkpoint": made("Main.Base.Dict", texts, values)},
    ):
        assert [entry.kind for entry in flux_network(written(tmp_path, **content)).layers] == ["dense"]


def test_vectors_are_joined_by_vcat_and_maps_are_not(tmp_path):
    parts = [
        [made("Flux.GlobalMeanPool"), function("Flux.flatten")],
        [made("Flux.GlobalMaxPool"), function("Flux.flatten")],
    ]
    join = made("Flux.Parallel", function("Main.Base.vcat"), several(*(chain(*part) for part in parts)))
    flux_network(written(tmp_path, model=chain(join, dense(np.eye(5, 6))))).check((3, 4, 4))
    join = made("Flux.Parallel", function("Main.Base.vcat"), several(*(part[0] for part in parts)))
    with pytest.raises(StudyError, match="joins maps by vcat"):
        flux_network(written(tmp_path, model=chain(join, function("Flux.flatten")))).check((3, 4, 4))


def test_dots_join_as_the_operators_do(tmp_path):
    for operator, kind in (("+", "residual"), ("*", "scale")):
        dots = {
            "tag": "struct",
            "type": named("Base.Broadcast.BroadcastFunction", named(f"Base.#{operator}")),
            "data": [],
        }
        skip = made("Flux.SkipConnection", dense(np.eye(3)), dots)
        assert [entry.kind for entry in flux_network(written(tmp_path, model=chain(skip))).layers] == [kind]
