"""manifest.json: what a release consists of, for everybody who reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from petdata.errors import CorruptFile

FORMAT: Final = "1.0"
MANIFEST: Final = "manifest.json"
RECIPE: Final = "recipe"  # the variant in which some sources' rows have no pixels
_KEYS: Final = ("name", "version", "variant", "build_hash", "files", "configs", "options")


def read_manifest(release: Path) -> dict[str, Any]:
    """Raises CorruptFile."""
    path = release / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for name in _KEYS:
            manifest[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"{path} cannot be read ({error!r}): {release} is no release, or not a whole one; "
            "build it again, or pull it again"
        ) from error
    if str(manifest.get("format", "")).split(".")[0] != FORMAT.split(".")[0]:
        raise CorruptFile(
            f"{path} has format {manifest.get('format')}, this petdata reads {FORMAT}"
        )
    return dict(manifest)
