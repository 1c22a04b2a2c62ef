"""Flags of detect and describe. Read for --help, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from petdata.errors import PetdataError
from trainer.config import check_choices
from trainer.describe_prompt import NEWEST

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class DescribeFlags:
    backend: Annotated[
        Literal["transformers", "openai-compatible"],
        "transformers (here) or openai-compatible (a server).",
    ] = "transformers"
    model: Annotated[str, "user/name[@revision] of the Hub, a folder, or the server's."] = (
        "Qwen/Qwen3-VL-8B-Instruct"
    )
    base_url: Annotated[str | None, "Of the server, as https://host/v1."] = None
    language: Annotated[Literal["en", "ru"], "en or ru."] = "en"
    prompt_version: Annotated[str, "Of the question."] = NEWEST
    table: Annotated[str, "Name of the side table."] = "descriptions"
    concurrency: Annotated[int, "Photos that a server is asked about at once."] = 4
    timeout: Annotated[float, "Seconds that a server has for one answer."] = 120.0
    price_in: Annotated[float | None, "Price of a million tokens of questions and photos."] = None
    price_out: Annotated[float | None, "Price of a million tokens of answers."] = None
    device: Annotated[Device, "For transformers: auto, cpu or cuda."] = "auto"
    limit: Annotated[int | None, "At most so many photos, to try out."] = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise PetdataError("limit must be at least 1")
        if self.timeout <= 0:
            raise PetdataError("timeout must be more than 0 seconds")
        check_choices(self)


@dataclass(frozen=True, kw_only=True)
class DetectFlags:
    model: Annotated[
        str,
        "rtdetrv2-r18, rtdetrv2-r50, dfine-m, dfine-x, rfdetr-base, user/name[@revision] of the "
        "Hub, or a folder (Apache-2.0); yolo12n, s, m, l, x or a .pt (AGPL-3.0, extra crop).",
    ] = "rtdetrv2-r18"
    weights_sha256: Annotated[str | None, "Of a .pt that you trust: reading one can run code."] = (
        None
    )
    table: Annotated[str, "Name of the side table."] = "boxes"
    threshold: Annotated[float, "Boxes with a lower score are left out."] = 0.3
    batch_size: Annotated[int, "Photos at once."] = 8
    device: Annotated[Device, "auto (a GPU where there is one), cpu or cuda."] = "auto"
    limit: Annotated[int | None, "At most so many photos, to try out."] = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise PetdataError("limit must be at least 1")
        if self.batch_size < 1:
            raise PetdataError("batch_size must be at least 1")
        if not 0 < self.threshold < 1:
            raise PetdataError("threshold must be between 0 and 1")
        check_choices(self)
