"""Batches of pixels that processes fill together, handed out without a copy."""

from __future__ import annotations

import mmap
import weakref
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

_FLOAT_BYTES: Final = 4


class SharedPixels:
    """Room for several batches of (B, C, H, W) float32, in memory that forked processes share.

    A batch is lent as a tensor on that memory, and its room is free again when nothing refers to
    the tensor any more. It is anonymous memory, which the size of /dev/shm does not limit.
    """

    def __init__(self, places: int, photos: int, shape: tuple[int, ...], *, pinned: bool) -> None:
        self.photos = photos  # at most, of a batch
        self._shape = shape  # of one photo
        size = max(1, photos * int(np.prod(shape)) * _FLOAT_BYTES)
        self._rooms = [_Room(size, pinned=pinned) for _ in range(places)]
        self._free = list(range(places))

    def take(self) -> int | None:
        """The number of a room that is free; None where all are in use."""
        return self._free.pop() if self._free else None

    def give_back(self, room: int) -> None:
        self._free.append(room)

    @property
    def free(self) -> int:
        return len(self._free)

    def array(self, room: int, photos: int) -> NDArray[np.float32]:
        """(photos, *shape), for writing."""
        return self._rooms[room].array((photos, *self._shape))

    def lend(self, room: int, photos: int) -> torch.Tensor:
        lease = _Lease(self._rooms[room], (photos, *self._shape))
        weakref.finalize(lease, self.give_back, room)
        return torch.from_numpy(np.asarray(lease))


class _Room:
    def __init__(self, size: int, *, pinned: bool) -> None:
        self.memory = mmap.mmap(-1, size)  # shared and anonymous
        self.address = int(np.frombuffer(self.memory, np.uint8).__array_interface__["data"][0])
        if pinned:
            cuda = torch.cuda.cudart()
            error = cuda.cudaHostRegister(self.address, size, 0)
            if int(error) == 0:
                weakref.finalize(self, cuda.cudaHostUnregister, self.address)

    def array(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        count = int(np.prod(shape))
        return np.frombuffer(self.memory, np.float32, count).reshape(shape)


class _Lease:
    """What numpy arrays on a room refer to: it ends with the last of them."""

    def __init__(self, room: _Room, shape: tuple[int, ...]) -> None:
        self.room = room
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": "<f4",
            "shape": shape,
            "data": (room.address, False),
        }
