"""A diffusers pipeline of Stable Diffusion as one file in the layout that it was published in, as Civitai has them."""

import re
from pathlib import Path

from safetensors.torch import load_file, save_file

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


def single_file(folder: Path, path: Path, layers: int = 1, leave_out: str = "") -> Path:
    """`folder`'s weights in one file. layers: per block of its U-Net. leave_out: what the tensors begin with that are not in it."""
    tensors = {}
    for part, rename in (("unet", unet_name), ("vae", vae_name), ("text_encoder", text_name)):
        for name, tensor in load_file(next((folder / part).glob("*.safetensors"))).items():
            new = rename(name, layers)
            if re.search(r"mid\.attn_1\.(q|k|v|proj_out)\.weight", new):
                tensor = tensor[:, :, None, None]
            if not leave_out or not new.startswith(leave_out):
                tensors[new] = tensor.contiguous()
    save_file(tensors, path)
    return path


def unet_name(name: str, layers: int) -> str:
    step = layers + 1
    for old, new in ENDS.items():
        if name.startswith(f"{old}."):
            return f"model.diffusion_model.{new}{name[len(old) :]}"
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        kind, number, rest = match.groups()
        place = f"middle_block.{1 if kind == 'attentions' else 2 * int(number)}"
    elif match := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)", name):
        return f"model.diffusion_model.input_blocks.{step * (int(match[1]) + 1)}.0.op.{match[2]}"
    elif match := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.*)", name):
        # Beside the resnet, and the attention of the first up block of the tiny model
        return f"model.diffusion_model.output_blocks.{step * int(match[1]) + layers}.2.conv.{match[2]}"
    else:
        match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name)
        way, block, kind, number, rest = match.groups()
        inner = step * int(block) + int(number) + (1 if way == "down" else 0)
        place = f"{'input' if way == 'down' else 'output'}_blocks.{inner}.{int(kind == 'attentions')}"
    if kind == "resnets":
        part, _, end = rest.partition(".")
        rest = f"{RESNET[part]}.{end}"
    return f"model.diffusion_model.{place}.{rest}"


def vae_name(name: str, layers: int, blocks: int = 3) -> str:
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)",
        lambda found: f"up.{blocks - 1 - int(found[1])}.block.{found[2]}",
        name,
    )
    name = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{blocks - 1 - int(found[1])}.upsample", name
    )
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    for old, new in (
        ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
        ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"),
    ):  # fmt: skip
        name = name.replace(f".{old}.", f".{new}.")
    return f"first_stage_model.{name}"


def text_name(name: str, layers: int) -> str:
    return f"cond_stage_model.transformer.text_model.{name}"
