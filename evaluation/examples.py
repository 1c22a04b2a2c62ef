"""Photos to look at: pairs that scored most wrongly, and what searches found.

Pairs at the wrong end are where labels are wrong first: two animals under one identity, or one
animal under two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evaluation.embeddings import Embeddings
from evaluation.metrics import BoolArray, FloatArray, IntArray
from evaluation.pair_kinds import positive_pairs
from evaluation.retrieval import Ranking

PAIRS: Final = 12  # of each kind
SEARCHES: Final = 8  # drawn from all, and from those that failed
PLACES: Final = 6  # of each search
_MOST_LOOKED_AT: Final = 200  # photos, for pairs of two identities that are not there yet


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    first: str  # photo id, as the next
    second: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Found:
    photo_id: str
    similarity: float
    place: int  # from 1
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Search:
    """The first places; where none of them is right, the first right photo after them."""

    query: str
    found: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    positives: tuple[ShownPair, ...]  # the least alike, one an identity
    negatives: tuple[ShownPair, ...]  # the most alike, one for two identities
    searches: tuple[Search, ...]  # drawn from queries with a match
    failed: tuple[Search, ...]  # from those whose first photo is wrong


def choose_examples(embeddings: Embeddings, ranking: Ranking, *, seed: int = 0) -> Examples:
    """`ranking`: of every photo in turn among all others of its species."""
    rng = np.random.default_rng(seed)
    failed = ranking.has_match & (ranking.image_rank > 1)
    return Examples(
        positives=_least_alike(embeddings),
        negatives=_most_alike(embeddings, ranking),
        searches=_searches(embeddings, ranking, _drawn(ranking.has_match, rng)),
        failed=_searches(embeddings, ranking, _drawn(failed, rng)),
    )


def examples_from(told: dict[str, Any]) -> Examples:
    """What `dataclasses.asdict` made of them."""
    return Examples(
        positives=tuple(ShownPair(**pair) for pair in told["positives"]),
        negatives=tuple(ShownPair(**pair) for pair in told["negatives"]),
        searches=tuple(_search_from(search) for search in told["searches"]),
        failed=tuple(_search_from(search) for search in told["failed"]),
    )


def _search_from(told: dict[str, Any]) -> Search:
    found = tuple(Found(**each) for each in told["found"])
    return Search(query=told["query"], found=found)


def _least_alike(embeddings: Embeddings) -> tuple[ShownPair, ...]:
    identities = int(embeddings.labels.max(initial=-1)) + 1
    lowest = np.full(identities, np.inf)
    rows = np.zeros((identities, 2), np.int64)
    for first, second in positive_pairs(embeddings):
        scores = np.einsum("pd,pd->p", embeddings.vectors[first], embeddings.vectors[second])
        falling = np.argsort(-scores, kind="stable")  # the last of an identity is its lowest
        chosen = falling[scores[falling] < lowest[embeddings.labels[first[falling]]]]
        labels = embeddings.labels[first[chosen]]
        lowest[labels] = scores[chosen]
        rows[labels] = np.stack([first[chosen], second[chosen]], axis=1)
    order = np.argsort(lowest, kind="stable")[:PAIRS]
    return _pairs(embeddings, ((*rows[n], lowest[n]) for n in order if np.isfinite(lowest[n])))


def _most_alike(embeddings: Embeddings, ranking: Ranking) -> tuple[ShownPair, ...]:
    found: dict[frozenset[int], tuple[int, int, float]] = {}
    for place in np.argsort(-ranking.best_other, kind="stable")[:_MOST_LOOKED_AT].tolist():
        if len(found) == PAIRS or not np.isfinite(ranking.best_other[place]):
            break
        row = int(ranking.queries[place])
        scores, is_right = _gallery(embeddings, row)
        other = int(np.argmax(np.where(is_right, -np.inf, scores)))
        both = frozenset(embeddings.labels[[row, other]].tolist())
        found.setdefault(both, (min(row, other), max(row, other), float(scores[other])))
    return _pairs(embeddings, found.values())


def _pairs(
    embeddings: Embeddings, chosen: Iterable[tuple[int, int, float]]
) -> tuple[ShownPair, ...]:
    ids = embeddings.photo_ids
    return tuple(
        ShownPair(first=ids[one].as_py(), second=ids[other].as_py(), similarity=float(score))
        for one, other, score in chosen
    )


def _drawn(chosen: BoolArray, rng: np.random.Generator) -> IntArray:
    places = np.flatnonzero(chosen)
    drawn: IntArray = rng.choice(places, min(SEARCHES, len(places)), replace=False)
    return drawn


def _searches(embeddings: Embeddings, ranking: Ranking, places: IntArray) -> tuple[Search, ...]:
    found = []
    for place in places.tolist():
        row = int(ranking.queries[place])
        scores, is_right = _gallery(embeddings, row)
        order = np.lexsort((is_right, -scores))  # ties count against the query
        order = order[np.isfinite(scores[order])]
        shown = [(int(other), n + 1) for n, other in enumerate(order[:PLACES])]
        if not is_right[order[:PLACES]].any():
            best = order[is_right[order]][0]
            shown.append((int(best), int(ranking.image_rank[place])))
        found.append(
            Search(
                query=embeddings.photo_ids[row].as_py(),
                found=tuple(
                    Found(
                        photo_id=embeddings.photo_ids[other].as_py(),
                        similarity=float(scores[other]),
                        place=number,
                        is_right=bool(is_right[other]),
                    )
                    for other, number in shown
                ),
            )
        )
    return tuple(found)


def _gallery(embeddings: Embeddings, row: int) -> tuple[FloatArray, BoolArray]:
    """(N,) similarities to one photo, -inf for those outside its gallery; which show its animal."""
    scores = (embeddings.vectors @ embeddings.vectors[row]).astype(np.float64)
    is_right = embeddings.labels == embeddings.labels[row]
    outside = np.arange(len(scores)) == row
    if embeddings.duplicates is not None:
        outside |= embeddings.duplicates == embeddings.duplicates[row]
    if embeddings.species_numbers is not None:
        outside |= embeddings.species_numbers != embeddings.species_numbers[row]
    return np.where(outside, -np.inf, scores), is_right
