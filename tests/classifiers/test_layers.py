"""Each kind of layer computes what PyTorch's own function of that name does, or what its definition says."""

import numpy as np
import pytest
import torch
from support.layers import SIZE, run
from support.specs import write_spec
from torch.nn import functional as F

from promptflux.classifiers.kinds import ACTIVATIONS, KINDS, kind_of
from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError

# Activations -----------------------------------------------------------------------------

FUNCTIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "selu": F.selu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
WITH_SETTINGS = [
    ({"leaky_relu": {"slope": 0.3}}, lambda x: torch.where(x < 0, 0.3 * x, x)),
    ({"elu": {"alpha": 0.5}}, lambda x: F.elu(x, alpha=0.5)),
    ({"gelu": {"approximate": "tanh"}}, lambda x: F.gelu(x, approximate="tanh")),
    ({"gelu": {"approximate": "none"}}, F.gelu),
    ({"hardsigmoid": {"alpha": 0.2}}, lambda x: (0.2 * x + 0.5).clamp(0, 1)),
    ({"hardsigmoid": {"alpha": 0.3, "beta": 0.4}}, lambda x: (0.3 * x + 0.4).clamp(0, 1)),
    ({"hardsigmoid": {"alpha": 0.1666666716337204}}, F.hardsigmoid),
]


