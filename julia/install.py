"""Find Julia, or install it, and install the packages of julia/.

Never a reason to stop: without Julia the classifiers run in PyTorch alone, and this says so.
"""

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
JULIA_HOME = "https://julialang.org"
SECONDS_FOR_A_ROUTE = 15


def main() -> None:
    julia = find_julia() or install_julia()
    if julia is None:
        say(
            f"Julia was not found and there is no route to {JULIA_HOME}: the classifiers will run in PyTorch alone."
        )
    elif not instantiate(julia):
        say(
            f"Julia's packages could not be installed: the classifiers will run in PyTorch alone. To try again: "
            f"julia --project={PROJECT} -e 'using Pkg; Pkg.instantiate()'"
        )


def find_julia() -> str | None:
    """The julia on the PATH, if it is 1.10 or newer."""
    julia = shutil.which("julia")
    if julia is None:
        return None
    version = subprocess.run([julia, "--version"], capture_output=True, text=True).stdout
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers and tuple(map(int, numbers.groups())) >= (1, 10):
        return julia
    say(f"{julia} is {version.strip() or 'not working'}; 1.10 or newer is needed.")
    return None


def install_julia() -> str | None:
    """Install Julia into the virtual environment through juliapkg, if there is a route to it."""
    try:
        urllib.request.urlopen(JULIA_HOME, timeout=SECONDS_FOR_A_ROUTE).close()
    except (urllib.error.URLError, OSError):
        return None
    say("Julia was not found; installing it into the virtual environment (some 200 MB) ...")
    try:
        import juliapkg

        juliapkg.require_julia("~1.10")
        juliapkg.resolve()
        julia = Path(juliapkg.executable())
    except Exception as error:  # an installer's failure of any kind leaves us with PyTorch
        say(f"Julia could not be installed: {error}")
        return None
    link = Path(sys.prefix) / "bin" / "julia"
    link.unlink(missing_ok=True)
    link.symlink_to(julia)
    return str(link)


def instantiate(julia: str) -> bool:
    """Install and precompile the packages of julia/Manifest.toml; quick when they are there."""
    say("Installing Julia's packages (minutes the first time, seconds after that) ...")
    code = "using Pkg; Pkg.instantiate(); Pkg.precompile()"
    run = subprocess.run([julia, "--startup-file=no", f"--project={PROJECT}", "-e", code])
    return run.returncode == 0


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
