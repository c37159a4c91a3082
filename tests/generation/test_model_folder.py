"""A diffusion model's folder before it is loaded: its digest, and what is wrong with it, as sentences."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from support.malformed import malformed
from support.models import DEFAULTS
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.generation.generator import read_generator
from promptflux.generation.model_check import folder_problems
from promptflux.generation.model_folder import (
    check_sums,
    digest_of_model,
    model_files,
    native_size,
    size_multiple,
)
from promptflux.generation.safetensors_header import read_header
from promptflux.study.resources import image_pixels

SETTINGS = DEFAULTS | {"steps": 1, "micro_batch": 1, "threads": 1, "device": "cpu"}


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of the tiny model, to be broken."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def generator(model, **settings):
    return read_generator({**SETTINGS, "model": str(model), **settings}, Path)


def problems(model, **settings) -> list[str]:
    found = folder_problems(model, {**SETTINGS, **settings})
    assert all(sentence.isprintable() and len(sentence) < 900 for sentence in found), found
    return found


def write(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# The digest, which is in the recipe of every image


def test_the_digest_of_the_embedded_model_is_what_it_was():
    assert (
        digest_of_model(WORKFLOW / "models/scenes")
        == "0cc3cd8f1fbac38f36e0ad0b4ccd4c9a9c56fe7c8114a0ee01ce10d9ae8770f6"
    )


def test_a_linked_folder_counts_like_its_files(model, tmp_path):
    digest = digest_of_model(model)
    shutil.move(model / "unet", tmp_path / "elsewhere")
    assert digest_of_model(model) != digest
    (model / "unet").symlink_to(tmp_path / "elsewhere")
    assert digest_of_model(model) == digest
    assert model / "unet/config.json" in model_files(model)
    assert problems(model) == []
    weights = tmp_path / "elsewhere/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert digest_of_model(model) != digest


def test_links_in_circles_are_followed_once(model):
    files = model_files(model)
    (model / "self").symlink_to(model)
    (model / "unet/up").symlink_to("..")
    (model / "vae/other").symlink_to(model / "unet")
    more = [path for path in model_files(model) if path not in files]
    assert {path.parent for path in more} == {model / "vae/other"}


def test_links_that_multiply_are_a_sentence(model):
    for number in range(12):
        place = model / f"level{number}"
        place.mkdir()
        for name in ("a", "b"):
            (place / name).symlink_to(model / f"level{number + 1}")
    (model / "level12").mkdir()
    with pytest.raises(StudyError, match="links that lead to each other"):
        model_files(model)
    assert "links that lead to each other" in problems(model)[0]


# The list of sums beside a model


def test_the_embedded_model_is_what_its_list_says():
    assert (WORKFLOW / "models/scenes.sha256").is_file()
    check_sums(WORKFLOW / "models/scenes")


@pytest.mark.parametrize("damage", ["byte", "gone", "more"])
def test_an_embedded_model_that_differs_is_named(tmp_path, damage):
    folder = shutil.copytree(WORKFLOW / "models/scenes", tmp_path / "scenes")
    check_sums(folder)
    shutil.copy(WORKFLOW / "models/scenes.sha256", tmp_path)
    check_sums(folder)
    path = folder / "tokenizer/tokenizer.json"
    if damage == "byte":
        path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    elif damage == "gone":
        path.unlink()
    else:
        path = folder / "tokenizer/merges.txt"
        path.write_text("")
    what = {"byte": "has other bytes", "gone": "is not there", "more": "is not in the list"}[damage]
    with pytest.raises(StudyError, match=f"{path.name}' {what}"):
        check_sums(folder)


# Configs


def test_malformed_configs_are_sentences(model):
    """Of every kind: what planning reads of them is right, or there is a sentence; never anything else."""
    files = [path for path in model_files(model) if path.suffix == ".json" and path.name != "tokenizer.json"]
    refused = 0
    for path, content, what in malformed(files, count=400, seed=16):
        sound = path.read_bytes()
        path.write_bytes(content)
        try:
            made = generator(model)
            assert isinstance(image_pixels(made), int) and image_pixels(made) > 0, what
        except StudyError as error:
            refused += 1
            assert all(sentence.isprintable() and len(sentence) < 900 for sentence in error.args), what
            assert str(model) in str(error), what
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        path.write_bytes(sound)
    assert refused > 80
    assert problems(model) == []


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"unet": None}, "unet is None; it must be a library and a class"),
        ({"vae": ["diffusers"]}, "vae is ['diffusers']"),
        ({"text_encoder": {"a": 1}}, "text_encoder is {'a': 1}"),
        ({"_class_name": None}, "_class_name is None"),
        ({"_class_name": 3}, "_class_name is 3"),
        ({"../../elsewhere": ["diffusers", "AutoencoderKL"]}, "no name of a part"),
        ({"vae": ["diffusers", "x; y"]}, "it must be a library and a class of it"),
        ({"vae_2": ["diffusers", "AutoencoderKL"]}, "/vae_2' is not there"),
    ],
)
def test_a_malformed_index_is_a_sentence(model, changes, words):
    write(model / "model_index.json", **changes)
    assert words in problems(model)[0]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"_class_name": ["pipeline", "MyPipeline"]}, "a pipeline of the model's own"),
        ({"trust_remote_code": True}, "trust_remote_code asks for code"),
        ({"custom_pipeline": "someone/pipeline"}, "custom_pipeline asks for code"),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "auto_map asks for code"),
        ({"unet": ["my_unet", "MyUNet"]}, "which is code in"),
    ],
)
def test_a_pipeline_that_asks_for_its_own_code_is_refused(model, changes, words, tmp_path):
    for name in ("pipeline.py", "unet/my_unet.py"):
        (model / name).write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')")
    write(model / "model_index.json", **changes)
    assert words in problems(model)[0]
    assert not (tmp_path / "PWNED").exists()


def test_a_file_that_diffusers_would_run_is_refused(model):
    (model / "None.py").write_text("")
    assert "diffusers would take this file for the pipeline" in problems(model)[0]


def test_a_part_that_asks_for_its_own_code_is_refused(model):
    write(model / "text_encoder/config.json", auto_map={"AutoModel": "modeling.Model"})
    assert problems(model) == []  # CLIPTextModel does not look at it
    write(model / "model_index.json", text_encoder=["transformers", "AutoModel"])
    assert "auto_map asks for code of the model's own" in problems(model)[0]


def test_numbers_that_would_take_hours_or_all_memory_are_refused(model):
    for path, key, value in (
        ("unet/config.json", "layers_per_block", 10**7),
        ("text_encoder/config.json", "num_hidden_layers", 10**6),
        ("text_encoder/config.json", "max_position_embeddings", 10**12),
        ("scheduler/scheduler_config.json", "num_train_timesteps", 10**10),
    ):
        sound = (model / path).read_text()
        write(model / path, **{key: value})
        assert f"{key} is {value}" in problems(model)[0]
        (model / path).write_text(sound)


# The parts


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("gone", ["folder", "weights", "config.json"])
def test_a_part_that_lacks_something_is_named(model, part, gone):
    if gone == "folder":
        shutil.rmtree(model / part)
    elif gone == "weights":
        next((model / part).glob("*.safetensors")).unlink()
    else:
        (model / part / "config.json").unlink()
    found = problems(model)
    assert len(found) == 1 and f"{model / part}" in found[0]


def test_a_tokenizer_without_its_words_is_named(model):
    (model / "tokenizer/tokenizer.json").unlink()
    assert "the tokenizer has no vocabulary" in problems(model)[0]
    (model / "tokenizer/vocab.json").write_text("{}")
    assert "the tokenizer has no vocabulary" in problems(model)[0]
    (model / "tokenizer/merges.txt").write_text("")
    assert problems(model) == []


@pytest.mark.parametrize("length", ["77", None, -1, 0, 2, 77.5, [77], True, {}])
def test_a_tokenizer_of_no_length_is_named(model, length):
    write(model / "tokenizer/tokenizer_config.json", model_max_length=length)
    assert bool(problems(model)) == (length is not None)


@pytest.mark.parametrize("length", [3, 77, 512, 10**30, 1e30])
def test_a_tokenizer_of_some_length_is_welcome(model, length):
    write(model / "tokenizer/tokenizer_config.json", model_max_length=length)
    assert problems(model) == []


def test_words_that_are_no_text_are_a_sentence(model):
    (model / "words.txt").write_bytes(b"\xe9")
    assert "words.txt' cannot be read as UTF-8" in problems(model)[0]


@pytest.mark.parametrize(
    "content, words",
    [
        ("{}", "weight_map is None"),
        ('{"weight_map": {"a": 3}}', "weight_map is"),
        ('{"weight_map": {"a": "../../other.safetensors"}}', "in its folder"),
        ('{"weight_map": {"a": "other.safetensors"}}', "other.safetensors, which is not there"),
    ],
)
def test_a_list_of_shards_is_held_to_its_files(model, content, words):
    (model / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(content)
    assert words in problems(model)[0]


# Weights


def safetensors(path, header, data=b"", length=None):
    """A .safetensors file with the header, and another length of it than it has."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "header, data, length",
    [
        (b"", b"", 0),
        (b"{}", b"", 2**63),
        (b"{}", b"", 10**9),
        (b"[]", b"", None),
        (b"\xff\xff", b"", None),
        (b"[" * 100_000, b"", None),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", None),
        (f'{{"a": {json.dumps(ONE)}, "a": {json.dumps(ONE)}}}'.encode(), bytes(8), None),
        ({"a": 3}, b"", None),
        ({"a": {**ONE, "dtype": "F31"}}, bytes(8), None),
        ({"a": {**ONE, "dtype": ["F32"]}}, bytes(8), None),
        ({"a": {**ONE, "shape": [3]}}, bytes(8), None),
        ({"a": {**ONE, "shape": [-2]}}, bytes(8), None),
        ({"a": {**ONE, "shape": [2**62, 2**62]}}, bytes(8), None),
        ({"a": {**ONE, "shape": [True, 2]}}, bytes(8), None),
        ({"a": {**ONE, "shape": "2"}}, bytes(8), None),
        ({"a": {**ONE, "data_offsets": [0, 8, 8]}}, bytes(8), None),
        ({"a": {**ONE, "data_offsets": [8, 0]}}, bytes(8), None),
        ({"a": {**ONE, "data_offsets": [8, 16]}}, bytes(16), None),
        ({"a": ONE}, bytes(4), None),
        ({"a": ONE}, bytes(12), None),
        ({"a": ONE, "b": ONE}, bytes(8), None),
        ({"a\x1b[31m": {**ONE, "shape": [5]}}, bytes(8), None),
    ],
)
def test_a_header_that_lies_is_a_sentence(model, header, data, length):
    path = model / "unet/diffusion_pytorch_model.safetensors"
    safetensors(path, header, data, length)
    if length == 0:
        path.write_bytes(b"1234")
    with pytest.raises(StudyError) as refused:
        read_header(path)
    assert path.name in str(refused.value) and str(refused.value).isprintable()
    assert length is None or "cut short" in str(refused.value)
    assert "get it again" in problems(model)[0]


