"""Images made so small that only what they show is left of them, to compare pixel by pixel."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from promptflux.images.opening import open_rgb

SIDE = 32  # pixels


class Pictures:
    """Small pictures of images, each opened once, when it is first asked for.

    source: the path of an image, by its name.
    """

    def __init__(self, source: Callable[[str], str]):
        self.source = source
        self.known: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """An image at SIDE × SIDE pixels, each the mean of those that it covers: uint8 [SIDE · SIDE · 3].

        Raises StudyError if its file cannot be read.
        """
        if name not in self.known:
            picture, _ = open_rgb(self.source(name))
            small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
            self.known[name] = np.asarray(small, np.uint8).reshape(-1)
        return self.known[name]

    def difference(self, one: str, other: str) -> float:
        """The root mean square of the differences of two images' pixels, 0 (the same) to 255 (black and white)."""
        apart = self[one].astype(np.int64) - self[other]
        return float(np.sqrt(np.mean(apart * apart)))
