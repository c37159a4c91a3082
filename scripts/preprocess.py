"""Create the tensors of one batch of images, and a picture of what each tensor shows."""

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.images import open_rgb, printable, test_pattern
from promptflux.inputs import InputSpec, fitted, tensor
from promptflux.job import note
from promptflux.tensors import write_tensors

Item, Result = TypeVar("Item"), TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """An image in its input's size, and its source: digest, (height, width), mode, problem."""

    picture: Image.Image
    sha256: str
    size: tuple[int, int]
    mode: str
    problem: str


def main(
    *,
    images: Sequence[str],
    names: Sequence[str],
    input_spec: dict,
    on_bad_image: str,
    tensors: str,
    pictures: Sequence[str],
    threads: int,
) -> None:
    """Write the tensors of `images` to `tensors`, and the 8-bit pixels behind them to `pictures`.

    input_spec: `InputSpec.to_dict()`. pictures: a PNG for each image, in the same order; its
    pixels are the tensor's before the division by 255. The files do not depend on `threads`.
    Raises StudyError with a sentence for each image that cannot be opened, unless
    `on_bad_image` is "test_pattern": then a test pattern takes its place.
    """
    spec = InputSpec.from_dict(input_spec)
    problems = []

    def prepare_and_save(paths: tuple[str, str]) -> Prepared:
        prepared = prepare(paths[0], spec)
        with whole(paths[1]) as partial:
            # As small as with the default settings, in less time.
            prepared.picture.save(partial, compress_level=1, compress_type=zlib.Z_RLE)
        return prepared

    with write_tensors(tensors, spec, names) as writer:
        for prepared in mapped(prepare_and_save, zip(images, pictures, strict=True), threads):
            if prepared.problem:
                problems.append(prepared.problem)
            writer.add(
                tensor(prepared.picture, spec),
                prepared.sha256,
                prepared.size,
                prepared.mode,
                prepared.problem,
            )
        if problems and on_bad_image == "stop":
            raise StudyError(*problems)
    for problem in problems:
        note(f"warning: {problem} A test pattern takes its place.")
    note(
        f"preprocess: {len(images)} images made {spec.name} ({spec.channels}, {spec.height}×{spec.width} pixels)"
    )


def prepare(path: str, spec: InputSpec) -> Prepared:
    """Open an image and fit it to `spec`; a test pattern with the reason in `problem` if it is bad."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        content, problem = b"", f"{printable(path)} cannot be read ({error.strerror})."
    else:
        problem = ""
    sha256 = hashlib.sha256(content).hexdigest()
    if not problem:
        try:
            picture, mode = open_rgb(path, content)
            return Prepared(fitted(picture, spec), sha256, (picture.height, picture.width), mode, "")
        except StudyError as error:
            problem = str(error)
    return Prepared(fitted(test_pattern(spec.height, spec.width), spec), sha256, (0, 0), "", problem)


def mapped(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`map(function, items)` on some threads, in order, never more than a few results ahead.

    Pillow decodes, resizes and encodes without holding Python's interpreter lock.
    """
    ahead: deque = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        names = snakemake.params.images  # noqa: F821
        results = Path(snakemake.output.tensors).parents[2]  # noqa: F821
        folder = results / "preprocessed" / snakemake.wildcards.input_name  # noqa: F821
        main(
            images=snakemake.input.own or [str(results / f"images/{name}.png") for name in names],  # noqa: F821
            names=names,
            input_spec=snakemake.params.input_spec,  # noqa: F821
            on_bad_image=snakemake.params.on_bad_image,  # noqa: F821
            tensors=snakemake.output.tensors,  # noqa: F821
            pictures=[str(folder / f"{name}.png") for name in names],
            threads=snakemake.threads,  # noqa: F821
        )
