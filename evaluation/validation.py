"""Figures of a validation split while training: what `on_epoch_end` gives the loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluation.embeddings import Embeddings
from evaluation.metrics import FloatArray, ScoredPairs
from evaluation.pairs import PairRules, VerificationPairs, make_pairs
from evaluation.retrieval import Ranking, rank_gallery
from evaluation.significance import RESAMPLES, Interval, bootstrap, bootstrap_means
from petdata.errors import PetdataError


def validation_figures(
    embeddings: Embeddings, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """Retrieval with each photo left out in turn, among photos of its species; verification on
    pairs under the paper's caps. NAME_low and NAME_high: 95 %, bootstrap over identities.
    """
    ranking = rank_species(embeddings)
    named = retrieval_intervals(ranking, resamples=resamples, seed=seed)
    named |= verification_intervals(embeddings, resamples=resamples, seed=seed)
    figures = {name: interval.estimate for name, interval in named.items()}
    for name, interval in named.items():
        figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high
    return figures | {
        "queries": float(np.sum(ranking.has_match)),
        "skipped_queries": float(ranking.skipped),
        "gallery_photos": float(ranking.gallery_photos.mean()),
        "gallery_identities": float(ranking.gallery_identities.mean()),
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
    """The gallery stays whole; what is drawn is whose photos are the queries."""
    if not ranking.has_match.any():
        ranking.top_k_accuracy(1)  # says what is missing
    matched = ranking.has_match
    columns: dict[str, FloatArray] = {
        f"top_{k}_accuracy": ranking.hits(k)[matched].astype(float) for k in (1, 5)
    }
    columns["mean_average_precision"] = ranking.average_precision[matched]
    found = bootstrap_means(
        np.stack(list(columns.values()), axis=1),
        ranking.labels[matched],
        resamples=resamples,
        seed=seed,
    )
    return dict(zip(columns, found, strict=True))


def verification_intervals(
    embeddings: Embeddings, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    pairs = make_pairs(
        embeddings.photo_ids,
        embeddings.labels,
        species=embeddings.species_numbers,
        duplicates=embeddings.duplicates,
        rules=PairRules(seed=seed),
    )
    scored = ScoredPairs(pair_scores(embeddings, pairs), pairs.is_same)
    first, second = embeddings.labels[pairs.first], embeddings.labels[pairs.second]

    def figures(weights: npt.NDArray[np.float64]) -> list[float]:
        # a positive pair is drawn with its identity, a negative one with both of its identities
        both = np.where(pairs.is_same, weights[first], weights[first] * weights[second])
        curve = scored.curve(both)
        return [curve.auc, curve.equal_error_rate.rate]

    identities = int(embeddings.labels.max(initial=-1)) + 1
    found = bootstrap(figures, identities, resamples=resamples, seed=seed)
    return dict(zip(("roc_auc", "equal_error_rate"), found, strict=True))


def pair_scores(embeddings: Embeddings, pairs: VerificationPairs) -> FloatArray:
    """(P,) cosines."""
    scores = np.empty(len(pairs))
    for start in range(0, len(pairs), 1 << 16):
        part = slice(start, start + (1 << 16))
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
    matched = new.has_match
    new.top_k_accuracy(1)  # says what is missing where no query has a match
    gain = new.hits(1)[matched].astype(float) - old.hits(1)[matched]
    (interval,) = bootstrap_means(
        gain[:, None], new.labels[matched], resamples=resamples, seed=seed
    )
    return interval
