"""Retrieval as one would explain it, photo by photo."""

from __future__ import annotations

import numpy as np

from evaluation.similarity import TIE


def ranks(
    similarities: np.ndarray, labels: np.ndarray, duplicates: np.ndarray, galleries: np.ndarray
) -> list[tuple[int, int, float, int, int]]:
    """For each photo left out: image rank, identity rank, AP, gallery photos and identities."""
    return [
        _one(row, similarities[row], labels, duplicates, galleries) for row in range(len(labels))
    ]


def _one(
    query: int,
    similarity: np.ndarray,
    labels: np.ndarray,
    duplicates: np.ndarray,
    galleries: np.ndarray,
) -> tuple[int, int, float, int, int]:
    gallery = [
        row
        for row in range(len(labels))
        if duplicates[row] != duplicates[query] and galleries[row] == galleries[query]
    ]
    photos, identities = len(gallery), len({labels[row] for row in gallery})
    matches = sorted((similarity[g] for g in gallery if labels[g] == labels[query]), reverse=True)
    others = [g for g in gallery if labels[g] != labels[query]]
    if not matches:
        return 0, 0, 0.0, photos, identities
    before = [sum(similarity[g] >= match - TIE for g in others) for match in matches]
    precisions = [number / (number + ahead) for number, ahead in enumerate(before, start=1)]
    better = {labels[g] for g in others if similarity[g] >= matches[0] - TIE}
    return before[0] + 1, len(better) + 1, float(np.mean(precisions)), photos, identities
