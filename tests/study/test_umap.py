"""A map by UMAP: what is missing is said before the first job."""

from importlib.metadata import PackageNotFoundError

import pytest

from promptflux.errors import StudyError
from promptflux.study import umap
from promptflux.study.umap import check_umap


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


def test_without_umap_learn_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(umap, "version", missing)
    with pytest.raises(
        StudyError, match="map.method is umap, and umap-learn is not installed here; run `pip install"
    ):
        check_umap({"method": "umap"}, with_conda=False)
    check_umap({"method": "pca"}, with_conda=False)
    check_umap(None, with_conda=True)


def test_with_it_only_conda_is_in_the_way(monkeypatch):
    monkeypatch.setattr(umap, "version", lambda name: {"umap-learn": "0.5.12"}[name])
    check_umap({"method": "umap"}, with_conda=False)
    with pytest.raises(StudyError, match="the conda environments do not have; use pca"):
        check_umap({"method": "umap"}, with_conda=True)
