"""The scheduler that a study chooses: its names, which models it is for, and that it samples as a plain script does."""

import inspect
import json

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from support.models import DEFAULTS, latent_consistency

from promptflux.errors import StudyError
from promptflux.generation.model_folder import read_object
from promptflux.generation.pipeline import make
from promptflux.generation.recipe import Request
from promptflux.generation.schedulers import (
    OF_BOTH,
    OF_FLOW,
    OF_NOISE,
    SHORT,
    TOLD,
    folder_scheduler_problems,
    make_scheduler,
    read_scheduler,
    scheduler_problem,
)
from promptflux.images.provenance import read_provenance

SETTINGS = DEFAULTS | {"steps": 3, "micro_batch": 1, "threads": 1, "device": "cpu"}


@pytest.mark.parametrize(
    "value, read",
    [
        (None, None),
        ("ddim", {"name": "DDIMScheduler"}),
        ("DDIM", {"name": "DDIMScheduler"}),
        ("Euler a", {"name": "EulerAncestralDiscreteScheduler"}),
        ("euler-a", {"name": "EulerAncestralDiscreteScheduler"}),
        ("dpm++", {"name": "DPMSolverMultistepScheduler"}),
        (
            "DPM++ 2M Karras",
            {
                "name": "DPMSolverMultistepScheduler",
                "algorithm_type": "dpmsolver++",
                "use_karras_sigmas": True,
            },
        ),
        (
            {"name": "euler_karras", "timestep_spacing": "trailing"},
            {"name": "EulerDiscreteScheduler", "use_karras_sigmas": True, "timestep_spacing": "trailing"},
        ),
        (
            {"name": "dpm++_2m", "algorithm_type": "sde-dpmsolver++"},
            {"name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"},
        ),
        ("UniPCMultistepScheduler", {"name": "UniPCMultistepScheduler"}),
    ],
)
def test_a_scheduler_has_short_names_and_its_class_name(value, read):
    assert read_scheduler(value) == read


@pytest.mark.parametrize(
    "name, hint", [("ddimm", "did you mean ddim?"), ("os.system", ""), ("", ""), ("+", "")]
)
def test_a_name_that_is_unknown_is_a_sentence(name, hint):
    with pytest.raises(StudyError, match="which is no scheduler") as refused:
        read_scheduler(name)
    assert hint in str(refused.value) and "euler_a" in str(refused.value)


def test_the_families_are_those_of_diffusers():
    """Who takes whose place is known while planning, without diffusers."""
    assert set(diffusers.DDIMScheduler._compatibles) <= OF_NOISE
    for name in OF_NOISE | OF_FLOW | {name for name, _ in SHORT.values()}:
        kind = getattr(diffusers, name)
        if set(getattr(kind, "_backends", ())) - {"torch"}:
            continue  # scipy or torchsde are not here
        assert issubclass(kind, diffusers.SchedulerMixin)
        assert set(kind._compatibles) <= OF_NOISE | OF_FLOW
        takes = "use_flow_sigmas" in inspect.signature(kind.__init__).parameters
        assert takes == (name in OF_BOTH), name
    for name, implied in SHORT.values():
        kind = getattr(diffusers, name)
        if not set(getattr(kind, "_backends", ())) - {"torch"}:
            assert implied.keys() <= inspect.signature(kind.__init__).parameters.keys()


def test_a_scheduler_of_another_family_is_refused_while_planning(tiny_model):
    assert folder_scheduler_problems(tiny_model, None) == []
    assert folder_scheduler_problems(tiny_model, {"name": "LCMScheduler"}) == []
    (problem,) = folder_scheduler_problems(tiny_model, {"name": "FlowMatchEulerDiscreteScheduler"})
    assert "the model's own is DPMSolverMultistepScheduler" in problem and "DDIMScheduler" in problem


def test_a_flow_model_takes_a_scheduler_that_is_told_so():
    own = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    assert scheduler_problem({"name": "FlowMatchHeunDiscreteScheduler"}, own) is None
    assert "take its place are DEIS" in scheduler_problem({"name": "DDIMScheduler"}, own)
    untold = scheduler_problem({"name": "UniPCMultistepScheduler"}, own)
    assert (
        "{name: UniPCMultistepScheduler, prediction_type: flow_prediction, use_flow_sigmas: true}" in untold
    )
    assert scheduler_problem({"name": "UniPCMultistepScheduler"} | TOLD, own) is None
    assert scheduler_problem({"name": "UnCLIPScheduler"}, {"_class_name": "DDPMWuerstchenScheduler"})


@pytest.mark.parametrize(
    "chosen, words",
    [
        ({"name": "NoSuchScheduler"}, "does not have"),
        ({"name": "UNet2DConditionModelScheduler"}, "does not have"),
        ({"name": "DPMSolverSDEScheduler"}, "needs the package torchsde"),
        ({"name": "DDIMScheduler", "use_karras_sigmas": True}, "takes no use_karras_sigmas; its options are"),
        ({"name": "DEISMultistepScheduler", "solver_order": 2, "algorithm_type": "x"}, "cannot be made with"),
        ({"name": "FlowMatchEulerDiscreteScheduler"}, "those that can take its place"),
    ],
)
def test_what_a_scheduler_cannot_do_is_a_sentence(chosen, words):
    own = diffusers.DDIMScheduler()
    with pytest.raises(StudyError, match=words):
        make_scheduler(chosen, own, diffusers.StableDiffusionPipeline)


def test_a_consistency_pipeline_keeps_its_scheduler(tiny_model, tmp_path):
    folder = latent_consistency(tiny_model, tmp_path / "lcm")
    request = Request(tmp_path / "forest_1.png", {"prompt": "a forest", "seed": 1})
    with pytest.raises(StudyError, match="samples with LCMScheduler alone"):
        make([request], SETTINGS | {"model": str(folder), "scheduler": {"name": "DDIMScheduler"}}, [])
    assert not request.path.exists()


@pytest.mark.parametrize("chosen", ["ddim", "euler", {"name": "unipc", "use_karras_sigmas": True}])
def test_it_samples_as_a_plain_script_does(tiny_model, tmp_path, chosen):
    request = Request(tmp_path / "forest_1.png", {"prompt": "a forest", "seed": 11})
    read = read_scheduler(chosen)
    make([request], SETTINGS | {"model": str(tiny_model), "scheduler": read}, [])

    torch.set_num_threads(1)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(tiny_model)
    pipeline.set_progress_bar_config(disable=True)
    options = {key: value for key, value in read.items() if key != "name"}
    pipeline.scheduler = getattr(diffusers, read["name"]).from_config(pipeline.scheduler.config, **options)
    theirs = pipeline(
        "a forest",
        generator=torch.Generator("cpu").manual_seed(11),
        num_inference_steps=3,
        guidance_scale=3.0,
    ).images[0]
    assert np.array_equal(np.asarray(Image.open(request.path)), np.asarray(theirs))
    assert read_provenance(request.path)["made_with"]["scheduler"] == read["name"]
    own = read_object(tiny_model / "scheduler/scheduler_config.json")
    assert own["_class_name"] == "DPMSolverMultistepScheduler" and json.dumps(read)
