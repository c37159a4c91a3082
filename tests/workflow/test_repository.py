"""The project's own files agree with each other."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from snakemake.cli import get_argument_parser
from support import conda_channel
from support.conda_channel import normal
from support.workflow import WORKFLOW

from promptflux.runtime.code import reached
from promptflux.study.engines import ENGINES

# Where a package is called otherwise by its import.
IMPORT_NAMES = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "huggingface_hub": "huggingface-hub",
}
# Scripts that a person runs, and no rule.
COMMANDS = {WORKFLOW / f"scripts/{name}.py" for name in ("convert", "pack", "rerun")}
# The two workflows, each with rules, scripts and envs of its own.
HOUSES = (WORKFLOW, WORKFLOW / "training")
ENVS = [path for path in conda_channel.ENVS if path.stem != "julia"]
# What is pinned exactly: bits depend on it, and it was seen in conda-forge's feedstocks (2026-08), which skip
# some versions and bound others. A new version of one of these goes here once it is seen there.
ON_CONDA_FORGE = {"torch": "2.13.0", "numpy": "2.4.6", "h5py": "3.16.0"}
RULES = {
    house: "".join(path.read_text(encoding="utf-8") for path in sorted(house.glob("rules/*.smk")))
    for house in HOUSES
}


def lock() -> dict[str, str]:
    lines = (WORKFLOW / "requirements.txt").read_text().split()
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def wanted() -> set[str]:
    lines = (WORKFLOW / "requirements.in").read_text().splitlines()
    return {normal(re.match(r"[\w.-]+", line).group()) for line in lines if line[:1].isalpha()}


def asked(env: Path) -> dict[str, str]:
    """What an environment asks for beside Python: the version spec of each package, by its name on PyPI."""
    return {name: spec for name, spec in conda_channel.specs(env).items() if name != "python"}


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_environment_takes_the_versions_of_the_lock(env):
    locked = lock()
    for name, spec in asked(env).items():
        assert SpecifierSet(re.sub(r"^=(?=\d)", "==", spec)).contains(locked[name]), (name, spec)


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_exact_pin_is_one_that_conda_forge_has(env):
    exact = {name: spec for name, spec in asked(env).items() if spec.startswith("=")}
    assert exact == {name: f"={ON_CONDA_FORGE[name]}" for name in exact}
    assert exact.keys() == ON_CONDA_FORGE.keys() & asked(env).keys()
    assert (
        asked(env).get("tokenizers", "") == ""
    )  # which transformers bounds, there more tightly than on PyPI


@pytest.mark.parametrize("env", conda_channel.ENVS, ids=lambda env: env.stem)
def test_an_environment_asks_conda_forge_alone(env):
    """Conda from 26.7 on takes `nodefaults` for the name of a channel."""
    assert yaml.safe_load(env.read_text())["channels"] == ["conda-forge"]


def test_the_lock_serves_what_is_asked_for():
    assert wanted() - set(lock()) == set()
    assert lock()["torch"] == "2.13.0"


# What a job imports is in its environment


def running(node: ast.AST, with_functions: bool) -> Iterator[ast.AST]:
    """What runs of a syntax tree: not what is there for a type checker alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if with_functions or not isinstance(child, ast.FunctionDef):
            yield child
            yield from running(child, with_functions)


OF_KINDS = [WORKFLOW / f"scripts/promptflux/classifiers/{name}.py" for name in ("kind", "modules")]


