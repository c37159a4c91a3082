"""Julia, for the tests of the Flux engine."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from support.flux import PROJECT

from promptflux.study.engines import find_flux

SECONDS = 900  # that a piece of code may take
END = "---- the end, which is "
# Reads lines of a path and arguments, runs the code of the path in a module of its own, and says how it ended.
SERVE = f"""
using PromptFlux
for line in eachline(stdin)
    path, arguments... = split(line, '\\0')
    append!(empty!(ARGS), arguments)
    state = try
        place = Module()
        Core.eval(place, :(using PromptFlux))
        Base.include_string(place, read(path, String), path)
        "good"
    catch error
        showerror(stdout, error, catch_backtrace())
        "bad"
    end
    print("\\n{END}", state, "\\n")
    flush(stdout)
end
"""


class Julia:
    """Runs Julia code with the project loaded: in one process, which compiles once, or in one of its own."""

    def __init__(self, folder: Path):
        self.code = folder / "code.jl"
        self.command = ["julia", "--startup-file=no", "--threads=2", f"--project={PROJECT}", "-e"]
        self.alone("")  # the package itself is compiled as for its users, and that serves the next, too
        # Networks of random layers are compiled as they come, which takes most of the time; -O1 spares a third of it.
        self.server = subprocess.Popen(
            [self.command[0], "-O1", *self.command[1:], SERVE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __call__(self, code: str, *arguments: str | Path) -> str:
        """What the code prints, which ends well. Its methods of the package stay: see `alone`."""
        self.code.write_text(code, encoding="utf-8")
        printed, late = [], Timer(SECONDS, self.server.kill)
        late.start()
        try:
            self.server.stdin.write("\0".join(map(str, (self.code, *arguments))) + "\n")
            self.server.stdin.flush()
            for line in self.server.stdout:
                if line.startswith(END):
                    break
                printed.append(line)
            else:
                line = f"{END}gone"
        finally:
            late.cancel()
        assert line.strip() == f"{END}good", "".join(printed)
        return "".join(printed).removesuffix("\n")

    def alone(self, code: str, *arguments: str | Path, expect: int = 0) -> str:
        """What a process of its own prints, which may end otherwise, and may change the package."""
        command = [*self.command, f"using PromptFlux\n{code}", *map(str, arguments)]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert finished.returncode == expect, finished.stdout + finished.stderr
        return finished.stdout + finished.stderr


@pytest.fixture(scope="package")
def julia(tmp_path_factory) -> Iterator[Julia]:
    """Real Julia; skips the test, loudly, where Julia or a package is missing."""
    found, detail = find_flux(PROJECT)
    if not found:
        pytest.skip(f"THE FLUX ENGINE IS NOT TESTED: {detail}")
    julia = Julia(tmp_path_factory.mktemp("julia"))
    yield julia
    julia.server.stdin.close()
    julia.server.wait(60)
