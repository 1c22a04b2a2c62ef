"""Two models on the same photos: what can be concluded, and what cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from evaluation.embeddings import Embeddings
from evaluation.metrics import BoolArray, FloatArray, ScoredPairs, roc_curve
from evaluation.pairs import PairRules
from evaluation.pairs_file import pairs_hash
from evaluation.retrieval import Ranking
from evaluation.significance import (
    RESAMPLES,
    Interval,
    McNemar,
    bootstrap,
    holm,
    mcnemar,
)
from evaluation.validation import ScoredSplit, rank_species, top_1_gain
from petdata.errors import PetdataError

SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Differences are the second model's figure less the first one's; p of McNemar after Holm."""

    first: str
    second: str
    top_1: Interval
    auc: Interval
    equal_error_rate: Interval
    queries: McNemar  # right at Top-1, only_first and only_second
    pairs: McNemar  # right at each model's own EER threshold
    adjusted_query_p: float
    adjusted_pair_p: float
    pairs_hash: str

    def in_words(self) -> list[str]:
        """A sentence for each figure.

        A difference is concluded where its interval leaves out 0 and, for those that McNemar tests,
        p after Holm is below 0.05: the first allows for photos of one animal being alike, the
        second for several models being compared.
        """
        return [
            self._about(
                "finds the right animal first more often", self.top_1, self.adjusted_query_p
            ),
            self._about("has the lower EER", _negated(self.equal_error_rate), self.adjusted_pair_p),
            self._about("has the higher AUC", self.auc, None),
        ]

    def _about(self, better: str, gain: Interval, p: float | None) -> str:
        figures = (
            f"{100 * gain.estimate:+.1f} points in favour of {self.second}, "
            f"95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
        )
        if p is not None:
            figures += f"; McNemar p = {p:.2g}"
        significant = p is None or p < SIGNIFICANT
        if significant and gain.low > 0:
            return f"{self.second} {better} than {self.first}: {figures}."
        if significant and gain.high < 0:
            return f"{self.first} {better} than {self.second}: {figures}."
        return (
            f"It cannot be concluded which of {self.first} and {self.second} {better}: {figures}. "
            f"Differences of up to {100 * max(gain.high, -gain.low):.1f} points are not excluded."
        )


def _negated(interval: Interval) -> Interval:
    return replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low)


def compare(
    models: Sequence[tuple[str, Embeddings]],
    *,
    rules: PairRules | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Each model with the first one, the baseline. Raises PetdataError for other photos."""
    if len(models) < 2:
        raise PetdataError("a comparison needs two models or more")
    made = [
        _Outcome.of(name, embeddings, rules or PairRules(seed=seed)) for name, embeddings in models
    ]
    for outcome in made[1:]:
        _require_same_photos(made[0], outcome)
    found = [_differences(made[0], other, resamples, seed) for other in made[1:]]
    tests = [
        (mcnemar(made[0].hits, other.hits), mcnemar(made[0].right, other.right))
        for other in made[1:]
    ]
    by_queries, by_pairs = (holm([test[kind].p for test in tests]) for kind in (0, 1))
    return [
        Comparison(
            first=made[0].name,
            second=other.name,
            top_1=top_1,
            auc=auc,
            equal_error_rate=equal,
            queries=queries,
            pairs=pairs,
            adjusted_query_p=float(query_p),
            adjusted_pair_p=float(pair_p),
            pairs_hash=pairs_hash(other.scored.pairs),
        )
        for other, (top_1, auc, equal), (queries, pairs), query_p, pair_p in zip(
            made[1:], found, tests, by_queries, by_pairs, strict=True
        )
    ]


@dataclass(frozen=True, eq=False)
class _Outcome:
    name: str
    embeddings: Embeddings
    ranking: Ranking
    scored: ScoredSplit
    right: BoolArray  # (P,)

    @classmethod
    def of(cls, name: str, embeddings: Embeddings, rules: PairRules) -> _Outcome:
        ranking, scored = rank_species(embeddings), ScoredSplit.of(embeddings, rules)
        if not ranking.has_match.any() or not scored.has_both_kinds:
            raise PetdataError(f"{name}: no query has a match, or pairs of one kind are missing")
        threshold = roc_curve(scored.scores, scored.pairs.is_same).equal_error_rate.threshold
        return cls(
            name,
            embeddings,
            ranking,
            scored,
            (scored.scores >= threshold) == scored.pairs.is_same,
        )

    @property
    def hits(self) -> BoolArray:
        """Of the queries with a match."""
        return self.ranking.hits(1)[self.ranking.has_match]


def _require_same_photos(baseline: _Outcome, other: _Outcome) -> None:
    one, two = baseline.embeddings, other.embeddings
    if one.photo_ids != two.photo_ids or one.identity_ids != two.identity_ids:
        raise PetdataError(
            f"{baseline.name} and {other.name} embed different photos ({len(one):,} and "
            f"{len(two):,}), or in another order: embed the same release and split with both"
        )


def _differences(
    baseline: _Outcome, other: _Outcome, resamples: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    top_1 = top_1_gain(other.ranking, baseline.ranking, resamples=resamples, seed=seed)
    curves = [ScoredPairs(o.scored.scores, o.scored.pairs.is_same) for o in (baseline, other)]

    def figures(drawn: FloatArray) -> list[float]:
        weights = baseline.scored.weights(drawn)  # the same for both: the difference is paired
        one, two = (curve.curve(weights) for curve in curves)
        return [two.auc - one.auc, two.equal_error_rate.rate - one.equal_error_rate.rate]

    identities = baseline.scored.identities
    auc, equal = bootstrap(figures, identities, resamples=resamples, seed=seed)
    return top_1, auc, equal
