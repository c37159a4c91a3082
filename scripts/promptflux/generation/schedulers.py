"""The scheduler that a study chooses in place of the model's own: its names, and which models it is for."""

import inspect
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, shown
from promptflux.generation.model_folder import read_object

# Short names, as AUTOMATIC1111 and diffusers' documentation have them
# (https://huggingface.co/docs/diffusers/api/schedulers/overview), with the options that they imply.
# What a name leaves open stays as the model has it.
SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++_2s": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++_sde": ("DPMSolverSDEScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "pndm": ("PNDMScheduler", {}),
    "sa_solver": ("SASolverScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
# Which schedulers take each other's place. Those of noise: what diffusers calls compatible with one of
# them, and the two that distilled models (LCM, TCD) and their LoRAs are sampled with.
OF_NOISE = {
    "DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler",
    "HeunDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "DEISMultistepScheduler", "UniPCMultistepScheduler", "DPMSolverSDEScheduler", "EDMEulerScheduler",
    "DDIMParallelScheduler", "DDPMParallelScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler",
}  # fmt: skip
OF_FLOW = {
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "LTXEulerAncestralRFScheduler",
}
# Those of noise that sample flow models, too, if they are told: SD3's, FLUX.1's, Sana's.
TOLD = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
OF_BOTH = {
    "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "SASolverScheduler",
    "UniPCMultistepScheduler",
}  # fmt: skip


def read_scheduler(value: str | Mapping | None) -> dict[str, Any] | None:
    """`generator.scheduler` with the class's own name: `name`, and the options. None is None.

    value: a short or class name, or a mapping with `name` and options. Raises StudyError for a name that is unknown.
    """
    if value is None:
        return None
    name = value if isinstance(value, str) else value["name"]
    given = {} if isinstance(value, str) else {key: item for key, item in value.items() if key != "name"}
    if name in OF_NOISE | OF_FLOW or re.fullmatch(r"[A-Za-z0-9]+Scheduler", name):
        return {"name": name, **given}
    short = re.sub(r"[ _-]+", "_", name.strip().lower().replace("++", "++ ")).strip("_")
    bare = short.removesuffix("_karras")
    if bare not in SHORT:
        near = get_close_matches(short, SHORT, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise StudyError(
            f"config.yaml: generator.scheduler is {shown(name)}, which is no scheduler{hint}; the short names are "
            f"{', '.join(SHORT)}, most of them also with _karras at their end, and a class name of diffusers is welcome."
        )
    class_name, implied = SHORT[bare]
    karras = {"use_karras_sigmas": True} if bare != short else {}
    return {"name": class_name, **implied, **karras, **given}


def scheduler_problem(chosen: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
    """A sentence if a scheduler is not for the model whose scheduler_config.json is `own`; None if it is."""
    name, own_name = chosen["name"], own.get("_class_name")
    is_flow = own_name in OF_FLOW or bool(own.get("use_flow_sigmas"))
    told = {key: chosen.get(key, own.get(key)) for key in TOLD} == TOLD
    if name == own_name:
        return None
    model = f"the model's own is {own_name}"
    if is_flow and name in OF_BOTH and not told:
        options = ", ".join(f"{key}: {str(value).lower()}" for key, value in TOLD.items())
        return (
            f"config.yaml: generator.scheduler is {name}, and {model}, which samples a flow; for such a model write "
            f"scheduler: {{name: {name}, {options}}}."
        )
    wanted = OF_FLOW | OF_BOTH if is_flow else OF_NOISE if own_name in OF_NOISE else {own_name}
    if name not in wanted:
        known = ", ".join(sorted(map(str, wanted)))
        return f"config.yaml: generator.scheduler is {name}, and {model}; those that can take its place are {known}."
    return None


def folder_scheduler_problems(folder: Path, chosen: Mapping[str, Any] | None) -> list[str]:
    """The same of a model's folder; what is wrong with its own config is said elsewhere."""
    path = folder / "scheduler" / "scheduler_config.json"
    if chosen is None or not path.is_file():
        return []
    problem = scheduler_problem(chosen, read_object(path))
    return [problem] if problem else []


def make_scheduler(chosen: Mapping[str, Any], own: Any, pipeline_class: type) -> Any:
    """The scheduler that is chosen, with the settings of the model's `own`, and its options over them.

    Raises StudyError if diffusers has none of the name, or one that does not take an option, or if
    the pipeline calls it with what it does not take.
    """
    import diffusers

    name, options = chosen["name"], {key: value for key, value in chosen.items() if key != "name"}
    found = getattr(diffusers, name, None)
    what = f"config.yaml: generator.scheduler is {name}"
    if not isinstance(found, type):
        raise StudyError(f"{what}, which diffusers {diffusers.__version__} does not have.")
    if needed := [package for package in getattr(found, "_backends", ()) if package != "torch"]:
        raise StudyError(
            f"{what}, which needs the package {', '.join(needed)}; install it, or choose another."
        )
    if not issubclass(found, diffusers.SchedulerMixin):
        raise StudyError(f"{what}, which is no scheduler of diffusers {diffusers.__version__}.")
    if problem := scheduler_problem(chosen, {**own.config, "_class_name": type(own).__name__}):
        raise StudyError(problem)
    kind: Any = found
    taken = [key for key in inspect.signature(kind.__init__).parameters if key != "self"]
    if unknown := [key for key in options if key not in taken]:
        raise StudyError(f"{what}, which takes no {', '.join(unknown)}; its options are {', '.join(taken)}.")
    steps = inspect.signature(kind.set_timesteps).parameters
    if "original_inference_steps" in inspect.signature(pipeline_class.__call__).parameters and (
        "original_inference_steps" not in steps
    ):
        raise StudyError(f"{what}; {pipeline_class.__name__} samples with LCMScheduler alone.")
    try:
        return kind.from_config(own.config, **options)
    except Exception as error:  # each scheduler refuses values in a way of its own
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise StudyError(f"{what}, which cannot be made with {shown(options)}: {text}.") from None
