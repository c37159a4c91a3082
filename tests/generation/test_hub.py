"""The hub, asked once: what is fetched of a repository, and a sentence for each way in which it misbehaves."""

import json
import os
import shutil
from pathlib import Path

import generate
import pytest
from support.hub import COMMIT, Hub, error
from support.models import DEFAULTS

from promptflux.errors import StudyError
from promptflux.generation import hub as hub_module
from promptflux.generation.generator import read_generator
from promptflux.generation.hub import files_of_pipeline
from promptflux.generation.hub_cache import cached_folder

MODEL = {"kind": "model", "repo": "me/tiny", "revision": COMMIT, "variant": None}


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def repository(hub, tiny_model, tmp_path):
    """The tiny model with what repositories have beside: pickles, previews, a variant."""
    folder = shutil.copytree(tiny_model, tmp_path / "repository")
    for part in ("unet", "vae", "text_encoder"):
        weights = next((folder / part).glob("*.safetensors"))
        shutil.copy(weights, folder / part / f"{weights.stem}.fp16.safetensors")
        (folder / part / f"{weights.stem}.bin").write_bytes(b"pickle")
    (folder / "README.md").write_text("a card")
    (folder / "v1-5-pruned.safetensors").write_bytes(b"x" * 1000)
    (folder / "safety").mkdir()
    (folder / "safety/model.safetensors").write_bytes(b"x")
    hub.repos["me/tiny"] = folder
    return folder


