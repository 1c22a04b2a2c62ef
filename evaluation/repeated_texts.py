"""Beside the figures of a model that reads texts: how far a text alone tells who is on a photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petdata.text_repeats import text_repeats
from trainer.photo_set import PhotoSet


def repeated_texts(photos: PhotoSet) -> Mapping[str, Any] | None:
    """None without texts; else as petdata.text_repeats has it, over identity groups."""
    if photos.texts is None:
        return None
    return text_repeats(photos.texts, photos.labels).as_json()


def sentences(found: Mapping[str, Any]) -> list[str]:
    def share(name: str) -> str:
        return f"{found[f'share_{name}']:.1%}"

    return [
        f"texts: {share('identical_within')} of photos have that of another photo of the same "
        f"animal, {share('near_within')} nearly: such a text says by itself which photos belong "
        "together",
        f"texts: {share('identical_across')} have that of another animal, "
        f"{share('near_across')} nearly: such a text tells nobody apart",
    ]
