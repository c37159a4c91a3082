"""`map` of the config: what it may be, and what is missing for it, is said before the first job."""

from importlib.metadata import PackageNotFoundError

import pytest
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.study import umap
from promptflux.study.engines import ENGINES
from promptflux.study.jobs import jobs_of
from promptflux.study.study import load_study
from promptflux.study.umap import check_umap


@pytest.mark.parametrize(
    "setting, sentence",
    [
        ({"method": "tsne"}, "map.method is 'tsne'; it must be one of pca, umap."),
        ({"distance": 3}, "map.distance is 3; it must be a number from 0 to 2."),
        ({"pixels": float("nan")}, "map.pixels is nan; it must be a number from 0 to 255."),
        ({"nearest": 0}, "map.nearest is 0; it must be a whole number from 1 to 100."),
        ({"distances": 1}, "the key 'distances' in map is unknown (did you mean distance?)"),
        (5, "map is 5; it must be a mapping such as {distance: 0.05}, or null for no map."),
    ],
    ids=str,
)
def test_a_mistake_is_a_sentence(setting, sentence):
    with pytest.raises(StudyError) as caught:
        load_study({"map": setting}, [WORKFLOW])
    assert str(caught.value).startswith(f"config.yaml: {sentence}")


@pytest.mark.parametrize("wanted", [{}, None])
def test_each_classifier_has_a_map_or_none_has(wanted):
    study = load_study({"map": wanted}, [WORKFLOW])
    jobs = jobs_of(study, list(ENGINES.values()), lambda rule: "", [], "", {})
    found = [name for name in jobs if name.startswith(("map/", "features/"))]
    assert len(found) == (6 if wanted is not None else 0)


def test_a_study_without_a_classifier_is_refused():
    with pytest.raises(StudyError, match="classifiers is \\[\\]; it must be a list of .+, of at least one"):
        load_study({"classifiers": []}, [WORKFLOW])


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
