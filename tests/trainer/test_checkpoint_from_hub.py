"""Encoders out of repositories of the loopback Hub: what is fetched, and what is said when not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from encoder_samples import changed, copied
from huggingface_hub import HfApi, constants
from safetensors.torch import save_file

from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.errors import TryLater, UnknownSource
from trainer.encoders import VisionEncoder, load_vision_encoder

REPOSITORY = "user/encoder"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with HubServer() as server:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        yield server


def published(hub: HubServer, folder: Path, seed: int) -> VisionEncoder:
    """A tiny encoder on the Hub, beside files that nobody wants."""
    encoder = load_vision_encoder("dinov2-small", tiny=True, seed=seed)
    encoder.network.config.save_pretrained(folder)
    encoder.processor.save_pretrained(folder)
    save_file(copied(encoder.network), folder / "model.safetensors")
    save_file({"w": torch.ones(9)}, folder / "another-finetune.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("raise SystemExit", encoding="utf-8")
    api = HfApi(endpoint=hub.url, token=TOKEN)
    api.create_repo(REPOSITORY, exist_ok=True)
    api.upload_folder(repo_id=REPOSITORY, folder_path=folder)
    return encoder


def test_a_revision_is_loaded_and_only_what_is_needed_fetched(
    hub: HubServer, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    first = published(hub, folder, seed=1)
    HfApi(endpoint=hub.url, token=TOKEN).create_tag(REPOSITORY, tag="v1")
    second = published(hub, folder, seed=2)

    tagged = load_vision_encoder("dinov2-small", weights=REPOSITORY, revision="v1")
    newest = load_vision_encoder("dinov2-small", weights=REPOSITORY)
    assert not changed(copied(first.network), tagged.network)
    assert not changed(copied(second.network), newest.network)
    assert tagged.image_size == 64
    fetched = {path.name for path in (tmp_path / "cache").rglob("snapshots/*/*")}
    assert fetched == {"config.json", "preprocessor_config.json", "model.safetensors"}


def test_what_the_hub_has_not_is_named(hub: HubServer) -> None:
    with pytest.raises(UnknownSource, match="the Hub has no user/nothing"):
        load_vision_encoder("dinov2-small", weights="user/nothing")
    HfApi(endpoint=hub.url, token=TOKEN).create_repo(REPOSITORY)
    with pytest.raises(UnknownSource, match="the Hub has no user/encoder@v9"):
        load_vision_encoder("dinov2-small", weights=REPOSITORY, revision="v9")


def test_without_a_network_the_user_may_try_later(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TryLater, match=r"siglip2-base-patch16-224 could not be fetched"):
        load_vision_encoder("siglip2-base")