def test_a_header_that_is_true_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"a": ONE, "b": {"dtype": "F16", "shape": [], "data_offsets": [8, 10]}}
    safetensors(path, {"__metadata__": {"format": "pt"}, **tensors}, bytes(10))
    assert read_header(path) == tensors


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_weights_that_were_cut_short_are_named(model, part):
    path = next((model / part).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    assert str(path) in problems(model)[0] and "bytes of weights" in problems(model)[0]


# Sizes


def test_sizes_that_would_be_rounded_are_refused(model):
    assert (size_multiple(model), native_size(model)) == (8, (32, 32))
    assert (
        "multiples of 8 pixels" in problems(model, width=36)[0]
    )  # whole latents, and yet refused by the pipeline
    (model / "transformer").mkdir()
    (model / "transformer/config.json").write_text('{"_class_name": "FluxTransformer2DModel"}')
    assert size_multiple(model) == 8  # 2 × 2 latents are one
    assert "generator.height is 44" in problems(model, height=44)[0]


@pytest.mark.parametrize(
    "config, multiple",
    [
        ({"block_out_channels": [128, 256, 512, 512]}, 8),
        ({"encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024]}, 32),
        ({"temperal_downsample": [False, True, True]}, 8),
        ({"scale_factor_spatial": 16, "temperal_downsample": [False, True, True]}, 16),
        ({}, 8),
    ],
)
def test_the_pixels_of_a_latent_are_those_of_the_vae(model, config, multiple):
    (model / "vae/config.json").write_text(json.dumps(config))
    assert size_multiple(model) == multiple


@pytest.mark.parametrize("size", [0, -8, True, 8.5, "8", [8], [8, "x"], [8, 8, 8], {"a": 8}, 10**30])
def test_a_size_that_is_none_is_a_sentence(model, size):
    write(model / "unet/config.json", sample_size=size)
    with pytest.raises(StudyError, match="sample_size is|a number that no model has"):
        generator(model)


def test_a_model_of_another_shape_than_a_square(model):
    write(model / "unet/config.json", sample_size=[8, 16])
    assert native_size(model) == (32, 64)
    assert image_pixels(generator(model)) == 32 * 64
    assert image_pixels(generator(model, width=16)) == 32 * 16


# Where no model is


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(StudyError, match="a file; it must be a folder"):
        generator(tmp_path / "model.onnx")


def test_a_folder_has_no_revision(model):
    with pytest.raises(StudyError, match="generator.revision is 'main', but generator.model is a folder"):
        generator(model, revision="main")
