"""What was made for what: requests, records and digests."""

import json
import os
import shutil
from pathlib import Path

import pytest

from promptflux.files.digests import Digests
from promptflux.files.made import bring_up_to_date, damaged_files, write_record
from promptflux.files.whole import sha256_of_file
from promptflux.paths import Results

JOB = "preprocess/gray28/prompts"
REQUEST = {"asked": {"names": ("a", "b"), "seed": 7}, "reads": {"photos/a.jpg": "0" * 64}}


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(f"{tmp_path}/")


def plan(results: Results, request=REQUEST) -> dict[str, list[str]]:
    return bring_up_to_date({JOB: request}, results, Digests(f"{results.root}cache.json"))


def make(results: Results, content: str = "tensors") -> Path:
    """Run the job: its file, and the record of it."""
    file = Path(results.tensors("gray28", "prompts"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    write_record(results.request(JOB), [file])
    return file


def is_new(results: Results) -> bool:
    """Whether the request is newer than what was made."""
    return Path(results.request(JOB)).stat().st_mtime > 1_500_000_000


def test_a_request_is_new_until_its_job_has_ended_well(results):
    assert plan(results) == {} and is_new(results)
    assert plan(results) == {} and is_new(results)
    make(results)
    assert plan(results) == {} and not is_new(results)
    content = Path(results.request(JOB)).read_bytes()
    assert plan(results) == {} and not is_new(results)
    assert Path(results.request(JOB)).read_bytes() == content


@pytest.mark.parametrize(
    "other",
    [
        {**REQUEST, "asked": {**REQUEST["asked"], "seed": 8}},
        {**REQUEST, "reads": {"photos/a.jpg": "1" * 64}},
        {**REQUEST, "reads": {}},
    ],
)
def test_another_request_is_new_and_the_one_before_is_old_again(results, other):
    plan(results)
    make(results)
    plan(results, other)
    assert is_new(results)
    # Never run, and taken back: what is there was made for this.
    plan(results)
    assert not is_new(results)


def test_a_copy_without_snakemakes_records_knows_what_it_was_made_for(results, tmp_path):
    plan(results)
    make(results)
    copy = Results(f"{tmp_path}/copy/")
    shutil.copytree(results(), copy())  # with new times, in any order
    for path in Path(copy()).rglob("*"):
        os.utime(path)
    assert plan(copy) == {} and not is_new(copy)
    assert bring_up_to_date({JOB: {**REQUEST, "reads": {}}}, copy, Digests("none")) == {} and is_new(copy)


def test_a_file_that_is_gone_or_damaged_is_named_and_made_again(results):
    plan(results)
    file = make(results)
    before = Path(results.request(JOB)).read_bytes()
    file.write_text("Tensors")  # as long as it was
    assert plan(results) == {JOB: ["tensors/gray28/prompts.h5"]} and is_new(results)
    # Snakemake takes an input of the same content for the same, so the request says that it is another.
    assert Path(results.request(JOB)).read_bytes() != before
    make(results)
    assert plan(results) == {} and not is_new(results)
    file.unlink()
    assert plan(results) == {JOB: ["tensors/gray28/prompts.h5"]} and is_new(results)


def test_a_job_runs_again_for_the_sake_of_an_input_that_is_gone(results):
    """Snakemake would not miss it, as what was made of it is there."""
    plan(results)
    make(results)
    image = Path(results.image("a_1"))
    image.parent.mkdir(parents=True)
    image.write_text("pixels")
    write_record(results.request(JOB), [results.tensors("gray28", "prompts")], [image, "photos/own.jpg"])
    assert plan(results) == {} and not is_new(results)
    image.unlink()
    assert plan(results) == {} and is_new(results)


def test_a_file_with_a_new_time_and_its_old_content_is_as_it_was(results):
    plan(results)
    os.utime(make(results), (2e9, 2e9))
    assert damaged_files(JOB, results, Digests("none")) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"request": 1, "files": []}',
        '{"request": "", "files": {"a": 1}}',
        '{"files": {"a": {"sha256": 1, "size": 2}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_record_is_none_and_a_damaged_request_is_written_again(results, content):
    plan(results)
    make(results)
    request = Path(results.request(JOB)).read_bytes()
    Path(results.made(JOB)).write_text(content)
    assert plan(results) == {} and is_new(results)
    make(results)
    assert plan(results) == {} and not is_new(results)
    Path(results.request(JOB)).write_text(content)
    assert plan(results) == {} and not is_new(results)
    assert Path(results.request(JOB)).read_bytes() == request


def test_a_record_names_files_by_their_place_in_the_results(results):
    plan(results)
    file = make(results)
    record = json.loads(Path(results.made(JOB)).read_text())
    assert record["files"] == {
        "tensors/gray28/prompts.h5": {"sha256": sha256_of_file(file), "size": file.stat().st_size}
    }


# Digests ---------------------------------------------------------------------------------


def test_a_digest_follows_the_content_whatever_the_time(tmp_path):
    file, cache = tmp_path / "a.jpg", tmp_path / "cache.json"
    file.write_bytes(b"one")
    os.utime(file, (1e9, 1e9))
    digests = Digests(cache)
    assert digests.of(file) == sha256_of_file(file)
    digests.save()
    assert Digests(cache).of(file) == sha256_of_file(file)
    # Replaced by an older file of another length, as `mv` and `cp -p` do.
    file.write_bytes(b"three")
    os.utime(file, (5e8, 5e8))
    assert Digests(cache).of(file) == sha256_of_file(file)
    file.unlink()
    assert Digests(cache).of(file) == ""


def test_a_file_that_was_just_written_is_not_remembered(tmp_path):
    """It may change once more within the resolution of its time."""
    file, cache = tmp_path / "a.jpg", tmp_path / "cache.json"
    file.write_bytes(b"one")
    digests = Digests(cache)
    digests.of(file)
    digests.save()
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "[1]", "null", '{"a": 1}', '{"a": [1, 2]}', "\x00"])
def test_a_damaged_cache_is_no_cache(tmp_path, content):
    (tmp_path / "cache.json").write_text(content)
    (tmp_path / "file").write_text("content")
    assert Digests(tmp_path / "cache.json").of(tmp_path / "file") == sha256_of_file(tmp_path / "file")
