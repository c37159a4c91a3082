"""Digests of the code that a stage runs, so that its results follow the code.

Snakemake compares them as a param: a stage runs again when what it computes with has changed,
and no other does. A comment, a docstring or the format of a line changes no digest, nor does
another version of Python.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from promptflux.runtime.julia_code import plain_julia

# Of a package whose entries are found in a folder, all modules count: see `promptflux.registry`.
REGISTRY = "promptflux.registry"


def python_digest(script: str | Path, roots: Sequence[str | Path], data: Iterable[str | Path] = ()) -> str:
    """A digest of a script and of the modules below `roots` that it imports, directly or through others.

    data: files that the code reads, whose bytes count.
    """
    modules = reached(Path(script), tuple(map(Path, roots)))
    parts = [f"{path.name}\n{_module_digest(path)}" for path in sorted(modules)]
    parts += [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in data]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def julia_digest(files: Iterable[str | Path]) -> str:
    """A digest of Julia files; the order of `files` does not matter."""
    parts = [f"{Path(path).name}\n{_julia_file_digest(Path(path))}" for path in files]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def reached(script: Path, roots: tuple[Path, ...]) -> set[Path]:
    """The files that run with `script`: itself and what it imports from `roots`."""
    reached, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _imports(path, roots)
    return reached


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path, roots: tuple[Path, ...]) -> list[Path]:
    """The files below `roots` that a file imports, at its top or inside its functions."""
    tree = _tree(path)
    modules = [folder.joinpath(*names) for folder, names in _imported(tree, path, roots)]
    files = [file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py")]
    packages = [root.joinpath(*package.split(".")) for package in _registered(tree, path) for root in roots]
    entries = [
        file for package in packages for end in ("*.py", "*/__init__.py") for file in package.glob(end)
    ]
    return [file for file in files if file.is_file()] + entries


def _imported(tree: ast.Module, path: Path, roots: Sequence[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Every module that may be meant by an import, the packages around it included: a folder, and the way from it."""
    for node in ast.walk(tree):
        folders = roots
        if isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            if node.level:
                folders = [path.parents[node.level - 1]]
                yield folders[0], []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from ((folder, parts[: end + 1]) for folder in folders for end in range(len(parts)))


def _registered(tree: ast.Module, path: Path) -> Iterator[str]:
    """The packages that a module takes its entries from: the first argument of `registry`'s functions."""
    package, _, module = REGISTRY.rpartition(".")
    functions, modules = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if node.module == REGISTRY:
                    functions.add(alias.asname or alias.name)
                elif (node.module, alias.name) == (package, module):
                    modules.add(alias.asname or alias.name)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        match call.func:
            case ast.Name(id=name) if name in functions:
                pass
            case ast.Attribute(value=ast.Name(id=name)) if name in modules:
                pass
            case _:
                continue
        match call.args:
            case [ast.Constant(value=str(text)), *_]:
                yield text
            case _:
                raise ValueError(
                    f"{path}, line {call.lineno}: the first argument must be the package's name as a text, "
                    f"so that what its modules do is known without running them."
                )


@cache
def _module_digest(path: Path) -> str:
    return hashlib.sha256(ascii(_shape_of(_tree(path))).encode()).hexdigest()


def _shape_of(node: object) -> object:
    """A syntax tree as tuples, without places, docstrings, what is empty and what follows from its place (`ctx`)."""
    if isinstance(node, list):
        return tuple(_shape_of(part) for part in node)
    if not isinstance(node, ast.AST):
        return node
    shape: list[object] = [type(node).__name__]
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(value, list):
            value = [part for part in value if not _is_text(part)]
        if value is not None and value != [] and name != "ctx":
            shape.append((name, _shape_of(value)))
    return tuple(shape)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a text and nothing else, as a docstring is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _julia_file_digest(path: Path) -> str:
    return hashlib.sha256(ascii(plain_julia(path.read_text(encoding="utf-8"))).encode()).hexdigest()
