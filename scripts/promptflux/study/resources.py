"""What the jobs of a study need, for schedulers that hand out and enforce it.

Memory and disk are in MB, run times in minutes. All are upper limits: about twice what the
embedded models and Stable Diffusion's published figures lead to. A job that is killed
nonetheless is tried again with more (`growing` in rules/common.smk).
"""

from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

from promptflux.classifiers.before_last import before_last
from promptflux.classifiers.kept import kept_bytes
from promptflux.generation.generator import Generator
from promptflux.generation.model_folder import native_size
from promptflux.images.containers import HEAD, MOST_PIXELS, dimensions, true_format
from promptflux.study.study import Study

PYTHON_MB = 500  # measured: 60 to 250 MB for numpy, h5py and Pillow, 470 MB with matplotlib's figures
TORCH_MB = 1500  # measured: 270 MB for a small CNN, 460 MB for the embedded diffusion model
HUB_MODEL_MB = 7000  # a hub id's files are not here to be measured: SDXL in half precision
ACTIVATIONS_MB = 3000  # of a million pixels that are denoised and decoded at once
# Bytes a pixel while an image becomes 8-bit RGB, measured with images of 36 million pixels: PNG 4 (RGB) to 14
# (RGBA of 16 bits), JPEG 4 to 10 (progressive), WebP 17. The file's own bytes are there twice.
OPENING = {"PNG": 16, "JPEG": 12, "WebP": 18}
PREPROCESS_THREADS = 4  # so many images are open at once
GPU_SECONDS = 15  # an image of 512×512 pixels in 25 steps; a T4 takes about half as long
CPU_SECONDS = 20  # a step of Stable Diffusion 1.5 (4.3 GB) at 512×512 pixels on four cores


def generate_needs(study: Study, batch: str, gpu: int) -> dict[str, int]:
    """`mem_mb`, `runtime` and `disk_mb` of the job that generates the images of a batch."""
    generator, images = study.generator_of(batch), len(study.image_batches[batch])
    weights, pixels = model_mb(generator), image_pixels(generator)
    size = pixels / 512**2
    if gpu:
        seconds = images * size * generator.steps * GPU_SECONDS / 25
    else:
        seconds = images * size * generator.steps * CPU_SECONDS * weights / 4300
    return {
        "mem_mb": TORCH_MB + 2 * weights + round(generator.micro_batch * pixels * ACTIVATIONS_MB / 1e6),
        "runtime": 30 + round(seconds / 60),
        "disk_mb": 100 + 2 * megabytes(3 * pixels * images),  # update() keeps the old images meanwhile
    }


def model_mb(generator: Generator) -> int:
    """The size of the diffusion model's files."""
    if generator.revision is not None:
        return HUB_MODEL_MB
    return megabytes(sum(Path(path).stat().st_size for path in generator.files()))


def image_pixels(generator: Generator) -> int:
    """The pixels of an image; 1024×1024 where only the model knows."""
    size = native_size(Path(generator.model)) if generator.is_folder else None
    height, width = size or (1024, 1024)
    return (generator.width or width) * (generator.height or height)


def preprocess_needs(study: Study, batch: str) -> dict[str, int]:
    """The same of a job that makes the tensors of a batch, for the largest of the inputs."""
    images = study.image_batches[batch]
    tensor = 4 * max(prod(spec.shape) for spec in study.inputs.values())
    return {
        "mem_mb": 2 * PYTHON_MB + 32 * megabytes(2 * tensor) + opening_mb(study, images, PREPROCESS_THREADS),
        "runtime": 10 + len(images) // 50,
        "disk_mb": 10 + megabytes(2 * tensor * len(images)),
    }


def opening_mb(study: Study, images: Iterable[str], at_once: int = 1) -> int:
    """The most memory that opening some of the images takes, so many of them at once."""
    own, pixels = study.own_images, {name: image_pixels(of) for name, of in study.generators.items()}
    sizes = [
        opening_bytes(own[image].path) if image in own else OPENING["PNG"] * pixels[study.variant_of(image)]
        for image in images
    ]
    return megabytes(sum(sorted(sizes)[-at_once:]))


def opening_bytes(path: Path) -> int:
    """The same of one file, by its header: a small file may hold many pixels. 0 if it is refused unopened."""
    try:
        with open(path, "rb") as file:
            kind = true_format(file.read(HEAD))
        size = dimensions(path)
        if kind not in OPENING or size is None or prod(size) > MOST_PIXELS:
            return 0
        return OPENING[kind] * prod(size) + 2 * path.stat().st_size
    except OSError:  # which the job says
        return 0


