"""Create the tensors of one batch of images, and a picture of what each tensor shows."""

import zlib
from collections.abc import Mapping, Sequence

from promptflux.errors import StudyError
from promptflux.files.tensors import write_tensors
from promptflux.files.whole import whole
from promptflux.images.fitting import tensor
from promptflux.images.inputs import InputSpec
from promptflux.images.preparation import Prepared, mapped, prepare
from promptflux.paths import Results
from promptflux.runtime.job import note
from promptflux.script import run


def main(
    *,
    own: Sequence[str],
    names: Sequence[str],
    input_spec: Mapping,
    on_bad_image: str,
    tensors: str,
    threads: int,
) -> list[str]:
    """Write the tensors of the images `names`, and the pictures of them, whose files are returned.

    own: their files, if they are the user's own; else they are generated images of the results
    that `tensors` lies in. For the rest see `preprocess`.
    """
    results, spec = Results.of(tensors), InputSpec.from_dict(input_spec)
    pictures = [results.preprocessed(spec.name, name) for name in names]
    preprocess(
        images=own or results.images(names),
        names=names,
        spec=spec,
        on_bad_image=on_bad_image,
        tensors=tensors,
        pictures=pictures,
        threads=threads,
    )
    return pictures


def preprocess(
    *,
    images: Sequence[str],
    names: Sequence[str],
    spec: InputSpec,
    on_bad_image: str,
    tensors: str,
    pictures: Sequence[str],
    threads: int,
) -> None:
    """Write the tensors of `images` to `tensors`, and the 8-bit pixels behind them to `pictures`.

    pictures: a PNG for each image, in the same order; its
    pixels are the tensor's before the division by 255. The files do not depend on `threads`.
    Raises StudyError with a sentence for each image that cannot be opened, unless
    `on_bad_image` is "test_pattern": then a test pattern takes its place.
    """
    problems = []

    def prepare_and_save(paths: tuple[str, str]) -> Prepared:
        prepared = prepare(paths[0], spec)
        if prepared.problem and on_bad_image == "stop":
            return prepared  # the run fails, and leaves no picture of an image that it did not open
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


if "snakemake" in globals():
    run(main, snakemake)
