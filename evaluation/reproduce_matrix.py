"""A matrix of experiments out of a TOML file: which networks on which photos make which table.

    title, source          what is reproduced, and where it was published
    [train]                flags of `petdata train` for every cell
    [evaluate]             split, dataset_config, resamples, controls, batch_size
    [[experiment]]         one table: name, title, note, baseline (a cell's name), train
    [[experiment.cell]]    one row: name, label, train, frozen, exclude, requires, published

Flags of a cell stand over those of its experiment, these over those of the matrix; an empty text
takes one back. Cells that come to the same configuration on the same photos are trained once.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from evaluation.significance import RESAMPLES
from petdata.errors import PetdataError
from trainer.config import TrainConfig, config_of

SHIPPED: Final = ("tiny", "paper")
FIGURES: Final = {  # of a table: label, and whether it is printed in per cent
    "top_1_accuracy": ("Top-1 %", True),
    "top_5_accuracy": ("Top-5 %", True),
    "top_10_accuracy": ("Top-10 %", True),
    "mean_average_precision": ("mAP %", True),
    "roc_auc": ("AUC", False),
    "equal_error_rate": ("EER", False),
}
# The command decides these.
_NOT_OF_A_MATRIX: Final = frozenset({"dataset", "revision", "name", "seed"})
_OF_A_FROZEN_CELL: Final = frozenset({"encoder", "tiny", "crop", "box_padding", "device"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.+-]*")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure of the paper, to stand beside ours."""

    part: str  # all, source dogfacenet, ...
    figure: str  # as petdata evaluate calls it
    value: float
    source: str  # where it can be read


@dataclass(frozen=True, kw_only=True)
class EvaluateChoice:
    split: str = "test"
    dataset_config: str = "all"
    resamples: int = RESAMPLES
    controls: bool = True  # the raw encoder beside each
    batch_size: int = 128

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise PetdataError(f"{self.resamples} resamples say little of 95 %: take 100 or more")


@dataclass(frozen=True, kw_only=True)
class Cell:
    name: str
    label: str
    config: TrainConfig  # without data set, name and seed
    frozen: bool = False  # published weights, nothing is trained
    exclude: tuple[str, ...] = ()  # sources that a build leaves out; the release has them
    requires: tuple[str, ...] = ()  # sources that must be there for the label to be true
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    name: str
    title: str
    cells: tuple[Cell, ...]
    baseline: str
    note: str = ""

    def cell(self, name: str) -> Cell:
        return next(cell for cell in self.cells if cell.name == name)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    name: str
    title: str
    source: str = ""
    evaluate: EvaluateChoice = field(default_factory=EvaluateChoice)
    experiments: tuple[Experiment, ...]

    def only(self, names: Collection[str]) -> Matrix:
        """With these experiments alone, in the matrix's order. Raises PetdataError."""
        known = [each.name for each in self.experiments]
        if unknown := sorted(set(names) - set(known)):
            raise PetdataError(
                f"matrix {self.name} has no experiment {', '.join(unknown)}; choose from "
                f"{', '.join(known)}"
            )
        chosen = tuple(each for each in self.experiments if each.name in names)
        return dataclasses.replace(self, experiments=chosen)


