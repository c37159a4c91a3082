"""Digests of the code that a stage runs, so that its results follow the code.

Snakemake compares them as a param: a stage runs again when what it computes with has changed,
and no other does. A comment, a docstring or the format of a line changes no digest, nor does
another version of Python.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from promptflux.runtime.julia_code import plain_julia

# Of a package whose entries are found in a folder, all modules count: see `promptflux.registry`.
REGISTRY = "promptflux.registry"


@dataclass(frozen=True)
class Source:
    """What a Python file does.

    imports: the names that it imports, each with the level of a relative import, else 0. registered: the packages
    that it takes its entries from. digest: the SHA-256 of its syntax tree.
    """

    imports: list[tuple[int, str]]
    registered: list[str]
    digest: str


class Sources:
    """What Python files do, each read once.

    known: what another process had `to_know`, by the content of a file and of this module. is_new: whether more was read.
    """

    def __init__(self, known: dict[str, list] | None = None):
        self.known = known or {}
        self.read: dict[Path, tuple[str, Source]] = {}
        self.is_new = False

    def of(self, path: Path) -> Source:
        """What a file does. Raises ValueError if it takes entries from a package that no text names."""
        if path not in self.read:
            content = path.read_bytes()
            key = hashlib.sha256(_reader() + content).hexdigest()
            self.is_new |= key not in self.known
            source = Source(*self.known[key]) if key in self.known else _source(content.decode("utf-8"), path)
            self.read[path] = key, source
        return self.read[path][1]

    def to_know(self) -> dict[str, list]:
        """What spares a later process the reading, of the files that this one asked for."""
        return {key: list(astuple(source)) for key, source in self.read.values()}


SOURCES = Sources()


def python_digest(
    script: str | Path,
    roots: Sequence[str | Path],
    data: Iterable[str | Path] = (),
    sources: Sources = SOURCES,
) -> str:
    """A digest of a script and of the modules below `roots` that it imports, directly or through others.

    data: files that the code reads, whose bytes count.
    """
    modules = reached(Path(script), tuple(map(Path, roots)), sources)
    parts = [f"{path.name}\n{sources.of(path).digest}" for path in sorted(modules)]
    parts += [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in data]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def julia_digest(files: Iterable[str | Path]) -> str:
    """A digest of Julia files; the order of `files` does not matter."""
    parts = [f"{Path(path).name}\n{_julia_file_digest(Path(path))}" for path in files]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def reached(script: Path, roots: tuple[Path, ...], sources: Sources = SOURCES) -> set[Path]:
    """The files that run with `script`: itself and what it imports from `roots`, at its top or inside its functions."""
    reached, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            source = sources.of(path)
            for level, name in source.imports:
                waiting += _files((path.parents[level - 1],) if level else roots, name, level > 0)
            for package in source.registered:
                for folder in (root.joinpath(*package.split(".")) for root in roots):
                    waiting += [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    return reached


@cache
def _files(folders: tuple[Path, ...], name: str, relative: bool) -> list[Path]:
    """The files of a dotted name below `folders`, those of the packages around it included."""
    parts = name.split(".")
    ways = [parts[:end] for end in range(0 if relative else 1, len(parts) + 1)]
    modules = [folder.joinpath(*way) for folder in folders for way in ways]
    files = [file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py")]
    return [file for file in files if file.is_file()]


@cache
def _reader() -> bytes:
    return Path(__file__).read_bytes()


def _source(text: str, path: Path) -> Source:
    tree = ast.parse(text)
    shape = ascii(_shape_of(tree)).encode()
    return Source(list(_imported(tree)), list(_registered(tree, path)), hashlib.sha256(shape).hexdigest())


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every module that may be meant by an import, and the level of a relative one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, ".".join(filter(None, (node.module, alias.name)))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name


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
