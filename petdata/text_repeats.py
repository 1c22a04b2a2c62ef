"""Texts that repeat: where a text alone tells which photos belong together, or says nothing.

A text that an animal's photos share gives its identity away to whatever reads it, so figures of a
model with texts are no figures of recognising animals. A text that animals share tells nobody
apart. Both are counted, over all texts at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
_Mask = NDArray[np.bool_]

FEWEST_WORDS: Final = 5  # of texts that may differ by a word: with fewer, all are nearly alike


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRepeats:
    """Photos, by whether another photo has their text. Nearly the same: the same set of words, or
    all of them but one, whatever the case, order, digits and marks.
    """

    photos: int
    texts: int  # photos that have one
    with_siblings: int  # photos whose identity has several photos with a text
    identical_within: int  # of these
    near_within: int  # of these; identical ones too
    identical_across: int  # of `texts`: another identity has the text
    near_across: int

    def share(self, name: str) -> float:
        """Of those that it could be true of, 0..1."""
        among = self.with_siblings if name.endswith("_within") else self.texts
        return int(getattr(self, name)) / among if among else 0.0

    def as_json(self) -> Mapping[str, Any]:
        return asdict(self) | {f"share_{name}": self.share(name) for name in FIGURES}


FIGURES: Final = ("identical_within", "near_within", "identical_across", "near_across")


def text_repeats(texts: pa.Array | pa.ChunkedArray, identities: Int64Array) -> TextRepeats:
    """`texts` of N photos, empty or null where there is none; (N,) number of each one's identity.

    In time and memory that grow with the number of words, not of pairs.
    """
    column = pc.fill_null(pc.utf8_trim_whitespace(texts.cast(pa.large_string())), "")
    has_text = np.asarray(pc.not_equal(column, "")).astype(np.bool_)
    column = _one(column.filter(pa.array(has_text)))
    owners = np.unique(np.asarray(identities)[has_text], return_inverse=True)[1].reshape(-1)
    numbers = np.arange(len(owners))
    whole = np.asarray(column.dictionary_encode().indices, np.int64).astype(np.uint64)
    identical = _shared(whole, numbers, owners)
    near = _shared(*_fingerprints(column), owners)
    siblings = np.bincount(owners, minlength=1)[owners] > 1 if len(owners) else has_text[:0]
    return TextRepeats(
        photos=len(has_text),
        texts=len(owners),
        with_siblings=int(np.count_nonzero(siblings)),
        identical_within=int(np.count_nonzero(identical[0])),
        near_within=int(np.count_nonzero(near[0] | identical[0])),
        identical_across=int(np.count_nonzero(identical[1])),
        near_across=int(np.count_nonzero(near[1] | identical[1])),
    )


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _fingerprints(texts: pa.Array) -> tuple[NDArray[np.uint64], Int64Array]:
    """Of each text one of its set of words, and one of that set without each of its words; and
    which text each belongs to. Two texts that share one differ by a word at most.
    """
    bare = pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\p{L}]+", " ")
    words = pc.split_pattern(pc.utf8_trim_whitespace(bare), " ")
    text_of = np.asarray(pc.list_parent_indices(words), np.int64)
    named = _one(pc.list_flatten(words)).dictionary_encode()
    word = np.asarray(named.indices, np.int64)
    there = np.asarray(pc.not_equal(named.dictionary, ""))[word].astype(np.bool_)
    kinds = max(len(named.dictionary), 1)
    pairs = np.sort(text_of[there] * kinds + word[there])
    pairs = pairs[_changes(pairs)]  # each word once; np.unique takes five times as long
    text_of, word = pairs // kinds, pairs % kinds
    # The sum of random numbers, one a word: equal for equal sets. Wraps round at 2 ** 64.
    values = np.random.default_rng(0).integers(1, 2**64, kinds, np.uint64)[word]
    sums = np.zeros(len(texts), np.uint64)
    np.add.at(sums, text_of, values)
    counts = np.bincount(text_of, minlength=len(texts))
    long = counts[text_of] >= FEWEST_WORDS
    some = np.flatnonzero(counts)
    prints = np.concatenate([sums[some], sums[text_of[long]] - values[long]])
    return prints, np.concatenate([some, text_of[long]])


def _shared(
    prints: NDArray[np.uint64], text_of: Int64Array, owners: Int64Array
) -> tuple[_Mask, _Mask]:
    """Texts that have a print in common with another text of their owner; of another owner."""
    within, across = np.zeros(len(owners), np.bool_), np.zeros(len(owners), np.bool_)
    if not len(prints):
        return within, across
    owner = owners[text_of]
    order = np.lexsort((owner, prints))
    prints, owner, texts = prints[order], owner[order], text_of[order]
    new_print = _changes(prints)
    new_owner = new_print | _changes(owner)
    owned = np.cumsum(new_owner) - 1  # number of the (print, owner)
    printed = np.cumsum(new_print) - 1
    within[texts[np.bincount(owned)[owned] > 1]] = True
    across[texts[np.bincount(printed, weights=new_owner)[printed] > 1]] = True
    return within, across


def _changes(values: NDArray[Any]) -> _Mask:
    """True where a value is not the one before it."""
    found = np.ones(len(values), np.bool_)
    found[1:] = values[1:] != values[:-1]
    return found
