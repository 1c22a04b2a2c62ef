"""Where the right animal stands when a photo is looked up among others.

A match is a gallery photo of the query's identity. The query itself and its duplicates are not in
its gallery, neither as matches nor as others. Ties count against the query: others whose
similarity is within TIE of a match stand before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder.compiled import compiled
from evaluation.metrics import BoolArray, FloatArray, IntArray
from evaluation.significance import Rivals
from evaluation.similarity import (
    COLUMNS_AT_A_TIME,
    ROWS_AT_A_TIME,
    TIE,
    Vectors,
    Workers,
    as_groups,
    parts,
    unit_vectors,
)
from petdata.errors import PetdataError

Level: TypeAlias = Literal["image", "identity"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One search for each query; all arrays (Q,). Ranks count from 1; 0 where there is no match."""

    queries: IntArray  # rows
    labels: IntArray  # of the queries, from 0 on
    image_rank: IntArray  # of the first match among the photos
    identity_rank: IntArray  # of the right identity, each standing where its best photo does
    average_precision: FloatArray  # over photos; 0 without a match
    best_match: FloatArray  # similarity of the best match; -inf without one
    best_other: FloatArray  # of the best photo of another identity; -inf where there is none
    gallery_photos: IntArray  # that this query was compared with
    gallery_identities: IntArray
    only_rival: IntArray  # the one identity that stands before the right one; -1 if none or several

    @property
    def has_match(self) -> BoolArray:
        """Queries without a match are skipped in all figures but those of open-set search."""
        matched: BoolArray = self.image_rank > 0
        return matched

    @property
    def skipped(self) -> int:
        return int(np.sum(~self.has_match))

    def rank(self, level: Level) -> IntArray:
        return self.image_rank if level == "image" else self.identity_rank

    def hits(self, k: int, level: Level = "image") -> BoolArray:
        """(Q,): is the query's identity among the first k? False without a match."""
        found: BoolArray = self.has_match & (self.rank(level) <= k)
        return found

    def top_1_rivals(self) -> Rivals:
        """Who alone kept a query with a match from being right at Top-1; the gain is 1 each."""
        identities = self.only_rival[self.only_rival >= 0]
        return Rivals(identities, np.ones((len(identities), 1)))

    def top_k_accuracy(self, k: int, level: Level = "image") -> float:
        """Share of the queries with a match."""
        return float(np.mean(self.hits(k, level)[self._matched()]))

    def mean_average_precision(self, level: Level = "image") -> float:
        """Of identities one is right, so that its precision is 1 / rank."""
        matched = self._matched()
        if level == "identity":
            return float(np.mean(1 / self.identity_rank[matched]))
        return float(np.mean(self.average_precision[matched]))

    def _matched(self) -> BoolArray:
        if not self.has_match.any():
            raise PetdataError(
                f"none of {len(self.queries)} queries has a match in its gallery; retrieval needs "
                "identities with two photos that are not duplicates"
            )
        return self.has_match


def rank_gallery(  # noqa: PLR0913, columns
    vectors: npt.NDArray[np.floating],
    labels: IntArray,
    *,
    queries: IntArray | None = None,
    gallery: IntArray | None = None,
    duplicates: IntArray | None = None,
    galleries: IntArray | None = None,
    threads: int | None = None,
) -> Ranking:
    """Search for each of the rows `queries` among the rows `gallery`; both all rows if not given.

    `vectors`: (N, D) of unit length. `duplicates`: (N,), equal for photos of one picture.
    `galleries`: (N,), such as the species; a query is looked up among the photos of its own only.
    """
    rows = unit_vectors(vectors)
    count = len(rows)
    names = np.unique(labels)
    photos = _Photos(
        rows,
        as_groups(labels, count, default="different"),
        as_groups(duplicates, count, default="different"),
        as_groups(galleries, count, default="equal"),
    )
    asked = np.arange(count) if queries is None else np.asarray(queries, np.int64)
    offered = np.arange(count) if gallery is None else np.asarray(gallery, np.int64)
    ranking = _empty_ranking(asked, np.asarray(labels)[asked])
    with Workers(threads) as workers:
        for group in np.unique(photos.galleries[asked]).tolist():
            places = np.flatnonzero(photos.galleries[asked] == group)
            found = _Gallery.of(photos, offered[photos.galleries[offered] == group])
            ranking.gallery_photos[places] = found.photos_for(asked[places])
            ranking.gallery_identities[places] = found.identities_for(asked[places])
            for part in parts(len(places), ROWS_AT_A_TIME):
                _search(found, asked, places[part], ranking, workers)
    has_one = ranking.identity_rank == 2
    ranking.only_rival[has_one] = names[ranking.only_rival[has_one]]
    ranking.only_rival[~has_one] = -1
    return ranking


