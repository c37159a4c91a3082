"""Make the pictures and the page of the Flux run anew from a finished default study with both engines.

snakemake --cores all && PYTHONPATH=scripts:benchmarks python docs/make.py results
"""

import shutil
import subprocess
import sys
from pathlib import Path

from flux_vs_torch import julia_versions
from measured import machine

from promptflux.files.tables import read_predictions, read_table
from promptflux.generation.prompts import read_prompts

DOCS = Path(__file__).resolve().parent
WORKFLOW = DOCS.parent
PICTURES = {
    "gallery.png": "figures/gallery.png",
    "feature_maps.png": "figures/cnn224/forest_1/conv_layer_2_feature_maps.png",
    "parity_cnn224.png": "parity/cnn224/flux.png",
}
CLASSIFIERS = ("cnn28", "cnn32", "cnn224")

PAGE = """# What Flux makes of the default study

The three classifiers of the default study (nine images of three prompts), run by Julia's Flux and
by PyTorch from the same tensors and the same weights. This page and its numbers come from files of
that run: `snakemake --cores all && PYTHONPATH=scripts:benchmarks python docs/make.py results`. Machine and versions: {versions}.

To get Julia: `curl -fsSL https://install.julialang.org | sh`; then `make run`.

## Do they agree?

The largest difference between Flux and PyTorch over all values of a layer and all images whose layers
are kept, and the same relative to the layer's largest value. The layers are those of Flux's own `Chain`. The logits and
probabilities are those of all nine images, by this project's kernels; the row *fast kernels* holds their logits
to those of the chain. Sums of float32 in another order differ by about as much as this.

{parity}

![cnn224, layer by layer: how far Flux and PyTorch differ](parity_cnn224.png)

## What Flux says

{predictions}

The label and its probability by Flux. PyTorch names the same label for {same} of {total} images; its probabilities
{apart}.

## The model as Flux prints it

`cnn224`, from `results/models/cnn224.bson` (`results/models/cnn224_architecture.txt`):

```julia
{architecture}
```

## In Julia alone

No Python is needed to look at an image with a classifier. PNG and JPEG files are read, turned upright,
resized with the antialiased filter of the Python side, and run:

```sh
julia --project=julia julia/predict.jl examples/photos/*.png --classifier cnn224
```

```
{predict}
```

(They know drawings: what they say of a photograph means little.)

## On a GPU

With [CUDA.jl](https://cuda.juliagpu.org) and cuDNN.jl in your Julia (`julia -e 'using Pkg; Pkg.add(["CUDA", "cuDNN"])'`),
`device: auto` takes the GPU, and the log says which device ran; without one it says that it runs on the CPU. The extension
follows [Flux's documentation](https://fluxml.ai/Flux.jl/stable/guide/gpu/) and is short
(`julia/ext/PromptFluxCUDAExt.jl`), but **it has not been run**: no GPU with Julia was at hand.

## How fast?

`python benchmarks/flux_vs_torch.py`, both on {threads}, in turns, PyTorch at its best CPU setting:

{speed}

Over many images, `python benchmarks/flux_streaming.py`, a whole job from the start of `julia` to its end:

{streaming}

The steps from plain Flux to the fast path (`inference: flux_kernels` in the config: `fast`, or `plain` for Flux alone):

- *Kernels* (`julia/src/fast/`). A convolution as im2col and a matrix product writes and reads a 3×3 kernel's
  image nine times. Here as many channels as a register holds lie together (16 with AVX-512, 8 with AVX2, 4 with
  NEON), and a tile of sums, two such blocks × up to fourteen neighboring outputs where there are 32 registers, two or three × six or
  four outputs in any rows where there are 16, stays in registers over all that is multiplied. Borders and strides are in how the maps lie, so that pointwise, strided, large and grouped convolutions are
  the same loop; depthwise ones have their own. Other kinds of CPU, with other registers, may differ in the last bits;
  on one kind the bits do not depend on the number of cores, nor on an image's neighbors.
- Each thread takes an image of its own through all layers, those of branches, too, in buffers that are kept and taken again as
  soon as they are free, instead of all threads sharing each layer of a batch: the caches hold what is read next, and
  nothing is allocated between images.
- *Fused*. Batch normalization is part of a convolution's weights. Bias, the sum of a residual block, relu, relu6 and the
  2×2 pooling that follows are done while its sums are in registers. What no kernel knows runs in Flux's own layers.
- Dense layers take sixteen images at a time: their weights are read once instead of sixteen times.
- The time to the first result: a precompile workload runs a small network through every function of a job
  when the package is installed, so that it does not wait for the compiler; and nothing is collected while
  the model is read.
"""


