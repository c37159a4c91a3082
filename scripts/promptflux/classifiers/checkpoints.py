"""The weights of a user's PyTorch checkpoint under the names of a spec.

A checkpoint is not trusted: what it holds is told by its content and not by its name, it is read
as tensors alone, in memory that its size bounds, and what it calls things reaches a message escaped.
"""

import json
import re
import sys
import warnings
import zipfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch.serialization import safe_globals

from promptflux.classifiers.importers.flux_file import flux_weights, is_flux_file
from promptflux.classifiers.kind import Layer, Shape, shape_text
from promptflux.classifiers.kinds import KINDS
from promptflux.classifiers.spec import Spec
from promptflux.classifiers.weights import Weights, check_weights
from promptflux.errors import StudyError, listed, plain, reason, shown
from promptflux.runtime.job import note

# The parameters of one module of a checkpoint: `weight`, `bias`, ...
Module = dict[str, torch.Tensor]

PREFIXES = re.compile(r"^((module|_orig_mod|model)\.)+")  # DataParallel, torch.compile, Lightning
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before PyTorch 1.6
OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file; fetch it with `git lfs pull`",
    b"\x89HDF": "an HDF5 file; if it is a weights file of this project, name it with `file` and not `checkpoint`",
    b"<": "a web page or XML",
    b"\x80": "a pickle that torch.save did not write, and reading it could run code",
}
SAVE_IT = "save it with `torch.save(model.state_dict(), ...)` or as safetensors"
MOST_MISFITS = 4  # layers with other shapes that are told, each with a sentence
MOST_PAIRS = 12  # of a rename that is proposed
MOST_UNCLEAR = 3  # shapes of several layers and modules that are told, each with a sentence
MOST_SAID = 40  # layers whose module the log tells
MOST_PARTS = 32  # of a module's name, where it is looked for behind a prefix
ROOM = 2**30  # bytes that reading may take beside four times the file


def from_checkpoint(path: str, spec: Spec) -> Weights:
    """The weights of a user's checkpoint under the names of `spec`."""
    if is_flux_file(path):
        return flux_weights(path, spec)
    if "axes" in spec.weights:
        raise StudyError(
            f"{spec.path}: weights has axes, which are said of a file of Flux, .bson or .jld2; {path} is none."
        )
    return taken(path, read_checkpoint(path, spec.weights.get("key")), spec)


def taken(path: str, tensors: Mapping[str, torch.Tensor], spec: Spec) -> Weights:
    """The weights of `spec` among the tensors of the checkpoint `path`, by their names there."""
    modules = modules_of(tensors)
    pairs = matched(path, modules, spec)
    # A tensor can be larger than what is stored of it, so only what fits the spec becomes numbers.
    weights = {
        f"{layer.name}/{name}": numbers(tensor).reshape(layer.parameters[name])
        for layer in spec.walk()
        if layer.parameters
        for name, tensor in _under_its_name(modules[pairs[layer.name]], layer).items()
    }
    check_weights(weights, spec, path)
    said = [f"{layer} is {module or 'the parameters without a module'}" for layer, module in pairs.items()]
    for sentence in said[:MOST_SAID]:
        note(f"{spec.name}: {sentence} of {Path(path).name}")
    if len(said) > MOST_SAID:
        note(f"{spec.name}: and so on, {len(said)} layers in all")
    return {name: weights[name] for name in spec.parameters}


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).contiguous().numpy()


# What a file holds -------------------------------------------------------------------------


