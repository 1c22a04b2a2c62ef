"""The protocol: every figure of one set of embeddings, with its interval and what it was made on.

Each test set (source) is evaluated by itself, each species, and all photos together. Within each,
a query is looked up among the photos of its species, and negatives are of its species.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.all_pairs import AllPairs, score_all_pairs
from evaluation.drawn_curves import CurvePoints, Similarities, barred, thinned
from evaluation.embeddings import Embeddings, numbered
from evaluation.examples import Examples, choose_examples, examples_from
from evaluation.metrics import FloatArray, IntArray, RocCurve
from evaluation.open_set import accuracy_by_gallery_size, open_set_identification
from evaluation.pair_kinds import Announced, PairKind, pair_kinds
from evaluation.pairs import PairRules
from evaluation.pairs_file import pairs_hash
from evaluation.retrieval import Ranking
from evaluation.significance import RESAMPLES, Interval, bootstrap
from evaluation.validation import (
    ScoredSplit,
    rank_species,
    retrieval_intervals,
    verification_figures,
    verification_intervals,
)
from petdata.errors import CorruptFile, PetdataError
from petdata.workspace import write_whole

GALLERY_SIZES: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
POOLED: Final = "all"


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Saved with the figures."""

    pairs: PairRules = field(default_factory=PairRules)
    open_set_false_positive_rate: float = 0.01
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise PetdataError(f"{self.resamples} resamples say little of 95 %: take 100 or more")


@dataclass(frozen=True, kw_only=True)
class PartFigures:
    """What one test set, one species or all photos gave. Figures that it cannot show are absent."""

    name: str  # "all", "source dogfacenet", "species cat"
    counts: dict[str, float]  # photos, identities, queries, skipped, gallery, pairs
    figures: dict[str, Interval]
    thresholds: dict[str, float]  # chosen on these very photos: not calibrated
    bounds: dict[str, float]  # of the binned figures over all pairs
    top_1_by_gallery_size: dict[int, float]  # identity level
    pairs_hash: str
    pair_kinds: dict[str, PairKind] = field(default_factory=dict)
    curve: CurvePoints | None = field(default=None, repr=False)  # of all pairs, as the next
    similarities: Similarities | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    model_hash: str
    dataset_hash: str
    options: EvaluateOptions
    parts: tuple[PartFigures, ...]  # the pooled one first
    examples: Examples | None = field(default=None, repr=False)  # of all photos

    def find(self, name: str) -> PartFigures | None:
        return next((part for part in self.parts if part.name == name), None)

    def part(self, name: str = POOLED) -> PartFigures:
        if (part := self.find(name)) is not None:
            return part
        known = ", ".join(part.name for part in self.parts)
        raise PetdataError(f"no part {name!r} was evaluated; there are {known}")


def evaluate(
    embeddings: Embeddings,
    options: EvaluateOptions | None = None,
    said: Announced | None = None,
) -> Evaluation:
    """`said`: of the same photos, for pairs of one listing or day. Raises PetdataError where there
    are no photos.
    """
    options = options or EvaluateOptions()
    if not len(embeddings):
        raise PetdataError("there are no embeddings to evaluate")
    pooled = rank_species(embeddings)
    parts = []
    for name, rows in _parts(embeddings):
        photos, part_said = _taken(embeddings, said, rows)
        ranking = pooled if rows is None else rank_species(photos)
        parts.append(_evaluate_part(name, photos, ranking, part_said, options))
    return Evaluation(
        model_hash=embeddings.model_hash,
        dataset_hash=embeddings.dataset_hash,
        options=options,
        parts=tuple(parts),
        examples=choose_examples(embeddings, pooled, seed=options.seed),
    )


def _taken(
    embeddings: Embeddings, said: Announced | None, rows: IntArray | None
) -> tuple[Embeddings, Announced | None]:
    if rows is None:
        return embeddings, said
    return embeddings.take(rows), None if said is None else said.take(rows)


def evaluated_parts(embeddings: Embeddings) -> Iterator[tuple[str, Embeddings]]:
    """All photos, those of each source, those of each species."""
    for name, rows in _parts(embeddings):
        yield name, _taken(embeddings, None, rows)[0]


def _parts(embeddings: Embeddings) -> Iterator[tuple[str, IntArray | None]]:
    """One that would be all photos again is left out."""
    yield POOLED, None
    for kind, names in (("source", embeddings.sources), ("species", embeddings.species)):
        if names is None:
            continue
        numbers, found = numbered(names), sorted(set(names.unique().to_pylist()))
        if len(found) > 1:
            for number, name in enumerate(found):
                yield f"{kind} {name}", np.flatnonzero(numbers == number)


