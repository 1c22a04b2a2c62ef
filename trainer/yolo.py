"""YOLO12 of ultralytics as a detector, in a process of its own. The package is AGPL-3.0."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch

from petdata.errors import MissingSetting, PetdataError
from trainer.decoding import Pixels
from trainer.detect_choice import Box, tidy_boxes
from trainer.hub_models import device_of
from trainer.yolo_process import ENVIRONMENT, FOLDER

YOLO12: Final = tuple(f"yolo12{size}" for size in "nsmlx")
# SHA-256 -> name, of weights that may be read without --weights-sha256. A hash comes in with a
# statement of ultralytics' own that it was compared with; there is none so far.
KNOWN_WEIGHTS: Final[dict[str, str]] = {}

_CHILD: Final = (sys.executable, "-P", "-m", "trainer.yolo_process")
_INHERITED: Final = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
)
_LONGEST_ANSWER: Final = 64_000_000  # bytes
_HEX: Final = re.compile(r"[0-9a-f]{64}")


def is_yolo(model: str) -> bool:
    return model in YOLO12 or model.endswith(".pt")


def weights_file(model: str, folder: Path) -> Path:
    """A name of YOLO12 is a file in `folder`, which the user has put there."""
    path = Path(model).expanduser() if model.endswith(".pt") else folder / f"{model}.pt"
    if not path.is_file():
        where = f": put ultralytics' {path.name} there" if model in YOLO12 else ""
        raise PetdataError(f"{path} does not exist{where}, or name another --model")
    return path


class YoloDetector:
    """A context manager: its process ends with it."""

    def __init__(self, weights: Path, device: str, trusted: str | None) -> None:
        """`trusted`: SHA-256 that the user vouches for. Raises PetdataError for other weights,
        before anything of them is interpreted.
        """
        _require_extra()
        device_of(device)
        self.model = weights.stem
        self._folder = tempfile.TemporaryDirectory(prefix=FOLDER)
        self._errors = Path(self._folder.name) / "stderr"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            # A copy, which nobody exchanges between the check and the reading.
            own = Path(self._folder.name) / f"{weights.stem}.pt"
            shutil.copyfile(weights, own)
            self.model_hash = _require_trusted(own, weights, trusted)
            self._process = _start(own, device, self._errors)
            if self._answer() != {"ready": True}:
                raise self._failure("it did not start")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def detect(self, photos: Sequence[Pixels], threshold: float) -> list[list[Box]]:
        assert self._process is not None
        assert self._process.stdin is not None
        asked = {"threshold": threshold, "shapes": [photo.shape[:2] for photo in photos]}
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            for photo in photos:
                self._process.stdin.write(np.ascontiguousarray(photo).data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure("it has ended") from error
        answer = self._answer()
        try:
            return [
                tidy_boxes([_checked(box) for box in boxes], photo.shape[0], photo.shape[1])
                for boxes, photo in zip(answer, photos, strict=True)
            ]
        except (TypeError, ValueError) as error:
            raise self._failure(f"it answered what it should not: {error}") from error

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline(_LONGEST_ANSWER)
        try:
            return json.loads(line)
        except ValueError as error:
            raise self._failure("it has ended") from error

    def _failure(self, what: str) -> PetdataError:
        said = self._errors.read_text(errors="replace").strip().rpartition("\n")[2][:500]
        return PetdataError(f"the process that runs {self.model}: {what}; it said last: {said}")


def _checked(box: Any) -> tuple[str, float, list[float]]:
    """What comes from a process that has read a pickle is taken for nothing but numbers."""
    name, score, *corners = box
    numbers = [float(number) for number in (score, *corners)]
    if not isinstance(name, str) or len(numbers) != 5 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{box!r} is no box")
    if not 0 <= numbers[0] <= 1:
        raise ValueError(f"{numbers[0]} is no score")
    return name, numbers[0], numbers[1:]


def _require_extra() -> None:
    if importlib.util.find_spec("ultralytics") is None:
        raise MissingSetting(
            "YOLO12 needs the crop extra: pip install -e '.[crop]'. It brings ultralytics, whose "
            "licence, AGPL-3.0, also binds who offers a service with it; the other detectors are "
            "Apache-2.0"
        )


def _require_trusted(copy: Path, weights: Path, trusted: str | None) -> str:
    """The SHA-256 of the weights, which is on our list or the user's."""
    if trusted is not None and not _HEX.fullmatch(trusted.lower()):
        raise PetdataError(f"--weights-sha256 {trusted}: 64 hex digits are needed")
    with copy.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if trusted is not None and found != trusted.lower():
        raise PetdataError(f"{weights} has SHA-256 {found}, not {trusted}: it is another file")
    if trusted is None and found not in KNOWN_WEIGHTS:
        raise PetdataError(
            f"{weights} is no file that petdata knows, and reading a .pt can run code: if it comes "
            f"from whom you trust, say --weights-sha256 {found}"
        )
    return found


def _start(weights: Path, device: str, errors: Path) -> subprocess.Popen[bytes]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = {name: str(weights.parent) for name in ("HOME", "YOLO_CONFIG_DIR", "MPLCONFIGDIR")}
    with errors.open("wb") as file:
        return subprocess.Popen(
            [*_CHILD, str(weights), device, str(torch.get_num_threads())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            pipesize=2**20,  # a picture has megabytes
            cwd=weights.parent,
            env=inherited | own | ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for us; the process ends when we say so
        )
