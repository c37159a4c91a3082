"""What a PNG says of itself in the words of AUTOMATIC1111's web interface, which many galleries and tools read."""

import json
from collections.abc import Mapping
from typing import Any

# The names of its samplers (modules/sd_samplers_kdiffusion.py), by diffusers' classes.
SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DEISMultistepScheduler": "DEIS",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "DPMSolverSinglestepScheduler": "DPM++ 2S",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "FlowMatchHeunDiscreteScheduler": "Heun",
    "HeunDiscreteScheduler": "Heun",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "KDPM2DiscreteScheduler": "DPM2",
    "LCMScheduler": "LCM",
    "LMSDiscreteScheduler": "LMS",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}


def parameters_text(
    recipe: Mapping[str, Any], made_with: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> str:
    """The text of an image, as `create_infotext` of AUTOMATIC1111's modules/processing.py writes it.

    scheduler: the config of the pipeline's scheduler.
    """
    model = (
        str(recipe["model"]).removeprefix("sha256:")
        if str(recipe.get("model")).startswith("sha256:")
        else None
    )
    fields = {
        "Steps": recipe.get("steps"),
        "Sampler": _sampler(str(made_with["scheduler"]), scheduler),
        "Schedule type": "Karras" if scheduler.get("use_karras_sigmas") else None,
        "CFG scale": _number(recipe.get("guidance_scale")),
        "Seed": recipe["seed"],
        "Size": f"{made_with['width']}x{made_with['height']}",
        "Model hash": model[:10] if model else None,
        "Model": made_with["model"],
        "Clip skip": recipe["clip_skip"] + 1
        if "clip_skip" in recipe
        else None,  # the layer it stops at, from 1
        "Denoising strength": _number(recipe.get("strength")),
        "Version": f"promptflux {made_with['promptflux']}",
    }
    last = ", ".join(f"{key}: {_quoted(value)}" for key, value in fields.items() if value is not None)
    negative = recipe.get("negative_prompt")
    lines = [recipe["prompt"], *([f"Negative prompt: {negative}"] if negative else []), last]
    return "\n".join(lines)


def _sampler(name: str, scheduler: Mapping[str, Any]) -> str:
    if name == "DPMSolverMultistepScheduler":
        return "DPM++ 2M SDE" if str(scheduler.get("algorithm_type")).startswith("sde") else "DPM++ 2M"
    return SAMPLERS.get(name, name.removesuffix("Scheduler"))


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _quoted(value: Any) -> str:
    """As `quote` of modules/generation_parameters_copypaste.py: what would end a field stands in quotes."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",:\n") else text
