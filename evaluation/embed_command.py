"""What `petdata embed` does and prints."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer

from evaluation.embed_flags import EmbedFlags
from evaluation.embeddings import Embeddings, read_embeddings
from evaluation.opened import embedding_cache, open_both
from petdata.shards import whole_file
from petdata.workspace import find_workspace


def embed_and_print(
    model: str, release: str, flags: Mapping[str, Any], *, pickle_file: Path | None
) -> None:
    workspace = find_workspace()
    opened = open_both(model, release, EmbedFlags(**flags), workspace)
    folder = opened.embed(embedding_cache(workspace))
    found = read_embeddings(folder)
    if pickle_file is not None:
        write_pickle(found, pickle_file)
    skipped = f", {found.skipped:,} skipped" if found.skipped else ""
    typer.echo(
        f"{len(found):,} photos of {len(np.unique(found.labels)):,} identities, "
        f"{found.vectors.shape[1]} floats each{skipped}",
        err=True,
    )
    typer.echo(folder)


def write_pickle(embeddings: Embeddings, file: Path) -> None:
    """A dict of an array and lists of str, for tools that want one. petdata itself reads none."""
    columns = ("photo_ids", "identity_ids", "sources", "species", "sha256")
    told: dict[str, Any] = {"vectors": embeddings.vectors}
    for name in columns:
        column = getattr(embeddings, name)
        told[name] = None if column is None else column.to_pylist()
    told |= {"model_hash": embeddings.model_hash, "dataset_hash": embeddings.dataset_hash}
    with whole_file(file) as out:
        pickle.dump(told, out, protocol=4)
