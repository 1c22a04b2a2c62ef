"""Embeddings of animals whose photos lie scattered around a point each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from evaluation.embeddings import Embeddings


def scattered(
    noise: float, *, identities: int = 25, photos: int = 4, seed: int = 0, scatter: int = 1
) -> Embeddings:
    """`seed` places the animals, `scatter` their photos around them."""
    labels = np.repeat(np.arange(identities), photos)
    vectors = np.random.default_rng(seed).normal(size=(identities, 8))[labels]
    vectors = vectors + noise * np.random.default_rng(scatter).normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(
        vectors=vectors.astype(np.float32),
        identity_ids=pa.array([f"pet911/rl{label:03}" for label in labels]),
        photo_ids=pa.array([f"pet911/rl{label:03}/{n:03}" for n, label in enumerate(labels)]),
        sources=pa.array(np.where(labels % 5 < 2, "pet911", "telegram")),
        species=pa.array(np.where(labels % 2, "cat", "dog")),
        sha256=pa.array([f"{n:064x}" for n in range(len(labels))]),
        model_hash=f"noise {noise}",
        dataset_hash="drawn",
    )
