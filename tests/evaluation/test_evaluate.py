"""The protocol on drawn embeddings: parts, figures from their own functions, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scattered import scattered

from evaluation.evaluate import EvaluateOptions, evaluate, read_evaluation, write_evaluation
from evaluation.metrics import roc_curve
from evaluation.pairs import PairRules
from evaluation.retrieval import rank_gallery
from petdata.errors import CorruptFile, PetdataError

OPTIONS = EvaluateOptions(resamples=100)


def test_parts_are_evaluated_by_themselves() -> None:
    photos = scattered(0.8, identities=40)
    found = evaluate(photos, OPTIONS)
    assert [part.name for part in found.parts] == [
        "all",
        "source pet911",
        "source telegram",
        "species cat",
        "species dog",
    ]
    here = np.array(photos.sources.to_pylist()) == "telegram"
    alone = photos.take(np.flatnonzero(here))
    ranking = rank_gallery(alone.vectors, alone.labels, galleries=alone.species_numbers)
    part = found.part("source telegram")
    assert part.figures["top_1_accuracy"].estimate == ranking.top_k_accuracy(1)
    assert part.figures["top_1_accuracy"].estimate > found.part().figures["top_1_accuracy"].estimate
    assert part.counts["photos"] == here.sum() == 96
    assert part.counts["positive_pairs"] == 24 * 5
    with pytest.raises(PetdataError, match="no part 'source x' was evaluated; there are all"):
        found.part("source x")


def test_all_pairs_are_those_of_a_species() -> None:
    photos = scattered(0.8)
    scores, same = [], []
    for species in (0, 1):
        rows = np.flatnonzero(photos.species_numbers == species)
        first, second = np.triu_indices(len(rows), k=1)
        scores.append((photos.vectors[rows] @ photos.vectors[rows].T)[first, second])
        same.append(photos.labels[rows][first] == photos.labels[rows][second])
    exact = roc_curve(np.concatenate(scores), np.concatenate(same))
    part = evaluate(photos, OPTIONS).part()
    assert part.counts["all_positive_pairs"] == np.concatenate(same).sum()
    found = part.figures["all_pairs_roc_auc"]
    assert abs(found.estimate - exact.auc) <= part.bounds["all_pairs_roc_auc_error"]
    assert found.low < exact.auc < found.high
    low, high = (part.bounds[f"all_pairs_equal_error_rate_{end}"] for end in ("lowest", "highest"))
    assert low <= exact.equal_error_rate.rate <= high


def test_every_figure_has_an_interval_around_it() -> None:
    part = evaluate(scattered(0.8, identities=60), OPTIONS).part()
    assert len(part.figures) == 8 + 1 + 5 + 5
    for name, interval in part.figures.items():
        assert interval.low <= interval.estimate <= interval.high, name
        assert interval.low < interval.high, name
    sizes = part.top_1_by_gallery_size
    assert list(sizes) == [10, 30]
    assert sizes[10] > sizes[30] == part.figures["identity_top_1_accuracy"].estimate


def test_what_photos_cannot_show_is_absent() -> None:
    part = evaluate(scattered(0.5, photos=1), OPTIONS).part()
    assert part.figures == {}
    assert part.counts["skipped_queries"] == 25


def test_an_evaluation_reads_back(tmp_path: Path) -> None:
    options = EvaluateOptions(resamples=100, pairs=PairRules(identity_cap="each kind", seed=4))
    found = evaluate(scattered(0.8), options)
    write_evaluation(found, tmp_path / "evaluation.json")
    assert read_evaluation(tmp_path / "evaluation.json") == found
    told = json.loads((tmp_path / "evaluation.json").read_text())
    del told["parts"][0]["figures"]
    (tmp_path / "evaluation.json").write_text(json.dumps(told))
    with pytest.raises(CorruptFile, match="is no evaluation"):
        read_evaluation(tmp_path / "evaluation.json")


def test_no_photos_and_too_few_resamples_are_refused() -> None:
    with pytest.raises(PetdataError, match="no embeddings"):
        evaluate(scattered(0.5).take(np.empty(0, int)), OPTIONS)
    with pytest.raises(PetdataError, match="take 100 or more"):
        EvaluateOptions(resamples=10)
