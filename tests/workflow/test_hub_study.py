"""A study of a model of the hub: fetched once before all, made without a network, and held to all variants first."""

import pytest
import yaml
from support.hub import COMMIT, Hub
from support.workflow import start

BATCHES = ["results/checksums/prompts00.sha256", "results/checksums/prompts01.sha256"]


@pytest.fixture
def hub(tiny_model):
    hub = Hub()
    hub.repos["me/tiny"] = tiny_model
    yield hub
    hub.close()


@pytest.fixture
def study(tmp_path, tiny_model, hub):
    study = start(tmp_path / "study", tiny_model)
    study.change(
        generator={"model": "me/tiny", "revision": COMMIT, "prompts_per_job": 2, "images_per_prompt": 1}
    )
    study.environment.update(
        HF_HOME=str(tmp_path / "home"), HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1", NO_PROXY="127.0.0.1"
    )
    return study


def test_a_model_is_fetched_once_for_all_jobs_and_then_the_network_is_not_needed(study, hub):
    printed = study.run(*BATCHES)
    before = study.images()
    assert len(before) == 4 and len(hub.downloads()) == len(set(hub.downloads())) == 10
    assert printed.index("fetch: me/tiny at") < printed.index("generate: loading")
    assert sum("generate: loading me/tiny at" in line for line in printed.splitlines()) == 2
    [record] = (study / "results/fetched").iterdir()
    assert record.name.startswith("me--tiny_") and COMMIT in record.read_text()

    hub.close()
    (study / "results/images/sea_1.png").unlink()
    assert "fetch_model" not in study.run("results/images/sea_1.png")
    after = study.images()
    assert after["sea_1"][1] == before["sea_1"][1]
    assert all(after[name] == before[name] for name in before if name != "sea_1")


def variants_of(study, **variants):
    path = study / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"variants": variants}))


def test_what_a_variant_cannot_do_is_said_before_an_image_of_any(study):
    study.change(generator={"prompts_per_job": 64})
    variants_of(study, well={}, never={"clip_skip": 1})
    printed = study.run("results/checksums/well/prompts.sha256", expect=1)
    sentence = "generator.clip_skip is 1, and the text_encoder of the model has 1 layers; it must be less."
    assert f"{sentence} (In the variant never.)" in printed
    assert not list((study / "results").glob("images/**/*.png"))
    variants_of(study, well={}, weak={"guidance_scale": 1.0, "vae_slicing": True, "micro_batch": 1})
    printed = study.run("results/checksums/well/prompts.sha256")
    assert (
        "warning: generator.vae_slicing has no effect, as micro_batch is 1 (in the variant weak)" in printed
    )
    assert len(list((study / "results/images/well").glob("*.png"))) == 4


def test_a_hub_that_is_not_there_ends_the_study_with_a_sentence(study, hub):
    hub.close()
    printed = study.run(*BATCHES, expect=1)
    assert "cannot be reached from here" in printed and "--until fetch_model" in printed