def main(results: Path) -> None:
    for name, source in PICTURES.items():
        shutil.copy(results / source, DOCS / name)
    flux, torch = (
        {c: list(read_predictions(results / f"predictions/{c}/{engine}.tsv")) for c in CLASSIFIERS}
        for engine in ("flux", "torch")
    )
    pairs = [pair for c in CLASSIFIERS for pair in zip(flux[c], torch[c], strict=True)]
    same = sum(ours.predicted == theirs.predicted for ours, theirs in pairs)
    apart = max(
        abs(ours.probabilities[label] - theirs.probabilities[label])
        for ours, theirs in pairs
        for label in ours.probabilities
    )
    prompts = {prompt.name: prompt.prompt for prompt in read_prompts(WORKFLOW / "prompts.tsv")}
    predictions = [
        [f"`{row.image}`", prompts[row.prompt], *(f"{flux[c][i].predicted} {flux[c][i].confidence:.1%}" for c in CLASSIFIERS)]
        for i, row in enumerate(flux[CLASSIFIERS[0]])
    ]  # fmt: skip
    speed, threads = table(WORKFLOW / "benchmarks/flux_vs_torch.tsv")
    streaming, _ = table(WORKFLOW / "benchmarks/flux_streaming.tsv")
    (DOCS / "flux.md").write_text(PAGE.format(
        versions=f"{machine('torch')}, {julia_versions()}", threads=threads, speed=speed, streaming=streaming,
        parity=parity(results), apart=f"differ by at most {apart:.6f}" if apart else "are the same to all six decimals of the tables", same=same, total=len(pairs),
        predictions=markdown([["image", "prompt", *CLASSIFIERS], *predictions]),
        architecture=(results / "models/cnn224_architecture.txt").read_text().strip(), predict=predict(),
    ), encoding="utf-8")  # fmt: skip


def parity(results: Path) -> str:
    """The parity tables of all classifiers as one Markdown table."""
    cells = [["classifier", "layer", "shape", "largest difference", "relative", "verdict"]]
    for c in CLASSIFIERS:
        header, *lines = read_table(results / f"parity/{c}/flux.tsv")
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        columns = ("layer", "shape", "max_abs_diff", "max_rel_diff", "verdict")
        cells += [["" if i else c, *(row[column] for column in columns)] for i, row in enumerate(rows)]
    return markdown(cells)


def table(path: Path) -> tuple[str, str]:
    """A benchmark's table in Markdown, and the threads that its first line names."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    threads = next((part.strip() for part in head.split(",") if "thread" in part), "")
    return markdown([line.split("\t") for line in lines]) + f"\n\n({head.lstrip('# ')})", threads


def markdown(cells: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in cells[0]) + " |", *lines[1:]])


def predict() -> str:
    images = sorted(str(path.relative_to(WORKFLOW)) for path in (WORKFLOW / "examples/photos").glob("*.png"))
    command = ["julia", "--project=julia", "julia/predict.jl", *images, "--classifier", "cnn224"]
    return subprocess.run(command, cwd=WORKFLOW, capture_output=True, text=True, check=True).stdout.rstrip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("use: python docs/make.py RESULTS")
    main(Path(sys.argv[1]))
