"""What `petdata search` does and prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import typer

from dataset_builder.stats_photos import picture_uri
from evaluation.embed_flags import EmbedFlags
from evaluation.embeddings import read_embeddings
from evaluation.opened import Opened, embedding_cache, open_both
from evaluation.page import escaped, note, page, section
from evaluation.search import (
    FoundIdentity,
    IndexKind,
    embed_photo,
    nearest_identities,
    open_index,
    read_photo,
)
from evaluation.shown_photos import HEIGHT, shelf_of
from petdata.errors import PetdataError
from petdata.jpeg import CanonicalJpeg
from petdata.workspace import find_workspace, write_whole

_EXACT: Final = "every photo was compared"
_GRAPH: Final = "a graph was followed, which may miss some"


@dataclass(frozen=True, kw_only=True)
class SearchFlags:
    text: str | None
    top: int
    index: IndexKind
    html: Path | None
    as_json: bool

    def __post_init__(self) -> None:
        if self.top < 1:
            raise PetdataError(f"top is {self.top}: ask for one identity or more")
        if self.index not in get_args(IndexKind):
            raise PetdataError(
                f"index {self.index!r}: choose from {', '.join(get_args(IndexKind))}"
            )


def search_and_print(
    model: str, release: str, photo: Path, flags: Mapping[str, Any], shown: SearchFlags
) -> None:
    asked = read_photo(photo)  # before anything is loaded
    workspace = find_workspace()
    opened = open_both(model, release, EmbedFlags(**flags), workspace)
    vector = embed_photo(opened, asked, text=shown.text)
    folder = opened.embed(embedding_cache(workspace))
    embeddings = read_embeddings(folder)
    found = nearest_identities(
        open_index(folder, embeddings.vectors, shown.index),
        embeddings,
        vector,
        top=shown.top,
        sha256=asked.sha256,
    )
    if shown.html is not None:
        shown.html.parent.mkdir(parents=True, exist_ok=True)
        write_whole(shown.html, _page(opened, asked, found, shown.index).encode())
    if shown.as_json:
        document = {
            "model": model,
            "release": f"{opened.photos.release.name}@{opened.photos.release.version}",
            "split": opened.photos.split,
            "index": shown.index,
            "sha256": asked.sha256,
            "found": [dataclasses.asdict(each) for each in found],
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _print(found)
    if opened.crop is not None and not _is_there(found):
        typer.echo(f"photos are cut to boxes of {opened.crop}, this one is whole: cut it", err=True)
    if shown.html is not None:
        typer.echo(shown.html)


def _is_there(found: Sequence[FoundIdentity]) -> bool:
    return any(photo.is_the_photo for each in found for photo in each.photos)


def _print(found: Sequence[FoundIdentity]) -> None:
    for place, each in enumerate(found, start=1):
        typer.echo(f"{place:3}  {each.similarity:.4f}  {each.identity_id}, {each.species}")
        for photo in each.photos:
            mark = " (this photo)" if photo.is_the_photo else ""
            typer.echo(f"       {photo.similarity:.4f}  {photo.photo_id}{mark}")


def _page(
    opened: Opened, asked: CanonicalJpeg, found: Sequence[FoundIdentity], index: IndexKind
) -> str:
    photos = opened.photos
    shelf = shelf_of(
        photos.release, photos.split, [photo.photo_id for each in found for photo in each.photos]
    )
    rows = []
    for place, each in enumerate(found, start=1):
        pictures = "".join(
            f"<figure>{shelf.show(photo.photo_id).html()}<figcaption>{photo.similarity:.4f}"
            f"{', this photo' if photo.is_the_photo else ''}</figcaption></figure>"
            for photo in each.photos
        )
        rows.append(
            f"<h3>{place}. {escaped(each.identity_id)}</h3>"
            f"<p class='soft'>{escaped(each.species)}, similarity {each.similarity:.4f}</p>"
            f"<div class='search photos'>{pictures}</div>"
        )
    picture = (
        "<div class='search photos'><figure class='asked'>"
        f"<img src='{picture_uri(asked.jpeg, HEIGHT)}' alt='the photo that is looked for'>"
        "</figure></div>"
    )
    release = f"{photos.release.name}@{photos.release.version}"
    intro = f"Most alike first, each by its best photo; {_EXACT if index == 'exact' else _GRAPH}."
    return page(
        "Who is on this photo?",
        f"{opened.reference} on {release}, {photos.split}",
        section("Looked for", "", picture)
        + section("Found", intro, "".join(rows) or note("There is nobody.")),
    )
