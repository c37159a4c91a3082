"""Whether Flux will run in its conda environment, which is found before the environment is made."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.workflow import WORKFLOW

from promptflux.study.conda import find_flux_in_conda, has_route

ENVIRONMENT = WORKFLOW / "envs/julia.yaml"
JULIA = WORKFLOW / "julia"
NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nothing listens


@pytest.fixture
def no_julia(tmp_path, monkeypatch) -> None:
    """No Julia on the PATH, and no route to its packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JULIA_PKG_SERVER", NOWHERE)


@pytest.fixture
def server():
    """The address of a server that has nothing and says so."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def make_environment(prefix: Path) -> Path:
    """What Snakemake leaves of an environment: its folder, copies of what it was made of, and a mark at the end."""
    folder = prefix / "0123_"
    folder.mkdir(parents=True)
    shutil.copy(ENVIRONMENT, prefix / "0123_.yaml")
    shutil.copy(ENVIRONMENT.with_suffix(".post-deploy.sh"), prefix / "0123_.post-deploy.sh")
    (prefix / "0123_.env_setup_done").touch()
    return folder


def test_no_route_to_its_packages_is_said_with_the_way_out(no_julia, tmp_path):
    found, detail = find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path)
    assert not found
    assert NOWHERE in detail and "--conda-create-envs-only" in detail


def test_any_answer_is_a_route(no_julia, tmp_path, monkeypatch, server):
    monkeypatch.setenv("JULIA_PKG_SERVER", server)
    assert find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path)[0]
    monkeypatch.setenv("JULIA_PKG_SERVER", server.removeprefix("http://"))  # which Julia takes for https
    assert find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path)[0]
    assert not has_route("no address") and not has_route(NOWHERE)


def test_who_has_no_package_server_is_not_asked_for_a_route(no_julia, tmp_path, monkeypatch):
    monkeypatch.setenv("JULIA_PKG_SERVER", "")
    assert find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path)[0]


@pytest.mark.parametrize("place", ["environments", "Jane Doe"])
def test_an_environment_that_is_made_needs_no_route(no_julia, tmp_path, place):
    made = make_environment(tmp_path / place)
    assert find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path / place)[0]
    made.with_name("0123_.yaml").write_text("dependencies: [julia=1.9]\n")  # it is of another file
    assert not find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path / place)[0]


def test_an_environment_that_is_half_made_is_none(no_julia, tmp_path):
    (made := make_environment(tmp_path)).with_name("0123_.env_setup_done").unlink()
    assert made.is_dir() and not find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path)[0]


def test_without_a_prefix_it_is_made_beside_the_results(no_julia, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_environment(tmp_path / ".snakemake/conda")
    assert find_flux_in_conda(JULIA, ENVIRONMENT, None)[0]


@pytest.mark.parametrize("place", ["Jane Doe", "it's", "a$b"])
def test_a_path_that_a_shell_would_split_is_said_with_the_way_out(no_julia, tmp_path, place):
    found, detail = find_flux_in_conda(JULIA, ENVIRONMENT, tmp_path / place)
    assert not found
    assert place in detail and "--conda-prefix FOLDER" in detail
