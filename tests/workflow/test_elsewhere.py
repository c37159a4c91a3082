"""Studies whose results lie elsewhere: in S3, where another workflow wants them, and in a report of Snakemake."""

import hashlib
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from support.workflow import WORKFLOW, Study, results

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
TIMED = {
    "report.html",
    "variants.tsv",
    "figures/where_the_time_went.png",
}  # they show how long their run took
ASKED = {"study.json", "explorer.html"}  # they tell the config, whose paths differ
OUTER = """\
module promptflux:
    snakefile: "{workflow}/Snakefile"
    config: config["promptflux"]
    prefix: "pictures"

use rule * from promptflux as promptflux_*

use rule gallery from promptflux as promptflux_gallery with:
    message: "The gallery of another workflow"

rule count:
    default_target: True
    input:
        rules.promptflux_all.input,
        table="pictures/results/predictions/small/torch.tsv",
    output:
        "count.txt",
    shell:
        "wc -l < {{input.table}} > {{output}}"
"""


def config_of(study: Study) -> dict:
    """A finished study, whose files are named by their full paths."""
    config = yaml.safe_load((study / "config.yaml").read_text(encoding="utf-8"))
    return config | {
        "prompts": str(study / "prompts.tsv"),
        "images": str(study / "photos"),
        "classifiers": [str(study / "small.yaml")],
    }


def run(folder: Path, *arguments: str) -> str:
    """What Snakemake prints, which ends well."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", *arguments]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    printed = finished.stdout + finished.stderr
    assert finished.returncode == 0 and "Traceback" not in printed, printed[-6000:]
    return printed


@pytest.fixture
def s3(monkeypatch):
    """An empty bucket on a server of our own: its address and a client."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket=BUCKET)
    yield address, client
    server.stop()


def objects(client) -> dict[str, bytes]:
    """The results in the bucket that the inputs of a study decide."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="mine/results/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {
        key.removeprefix("mine/results/"): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
        if not key.startswith(("mine/results/logs/", "mine/results/benchmarks/"))
    }


def differing(made: dict[str, str], expected: dict[str, str]) -> set[str]:
    return {name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name)}


def test_results_in_s3_are_those_on_disk_and_are_made_once(finished_grid, s3, tmp_path):
    """Of a study with variants, which has every kind of file."""
    address, client = s3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config_of(finished_grid)))
    storage = [
        "--snakefile", str(WORKFLOW / "Snakefile"), "--storage-s3-endpoint-url", address,
        "--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/mine",
    ]  # fmt: skip
    run(tmp_path, *storage)
    stored = objects(client)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in stored.items()}
    assert differing(digests, results(finished_grid.folder)) <= TIMED | ASKED
    report = (finished_grid / "results/report.html").read_bytes()
    assert stored["report.html"].count(b"data:image") == report.count(b"data:image")
    assert not (tmp_path / "results").exists()
    assert "Nothing to be done" in run(tmp_path, *storage)
    assert objects(client) == stored


def test_another_workflow_uses_this_one(finished, tmp_path):
    (tmp_path / "Snakefile").write_text(OUTER.format(workflow=WORKFLOW))
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"promptflux": config_of(finished), "mine": 'what it costs: "$5"'})
    )
    study = ["--configfile", "config.yaml", "--workflow-profile", str(WORKFLOW / "profiles/default")]
    printed = run(tmp_path, *study, "--logger", "rich")
    assert "Workflow start" in printed and "localrules" not in printed
    table = (finished / Study.TABLE).read_text(encoding="utf-8").splitlines()
    assert int((tmp_path / "count.txt").read_text()) == len(table) == 1 + 2 * 4 + 1
    assert differing(results(tmp_path / "pictures"), results(finished.folder)) <= TIMED | ASKED
    assert not (tmp_path / "results").exists()
    # What has changed is seen below the prefix, too.
    (tmp_path / "pictures/results/images/city_1.png").unlink()
    plan = run(tmp_path, *study, "--dry-run")
    assert "city_1 is gone and is made again" in plan
    assert "The gallery of another workflow" in plan


def test_snakemakes_own_report_has_the_figures_by_category_with_captions(study):
    study.run("--report", "overview.html")
    page = (study / "overview.html").read_text(encoding="utf-8")
    for words in ("What small sees", "Predictions", "side by side under its text", "Seconds of each stage"):
        assert words in page
