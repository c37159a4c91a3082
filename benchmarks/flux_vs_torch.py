"""Images per second of classifiers in Flux and in PyTorch, and the time to Flux's first result.

    python benchmarks/flux_vs_torch.py [--threads 2] [--rounds 20] [--images 16] [--networks cnn28 resnet18 ...]

The embedded classifiers, and with random weights ResNet-18, MobileNet-V2 and EfficientNet-Lite0 at 224×224.

Writes flux_vs_torch.tsv beside itself. PyTorch runs at its best CPU setting, as in the pipeline: channels_last,
and freed memory kept, without which it takes half as long again. Flux runs in two ways: a batch layer by layer
through Flux alone, and as the pipeline runs it, by this project's kernels, one image per thread, a convolution fused
with what follows. All take turns. A turn begins
with a rest, in which the threads of the others stop spinning for work, and with passes to wake up;
then passes are timed for 0.3 s. What is given is the median of the turns' means.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from measured import WORKFLOW, machine, write_table

MICRO_BATCH = 16
EMBEDDED = ("cnn28", "cnn32", "cnn224")
NETWORKS = (*EMBEDDED, "resnet18", "mobilenet_v2", "efficientnet_lite0")
REST, WAKE, TURN = 0.2, 0.1, 0.3  # seconds

WAYS = {
    "torch": "PyTorch",
    "layers": "Flux, layer by layer",
    "pipeline": "Flux, fused: the pipeline",
}

# Answers each line on stdin, a way to run Flux, with the milliseconds of a pass.
FLUX = (
    """
using PromptFlux
using LinearAlgebra: BLAS
network = load_network(ARGS[1])
images = PromptFlux.h5open(file -> read(file["images"]), ARGS[2])
predictor = PromptFlux.Predictor(network; micro_batch=MICRO_BATCH)
passes = Dict("layers" => () -> network(images), "pipeline" => () -> predict(predictor, images))
function milliseconds(pass, duration)
    start, count = time(), 0
    while time() < start + duration
        pass()
        count += 1
    end
    return 1000 * (time() - start) / count
end
for line in eachline(stdin)
    BLAS.set_num_threads(line == "layers" ? Threads.nthreads() : 1)
    milliseconds(passes[line], WAKE)
    println(milliseconds(passes[line], TURN))
    flush(stdout)