def test_every_activation_is_tested():
    assert set(FUNCTIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("layer", "function"),
    [*FUNCTIONS.items(), *WITH_SETTINGS],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_activation_is_that_function_alone_and_inside_of_a_layer(tmp_path, layer, function):
    maps, described, values, _ = run(tmp_path, layer)
    assert kind_of(described.name).name == described.kind
    torch.testing.assert_close(values, function(maps))
    maps, described, values, own = run(tmp_path, {"conv": {"out": 2, "kernel": 1, "activation": layer}})
    torch.testing.assert_close(values, function(F.conv2d(maps, own["weight"], own["bias"])))
    # A setting that is the default is not said, so that one network has one digest.
    plain = layer == "gelu" or "0.16" in str(layer) or "none" in str(layer) or isinstance(layer, str)
    assert bool(described.activation_settings) is not plain


@pytest.mark.parametrize(
    ("activation", "said"),
    [
        ({"relu": {}}, "the key 'relu' in layers[0].conv.activation is unknown"),
        ({"leaky_relu": {"slope": "steep"}}, "activation.leaky_relu.slope is 'steep'; it must be a number"),
        ({"elu": {"slope": 1.0}}, "the key 'slope' in layers[0].conv.activation.elu is unknown"),
        ({"elu": {}, "gelu": {}}, "it must be an activation such as relu or {leaky_relu: {slope: 0.1}}"),
        ("prelu", "activation is 'prelu'"),
        (7, "it must be an activation such as relu"),
    ],
)
def test_an_activation_that_is_none_is_refused(tmp_path, activation, said):
    with pytest.raises(StudyError) as error:
        run(tmp_path, {"conv": {"out": 2, "kernel": 1, "activation": activation}})
    assert said in str(error.value)


# Windows ---------------------------------------------------------------------------------

SIDES = {"padding": [0, 2, 1, 1]}


def padded(maps, value=0.0):
    """With the padding of SIDES, which is [top, left, bottom, right]."""
    return F.pad(maps, (2, 1, 0, 1), value=value)


def same(maps, kernel, stride, value=0.0):
    """TensorFlow's padding, by its own words: the output has ceil(side / stride) pixels."""
    around = []
    for side in (maps.shape[3], maps.shape[2]):
        total = max((int(np.ceil(side / stride)) - 1) * stride + kernel - side, 0)
        around += [total // 2, total - total // 2]
    return F.pad(maps, around, value=value)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_the_padding_same_is_tensorflows(tmp_path, kernel, stride):
    settings = {"kernel": kernel, "stride": stride, "padding": "same"}
    maps, _, values, own = run(tmp_path, {"conv": {"out": 2, **settings}})
    torch.testing.assert_close(
        values, F.conv2d(same(maps, kernel, stride), own["weight"], own["bias"], stride)
    )
    assert values.shape[2:] == tuple(-(-side // stride) for side in SIZE)
    maps, _, values, _ = run(tmp_path, {"maxpool": settings})
    torch.testing.assert_close(values, F.max_pool2d(same(maps, kernel, stride, -torch.inf), kernel, stride))
    maps, _, values, _ = run(tmp_path, {"meanpool": settings})
    total = F.avg_pool2d(same(maps, kernel, stride), kernel, stride)
    torch.testing.assert_close(
        values, total / F.avg_pool2d(same(torch.ones_like(maps), kernel, stride), kernel, stride)
    )
    maps, _, values, _ = run(tmp_path, {"meanpool": settings | {"count_include_pad": True}})
    torch.testing.assert_close(values, F.avg_pool2d(same(maps, kernel, stride), kernel, stride))


def test_each_side_has_its_own_padding(tmp_path):
    maps, _, values, own = run(
        tmp_path, {"conv": {"out": 2, "kernel": 3, "stride": 2, "dilation": 2, **SIDES}}
    )
    wanted = F.conv2d(padded(maps), own["weight"], own["bias"], stride=2, dilation=2)
    torch.testing.assert_close(values, wanted)
    maps, _, values, _ = run(tmp_path, {"maxpool": {"kernel": 3, "stride": 2, **SIDES}})
    torch.testing.assert_close(values, F.max_pool2d(padded(maps, -torch.inf), 3, 2))
    maps, _, values, _ = run(tmp_path, {"meanpool": {"kernel": 3, "stride": 2, **SIDES}})
    torch.testing.assert_close(values, F.avg_pool2d(padded(maps), 3, 2))
    maps, _, values, _ = run(tmp_path, {"meanpool": {"kernel": 3, "count_include_pad": False, **SIDES}})
    counted = F.avg_pool2d(padded(torch.ones_like(maps)), 3)
    torch.testing.assert_close(values, F.avg_pool2d(padded(maps), 3) / counted)


def test_equal_sides_are_the_network_that_they_were(tmp_path):
    written = [1, [1, 1], [1, 1, 1, 1]]
    for layer in ("conv", "maxpool", "meanpool"):
        settings = {"kernel": 3, **({"out": 2} if layer == "conv" else {})}
        digests = {run_digest(tmp_path, {layer: settings | {"padding": padding}}) for padding in written}
        assert len(digests) == 1


def run_digest(tmp_path, layer):
    return load_spec(write_spec(tmp_path, "one", layers=[layer, "flatten", {"dense": 3}])).digest


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel": 3, "stride": 2, "padding": 1},
        {"kernel": 2, "stride": 2, "padding": 1},
        {"kernel": 3, "stride": 4},
        {"kernel": [4, 5], "stride": [3, 4], "padding": [2, 1]},
        {"kernel": 5, "stride": 3},
    ],
)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_with_whole_windows_and_without(tmp_path, settings, ceil_mode):
    kernel, stride, padding = settings["kernel"], settings["stride"], settings.get("padding", 0)
    given = settings | {"ceil_mode": ceil_mode}
    maps, _, values, _ = run(tmp_path, {"maxpool": given})
    assert torch.equal(values, F.max_pool2d(maps, kernel, stride, padding, ceil_mode=ceil_mode))
    for counted in (True, False):
        maps, _, values, _ = run(tmp_path, {"meanpool": given | {"count_include_pad": counted}})
        torch.testing.assert_close(values, F.avg_pool2d(maps, kernel, stride, padding, ceil_mode, counted))


@pytest.mark.parametrize(
    ("settings", "sides"),
    [({}, (0, 0, 0, 0)), ({"padding": [0, 2, 1, 1]}, (0, 2, 1, 1)), ({"padding": 2}, (2,) * 4)],
)
@pytest.mark.parametrize("counted", [True, False])
def test_a_mean_by_its_definition(tmp_path, settings, sides, counted):
    """Windows that are not whole and sides of their own together, which PyTorch does not have."""
    given = {"kernel": 3, "stride": 2, "ceil_mode": True, "count_include_pad": counted, **settings}
    maps, _, values, _ = run(tmp_path, {"meanpool": given}, size=(12, 10))
    top, left, bottom, right = sides
    for (y, x), value in np.ndenumerate(values[0, 0].numpy()):
        rows = range(2 * y - top, min(2 * y - top + 3, 12 + bottom))
        columns = range(2 * x - left, min(2 * x - left + 3, 10 + right))
        inside = [maps[0, 0, v, u].item() for v in rows for u in columns if 0 <= v < 12 and 0 <= u < 10]
        assert value == pytest.approx(
            sum(inside) / (len(rows) * len(columns) if counted else len(inside)), abs=1e-5
        )


@pytest.mark.parametrize("settings", [{"dilation": 2}, {"dilation": [1, 3], "padding": 1, "stride": 1}])
def test_dilated_pooling(tmp_path, settings):
    maps, _, values, _ = run(tmp_path, {"maxpool": {"kernel": 3, **settings}})
    wanted = F.max_pool2d(
        maps, 3, settings.get("stride", 3), settings.get("padding", 0), settings["dilation"]
    )
    assert torch.equal(values, wanted)


@pytest.mark.parametrize("size", [1, 3, [11, 3], [4, 5], [2, 9], [13, 2]])
def test_pooling_to_a_size(tmp_path, size):
    maps, described, values, _ = run(tmp_path, {"meanpool": {"size": size}})
    torch.testing.assert_close(values, F.adaptive_avg_pool2d(maps, size))
    maps, described, values, _ = run(tmp_path, {"maxpool": {"size": size}})
    assert torch.equal(values, F.adaptive_max_pool2d(maps, size))
    divides = all(
        side % out == 0
        for side, out in zip(SIZE, size if isinstance(size, list) else [size] * 2, strict=True)
    )
    assert ("kernel" in described.settings) is divides


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"maxpool": {"stride": 2}}, "kernel is missing in layers[0].maxpool"),
        ({"maxpool": {"size": 2, "stride": 2}}, "the key 'stride' in layers[0].maxpool is unknown"),
        ({"maxpool": {"size": 0}}, "layers[0].maxpool.size is 0"),
        ({"maxpool": {"kernel": 2, "padding": [0, 0, 2, 0]}}, "0×0×2×0 is not smaller than its kernel 2×2"),
        ({"meanpool": {"kernel": 2, "dilation": 2}}, "the key 'dilation' in layers[0].meanpool is unknown"),
        ({"maxpool": {"kernel": 2, "count_include_pad": False}}, "the key 'count_include_pad'"),
        ({"maxpool": {"kernel": 2, "padding": [1, 2, 3]}}, "four [top, left, bottom, right] of these, or same"),
        ({"conv": {"out": 1, "kernel": 3, "padding": "valid"}}, "or same"),
        ({"conv": {"out": 1, "kernel": 3, "padding": [-1, 0, 0, 0]}}, "a whole number of at least 0"),
        ({"conv": {"out": 1, "kernel": 3, "ceil_mode": True}}, "the key 'ceil_mode'"),
        ({"maxpool": {"kernel": [2, 1], "dilation": [12, 1], "padding": [6, 0], "stride": 1}}, "one of its windows has nothing but padding"),
    ],
)  # fmt: skip
def test_a_window_that_does_not_fit_is_refused(tmp_path, layer, said):
    with pytest.raises(StudyError) as error:
        run(tmp_path, layer)
    assert said in str(error.value)


