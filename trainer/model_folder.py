"""A trained network on disk: folders that plain transformers classes load, and what joins them.

config.toml                                   how it was trained
vision/  config.json, model.safetensors, preprocessor_config.json
text/    the same, with its tokenizer          where texts are read
fusion.safetensors
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from petdata.errors import CorruptFile, PetdataError
from trainer.config import TrainConfig, read_config, to_toml
from trainer.encoders import load_text_encoder, load_vision_encoder
from trainer.model import PetEncoder, fused
from trainer.transformers_loading import quiet

CONFIG: Final = "config.toml"
WEIGHTS: Final = "model.safetensors"
FUSION: Final = "fusion.safetensors"


def write_model(model: PetEncoder, config: TrainConfig, folder: Path) -> None:
    """Into a new folder. The caller makes it appear whole."""
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(to_toml(config), encoding="utf-8")
    _write_network(model.vision.network, folder / "vision")
    model.vision.processor.save_pretrained(folder / "vision")
    if model.text is not None:
        _write_network(model.text.network, folder / "text")
        model.text.tokenizer.save_pretrained(folder / "text")
    if model.fusion is not None:
        save_model(model.fusion, str(folder / FUSION))


def read_model(folder: Path, **changes: Any) -> tuple[PetEncoder, TrainConfig]:
    """The network of a folder, in evaluation mode. Raises CorruptFile."""
    if not (folder / CONFIG).is_file():
        raise PetdataError(f"{folder} holds no trained model: {CONFIG} is not there")
    config = read_config(folder / CONFIG, changes)
    return fill_model(config, folder), config


def fill_model(config: TrainConfig, folder: Path) -> PetEncoder:
    """Of a run's model, or of an exported folder, which has a lone vision network at its root."""
    name, where = config.encoder, folder / "vision" if (folder / "vision").is_dir() else folder
    chosen: dict[str, Any] = {
        "trainable_blocks": config.trainable_blocks,
        "gradient_checkpointing": config.gradient_checkpointing,
    }
    if (where / "config.json").is_file():
        vision = load_vision_encoder(name, weights=where, **chosen)
    else:
        vision = load_vision_encoder(name, weights="random", tiny=config.tiny, **chosen)
        _load(vision.network, where / WEIGHTS)
    if config.text_encoder is None or config.fusion_name is None:
        return PetEncoder(vision)
    text = load_text_encoder(config.text_encoder, weights=folder / "text", **chosen)
    model = fused(vision, text, config.fusion_name)
    assert model.fusion is not None
    _load(model.fusion, folder / FUSION)
    return model


def _write_network(network: Any, folder: Path) -> None:
    folder.mkdir()
    if hasattr(network, "save_pretrained"):
        with quiet():
            network.save_pretrained(folder, max_shard_size="1TB")
    else:
        save_model(network, str(folder / WEIGHTS))


def _load(module: nn.Module, file: Path) -> None:
    try:
        load_model(module, str(file), strict=True)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CorruptFile(f"{file} does not hold this model's weights: {error}") from error
