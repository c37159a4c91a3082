"""What a study lays over a model: LoRA weights, textual inversions, init images, variants of files, a small GPU's settings."""

import json
import shutil
from pathlib import Path

import diffusers
import generate
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support import pipelines
from support.models import DEFAULTS, stable_diffusion_xl, unet
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.generation.generator import read_generator
from promptflux.generation.init_images import fitted_init, init_image_of
from promptflux.generation.pipeline import make
from promptflux.generation.prompts import Prompt
from promptflux.generation.recipe import Request, by_content, requests
from promptflux.images.provenance import read_mark, read_provenance
from promptflux.paths import Results
from promptflux.study.study import load_study

SETTINGS = DEFAULTS | {"steps": 3, "micro_batch": 1, "threads": 1, "device": "cpu"}
HERE = Path


@pytest.fixture(scope="session")
def sdxl(made_once, tiny_model):
    return made_once("tiny_sdxl_settings", lambda folder: stable_diffusion_xl(tiny_model, folder))


@pytest.fixture
def lora(tmp_path):
    """LoRA weights of the tiny U-Net, in a folder, of another seed each."""
    from peft import LoraConfig, get_peft_model_state_dict

    def lora(name, seed=0, network=None):
        network = network or unet()
        network.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        torch.manual_seed(seed)
        weights = {key: torch.randn_like(value) for key, value in get_peft_model_state_dict(network).items()}
        diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path / name, unet_lora_layers=weights)
        return tmp_path / name

    return lora


@pytest.fixture
def drawn(tmp_path):
    """The pixels of an image, made with some settings, and what is said meanwhile."""

    def drawn(model, prompt="a forest", init=None, **settings) -> np.ndarray:
        recipe = {"prompt": prompt, "seed": 5, "steps": 3, "model": "x"}
        request = Request(tmp_path / "drawn.png", recipe, None, init)
        generator = read_generator({**SETTINGS, "model": str(model), **settings}, find, files_of)
        make([request], generator.settings(), [Prompt("forest", prompt)])
        return np.asarray(Image.open(request.path))

    return drawn


def find(path):
    return Path(path) if Path(path).exists() else None


def files_of(setting):
    return [Path(path) for path in ([setting] if isinstance(setting, str) else setting)]


def plain(model, kind=diffusers.StableDiffusionPipeline):
    torch.set_num_threads(1)
    pipeline = kind.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image_of(pipeline, **asked) -> np.ndarray:
    asked = {"prompt": "a forest", "num_inference_steps": 3, "guidance_scale": 3.0, **asked}
    return np.asarray(pipeline(generator=torch.Generator("cpu").manual_seed(5), **asked).images[0])


def refused(**settings) -> str:
    with pytest.raises(StudyError) as error:
        read_generator({**SETTINGS, **settings}, find, files_of)
    assert str(error.value).isprintable() or "\n" in str(error.value)
    return str(error.value)


# LoRA weights


def test_lora_weights_are_those_of_a_plain_script(drawn, tiny_model, lora):
    one, two = lora("one", 1), lora("two", 2)
    ours = drawn(
        tiny_model, lora=[str(one), {"model": str(two / "pytorch_lora_weights.safetensors"), "scale": 0.5}]
    )
    pipeline = plain(tiny_model)
    pipeline.load_lora_weights(one, adapter_name="one")
    pipeline.load_lora_weights(two, adapter_name="two")
    pipeline.set_adapters(["one", "two"], [1.0, 0.5])
    assert np.array_equal(ours, image_of(pipeline))
    assert not np.array_equal(ours, drawn(tiny_model, lora=str(one)))
    assert not np.array_equal(ours, drawn(tiny_model))


def test_a_scale_of_zero_is_no_lora(drawn, tiny_model, lora):
    assert np.array_equal(drawn(tiny_model, lora={"model": str(lora("one")), "scale": 0}), drawn(tiny_model))


def test_the_recipe_has_the_content_of_lora_weights_not_their_place(tiny_model, lora, tmp_path):
    def recipe(entry):
        settings = read_generator({**SETTINGS, "model": str(tiny_model), "lora": entry}, find).settings()
        return by_content(settings)["lora"]

    place = lora("one", 1)
    [entry] = recipe(str(place))
    assert (
        entry["model"].startswith("sha256:") and entry["scale"] == 1.0 and entry.keys() == {"model", "scale"}
    )
    assert recipe({"model": str(shutil.move(place, tmp_path / "moved")), "scale": 1}) == [entry]
    assert recipe(str(lora("other", 2))) != [entry]