end
""".replace("WAKE", str(WAKE))
    .replace("TURN", str(TURN))
    .replace("MICRO_BATCH", str(MICRO_BATCH))
)


def main(threads: int, rounds: int, images: int, networks: list[str]) -> None:
    import torch

    from promptflux.runtime.memory import keep_memory

    torch.set_num_threads(threads)
    keep_memory()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for classifier in networks:
            files = prepare(Path(folder), classifier, images)
            first = min(first_result(files, threads) for _ in range(3))
            times = race(files, threads, rounds)
            torch_ms = statistics.median(times["torch"])
            for way, name in WAYS.items():
                ms = statistics.median(times[way])
                rows.append(
                    {
                        "classifier": classifier,
                        "runs in": name,
                        "images_per_s": f"{1000 * images / ms:.0f}",
                        "ms_per_batch": f"{ms:.2f}",
                        "flux_to_torch": "" if way == "torch" else f"{ms / torch_ms:.2f}",
                        "first_result_s": f"{first:.2f}" if way == "pipeline" else "",
                    }
                )
    comment = f"{images} images per batch, {threads} thread{'s' * (threads > 1)}, median of {rounds} rounds; {machine('torch')}, {julia_versions()}"
    write_table(Path(__file__).with_suffix(".tsv"), comment, rows)


def spec_of(folder: Path, classifier: str) -> Path:
    """The file of an embedded classifier's spec; or that of a network with random weights and ImageNet's number of classes."""
    if classifier in EMBEDDED:
        return WORKFLOW / f"models/classifiers/{classifier}.yaml"
    own = WORKFLOW / f"benchmarks/{classifier}.yaml"
    content = yaml.safe_load(own.read_text()) if own.is_file() else {"architecture": classifier}
    content |= {
        "input": {"name": "rgb224", "size": 224, "channels": "rgb"},
        "labels": [f"class {i}" for i in range(1000)],
        "weights": {"seed": 1},
    }
    path = folder / f"{classifier}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def prepare(folder: Path, classifier: str, count: int) -> dict[str, Path]:
    """The files of one classifier: its model for PyTorch and for Flux, and a tensors file of random images."""
    import numpy as np

    from promptflux.classifiers.network import untrained_weights
    from promptflux.classifiers.spec import load_spec
    from promptflux.classifiers.weights import load_weights, save_model
    from promptflux.files.tensors import write_tensors

    spec = load_spec(spec_of(folder, classifier), weights_exist=False)
    files = {
        key: folder / f"{classifier}{end}"
        for key, end in (
            ("weights", ".h5"),
            ("model", ".bson"),
            ("tensors", "_tensors.h5"),
            ("output", "_out.h5"),
        )
    }
    shipped = spec.weights_path is not None and spec.weights_path.is_file()
    weights = load_weights(spec.weights_path, spec) if shipped else untrained_weights(spec, 1)
    save_model(files["weights"], weights, spec)
    with write_tensors(files["tensors"], spec.input, [f"image_{i}" for i in range(count)]) as writer:
        rng = np.random.default_rng(0)
        for _ in range(count):
            writer.add(rng.random(spec.input.shape, dtype=np.float32), "0" * 64, (1, 1), "RGB", "")
    export = "using PromptFlux; export_bson(; weights=ARGS[1], model=ARGS[2], architecture=ARGS[3])"
    julia(1, "-e", export, files["weights"], files["model"], folder / "architecture.txt", check=True)
    return files


def julia(threads: int, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    command = ["julia", "--startup-file=no", f"--threads={threads}", f"--project={WORKFLOW / 'julia'}"]
    return subprocess.run([*command, *map(str, arguments)], **options)


def job_script(files: dict[str, Path], threads: int) -> Path:
    """The script of rule infer_flux with its `snakemake` object before it, as Snakemake would write it."""
    script = files["output"].with_suffix(".jl")
    inputs = ", ".join(f'"{key}" => "{files[key]}"' for key in ("tensors", "model"))
    preamble = (
        f'snakemake = (scriptdir="{WORKFLOW / "julia"}", input=Dict({inputs}), output=Dict("predictions" => "{files["output"]}"), '
        f'params=Dict("asked" => Dict("layers_of" => [], "layers" => [], "counted" => [], "micro_batch" => {MICRO_BATCH}, "kernels" => "fast")), log=Dict(1 => "{script}.log"), '
        f"threads={threads}, resources=Dict())\n"
    )
    script.write_text(preamble + (WORKFLOW / "julia/infer_flux.jl").read_text())
    return script


def first_result(files: dict[str, Path], threads: int) -> float:
    """Seconds from the start of `julia` to its end with the predictions of one batch, as Snakemake runs it."""
    command = ["julia", f"--threads={threads}", str(job_script(files, threads))]
    start = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def race(files: dict[str, Path], threads: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each pass of each engine."""
    import h5py
    import torch

    from promptflux.classifiers.network import Network
    from promptflux.classifiers.weights import load_model

    description, weights = load_model(files["weights"])
    network = Network(description).load(weights).eval().to(memory_format=torch.channels_last)
    with h5py.File(files["tensors"]) as file:
        images = torch.from_numpy(file["images"][()]).contiguous(memory_format=torch.channels_last)

    command = [
        "julia",
        "--startup-file=no",
        f"--threads={threads}",
        f"--project={WORKFLOW / 'julia'}",
        "-e",
        FLUX,
    ]
    flux = subprocess.Popen(
        [*command, files["model"], files["tensors"]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip

    @torch.inference_mode()
    def run_torch() -> float:
        time.sleep(REST)
        milliseconds(lambda: network(images), WAKE)
        return milliseconds(lambda: network(images), TURN)

    def run_flux(way: str) -> float:
        time.sleep(REST)
        flux.stdin.write(way + "\n")
        return float(flux.stdout.readline())

    times = {way: [] for way in WAYS}
    for number in range(-2, rounds):
        taken = {way: run_torch() if way == "torch" else run_flux(way) for way in WAYS}
        if number >= 0:
            for way, ms in taken.items():
                times[way].append(ms)
    flux.stdin.close()
    flux.wait()
    return times


def milliseconds(run: Callable[[], object], duration: float) -> float:
    """The mean time of `run`, called for `duration` seconds."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + duration:
        run()
        count += 1
    return 1000 * (time.perf_counter() - start) / count


def julia_versions() -> str:
    """The versions of Flux and of Julia that run here."""
    code = 'using PromptFlux; print("Flux ", pkgversion(PromptFlux.Flux), " on Julia ", VERSION)'
    return julia(1, "-e", code, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    main(**vars(parser.parse_args()))
