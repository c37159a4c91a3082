"""A conda channel on this disk, made of what is installed here, under conda-forge's names.

    python tests/support/conda_channel.py FOLDER     # then: CONDA_CHANNEL_ALIAS=file://FOLDER conda ...

Each installed distribution that an environment in envs/ needs becomes a package with the versions
and the bounds of its own metadata; Python is the interpreter that runs this, and Julia starts the
one on the PATH, with the variables that conda-forge's Julia sets when its environment is activated.
"""

import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
import zstandard
from packaging.requirements import Requirement

WORKFLOW = Path(__file__).resolve().parents[2]
ENVS = sorted([*WORKFLOW.glob("envs/*.yaml"), *WORKFLOW.glob("training/envs/*.yaml")])
CHANNEL = "conda-forge"
SUBDIR = "linux-64"
# Where conda-forge calls a package otherwise than PyPI.
PYPI_NAMES = {"matplotlib-base": "matplotlib", "pytorch": "torch", "huggingface_hub": "huggingface-hub"}
CONDA_NAMES = {pypi: conda for conda, pypi in PYPI_NAMES.items()}

# As recipe/scripts/activate.sh of conda-forge's julia-feedstock has it.
ACTIVATE_JULIA = """\
export JULIA_DEPOT_PATH="$CONDA_PREFIX/share/julia:$JULIA_DEPOT_PATH"
export JULIA_PROJECT="@${CONDA_PREFIX##*/}"
export JULIA_LOAD_PATH="@:$JULIA_PROJECT:@stdlib"
"""


