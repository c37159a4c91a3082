"""The project's own files agree with each other."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from snakemake.cli import get_argument_parser
from support.workflow import WORKFLOW

# Where a package is called otherwise by conda-forge, or by its import.
CONDA_NAMES = {"matplotlib-base": "matplotlib", "pytorch": "torch"}
IMPORT_NAMES = {"PIL": "pillow", "yaml": "pyyaml"}
ENVS = sorted(path for path in (WORKFLOW / "envs").glob("*.yaml") if path.stem != "julia")


def lock() -> dict[str, str]:
    lines = (WORKFLOW / "requirements.txt").read_text().split()
    return {name.lower(): version for name, version in (line.split("==") for line in lines)}


def pins(env) -> dict[str, str]:
    dependencies = yaml.safe_load(env.read_text())["dependencies"]
    pairs = (dependency.split("=", 1) for dependency in dependencies)
    return {CONDA_NAMES.get(name, name): version for name, version in pairs if name != "python"}


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_conda_pins_are_those_of_the_lock(env):
    locked = lock()
    assert {name: locked.get(name) for name in pins(env)} == pins(env)


def test_the_lock_serves_what_is_asked_for():
    locked = lock()
    lines = (WORKFLOW / "requirements.in").read_text().splitlines()
    wanted = [re.match(r"[\w.-]+", line).group().lower() for line in lines if line[:1].isalpha()]
    assert [name for name in wanted if name not in locked] == []
    assert locked["torch"] == "2.13.0"


def imports(path, seen: set) -> set[str]:
    """The packages that a script imports, those of our own modules that it imports included."""
    if path in seen:
        return set()
    seen.add(path)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        else:
            continue
        for module in modules:
            if module.startswith("promptflux."):
                found |= imports(WORKFLOW / "scripts" / f"{module.replace('.', '/')}.py", seen)
            elif (WORKFLOW / "scripts" / f"{module}.py").is_file():
                found |= imports(WORKFLOW / "scripts" / f"{module}.py", seen)
            else:
                found.add(module.split(".")[0])
    return found


def scripts_with_envs() -> list[tuple[str, str]]:
    """The (env, script) of each rule that has a Python script."""
    texts = "".join(path.read_text() for path in sorted((WORKFLOW / "rules").glob("*.smk")))
    rules = re.split(r"^\s*rule\b", texts, flags=re.MULTILINE)
    pattern = re.compile(r'ENVS\["(\w+)"\].*"\.\./scripts/(\w+)\.py"', re.DOTALL)
    return [match.groups() for match in map(pattern.search, rules) if match]


def test_every_script_of_a_rule_is_seen():
    texts = "".join(path.read_text() for path in (WORKFLOW / "rules").glob("*.smk"))
    assert len(scripts_with_envs()) == texts.count('"../scripts/') > 8


@pytest.mark.parametrize("env, script", scripts_with_envs())
def test_an_env_serves_the_imports_of_its_scripts(env, script):
    served = set(pins(WORKFLOW / "envs" / f"{env}.yaml"))
    needed = {
        IMPORT_NAMES.get(name, name).lower()
        for name in imports(WORKFLOW / "scripts" / f"{script}.py", set())
        if name not in sys.stdlib_module_names and name != "promptflux"
    }
    assert needed - served == set()


def test_every_job_says_what_it_needs():
    texts = "".join(path.read_text() for path in sorted((WORKFLOW / "rules").glob("*.smk")))
    rules = [rule for rule in re.split(r"^ *rule\b", texts, flags=re.MULTILINE) if "script:" in rule]
    assert len(rules) > 15
    for rule in rules:
        for resource in ("mem_mb=", "runtime=", "disk_mb="):
            assert resource in rule.split("resources:")[1], rule


def test_no_tracked_file_is_over_15_megabytes():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=WORKFLOW, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("this is not a git checkout")
    sizes = {name: (WORKFLOW / name).stat().st_size for name in files.stdout.split("\0") if name}
    assert {name: size for name, size in sizes.items() if size > 15_000_000} == {}


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
    ],
    ids=" ".join,
)
def test_the_code_is_formatted(command):
    checked = subprocess.run([sys.executable, "-m", *command], cwd=WORKFLOW, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_workflow_is_lint_free():
    command = [sys.executable, "-m", "snakemake", "--lint", "--cores", "1"]
    checked = subprocess.run(command, cwd=WORKFLOW, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_julia_of_conda_is_one_that_the_manifest_was_made_for():
    manifest = tomllib.loads((WORKFLOW / "julia/Manifest.toml").read_text())["julia_version"]
    [pin] = yaml.safe_load((WORKFLOW / "envs/julia.yaml").read_text())["dependencies"]
    assert pin.removeprefix("julia=").split(".")[:2] == manifest.split(".")[:2]


def test_the_packages_of_the_manifest_come_with_the_environment_of_julia(tmp_path):
    """Snakemake runs the post-deploy script in the working folder; a stand-in for Julia shows with what."""
    (tmp_path / "julia").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "julia").chmod(0o755)
    script = WORKFLOW / "envs/julia.post-deploy.sh"
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(script)]
    told = path | {"PROMPTFLUX_JULIA_PROJECT": str(WORKFLOW / "julia")}
    run = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True)
    assert f"--project={WORKFLOW / 'julia'}" in run.stdout and "Pkg.instantiate()" in run.stdout
    untold = subprocess.run(command, env=path, cwd=tmp_path, capture_output=True, text=True)
    assert untold.returncode and "PROMPTFLUX_JULIA_PROJECT" in untold.stderr


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
    assert written.stdout == (WORKFLOW / "Dockerfile").read_text(), "run: make Dockerfile"


@pytest.mark.parametrize("profile", ["default", "slurm", "kubernetes"])
def test_a_profile_says_what_snakemake_understands(profile):
    """A plugin's own settings begin with its name; those of one that is not installed are not checked."""
    options = get_argument_parser()._option_string_actions
    settings = yaml.safe_load((WORKFLOW / f"profiles/{profile}/config.yaml").read_text())
    checked = {name for name in settings if not name.startswith("kubernetes-")}
    assert {name for name in checked if f"--{name}" not in options} == set()