def model_needs(study: Study, classifier: str) -> dict[str, int]:
    """The same of the job that writes a classifier's model file, for either engine.

    Measured with VGG-16, whose weights are 553 MB: 1,870 MB, of which 240 MB without a network.
    """
    weights = megabytes(4 * sum(map(prod, study.classifiers[classifier].parameters.values())))
    return {"mem_mb": TORCH_MB + 500 + 4 * weights, "runtime": 10 + weights // 100, "disk_mb": 1000 + weights}


def infer_needs(study: Study, classifier: str, batch: str) -> dict[str, int]:
    """The same of the job that runs a classifier on a batch, in either engine."""
    spec, images = study.classifiers[classifier], len(study.image_batches[batch])
    weights = megabytes(4 * sum(map(prod, spec.parameters.values())))
    together = study.config["inference"]["micro_batch"] * megabytes(2 * 4 * spec.most_values)
    # The fast kernels keep a buffer for each layer, in each thread.
    buffers = study.config["inference"]["threads"] * megabytes(
        4 * sum(prod(layer.shape) for layer in spec.walk())
    )
    kept = kept_bytes(spec, study.layers[classifier])
    return {
        "mem_mb": TORCH_MB + 4 * weights + together + buffers,
        "runtime": 15 + images // 20,
        "disk_mb": 10 + megabytes(kept * len(study.chosen_in(batch))) + images // 100,
    }


def features_mb(study: Study, classifier: str, batch: str) -> int:
    """The `disk_mb` of the job that keeps what the layer before the last gives of a batch."""
    return 10 + megabytes(_features_bytes(study, classifier, len(study.image_batches[batch])))


def map_needs(study: Study, classifier: str) -> dict[str, int]:
    """The same of the job that compares and maps all images: its memory grows with their number, not with its square."""
    images = sum(map(len, study.image_batches.values()))
    kept = _features_bytes(study, classifier, images)
    # All as float16; as float64 what fits, in one piece or in parts, twice; the blocks that are compared; small pictures.
    mem_mb = 4 * PYTHON_MB + megabytes(kept + 2 * min(4 * kept, 2**30)) + 1000 + megabytes(4 * 3072 * images)
    products = images**2 * kept / max(1, images) / 2
    return {
        "mem_mb": mem_mb + opening_mb(study, study.own_images),
        "runtime": 15 + images // 100 + round(products / 1e12),
        "disk_mb": 20 + images // 1000,
    }


def _features_bytes(study: Study, classifier: str, images: int) -> int:
    return 2 * images * prod(before_last(study.classifiers[classifier])[1])


def explain_needs(study: Study, classifier: str, batch: str) -> dict[str, int]:
    """The same of the job that says why a classifier says what it says of a batch's images, in either engine."""
    needs, images = infer_needs(study, classifier, batch), len(study.explained_in(batch))
    if not images:
        return needs
    # The gradient has what each layer gives for one image, and about as much again.
    held = megabytes(2 * 4 * sum(prod(layer.shape) for layer in study.classifiers[classifier].walk()))
    places = prod(study.windows[classifier].places)
    return {**needs, "mem_mb": needs["mem_mb"] + held, "runtime": 15 + images * places // 20}


def figures_needs(study: Study, classifier: str, chosen: Sequence[str]) -> dict[str, int]:
    """The same of the job that draws the figures of some images."""
    figures = sum(len(study.drawings_of(classifier, image)) for image in chosen)
    return {"mem_mb": 4 * PYTHON_MB, "runtime": 10 + figures // 6, "disk_mb": 10 + figures}


def metrics_needs(study: Study, engines: int) -> dict[str, int]:
    """The same of the job that counts what is right: it holds the logits of all, and sorts those of one classifier."""
    images = sum(map(len, study.image_batches.values()))
    labels = [len(spec.labels) for spec in study.classifiers.values()]
    held = 4 * images * engines * sum(labels) + 16 * images * max(labels)
    return {"mem_mb": 2 * PYTHON_MB + megabytes(2 * held), "runtime": 10 + images // 200, "disk_mb": 100}


def megabytes(size: int) -> int:
    """Bytes to whole megabytes, rounded up."""
    return -(-size // 1_000_000)
