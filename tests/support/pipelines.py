"""Tiny pipelines of other classes of diffusers, with random weights: each has its own quirks."""

from pathlib import Path

import torch

from support.models import parts


def t5(width: int = 16):
    """A T5 encoder and a tokenizer whose tokens are letters."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-:;()"
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(letter, -3.0) for letter in letters]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    torch.manual_seed(1)
    return T5EncoderModel(config).eval(), tokenizer


def autoencoder(channels: int = 4):
    from diffusers import AutoencoderKL

    torch.manual_seed(2)
    return AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
        shift_factor=0.1,
        scaling_factor=1.5,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def clip_with_projection(config):
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(3)
    config = type(config)(**(config.to_dict() | {"projection_dim": 16}))
    return CLIPTextModelWithProjection(config).eval()


def stable_diffusion_3(model: Path, folder: Path) -> Path:
    """Three text encoders, of which T5 reads 256 tokens, and a flow."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    made = parts(model)
    encoder, tokenizer = t5(32)
    torch.manual_seed(4)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        pos_embed_max_size=16,
    )
    StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(),
        text_encoder=clip_with_projection(made["text_encoder"].config),
        tokenizer=made["tokenizer"],
        text_encoder_2=clip_with_projection(made["text_encoder"].config),
        tokenizer_2=made["tokenizer"],
        text_encoder_3=encoder,
        tokenizer_3=tokenizer,
    ).save_pretrained(folder)
    return folder


def flux(model: Path, folder: Path, guidance_embeds: bool = True) -> Path:
    """Ignores a negative prompt unless it is told how strictly to take it; packs 2 × 2 latents."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    made = parts(model)
    encoder, tokenizer = t5(32)
    torch.manual_seed(5)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=made["text_encoder"].config.hidden_size,
        guidance_embeds=guidance_embeds,
        axes_dims_rope=(4, 4, 8),
    )
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=made["text_encoder"],
        tokenizer=made["tokenizer"],
        text_encoder_2=encoder,
        tokenizer_2=tokenizer,
        transformer=transformer,
    ).save_pretrained(folder)
    return folder


def pixart(model: Path, folder: Path) -> Path:
    """Has no callback at the end of a step, and learns the noise's variance."""
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    encoder, tokenizer = t5(16)
    torch.manual_seed(6)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        sample_size=8,
        patch_size=2,
        caption_channels=16,
        use_additional_conditions=False,
    )
    PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=parts(model)["vae"],
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)
    return folder


def sana(model: Path, folder: Path) -> Path:
    """Writes an instruction before each prompt, reads it through Gemma, and has an autoencoder of another kind."""
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

    words = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = GemmaTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], padding_side="right"
    )
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(7)
    encoder = Gemma2Model(config).eval()
    autoencoder = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    transformer = SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=16,
        sample_size=16,
    )
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=autoencoder,
        transformer=transformer,
        scheduler=scheduler,
    ).save_pretrained(folder)
    return folder


def with_safety_checker(model: Path, folder: Path) -> Path:
    """Stable Diffusion whose safety checker finds each image unsafe, and blacks it out."""
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    torch.manual_seed(8)
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    with torch.no_grad():
        for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
            weights.fill_(-10)
    size = {"height": 32, "width": 32}
    made = parts(model) | {
        "safety_checker": checker,
        "feature_extractor": CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size),
    }
    StableDiffusionPipeline(**made).save_pretrained(folder)
    return folder


def kandinsky(model: Path, folder: Path) -> Path:
    """A prior and a decoder with a VQ-VAE, whose generators fail to go round for several prompts at once."""
    from diffusers import (
        DDPMScheduler,
        KandinskyV22CombinedPipeline,
        PriorTransformer,
        UnCLIPScheduler,
        UNet2DConditionModel,
        VQModel,
    )
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    made = parts(model)
    text_encoder = clip_with_projection(made["text_encoder"].config)
    vision = CLIPVisionConfig(
        hidden_size=16,
        image_size=32,
        patch_size=16,
        projection_dim=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    torch.manual_seed(10)
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, embedding_dim=16, num_layers=1, num_embeddings=77
    )
    prior.clip_std = torch.nn.Parameter(torch.ones_like(prior.clip_std))
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=8,
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        encoder_hid_dim=16,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=16,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    KandinskyV22CombinedPipeline(
        unet=unet,
        scheduler=DDPMScheduler(beta_schedule="linear", variance_type="learned_range"),
        movq=movq,
        prior_prior=prior,
        prior_image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        prior_text_encoder=text_encoder,
        prior_tokenizer=made["tokenizer"],
        prior_scheduler=UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample"),
        prior_image_processor=CLIPImageProcessor(size=32, crop_size=32),
    ).save_pretrained(folder)
    return folder