def imports(path: Path) -> set[str]:
    """The modules that a file imports, by the first part of their names.

    The kinds of layer import torch where they build a layer. Who does that imports
    classifiers/network.py, which wants torch at its top.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    of_kinds = path.parent.name == "layers" or path in OF_KINDS
    if path == OF_KINDS[1]:
        return found  # which the kinds import where they build a layer
    for node in running(tree, with_functions=not of_kinds):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


def rules_of(house: Path) -> list[str]:
    """The text of each rule that has a script."""
    rules = re.split(r"^ *rule\b.*:$", RULES[house], flags=re.MULTILINE)[1:]
    return [rule for rule in rules if "script:" in rule]


def scripts_with_envs() -> list[tuple[Path, Path]]:
    """The (env, script) of each rule that has a Python script."""
    found = [
        (WORKFLOW / f"envs/{engine.environment}.yaml", WORKFLOW / script)
        for engine in ENGINES.values()
        for script in (engine.script, engine.explains)
        if script.endswith(".py")
    ]
    for house in HOUSES:
        for rule in rules_of(house):
            if script := re.search(r'"\.\./scripts/(\w+\.py)"', rule):
                env = re.search(r'ENVS\["(\w+)"\]|envs/(\w+)\.yaml', rule)
                found.append((house / f"envs/{env[1] or env[2]}.yaml", house / "scripts" / script[1]))
    return found


def test_every_script_of_a_rule_is_seen():
    seen = {script for _, script in scripts_with_envs()}
    assert seen | COMMANDS == {script for house in HOUSES for script in house.glob("scripts/*.py")}


@pytest.mark.parametrize("env, script", scripts_with_envs(), ids=lambda path: path.stem)
def test_an_env_serves_the_imports_of_its_scripts(env, script):
    files = reached(script, (WORKFLOW / "scripts", WORKFLOW))
    own = {"promptflux", "training"}
    needed = {
        IMPORT_NAMES.get(name, name).lower()
        for name in set().union(*map(imports, files)) - own
        if name not in sys.stdlib_module_names
    }
    assert needed - set(asked(env)) == set()


def test_planning_needs_only_what_snakemake_brings():
    """What the rules import is imported in an interpreter of its own."""
    text = (WORKFLOW / "rules/common.smk").read_text(encoding="utf-8")
    code = re.findall(r"^from promptflux.+ import (?:\([^)]+\)|.+)$", text, flags=re.MULTILINE)
    assert len(code) > 8
    command = [sys.executable, "-c", "\n".join([*code, "import sys; print(*sys.modules)"])]
    env = {**os.environ, "PYTHONPATH": str(WORKFLOW / "scripts")}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    packages = packages_distributions()
    loaded = {normal(name) for module in run.stdout.split() for name in packages.get(module, [])}
    assert {"pyyaml", "jsonschema"} <= loaded  # which Snakemake brings
    assert loaded & wanted() == {"pyyaml", "jsonschema"}


# Refuses what would not be there if Snakemake were installed alone.
ALONE = """\
import pkgutil, sys

MISSING = {missing}

class Alone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