class _Photos(NamedTuple):
    vectors: Vectors
    labels: IntArray  # (N,) numbered from 0
    duplicates: IntArray
    galleries: IntArray


@dataclass(frozen=True, eq=False)
class _Gallery:
    photos: _Photos
    rows: IntArray  # (G,) sorted by label
    starts: IntArray  # photos of label k stand at starts[k] .. starts[k + 1] - 1

    @classmethod
    def of(cls, photos: _Photos, rows: IntArray) -> _Gallery:
        rows = rows[np.argsort(photos.labels[rows], kind="stable")]
        numbers = np.arange(int(photos.labels.max(initial=-1)) + 2)
        return cls(photos, rows, np.searchsorted(photos.labels[rows], numbers))

    def photos_for(self, asked: IntArray) -> IntArray:
        """How many are left without the query's duplicates."""
        duplicates = self.photos.duplicates
        copies = np.bincount(duplicates[self.rows], minlength=int(duplicates.max()) + 1)
        left: IntArray = len(self.rows) - copies[duplicates[asked]]
        return left

    def identities_for(self, asked: IntArray) -> IntArray:
        """How many have a photo that is no duplicate of the query."""
        duplicates, labels = self.photos.duplicates, self.photos.labels
        sizes = np.diff(self.starts)
        pictures = np.stack([duplicates[self.rows], labels[self.rows]])
        (picture, label), copies = np.unique(pictures, axis=1, return_counts=True)
        vanishing = picture[copies == sizes[label]]
        vanish = np.bincount(vanishing, minlength=int(duplicates.max()) + 1)
        left: IntArray = np.count_nonzero(sizes) - vanish[duplicates[asked]]
        return left


class _Queries(NamedTuple):
    """Running counts of a block of queries."""

    labels: IntArray
    duplicates: IntArray
    starts: IntArray  # matches of query i stand at starts[i] .. starts[i + 1] - 1
    matches: npt.NDArray[np.float64]  # similarities, rising for each query
    others: IntArray  # with at least this match's similarity, and less than the next one's
    best_other: npt.NDArray[np.float32]
    identities: IntArray  # that stand before the best match
    last_identity: IntArray  # the last one of them


def _search(
    gallery: _Gallery, asked: IntArray, places: IntArray, ranking: Ranking, workers: Workers
) -> None:
    photos, rows = gallery.photos, asked[places]
    queries = _queries_with_matches(gallery, rows)
    vectors = photos.vectors[rows]
    for part in parts(len(gallery.rows), COLUMNS_AT_A_TIME):
        offered = gallery.rows[part]
        similarities = vectors @ photos.vectors[offered].T
        labels, duplicates = photos.labels[offered], photos.duplicates[offered]

        def fold(_worker: int, begin: int, end: int) -> None:
            _count_others(similarities, labels, duplicates, queries, begin, end)  # noqa: B023

        workers.share(len(rows), fold)
    image_rank, average_precision = np.zeros(len(rows), np.int64), np.zeros(len(rows))
    _summarise(queries, image_rank, average_precision)
    matched = image_rank > 0
    ranking.image_rank[places] = image_rank
    ranking.average_precision[places] = average_precision
    ranking.identity_rank[places] = np.where(matched, queries.identities + 1, 0)
    ranking.best_other[places] = queries.best_other
    ranking.only_rival[places] = queries.last_identity
    ranking.best_match[places[matched]] = queries.matches[queries.starts[1:][matched] - 1]


