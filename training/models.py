"""The parts of models/scenes before training: a Stable Diffusion pipeline in small.

128 × 128 pixels become latents (AutoencoderKL); a U-Net removes their noise while it looks at the 77 token
states of a CLIP text model. Few channels at full resolution and attention at the two smallest sizes only: two CPU
cores are to draw a picture in half a second.
"""

from collections.abc import Iterable, Sequence

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIZE, TEXT_STATES = 128, 128
OBJECTIVES = ("v_prediction", "flow_prediction")
STEPS, GUIDANCE = 20, 3.0  # how pictures are sampled
START, END = "<|startoftext|>", "<|endoftext|>"


def new_tokenizer(captions: Iterable[str], vocabulary: int = 2048) -> CLIPTokenizer:
    """A CLIP tokenizer (lower case, byte-level BPE) whose merges are learned from `captions`.

    All 256 bytes are in the vocabulary, inside a word and at its end, so any text has tokens.
    """
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # CLIP's own
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    captions = list(captions)

    def train(ends: list[str]) -> None:
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            initial_alphabet=alphabet,
            special_tokens=ends,
            end_of_word_suffix="</w>",
            show_progress=False,
        )
        bpe.train_from_iterator(captions, trainer)

    # Of equal counts the trainer takes the lower numbers first, and it numbers the ends of words as it meets
    # them, in another order in each process. A second time they are numbered beforehand.
    train([])
    train(sorted(token for token in bpe.get_vocab() if len(token) == 5 and token.endswith("</w>")))
    merges = [tuple(merge) for merge in _merges(bpe)]
    tokens = [
        *alphabet,
        *(symbol + "</w>" for symbol in alphabet),
        *("".join(merge) for merge in merges),
        START,
        END,
    ]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges=merges, model_max_length=77
    )


def _merges(bpe: Tokenizer) -> list[list[str]]:
    import json

    return [
        merge.split(" ") if isinstance(merge, str) else merge
        for merge in json.loads(bpe.to_str())["model"]["merges"]
    ]


def new_text_model(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text model with 3 layers of 128 channels; its last hidden states [N, 77, 128] steer the U-Net."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_STATES,
            intermediate_size=4 * TEXT_STATES,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_STATES,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_autoencoder(widths: Sequence[int], latent_channels: int) -> AutoencoderKL:
    """Images [N, 3, 128, 128] in -1..1 to latents [N, latent_channels, h, w] and back; h and w are halved between two `widths`.

    Without attention, so any multiple of that factor will do. It begins as a passage for colors averaged over as many
    pixels. From PyTorch's own initialization, which drowns them in biases, noise and group norms, it takes a thousand
    steps to find that passage (PSNR 20 dB after 1000 steps); from here it passes that point within a hundred.
    """
    model = AutoencoderKL(
        sample_size=SIZE,
        latent_channels=latent_channels,
        block_out_channels=tuple(widths),
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    for name, conv in model.named_modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        nn.init.zeros_(conv.bias)
        if "resnets" in name and "shortcut" not in name:
            conv.weight.data.mul_(0.1 if name.endswith("conv2") else 1.0)  # residual branches begin small
        else:
            conv.weight.data.mul_(0.3)
            conv.weight.data.add_(_passage(conv.weight.shape, averaging="downsamplers" in name))
    model.quant_conv.bias.data[
        latent_channels:
    ] = -6.0  # log variance: the latents begin nearly without noise
    return model


def _passage(shape: tuple[int, int, int, int], averaging: bool) -> torch.Tensor:
    """A convolution weight [O, I, k, k] that hands each channel on, at its center or averaged over the kernel."""
    out, into, side, _ = shape
    channels = torch.zeros(out, into)
    both = torch.arange(max(out, into))
    channels[both % out, both % into] = 1.0
    channels /= channels.sum(1, keepdim=True)
    weight = torch.zeros(shape)
    if averaging:
        return weight + channels[:, :, None, None] / side**2
    weight[:, :, side // 2, side // 2] = channels
    return weight


def new_unet(widths: Sequence[int], latent_channels: int, side: int) -> UNet2DConditionModel:
    """Noisy latents [N, C, side, side], timesteps [N] and text states [N, 77, 128] to what its objective predicts, in that shape.

    widths: the channels from the largest size to the smallest, which is halved between two of them; attention at the
    last two. The last layer of every residual branch begins at zero, so that training starts from a short network.
    """
    attends = [place >= len(widths) - 2 for place in range(len(widths))]
    model = UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=tuple(widths),
        down_block_types=tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)),
        layers_per_block=1,
        cross_attention_dim=TEXT_STATES,
        attention_head_dim=4,  # diffusers' name for the number of heads
        norm_num_groups=8,
    )
    for name, module in model.named_modules():
        if name == "conv_out" or name.endswith((".conv2", ".proj_out")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def new_scheduler(objective: str) -> DPMSolverMultistepScheduler:
    """The stochastic DPM-Solver++ (second order), which draws well in 20 steps, for a U-Net with one of OBJECTIVES.

    Fresh noise in each step lets the later ones mend what a small network got wrong in the earlier ones (Karras et al.
    2022, arXiv:2206.00364): the solver without it leaves trees and boats half made.
    """
    times = {"num_train_timesteps": 1000, "algorithm_type": "sde-dpmsolver++", "prediction_type": objective}
    if (
        objective == "flow_prediction"
    ):  # straight lines from picture to noise (Lipman et al. 2023, arXiv:2210.02747)
        return DPMSolverMultistepScheduler(**times, use_flow_sigmas=True, flow_shift=1.0)
    return DPMSolverMultistepScheduler(
        **times,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        rescale_betas_zero_snr=True,  # the last step is pure noise (Lin et al. 2023, arXiv:2305.08891)
        timestep_spacing="trailing",
        steps_offset=1,
    )


def signal_and_noise(scheduler: DPMSolverMultistepScheduler) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of a picture and how much of the noise there is at each timestep of a scheduler: float32 [T] each, in 0..1."""
    if scheduler.config.prediction_type == "flow_prediction":
        noise = torch.arange(scheduler.config.num_train_timesteps) / scheduler.config.num_train_timesteps
        return 1 - noise, noise
    alphas = scheduler.alphas_cumprod
    return alphas.sqrt(), (1 - alphas).sqrt()


def target_of(
    objective: str, clean: torch.Tensor, noise: torch.Tensor, signal: torch.Tensor, noisy: torch.Tensor
) -> torch.Tensor:
    """What the U-Net predicts of the latents `signal` × clean + `noisy` × noise: a velocity."""
    if objective == "flow_prediction":
        return noise - clean
    return signal * noise - noisy * clean  # Salimans and Ho 2022, arXiv:2202.00512
