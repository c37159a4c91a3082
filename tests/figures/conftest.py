"""What the tests of the figures share."""

import warnings
from pathlib import Path

import pytest
from support.drawn_study import photograph


@pytest.fixture(autouse=True)
def no_warnings():
    """A missing glyph or an empty contour would be a warning for each figure of a study."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> Path:
    """A photograph as a PNG, 512×600 RGB."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    photograph().save(path)
    return path
