"""Flags of the commands that embed. Read for --help, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from petdata.errors import PetdataError
from trainer.config import check_box_padding, check_choices

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class EmbedFlags:
    """Flags of every command that embeds: which photos, and how."""

    split: Annotated[str, "Of the release."] = "test"
    dataset_config: Annotated[str, "Configuration of the release: all, no_petface, a source."] = (
        "all"
    )
    revision: Annotated[str | None, "Of a release on the Hub: a tag or commit."] = None
    crop: Annotated[
        str | None, "Side table of boxes, or whole; without it as the model was trained."
    ] = None
    box_padding: Annotated[
        float | None,
        "Widens a box on each side, by this share of its width and height; without it as trained.",
    ] = None
    text_from: Annotated[
        str | None, "owner, or a side table of texts; without it as the model was trained."
    ] = None
    tiny: Annotated[bool, "The encoder with a few thousand random parameters, to try out."] = False
    batch_size: Annotated[int, "Photos at once."] = 128
    workers: Annotated[int | None, "Processes that decode; without it min(8, cores)."] = None
    device: Annotated[Device, "auto (a GPU where there is one), cpu or cuda."] = "auto"
    precision: Annotated[Precision, "float32 or bfloat16."] = "float32"
    skip_bad: Annotated[bool, "Count photos that cannot be read, and go on."] = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise PetdataError("batch_size must be at least 1")
        if self.workers is not None and self.workers < 0:
            raise PetdataError("workers must be 0 (this process decodes) or more")
        if self.box_padding is not None:
            check_box_padding(self.box_padding)
        check_choices(self)