def test_windows_take_maps(tmp_path):
    for layer in ({"conv": {"out": 1, "kernel": 1, "padding": "same"}}, {"meanpool": {"size": 1}}):
        with pytest.raises(StudyError, match="so put it before `- flatten`"):
            load_spec(write_spec(tmp_path, layers=["flatten", layer]))


def test_names_tell_kinds_apart(tmp_path):
    """relu6_1 is the first relu6, relu61 the 61st relu."""
    spec = load_spec(write_spec(tmp_path, layers=["relu", "relu6", "relu6", "flatten", {"dense": 3}]))
    assert [layer.name for layer in spec.layers][:3] == ["relu1", "relu6_1", "relu6_2"]
    for kind in KINDS.values():
        for number in (1, 6, 61):
            assert kind_of(f"residual1.{kind.numbered(number)}") is kind


# Normalization, and what is learned for each channel ---------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_local_response_normalization(tmp_path, size):
    maps, _, values, _ = run(
        tmp_path, [{"conv": {"out": 7, "kernel": 1}}, {"lrn": {"size": size, "alpha": 0.5}}]
    )
    torch.testing.assert_close(values, F.local_response_norm(maps, size, alpha=0.5, beta=0.75, k=1.0))
    maps, _, values, _ = run(tmp_path, {"lrn": {"size": size, "alpha": 2, "beta": 0.5, "k": 2}})
    torch.testing.assert_close(values, F.local_response_norm(maps, size, alpha=2, beta=0.5, k=2))


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_layer_normalization_of_each_pixel_and_of_all_values(tmp_path, eps):
    maps, _, values, own = run(tmp_path, {"layernorm": {"eps": eps}})
    mean, variance = maps.mean(1, keepdim=True), maps.var(1, unbiased=False, keepdim=True)
    plain = (maps - mean) / (variance + eps).sqrt()
    torch.testing.assert_close(values, plain * own["weight"][:, None, None] + own["bias"][:, None, None])
    maps, _, values, own = run(tmp_path, {"layernorm": {"over": "all", "eps": eps}})
    assert own["weight"].shape == (3, *SIZE)
    torch.testing.assert_close(values, F.layer_norm(maps, (3, *SIZE), own["weight"], own["bias"], eps))
    for over in ("channels", "all"):
        maps, _, values, own = run(tmp_path, ["flatten", {"layernorm": {"over": over, "eps": eps}}])
        torch.testing.assert_close(
            values, F.layer_norm(maps, maps.shape[1:], own["weight"], own["bias"], eps)
        )
    maps, _, values, own = run(tmp_path, {"layernorm": {"affine": False, "eps": eps, "activation": "relu"}})
    torch.testing.assert_close(values, plain.relu())
    assert not own


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalization(tmp_path, groups):
    before = {"conv": {"out": 6, "kernel": 1}}
    for affine in (True, False):
        maps, _, values, own = run(
            tmp_path, [before, {"groupnorm": {"groups": groups, "affine": affine, "eps": 0.1}}]
        )
        torch.testing.assert_close(
            values, F.group_norm(maps, groups, own.get("weight"), own.get("bias"), 0.1)
        )
    maps, _, values, own = run(tmp_path, ["flatten", {"dense": 12}, {"groupnorm": groups}])
    torch.testing.assert_close(values, F.group_norm(maps, groups, own["weight"], own["bias"]))