def read_matrix(name: str) -> Matrix:
    """`name`: tiny, paper, or a TOML file. Raises PetdataError, naming what is wrong and where."""
    if name in SHIPPED:
        text = (files("evaluation") / "matrices" / f"{name}.toml").read_text(encoding="utf-8")
        return matrix_of(text, name=name, where=f"matrix {name}")
    path = Path(name).expanduser()
    if not path.is_file():
        raise PetdataError(f"no matrix {name!r}: give {', '.join(SHIPPED)} or a TOML file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PetdataError(f"{path} cannot be read: {error}") from error
    return matrix_of(text, name=path.stem, where=str(path))


def matrix_of(text: str, *, name: str, where: str) -> Matrix:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PetdataError(f"{where} is no TOML: {error}") from error
    keys = _Keys(values, where, needed={"title": str, "experiment": list}, source=str, train=dict)
    keys.check({"evaluate": dict})
    if not _NAME.fullmatch(name):
        raise PetdataError(f"{where}: name the file in small letters, digits and -: not {name!r}")
    experiments = tuple(
        _experiment(each, dict(values.get("train", {})), f"{where}, experiment {number}")
        for number, each in enumerate(values["experiment"], 1)
    )
    _require_distinct([each.name for each in experiments], f"{where}: experiments")
    choice = dict(values.get("evaluate", {}))
    kinds = {each.name: type(each.default) for each in dataclasses.fields(EvaluateChoice)}
    _Keys(choice, f"{where}, evaluate", needed={}).check(kinds)
    return Matrix(
        name=name,
        title=values["title"],
        source=values.get("source", ""),
        evaluate=EvaluateChoice(**choice),
        experiments=experiments,
    )


def _experiment(values: Any, train: Mapping[str, Any], where: str) -> Experiment:
    keys = _Keys(values, where, needed={"name": str, "title": str, "baseline": str, "cell": list})
    keys.check({"note": str, "train": dict})
    where = f"{where} ({_name_in(values, where)})"
    train = dict(train) | values.get("train", {})
    cells = tuple(
        _cell(each, train, f"{where}, cell {number}")
        for number, each in enumerate(values["cell"], 1)
    )
    names = [cell.name for cell in cells]
    _require_distinct(names, f"{where}: cells")
    if values["baseline"] not in names:
        raise PetdataError(
            f"{where}: the baseline {values['baseline']!r} is none of its cells, "
            f"which are {', '.join(names)}"
        )
    return Experiment(
        name=values["name"],
        title=values["title"],
        cells=cells,
        baseline=values["baseline"],
        note=values.get("note", ""),
    )


def _cell(values: Any, train: Mapping[str, Any], where: str) -> Cell:
    keys = _Keys(values, where, needed={"name": str, "label": str})
    lists = dict.fromkeys(("exclude", "requires", "published"), list)
    keys.check({"train": dict, "frozen": bool, **lists})
    where = f"{where} ({_name_in(values, where)})"
    own, frozen = dict(values.get("train", {})), bool(values.get("frozen", False))
    if frozen:
        if strange := sorted(own.keys() - _OF_A_FROZEN_CELL):
            raise PetdataError(f"{where}: {', '.join(strange)} of a frozen network")
        train = {key: value for key, value in train.items() if key in _OF_A_FROZEN_CELL}
    flags = dict(train) | own
    if fixed := sorted(flags.keys() & _NOT_OF_A_MATRIX):
        raise PetdataError(f"{where}: {', '.join(fixed)} cannot stand in a matrix: see --help")
    for key in ("exclude", "requires"):
        if not all(isinstance(each, str) for each in values.get(key, [])):
            raise PetdataError(f"{where}: {key} takes names of sources")
    return Cell(
        name=values["name"],
        label=values["label"],
        config=config_of({k: v for k, v in flags.items() if v != ""}, where=f"{where}, train"),
        frozen=frozen,
        exclude=tuple(sorted(values.get("exclude", ()))),
        requires=tuple(values.get("requires", ())),
        published=tuple(_published(each, where) for each in values.get("published", ())),
    )


def _published(values: Any, where: str) -> Published:
    texts = dict.fromkeys(("part", "figure", "source"), str)
    _Keys(values, f"{where}, published", needed={**texts, "value": float}).check({})
    if values["figure"] not in FIGURES:
        raise PetdataError(
            f"{where}: no table has a figure {values['figure']!r}; choose from {', '.join(FIGURES)}"
        )
    return Published(**values)


class _Keys:
    """The keys of one table of the file, checked one by one."""

    def __init__(
        self, values: Any, where: str, *, needed: Mapping[str, type], **optional: type
    ) -> None:
        if not isinstance(values, dict):
            raise PetdataError(f"{where}: a table is needed, not {values!r}")
        self._values, self._where = values, where
        self._needed, self._optional = dict(needed), optional

    def check(self, optional: Mapping[str, type]) -> None:
        kinds = self._needed | self._optional | dict(optional)
        if unknown := sorted(self._values.keys() - kinds.keys()):
            raise PetdataError(
                f"{self._where}: unknown key {', '.join(unknown)}; known are "
                f"{', '.join(sorted(kinds))}"
            )
        if missing := sorted(self._needed.keys() - self._values.keys()):
            raise PetdataError(f"{self._where}: {', '.join(missing)} must be given")
        for key, value in self._values.items():
            if type(value) is not kinds[key]:
                raise PetdataError(
                    f"{self._where}: {key} takes {kinds[key].__name__}, not {value!r}"
                )


def _name_in(values: Mapping[str, Any], where: str) -> str:
    """Of an experiment or cell: part of file names."""
    name = str(values["name"])
    if not _NAME.fullmatch(name):
        raise PetdataError(f"{where}: a name has small letters, digits and -, not {name!r}")
    return name


def _require_distinct(names: list[str], what: str) -> None:
    for name in _repeated(names):
        raise PetdataError(f"{what}: {name!r} stands there twice")


def _repeated(names: list[str]) -> Iterator[str]:
    return (name for number, name in enumerate(names) if name in names[:number])