@pytest.mark.parametrize(
    "entry, words",
    [
        (
            "nowhere/at-all",
            "which is not here; if it is a hub id, write {model: nowhere/at-all, revision: ...}",
        ),
        ("not there.safetensors", "there is no such file or folder, nor is it a hub id"),
        ({"model": "LORA", "revision": "main"}, "counts by its content; leave out its revision"),
        ({"model": "LORA", "file": "b.safetensors"}, "names the file 'b.safetensors', which is not in"),
        ("SEVERAL", "which has 'a.safetensors', 'b.safetensors'; write which"),
        ("EMPTY", "where no .safetensors file is"),
        ("PICKLE", "is a Python pickle, which can run code when it is loaded; convert it"),
        ("UNET", "this is no LoRA: none of its"),
        ("BROKEN", "no .safetensors file, or it was cut short"),
    ],
)
def test_what_is_no_lora_is_a_sentence(tiny_model, lora, tmp_path, entry, words):
    def write(name, content=b""):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    places = {
        "LORA": str(lora("one")),
        "SEVERAL": str(Path(write("several/a.safetensors")).parent),
        "EMPTY": str(Path(write("empty/readme.md")).parent),
        "PICKLE": write("lora.pt", b"x"),
        "BROKEN": write("broken.safetensors", b"x"),
        "UNET": str(next((tiny_model / "unet").glob("*.safetensors"))),
    }
    write("several/b.safetensors")
    value = places.get(entry, entry) if isinstance(entry, str) else {**entry, "model": places[entry["model"]]}
    assert words in refused(model=str(tiny_model), lora=value)


def test_lora_weights_of_another_model_are_a_sentence(drawn, tiny_model, lora, tmp_path):
    other = lora("other", network=unet(cross_attention_dim=32, block_out_channels=(32, 64)))
    with pytest.raises(StudyError, match="these LoRA weights do not fit StableDiffusionPipeline"):
        drawn(tiny_model, lora=str(other))
    weights = load_file(other / "pytorch_lora_weights.safetensors")
    renamed = {key.replace("unet.", "transformer."): value for key, value in weights.items()}
    save_file(renamed, tmp_path / "flux.safetensors")
    with pytest.raises(StudyError, match="none of these LoRA weights has a place|do not fit"):
        drawn(tiny_model, lora=str(tmp_path / "flux.safetensors"))


# Textual inversions


def embedding(path, width=16, name="<cat>", vectors=1):
    torch.manual_seed(9)
    save_file({name: torch.randn(vectors, width)}, path)
    return str(path)


def test_a_textual_inversion_is_that_of_a_plain_script(drawn, tiny_model, tmp_path, capsys):
    path = embedding(tmp_path / "cat.safetensors", vectors=2)
    ours = drawn(tiny_model, "a photo of <cat>", textual_inversion=path)
    pipeline = plain(tiny_model)
    pipeline.load_textual_inversion(path)
    assert np.array_equal(ours, image_of(pipeline, prompt="a photo of <cat>"))
    assert not np.array_equal(ours, drawn(tiny_model, "a photo of <cat>"))
    assert "which generator.textual_inversion is for" not in capsys.readouterr().err
    drawn(tiny_model, "a forest", textual_inversion={"model": path, "token": "<dog>"})
    assert "no prompt has the word '<dog>'" in capsys.readouterr().err


def test_an_embedding_of_automatic1111_has_the_name_of_its_file(drawn, tiny_model, tmp_path, capsys):
    path = embedding(tmp_path / "mycat.safetensors", name="emb_params")
    assert not np.array_equal(drawn(tiny_model, "mycat", textual_inversion=path), drawn(tiny_model, "mycat"))


def test_an_embedding_for_both_encoders_of_sdxl(drawn, sdxl, tmp_path):
    torch.manual_seed(9)
    save_file({"clip_l": torch.randn(1, 16), "clip_g": torch.randn(1, 16)}, tmp_path / "both.safetensors")
    with_it = drawn(sdxl, "both", textual_inversion=str(tmp_path / "both.safetensors"))
    assert not np.array_equal(with_it, drawn(sdxl, "both"))


