"""Everything that decides what a run computes: checked, saved with the weights, part of its name.

Each field is a flag of `petdata train`, with its help text, and a key of its TOML file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

from petdata.errors import PetdataError

LossName = Literal["triplet", "arcface"]
DistanceName = Literal["cosine", "euclidean"]
FusionName = Literal["concat", "weighted", "cross-attention", "gating"]
Precision = Literal["no", "bf16"]
Device = Literal["auto", "cpu"]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    name: LossName = "triplet"
    distance: DistanceName = "cosine"  # the authors' script; "euclidean" is the paper's wording
    margin: float = 0.45  # model cards of AvitoTech
    variance_epsilon: float = 0.01  # model cards; Yu and Tao, ICCV 2019
    triplet_weight: float = 1.0
    variance_weight: float = 0.5
    arcface_margin: float = 28.6  # degrees, 0.5 rad: Deng et al., CVPR 2019
    arcface_scale: float = 64.0

    def __post_init__(self) -> None:
        check_choices(self)
        if self.margin <= 0 or self.arcface_scale <= 0:
            raise PetdataError("margin and scale must be above 0")
        if min(self.triplet_weight, self.variance_weight) < 0:
            raise PetdataError("weights of losses must not be negative")


_AT_LEAST_ONE: Final = (
    *("identities", "photos", "epochs", "micro_batch"),
    *("max_steps", "save_every", "log_every"),
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Defaults are the recipe of Kudryavtsev et al., J. Imaging 2026, 12, 30."""

    dataset: Annotated[str | None, "Release folder, NAME@VERSION, or user/name of the Hub."] = None
    dataset_config: Annotated[str, "Configuration of the release: all, no_petface, a source."] = (
        "all"
    )
    revision: Annotated[str | None, "Of a Hub dataset: a tag or commit."] = None
    encoder: Annotated[str, "Vision encoder; --list-encoders names them."] = "siglip2-base"
    weights: Annotated[str, "pretrained, random, or a folder in the Hub's layout."] = "pretrained"
    text_encoder: Annotated[str | None, "Text encoder; none: photos alone."] = None
    text_weights: Annotated[str, "As --weights, of the text encoder."] = "pretrained"
    fusion: Annotated[
        FusionName | None, "concat, weighted, cross-attention or gating (the default with texts)."
    ] = None
    tiny: Annotated[bool, "Encoders of a few thousand random parameters, for trying out."] = False
    trainable_blocks: Annotated[int, "Last blocks of each encoder that train; -1: everything."] = 5
    text_from: Annotated[str | None, "owner, or a side table of texts."] = None
    crop: Annotated[str | None, "Side table of boxes to crop to."] = None
    box_padding: Annotated[
        float, "Widens a box on each side, by this share of its width and height."
    ] = 0.0
    identities: Annotated[int, "P, identities in a batch."] = 58
    photos: Annotated[int, "K, photos of each."] = 2
    epochs: Annotated[int, "Passes over the identities."] = 10
    max_steps: Annotated[int | None, "End after so many steps."] = None
    learning_rate: Annotated[float, "Of Adam, constant."] = 1e-4
    loss: Annotated[LossName, "triplet (with intra-pair variance) or arcface."] = "triplet"
    distance: Annotated[DistanceName, "cosine, or euclidean as the paper words it."] = "cosine"
    margin: Annotated[float, "Of the triplets."] = 0.45
    variance_weight: Annotated[float, "Of the intra-pair variance; triplets weigh 1."] = 0.5
    arcface_margin: Annotated[float, "Degrees."] = 28.6
    arcface_scale: Annotated[float, "Of the cosines."] = 64.0
    seed: Annotated[int, "Of weights that are not loaded, batches and dropout."] = 0
    precision: Annotated[Precision, "no (float32) or bf16."] = "no"
    micro_batch: Annotated[
        int | None,
        "Photos in memory at once; the batch keeps all its negatives (cached gradients).",
    ] = None
    gradient_checkpointing: Annotated[bool, "Recompute activations: less memory, more time."] = (
        False
    )
    cache_features: Annotated[bool, "Keep what the frozen blocks give for each photo."] = False
    skip_bad: Annotated[bool, "Count photos that cannot be read, and go on."] = False
    scaled_decoding: Annotated[bool, "Decode large photos at half, quarter or eighth size."] = False
    validate: Annotated[bool, "Evaluate the validation split after each epoch."] = True
    name: Annotated[str | None, "Of the run; without it one that this configuration gives."] = None
    device: Annotated[Device, "auto: a GPU where there is one; or cpu."] = "auto"
    workers: Annotated[int | None, "Processes that decode; without it min(8, cores)."] = None
    save_every: Annotated[int | None, "Steps between checkpoints; one follows each epoch."] = None
    log_every: Annotated[int, "Steps between lines of metrics."] = 10

    def __post_init__(self) -> None:
        check_choices(self)
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PetdataError(f"{name} must be at least 1")
        if self.loss == "triplet" and min(self.photos, self.identities) < 2:
            raise PetdataError("triplets need 2 or more identities, and photos of each, in a batch")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise PetdataError("learning_rate must be above 0")
        check_box_padding(self.box_padding)
        if self.box_padding and self.crop is None:
            raise PetdataError("box_padding needs crop: a side table of boxes")
        if self.trainable_blocks < -1:
            raise PetdataError("trainable_blocks must be 0 or more, or -1 for everything")
        if self.cache_features and (self.trainable_blocks == -1 or self.skip_bad):
            raise PetdataError(
                "cache_features needs frozen blocks (trainable_blocks is not -1) and every photo "
                "(no skip_bad)"
            )
        if self.cache_features and self.scaled_decoding:
            raise PetdataError("cache_features decodes a photo once: leave out scaled_decoding")
        if self.name is not None and (self.name in ("", "..") or Path(self.name).name != self.name):
            raise PetdataError(f"name {self.name!r} must be that of a folder in runs/")
        self._check_texts()
        self.loss_config()

    def _check_texts(self) -> None:
        if self.fusion is not None and self.text_encoder is None:
            raise PetdataError(f"fusion {self.fusion!r} needs a text_encoder")
        if self.text_encoder is not None and self.text_from is None:
            raise PetdataError("a text_encoder needs text_from: owner, or a side table of texts")
        if self.text_from is not None and self.text_encoder is None:
            raise PetdataError("text_from needs a text_encoder")

    @property
    def fusion_name(self) -> FusionName | None:
        return None if self.text_encoder is None else self.fusion or "gating"

    def loss_config(self) -> LossConfig:
        return LossConfig(
            name=self.loss,
            distance=self.distance,
            margin=self.margin,
            variance_weight=self.variance_weight,
            arcface_margin=self.arcface_margin,
            arcface_scale=self.arcface_scale,
        )


