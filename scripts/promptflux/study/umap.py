"""Whether UMAP can draw the map that the config asks for."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from promptflux.errors import StudyError


def check_umap(wanted: Mapping | None, with_conda: bool) -> None:
    """Raise StudyError if `wanted`, `map` of config.yaml, asks for UMAP and the map's job would not find its library.

    with_conda: whether jobs run in conda environments, which have what envs/map.yaml names.
    """
    if not wanted or wanted["method"] != "umap":
        return
    if with_conda:
        raise StudyError(
            "config.yaml: map.method is umap, which the conda environments do not have; use pca, or run without --sdm conda."
        )
    try:
        version("umap-learn")
    except PackageNotFoundError:
        raise StudyError(
            "config.yaml: map.method is umap, and umap-learn is not installed here; "
            "run `pip install umap-learn`, or use pca."
        ) from None
