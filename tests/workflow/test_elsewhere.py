"""Studies whose results lie elsewhere: in S3, where another workflow wants them, and in a report of Snakemake."""

import hashlib
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from support.workflow import WORKFLOW, results
from test_workflow import SPEC, write_prompts

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
TIMED = {"report.html", "figures/where_the_time_went.png"}  # they show how long their run took
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


@pytest.fixture(scope="module")
def config(tiny_model, tmp_path_factory) -> dict:
    """A study of two prompts and the photographs of the examples, whose files are named by their full paths."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "small.yaml").write_text(SPEC)
    write_prompts(folder, {"forest": "a forest", "city": "a city at night"})
    return {
        "prompts": str(folder / "prompts.tsv"),
        "images": str(WORKFLOW / "examples/photos/*.jpg"),
        "generator": {"model": str(tiny_model), "steps": 1, "images_per_prompt": 1, "micro_batch": 2},
        "classifiers": [str(folder / "small.yaml")],
        "engines": ["torch"],
        "figures": {"images": 1, "dpi": 40},
    }


@pytest.fixture(scope="module")
def on_disk(config, tmp_path_factory) -> Path:
    """The study as it is run in a folder of its own."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run(folder, "--snakefile", str(WORKFLOW / "Snakefile"))
    return folder


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


def test_results_in_s3_are_those_on_disk_and_are_made_once(config, on_disk, s3, tmp_path):
    address, client = s3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    storage = [
        "--snakefile", str(WORKFLOW / "Snakefile"), "--storage-s3-endpoint-url", address,
        "--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/mine",
    ]  # fmt: skip
    run(tmp_path, *storage)
    stored = objects(client)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in stored.items()}
    assert differing(digests, results(on_disk)) <= TIMED
    report = (on_disk / "results/report.html").read_bytes()
    assert stored["report.html"].count(b"data:image") == report.count(b"data:image")
    assert not (tmp_path / "results").exists()
    assert "Nothing to be done" in run(tmp_path, *storage)
    assert objects(client) == stored


def test_another_workflow_uses_this_one(config, on_disk, tmp_path):
    (tmp_path / "Snakefile").write_text(OUTER.format(workflow=WORKFLOW))
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"promptflux": config, "mine": 'what it costs: "$5"'})
    )
    study = ["--configfile", "config.yaml", "--workflow-profile", str(WORKFLOW / "profiles/default")]
    printed = run(tmp_path, *study, "--logger", "rich")
    assert "Workflow start" in printed and "localrules" not in printed
    assert (tmp_path / "count.txt").read_text().strip() == "4"
    assert differing(results(tmp_path / "pictures"), results(on_disk)) <= TIMED
    assert not (tmp_path / "results").exists()
    # What has changed is seen below the prefix, too.
    (tmp_path / "pictures/results/images/city_1.png").unlink()
    plan = run(tmp_path, *study, "--dry-run")
    assert "city_1 is gone and is made again" in plan
    assert "The gallery of another workflow" in plan


def test_snakemakes_own_report_has_the_figures_by_category_with_captions(on_disk):
    run(on_disk, "--snakefile", str(WORKFLOW / "Snakefile"), "--report", "overview.html")
    page = (on_disk / "overview.html").read_text(encoding="utf-8")
    for words in ("What small sees", "Predictions", "side by side under its text", "Seconds of each stage"):
        assert words in page