def test_an_embedding_of_another_width_is_a_sentence(drawn, tiny_model, tmp_path):
    with pytest.raises(StudyError, match="this textual inversion does not fit"):
        drawn(tiny_model, "<cat>", textual_inversion=embedding(tmp_path / "cat.safetensors", width=12))
    assert "no textual inversion" in refused(
        model=str(tiny_model), textual_inversion=str(next((tiny_model / "unet").glob("*.safetensors")))
    )


def test_a_pipeline_that_takes_none_says_so(drawn, tiny_model, made_once, lora, tmp_path):
    pixart = made_once("tiny_pixart_settings", lambda folder: pipelines.pixart(tiny_model, folder))
    with pytest.raises(StudyError, match="generator.lora is set, and PixArtSigmaPipeline takes none"):
        drawn(pixart, lora=str(lora("one")))


# Image to image


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.effect_noise((40, 32), 60).convert("RGB").save(path)
    return str(path)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_an_image_starts_from_an_init_image_as_in_a_plain_script(drawn, tiny_model, sdxl, photo, kind):
    model = {"sd": tiny_model, "sdxl": sdxl}[kind]
    ours = drawn(model, init=photo, init_images=photo, strength=0.7)
    pipeline = diffusers.AutoPipelineForImage2Image.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    theirs = image_of(pipeline, image=Image.open(photo), strength=0.7)
    assert ours.shape == (32, 40, 3) and np.array_equal(ours, theirs)
    assert not np.array_equal(ours, drawn(model, init=photo, init_images=photo, strength=0.4))


def test_flux_starts_from_an_image_too(drawn, tiny_model, made_once, photo):
    flux = made_once("tiny_flux_settings", lambda folder: pipelines.flux(tiny_model, folder))
    assert drawn(flux, init=photo, init_images=photo, strength=0.7, width=48, height=32).shape == (32, 48, 3)


def test_an_init_image_is_fitted_to_the_size_that_is_asked(photo, tmp_path):
    settings = {"width": None, "height": None}
    assert fitted_init(photo, settings, 8).size == (40, 32)
    assert fitted_init(photo, settings, 16).size == (32, 32)
    assert fitted_init(photo, {"width": 64, "height": 32}, 8).size == (64, 32)
    with pytest.raises(StudyError, match="at least 64 × 64"):
        fitted_init(photo, settings, 64)


def test_each_image_has_its_init_image():
    paths = ["in/a.png", "in/b.jpg", "in/forest.png"]
    names = ["forest", "city"]
    assert [init_image_of("city", k, paths, names) for k in (1, 2, 3)] == ["in/a.png", "in/b.jpg", "in/a.png"]
    assert [init_image_of("forest", k, paths, names) for k in (1, 2)] == ["in/forest.png"] * 2
    assert init_image_of("city", 1, ["in/forest.png"], names) is None


def study_of(folder, **generator):
    (folder / "prompts.tsv").write_text("name\tprompt\nforest\ta forest\ncity\ta city\n")
    generator = {"model": str(WORKFLOW / "models/scenes"), "images_per_prompt": 2, **generator}
    return load_study(
        {"prompts": "prompts.tsv", "classifiers": ["cnn28"], "generator": generator}, [folder, WORKFLOW]
    )


