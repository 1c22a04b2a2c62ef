"""What `petdata reproduce` keeps: runs/reproduce/<matrix>/<release>-<version>/

cells/<key>.json          a finished cell, written whole
cells/<key>.failed.json   what the last try ended with; the next one replaces it
cells/<key>.log           what training and evaluation said
comparisons/<key>.json    a cell against its baseline
tables/<experiment>.*     Markdown, CSV, LaTeX and HTML
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evaluation.compare import Comparison
from evaluation.significance import Interval, McNemar
from evaluation.stored import slug
from petdata.errors import CorruptFile, StorageFailure, TryLater
from petdata.releases import Release
from petdata.workspace import Workspace, make_folder, write_whole
from trainer.config import TrainConfig, to_toml

FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class CellResult:
    key: str
    seed: int
    config: Mapping[str, Any]
    frozen: bool
    run: str  # the trained network, by name; of a frozen one the table's entry
    evaluation: str  # folder in evaluations/
    embeddings: str  # folder in cache/embeddings/
    parts: Mapping[str, Mapping[str, Interval]]  # part -> figure
    raw: Mapping[str, Mapping[str, float]]  # the same of the encoder before training
    counts: Mapping[str, Mapping[str, float]]
    trained_on: Mapping[str, Mapping[str, int]]
    identities: int
    seconds: Mapping[str, float]  # training (of this process), evaluation
    device: str


class Results:
    """The folder of one matrix on one release."""

    def __init__(self, workspace: Workspace, matrix: str, release: Release) -> None:
        name = slug(f"{release.name}-{release.version}")
        self.folder = workspace.root / "runs" / "reproduce" / matrix / name
        self.cells = self.folder / "cells"
        self.tables = self.folder / "tables"
        self._comparisons = self.folder / "comparisons"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Raises TryLater while another process works here."""
        for folder in (self.cells, self.tables, self._comparisons):
            make_folder(folder)
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        except OSError as error:
            raise StorageFailure(f"cannot write in {self.folder}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TryLater(f"another petdata reproduce works in {self.folder}") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def log(self, key: str) -> Path:
        return self.cells / f"{key[:24]}.log"

    def result(self, key: str) -> CellResult | None:
        path = self._cell(key)
        return _result_from(path) if path.is_file() else None

    def failure(self, key: str) -> str | None:
        path = self._failed(key)
        return str(_read(path)["error"]) if path.is_file() else None

    def write_config(self, key: str, config: TrainConfig) -> None:
        write_whole(self.cells / f"{key[:24]}.toml", to_toml(config).encode())

    def write_result(self, result: CellResult) -> None:
        _write(self._cell(result.key), dataclasses.asdict(result))
        self._failed(result.key).unlink(missing_ok=True)

    def write_failure(self, key: str, error: str) -> None:
        _write(self._failed(key), {"error": error, "log": self.log(key).name})

    def comparison(self, part: str, first: str, second: str) -> Comparison | None:
        path = self._pair(part, first, second)
        return _comparison_from(path) if path.is_file() else None

    def write_comparison(self, part: str, first: str, second: str, found: Comparison) -> None:
        _write(self._pair(part, first, second), dataclasses.asdict(found))

    def _cell(self, key: str) -> Path:
        return self.cells / f"{key[:24]}.json"

    def _failed(self, key: str) -> Path:
        return self.cells / f"{key[:24]}.failed.json"

    def _pair(self, part: str, first: str, second: str) -> Path:
        key = hashlib.sha256(f"{part} {first} {second}".encode()).hexdigest()
        return self._comparisons / f"{key[:24]}.json"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    told = {"format": FORMAT, **content}
    write_whole(path, (json.dumps(told, indent=1) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("of another format")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged ({error}): delete it, and it is made anew") from error
    return dict(told)


def _result_from(path: Path) -> CellResult:
    told = _read(path)
    try:
        parts = {
            part: {name: Interval(**interval) for name, interval in figures.items()}
            for part, figures in told["parts"].items()
        }
        return CellResult(**(told | {"parts": parts}))
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged ({error}): delete it, and it is made anew") from error


def _comparison_from(path: Path) -> Comparison:
    told = _read(path)
    try:
        intervals = {name: Interval(**told[name]) for name in ("top_1", "auc", "equal_error_rate")}
        tests = {name: McNemar(**told[name]) for name in ("queries", "pairs")}
        return Comparison(**(told | intervals | tests))
    except (KeyError, TypeError) as error:
        raise CorruptFile(f"{path} is damaged ({error}): delete it, and it is made anew") from error
