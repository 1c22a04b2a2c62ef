"""The image processor of a checkpoint: what its pixels must look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petdata.errors import CorruptFile

CONFIG_FILE = "preprocessor_config.json"


def processor_in(folder: Path) -> Any | None:
    """The processor that lies beside the weights; None where there is none."""
    import transformers

    if not (folder / CONFIG_FILE).is_file():
        return None
    try:
        # Beside a config.json of timm's, AutoImageProcessor would follow that one instead.
        said = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        name = said.get("image_processor_type", "") if _is_of_timm(folder) else ""
        return getattr(transformers, name or "AutoImageProcessor").from_pretrained(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
        raise CorruptFile(f"{folder / CONFIG_FILE} is no image processor: {e}") from e


def _is_of_timm(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and "architecture" in json.loads(config.read_text(encoding="utf-8"))


def processor_of(values: Mapping[str, Any]) -> Any:
    """A processor from what its preprocessor_config.json would say."""
    import transformers

    settings = dict(values)
    return getattr(transformers, settings.pop("image_processor_type"))(**settings)


def processor_at(values: Mapping[str, Any], side: int) -> Any:
    """The same treatment for squares of `side` pixels, the margin around a crop in proportion."""
    scaled = dict(values)
    if "crop_size" in values:
        margin = values["size"]["shortest_edge"] / values["crop_size"]["height"]
        scaled["size"] = {"shortest_edge": round(side * margin)}
        scaled["crop_size"] = {"height": side, "width": side}
    else:
        scaled["size"] = {"height": side, "width": side}
    return processor_of(scaled)


def image_side(processor: Any) -> int:
    """The height and width, in pixels, of what the processor makes of a picture."""
    values = processor.to_dict()
    size = values["crop_size"] if values.get("do_center_crop") else values["size"]
    if size["height"] != size["width"]:
        raise CorruptFile(f"a processor for squares was expected, not for {size}")
    return int(size["height"])