def test_the_recipe_has_the_content_of_the_init_image(tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(photo, tmp_path / "city.png")
    other = Image.open(photo).rotate(180)
    other.save(tmp_path / "z.png")
    study = study_of(tmp_path, init_images=["photo.png", "z.png", "city.png"])
    names = ["forest_1", "forest_2", "city_1", "city_2"]
    settings = next(iter(study.generators.values())).settings()
    made = requests("prompts.tsv", settings, names, Results(f"{tmp_path}/"))
    inits = [request.recipe["init_image"] for request in made]
    assert inits[0] == inits[2] == inits[3] != inits[1] and inits[0].startswith("sha256:")
    assert "init_images" not in made[0].recipe
    assert {Path(path).name for path in next(iter(study.generators.values())).files()} >= {
        "photo.png",
        "z.png",
    }


def test_init_images_that_are_left_over_or_lacking_are_said(tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        shutil.copy(photo, tmp_path / f"{name}.png")
    with pytest.raises(StudyError, match="names 'c.png', 'photo.png', from which no image would start"):
        study_of(tmp_path, init_images="*.png")
    shutil.copy(photo, tmp_path / "city.png")
    with pytest.raises(StudyError, match="has none for the prompt 'forest'"):
        study_of(tmp_path, init_images="city.png")
    with pytest.raises(StudyError, match="generator.init_images names 'nowhere'"):
        study_of(tmp_path, init_images="nowhere")


def test_an_init_image_that_is_huge_needs_a_size(tiny_model, tmp_path):
    Image.new("L", (4000, 3000)).save(tmp_path / "huge.png")
    huge = {"model": str(tiny_model), "init_images": str(tmp_path / "huge.png")}
    assert "has 4000 × 3000 pixels" in refused(**huge)
    assert read_generator({**SETTINGS, **huge, "width": 32, "height": 32}, find, files_of).init_images


# What would do nothing


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"strength": 0.5}, "strength is 0.5, which has no effect without init_images"),
        ({"strength": 0.2, "init_images": "photo.png"}, "0.2 of 3 steps, which is not one step"),
        ({"offload": "model"}, "offload is model, which has no effect as generator.device is cpu"),
        ({"variant": "fp16"}, "has no weights of it; set it to null"),
        ({"model_config": "models/scenes"}, "which only a model in a single file needs"),
    ],
)
def test_a_setting_without_effect_is_refused_while_planning(tiny_model, settings, words):
    assert words in refused(model=str(tiny_model), **settings)


def test_settings_that_nobody_uses_are_in_no_recipe(tiny_model):
    settings = read_generator({**SETTINGS, "model": str(tiny_model)}, find).settings()
    from promptflux.generation.recipe import named

    assert named(by_content(settings)).keys() == {
        "model", "steps", "guidance_scale", "micro_batch", "threads", "device",
    }  # fmt: skip
    asked = json.loads(json.dumps(settings))
    assert asked == settings  # as Snakemake hands it on


# Variants of files, and a small GPU


def test_a_variant_of_the_files_is_what_is_loaded(drawn, tiny_model, tmp_path, capsys):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    plain(tiny_model).to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    for path in (tmp_path / "half").glob("*/*.fp16.safetensors"):
        shutil.copy(path, model / path.parent.name)
    half = drawn(model, variant="fp16")
    assert np.array_equal(
        half,
        image_of(
            diffusers.StableDiffusionPipeline.from_pretrained(model, variant="fp16", dtype=torch.float32)
        ),
    )
    assert not np.array_equal(half, drawn(model))
    assert "it has fp16" in refused(model=str(model), variant="ema")
    next((model / "vae").glob("*fp16*")).unlink()
    drawn(model, variant="fp16")
    assert "has no files of the variant fp16" in capsys.readouterr().err
    next((model / "unet").glob("diffusion_pytorch_model.safetensors")).unlink()
    assert "has weights of the variant fp16 alone; set generator.variant to fp16" in refused(model=str(model))


def test_layouts_and_slices_make_the_same_image(drawn, tiny_model, capsys):
    image = drawn(tiny_model).astype(int)
    for more in (
        {"channels_last": True},
        {"vae_slicing": True},
        {"vae_tiling": True},
        {"attention": "slicing"},
    ):
        assert np.abs(drawn(tiny_model, **more) - image).max() <= 2, more
    printed = capsys.readouterr().err
    assert "generator.vae_slicing has no effect, as micro_batch is 1" in printed
    drawn(tiny_model, vae_tiling=True, width=32, height=32)
    assert "vae_tiling has no effect, as an image is not larger than a tile" in capsys.readouterr().err
    drawn(tiny_model, device="auto", offload="model")
    if not torch.cuda.is_available():
        assert "offload is model, which has no effect on the CPU" in capsys.readouterr().err


def test_tiles_are_decoded_one_by_one(drawn, tiny_model):
    whole, tiles = (drawn(tiny_model, width=128, height=128, vae_tiling=tiling) for tiling in (False, True))
    assert not np.array_equal(whole, tiles)


@pytest.mark.parametrize(
    "name, words",
    [
        ("no_such", "does not work here"),
        ("sage", "does not work here"),
        ("flash_hub", "would run code from the hub"),
        ("native", "has no effect on the unet of StableDiffusionPipeline"),
    ],
)
def test_attention_that_does_not_work_is_a_sentence(drawn, tiny_model, name, words):
    with pytest.raises(StudyError, match=words):
        drawn(tiny_model, attention=name)