@pytest.mark.parametrize("before", [[], ["flatten"]])
def test_a_factor_and_a_summand_for_each_channel(tmp_path, before):
    for settings, parts in (({}, "wb"), ({"weight": False}, "b"), ({"bias": False}, "w")):
        maps, _, values, own = run(tmp_path, [*before, {"affine": settings | {"activation": "tanh"}}])
        shape = (-1, 1, 1) if not before else (-1,)
        wanted = maps * own["weight"].reshape(shape) if "w" in parts else maps
        wanted = wanted + own["bias"].reshape(shape) if "b" in parts else wanted
        torch.testing.assert_close(values, wanted.tanh())
        assert len(own) == len(parts)


@pytest.mark.parametrize("before", [[], ["flatten"]])
@pytest.mark.parametrize("shared", [True, False])
def test_the_activation_that_is_learned(tmp_path, before, shared):
    maps, _, values, own = run(tmp_path, [*before, {"prelu": {"shared": shared}}])
    assert own["weight"].shape == ((1,) if shared else maps.shape[1:2])
    torch.testing.assert_close(values, F.prelu(maps, own["weight"]))


def test_untrained_they_are_the_identity(tmp_path):
    layers = ["layernorm", {"groupnorm": 1}, "affine", "prelu"]
    spec = load_spec(write_spec(tmp_path, layers=[*layers, "flatten", {"dense": 3}]))
    weights = untrained_weights(spec, 1)
    assert {name: set(weights[name].tolist()) for name in weights if not name.startswith("dense")} == {
        "layernorm1/weight": {1.0}, "layernorm1/bias": {0.0}, "groupnorm1/weight": {1.0}, "groupnorm1/bias": {0.0},
        "affine1/weight": {1.0}, "affine1/bias": {0.0}, "prelu1/weight": {0.25},
    }  # fmt: skip


