"""A study as a pack: what is in it, that it is an RO-Crate, and that no pack can do harm."""

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from pack import main as pack
from rerun import main as rerun
from support.beside import FOLDER
from support.workflow import Study

from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums
from promptflux.files.whole import sha256_of_file
from promptflux.opened.pack import check_inputs, read_inputs, unpack, write_zip

SPECIFICATION = "ro-crate-1.3"
# The context of the specification is in the library that writes; the validator would fetch it.
VALIDATE = """
import json, sys
from importlib.resources import files
import requests
context = (files("rocrate") / "data/ro-crate.jsonld").read_bytes()
def send(session, request, **settings):
    assert request.url == json.loads(context)["@id"], request.url
    answer = requests.Response()
    answer.status_code, answer._content, answer.url, answer.request = 200, context, request.url, request
    answer.headers["Content-Type"] = "application/ld+json"
    return answer
requests.Session.send = send
from rocrate_validator import models, services
for crate in sys.argv[2:]:
    settings = services.ValidationSettings(
        rocrate_uri=crate, profile_identifier=sys.argv[1], requirement_severity=models.Severity.RECOMMENDED, no_cache=True
    )
    print("ISSUES", json.dumps([[issue.severity.name, issue.message] for issue in services.validate(settings).get_issues()]))
"""


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "study.zip"
    person = "Ada Lovelace https://orcid.org/0000-0001-2345-6789"
    pack(
        [
            str(finished / "results"),
            str(path),
            "--author",
            person,
            "--license",
            "https://spdx.org/licenses/MIT.html",
        ]
    )
    return path


@pytest.fixture
def unpacked(packed, tmp_path) -> Path:
    unpack(packed, tmp_path / "again")
    return tmp_path / "again"


def sentence(call, *arguments) -> str:
    with pytest.raises(StudyError) as error:
        call(*arguments)
    return str(error.value)


def test_a_pack_has_all_but_weights_and_pictures(finished, unpacked):
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert files >= {
        "ro-crate-metadata.json", "inputs.tsv", "recipes.jsonl", "environment/versions.json", "environment/requirements.txt",
        "study/config.yaml", "study/prompts.tsv", "study/small.yaml", "study/photos/coffee.jpg", "results/manifest.sha256",
        "results/report.html", "results/explorer.html", "results/predictions/small/torch.tsv", "results/metrics/small.tsv", "results/images/metadata.jsonl",
    }  # fmt: skip
    assert not [
        file
        for file in files
        if file.endswith((".safetensors", ".h5")) or file.startswith("results/images/sea")
    ]
    config = yaml.safe_load((unpacked / "study/config.yaml").read_text())
    assert (config["generator"]["steps"], config["compare"], config["verify"]) == (2, None, None)
    where = {it.file: it.where for it in read_inputs(unpacked)}
    assert where["small.yaml"] == where["photos/coffee.jpg"] == "in the pack"
    assert {where[file] for file in where if file.endswith(".safetensors")} == {"to be brought"}
    recipes = [json.loads(line) for line in (unpacked / "recipes.jsonl").read_text().splitlines()]
    assert len(recipes) == 8 and recipes[0]["recipe"]["prompt"] == "a forest"
    check_inputs(unpacked)
    assert sha256_of_file(unpacked / "results/report.html") == sha256_of_file(
        finished / "results/report.html"
    )


def test_the_same_results_make_the_same_bytes(finished, packed, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "finished")
    arguments = ["--author", "Ada Lovelace https://orcid.org/0000-0001-2345-6789"]
    pack(
        [
            str(copy / "results"),
            str(tmp_path / "copy.zip"),
            *arguments,
            "--license",
            "https://spdx.org/licenses/MIT.html",
        ]
    )
    assert (tmp_path / "copy.zip").read_bytes() == packed.read_bytes()
    with zipfile.ZipFile(packed) as opened:
        names = opened.namelist()
        assert names == sorted(names) and {entry.date_time for entry in opened.infolist()} == {
            (1980, 1, 1, 0, 0, 0)
        }
    pack([str(copy / "results"), str(tmp_path / "pictures.zip"), "--images"])
    with zipfile.ZipFile(tmp_path / "pictures.zip") as opened:
        assert {name for name in opened.namelist() if name.startswith("results/images/sea")} == {
            "results/images/sea_1.png",
            "results/images/sea_2.png",
        }