def test_a_transformer_attends_by_a_backend(drawn, tiny_model, made_once):
    flux = made_once("tiny_flux_settings", lambda folder: pipelines.flux(tiny_model, folder))
    image = drawn(flux, width=32, height=32).astype(int)
    try:
        assert np.abs(drawn(flux, width=32, height=32, attention="_native_math") - image).max() <= 2
    finally:
        from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

        _AttentionBackendRegistry.set_active_backend(AttentionBackendName.NATIVE)


def test_clip_skip_is_that_of_a_plain_script(drawn, tiny_model, tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModel

    pipeline = plain(tiny_model)
    torch.manual_seed(3)
    deeper = pipeline.text_encoder.config.to_dict() | {"num_hidden_layers": 3}
    pipeline.text_encoder = CLIPTextModel(CLIPTextConfig(**deeper)).eval()
    pipeline.save_pretrained(tmp_path / "deeper")
    ours = drawn(tmp_path / "deeper", clip_skip=1)
    encoder = pipeline.text_encoder

    def embedded(text):
        """What diffusers means by it: the layer before the last, and CLIP's last norm."""
        tokens = pipeline.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return encoder.final_layer_norm(encoder(tokens, output_hidden_states=True).hidden_states[-2])

    with torch.no_grad():
        embeds = {"prompt_embeds": embedded("a forest"), "negative_prompt_embeds": embedded("")}
    skipped, others = image_of(pipeline, prompt=None, **embeds), drawn(tmp_path / "deeper")
    # Without a negative prompt of its own the last layer is read, in diffusers, too
    embeds["negative_prompt_embeds"] = encoder(
        pipeline.tokenizer("", padding="max_length", max_length=77, return_tensors="pt").input_ids
    )[0].detach()
    assert np.array_equal(ours, image_of(pipeline, prompt=None, **embeds))
    assert not np.array_equal(ours, others) and not np.array_equal(ours, skipped)


# What comes out is looked at


def test_a_bad_image_is_marked_where_the_study_goes_on(tiny_model, tmp_path, capsys):
    from support.models import change_weights

    model = shutil.copytree(tiny_model, tmp_path / "model")
    change_weights(model, "vae", lambda tensors: tensors["decoder.conv_out.weight"].zero_())
    change_weights(model, "vae", lambda tensors: tensors["decoder.conv_out.bias"].fill_(-9.0))
    request = Request(tmp_path / "forest_1.png", {"prompt": "a forest", "seed": 1, "steps": 1, "model": "x"})
    settings = SETTINGS | {"model": str(model), "steps": 1}
    make([request], settings, [], on_bad_image="test_pattern")
    made_with = read_provenance(request.path)["made_with"]
    assert made_with["problem"].startswith("it came out all black. The likely reasons are broken weights")
    assert "forest_1.png is no picture: it came out all black" in capsys.readouterr().err
    assert read_mark(request.path) == made_with["problem"]
    assert request.kept("test_pattern") and request.kept("stop") is None
    with pytest.raises(StudyError, match="all black"):
        make([request], settings, [])


def test_what_a_safety_checker_blacked_out_is_recorded_and_said_in_each_run(tiny_model, tmp_path, capsys):
    model = pipelines.with_safety_checker(tiny_model, tmp_path / "model")
    (tmp_path / "prompts.tsv").write_text("name\tprompt\nforest\ta forest\n")
    settings = read_generator(SETTINGS | {"model": str(model)}, find).settings()
    asked = {
        "settings": settings,
        "names": ["forest_1"],
        "checksums": f"{tmp_path}/results/checksums/prompts.sha256",
    }
    generate.main(prompts=str(tmp_path / "prompts.tsv"), **asked)
    path = tmp_path / "results/images/forest_1.png"
    said = "warning: the model's safety checker blacked out forest_1.png"
    assert capsys.readouterr().err.count(said) == 1
    assert not np.asarray(Image.open(path)).any()
    assert read_provenance(path)["made_with"]["safety_checker"] == "blacked out"
    assert read_mark(path) == "the model's safety checker blacked it out"
    made = path.stat().st_mtime_ns
    generate.main(prompts=str(tmp_path / "prompts.tsv"), **asked)
    assert capsys.readouterr().err.count(said) == 1 and path.stat().st_mtime_ns == made
