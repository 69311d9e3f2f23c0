"""Repositories written by diffusers itself, in every layout."""

import json

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    UNet2DModel,
    VQModel,
)
from diffusers.pipelines.deprecated.latent_diffusion_uncond import LDMPipeline

LAYOUTS = ["pipeline-safetensors", "pipeline-bin", "flat-safetensors", "flat-bin"]
SMALL = {
    "sample_size": 8,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
# The known part of the configuration of google/ddpm-cifar10-32.
CIFAR = {
    **SMALL,
    "sample_size": 32,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 32,
}


def unet(settings=SMALL, **changes):
    torch.manual_seed(0)
    return UNet2DModel(**{**settings, **changes}).eval()


def autoencoder(kind=AutoencoderKL, **changes):
    """An autoencoder of two blocks, which halves the sides of images."""
    torch.manual_seed(1)
    sizes = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": 3,
    }
    codes = {"num_vq_embeddings": 16} if kind is VQModel else {}
    return kind(**{**sizes, **codes, **changes}).eval()


def dit(**changes):
    """A DiT that predicts variances too, its output not zero as where training begins."""
    torch.manual_seed(2)
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 6,
    }
    return DiTTransformer2DModel(**{**sizes, **changes}).eval()


def ldm(network=None, encoder=None, scheduler=None):
    """The pipeline of latent diffusion without text."""
    return LDMPipeline(encoder or autoencoder(VQModel), network or unet(), scheduler or ddim())


def dit_pipeline(network=None, encoder=None, scheduler=None):
    return DiTPipeline(network or dit(), encoder or autoencoder(), scheduler or ddim())


def saved(pipeline, folder, **index):
    """Save a pipeline with more keys in its model_index.json; return the folder."""
    pipeline.save_pretrained(folder)
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **index}))
    return folder


def ddpm(**options):
    return DDPMScheduler(**options)


def ddim(**options):
    """The scheduler whose formulas the tests compare with: eta 0, no clipping."""
    return DDIMScheduler(clip_sample=False, **options)


def save(folder, network, scheduler, layout="pipeline-safetensors"):
    """Write a repository in one layout; return it as {path: bytes}."""
    safe = layout.endswith("safetensors")
    if layout.startswith("pipeline"):
        DDPMPipeline(network, scheduler).save_pretrained(folder, safe_serialization=safe)
    else:
        network.save_pretrained(folder, safe_serialization=safe)
        scheduler.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return files(folder)


def files(folder):
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
