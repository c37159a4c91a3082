"""Small pictures of images of any kind, and pictures as part of a text."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.inputs import InputSpec
from promptflux.images.opening import open_rgb

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def thumbnail(path: str | Path, side: int) -> Image.Image | None:
    """The image as 8-bit RGB whose longer side has `side` pixels; None if it cannot be read.

    A smaller image is enlarged by bicubic interpolation, pixel art (at most 64 pixels) by repetition.
    """
    try:
        picture, _ = open_rgb(path)
    except StudyError:
        return None
    return scaled(picture, side)


def scaled(picture: Image.Image, side: int) -> Image.Image:
    """`picture` with `side` pixels on its longer side."""
    factor = side / max(picture.size)
    width, height = (max(1, round(length * factor)) for length in picture.size)
    repeat = factor > 1 and max(picture.size) <= 64
    return picture.resize(
        (width, height), Image.Resampling.NEAREST if repeat else Image.Resampling.BICUBIC, reducing_gap=3.0
    )


def data_uri(picture: Image.Image, image_format: str, **settings: Any) -> str:
    """`picture` as a `data:` URI, so that a page needs no file beside it."""
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **settings)
    return f"data:{MEDIA_TYPES[image_format]};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def displayed(tensor: np.ndarray, spec: InputSpec) -> np.ndarray:
    """A tensor [C, H, W] as a picture, float32 [H, W, 3], 0..1: its normalization undone, gray repeated."""
    mean, std = (np.reshape(values, (-1, 1, 1)) for values in (spec.mean, spec.std))
    pixels = np.clip(tensor * std + mean, 0.0, 1.0).astype(np.float32)
    return np.moveaxis(np.broadcast_to(pixels, (3, *pixels.shape[1:])), 0, -1)