def _evaluate_part(
    name: str,
    embeddings: Embeddings,
    ranking: Ranking,
    said: Announced | None,
    options: EvaluateOptions,
) -> PartFigures:
    scored = ScoredSplit.of(embeddings, options.pairs)
    every = score_all_pairs(
        embeddings.vectors,
        embeddings.labels,
        duplicates=embeddings.duplicates,
        galleries=embeddings.species_numbers if options.pairs.same_species else None,
        seed=options.seed,
    )
    figures: dict[str, Interval] = {}
    thresholds: dict[str, float] = {}
    bounds: dict[str, float] = {}
    drawn = {"resamples": options.resamples, "seed": options.seed}
    if ranking.has_match.any():
        figures |= retrieval_intervals(ranking, **drawn)
        figures["open_set_identification_rate"], threshold = _open_set(ranking, options)
        thresholds["open_set_identification_rate"] = threshold
    if scored.has_both_kinds:
        figures |= verification_intervals(scored, **drawn)
    has_both_kinds = bool(every.same and every.other)
    if has_both_kinds:
        figures |= _all_pairs_figures(every)
        equal = every.curve.equal_error_rate
        thresholds["all_pairs_equal_error_rate"] = equal.threshold
        bounds["all_pairs_roc_auc_error"] = every.auc_error
        low, high = every.equal_error_rate_range
        bounds |= {
            "all_pairs_equal_error_rate_lowest": low,
            "all_pairs_equal_error_rate_highest": high,
        }
    return PartFigures(
        name=name,
        counts=_counts(embeddings, ranking, scored, every),
        figures=figures,
        thresholds=thresholds,
        bounds=bounds,
        top_1_by_gallery_size=_by_gallery_size(ranking),
        pairs_hash=pairs_hash(scored.pairs),
        pair_kinds={} if said is None else pair_kinds(embeddings, every, said, **drawn),
        curve=thinned(every.curve) if has_both_kinds else None,
        similarities=barred(every.counts) if has_both_kinds else None,
    )


def _open_set(ranking: Ranking, options: EvaluateOptions) -> tuple[Interval, float]:
    limit = options.open_set_false_positive_rate
    identities, groups = np.unique(ranking.labels, return_inverse=True)
    groups = groups.reshape(-1)

    def rate(drawn: FloatArray) -> list[float]:
        """The threshold is chosen anew in each resample."""
        found = open_set_identification(ranking, false_positive_rate=limit, weights=drawn[groups])
        return [found.true_positive_rate]

    (interval,) = bootstrap(rate, len(identities), resamples=options.resamples, seed=options.seed)
    return interval, open_set_identification(ranking, false_positive_rate=limit).threshold


def _all_pairs_figures(every: AllPairs) -> dict[str, Interval]:
    names = tuple(verification_figures(every.curve))

    def all_of(curve: RocCurve) -> list[float]:
        return list(verification_figures(curve).values())

    return {
        f"all_pairs_{name}": interval
        for name, interval in zip(names, every.intervals(all_of), strict=True)
    }


def _counts(
    embeddings: Embeddings, ranking: Ranking, scored: ScoredSplit, every: AllPairs
) -> dict[str, float]:
    same = int(scored.pairs.is_same.sum())
    return {
        "photos": len(embeddings),
        "identities": len(np.unique(embeddings.labels)),
        "queries": int(ranking.has_match.sum()),
        "skipped_queries": ranking.skipped,
        "mean_gallery_photos": float(ranking.gallery_photos.mean()),
        "mean_gallery_identities": float(ranking.gallery_identities.mean()),
        "positive_pairs": same,
        "negative_pairs": len(scored.pairs) - same,
        "all_positive_pairs": every.same,
        "all_negative_pairs": every.other,
    }


def _by_gallery_size(ranking: Ranking) -> dict[int, float]:
    if not ranking.has_match.any():
        return {}
    largest = int(ranking.gallery_identities[ranking.has_match].min())
    sizes = [size for size in GALLERY_SIZES if size < largest] + [largest]
    found = accuracy_by_gallery_size(ranking, sizes)
    return {size: rate for size, rate in zip(sizes, found, strict=True) if rate is not None}


# Files


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """JSON; a figure that no resample could give has null for its interval."""
    text = json.dumps(told(evaluation), indent=2, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def told(evaluation: Evaluation) -> dict[str, Any]:
    """As JSON has it."""
    found: dict[str, Any] = _without_nan(dataclasses.asdict(evaluation))
    return found


def read_evaluation(path: Path) -> Evaluation:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        options = said["options"] | {"pairs": PairRules(**said["options"]["pairs"])}
        return Evaluation(
            model_hash=said["model_hash"],
            dataset_hash=said["dataset_hash"],
            options=EvaluateOptions(**options),
            parts=tuple(_part_from(part) for part in said["parts"]),
            examples=examples_from(said["examples"]) if said.get("examples") else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} is no evaluation: {error}; evaluate again") from error


def _part_from(told: dict[str, Any]) -> PartFigures:
    """Older evaluations have no kinds of pairs and no curves."""
    kinds = {
        name: PairKind(**(kind | {"figures": _intervals_from(kind["figures"])}))
        for name, kind in (told.get("pair_kinds") or {}).items()
    }
    curve, similarities = told.get("curve"), told.get("similarities")
    read = {
        "figures": _intervals_from(told["figures"]),
        "top_1_by_gallery_size": {
            int(size): rate for size, rate in told["top_1_by_gallery_size"].items()
        },
        "pair_kinds": kinds,
        "curve": None if curve is None else CurvePoints(**_with_tuples(curve)),
        "similarities": None
        if similarities is None
        else Similarities(**_with_tuples(similarities)),
    }
    return PartFigures(**(told | read))


def _intervals_from(told: dict[str, Any]) -> dict[str, Interval]:
    found = {}
    for name, interval in told.items():
        values: dict[str, Any] = {key: np.nan if v is None else v for key, v in interval.items()}
        found[name] = Interval(**values)
    return found


def _with_tuples(told: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
