"""Hash variants of the photos of each shard, kept for the next build: most shards stay."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from dataset_builder.hash_variants import Hashes
from petdata.workspace import write_whole

# Another number where hash_variants gives other hashes.
NAME: Final = "hash-variants-1.npz"

KnownHashes = Mapping[str, Hashes]  # fingerprint of a shard -> (rows, 4)


def read_hashes(folder: Path) -> KnownHashes:
    """Nothing where the file is absent or broken: what is in it can be computed again."""
    try:
        with (folder / NAME).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return {
        name: hashes
        for name, hashes in found.items()
        if hashes.dtype == np.uint64 and hashes.ndim == 2 and hashes.shape[1] == 4
    }


def write_hashes(folder: Path, hashes: KnownHashes) -> None:
    """These and no others. Raises StorageFailure."""
    content = io.BytesIO()
    arrays: dict[str, Hashes] = dict(hashes)
    np.savez(content, allow_pickle=False, **arrays)
    write_whole(folder / NAME, content.getvalue())
