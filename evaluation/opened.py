"""A model and the photos to judge it on, by what people call the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import nn

from evaluation.embed import EmbedOptions, embed_into
from evaluation.embed_flags import EmbedFlags
from petdata.errors import PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.config import TrainConfig
from trainer.hub_models import device_of
from trainer.model import PetEncoder
from trainer.open_model import open_model
from trainer.photo_set import PhotoSet, open_photos

WHOLE: Final = "whole"  # no boxes, though the model was trained with some


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    reference: str  # the model, as the user wrote it
    model: PetEncoder
    config: TrainConfig | None  # how it was trained; None for an entry of the table
    photos: PhotoSet
    crop: str | None
    box_padding: float
    text_from: str | None
    flags: EmbedFlags

    def embed(
        self, cache: Path, model: nn.Module | None = None, photos: PhotoSet | None = None
    ) -> Path:
        """Folder of embeddings of these photos by this model, unless others are given."""
        return embed_into(
            cache,
            model or self.model,
            self.photos if photos is None else photos,
            options=embed_options(self.flags),
        )


def open_both(model: str, release: str, flags: EmbedFlags, workspace: Workspace) -> Opened:
    """Raises PetdataError, naming what there is."""
    device_of(flags.device)  # before anything is loaded
    found = open_release(
        release, revision=flags.revision, config=flags.dataset_config, workspace=workspace
    )
    found.files(flags.split)
    network, config = open_model(model, workspace=workspace, tiny=flags.tiny)
    trained = config or TrainConfig()
    crop = trained.crop if flags.crop is None else flags.crop
    text_from = trained.text_from if flags.text_from is None else flags.text_from
    if network.text is None and flags.text_from is not None:
        raise PetdataError(f"{model} reads no texts: leave out --text-from {flags.text_from}")
    crop = None if crop == WHOLE else crop
    padding = trained.box_padding if flags.box_padding is None else flags.box_padding
    if flags.box_padding and crop is None:
        raise PetdataError("--box-padding needs boxes: --crop names a side table of them")
    photos = open_photos(found, flags.split, texts=text_from, boxes=crop, box_padding=padding)
    return Opened(
        reference=model,
        model=network,
        config=config,
        photos=photos,
        crop=crop,
        box_padding=padding,
        text_from=text_from,
        flags=flags,
    )


def embed_options(flags: EmbedFlags) -> EmbedOptions:
    return EmbedOptions(
        precision=flags.precision,
        batch_size=flags.batch_size,
        workers=flags.workers,
        device=device_of(flags.device),
        skip_bad=flags.skip_bad,
    )


def embedding_cache(workspace: Workspace) -> Path:
    return workspace.root / "cache" / "embeddings"
