"""Where a pipeline runs, and what makes a large model fit a small GPU."""

from collections.abc import Mapping
from typing import Any

from promptflux.errors import StudyError
from promptflux.runtime.job import note


def place(pipeline: Any, settings: Mapping[str, Any], device: str) -> None:
    """Bring a pipeline to its device, as `offload`, `attention`, `vae_slicing`, `vae_tiling`, `channels_last` and `compile` say.

    Raises StudyError if it cannot do one of them; notes what has no effect.
    """
    import torch

    networks = {
        name: getattr(pipeline, name)
        for name in ("unet", "transformer", "prior")
        if getattr(pipeline, name, None) is not None
    }
    vae = next(
        (
            getattr(pipeline, name)
            for name in ("vae", "movq", "vqvae")
            if getattr(pipeline, name, None) is not None
        ),
        None,
    )
    for key, method in (("vae_slicing", "enable_slicing"), ("vae_tiling", "enable_tiling")):
        if not settings[key]:
            continue
        if not hasattr(vae, method):
            raise StudyError(
                f"config.yaml: generator.{key} is true, and {type(pipeline).__name__} cannot do it; set it to false."
            )
        try:
            getattr(vae, method)()
        except NotImplementedError:
            raise StudyError(
                f"config.yaml: generator.{key} is true, and {type(vae).__name__} cannot do it; set it to false."
            ) from None
    if settings["vae_tiling"] and _fits_a_tile(vae, settings):
        note("warning: generator.vae_tiling has no effect, as an image is not larger than a tile")
    if settings["channels_last"]:
        for network in [*networks.values(), *([vae] if vae is not None else [])]:
            network.to(memory_format=torch.channels_last)
    if settings["attention"] is not None:
        _attend(pipeline, networks, settings["attention"])
    if settings["offload"] != "none" and device == "cpu":
        note(f"warning: generator.offload is {settings['offload']}, which has no effect on the CPU")
    if settings["offload"] == "none" or device == "cpu":
        pipeline.to(device)
    elif settings["offload"] == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)
    if settings["compile"]:
        if not networks:
            raise StudyError(
                f"config.yaml: generator.compile is true, and {type(pipeline).__name__} has no network for it; set it to false."
            )
        for network in networks.values():
            network.compile()


def _fits_a_tile(vae: Any, settings: Mapping[str, Any]) -> bool:
    tile = getattr(vae, "tile_sample_min_size", None)
    sides = (settings["width"], settings["height"])
    return isinstance(tile, int) and all(side is not None and side <= tile for side in sides)


def _attend(pipeline: Any, networks: Mapping[str, Any], name: str) -> None:
    """Let the networks attend by a backend of diffusers. U-Nets know two names of their own, `slicing` and `xformers`."""
    what = f"config.yaml: generator.attention is {name}"
    if name.endswith("_hub"):
        raise StudyError(f"{what}, which would run code from the hub; promptflux runs none. Choose another.")
    try:
        if name == "slicing":
            pipeline.enable_attention_slicing()
            return
        if name == "xformers" and "unet" in networks:
            pipeline.enable_xformers_memory_efficient_attention()
            return
        changed = 0
        for network in networks.values():
            network.set_attention_backend(name)
            processors = (getattr(module, "processor", None) for module in network.modules())
            changed += sum(
                getattr(processor, "_attention_backend", None) is not None for processor in processors
            )
    except Exception as error:  # a package that is not there, a GPU that cannot
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise StudyError(f"{what}, which does not work here: {text}.") from None
    if not changed:
        raise StudyError(
            f"{what}, which has no effect on the {' and '.join(networks) or 'networks'} of {type(pipeline).__name__}; set it to null, slicing or xformers."
        )
