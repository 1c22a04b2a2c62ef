"""P identities x K photos a batch: a pure function of (seed, epoch, data set), for any world size.

Identities come in an order of their own each epoch; the fewer than P that an epoch leaves over
come first in the next. An identity of n photos shows all of them within ceil(n / K) appearances,
then in a new order. Nothing is drawn from a generator: orders are sorts by a hash, so they are
the same under any version of numpy, and any batch of any epoch can be computed by itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petdata.errors import PetdataError

Rows = npt.NDArray[np.int64]
_Hashes = npt.NDArray[np.uint64]

_ORDER, _LEFT_OVER, _PHOTOS = range(3)  # what a hash is for


class IdentityBatchSampler:
    """Batches of rows: K photos of an identity beside each other, no identity twice in a batch.

    `labels` is (N,), the number of each photo's identity. Identities with fewer than K photos are
    left out; `left_out_identities` and `left_out_photos` count them. With `world_size` ranks each
    takes its own consecutive identities of the same global batches, as even as they divide.

    The state, `epoch` and `batch`, is what has been trained, not what a loader fetched ahead:
    iterating goes through the rest of the epoch and changes nothing, `advance` is called once for
    each step done. Works as a `batch_sampler` of a torch DataLoader.
    """

    def __init__(  # noqa: PLR0913
        self,
        labels: npt.ArrayLike,
        *,
        identities_per_batch: int = 58,  # Kudryavtsev et al. 2026, section 2.2: 58 x 2
        photos_per_identity: int = 2,
        seed: int = 0,
        dataset_hash: str = "",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if identities_per_batch < 1 or photos_per_identity < 1:
            raise PetdataError("a batch needs at least one identity and one photo of it")
        if not 0 <= rank < world_size:
            raise PetdataError(f"rank {rank} of {world_size} processes")
        if world_size > identities_per_batch:
            raise PetdataError(
                f"{world_size} processes share batches of {identities_per_batch} identities: "
                "raise --identities, or use fewer processes"
            )
        self.identities_per_batch = identities_per_batch
        self.photos_per_identity = photos_per_identity
        self.rank, self.world_size = rank, world_size
        self.epoch = self.batch = 0
        self._seed = _seed_of(seed, dataset_hash)
        self._group(np.asarray(labels, dtype=np.int64))
        if self.identities < identities_per_batch:
            raise PetdataError(
                f"{self.identities:,} identities have {photos_per_identity} photos or more, a "
                f"batch takes {identities_per_batch}: lower --identities or --photos, or add data"
            )
        # Identity q * stride + start (modulo their number) has place q on a circle of all.
        start, stride = self._hash(_LEFT_OVER), self._hash(_LEFT_OVER, 1)
        self._circle_start = int(start) % self.identities
        self._circle_stride = _coprime(int(stride), self.identities)
        self._epoch_order: tuple[int, Rows] | None = None

    @property
    def identities(self) -> int:
        """With at least K photos."""
        return len(self._first)

    @property
    def batches_per_epoch(self) -> int:
        return self.identities // self.identities_per_batch

    @property
    def usable_rows(self) -> Rows:
        """Every row that comes up sooner or later."""
        owner = np.repeat(np.arange(self.identities), self._count)
        within = np.arange(len(owner)) - np.repeat(
            np.cumsum(self._count) - self._count, self._count
        )
        rows: Rows = self._rows[self._first[owner] + within]
        return rows

    def __len__(self) -> int:
        return self.batches_per_epoch - self.batch

    def __iter__(self) -> Iterator[Rows]:
        for batch in range(self.batch, self.batches_per_epoch):
            yield self.rows(self.epoch, batch)

    def advance(self) -> None:
        self.batch += 1
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if epoch < 0 or not 0 <= batch < self.batches_per_epoch:
            raise PetdataError(
                f"the state says batch {batch} of epoch {epoch}; "
                f"an epoch has {self.batches_per_epoch} batches here"
            )
        self.epoch, self.batch = epoch, batch

    def shares(self) -> list[int]:
        """Photos of each rank in every batch."""
        whole, rest = divmod(self.identities_per_batch, self.world_size)
        return [
            (whole + (rank < rest)) * self.photos_per_identity for rank in range(self.world_size)
        ]

    def rows(self, epoch: int, batch: int) -> Rows:
        """This rank's rows of one batch."""
        before = sum(self.shares()[: self.rank])
        return self.global_rows(epoch, batch)[before : before + self.shares()[self.rank]]

    def global_rows(self, epoch: int, batch: int) -> Rows:
        """(P * K,) rows of all ranks."""
        start = batch * self.identities_per_batch
        chosen = self._order_of(epoch)[start : start + self.identities_per_batch]
        return self._photos(chosen, self._appearances(epoch, chosen)).ravel()

    def _group(self, labels: Rows) -> None:
        """Rows by identity, as one array and where each identity begins in it."""
        if len(labels) and labels.min() < 0:
            raise PetdataError("labels are numbers of identities: 0 and above")
        if len(labels) and labels.max() > 4 * len(labels):
            labels = np.unique(labels, return_inverse=True)[1]
        count = np.bincount(labels)
        first = np.cumsum(count) - count
        enough = count >= self.photos_per_identity
        self._rows = _stable_order(labels)
        self._first, self._count = first[enough], count[enough]
        self.left_out_identities = int(np.count_nonzero(count)) - len(self._first)
        self.left_out_photos = len(labels) - int(self._count.sum())

    def _order_of(self, epoch: int) -> Rows:
        """Identities of an epoch in order; what the epoch before left over stands first."""
        if self._epoch_order is not None and self._epoch_order[0] == epoch:
            return self._epoch_order[1]
        order = _order(self._hash(_ORDER, epoch), self.identities)
        place = np.ones(self.identities, np.int8)
        place[self._left_over(epoch)] = 2
        if epoch > 0:
            place[self._left_over(epoch - 1)] = 0
        kept = place[order]
        order = np.concatenate([order[kept == 0], order[kept == 1]])
        self._epoch_order = epoch, order
        return order

    def _left_over(self, epoch: int) -> Rows:
        """Blocks of a circle: those of neighbouring epochs never overlap, and all take turns."""
        count = self.identities % self.identities_per_batch
        places = (epoch * count + np.arange(count)) % self.identities
        return (places * self._circle_stride + self._circle_start) % self.identities

    def _appearances(self, epoch: int, identities: Rows) -> Rows:
        """How often each has appeared before this epoch: the epochs, less those that left it over.

        The blocks of the epochs before cover the first epoch * count places of an endless circle.
        """
        covered = epoch * (self.identities % self.identities_per_batch)
        back = pow(self._circle_stride, -1, self.identities)
        place = (identities - self._circle_start) % self.identities * back % self.identities
        return epoch - (covered - place + self.identities - 1) // self.identities

    def _photos(self, identities: Rows, appearance: Rows) -> Rows:
        """(identities, K) rows: the next K of each identity's photos in its present order.

        Where K does not divide n, the last appearance of an order takes its last K photos.
        """
        n, k = self._count[identities], self.photos_per_identity
        in_order = -(-n // k)  # appearances until all photos have been shown
        turn, step = np.divmod(appearance, in_order)
        start = np.minimum(step * k, n - k)
        owner = np.repeat(np.arange(len(identities)), n)
        photo = np.arange(len(owner)) - np.repeat(np.cumsum(n) - n, n)
        key = _mix(self._hash(_PHOTOS) + identities.astype(np.uint64))
        key = _mix(_mix(key + turn.astype(np.uint64))[owner] + photo.astype(np.uint64))
        order = np.lexsort((key, owner))
        chosen = (np.cumsum(n) - n + start)[:, None] + np.arange(k)
        rows: Rows = self._rows[self._first[identities][:, None] + photo[order[chosen]]]
        return rows

    def _hash(self, purpose: int, number: int = 0) -> np.uint64:
        text = f"{self._seed}/{purpose}/{number}".encode()
        return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big"))


def _seed_of(seed: int, dataset_hash: str) -> str:
    return hashlib.sha256(f"{seed}\n{dataset_hash}".encode()).hexdigest()


_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def _mix(values: _Hashes) -> _Hashes:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014), on arrays."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _coprime(number: int, modulus: int) -> int:
    """The first number from this one on, modulo `modulus`, that shares no factor with it."""
    number %= modulus
    while math.gcd(number, modulus) != 1:
        number += 1
    return number


def _order(key: np.uint64, count: int) -> Rows:
    """A permutation of 0..count-1: numbers stand in the low bits of their hashes, so a plain sort
    of values puts them in order, and no two are equal."""
    numbers = np.arange(count, dtype=np.uint64)
    low = np.uint64((1 << max(count - 1, 1).bit_length()) - 1)
    hashes = (_mix(numbers + key) & ~low) | numbers
    hashes.sort()
    return (hashes & low).astype(np.int64)


def _stable_order(labels: Rows) -> Rows:
    """np.argsort(labels, kind="stable"): by 16 bits at a time, for which numpy has a radix sort."""
    order = np.argsort(labels.astype(np.uint16), kind="stable")
    for shift in range(16, int(labels.max(initial=0)).bit_length(), 16):
        digit = (labels >> shift).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order
