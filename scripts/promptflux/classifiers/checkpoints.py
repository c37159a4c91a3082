"""The weights of a user's PyTorch checkpoint under the names of a spec."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from promptflux.classifiers.kind import Layer, Shape, shape_text
from promptflux.classifiers.spec import Spec
from promptflux.classifiers.weights import Weights, check_weights
from promptflux.errors import StudyError
from promptflux.runtime.job import note

# The parameters of one module of a checkpoint: `weight`, `bias`, ...
Module = dict[str, np.ndarray]


def from_checkpoint(path: str, spec: Spec) -> Weights:
    """The weights of a user's checkpoint under the names of `spec`."""
    modules = modules_of(read_checkpoint(path))
    rename = spec.weights.get("rename")
    pairs = by_name(path, modules, spec, rename) if rename else by_shape(path, modules, spec)
    weights = {
        f"{layer}/{name}": array for layer, module in pairs.items() for name, array in modules[module].items()
    }
    check_weights(weights, spec, path)
    for layer, module in pairs.items():
        note(f"{spec.name}: {layer} is {module or 'the parameters without a module'} of {Path(path).name}")
    return {name: weights[name] for name in spec.parameters}


def read_checkpoint(path: str) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors, .pt or .pth file as float32, in the file's order.

    A nested `state_dict` or `model` is looked into; the prefixes `module.` (DataParallel) and
    `_orig_mod.` (torch.compile) and the counters `num_batches_tracked` are dropped. A .pt file
    is read with `weights_only=True`, so that it cannot run code.
    """
    tensors = _read_safetensors(path) if path.endswith(".safetensors") else _read_pickle(path)
    arrays = {}
    for name, tensor in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.is_floating_point() and tensor.layout == torch.strided:
            arrays[_unwrapped(name)] = tensor.detach().to(torch.float32).numpy()
        else:
            note(
                f"warning: {name} of {Path(path).name} holds {tensor.dtype} ({tensor.layout}); it is left out"
            )
    if not arrays:
        raise StudyError(f"{path}: the checkpoint holds no weights.")
    return arrays


def _unwrapped(name: str) -> str:
    return re.sub(r"^((module|_orig_mod)\.)+", "", name)


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            # The file's own order is that of its writer's sorting; 2 is to come before 10.
            return {name: file.get_tensor(name) for name in sorted(file.keys(), key=_natural)}
    except (SafetensorError, OSError) as error:
        raise StudyError(f"{path}: this is not a readable safetensors file ({error}).") from None


def _natural(name: str) -> list:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_pickle(path: str) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own exceptions
        reason = " ".join(str(error).split())[:160]
        raise StudyError(
            f"{path}: the checkpoint cannot be read as tensors alone ({reason}); "
            f"save it with `torch.save(model.state_dict(), ...)` or as safetensors."
        ) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise StudyError(
            f"{path}: the checkpoint holds a {type(content).__name__}; it must hold a state_dict."
        )
    return {str(name): tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def modules_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Module]:
    """The arrays grouped by module: `features.0.weight` is the parameter `weight` of `features.0`."""
    modules: dict[str, Module] = {}
    for name, array in arrays.items():
        module, _, parameter = name.rpartition(".")
        modules.setdefault(module, {})[parameter] = array
    return modules


def by_name(
    path: str, modules: Mapping[str, Module], spec: Spec, rename: Mapping[str, str]
) -> dict[str, str]:
    """The module of each layer, as `rename` says; a layer it leaves out has its own name in the checkpoint."""
    source = {layer: _unwrapped(module) for module, layer in rename.items()}
    pairs = {layer.name: source.get(layer.name, layer.name) for layer in spec.layers if layer.parameters}
    missing = [
        f"{path}: there is no module {module!r} for the layer {layer}; the checkpoint has {_listed(list(modules), 20)}."
        for layer, module in pairs.items()
        if module not in modules
    ]
    if missing:
        raise StudyError(*missing)
    unused = [module for module in modules if module not in pairs.values()]
    if unused:
        note(f"warning: {Path(path).name} holds {_listed(unused)}, which {spec.path} does not use")
    return pairs


def by_shape(path: str, modules: Mapping[str, Module], spec: Spec) -> dict[str, str]:
    """The module of each layer where parameters and shapes decide; among equals, their order does.

    The order of a .pt file is that in which the model was built. A safetensors file has none,
    so there equals must differ in their numbers alone (`features.3`, `features.6`).
    """
    layers = [layer for layer in spec.layers if layer.parameters]
    alike: dict[tuple, tuple[list[Layer], list[str]]] = {}
    for layer in layers:
        alike.setdefault(_signature(layer.parameters), ([], []))[0].append(layer)
    for name, module in modules.items():
        shapes = {parameter: array.shape for parameter, array in module.items()}
        alike.setdefault(_signature(shapes), ([], []))[1].append(name)

    pairs: dict[str, str] = {}
    lonely_layers, lonely_modules = [], []
    for equal_layers, equal_modules in alike.values():
        lonely_layers += equal_layers[len(equal_modules) :]
        lonely_modules += equal_modules[len(equal_layers) :]
        pairs |= {layer.name: module for layer, module in zip(equal_layers, equal_modules, strict=False)}
        without_numbers = {re.sub(r"\d+", "", module) for module in equal_modules}
        if path.endswith(".safetensors") and len(equal_modules) > 1 and len(without_numbers) > 1:
            raise StudyError(
                f"{path}: {', '.join(equal_modules)} have the same shapes, and a safetensors file does not tell "
                f"their order; say in weights.rename of {spec.path} which is which, "
                f"such as {{{equal_modules[0]}: {equal_layers[0].name}}}."
            )
    if lonely_layers or lonely_modules:
        wanted = _listed([f"{layer.name} ({_shapes(layer.parameters)})" for layer in lonely_layers])
        left = _listed(
            [
                f"{name} ({_shapes({key: array.shape for key, array in modules[name].items()})})"
                for name in lonely_modules
            ]
        )
        raise StudyError(
            f"{path}: the checkpoint does not fit {spec.path}: the spec wants {wanted}, and the checkpoint has "
            f"{left}. If only some of its modules are to be taken, list them in weights.rename, such as "
            f"{{features.0: conv1}}."
        )
    return {layer.name: pairs[layer.name] for layer in layers}


def _signature(shapes: Mapping[str, Shape]) -> tuple:
    return tuple(sorted((name, tuple(shape)) for name, shape in shapes.items()))


def _listed(items: Sequence[str], most: int = 8) -> str:
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more or "nothing more"


def _shapes(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes.items())
