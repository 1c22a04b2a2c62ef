"""What `petdata compare` does and prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import typer

from evaluation.compare import Comparison, compare
from evaluation.embeddings import MANIFEST, Embeddings, read_embeddings
from evaluation.opened import embedding_cache
from evaluation.significance import McNemar
from evaluation.stored import find_stored, read_stored
from petdata.errors import PetdataError
from petdata.workspace import Workspace, find_workspace


def compare_and_print(names: Sequence[str], *, resamples: int, seed: int, as_json: bool) -> None:
    workspace = find_workspace()
    if len(set(names)) < len(names):
        raise PetdataError("an evaluation is named twice")
    models = [(name, embeddings_of(workspace, name)) for name in names]
    found = compare(models, resamples=resamples, seed=seed)
    if as_json:
        document = [dataclasses.asdict(each) | {"in_words": each.in_words()} for each in found]
        typer.echo(json.dumps(document, indent=2))
        return
    for comparison in found:
        for line in [*comparison.in_words(), *_details(comparison)]:
            typer.echo(line)
        typer.echo()
    typer.echo(
        f"Intervals: bootstrap over identities. McNemar's p: after Holm for {len(found)} "
        "comparisons; too small where photos of one animal succeed together, so the interval counts"
    )


def embeddings_of(workspace: Workspace, name: str) -> Embeddings:
    """Of a stored evaluation. Raises PetdataError."""
    stored = read_stored(find_stored(workspace, name))
    folder = embedding_cache(workspace) / str(stored.about["embeddings"])
    if not (folder / MANIFEST).is_file():
        raise PetdataError(
            f"the embeddings of {name} are no longer in {folder.parent}: evaluate "
            f"{stored.about['model']} again"
        )
    return read_embeddings(folder)


def _details(comparison: Comparison) -> list[str]:
    return [
        _tests("queries, right at Top-1", comparison.queries, comparison.adjusted_query_p),
        _tests(
            "pairs, right at each one's EER threshold", comparison.pairs, comparison.adjusted_pair_p
        ),
    ]


def _tests(unit: str, test: McNemar, adjusted: float) -> str:
    used = "exact" if test.is_exact else "corrected"
    return (
        f"  McNemar on {unit}: {test.only_first:,} only the first, {test.only_second:,} only the "
        f"second; exact p = {test.exact_p:.2g}, corrected chi-squared {test.statistic:.2f}, "
        f"p = {test.corrected_p:.2g}; the {used} one counts, after Holm {adjusted:.2g}"
    )