# What picks and moves ----------------------------------------------------------------------


def test_some_of_the_channels(tmp_path):
    for before in ([], ["flatten"]):
        maps, _, values, _ = run(tmp_path, [*before, {"channels": {"from": 1, "to": 2}}])
        assert torch.equal(values, maps[:, 1:2])
        maps, described, values, _ = run(tmp_path, [*before, {"channels": {"from": 1}}])
        assert torch.equal(values, maps[:, 1:]) and described.settings["to"] == maps.shape[1]


def test_the_channels_of_groups_in_turn(tmp_path):
    maps, _, values, _ = run(tmp_path, [{"conv": {"out": 6, "kernel": 1}}, {"shuffle": 2}])
    assert torch.equal(values, maps[:, [0, 3, 1, 4, 2, 5]])
    assert torch.equal(values, torch.channel_shuffle(maps, 2))


def test_zeros_around_the_maps(tmp_path):
    for sides, around in ((1, (1, 1, 1, 1)), ([1, 2], (2, 2, 1, 1)), ([1, 2, 3, 0], (2, 0, 1, 3))):
        maps, _, values, _ = run(tmp_path, {"pad": sides})
        assert torch.equal(values, F.pad(maps, around))


def test_a_network_may_end_in_a_softmax_of_maps_of_one_pixel(tmp_path):
    layers = [{"conv": {"out": 3, "kernel": 1}}, "globalmeanpool", "softmax"]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    network = Network(spec).eval()
    maps = torch.randn(4, *spec.input.shape)
    outputs = dict(network.outputs(maps))
    assert outputs["softmax1"].shape == (4, 3, 1, 1)
    torch.testing.assert_close(outputs["softmax1"].flatten(1), F.softmax(network(maps), dim=1))
    torch.testing.assert_close(network(maps), outputs["globalmeanpool1"].flatten(1))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([{"groupnorm": 2}], "its 3 channels cannot be divided into 2 groups"),
        (["groupnorm"], "layers[0] is 'groupnorm' without its settings"),
        ([{"shuffle": 2}], "its 3 channels cannot be divided into 2 groups"),
        (["flatten", {"shuffle": 1}], "so put it before `- flatten`"),
        (["flatten", {"lrn": 3}], "so put it before `- flatten`"),
        (["flatten", {"pad": 1}], "so put it before `- flatten`"),
        ([{"channels": {"from": 2, "to": 2}}], "there are no channels from 2 to before 2 in its 3"),
        ([{"channels": {"to": 4}}], "there are no channels from 0 to before 4 in its 3"),
        ([{"channels": {"from": 3}}], "there are no channels from 3 to before 3 in its 3"),
        ([{"affine": {"weight": False, "bias": False}}], "it has neither a weight nor a bias"),
        ([{"layernorm": {"over": "pixels"}}], "over is 'pixels'; it must be channels or all"),
        ([{"layernorm": {"eps": 0}}], "eps is 0; it must be a number above 0"),
        (["softmax"], "softmax takes a vector"),
    ],
)
def test_what_does_not_fit_the_maps_is_refused(tmp_path, layers, said):
    with pytest.raises(StudyError) as error:
        load_spec(write_spec(tmp_path, layers=layers, input={"name": "maps", "size": 5, "channels": "rgb"}))
    assert said in str(error.value)
