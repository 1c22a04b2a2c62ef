"""The paired tests of an experiment, each kept on disk: embeddings are read only for new ones."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.compare import compare
from evaluation.embeddings import Embeddings, is_finished, read_embeddings
from evaluation.evaluate import evaluated_parts
from evaluation.opened import embedding_cache
from evaluation.reproduce_matrix import Experiment
from evaluation.reproduce_store import CellResult, Results
from evaluation.reproduce_tables import Comparisons, Row
from petdata.errors import PetdataError
from petdata.workspace import Workspace


def compare_rows(
    experiment: Experiment,
    part: str,
    rows: Sequence[Row],
    *,
    results: Results,
    workspace: Workspace,
    resamples: int,
) -> Comparisons:
    """The first seed of each cell with the baseline's."""
    first = {row.cell.name: row.results[0] for row in rows if row.results}
    baseline = first.pop(experiment.baseline, None)
    found, reasons = {}, {}
    for name, other in first.items():
        if baseline is None:
            reasons[name] = (
                f"the baseline {experiment.cell(experiment.baseline).label} is not there"
            )
            continue
        if other.key == baseline.key:
            reasons[name] = "it is the baseline's own network"
            continue
        compared = results.comparison(part, baseline.key, other.key)
        if compared is None:
            try:
                pair = [
                    (result.run, _embeddings(workspace, result, part))
                    for result in (baseline, other)
                ]
                (compared,) = compare(pair, resamples=resamples)
            except PetdataError as error:
                reasons[name] = str(error)
                continue
            results.write_comparison(part, baseline.key, other.key, compared)
        found[name] = compared
    return Comparisons(found=found, reasons=reasons)


def _embeddings(workspace: Workspace, result: CellResult, part: str) -> Embeddings:
    folder = embedding_cache(workspace) / result.embeddings
    if not is_finished(folder):
        raise PetdataError(
            f"the embeddings of {result.run} are no longer in {folder.parent}: evaluate it again"
        )
    for name, embeddings in evaluated_parts(read_embeddings(folder)):
        if name == part:
            return embeddings
    raise PetdataError(f"{result.run} has no photos of {part}")