@pytest.fixture
def fetch(hub, tmp_path, monkeypatch, capsys):
    """Fetch from the stand-in into a cache of its own."""
    from huggingface_hub import constants

    def fetch(expect=0, wanted=MODEL, endpoint=None, offline=False) -> tuple[dict, str]:
        """What was fetched, or nothing where that is to fail; and what was said."""
        for name, value in {
            "ENDPOINT": endpoint or hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{endpoint or hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "home/hub"),
            "HF_HUB_OFFLINE": offline,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        capsys.readouterr()
        found, wrong = {}, ""
        try:
            found = hub_module.fetch(wanted)
        except StudyError as error:
            wrong = str(error)
        assert bool(wrong) == bool(expect), wrong
        return found, wrong + capsys.readouterr().err

    return fetch


def test_what_a_pipeline_needs_is_fetched_once_and_told_before(fetch, hub, repository):
    found, said = fetch()
    assert found["commit"] == COMMIT and set(found["files"]) == set(hub.downloads())
    assert set(hub.downloads()) == {
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    size = sum(found["files"].values())
    assert (
        f"fetch: me/tiny at {COMMIT[:12]}: 10 files of {size / 1e6:.1f} MB" in said
        and "fetch me/tiny: 100%" in said
    )
    hub.requests.clear()
    again, said = fetch()
    assert again == found and hub.downloads() == [] and "all of them here" in said


def test_a_variant_is_fetched_in_place_of_the_others(fetch, hub, repository):
    (repository / "vae/diffusion_pytorch_model.fp16.safetensors").unlink()
    fetch(wanted=MODEL | {"variant": "fp16"})
    weights = sorted(name for name in hub.downloads() if name.endswith(".safetensors"))
    assert weights == [
        "text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip


def test_a_branch_is_told_as_the_commit_that_it_is(fetch, hub, repository, tmp_path):
    found, said = fetch(wanted=MODEL | {"revision": "main"})
    assert found["commit"] == COMMIT and f"main of me/tiny is the commit {COMMIT}" in said
    assert (tmp_path / "home/hub/models--me--tiny/refs/main").read_text() == COMMIT


def test_shards_and_their_index_are_fetched():
    names = [
        "transformer/config.json", "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
        "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "transformer/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.fp16.json", "flux1.safetensors",
    ]  # fmt: skip
    index = {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]}
    plain = files_of_pipeline(names, index, None, "x/y")
    assert plain == ["model_index.json", *sorted(names[:4])]
    half = files_of_pipeline(names, index, "fp16", "x/y")
    assert half == ["model_index.json", *sorted([names[0], names[4], names[5]])]
    with pytest.raises(StudyError, match="has no weights of it; set it to null"):
        files_of_pipeline(names, index, "ema", "x/y")
    with pytest.raises(StudyError, match="whose transformer has no .safetensors weights"):
        files_of_pipeline(["transformer/model.bin"], index, None, "x/y")
    with pytest.raises(StudyError, match="asks for code of the model's own"):
        files_of_pipeline(names, index | {"custom_pipeline": "x"}, None, "x/y")


def test_lora_weights_are_the_one_file_that_is_meant(fetch, hub, tmp_path):
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(b"a")
    (folder / "README.md").write_text("a card")
    hub.repos["me/lora"] = folder
    wanted = {"kind": "lora", "repo": "me/lora", "revision": COMMIT, "file": None}
    found, _ = fetch(wanted=wanted)
    assert found["files"] == {"a.safetensors": 1}
    (folder / "b.safetensors").write_bytes(b"b")
    assert "which has 'a.safetensors', 'b.safetensors'; write which" in fetch(1, wanted=wanted)[1]
    assert fetch(wanted=wanted | {"file": "b.safetensors"})[0]["files"] == {"b.safetensors": 1}
    assert "does not have at" in fetch(1, wanted=wanted | {"file": "c.safetensors"})[1]


# Misbehavior

PORTAL = (200, {"Content-Type": "text/html"}, b"<html>Welcome to the hotel. Please log in.</html>")
OTHER_JSON = (200, {"Content-Type": "application/json"}, b'{"id": "me/tiny", "login": "please"}')


def always(answer):
    return lambda method, path: answer


def of_weights(answer):
    return lambda method, path: (
        answer if method == "GET" and path.endswith("unet/diffusion_pytorch_model.safetensors") else None
    )


def cut(method, path):
    if method == "GET" and path.endswith("unet/diffusion_pytorch_model.safetensors"):
        return 200, {"Content-Length": "1000", "Connection": "close"}, b"short"
    return None


@pytest.mark.parametrize(
    "misbehave, words",
    [
        (always(error(403, "GatedRepo")), "me/tiny is gated: accept its terms on http"),
        (always(error(404, "RepoNotFound")), "there is no me/tiny on http"),
        (always(error(401)), "there is no me/tiny on http"),
        (always(error(404, "RevisionNotFound")), "is not one of me/tiny; its commits are on http"),
        (always(error(403)), "does not let you have me/tiny (403)"),
        (always(error(429, "", **{"Retry-After": "77"})), "takes no more requests from here for now (429). It says to wait 77 seconds"),
        (always(error(500)), "has a failure of its own (500); run the same command again later"),
        (always(error(503)), "has a failure of its own (503)"),
        (always(error(418)), "answers 418 when asked for me/tiny"),
        (always(PORTAL), "is not the hub: most likely this network wants a login first"),
        (always(OTHER_JSON), "is not the hub: most likely this network wants a login first"),
        (of_weights(PORTAL), "did not arrive"),
        (of_weights(error(403, "GatedRepo")), "me/tiny is gated"),
        (of_weights(error(502)), "has a failure of its own (502)"),
        (of_weights(error(404, "EntryNotFound")), "lacks a file that it lists"),
        (cut, "did not arrive whole"),
    ],
)  # fmt: skip
def test_each_misbehavior_has_a_sentence_with_the_way_out(fetch, hub, repository, misbehave, words, tmp_path):
    hub.misbehave = misbehave
    _, said = fetch(1)
    assert words in said, said
    # and after it the same command completes
    if misbehave is cut:
        hub.misbehave = always(None)
        assert fetch()[0]["commit"] == COMMIT


def test_weights_of_other_bytes_are_not_kept(fetch, hub, repository):
    """As large as they should be, and changed on the way."""
    path = repository / "unet/diffusion_pytorch_model.safetensors"
    changed = bytearray(path.read_bytes())
    changed[-5] ^= 1
    usual = hub.answer("GET", f"/me/tiny/resolve/{COMMIT}/unet/diffusion_pytorch_model.safetensors")
    hub.misbehave = of_weights((200, usual[1], bytes(changed)))
    assert (
        "'unet/diffusion_pytorch_model.safetensors' did not arrive as the hub has it, and was deleted"
        in fetch(1)[1]
    )
    hub.misbehave = always(None)
    assert fetch()[0]["commit"] == COMMIT


def test_no_network_is_a_sentence_and_a_full_cache_is_enough(fetch, hub, repository):
    fetch()
    nowhere = {"endpoint": "http://127.0.0.1:9"}  # the port of discard, where nobody listens
    found, said = fetch(**nowhere)
    assert (
        found["commit"] == COMMIT and "is in the cache of this machine, and is taken as it is there" in said
    )
    assert fetch(offline=True)[0]["commit"] == COMMIT
    other = MODEL | {"repo": "me/other"}
    said = fetch(1, wanted=other, **nowhere)[1]
    assert (
        "http://127.0.0.1:9 cannot be reached from here" in said
        and f"hf download me/other --revision {COMMIT}" in said
    )
    assert "HF_HUB_OFFLINE forbids to ask the hub; unset it" in fetch(1, wanted=other, offline=True)[1]


def test_a_partial_cache_is_not_enough(fetch, hub, repository, tmp_path):
    fetch()
    snapshot = tmp_path / f"home/hub/models--me--tiny/snapshots/{COMMIT}"
    (snapshot / "vae/diffusion_pytorch_model.safetensors").unlink()
    assert "cannot be reached" in fetch(1, endpoint="http://127.0.0.1:9")[1]
    hub.requests.clear()
    fetch()
    assert hub.downloads() == [] or hub.downloads() == ["vae/diffusion_pytorch_model.safetensors"]
    assert (snapshot / "vae/diffusion_pytorch_model.safetensors").exists()


def test_a_disk_that_is_too_small_is_said_before(fetch, hub, repository, monkeypatch):
    usual = hub.info("me/tiny")
    for sibling in usual["siblings"]:
        sibling["size"] *= 10**9
    body = json.dumps(usual).encode()
    hub.misbehave = lambda method, path: (200, {}, body) if path.startswith("/api") else None
    said = fetch(1)[1]
    assert "are to be downloaded, and" in said and "set HF_HOME to a folder on another disk" in said
    assert hub.downloads() == ["model_index.json"]


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_and_one_that_cannot_be_written_are_sentences():
    import errno

    from promptflux.generation.hub import hub_sentences

    for number, words in {
        errno.ENOSPC: "the disk of the cache is full",
        errno.EROFS: "the cache cannot be written",
    }.items():
        with pytest.raises(StudyError, match=words), hub_sentences("me/tiny", COMMIT):
            raise OSError(number, os.strerror(number), "/home/x")


def test_a_repository_that_is_no_pipeline_says_what_it_has(fetch, hub, tmp_path):
    folder = tmp_path / "single"
    folder.mkdir()
    (folder / "big.safetensors").write_bytes(b"x")
    hub.repos["me/tiny"] = folder
    said = fetch(1)[1]
    assert (
        "has no model_index.json" in said
        and "It has big.safetensors: download this file, and name its path as model" in said
    )


def test_a_model_that_is_not_in_the_cache_any_more_says_what_to_do(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StudyError, match="delete results/fetched and run the same command again"):
        cached_folder("me/tiny", COMMIT)
    (tmp_path / f"models--me--tiny/snapshots/{COMMIT}").mkdir(parents=True)
    assert cached_folder("me/tiny", COMMIT).name == COMMIT


def test_where_jobs_share_no_cache_each_fetches_for_itself(fetch, hub, repository, tmp_path):
    """As with remote storage, on Kubernetes."""
    fetch(1, wanted=MODEL | {"repo": "me/none"})  # the stand-in is set up
    (tmp_path / "prompts.tsv").write_text("name\tprompt\nforest\ta forest\n")
    settings = read_generator(
        DEFAULTS | {"model": "me/tiny", "revision": COMMIT, "steps": 1, "micro_batch": 1}, lambda path: None
    )
    asked = {"prompts": str(tmp_path / "prompts.tsv"), "settings": settings.settings(), "names": ["forest_1"]}
    asked["checksums"] = f"{tmp_path}/results/checksums/prompts.sha256"
    with pytest.raises(StudyError, match="me/tiny at .* is not in the cache of this machine"):
        generate.main(**asked)
    generate.main(**asked, fetches=True)
    assert (tmp_path / "results/images/forest_1.png").is_file() and len(hub.downloads()) == 10
    hub.close()
    (tmp_path / "results/images/forest_1.png").unlink()
    generate.main(**asked)
    assert (tmp_path / "results/images/forest_1.png").is_file()
