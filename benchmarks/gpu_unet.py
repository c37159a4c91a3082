"""A U-Net of Stable Diffusion 1.5's exact configuration: images per second, memory, share of the card's rate.

    python benchmarks/gpu_unet.py [--batch 8] [--steps 25] [--rounds 3] [--no-compile] [--table TSV]
    python benchmarks/gpu_unet.py --small    # a small network, to try all this on a CPU

At 512×512, with classifier-free guidance, from the first latents to the last; the text encoder
and the decoder are left out. The weights are random: time does not depend on them. The first way is
one image a call with the default settings; each of the others adds one thing to the one
above it. All use fused attention, which diffusers does by itself. The arithmetic of a network
evaluation is counted by PyTorch, and divided by the rate of a large matrix product in the
same number format. Writes gpu_unet.tsv beside itself, or the table that is named; a small run only such a one.
"""

import argparse
import gc
import statistics
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging
from measured import machine, write_table
from torch.utils.flop_counter import FlopCounterMode

# unet/config.json of stable-diffusion-v1-5/stable-diffusion-v1-5, whose other keys are diffusers' defaults.
SD15 = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD15_PARAMETERS = 859_520_964
SMALL = SD15 | {"sample_size": 16, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 64}
TOKENS = 77
GUIDANCE = 7.5


def main(batch: int, steps: int, rounds: int, small: bool, compile: bool, table: Path | None) -> None:
    logging.set_verbosity_error()
    config = SMALL if small else SD15
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not small:
        raise SystemExit("There is no GPU here; --small tries the benchmark on the CPU.")
    batch, steps, rounds = (2, 2, 1) if small else (batch, steps, rounds)
    arithmetic = steps * flops_per_image(config)
    size = 512 if small else 8192
    rate = {dtype: matrix_rate(device, dtype, size) for dtype in (torch.float32, torch.bfloat16)}
    ways = [
        ("one image a call, default settings", 1, torch.float32, False, False),
        (f"{batch} images a call", batch, torch.float32, False, False),
        ("+ bfloat16", batch, torch.bfloat16, False, False),
        ("+ channels_last", batch, torch.bfloat16, True, False),
    ]
    if compile:
        ways.append(("+ compiled", batch, torch.bfloat16, True, True))
    rows = []
    for way, images, dtype, channels_last, compiled in ways:
        unet = network(config, device, dtype, channels_last, compiled)
        seconds, memory = measure(unet, config, device, dtype, images, steps, rounds)
        per_second = images / seconds
        rows.append(
            {
                "way": way,
                "images_per_s": f"{per_second:.3g}",
                "to_first": f"{per_second / float(rows[0]['images_per_s']) if rows else 1:.2f}",
                "memory_gb": f"{memory / 1e9:.2f}" if memory else "",
                "tflop_per_image": f"{arithmetic / 1e12:.3g}",
                "tflop_per_s": f"{arithmetic * per_second / 1e12:.3g}",
                "matrix_rate_tflop_per_s": f"{rate[dtype] / 1e12:.3g}",
                "share_of_matrix_rate": f"{arithmetic * per_second / rate[dtype]:.2f}",
            }
        )
        print("\t".join(rows[-1].values()), flush=True)
        del unet
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    comment = f"{steps} steps, median of {rounds} rounds; {card}, {machine('torch', 'diffusers')}"
    if small:
        comment = f"a small network; {comment}"
    if table or not small:
        write_table(table or Path(__file__).with_suffix(".tsv"), comment, rows)


def network(config: dict, device, dtype, channels_last: bool, compiled: bool) -> torch.nn.Module:
    """The U-Net with random weights."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**config).to(device, dtype).eval().requires_grad_(False)
    if channels_last:
        unet.to(memory_format=torch.channels_last)
    return torch.compile(unet) if compiled else unet


def flops_per_image(config: dict) -> int:
    """The arithmetic of one network evaluation for one image: two rows, with the prompt and without.

    A multiplication and an addition count as two. Counted without computing, on PyTorch's `meta` device.
    """
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
        latents, text = inputs(config, torch.device("meta"), torch.float32, 1)
    if config is SD15:
        assert sum(parameter.numel() for parameter in unet.parameters()) == SD15_PARAMETERS
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet(torch.cat([latents] * 2), torch.zeros((), device="meta"), text)
    return counter.get_total_flops()


def inputs(config: dict, device, dtype, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random latents [N, 4, H, W], and a text's embedding [2N, 77, D] without and with the prompt."""
    side = config["sample_size"]
    latents = torch.randn(images, 4, side, side, device=device, dtype=dtype)
    text = torch.randn(2 * images, TOKENS, config["cross_attention_dim"], device=device, dtype=dtype)
    return latents, text


@torch.inference_mode()
def measure(unet, config, device, dtype, images: int, steps: int, rounds: int) -> tuple[float, int]:
    """The median seconds of a whole sampling of `images` images, and the most bytes of GPU memory; 0 on a CPU."""
    latents, text = inputs(config, device, dtype, images)
    sample(unet, latents, text, 2)  # compiles, chooses algorithms, fills caches
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        sample(unet, latents, text, steps)
        wait(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def sample(unet, latents: torch.Tensor, text: torch.Tensor, steps: int) -> torch.Tensor:
    """Denoise with classifier-free guidance, as the Stable Diffusion pipeline does."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    scheduler.set_timesteps(steps, device=latents.device)
    for timestep in scheduler.timesteps:
        without, with_prompt = unet(torch.cat([latents] * 2), timestep, text).sample.chunk(2)
        noise = without + GUIDANCE * (with_prompt - without)
        latents = scheduler.step(noise, timestep, latents).prev_sample
    return latents


@torch.inference_mode()
def matrix_rate(device, dtype, size: int) -> float:
    """Floating-point operations a second of the product of two square matrices, the best of ten."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(11):
        wait(device)
        start = time.perf_counter()
        a @ b
        wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def wait(device) -> None:
    """Wait until the GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    main(**vars(parser.parse_args()))