def test_a_pack_is_a_valid_crate(unpacked, tmp_path):
    if not (FOLDER / "rocrate_validator").is_dir():
        pytest.skip(f"NOT TESTED: RO-Crates, as roc-validator is not in {FOLDER} (tests/beside.txt)")
    # It does look: without the name of the study the crate is none.
    shutil.copytree(unpacked, tmp_path / "nameless")
    path = tmp_path / "nameless/ro-crate-metadata.json"
    crate = json.loads(path.read_text())
    del next(entity for entity in crate["@graph"] if entity["@id"] == "./")["name"]
    path.write_text(json.dumps(crate))
    command = [sys.executable, "-c", VALIDATE, SPECIFICATION, str(unpacked), str(tmp_path / "nameless")]
    run = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(FOLDER)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    issues, nameless = (json.loads(text.splitlines()[0]) for text in run.stdout.split("ISSUES ")[1:])
    # What it recommends of people is theirs to say.
    assert [
        issue for issue in issues if not any(word in issue[1] for word in ("author", "affiliation"))
    ] == []
    assert "REQUIRED" in {severity for severity, _ in nameless}


def test_the_crate_says_how_the_study_was_made(finished, unpacked):
    graph = {
        entity["@id"]: entity
        for entity in json.loads((unpacked / "ro-crate-metadata.json").read_text())["@graph"]
    }
    infer = graph["#infer-small-torch"]
    assert infer["result"] == {"@id": "results/predictions/small/torch.tsv"}
    assert graph[infer["instrument"]["@id"]]["name"] == "PyTorch" and graph["#torch"]["version"].startswith(
        "2."
    )
    table = graph["results/predictions/small/torch.tsv"]
    assert (
        table["sha256"] == read_checksums(finished / "results/manifest.sha256")["predictions/small/torch.tsv"]
    )
    shares = [entity for entity in graph.values() if entity["@type"] == "PropertyValue"]
    assert shares and all(
        0 <= share["minValue"] <= share["value"] <= share["maxValue"] <= 1 for share in shares
    )


def test_what_cannot_be_packed_is_a_sentence(study: Study, tmp_path):
    target = str(tmp_path / "study.zip")
    results = str(study / "results")
    (study / "prompts.tsv").write_text("name\tprompt\nforest\tanother\n")
    assert "the prompts are not those that the study was made of" in sentence(pack, [results, target])
    study.write_prompts(
        {"forest": "a forest", "city": "a city at night", "sea": "the sea", "rain": "rain over hills"}
    )
    (study / "small.yaml").write_text("changed")
    assert "small.yaml changed since the study ran" in sentence(pack, [results, target])
    (study / "small.yaml").unlink()
    assert "small.yaml: the study read this file" in sentence(pack, [results, target])
    (study / "results/made/generate/prompts.json").unlink()
    assert "made/generate/prompts.json is missing" in sentence(pack, [results, target])
    (study / "results/study.json").unlink()
    assert "not finished" in sentence(pack, [results, target])
    Path(target).write_text("")
    assert "is there already" in sentence(pack, [results, target])
    assert Path(target).read_text() == ""


# Packs of others


def zip_of(path: Path, **more) -> Path:
    """A zip file with what a pack needs, and entries, a name or an entry -> content."""
    files = {
        "ro-crate-metadata.json": b"{}",
        "inputs.tsv": b"",
        "study/config.yaml": b"",
        "results/manifest.sha256": b"",
    }
    write_zip(path, files)
    with zipfile.ZipFile(path, "a") as opened:
        for name, content in more.get("entries", {}).items():
            opened.writestr(name, content)
    return path


