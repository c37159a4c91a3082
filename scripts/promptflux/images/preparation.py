"""Opening and fitting images, several at a time."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.fitting import fitted
from promptflux.images.inputs import InputSpec
from promptflux.images.opening import open_rgb, read_image
from promptflux.images.test_pattern import test_pattern

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """An image in its input's size, and its source: digest, (height, width), mode, problem."""

    picture: Image.Image
    sha256: str
    size: tuple[int, int]
    mode: str
    problem: str


def prepare(path: str, spec: InputSpec) -> Prepared:
    """Open an image and fit it to `spec`; a test pattern with the reason in `problem` if it is bad."""
    content = b""
    try:
        content = read_image(path)
        picture, mode = open_rgb(path, content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Prepared(fitted(picture, spec), sha256, (picture.height, picture.width), mode, "")
    except StudyError as error:
        problem = str(error)
    pattern = fitted(test_pattern(spec.height, spec.width), spec)
    return Prepared(pattern, hashlib.sha256(content).hexdigest(), (0, 0), "", problem)


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
