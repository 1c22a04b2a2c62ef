"""What `petdata rehydrate` prints."""

from __future__ import annotations

from rich.console import Console

from dataset_builder.open_release import find_release
from dataset_builder.rehydrate import rehydrate
from petdata.errors import PetdataError
from petdata.workspace import find_workspace


def rehydrate_and_print(release: str | None) -> None:
    """Raises PetdataError, naming the sources, where photos are not here."""
    workspace = find_workspace()
    folder = find_release(workspace, release)
    progress = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    done = rehydrate(workspace, folder, say=progress.print)
    if not done.is_full:
        counts = ", ".join(f"{count:,} of {source}" for source, count in done.lacking.items())
        raise PetdataError(
            f"{folder} stays a recipe: these photos are not in {workspace.root}, or were taken "
            f"down here: {counts}; collect or import their sources, then rehydrate again"
        )
    out = Console(highlight=False, soft_wrap=True, markup=False)
    if not done.photos:
        out.print(f"{folder} has all its pixels already")
        return
    out.print(f"{folder}: {done.photos:,} photos filled in, their hashes as published")
    if done.other_bytes:
        out.print(
            f"{len(done.other_bytes):,} files have the published rows and photos in other bytes, "
            f"as other tools write them: {done.other_bytes[0]} is one"
        )
