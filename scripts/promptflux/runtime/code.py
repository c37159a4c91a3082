"""Digests of the code that a stage runs, so that its results follow the code.

Snakemake compares them as a param: a stage runs again when what it computes with has changed,
and no other does. A comment, a docstring or the format of a line changes no digest, nor does
another version of Python.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

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
    parts = [f"{Path(path).name}\n{_plain_julia(Path(path).read_text(encoding='utf-8'))}" for path in files]
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
    found: list[Path] = []
    for name in _imported_names(_tree(path)):
        for root in roots:
            module = root.joinpath(*name.split("."))
            for candidate in (module.with_suffix(".py"), module / "__init__.py"):
                if candidate.is_file():
                    found.append(candidate)
    for package in _registered(_tree(path)):
        for root in roots:
            found += root.joinpath(*package.split(".")).glob("*.py")
    return found


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Every module that may be meant by an import, the packages around it included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _registered(tree: ast.Module) -> Iterator[str]:
    """The packages that a module takes its entries from: the first argument of `registry`'s functions."""
    functions = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == REGISTRY
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=package), *_]) if (
                name in functions
            ):
                yield str(package)


@cache
def _module_digest(path: Path) -> str:
    return hashlib.sha256(repr(_shape_of(_tree(path))).encode()).hexdigest()


def _shape_of(node: object) -> object:
    """A syntax tree as tuples, without places, docstrings and what is empty."""
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            if name == "body" and isinstance(value, list):
                value = [part for part in value if not _is_text(part)]
            if value not in (None, []):
                fields.append((name, _shape_of(value)))
        return type(node).__name__, tuple(fields)
    if isinstance(node, list):
        return tuple(_shape_of(part) for part in node)
    return node


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a text and nothing else, as a docstring is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


# A text of Julia, a comment, or white space.
_JULIA = re.compile(
    r'''(?P<text>"""(?:\\.|(?!""").)*"""|"(?:\\.|[^"\\])*")'''
    r"|(?P<comment>#=.*?=#|#[^\n]*)"
    r"|(?P<space>\s+)",
    re.DOTALL,
)


def _plain_julia(source: str) -> str:
    """Julia code without comments, docstrings and the width of its white space."""

    def kept(match: re.Match) -> str:
        if match["space"] is not None:
            return "\n" if "\n" in match["space"] else " "
        if match["text"] is not None and not _begins_a_line(match):
            return match["text"]
        return ""

    return re.sub(r"\n+", "\n", re.sub(r" *\n *", "\n", _JULIA.sub(kept, source))).strip()


def _begins_a_line(match: re.Match) -> bool:
    """Whether a text stands alone on its lines, which makes it a docstring."""
    before = match.string[: match.start()].rpartition("\n")[2]
    after = match.string[match.end() :].partition("\n")[0]
    return not before.strip() and not after.strip()
