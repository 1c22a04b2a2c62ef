"""One hash of a checkpoint's weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from petdata.errors import PetdataError


def weights_hash(folder: Path) -> str:
    """SHA-256 over the names and SHA-256 of all *.safetensors. Raises PetdataError without any."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise PetdataError(
            f"{folder} holds no *.safetensors file: other formats can run code when they are read"
        )
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()