# Another value of these leads to the same weights, within rounding and but for dropout, so a run
# may go on with it.
HARMLESS: Final = frozenset(
    {
        *("dataset", "revision", "name", "device", "workers"),
        *("epochs", "max_steps", "validate", "save_every", "log_every"),
        *("micro_batch", "gradient_checkpointing", "cache_features"),
    }
)


def read_config(file: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """Flags that were given, else the file's keys, else the defaults. Raises PetdataError."""
    keys: dict[str, Any] = {}
    if file is not None:
        import tomllib

        try:
            keys = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PetdataError(f"{file} is no readable TOML file: {error}") from error
    return config_of(keys | dict(flags), where=str(file or "the command line"))


def config_of(values: Mapping[str, Any], *, where: str) -> TrainConfig:
    """A config out of plain values, each checked against its field. Raises PetdataError."""
    if "gradient_accumulation" in values:
        raise PetdataError(
            f"{where}: gradient_accumulation would leave each part its own negatives only, which "
            "is another loss: use micro_batch, which gives the whole batch's gradients"
        )
    kinds = get_type_hints(TrainConfig)
    if unknown := sorted(values.keys() - kinds.keys()):
        raise PetdataError(
            f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(kinds))}"
        )
    checked = {name: _checked(name, value, kinds[name], where) for name, value in values.items()}
    return TrainConfig(**checked)


def to_toml(config: TrainConfig) -> str:
    """As `--config` reads it; what is unset stays out."""
    values = {k: v for k, v in dataclasses.asdict(config).items() if v is not None}
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()
    )


def config_hash(config: TrainConfig, dataset_hash: str) -> str:
    """Of everything that decides which weights come out."""
    values = {k: v for k, v in dataclasses.asdict(config).items() if k not in HARMLESS}
    text = json.dumps([values, dataset_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _checked(name: str, value: Any, kind: Any, where: str) -> Any:
    types = _plain_types(kind)
    if float in types and type(value) is int:
        value = float(value)
    if type(value) not in types:
        wanted = " or ".join(each.__name__ for each in types)
        raise PetdataError(f"{where}: {name} takes {wanted}, not {value!r}")
    return value


def _plain_types(kind: Any) -> list[type]:
    """float | None -> [float]; Literal["a"] -> [str]."""
    parts = get_args(kind) or (kind,)
    return [part if isinstance(part, type) else str for part in parts if part is not type(None)]


def check_box_padding(padding: float) -> None:
    if not (math.isfinite(padding) and padding >= 0):
        raise PetdataError(f"box_padding {padding}: 0 or more, 0.1 is a tenth on each side")


def check_choices(config: Any) -> None:
    for name, kind in get_type_hints(type(config)).items():
        choices = choices_of(kind)
        value = getattr(config, name)
        if choices and value is not None and value not in choices:
            raise PetdataError(f"no {name} {value!r}; choose {' or '.join(choices)}")


def choices_of(kind: Any) -> list[str]:
    """Literal["a", "b"] | None -> ["a", "b"]; str -> []."""
    inner = [part for each in get_args(kind) for part in get_args(each)]
    return [part for part in (*get_args(kind), *inner) if isinstance(part, str)]