def _queries_with_matches(gallery: _Gallery, rows: IntArray) -> _Queries:
    photos = gallery.photos
    labels = photos.labels[rows]
    most = gallery.starts[labels + 1] - gallery.starts[labels]
    starts = np.concatenate([[0], np.cumsum(most)])
    matches = np.empty(starts[-1])
    left = _find_matches(
        photos.vectors, photos.duplicates, gallery.rows, gallery.starts, rows, labels, matches
    )
    starts = np.concatenate([[0], np.cumsum(left)])
    return _Queries(
        labels=labels,
        duplicates=photos.duplicates[rows],
        starts=starts,
        matches=matches[: starts[-1]].copy(),
        others=np.zeros(starts[-1], np.int64),
        best_other=np.full(len(rows), -np.inf, np.float32),
        identities=np.zeros(len(rows), np.int64),
        last_identity=np.full(len(rows), -1),
    )


def _empty_ranking(asked: IntArray, labels: IntArray) -> Ranking:
    count = len(asked)
    return Ranking(
        queries=asked,
        labels=labels,
        image_rank=np.zeros(count, np.int64),
        identity_rank=np.zeros(count, np.int64),
        average_precision=np.zeros(count),
        best_match=np.full(count, -np.inf, np.float32),
        best_other=np.full(count, -np.inf, np.float32),
        gallery_photos=np.zeros(count, np.int64),
        gallery_identities=np.zeros(count, np.int64),
        only_rival=np.full(count, -1),
    )


@compiled
def _find_matches(  # noqa: PLR0913, compiled
    vectors: Vectors,
    duplicates: IntArray,
    gallery: IntArray,
    starts: IntArray,
    rows: IntArray,
    labels: IntArray,
    matches: npt.NDArray[np.float64],
) -> IntArray:
    """Fill in the similarities of each query's matches, rising, and say how many it has."""
    left = np.zeros(len(rows), np.int64)
    written = 0
    for i in range(len(rows)):
        first = written
        for place in range(starts[labels[i]], starts[labels[i] + 1]):
            row = gallery[place]
            if duplicates[row] == duplicates[rows[i]]:
                continue
            product = 0.0
            for d in range(vectors.shape[1]):
                product += float(vectors[row, d]) * float(vectors[rows[i], d])
            matches[written] = product
            written += 1
        matches[first:written] = np.sort(matches[first:written])
        left[i] = written - first
    return left


@compiled
def _count_others(
    similarities: Vectors,
    labels: IntArray,
    duplicates: IntArray,
    queries: _Queries,
    begin: int,
    end: int,
) -> None:
    """Fold in the similarities (queries, some of the gallery), the gallery in order of labels."""
    for i in range(begin, end):
        first, last = queries.starts[i], queries.starts[i + 1]
        lowest = queries.matches[first] - TIE if last > first else np.inf
        best = queries.best_other[i]
        for j in range(similarities.shape[1]):
            similarity = similarities[i, j]
            if similarity <= best and similarity < lowest:
                continue
            if labels[j] == queries.labels[i] or duplicates[j] == queries.duplicates[i]:
                continue
            best = max(best, similarity)
            if similarity < lowest:
                continue
            low, high = first, last  # how many matches it does not stand behind
            while low < high:
                middle = (low + high) // 2
                if queries.matches[middle] - TIE <= similarity:
                    low = middle + 1
                else:
                    high = middle
            queries.others[low - 1] += 1
            if low == last and labels[j] != queries.last_identity[i]:
                queries.identities[i] += 1
                queries.last_identity[i] = labels[j]
        queries.best_other[i] = best


@compiled
def _summarise(
    queries: _Queries, image_rank: IntArray, average_precision: npt.NDArray[np.float64]
) -> None:
    for i in range(len(queries.labels)):
        first, last = queries.starts[i], queries.starts[i + 1]
        others = 0
        for n in range(last - first):  # from the best match on
            others += queries.others[last - 1 - n]
            average_precision[i] += (n + 1) / (n + 1 + others)
            if n == 0:
                image_rank[i] = others + 1
        if last > first:
            average_precision[i] /= last - first
