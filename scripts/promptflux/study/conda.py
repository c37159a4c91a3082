"""What is known of Snakemake's conda environments before it makes them: whether Flux will run in its own."""

import os
import shlex
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from promptflux.errors import printable
from promptflux.study.engines import Found, find_flux

# Where Julia's package manager gets what it installs, unless the variable says otherwise.
PACKAGE_SERVER = "https://pkg.julialang.org"
SECONDS_FOR_A_ROUTE = 15
HERE = Path(".snakemake/conda")  # where Snakemake makes environments without --conda-prefix
FOUND = True, "Julia from the conda environment"


def find_flux_in_conda(project: Path, environment: Path, prefix: str | Path | None) -> Found:
    """Whether Flux will run in its conda environment, and a sentence on that.

    project: the folder of the workflow's Julia project. environment: the file of the
    environment. prefix: what --conda-prefix says, None without it. Asks the network, for
    SECONDS_FOR_A_ROUTE at most, if the environment is not made yet.
    """
    place = Path(os.path.abspath(prefix or HERE))
    if is_made(environment, place):
        return FOUND
    if shlex.quote(str(place)) != str(place):
        return False, (
            f"the conda environment of Julia would be made in {printable(place)}, and Snakemake hands this path to a "
            f"shell without quotes; give it a folder without spaces: --conda-prefix FOLDER"
        )
    server = package_server()
    # The environment's Julia finds what the user's own Julia has installed.
    if find_flux(project)[0] or (server is None or has_route(server)):
        return FOUND
    return False, (
        f"the conda environment of Julia is not made yet, and there is no route to Julia's packages at {printable(server)}; "
        f"where there is one, make it first: snakemake --sdm conda --conda-create-envs-only"
    )


def is_made(environment: Path, prefix: Path) -> bool:
    """Whether Snakemake has made an environment of this very file, and run its script, below `prefix`.

    Beside `{prefix}/{hash}` it leaves copies of the file and of the script, and a mark once it is done.
    """
    script = environment.with_suffix(".post-deploy.sh")
    wanted = {".yaml": environment, ".post-deploy.sh": script}
    for mark in prefix.glob("*.env_setup_done"):
        made = mark.with_suffix("")
        if made.is_dir() and all(
            _same(made.with_name(made.name + end), file) for end, file in wanted.items()
        ):
            return True
    return False


def _same(copy: Path, file: Path) -> bool:
    return copy.is_file() and file.is_file() and copy.read_bytes() == file.read_bytes()


def package_server() -> str | None:
    """The address of Julia's packages; None if the user has none, and gets them from where each is developed."""
    server = os.environ.get("JULIA_PKG_SERVER", PACKAGE_SERVER)
    return (server if "://" in server else f"https://{server}") if server else None


def has_route(address: str) -> bool:
    """Whether something answers at an address, be it with an error."""
    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/registries", timeout=SECONDS_FOR_A_ROUTE).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # Julia has certificates of its own
    except (OSError, ValueError):
        return False
    return True
