"""What a cell stands on, or why it cannot be run: releases, splits, side tables, weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np

from dataset_builder.options import PETFACE, BuildOptions
from evaluation.metrics import IntArray
from petdata.errors import PetdataError
from petdata.release_folders import find_folder, releases_of
from petdata.releases import Release, open_release
from petdata.workspace import Workspace
from trainer.checkpoint_files import weights_path
from trainer.config import TrainConfig
from trainer.encoder_table import VISION_ENCODERS
from trainer.photo_set import PhotoSet, open_photos
from trainer.text_encoder_table import TEXT_ENCODERS

_SWITCHES: Final = ("keep_text", "keep_source_ids")


class InputMissing(PetdataError):
    """A cell cannot be run on what is here; the others can."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitFacts:
    """Of a split with its texts and boxes, without holding it in memory."""

    dataset_hash: str
    photos: int
    photos_of_identities: IntArray = field(repr=False)
    by_source: Mapping[str, Mapping[str, int]]  # source -> species -> photos

    def photos_of_an_epoch(self, config: TrainConfig) -> int:
        """As trainer.sampler deals them. Raises InputMissing for fewer identities than a batch."""
        usable = int(np.count_nonzero(self.photos_of_identities >= config.photos))
        if usable < config.identities:
            raise InputMissing(
                f"{usable:,} identities have {config.photos} photos or more, a batch takes "
                f"{config.identities}: lower identities in the matrix, or add data"
            )
        return usable // config.identities * config.identities * config.photos


class Inputs:
    """Of one release; each split is read once."""

    def __init__(self, release: Release, workspace: Workspace) -> None:
        self.release, self.workspace = release, workspace
        self._facts: dict[tuple[str, ...], SplitFacts | PetdataError] = {}

    def facts(self, reference: str, split: str, config: TrainConfig) -> SplitFacts:
        """Raises InputMissing with what is missing."""
        key = (reference, config.dataset_config, split, str(config.text_from), str(config.crop))
        if key not in self._facts:
            try:
                self._facts[key] = self._read(reference, split, config)
            except PetdataError as error:
                self._facts[key] = error
        found = self._facts[key]
        if isinstance(found, PetdataError):
            raise InputMissing(_first_line(found))
        return found

    def _read(self, reference: str, split: str, config: TrainConfig) -> SplitFacts:
        release = open_release(reference, config=config.dataset_config, workspace=self.workspace)
        photos = open_photos(release, split, texts=config.text_from, boxes=config.crop)
        where = f"{split} of {release.name}@{release.version}"
        if not len(photos):
            raise InputMissing(f"{where} has no photos")
        if config.crop is not None and photos.boxes_missing == len(photos):
            raise InputMissing(f"no photo in {where} has a box in {config.crop}: petdata detect")
        if config.text_from is not None and photos.texts_missing == len(photos):
            raise InputMissing(
                f"no photo in {where} has a text in {config.text_from}: petdata describe"
            )
        return SplitFacts(
            dataset_hash=photos.dataset_hash,
            photos=len(photos),
            photos_of_identities=np.bincount(photos.labels),
            by_source=_by_source(photos),
        )

    def reference(self, release: Release | None = None) -> str:
        """By which every process finds the same release again."""
        found = release or self.release
        if found.hub is not None:
            return f"{found.reference.partition('@')[0]}@{found.revision}"
        folder, name = found.folder.resolve(), f"{found.name}@{found.version}"
        own = find_folder(self.workspace, name)
        return name if own is not None and own.resolve() == folder else str(folder)

    def without(self, excluded: tuple[str, ...], requires: tuple[str, ...]) -> str:
        """The release, or the build like it without these sources. Raises InputMissing."""
        manifest = self.release.manifest
        here = f"{self.release.name}@{self.release.version}"
        if absent := sorted(set(requires) - manifest["configs"].keys()):
            raise InputMissing(f"{here} has no photos of {', '.join(absent)}")
        taken = [name for name in excluded if name in manifest["configs"]]
        if not taken:
            return self.reference()
        options = dict(manifest["options"])
        options["exclude"] = sorted({*options["exclude"], *taken})
        if PETFACE in taken:
            options["petface"] = "none"
        name = f"{self.release.name}-without-{'-'.join(taken)}".replace("_", "-")
        command = build_command(name, options)
        candidates = [each for each in self._releases() if each.manifest["options"] == options]
        if not candidates:
            raise InputMissing(f"there is no build without {', '.join(taken)}: {command}")
        own = manifest["inputs"]["sources"]
        for found in reversed(candidates):
            theirs: Mapping[str, str] = found.manifest["inputs"]["sources"]
            if theirs.items() <= own.items():
                return self.reference(found)
        newest = candidates[-1]
        raise InputMissing(
            f"{newest.name}@{newest.version} was built of other photos than {here}: {command}"
        )

    def _releases(self) -> Iterator[Release]:
        """Of the workspace; a damaged one is not what is looked for."""
        for folder in releases_of(self.workspace):
            with suppress(PetdataError):
                yield open_release(folder, workspace=self.workspace)


def build_command(name: str, options: Mapping[str, Any]) -> str:
    """Which makes a release of these options."""
    words = ["petdata build --name", name]
    usual = BuildOptions(exclude=frozenset(options["exclude"])).as_json()
    for key, value in options.items():
        if key == "exclude":
            words += [f"--exclude {source}" for source in value]
        elif value != usual[key]:
            flag = f"--{key.replace('_', '-')}"
            words.append(flag if key in _SWITCHES else f"{flag} {value}")
    return " ".join(words)


def require_weights(config: TrainConfig) -> None:
    """Fetches what is published; raises InputMissing where it cannot be had."""
    if config.tiny:
        return
    if reason := _without_weights("vision", config.encoder, config.weights):
        raise InputMissing(reason)
    if config.text_encoder is None:
        return
    if reason := _without_weights("text", config.text_encoder, config.text_weights):
        raise InputMissing(reason)


@cache
def _without_weights(kind: str, name: str, weights: str) -> str | None:
    """Asked once: a Hub that cannot be reached is slow to say so."""
    if weights == "random":
        return None
    table: Mapping[str, Any] = VISION_ENCODERS if kind == "vision" else TEXT_ENCODERS
    if name not in table:
        return f"no {kind} encoder {name!r}: petdata train --list-encoders"
    try:
        weights_path(table[name].weights, weights)
    except PetdataError as error:
        return f"weights of {name}: {_first_line(error)}"
    return None


def _by_source(photos: PhotoSet) -> dict[str, dict[str, int]]:
    sources, species = photos.sources, photos.species
    kinds = len(species.dictionary)
    codes = sources.indices.to_numpy() * kinds + species.indices.to_numpy()
    counts = np.bincount(codes, minlength=len(sources.dictionary) * kinds)
    return {
        str(source): {
            str(kind): int(count)
            for kind, count in zip(species.dictionary.to_pylist(), row.tolist(), strict=True)
            if count
        }
        for source, row in zip(
            sources.dictionary.to_pylist(), counts.reshape(-1, kinds), strict=True
        )
    }


def _first_line(error: PetdataError) -> str:
    return str(error).partition("\n")[0]