def read_checkpoint(path: str, key: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of numbers in a checkpoint, by their names without prefixes, in the order of the model.

    Their mapping is looked for under any key, or under `key` alone. The prefixes `module.` (DataParallel), `_orig_mod.`
    (torch.compile) and `model.` (Lightning) and the counters `num_batches_tracked` are dropped.
    Raises StudyError if two names are one without their prefixes.
    """
    found = _read(path, key)
    if list(found) == sorted(found):
        # Safetensors sorts names: there is no order of the model, and 2 is to come before 10.
        found = {name: found[name] for name in sorted(found, key=_natural)}
    tensors: dict[str, torch.Tensor] = {}
    origin: dict[str, str] = {}
    for name, tensor in found.items():
        if name.endswith("num_batches_tracked"):
            continue
        if why := _no_numbers(tensor):
            note(f"warning: {plain(name)} of {Path(path).name} holds {why}; it is left out")
            continue
        short = unwrapped(name)
        if short in tensors:
            raise StudyError(
                f"{path}: {plain(origin[short])} and {plain(name)} are both {short} without their "
                f"prefixes; take one of the two out of the checkpoint."
            )
        tensors[short], origin[short] = tensor, name
    if not tensors:
        raise StudyError(
            f"{path}: the checkpoint holds no weights, only {listed(list(found), 20)}; {SAVE_IT}."
        )
    return tensors


def unwrapped(name: str) -> str:
    """A name without the prefixes of what was wrapped around the model, fit for a message."""
    return plain(PREFIXES.sub("", name))


def _no_numbers(tensor: torch.Tensor) -> str:
    """What a tensor is instead of plain numbers; "" if it is not."""
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_nested:
        return f"{tensor.dtype} ({tensor.layout})"
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.device.type != "cpu":
        return f"a {type(tensor).__name__} without values here ({tensor.device.type})"
    return ""


def _read(path: str, key: str | None) -> dict[str, torch.Tensor]:
    with open(path, "rb") as file:
        start = file.read(64)
    if start[8:9] == b"{":
        return _under(path, {(): _read_safetensors(path)}, key)
    if start.startswith(b"PK\x03\x04"):
        _check_archive(path)
    elif not start.startswith(LEGACY_MAGIC):
        if not start:
            raise StudyError(f"{path}: the file is empty; {SAVE_IT}.")
        what = next((what for other, what in OTHERS.items() if start.lstrip().startswith(other)), None)
        raise StudyError(
            f"{path}: this is {what}."
            if what
            else f"{path}: this is neither a safetensors file nor a PyTorch checkpoint; {SAVE_IT}."
        )
    return _mapping_of_tensors(path, _unpickled(path), key)


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    except BaseException as error:  # its Rust panics are no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise StudyError(
            f"{path}: this is not a readable safetensors file ({reason(error)}); it is damaged or cut short."
        ) from None


def _natural(name: str) -> list:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _check_archive(path: str) -> None:
    """Raise StudyError for a zip archive that is no checkpoint, is damaged, or is larger inside than outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            inside, outside = sum(entry.file_size for entry in entries), Path(path).stat().st_size
            names = {entry.filename.rpartition("/")[2] for entry in entries}
            if "constants.pkl" in names:
                raise StudyError(
                    f"{path}: this is a TorchScript archive, which is code and weights; {SAVE_IT}."
                )
            if "data.pkl" not in names:
                raise StudyError(f"{path}: this is a zip archive, and no PyTorch checkpoint; {SAVE_IT}.")
            # torch.save compresses nothing; what is compressed, or shares its bytes, can be of any size.
            if inside > outside or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise StudyError(
                    f"{path}: the archive is compressed, {outside:,} bytes for {inside:,}, which torch.save "
                    f"never does, and is not unpacked; {SAVE_IT}."
                )
            damaged = archive.testzip()
    except StudyError:
        raise
    except Exception as error:  # zipfile has many
        raise StudyError(
            f"{path}: the checkpoint is damaged or cut short ({reason(error)}); fetch it again."
        ) from None
    if damaged is not None:
        raise StudyError(
            f"{path}: {plain(damaged)} in it does not have its recorded checksum; "
            f"the checkpoint is damaged or was saved without checksums."
        )


class _Passed:
    """Stands for what trainings put beside the weights, and is passed over, so that nothing of it is called."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


STAND_INS = [
    (_Passed, name)
    for name in (
        *(
            f"numpy.{core}.multiarray.{what}"
            for core in ("_core", "core")
            for what in ("scalar", "_reconstruct")
        ),
        "numpy.dtype",
        "numpy.ndarray",
        "argparse.Namespace",
        "types.SimpleNamespace",
        "datetime.datetime",
        *(f"pathlib{inside}.{system}Path" for inside in ("", "._local") for system in ("Posix", "Windows")),
    )
]


def _unpickled(path: str) -> object:
    try:
        with (
            safe_globals(STAND_INS),
            warnings.catch_warnings(action="ignore"),
            limited_memory(4 * Path(path).stat().st_size + ROOM),
            open(path, "rb") as file,  # of a path PyTorch would judge by its suffix
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own
        why = reason(error)
        if isinstance(error, MemoryError) or "allocate memory" in why:
            why = "it asks for more memory than its size accounts for"
        # What PyTorch says of it ends in advice to switch the protection off.
        elif named := re.search(r"GLOBAL (\S+)", str(error)):
            why = f"it holds a {plain(named[1])}, which is no tensor and could run code"
        elif told := re.search(r"WeightsUnpickler error:\s*([^\n]*)", str(error)):
            why = plain(told[1])[:160]
    raise StudyError(f"{path}: the checkpoint cannot be read as tensors alone ({why}); {SAVE_IT}.")


@contextmanager
def limited_memory(most: int) -> Iterator[None]:
    """At most `most` bytes more of address space for this process, inside; only Linux can."""
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = [limit for limit in (used + most, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _mapping_of_tensors(path: str, content: object, key: str | None) -> dict[str, torch.Tensor]:
    """The one mapping of tensors in what was unpickled, under whatever keys it lies."""
    if not isinstance(content, Mapping):
        raise StudyError(
            f"{path}: the checkpoint holds a {type(content).__name__}; it must hold a state_dict."
        )
    places = _places(content)
    # Beside the weights lie tensors that are none: an optimizer's, a mean, an accuracy.
    weights = {way: found for way, found in places.items() if any(map(_is_weight, found))} or places
    if not weights:
        raise StudyError(
            f"{path}: the checkpoint holds no weights under its keys {listed(list(map(str, content)), 20)}; {SAVE_IT}."
        )
    return _under(path, weights, key)


def _under(path: str, places: Mapping[tuple, Mapping], key: str | None) -> dict[str, torch.Tensor]:
    """The one mapping of tensors that lies under `key`, by its names as text; without a key, the only one that there is.

    places: the mappings, by the keys that lead to them. A key may go on in the names of a mapping's tensors.
    """
    found: dict[str, Mapping] = {}
    for way, mapping in places.items():
        place = ".".join(map(str, way))
        if key is None or place == key or place.startswith(f"{key}."):
            found[place] = mapping
        elif not place or key.startswith(f"{place}."):
            start = key[len(place) + 1 if place else 0 :] + "."
            inside = {
                short.removeprefix(start): part
                for name, part in mapping.items()
                for short in (str(name), PREFIXES.sub("", str(name)))
                if short.startswith(start)
            }
            found |= {key: inside} if inside else {}
    if not found:
        ways = [".".join(map(str, way)) for way in places if way]
        there = f"it holds weights under {listed(ways)}" if ways else "its weights lie under no key"
        raise StudyError(
            f"{path}: there are no weights under the key {shown(key)} of the checkpoint; {there}."
        )
    if len(found) > 1:
        raise StudyError(
            f"{path}: the checkpoint holds weights in {len(found)} places, "
            f"{listed([place or 'under no key' for place in found])}; "
            f"say in the spec which of them to take, such as `key: {_key(max(found))}` in weights."
        )
    [mapping] = found.values()
    names: dict[str, torch.Tensor] = {}
    for name, tensor in mapping.items():
        if str(name) in names:
            raise StudyError(f"{path}: the checkpoint holds {plain(str(name))} twice.")
        names[str(name)] = tensor
    return names


def _places(content: Mapping) -> dict[tuple, dict[Any, torch.Tensor]]:
    """The mappings in `content` that hold tensors of numbers, by the keys that lead to them."""
    places: dict[tuple, dict[Any, torch.Tensor]] = {}
    seen: set[int] = set()
    waiting: deque[tuple[tuple, Mapping]] = deque([((), content)])
    while waiting:
        way, mapping = waiting.popleft()
        if id(mapping) in seen:
            continue
        seen.add(id(mapping))
        tensors = {name: part for name, part in mapping.items() if isinstance(part, torch.Tensor)}
        if any(tensor.is_floating_point() and tensor.ndim for tensor in tensors.values()):
            places[way] = tensors
        waiting += [((*way, key), part) for key, part in mapping.items() if isinstance(part, Mapping)]
    return places


def _is_weight(name: object) -> bool:
    return str(name).rpartition(".")[2] == "weight"


# Which layer is which module ---------------------------------------------------------------


def modules_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Module]:
    """The tensors grouped by module: `features.0.weight` is the parameter `weight` of `features.0`."""
    modules: dict[str, Module] = {}
    for name, tensor in tensors.items():
        module, _, parameter = name.rpartition(".")
        modules.setdefault(module, {})[parameter] = tensor
    return modules


def matched(path: str, modules: dict[str, Module], spec: Spec) -> dict[str, str]:
    """The module of each layer with parameters.

    What `rename` says comes first; then what a layer's `module` says, after a prefix that all have in common if need be;
    then a layer's own name in the checkpoint if its shapes fit, and then shapes. Several modules of the same shapes are
    taken in their order where their names differ in numbers alone (`features.3`, `features.6`) and lie in the file in
    the order of these; else StudyError, with the rename to write. Each module must be used, but for those that the spec
    calls `unused`; with a rename and nothing else it is said which are not. A tensor that is named like a module
    becomes one in `modules`.
    """
    layers = [layer for layer in spec.walk() if layer.parameters]
    renamed = _renamed(path, modules, spec)
    named, start = _named(path, modules, spec, [layer for layer in layers if layer.name not in renamed])
    shapes = {
        module: {name: tuple(tensor.shape) for name, tensor in parameters.items()}
        for module, parameters in modules.items()
    }
    pairs = renamed | named
    problems = _misfits(path, spec, [layer for layer in layers if layer.name in pairs], pairs, shapes)
    unused = [module for module in modules if _is_unused(module, start, spec)]
    free = {
        module: found
        for module, found in shapes.items()
        if module not in pairs.values() and module not in unused
    }
    left_layers: list[Layer] = []
    left_modules: list[str] = []
    unclear: list[str] = []
    for equal_layers, equal_modules in _alike([layer for layer in layers if layer.name not in pairs], free):
        own = [layer.name for layer in equal_layers if layer.name in equal_modules]
        rest_layers = [layer for layer in equal_layers if layer.name not in own]
        rest_modules = [module for module in equal_modules if module not in own]
        count = min(len(rest_layers), len(rest_modules))
        choice = bool(renamed) and count < len(rest_modules)
        if count and (choice or _unclear(own, rest_modules)):
            unclear.append(_which(path, spec, equal_layers, equal_modules))
        else:
            pairs |= dict(zip(own, own, strict=True))
            pairs |= {layer.name: module for layer, module in zip(rest_layers, rest_modules, strict=False)}
        left_layers += rest_layers[count:]
        left_modules += rest_modules[count:]
    if len(unclear) > MOST_UNCLEAR:
        more = f"{path}: of {len(unclear) - MOST_UNCLEAR} more shapes it is as unclear which module is which layer."
        unclear[MOST_UNCLEAR:] = [more]
    left_modules = [module for module in modules if module in set(left_modules)]
    if left_layers or (left_modules and (named or not renamed)):
        unclear.append(_left(path, spec, left_layers, left_modules, shapes, renamed, named))
    if unclear and spec.modules and not named:
        layer, names = next(iter(spec.modules.items()))
        problems.append(
            f"{path}: the checkpoint has not the modules that {_layers_file(spec)} names, such as {plain(names[0])} for {layer}; "
            f"if it is of another library, whose network can differ in more than names, export that as ONNX and write "
            f"`model: net.onnx`."
        )
    if problems or unclear:
        raise StudyError(*problems, *unclear)
    if left_modules:
        note(f"warning: {Path(path).name} holds {listed(left_modules)}, which {spec.path} does not use")
    if unused:
        note(f"{spec.name}: {listed(unused)} of {Path(path).name} are left out, as unused")
    return {layer.name: pairs[layer.name] for layer in layers}


def _renamed(path: str, modules: dict[str, Module], spec: Spec) -> dict[str, str]:
    """The module of each layer that weights.rename names."""
    renamed: dict[str, str] = {}
    problems = []
    for written, layer in spec.weights.get("rename", {}).items():
        module = unwrapped(str(written))
        if not _is_module(module, modules):
            problems.append(
                f"{path}: there is no module {plain(str(written))!r} for the layer {layer}; "
                f"the checkpoint has {listed(list(modules), 20)}."
            )
        elif module in renamed.values():
            problems.append(f"{spec.path}: weights.rename names the module {module} of {path} twice.")
        renamed[layer] = module
    if problems:
        raise StudyError(*problems)
    return renamed


def _named(
    path: str, modules: dict[str, Module], spec: Spec, layers: Sequence[Layer]
) -> tuple[dict[str, str], str]:
    """The module of each of `layers` for which the spec says one, and the prefix of all, such as `backbone.`.

    If the checkpoint has not even half of them, of none. Names are compared without the points before
    numbers, too: what is `norm1` today was `norm.1` in torchvision's first DenseNets.
    """
    wanted = {layer.name: spec.modules[layer.name] for layer in layers if layer.name in spec.modules}
    names = [*modules, *(f"{module}.{name}" for module, found in modules.items() for name in found)]
    plain_names = {name: name for name in names}
    without_points = {_without_points(name): name for name in names}
    starts: dict[str, set[str]] = {}  # what stands before a name's last parts
    for name in names:
        parts = name.split(".")
        for i in range(min(len(parts), MOST_PARTS)):
            start = ".".join(parts[:i]) + ("." if i else "")
            starts.setdefault(_without_points(name[len(start) :]), set()).add(start)
    counts = Counter(
        start
        for options in wanted.values()
        for start in set().union(*(starts.get(_without_points(option), ()) for option in options))
    )
    whole = sorted(start for start, count in counts.items() if count == len(wanted))
    if len(whole) > 1 and "" not in whole:
        raise StudyError(
            f"{path}: the checkpoint holds the network {len(whole)} times, under {listed(whole)}; say in "
            f"{spec.path} which of them to take, such as `key: {_key(whole[0].rstrip('.'))}` in weights."
        )
    # Of another network are a few names that any network has; such a checkpoint is for shapes to tell.
    if not counts or max(counts.values()) < len(wanted) / 2:
        return {}, ""
    start = (
        ""
        if "" in whole
        else whole[0]
        if whole
        else max(counts, key=lambda start: (counts[start], -len(start), start))
    )
    found: dict[str, str] = {}
    for layer, options in wanted.items():
        for option in (*options, layer):
            written = start + option
            module = plain_names.get(written) or without_points.get(_without_points(written))
            if module is not None and module not in found.values():
                _is_module(module, modules)
                found[layer] = module
                break
    missing = [layer for layer in wanted if layer not in found]
    if missing:
        said = [f"{start}{wanted[layer][0]} for {layer}" for layer in missing]
        if (own := _own_end(modules, wanted, missing, start)) is not None:
            if len(own) > 1:
                raise StudyError(
                    f"{path}: in place of the one module {start}{wanted[missing[0]][0]} the checkpoint has {listed(own)}, as its "
                    f"network ends otherwise than {_layers_file(spec)}; copy that file, write the last layers of your network "
                    f"there, each with its module, and name it in {spec.path}, such as `architecture: own.yaml`."
                )
            note(
                f"warning: {own[0]} of {Path(path).name} is taken as {missing[0]}; if another layer than a dropout stands "
                f"beside it in {start}{wanted[missing[0]][0]}, write it into a copy of {_layers_file(spec)}"
            )
            return {**found, missing[0]: own[0]}, start
        raise StudyError(
            f"{path}: the checkpoint has no module {listed(said, 4)}, as {_layers_file(spec)} calls them; "
            f"it has {listed([name for name in modules if name not in found.values()])}. Is it of another network?"
        )
    return found, start


def _own_end(
    modules: Mapping[str, Module], wanted: Mapping[str, tuple[str, ...]], missing: Sequence[str], start: str
) -> list[str] | None:
    """The modules in place of the network's last, such as `fc.1` for `fc`, which a training further put there; else None."""
    if list(missing) != [*wanted][-1:]:
        return None
    return [module for module in modules if module.startswith(f"{start}{wanted[missing[0]][0]}.")] or None


def _layers_file(spec: Spec) -> Path:
    """The file whose layers name the modules."""
    return spec.architecture or spec.path


def _without_points(name: str) -> str:
    return re.sub(r"(?<=[A-Za-z])\.(?=\d)", "", name)


def _is_module(name: str, modules: dict[str, Module]) -> bool:
    """Whether there is a module, or a single tensor, of this name; a tensor becomes a module."""
    if name not in modules:
        module, _, parameter = name.rpartition(".")
        if parameter not in modules.get(module, {}):
            return False
        modules[name] = {"": modules[module].pop(parameter)}
        if not modules[module]:
            del modules[module]
    return True


def _is_unused(module: str, start: str, spec: Spec) -> bool:
    """Whether the spec calls a module unused, by its name or by the one behind the prefix `start`."""
    return any(
        name.startswith(f"{unwrapped(unused)}.")
        for unused in spec.weights.get("unused", ())
        for name in (f"{module}.", f"{module.removeprefix(start)}.")
    )


def _misfits(
    path: str,
    spec: Spec,
    layers: Sequence[Layer],
    pairs: Mapping[str, str],
    shapes: Mapping[str, Mapping[str, Shape]],
) -> list[str]:
    """A sentence for each of `layers` whose module has other parameters, for the first of them."""
    wrong = [layer for layer in layers if not _fit(layer, shapes[pairs[layer.name]])]
    found = [
        f"{path}: {plain(pairs[layer.name])} has {_shapes(shapes[pairs[layer.name]])}, and {layer.name} of "
        f"{spec.path} wants {_shapes(layer.parameters)}{_hint([layer], [shapes[pairs[layer.name]]])}"
        f"{_outputs_hint(layer, shapes[pairs[layer.name]], spec)}."
        for layer in wrong[:MOST_MISFITS]
    ]
    if len(wrong) > MOST_MISFITS:
        found.append(
            f"{path}: so have {len(wrong) - MOST_MISFITS} more modules other parameters than the layers of {spec.path}."
        )
    return found


def _left(
    path: str,
    spec: Spec,
    layers: Sequence[Layer],
    modules: Sequence[str],
    shapes: Mapping[str, Mapping[str, Shape]],
    renamed: Mapping[str, str],
    named: Mapping[str, str],
) -> str:
    """The sentence for layers without a module, and modules without a layer."""
    if named and not layers:
        return (
            f"{path}: the checkpoint also holds {listed(modules)}, for which {_layers_file(spec)} has no layer; is it of "
            f"another network? What is to be left out is named in weights, such as `unused: [{_key(modules[0])}]`."
        )
    wanted = listed([f"{layer.name} ({_shapes(layer.parameters)})" for layer in layers])
    left = listed([f"{name} ({_shapes(shapes[name])})" for name in modules])
    hint = _hint(layers, [shapes[name] for name in modules])
    if not hint and modules:
        hint = "; name the others" if renamed else "; if only some of its modules are to be taken, list them"
        hint += " in weights.rename, such as {features.0: conv1}"
    return (
        f"{path}: the checkpoint does not fit {spec.path}: the spec wants {wanted}, and the checkpoint has "
        f"{left}{hint}."
    )


def _alike(
    layers: Sequence[Layer], shapes: Mapping[str, Mapping[str, Shape]]
) -> Iterator[tuple[list[Layer], list[str]]]:
    """The layers and modules with equal parameters, in their order."""
    groups: dict[tuple, tuple[list[Layer], list[str]]] = {}
    for layer in layers:
        groups.setdefault(_signature(layer.parameters), ([], []))[0].append(layer)
    for module, found in shapes.items():
        groups.setdefault(_signature(found), ([], []))[1].append(module)
    yield from groups.values()


def _unclear(own: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether shapes alone would say which of the modules `rest` comes first, or how the file counts.

    own: modules of the same shapes that have the names of layers. Where the others are counted as they are
    (conv1, conv3, conv5), the names may be of another count than the spec's.
    """
    counted_alike = {*map(_stem, rest)} & {*map(_stem, own)}
    return bool(counted_alike) or len(_by_stem(rest)) > 1 or not _is_sorted(rest)


def _stem(module: str) -> str:
    return re.sub(r"\d+", "", module)


def _by_stem(modules: Sequence[str]) -> list[list[str]]:
    """The modules whose names differ in numbers alone, together."""
    groups: dict[str, list[str]] = {}
    for module in modules:
        groups.setdefault(_stem(module), []).append(module)
    return list(groups.values())


def _is_sorted(modules: Sequence[str]) -> bool:
    return list(modules) == sorted(modules, key=_natural)


def _which(path: str, spec: Spec, layers: Sequence[Layer], modules: Sequence[str]) -> str:
    # The file's order is the likelier one, unless it counts backwards.
    likely = (
        modules if all(_is_sorted(group) for group in _by_stem(modules)) else sorted(modules, key=_natural)
    )
    pairs = list(zip(likely, layers, strict=False))
    rename = ", ".join(f"{_key(module)}: {layer.name}" for module, layer in pairs[:MOST_PAIRS])
    rename += f", and {len(pairs) - MOST_PAIRS} more" if len(pairs) > MOST_PAIRS else ""
    return (
        f"{path}: {listed(modules)} have the same shapes, and neither names nor order tell which of them is "
        f"{listed([layer.name for layer in layers])}; say it in weights.rename of {spec.path}, such as {{{rename}}}."
    )


def _key(module: str) -> str:
    """A module's name as a key in YAML."""
    bare = re.fullmatch(r"[A-Za-z_][\w.-]*|0|[1-9]\d*", module)
    words = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return module if bare and module.lower() not in words else json.dumps(module)


def _hint(layers: Sequence[Layer], modules: Sequence[Mapping[str, Shape]]) -> str:
    """Which setting of a layer, such as `bias: false`, would make it fit one of the modules."""
    hints = []
    for layer in layers:
        kind = KINDS[layer.kind]
        for setting, schema in kind.schema.items():
            if schema.get("type") == "boolean":
                value = not layer.settings.get(setting, kind.defaults[setting])
                wanted = kind.parameters({**layer.settings, setting: value}, layer.in_shape)
                if any(_signature(wanted) == _signature(found) for found in modules):
                    hints.append(f"write `{setting}: {str(value).lower()}` in {layer.name}")
    return "; " + " and ".join(hints) if hints else ""


def _outputs_hint(layer: Layer, found: Mapping[str, Shape], spec: Spec) -> str:
    """That the last layer of the checkpoint's network has as many outputs as other labels."""
    with_parameters = [layer.name for layer in spec.walk() if layer.parameters]
    weight, wanted = found.get("weight", ()), layer.parameters.get("weight", ())
    if layer.name != with_parameters[-1] or len(weight) < 2 or weight[1:] != wanted[1:]:
        return ""
    return f"; the network of the checkpoint has {weight[0]} outputs, and labels has {len(spec.labels)} names"


def _fit(layer: Layer, found: Mapping[str, Shape]) -> bool:
    """Whether a module of these shapes has the parameters of a layer."""
    if set(found) == {""} and len(layer.parameters) == 1:
        found = dict.fromkeys(layer.parameters, found[""])
    return set(found) == set(layer.parameters) and all(
        _same_values(layer.parameters[name], found[name]) for name in found
    )


def _same_values(wanted: Shape, found: Shape) -> bool:
    """Whether a parameter that has the shape `found` is one of the shape `wanted`, its values in the same order.

    The weights of a dense layer on flattened maps are those of a convolution as large as these maps, and a number a
    channel may have ones around it.
    """
    if wanted == found:
        return True
    few, many = sorted((wanted, found), key=len)
    if len(few) == len(many) or prod(few) != prod(many):
        return False
    return (
        few == tuple(side for side in many if side != 1)
        if len(few) == 1
        else len(few) == 2 and few[0] == many[0]
    )


def _under_its_name(module: Module, layer: Layer) -> Module:
    """The parameters of a module that fits a layer; a tensor without a module is the layer's one parameter."""
    return dict(zip(layer.parameters, module.values(), strict=True)) if set(module) == {""} else module


def _signature(shapes: Mapping[str, Shape]) -> tuple:
    return tuple(sorted((name, tuple(shape)) for name, shape in shapes.items()))


def _shapes(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {shape_text(shape) or 'one number'}" for name, shape in shapes.items())