ODD = [
    "../outside.txt", "study/../../outside.txt", "/tmp/outside.txt", "study//x.txt", "study/./x.txt", "C:/outside.txt",
    "study\\..\\x.txt", "study/.hidden.txt", "study/.snakemake/x.txt", "study/profiles/default/config.yaml",
    "study/results/x.tsv", "study/Snakefile", "study/code.py", "other/x.txt", "study/a\nb.txt", "study/a\u202etxt.txt",
    "study/{x}.txt", "study/x.txt.", "study/" + "x" * 300 + ".txt", "",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    path = zip_of(tmp_path / "evil.zip", entries={zipfile.ZipInfo(name): b"x"} if name else {})
    if not name:
        path = tmp_path / "evil.zip"
        path.write_bytes(path.read_bytes().replace(b"inputs.tsv", b"inputs\0tsv"))
    text = sentence(unpack, path, tmp_path / "again")
    assert text.startswith(f"{path}: the name ") and "\n" not in text and not (tmp_path / "again").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["evil.zip"]


def test_links_and_twins_are_refused(tmp_path):
    link = zipfile.ZipInfo("study/link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "no plain file" in sentence(
        unpack, zip_of(tmp_path / "a.zip", entries={link: b"/etc/passwd"}), tmp_path / "x"
    )
    twins = {"study/Twin.txt": b"1", "study/twin.TXT": b"2"}
    assert "is in it twice" in sentence(unpack, zip_of(tmp_path / "b.zip", entries=twins), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_what_is_no_pack_or_damaged_is_a_sentence(packed, tmp_path):
    (tmp_path / "text.zip").write_text("text")
    assert "no pack of a study, or it is damaged" in sentence(unpack, tmp_path / "text.zip", tmp_path / "x")
    assert "there is no such file" in sentence(unpack, tmp_path / "nowhere.zip", tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as opened:
        opened.writestr("study/x.txt", "x")
    assert "no pack of a study: ro-crate-metadata.json" in sentence(
        unpack, tmp_path / "other.zip", tmp_path / "x"
    )
    content = bytearray(packed.read_bytes())
    for place in range(2000, 2100):
        content[place] ^= 255
    (tmp_path / "damaged.zip").write_bytes(content)
    assert "damaged" in sentence(unpack, tmp_path / "damaged.zip", tmp_path / "x")
    (tmp_path / "cut.zip").write_bytes(packed.read_bytes()[:-200])
    assert "damaged" in sentence(unpack, tmp_path / "cut.zip", tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("")
    assert "is there already, and not empty" in sentence(unpack, packed, tmp_path / "full")
    assert not (tmp_path / "x").exists()


def test_what_must_be_brought_is_named(unpacked):
    (unpacked / "study/photos/coffee.jpg").write_bytes(b"another")
    table = unpacked / "inputs.tsv"
    table.write_text(
        table.read_text()
        + f"weights.pt\t{'0' * 64}\tto be brought\nmodels/gone.yaml\t{'0' * 64}\tof the workflow\n"
    )
    text = sentence(rerun, [str(unpacked)])
    assert "coffee.jpg: the study was made of another file of this name" in text
    assert "study/weights.pt: the study reads this file" in text and "put it there and start again" in text
    assert "this version of promptflux does not have it" in text and len(text.splitlines()) == 3
    table.write_text("file\n")
    assert "inputs.tsv: this is not the table of a pack" in sentence(rerun, [str(unpacked)])


def test_a_pack_runs_again_to_the_same_bytes(packed, tmp_path, capsys):
    assert rerun([str(packed), str(tmp_path / "again"), "--cores", "2"]) is True
    assert "9 of 9 images and tables are the same bytes" in capsys.readouterr().err
    # One that was another is said, and the study that is there is not made again.
    manifest = tmp_path / "again/results/manifest.sha256"
    manifest.write_text(
        manifest.read_text().replace(
            sha256_of_file(tmp_path / "again/study/results/images/sea_1.png"), "0" * 64
        )
    )
    assert rerun([str(tmp_path / "again"), "--cores", "1"]) is False
    printed = capsys.readouterr().err
    assert "8 of 9 images" in printed and "Not the same: images/sea_1.png" in printed
