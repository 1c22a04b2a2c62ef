"""What a card shows, run as it stands, gives what petdata's own network gives: every family."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_samples import WITH_BLOCKS, WITHOUT_BLOCKS
from training import tiny

from trainer.config import TrainConfig
from trainer.export import copy_networks
from trainer.fusion import FUSIONS
from trainer.model import PetEncoder, build_model
from trainer.model_folder import fill_model, write_model
from trainer.plain_code import loading_code
from trainer.release_gate import Probe, drawn_probe, own_embeddings


def scrambled(model: PetEncoder) -> PetEncoder:
    """Weights as far from those that a class draws by itself as training never brings them."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.rand(parameter.shape, generator=generator) * 0.1)
    return model


def exported(config: TrainConfig, folder: Path) -> PetEncoder:
    model = scrambled(build_model(config)).eval()
    write_model(model, config, folder / "model")
    (folder / "export").mkdir()
    copy_networks(folder / "model", folder / "export", model, config)
    return model


def embedded_by(code: str, folder: Path, probe: Probe) -> torch.Tensor:
    """In this process, which spares a start of Python for each family; the gate starts one."""
    (folder / "shown.py").write_text(code.replace('FOLDER = "."', f'FOLDER = "{folder}/export"'))
    names: dict[str, Any] = {}
    source = compile((folder / "shown.py").read_text(), "shown.py", "exec")
    exec(source, names)
    photos = probe.open()
    found: torch.Tensor = names["embed"](
        *([photos] if probe.texts is None else [photos, probe.texts])
    )
    return found


@pytest.mark.parametrize("encoder", [*WITH_BLOCKS, *WITHOUT_BLOCKS])
def test_networks_of_every_family_load_plainly(encoder: str, tmp_path: Path) -> None:
    config = tiny(encoder=encoder, trainable_blocks=0)
    model = exported(config, tmp_path)
    code = loading_code(model, encoder)
    assert "petdata" not in re.sub(r"user/name", "", code)
    probe = drawn_probe(with_texts=False)
    ours = own_embeddings(model, probe)
    assert (embedded_by(code, tmp_path, probe) - ours).abs().max() < 1e-6
    # and petdata itself opens what it exported
    again = fill_model(config, tmp_path / "export").eval()
    assert torch.equal(own_embeddings(again, probe), ours)


@pytest.mark.parametrize(
    ("fusion", "encoder", "text"),
    [
        *((fusion, "clip-vit-base", "e5-small") for fusion in FUSIONS),
        *(("cross-attention", name, "bert") for name in (*WITH_BLOCKS[1:], *WITHOUT_BLOCKS[:3])),
        ("gating", "siglip2-base", "bert"),
        ("concat", "dinov2-small", "multilingual-e5-base"),
    ],
)
def test_fused_networks_load_plainly(fusion: str, encoder: str, text: str, tmp_path: Path) -> None:
    config = tiny(encoder=encoder, text_encoder=text, text_from="owner", trainable_blocks=0)
    config = replace(config, fusion=fusion)
    model = exported(config, tmp_path)
    probe = drawn_probe(with_texts=True)
    ours = own_embeddings(model, probe)
    theirs = embedded_by(loading_code(model, encoder), tmp_path, probe)
    assert (theirs - ours).abs().max() < 1e-6
    again = fill_model(config, tmp_path / "export").eval()
    assert torch.equal(own_embeddings(again, probe), ours)