listed = pkgutil.iter_modules  # where Snakemake finds its plugins
pkgutil.iter_modules = lambda *places: (module for module in listed(*places) if module.name not in MISSING)
sys.meta_path.insert(0, Alone())
"""


def test_snakemake_alone_can_plan(tmp_path):
    """The default study with photographs beside it."""
    there = {normal(found.metadata["Name"]) for found in conda_channel.closure(["snakemake"])}
    missing = {
        module
        for module, names in packages_distributions().items()
        if not there.intersection(map(normal, names)) and module.isidentifier()
    }
    assert {"numpy", "PIL", "torch", "h5py", "matplotlib", "safetensors"} <= missing
    (tmp_path / "sitecustomize.py").write_text(ALONE.format(missing=missing))
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile"), "--dry-run"]
    config = ["--config", f"images={WORKFLOW / 'examples/photos'}"]
    run = subprocess.run([*command, *config], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "generate_prompts" in run.stdout + run.stderr and "preprocess_images" in run.stdout + run.stderr


# What a rule says


@pytest.mark.parametrize("house", HOUSES, ids=["study", "training"])
def test_every_job_says_what_it_needs(house):
    assert len(rules_of(house)) >= 10
    for rule in rules_of(house):
        for resource in ("mem_mb=", "runtime=", "disk_mb="):
            assert resource in rule.split("resources:")[1], rule


def test_results_follow_the_code_of_their_own_script():
    for rule in rules_of(WORKFLOW):
        script = re.search(r'script:\s+"\.\./(?:scripts|julia)/(\w+)\.\w+"', rule)
        asked = re.search(r'asked=asked_of\(f?"(\w+|\{engine\.\w+\})[/"]', rule)
        requested = re.search(r'request=request_of\(f?"(\w+|\{engine\.\w+\})[/"]', rule)
        assert asked and requested and asked[1] == requested[1], rule
        assert script is None or asked[1] == script[1], rule


# What is said twice is said alike


def test_there_is_one_version():
    version = tomllib.loads((WORKFLOW / "pyproject.toml").read_text())["project"]["version"]
    assert tomllib.loads((WORKFLOW / "julia/Project.toml").read_text())["version"] == version
    assert str(yaml.safe_load((WORKFLOW / "CITATION.cff").read_text())["version"]) == version
    newest = re.search(r"^## \[(.+?)\]", (WORKFLOW / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest[1] == version


def test_a_commit_is_checked_as_make_lint_checks():
    lints = re.search(r"^LINTS := (.+)$", (WORKFLOW / "Makefile").read_text(), flags=re.MULTILINE)
    [repo] = yaml.safe_load((WORKFLOW / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # nothing is fetched
    assert [hook["entry"] for hook in repo["hooks"]] == [f"make {lint}" for lint in lints[1].split()]


def test_the_map_for_contributors_names_what_is_there():
    """A path is what stands in backticks and has a slash or a suffix; what is to be made has `{` in it."""
    text = (WORKFLOW / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\.?[\w-]+/)+(?:[\w.-]+)?|[\w-]+\.(?:md|yaml|toml|tsv|cff))`", text))
    assert len(named) > 30
    assert {
        path for path in named if not path.startswith("results/") and not (WORKFLOW / path).exists()
    } == set()


def test_no_tracked_file_is_over_15_megabytes():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=WORKFLOW, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("this is not a git checkout")
    sizes = {name: (WORKFLOW / name).stat().st_size for name in files.stdout.split("\0") if name}
    assert {name: size for name, size in sizes.items() if size > 15_000_000} == {}


# Environments, image and profiles


def test_the_julia_of_conda_is_one_that_the_manifest_was_made_for():
    manifest = tomllib.loads((WORKFLOW / "julia/Manifest.toml").read_text())["julia_version"]
    [pin] = yaml.safe_load((WORKFLOW / "envs/julia.yaml").read_text())["dependencies"]
    assert pin.removeprefix("julia=").split(".")[:2] == manifest.split(".")[:2]


def test_the_packages_of_the_manifest_come_with_the_environment_of_julia(tmp_path):
    """Snakemake runs the post-deploy script in the working folder; a stand-in for Julia shows with what."""
    (tmp_path / "julia").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > told\n')
    (tmp_path / "julia").chmod(0o755)
    script = WORKFLOW / "envs/julia.post-deploy.sh"
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(script)]
    told = path | {"PROMPTFLUX_JULIA_PROJECT": str(WORKFLOW / "julia")}
    run = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0 and told["PROMPTFLUX_JULIA_PROJECT"] in (tmp_path / "told").read_text()
    assert "Pkg.instantiate()" in (tmp_path / "told").read_text()
    assert (
        "using PromptFlux" in (tmp_path / "told").read_text()
    )  # what cannot be loaded has not been installed
    untold = subprocess.run(command, env=path, cwd=tmp_path, capture_output=True, text=True)
    assert untold.returncode and "PROMPTFLUX_JULIA_PROJECT" in untold.stderr
    (tmp_path / "julia").write_text("#!/bin/sh\nseq 50\nexit 1\n")
    failed = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stdout.splitlines()[:5] == list("12345")
    assert len(failed.stdout.splitlines()) == 6 and "engines: [torch]" in failed.stdout


CONDA = """\
#!/bin/sh
case "$1" in
  info) echo '{"conda_prefix": "/conda", "platform": "linux-64"}' ;;
  config) echo '{"get": {"channel_priority": "strict"}}' ;;
  *) echo 'conda 25.3.0' ;;
esac
"""


def test_the_image_is_that_of_the_environments(tmp_path):
    """What Snakemake writes now; it asks conda for no more than how it is set up, which a stand-in says."""
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "--containerize"]
    written = subprocess.run(command, cwd=WORKFLOW, env=env, capture_output=True, text=True)
    assert written.returncode == 0, written.stderr
    with_julia = written.stdout + (WORKFLOW / "envs/julia.Dockerfile").read_text()
    assert with_julia == (WORKFLOW / "Dockerfile").read_text(), "run: make Dockerfile"


@pytest.mark.parametrize("profile", ["default", "slurm", "kubernetes"])
def test_a_profile_says_what_snakemake_understands(profile):
    """A plugin's own settings begin with its name; those of one that is not installed are not checked."""
    options = get_argument_parser()._option_string_actions
    settings = yaml.safe_load((WORKFLOW / f"profiles/{profile}/config.yaml").read_text())
    checked = {name for name in settings if not name.startswith("kubernetes-")}
    assert {name for name in checked if f"--{name}" not in options} == set()
