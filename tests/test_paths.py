"""Where the results of a study lie: below `results/`, wherever that is."""

import inspect

import pytest

from promptflux.paths import HERE, Results

ROOTS = [
    "",
    "pictures/",
    "/home/someone/my study/",
    "../other/",
    ".snakemake/storage/s3/studies/mine/",
    "/data/results/of_may/",  # a folder of the same name further up
    "old_results/",
]


def all_files(results: Results) -> dict[str, str]:
    """A file of each function and property, named by it."""
    found = {}
    for name, member in inspect.getmembers(Results):
        if isinstance(member, property):
            found[name] = getattr(results, name)
        elif not name.startswith("_") and name not in ("of", "name", "images", "job_of"):
            parameters = list(inspect.signature(member).parameters)[1:]
            found[name] = member(results, *(".h5" if it == "suffix" else f"a_{it}" for it in parameters))
    return found


def test_the_names_of_the_results():
    assert HERE() == "results"
    assert HERE("any/thing") == "results/any/thing"
    assert all_files(HERE) == {
        "fetched": "results/fetched/a_model.json",
        "generators": "results/requests/generators.json",
        "image": "results/images/a_image.png",
        "metadata": "results/images/metadata.jsonl",
        "checksums": "results/checksums/a_batch.sha256",
        "costs": "results/benchmarks/images/a_batch.tsv",
        "preprocessed": "results/preprocessed/a_input_name/a_image.png",
        "tensors": "results/tensors/a_input_name/a_batch.h5",
        "model": "results/models/a_classifier.h5",
        "export": "results/exports/a_classifier..h5",
        "predictions": "results/predictions/a_classifier/a_engine/a_batch.h5",
        "predictions_table": "results/predictions/a_classifier/a_engine.tsv",
        "activations": "results/explanations/a_classifier/activations/a_engine/a_batch.h5",
        "activations_table": "results/explanations/a_classifier/activations.tsv",
        "activations_figure": "results/figures/a_classifier/activations.png",
        "explanations": "results/explanations/a_classifier/maps/a_engine/a_batch.h5",
        "parity_table": "results/parity/a_classifier/a_engine.tsv",
        "parity_figure": "results/parity/a_classifier/a_engine.png",
        "truth": "results/truth/a_classifier.tsv",
        "features": "results/features/a_classifier/a_batch.h5",
        "map_table": "results/map/a_classifier_map.tsv",
        "map_figure": "results/map/a_classifier_map.png",
        "duplicates_table": "results/map/a_classifier_duplicates.tsv",
        "nearest_table": "results/map/a_classifier_nearest.tsv",
        "metrics": "results/metrics/a_classifier.tsv",
        "reliability_figure": "results/figures/a_classifier/reliability.png",
        "confusion_table": "results/figures/a_classifier/confusion.tsv",
        "confusion_figure": "results/figures/a_classifier/confusion.png",
        "figure": "results/figures/a_classifier/a_image/a_name.png",
        "sheet": "results/figures/sheets/a_prompt.png",
        "axis_figure": "results/figures/axes/a_axis.png",
        "variants_table": "results/variants/a_classifier.tsv",
        "costs_table": "results/variants.tsv",
        "gallery": "results/figures/gallery.png",
        "times_figure": "results/figures/where_the_time_went.png",
        "report": "results/report.html",
        "explorer": "results/explorer.html",
        "manifest": "results/manifest.sha256",
        "comparison": "results/comparison/a_other/a_file",
        "study": "results/study.json",
        "batches": "results/batches.tsv",
        "verified": "results/verify.tsv",
        "request": "results/requests/a_job.json",
        "made": "results/made/a_job.json",
        "log": "results/logs/a_job.log",
        "benchmark": "results/benchmarks/a_job.tsv",
    }
    assert HERE.images(["b", "a"]) == ["results/images/b.png", "results/images/a.png"]


@pytest.mark.parametrize("root", ROOTS)
def test_a_file_leads_to_the_results_that_it_lies_in(root):
    results = Results(root)
    for file in all_files(results).values():
        assert Results.of(file).root == root
    assert Results.of(results.image("a")).tensors("gray28", "prompts") == results.tensors("gray28", "prompts")


@pytest.mark.parametrize("root", ROOTS)
def test_a_name_and_a_call_are_each_others_inverse(root):
    results, here = Results(root), all_files(HERE)
    for what, file in all_files(results).items():
        assert file == f"{root}{here[what]}"
        assert results.name(file) == HERE.name(here[what])
        assert results(results.name(file)) == file


@pytest.mark.parametrize("root", ROOTS)
def test_a_request_leads_to_its_job(root):
    for job in ("generate/prompts01", "figures/requests/small.json_images"):
        assert Results(root).job_of(Results(root).request(job)) == job


def test_names_are_only_text():
    """Wildcards of a rule and odd names stand as they are."""
    assert HERE.model("{classifier}", ".bson") == "results/models/{classifier}.bson"
    assert HERE.log("figures/{classifier}_01") == "results/logs/figures/{classifier}_01.log"
    assert Results("$5/{x}/").image("a.b-c") == "$5/{x}/results/images/a.b-c.png"


def test_a_file_that_is_in_no_results_is_an_error():
    with pytest.raises(ValueError):
        Results.of("elsewhere/report.html")