def normal(name: str) -> str:
    """A package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def specs(env: Path) -> dict[str, str]:
    """What an environment file asks for: the version spec of each package, by its name on PyPI."""
    found = {}
    for dependency in yaml.safe_load(env.read_text(encoding="utf-8"))["dependencies"]:
        name, spec = re.fullmatch(r"([\w.-]+?) *([=<>!~].*)?", dependency).groups()
        found[PYPI_NAMES.get(name, name)] = spec or ""
    return found


def missing() -> str:
    """Why no environments can be tried here; empty if they can."""
    if shutil.which("conda") is None:
        return "conda was not found on the PATH."
    wanted = specs(WORKFLOW / "envs/torch.yaml")["python"].lstrip("=")
    here = ".".join(map(str, sys.version_info[:2]))
    if wanted != here:
        return f"the environments have Python {wanted}, and their packages would be made of {here}."
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return f"the channel is made for {SUBDIR}."
    return ""


def make_channel(folder: Path) -> None:
    """Make the channel `folder/conda-forge` with all that the environments ask for."""
    subdir = folder / CHANNEL / SUBDIR
    subdir.mkdir(parents=True)
    records = dict([write_package(subdir, "python", python_version(), [], python_files())])
    asked = {name for env in ENVS for name in specs(env)} - {"python", "julia"}
    asked.add("pip")  # which conda wants beside every Python
    for found in closure(asked):
        name = normal(found.metadata["Name"])
        depends = [f"python {'.'.join(python_version().split('.')[:2])}.*", *map(conda_spec, needs(found))]
        version = found.version.split("+")[0]
        file, record = write_package(subdir, CONDA_NAMES.get(name, name), version, depends, files_of(found))
        records[file] = record
    if julia := shutil.which("julia"):
        file, record = write_package(subdir, "julia", julia_version(julia), [], julia_files(julia))
        records[file] = record
    for name, packages in ((SUBDIR, records), ("noarch", {})):
        (folder / CHANNEL / name).mkdir(exist_ok=True)
        index = {"info": {"subdir": name}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
        (folder / CHANNEL / name / "repodata.json").write_text(json.dumps(index))


@contextmanager
def conda_of_channel(folder: Path) -> Iterator[dict[str, str]]:
    """The variables with which conda takes a channel in `folder` for conda-forge, and nothing else of this machine.

    Skips the test, loudly, where there is no conda. In the end nothing of the folder is left, some 2 GB.
    """
    if reason := missing():
        pytest.skip(f"conda is NOT TESTED: {reason}")
    make_channel(folder)
    yield {
        "CONDA_CHANNEL_ALIAS": folder.as_uri(),
        "CONDA_CHANNELS": CHANNEL,
        "CONDA_PKGS_DIRS": str(folder / "packages"),
        "CONDA_CHANNEL_PRIORITY": "strict",
    }
    shutil.rmtree(folder)


# What goes into a package: (its path in the environment, the file or the text or the link's target)

Content = tuple[str, Path | bytes | str]


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def python_files() -> Iterator[Content]:
    """The interpreter and its standard library, which find each other wherever they are together."""
    short = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    yield f"bin/{short}", Path(os.path.realpath(sys.executable))
    yield "bin/python", short
    shared = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    if shared.suffix != ".a" and shared.is_file():
        yield f"lib/{shared.name}", shared
    library = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo"}
    for place, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name not in left_out and not name.startswith("config-")]
        for name in names:
            path = Path(place, name)
            yield f"lib/{short}/{path.relative_to(library)}", path
    yield f"lib/{short}/site-packages/README.txt", b"packages\n"


def closure(names: Iterable[str]) -> list[Distribution]:
    """The installed distributions of these names, and of all that they need."""
    found: dict[str, Distribution] = {}
    left = [normal(name) for name in names]
    while left:
        if (name := left.pop()) not in found:
            found[name] = distribution(name)
            left += [normal(need.name) for need in needs(found[name])]
    return [found[name] for name in sorted(found)]


def needs(found: Distribution) -> list[Requirement]:
    """What a distribution needs here, without extras; what is not installed (torch's CUDA) is left out."""
    needed = []
    for need in map(Requirement, found.requires or []):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            try:
                distribution(need.name)
            except PackageNotFoundError:
                continue
            needed.append(need)
    return needed


def conda_spec(need: Requirement) -> str:
    name = normal(need.name)
    return f"{CONDA_NAMES.get(name, name)} {need.specifier}".strip()


def files_of(found: Distribution) -> Iterator[Content]:
    """The files of a distribution in site-packages; its programs are left out, as jobs start none."""
    place = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for file in found.files or []:
        path = Path(found.locate_file(file))
        if ".." not in file.parts and path.is_file():
            yield f"{place}/{file}", path


def julia_version(julia: str) -> str:
    return subprocess.run([julia, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def julia_files(julia: str) -> Iterator[Content]:
    yield "bin/julia", f'#!/bin/sh\nexec {shlex.quote(os.path.realpath(julia))} "$@"\n'.encode()
    yield "etc/conda/activate.d/julia_activate.sh", ACTIVATE_JULIA.encode()


# The format: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html


def write_package(
    subdir: Path, name: str, version: str, depends: list[str], contents: Iterable[Content]
) -> tuple[str, dict]:
    """Write a package, `{name}-{version}-0.conda`; its file name and its record for the channel's index."""
    stem = f"{name}-{version}-0"
    index = {
        "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends,
        "subdir": SUBDIR, "arch": "x86_64", "platform": "linux",
    }  # fmt: skip
    paths, package = [], Archive()
    for path, content in contents:
        linked = isinstance(content, str)
        size = package.add(path, content)
        paths.append(
            {"_path": path, "path_type": "softlink" if linked else "hardlink", "size_in_bytes": size}
        )
    info = Archive()
    info.add("info/index.json", json.dumps(index).encode())
    info.add("info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
    file = subdir / f"{stem}.conda"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as outer:
        outer.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        outer.writestr(f"pkg-{stem}.tar.zst", package.close())
        outer.writestr(f"info-{stem}.tar.zst", info.close())
    with open(file, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return file.name, index | {"sha256": sha256, "size": file.stat().st_size}


class Archive:
    """A compressed tar file in memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._stream = zstandard.ZstdCompressor(level=1, threads=-1).stream_writer(
            self._buffer, closefd=False
        )
        self._tar = tarfile.open(fileobj=self._stream, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def add(self, path: str, content: Path | bytes | str) -> int:
        """Add a file by its path or its bytes, or a link by its target; its size."""
        entry = tarfile.TarInfo(path)
        if isinstance(content, str):
            entry.type, entry.linkname = tarfile.SYMTYPE, content
            self._tar.addfile(entry)
            return 0
        if isinstance(content, bytes):
            entry.size, entry.mode = len(content), 0o755
            self._tar.addfile(entry, io.BytesIO(content))
            return entry.size
        status = content.stat()
        # A compiled file is right for a source of this time alone.
        entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), status.st_mode & 0o777
        with open(content, "rb") as stream:
            self._tar.addfile(entry, stream)
        return entry.size

    def close(self) -> bytes:
        self._tar.close()
        self._stream.close()
        return self._buffer.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_channel(Path(sys.argv[1]).resolve())
