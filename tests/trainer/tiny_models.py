"""Models of a few thousand random parameters, in folders as the Hub has them."""

from __future__ import annotations

from pathlib import Path

import tokenizers
import torch
import transformers

IMAGE = "<image>"
VISION = {
    **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "image_size": 32, "patch_size": 16},
}
TEXT = {
    **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 260},
}


def save_vision_language_model(folder: Path) -> None:
    """LLaVA; its tokens are bytes."""
    torch.manual_seed(0)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = {letter: number for number, letter in enumerate([*alphabet, "<pad>", "<end>", IMAGE])}
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=words, merges=[]))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare,
        pad_token="<pad>",
        eos_token="<end>",
        extra_special_tokens={"image_token": IMAGE},
    )
    template = (
        "{% for message in messages %}{% for part in message.content %}"
        "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    processor.save_pretrained(folder)
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=transformers.LlamaConfig(**TEXT, pad_token_id=256, eos_token_id=257),
        image_token_id=words[IMAGE],
    )
    network = transformers.LlavaForConditionalGeneration(config)
    network.save_pretrained(folder)


def save_detector(folder: Path) -> None:
    """RT-DETRv2, whose 20 random queries find what they find."""
    torch.manual_seed(0)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[8, 16, 16],
        encoder_hidden_dim=16,
        d_model=16,
        encoder_ffn_dim=16,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=2,
        num_queries=20,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_denoising=0,
        id2label={0: "person", 1: "cat", 2: "dog"},
    )
    network = transformers.RTDetrV2ForObjectDetection(config)
    network.save_pretrained(folder)
    side = {"height": 64, "width": 64}
    transformers.RTDetrImageProcessor(size=side).save_pretrained(folder)
