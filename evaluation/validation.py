"""Figures of embeddings with their intervals: all at once, as training validates with them, and
the parts that the whole protocol and comparisons are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from evaluation.embeddings import Embeddings
from evaluation.metrics import FloatArray, IntArray, RocCurve, ScoredPairs
from evaluation.pairs import PairRules, VerificationPairs, make_pairs
from evaluation.retrieval import Ranking, rank_gallery
from evaluation.significance import RESAMPLES, Interval, Rivals, bootstrap, bootstrap_means
from evaluation.similarity import parts
from petdata.errors import PetdataError


def validation_figures(
    embeddings: Embeddings, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """Retrieval with each photo left out in turn, among photos of its species; verification on
    pairs under the paper's caps. NAME_low and NAME_high: 95 %, bootstrap over identities.

    A split without matches or without both kinds of pairs lacks the figures that need them, for a
    run must not end over that; `queries` and `verification_pairs` then are 0.
    """
    named: dict[str, Interval] = {}
    ranking, scored = rank_species(embeddings), ScoredSplit.of(embeddings, PairRules(seed=seed))
    if ranking.has_match.any():
        named |= retrieval_intervals(ranking, resamples=resamples, seed=seed)
    if scored.has_both_kinds:
        named |= verification_intervals(scored, resamples=resamples, seed=seed)
    figures = {name: interval.estimate for name, interval in named.items()}
    for name, interval in named.items():
        figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high
    return figures | {
        "queries": float(np.sum(ranking.has_match)),
        "skipped_queries": float(ranking.skipped),
        "gallery_photos": float(ranking.gallery_photos.mean()),
        "gallery_identities": float(ranking.gallery_identities.mean()),
        "verification_pairs": float(len(scored.pairs)) if scored.has_both_kinds else 0.0,
    }


def rank_species(embeddings: Embeddings) -> Ranking:
    """Every photo in turn against all others of its species."""
    return rank_gallery(
        embeddings.vectors,
        embeddings.labels,
        duplicates=embeddings.duplicates,
        galleries=embeddings.species_numbers,
    )


def retrieval_intervals(
    ranking: Ranking, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """What is drawn is whose photos are the queries and, for Top-1, who else is in the gallery.

    For the other figures the gallery stays whole, which makes their intervals a little narrow.
    """
    matched = ranking.has_match
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for k in (1, 5, 10):
        columns[f"top_{k}_accuracy"] = ranking.hits(k)
    columns["mean_average_precision"] = ranking.average_precision
    for k in (1, 5, 10):
        columns[f"identity_top_{k}_accuracy"] = ranking.hits(k, "identity")
    columns["identity_mean_average_precision"] = 1 / np.maximum(ranking.identity_rank, 1)
    rivals = ranking.top_1_rivals()
    is_top_1 = np.array([name.endswith("top_1_accuracy") for name in columns])
    found = bootstrap_means(
        np.stack([column[matched].astype(float) for column in columns.values()], axis=1),
        ranking.labels[matched],
        rivals=Rivals(rivals.identities, rivals.gains * is_top_1),
        resamples=resamples,
        seed=seed,
    )
    shares = (replace(i, low=max(i.low, 0.0), high=min(i.high, 1.0)) for i in found)
    return dict(zip(columns, shares, strict=True))


def pairs_of(embeddings: Embeddings, rules: PairRules) -> VerificationPairs:
    return make_pairs(
        embeddings.photo_ids,
        embeddings.labels,
        species=embeddings.species_numbers,
        duplicates=embeddings.duplicates,
        rules=rules,
    )


@dataclass(frozen=True, eq=False)
class ScoredSplit:
    """Verification pairs of embeddings and their cosines."""

    pairs: VerificationPairs
    scores: FloatArray  # (P,)
    identities: int
    first: IntArray  # (P,) identity of the first photo, numbered
    second: IntArray

    @classmethod
    def of(cls, embeddings: Embeddings, rules: PairRules) -> ScoredSplit:
        pairs, labels = pairs_of(embeddings, rules), embeddings.labels
        return cls(
            pairs,
            pair_scores(embeddings, pairs),
            int(labels.max(initial=-1)) + 1,
            labels[pairs.first],
            labels[pairs.second],
        )

    @property
    def has_both_kinds(self) -> bool:
        return 0 < int(self.pairs.is_same.sum()) < len(self.pairs)

    def weights(self, drawn: FloatArray) -> FloatArray:
        """Of the pairs: one of two identities is drawn as often as the two together."""
        one: FloatArray = drawn[self.first]
        return np.where(self.pairs.is_same, one, one * drawn[self.second])


def verification_figures(curve: RocCurve) -> dict[str, float]:
    return {
        "roc_auc": curve.auc,
        "equal_error_rate": curve.equal_error_rate.rate,
        "nearest_point_equal_error_rate": curve.equal_error_rate.nearest,
        "true_accept_rate_at_far_1e-2": curve.at_false_accept_rate(1e-2).true_accept_rate,
        "true_accept_rate_at_far_1e-3": curve.at_false_accept_rate(1e-3).true_accept_rate,
    }


def verification_intervals(
    scored: ScoredSplit, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    sorted_pairs = ScoredPairs(scored.scores, scored.pairs.is_same)

    def figures(drawn: FloatArray) -> list[float]:
        return list(verification_figures(sorted_pairs.curve(scored.weights(drawn))).values())

    found = bootstrap(figures, scored.identities, resamples=resamples, seed=seed)
    return dict(zip(verification_figures(sorted_pairs.curve()), found, strict=True))


def pair_scores(embeddings: Embeddings, pairs: VerificationPairs) -> FloatArray:
    """(P,) cosines."""
    scores = np.empty(len(pairs))
    for part in parts(len(pairs), 1 << 16):
        one, other = (embeddings.vectors[rows[part]] for rows in (pairs.first, pairs.second))
        scores[part] = np.einsum("pd,pd->p", one, other)
    return scores


def top_1_difference(
    after: Embeddings, before: Embeddings, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Top-1 of `after` less that of `before` on the same queries, paired: shares, not points."""
    if after.photo_ids != before.photo_ids or after.identity_ids != before.identity_ids:
        raise PetdataError("a paired difference needs embeddings of the same photos in one order")
    new, old = rank_species(after), rank_species(before)
    new.top_k_accuracy(1)  # says what is missing where no query has a match
    return top_1_gain(new, old, resamples=resamples, seed=seed)


def top_1_gain(
    new: Ranking, old: Ranking, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Of two rankings of the same photos: Top-1 of `new` less that of `old`, paired."""
    matched = new.has_match
    gain = new.hits(1)[matched].astype(float) - old.hits(1)[matched]
    ahead, behind = new.top_1_rivals(), old.top_1_rivals()
    rivals = Rivals(
        np.append(ahead.identities, behind.identities),
        np.append(ahead.gains, -behind.gains, axis=0),
    )
    (interval,) = bootstrap_means(
        gain[:, None], new.labels[matched], rivals=rivals, resamples=resamples, seed=seed
    )
    return interval
