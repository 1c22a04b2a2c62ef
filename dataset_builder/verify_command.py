"""What `petdata verify` prints."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dataset_builder.forgetting import search_and_print
from dataset_builder.open_release import find_release
from dataset_builder.verify import Verification
from petdata.errors import PetdataError
from petdata.workspace import find_workspace


def verify_and_print(release: str | None, *, quick: bool, purged: str | None = None) -> None:
    """Raises PetdataError, after naming every problem, where there is one."""
    if purged is not None:
        if release is not None:
            raise PetdataError("a release or --purged, which searches the whole workspace: one")
        search_and_print(purged)
        return
    workspace = find_workspace()
    folder = find_release(workspace, release)
    verification = Verification(workspace=workspace, release=folder, quick=quick)
    out = Console(highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    problems = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(f"verifying {folder}")
        for problem in verification.problems():
            problems += 1
            out.print(problem, soft_wrap=True, markup=False)
    for skipped in verification.not_repeated:
        out.print(f"not checked: {skipped}", soft_wrap=True, markup=False)
    if problems:
        raise PetdataError(f"{problems} problems in {folder}")
    out.print(
        f"{verification.photos:,} photos verified in {folder}"
        + (", none of them decoded (--quick)" if quick else ""),
        soft_wrap=True,
    )
