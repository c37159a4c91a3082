"""Images per second of preprocessing, beside a plain Pillow loop and beside the decoding alone, its limit.

    python benchmarks/preprocessing.py [--images 128] [--size 512] [--rounds 7] [--threads 2]

Then reading the tensors back in batches, beside a plain read of the whole file, from the page
cache and from the disk; and drawing the figures of single images. The ways of one kind take
turns in one process, in short rounds; given are the medians of the rounds and of each round's
share of the limit, by the clock and in processor time. The clock also counts how well the
cores are used, but on a machine that others use it is their clock, too. The images are PNGs
of smooth noise with about as many bytes a pixel as a generated photograph. Writes
preprocessing.tsv beside itself.
"""

import argparse
import contextlib
import io
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import figures
import h5py
import infer_torch
import numpy as np
import preprocess
from measured import WORKFLOW, machine, write_table
from PIL import Image

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights, save_model
from promptflux.files.tensors import write_tensors
from promptflux.images.inputs import InputSpec

INPUTS = ("gray28", "rgb32", "gray224", "rgb224")
DRAWN = ("cnn28", "cnn224")
BATCH = 16


def main(images: int, size: int, rounds: int, threads: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [drawn(folder / f"{number}.png", size, number) for number in range(images)]
        for entry in INPUTS:
            spec = InputSpec.from_config(entry)
            ways = {
                "decoding alone": lambda: decode_all(paths, threads),
                "this pipeline": lambda spec=spec: run(paths, folder, spec, threads),
                "plain Pillow loop": lambda spec=spec: plain_loop(paths, folder, spec),
            }
            rows += in_turns(f"preprocessing {entry}", ways, rounds, images, "images/s")
        for entry in ("gray28", "rgb224"):
            rows += reading(folder, InputSpec.from_config(entry), rounds)
        for classifier in DRAWN:
            rows += drawing(folder, paths[0], classifier, threads)
    comment = f"{images} PNGs of {size}×{size}, {threads} threads, medians of {rounds} rounds; {machine('pillow', 'h5py')}"
    write_table(Path(__file__).with_suffix(".tsv"), comment, rows)


def drawn(path: Path, size: int, seed: int) -> Path:
    """A PNG of smooth noise, 8-bit RGB, of nearly two bytes a pixel."""
    noise = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(path)
    return path


def in_turns(
    what: str, ways: dict[str, Callable[[], None]], rounds: int, amount: float, unit: str
) -> list[dict]:
    """A row for each way, of which the first is the limit; all are tried once a round, the first does not count."""
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, function in ways.items():
            start, processor_start = time.perf_counter(), processor_time()
            with contextlib.redirect_stderr(io.StringIO()):
                function()
            if number:
                taken[way].append((time.perf_counter() - start, processor_time() - processor_start))
    limit = next(iter(taken.values()))

    def share(times: list[tuple[float, float]], clock: int) -> str:
        return f"{statistics.median(a[clock] / b[clock] for a, b in zip(limit, times, strict=True)):.2f}"

    return [
        {
            "what": what,
            "way": way,
            "rate": f"{amount / statistics.median(wall for wall, _ in times):.3g}",
            "rate_of_a_core": f"{amount / statistics.median(processor for _, processor in times):.3g}",
            "unit": unit,
            "share_of_limit": share(times, 0),
            "share_in_processor_time": share(times, 1),
        }
        for way, times in taken.items()
    ]


def processor_time() -> float:
    """Seconds of processor time of this process and the ones that it started and that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def decode(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def decode_all(paths: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, paths))


def run(paths: list[Path], folder: Path, spec: InputSpec, threads: int) -> None:
    """What the rule preprocess does, from the files to the HDF5 and the pictures."""
    names = [path.stem for path in paths]
    preprocess.preprocess(
        images=[str(path) for path in paths],
        names=names,
        spec=spec,
        on_bad_image="stop",
        tensors=str(folder / f"{spec.name}.h5"),
        pictures=[str(folder / spec.name / f"{name}.png") for name in names],
        threads=threads,
    )


def plain_loop(paths: list[Path], folder: Path, spec: InputSpec) -> None:
    """What one writes at first: open, convert, resize, divide, stack, save; an image after the other."""
    (folder / "plain").mkdir(exist_ok=True)
    tensors = []
    for path in paths:
        picture = Image.open(path).convert("L" if spec.channels == "gray" else "RGB")
        picture = picture.resize((spec.width, spec.height), Image.Resampling.BILINEAR)
        picture.save(folder / "plain" / path.name)
        tensors.append(np.asarray(picture, dtype=np.float32) / 255)
    np.save(folder / "plain.npy", np.stack(tensors))


def reading(folder: Path, spec: InputSpec, rounds: int) -> list[dict]:
    """Reading some megabytes of tensors in batches, beside a plain read of the whole file."""
    path = folder / f"{spec.name}_many.h5"
    count = min(1024, round(30e6 / (4 * np.prod(spec.shape))))
    image = np.random.default_rng(0).random(spec.shape, dtype=np.float32)
    with write_tensors(path, spec, [f"image_{number}" for number in range(count)]) as writer:
        for _ in range(count):
            writer.add(image, "0" * 64, (1, 1), "RGB", "")

    def plain() -> None:
        path.read_bytes()

    def batches() -> None:
        with h5py.File(path) as file:
            images = file["images"]
            for start in range(0, count, BATCH):
                images[start : start + BATCH]

    def from_disk(read: Callable[[], None]) -> None:
        forget(path)
        read()

    ways = {"plain read": plain, f"in batches of {BATCH}": batches}
    cold = {way: partial(from_disk, read) for way, read in ways.items()}
    what, megabytes = f"reading {spec.name} tensors from the", os.path.getsize(path) / 1e6
    return [
        *in_turns(f"{what} page cache", ways, rounds, megabytes, "MB/s"),
        *in_turns(f"{what} disk", cold, rounds, megabytes, "MB/s"),
    ]


def forget(path: Path) -> None:
    """Let the system write the file to the disk and drop it from the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def drawing(folder: Path, picture: Path, classifier: str, threads: int) -> list[dict]:
    """The figures of four images as the embedded `classifier` sees them."""
    spec = load_spec(WORKFLOW / f"models/classifiers/{classifier}.yaml")
    names = [f"image_{number}" for number in range(4)]
    files = {key: str(folder / f"{classifier}_{key}.h5") for key in ("tensors", "model", "predictions")}
    preprocess.preprocess(
        images=[str(picture)] * len(names),
        names=names,
        spec=spec.input,
        on_bad_image="stop",
        tensors=files["tensors"],
        pictures=[str(folder / "seen" / f"{name}.png") for name in names],
        threads=threads,
    )
    save_model(files["model"], load_weights(spec.weights_path, spec), spec)
    infer_torch.main(**files, layers_of=names, micro_batch=BATCH, threads=2, device="cpu")
    target = folder / f"{classifier}_figures"
    drawn = [str(target / name / "figure.png") for name in names]

    def draw() -> None:
        figures.main(
            **files, images=names, figures=drawn, threads=threads, style={"colormap": "viridis", "dpi": 130}
        )

    draw()
    count = len(list(target.rglob("*.png")))
    rows = in_turns(f"figures of {classifier}", {"this pipeline": draw}, 1, count, "figures/s")
    return [row | {"share_of_limit": "", "share_in_processor_time": ""} for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    main(**vars(parser.parse_args()))
