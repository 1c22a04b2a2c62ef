"""Python that loads an exported folder with public libraries alone, as its card shows it.

The release gate runs this very text, and every part of it says in plain torch what the trained
network does: nothing in an export needs petdata, or code that is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from trainer.encoder_table import VISION_ENCODERS
from trainer.fusion import HEADS, Concat, CrossAttention, Gating, Weighted
from trainer.model import PetEncoder
from trainer.vision_families import GEM_EPSILON

ONNX_FILE: Final = "onnx/model.onnx"
_FOLDER: Final = 'FOLDER = "."  # of the Hub: huggingface_hub.snapshot_download("user/name")'


@dataclass(frozen=True, kw_only=True)
class _Vision:
    """`load` defines `vision`; `run` defines `image` (B, D) out of `pixels`, `patches` the rest."""

    library: str
    imports: Sequence[str]
    load: Sequence[str]
    run: Sequence[str]
    patches: Sequence[str]
    processor: str = "AutoImageProcessor"


def _transformers(model: str, image: str, patches: str) -> _Vision:
    return _Vision(
        library="transformers",
        imports=[f"from transformers import {model}"],
        load=[f"vision = {model}.from_pretrained(VISION).eval()"],
        run=["seen = vision(pixels)", f"image = seen.{image}"],
        patches=[f"patches = {patches}"],
    )


_TRANSFORMERS: Final = {
    "clip": _transformers(
        "CLIPVisionModelWithProjection",
        "image_embeds",
        "vision.vision_model.post_layernorm(seen.last_hidden_state)[:, 1:]",
    ),
    "siglip": _transformers("SiglipVisionModel", "pooler_output", "seen.last_hidden_state"),
    "dinov2": _transformers("Dinov2Model", "pooler_output", "seen.last_hidden_state[:, 1:]"),
    "dinov3": _transformers(
        "DINOv3ViTModel",
        "pooler_output",
        "seen.last_hidden_state[:, 1 + vision.config.num_register_tokens :]",
    ),
}
_TIMM_VIT: Final = _Vision(
    library="timm",
    imports=["import timm"],
    load=['vision = timm.create_model(f"local-dir:{VISION}", pretrained=True).eval()'],
    run=["seen = vision.forward_features(pixels)", "image = vision.forward_head(seen)"],
    patches=["patches = seen[:, vision.num_prefix_tokens :]"],
)
_OPEN_CLIP: Final = _Vision(
    library="open_clip",
    imports=["import json", "import open_clip", "from safetensors.torch import load_file"],
    load=[
        'with open(f"{VISION}/open_clip_config.json") as file:',
        '    vision = open_clip.CLIP(**json.load(file)["model_cfg"]).visual.eval()',
        'vision.load_state_dict(load_file(f"{VISION}/model.safetensors"))',
        "vision.output_tokens = True",
    ],
    run=["image, patches = vision(pixels)"],
    patches=[],
)


def _timm_features(network: Any) -> _Vision:
    return _Vision(
        library="timm",
        imports=_TIMM_VIT.imports,
        load=_TIMM_VIT.load,
        run=["seen = vision.forward_features(pixels)", "image = vision.forward_head(seen)"],
        patches=[f"patches = {_as_tokens(network)}"],
    )


def _miewid(network: Any) -> _Vision:
    return _Vision(
        library="timm",
        imports=["import json", "import timm", "from safetensors.torch import load_file"],
        load=[
            'with open(f"{VISION}/config.json") as file:',
            "    sizes = json.load(file)",
            "vision = torch.nn.Module()",
            'sizes = {"model_name": sizes["architecture"], **sizes["model_args"]}',
            "vision.backbone = timm.create_model(num_classes=0, **sizes)",
            "vision.bn = torch.nn.BatchNorm1d(vision.backbone.num_features)",
            "vision.pooling = torch.nn.Module()",
            "vision.pooling.p = torch.nn.Parameter(torch.ones(1))  # of the generalised mean",
            'vision.load_state_dict(load_file(f"{VISION}/model.safetensors"))',
            "vision.eval()",
        ],
        run=[
            "seen = vision.backbone.forward_features(pixels)",
            f"patches = {_as_tokens(network.backbone)}",
            "p = vision.pooling.p",
            f"image = vision.bn(patches.clamp(min={GEM_EPSILON}).pow(p).mean(dim=1).pow(1 / p))",
        ],
        patches=[],
    )


def _as_tokens(network: Any) -> str:
    """A feature map row by row."""
    is_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    return "seen.flatten(1, 2)" if is_last else "seen.flatten(2).transpose(1, 2)"


def _vision_of(model: PetEncoder, encoder: str) -> _Vision:
    family = VISION_ENCODERS[encoder].family
    found: _Vision
    if family in ("timm_features", "miewid"):
        found = (_timm_features if family == "timm_features" else _miewid)(model.vision.network)
    else:
        found = (_TRANSFORMERS | {"timm_vit": _TIMM_VIT, "open_clip": _OPEN_CLIP})[family]
    if found.library != "timm":
        return found
    # AutoImageProcessor would follow timm's config.json instead of preprocessor_config.json.
    return _with_processor(found, type(model.vision.processor).__name__)


def _with_processor(vision: _Vision, name: str) -> _Vision:
    return _Vision(**{**vars(vision), "processor": name})


def library_of(model: PetEncoder, encoder: str) -> str:
    """What the Hub calls the library: transformers, timm or open_clip."""
    return "transformers" if model.fusion is not None else _vision_of(model, encoder).library


def loading_code(model: PetEncoder, encoder: str) -> str:
    """Defines `embed(photos)`, or `embed(photos, texts)`: pictures -> (N, D) torch, unit length."""
    vision = _vision_of(model, encoder)
    needs_patches = isinstance(model.fusion, CrossAttention)
    run = [*vision.run, *(vision.patches if needs_patches else ())]
    imports = ["import torch", *vision.imports, f"from transformers import {vision.processor}"]
    imports += ["from torch.nn.functional import normalize"]
    if model.text is None:
        return _joined(
            _imports(imports),
            [_FOLDER, "VISION = FOLDER"],
            _photo_loading(vision),
            [
                "@torch.no_grad()",
                "def embed(photos):",
                '    """PIL pictures -> (N, D), unit length: a product of two is their cosine."""',
                *_indented([*_pixels("pt"), *run, "return normalize(image, dim=-1)"]),
            ],
        )
    imports += ["from safetensors.torch import load_file"]
    imports += ["from transformers import AutoModel", "from transformers import AutoTokenizer"]
    given = "patches, words, mask" if needs_patches else "image, text"
    return _joined(
        _imports(imports),
        [_FOLDER, 'VISION, TEXT = f"{FOLDER}/vision", f"{FOLDER}/text"'],
        _fusion_class(model.fusion),
        [
            *_photo_loading(vision),
            "tokenizer = AutoTokenizer.from_pretrained(TEXT)",
            "reader = AutoModel.from_pretrained(TEXT).eval()",
            "fusion = Fusion().eval()",
            'fusion.load_state_dict(load_file(f"{FOLDER}/fusion.safetensors"))',
        ],
        [
            "@torch.no_grad()",
            "def embed(photos, texts):",
            '    """PIL pictures and a text of each -> (N, D), unit length."""',
            *_indented(
                [
                    *_pixels("pt"),
                    *run,
                    *_tokens(model, "pt"),
                    'mask = tokens["attention_mask"]',
                    'words = reader(tokens["input_ids"], attention_mask=mask).last_hidden_state',
                    *_text_pooling(model, needs_patches),
                    f"return normalize(fusion({given}), dim=-1)",
                ]
            ),
        ],
    )


def onnx_code(model: PetEncoder, encoder: str) -> str:
    """The same through onnxruntime; arrays instead of tensors."""
    processor = _vision_of(model, encoder).processor
    folder = "FOLDER" if model.text is None else 'f"{FOLDER}/vision"'
    imports = ["import onnxruntime", f"from transformers import {processor}"]
    loading = [
        f"processor = {processor}.from_pretrained({folder})",
        f'session = onnxruntime.InferenceSession(f"{{FOLDER}}/{ONNX_FILE}")',
    ]
    if model.text is None:
        body = [*_pixels("np"), 'inputs = {"pixel_values": pixels}']
    else:
        imports += ["from transformers import AutoTokenizer"]
        loading += ['tokenizer = AutoTokenizer.from_pretrained(f"{FOLDER}/text")']
        body = [*_pixels("np"), *_tokens(model, "np"), 'inputs = {"pixel_values": pixels}']
        body += [
            f'inputs["{name}"] = tokens["{name}"].astype("int64")'
            for name in ("input_ids", "attention_mask")
        ]
    return _joined(
        _imports(imports),
        [_FOLDER],
        loading,
        [
            f"def embed({'photos' if model.text is None else 'photos, texts'}):",
            '    """PIL pictures -> (N, D), unit length."""',
            *_indented([*body, 'return session.run(["embeddings"], inputs)[0]']),
        ],
    )


def _photo_loading(vision: _Vision) -> list[str]:
    return [f"processor = {vision.processor}.from_pretrained(VISION)", *vision.load]


def _pixels(kind: str) -> list[str]:
    return [
        'pictures = [photo.convert("RGB") for photo in photos]',
        f'pixels = processor(images=pictures, return_tensors="{kind}")["pixel_values"]',
    ]


def _tokens(model: PetEncoder, kind: str) -> list[str]:
    assert model.text is not None
    tokenize = model.text.tokenize
    written = (
        f'["{tokenize.prefix}" + text for text in texts]' if tokenize.prefix else "list(texts)"
    )
    cut = f"truncation=True, max_length={tokenize.max_tokens}"
    return [
        f"written = {written}",
        f'tokens = tokenizer(written, padding=True, {cut}, return_tensors="{kind}")',
    ]


def _text_pooling(model: PetEncoder, needs_patches: bool) -> list[str]:
    assert model.text is not None
    if needs_patches:
        return []
    if model.text.pooling == "cls":
        return ["text = words[:, 0]"]
    return [
        "weights = mask[..., None]",
        "text = (words * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)",
    ]


def _fusion_class(fusion: Any) -> list[str]:
    """The fusion in plain torch, with the names that fusion.safetensors has."""
    made = [f"self.text = {_linear(fusion.text)}", f"self.image = {_linear(fusion.image)}"]
    if isinstance(fusion, CrossAttention):
        made += [
            f"self.attention = torch.nn.MultiheadAttention({fusion.width}, {HEADS}, "
            "batch_first=True)"
        ]
        given, run = (
            "patches, words, mask",
            [
                "keys = self.image(patches)",
                "attended, _ = self.attention(self.text(words), keys, keys, need_weights=False)",
                "weights = mask[..., None]",
                "return (attended * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)",
            ],
        )
    elif isinstance(fusion, Gating):
        first, last = _linear(fusion.gate[0]), _linear(fusion.gate[2])
        made += [
            "self.gate = torch.nn.Sequential(",
            f"    {first}, torch.nn.GELU(), {last}",
            ")",
        ]
        given, run = (
            "image, text",
            [
                "both = torch.stack([self.text(text), self.image(image)], dim=1)",
                "both = normalize(both, dim=-1)",
                "weights = self.gate(both.flatten(1)).softmax(dim=-1)",
                "return (weights[..., None] * both).sum(dim=1)",
            ],
        )
    else:
        assert isinstance(fusion, Concat)
        is_weighted = isinstance(fusion, Weighted)
        made += ["self.text_weight = torch.nn.Parameter(torch.ones(()))"] if is_weighted else []
        half = "self.text_weight * self.text(text)" if is_weighted else "self.text(text)"
        given, run = "image, text", [f"return torch.cat([{half}, self.image(image)], dim=-1)"]
    return [
        "class Fusion(torch.nn.Module):",
        "    def __init__(self):",
        *_indented(_indented(["super().__init__()", *made])),
        "",
        f"    def forward(self, {given}):",
        *_indented(_indented(run)),
    ]


def _linear(layer: Any) -> str:
    return f"torch.nn.Linear({layer.in_features}, {layer.out_features})"


def _imports(lines: Sequence[str]) -> list[str]:
    """Sorted, modules first; what comes from one module on one line."""
    names: dict[str, set[str]] = {}
    for line in lines:
        if line.startswith("from"):
            module, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(module, set()).add(name)
    whole = sorted({line for line in lines if line.startswith("import")})
    return whole + [f"from {m} import {', '.join(sorted(names[m]))}" for m in sorted(names)]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _joined(*parts: Sequence[str]) -> str:
    """Two empty lines around what is defined, as formatters have it."""
    text, defined = "", False
    for part in parts:
        defines = part[0].startswith(("class ", "def ", "@"))
        if text:
            text += "\n\n" if defines or defined else "\n"
        text += "\n".join(part) + "\n"
        defined = defines
    return text
