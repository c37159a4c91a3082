"""The room on the disk is reckoned before the first job."""

import shutil
from types import SimpleNamespace

import pytest
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.paths import Results
from promptflux.study.disk import SPARE, check_free_disk, disk_bytes
from promptflux.study.engines import ENGINES
from promptflux.study.study import load_study

ENGINES_RUN = list(ENGINES.values())


def study(**changes):
    return load_study(changes, [WORKFLOW])


def test_the_default_study_takes_about_what_it_took():
    """Some 120 MB with both engines, most of it the weights of cnn224 and the layers that are kept."""
    assert 90e6 < disk_bytes(study(), ENGINES_RUN) - SPARE < 140e6


def test_room_grows_with_images_tensors_and_kept_layers():
    small = disk_bytes(study(), ENGINES_RUN)
    images = disk_bytes(study(generator={"images_per_prompt": 1003}), ENGINES_RUN)
    tensors = 4 * (28 * 28 + 3 * 32 * 32 + 224 * 224)
    assert images - small > 3000 * (tensors + 128 * 128)
    assert (
        images - disk_bytes(study(generator={"images_per_prompt": 1003}, map=None), ENGINES_RUN)
        > 3000 * 3 * 256
    )
    assert disk_bytes(study(figures={"images": 9}), ENGINES_RUN) > small
    assert disk_bytes(study(), ENGINES_RUN[:1]) < small


def test_a_study_that_does_not_fit_is_a_sentence(monkeypatch, tmp_path):
    results = Results(f"{tmp_path}/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150_000_000))
    with pytest.raises(StudyError, match=r"need some 0\.\d GB more, and 0\.1 GB are free in .+; make room"):
        check_free_disk(study(), ENGINES_RUN, results)
    # What is there need not be made.
    (tmp_path / "results").mkdir()
    (tmp_path / "results/images.png").write_bytes(bytes(60_000_000))
    check_free_disk(study(), ENGINES_RUN, results)


def test_a_study_that_fits_starts(tmp_path):
    check_free_disk(study(), ENGINES_RUN, Results(f"{tmp_path}/"))
