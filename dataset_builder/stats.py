"""How many photos each identity has, before a build and after it; what each step took.

Counted by DuckDB over the Parquet files of a release (metadata/attrition.parquet: one row for each
photo that the build looked at) or of the shards, without pixels and without a loop over photos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import numpy as np
import pyarrow as pa

from dataset_builder.database import open_database
from dataset_builder.inputs import InputFile, input_files
from dataset_builder.options import BuildOptions, levels_of
from dataset_builder.plan import SPLITS
from petdata.errors import CorruptFile
from petdata.manifest import read_manifest
from petdata.sources import known_sources
from petdata.workspace import Workspace

DDOF: Final = 0  # of the standard deviation: these are all the identities, not a sample of them

# In the order in which a plan takes them; reasons that are not here come last.
STEPS: Final = (
    "superseded",
    "taken_down",
    "species_unknown",
    "several_animals",
    "several_on_photo",
    "boilerplate",
    "contradictory",
    "leak",
    "duplicate_photo",
    "near_duplicate",
    "too_few_photos",
)
_SIZES: Final = ((1, "1"), (2, "2"), (4, "3-4"), (8, "5-8"), (16, "9-16"))  # and 17 or more
_MORE: Final = "17+"

Stage = Literal["before", "after"]
Property = Literal["source", "species", "photos per identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Photos per identity of some rows; None stands for all sources, splits or species.

    Before the build an identity is what the source calls one. Afterwards it is an identity group,
    of which a line counts the photos that the line is about: a group with photos of two sources
    counts once in each of them, and once in the line of all sources.
    """

    stage: Stage
    source: str | None
    split: str | None
    species: str | None
    photos: int
    identities: int
    minimum: int
    maximum: int
    mean: float
    median: float
    deviation: float  # standard, with DDOF


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """So many identities have so many photos."""

    stage: Stage
    source: str | None
    photos: int
    identities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Identity groups of training and validation that have one property."""

    by: Property
    value: str
    train: int
    validation: int

    @property
    def share(self) -> float:
        """Of these groups, held out for validation."""
        return self.validation / (self.train + self.validation)

    def expected(self, fraction: float) -> tuple[float, float]:
        """Where `share` is in 99 of 100 draws, if each group is held out with this probability.

        By the normal approximation, cut off at 0 and 1.
        """
        error = math.sqrt(fraction * (1 - fraction) / (self.train + self.validation))
        return max(0.0, fraction - 2.576 * error), min(1.0, fraction + 2.576 * error)


@dataclass(frozen=True, kw_only=True)
class Stats:
    title: str
    lines: Sequence[Line]
    histogram: Sequence[Bar]
    attrition: dict[str, dict[str, int]]  # source -> input, what each step took, kept
    balance: Sequence[Balance] = ()
    val_fraction: float = 0.0

    def line(
        self,
        stage: Stage,
        source: str | None = None,
        split: str | None = None,
        species: str | None = None,
    ) -> Line | None:
        wanted = (stage, source, split, species)
        for line in self.lines:
            if (line.stage, line.source, line.split, line.species) == wanted:
                return line
        return None

    @property
    def sources(self) -> list[str]:
        return list(self.attrition)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "standard_deviation_ddof": DDOF,
            "photos_per_identity": [asdict(line) for line in self.lines],
            "histogram": [asdict(bar) for bar in self.histogram],
            "attrition": self.attrition,
            "validation_fraction": self.val_fraction,
            "balance": [asdict(part) | {"share": part.share} for part in self.balance],
        }


def release_stats(release: Path) -> Stats:
    """Of a release, out of its own files. Raises CorruptFile."""
    return stats_of(release, read_manifest(release))


def stats_of(release: Path, manifest: Mapping[str, Any]) -> Stats:
    """The same of one whose manifest is not written, or not yet."""
    return attrition_stats(
        release / "metadata" / "attrition.parquet",
        title=f"{manifest['name']} {manifest['version']}",
        val_fraction=float(manifest["options"].get("val_fraction", 0.0)),
    )


def attrition_stats(path: Path, *, title: str, val_fraction: float) -> Stats:
    with open_database() as database:
        try:
            database.execute(
                """
                CREATE TABLE found AS
                SELECT source, split, species, identity_id, identity_group, reason
                FROM read_parquet($path)
                """,
                {"path": str(path)},
            )
        except duckdb.Error as error:
            raise CorruptFile(f"{path}: {str(error).splitlines()[0]}") from error
        _number_identities(database)
        histograms = _histograms(database)
        return Stats(
            title=title,
            lines=_lines(histograms),
            histogram=_bars(histograms),
            attrition=_attrition(database),
            balance=_balance(database),
            val_fraction=val_fraction,
        )


def shard_stats(workspace: Workspace) -> Stats:
    """Of what is collected and imported: the current rows of all shards."""
    files = input_files(workspace, levels_of(known_sources(workspace).values(), BuildOptions()))
    with open_database() as database:
        database.register("current", current_rows(files))
        try:
            database.execute(
                """
                CREATE TABLE found AS
                SELECT source, CAST(NULL AS VARCHAR) AS split, species, identity_id,
                       identity_id AS identity_group,
                       CASE WHEN is_current THEN 'not built' ELSE 'superseded' END AS reason
                FROM read_parquet($paths, filename = true, file_row_number = true) r
                JOIN current c ON c.path = r.filename AND c.row = r.file_row_number
                """,
                {"paths": [str(file.path) for file in files]},
            )
        except duckdb.Error as error:
            raise CorruptFile(f"a shard cannot be read: {str(error).splitlines()[0]}") from error
        _number_identities(database)
        attrition, histograms = _attrition(database), _histograms(database)
        for steps in attrition.values():
            steps["kept"] = steps.pop("not built", 0)
        return Stats(
            title="shards",
            lines=_lines(histograms),
            histogram=_bars(histograms),
            attrition=attrition,
        )


def current_rows(files: Sequence[InputFile]) -> pa.Table:
    """path, row, is_current: what the ledger says of each row."""
    rows = [len(file.is_current) for file in files]
    paths = np.repeat(np.arange(len(files), dtype=np.int32), rows)
    return pa.table(
        {
            "path": pa.DictionaryArray.from_arrays(
                pa.array(paths), pa.array([str(file.path) for file in files], pa.string())
            ),
            "row": np.concatenate([np.arange(count) for count in rows]),
            "is_current": np.concatenate([file.is_current for file in files]),
        }
    )


# What an identity is, and which rows count, before and after.
_IDENTITY: Final = {
    "before": ("identity_id", "coalesce(reason, '') != 'superseded'"),
    "after": ("identity_group", "reason IS NULL"),
}
_SETS: Final[dict[Stage, tuple[tuple[str, ...], ...]]] = {
    "before": (("source", "species"), ("source",), ("species",), ()),
    "after": (
        ("source", "split", "species"),
        ("source", "split"),
        ("source", "species"),
        ("source",),
        ("split", "species"),
        ("split",),
        ("species",),
        (),
    ),
}

_Key = tuple[str | None, str | None, str | None]  # source, split, species


def _number_identities(database: duckdb.DuckDBPyConnection) -> None:
    """`photos` out of `found`: identities become numbers, which group far faster than text."""
    database.execute(
        """
        CREATE TABLE numbers AS
        SELECT name, CAST(row_number() OVER () AS INTEGER) AS number
        FROM (SELECT identity_id AS name FROM found UNION SELECT identity_group FROM found);
        CREATE TABLE photos AS
        SELECT source, split, species, reason, a.number AS identity_id, b.number AS identity_group,
               CAST(count(*) AS BIGINT) AS photos
        FROM found JOIN numbers a ON a.name = identity_id JOIN numbers b ON b.name = identity_group
        GROUP BY ALL;
        """
    )


def _histograms(database: duckdb.DuckDBPyConnection) -> dict[Stage, dict[_Key, dict[int, int]]]:
    """For each stage and set of rows: photos of an identity -> identities that have so many."""
    found: dict[Stage, dict[_Key, dict[int, int]]] = {}
    for stage, sets in _SETS.items():
        identity, condition = _IDENTITY[stage]
        for keys in sets:
            names = [name if name in keys else "NULL" for name in ("source", "split", "species")]
            for source, split, species, photos, identities in database.execute(
                f"""
                SELECT {", ".join(names)}, CAST(n AS BIGINT), count(*)
                FROM (SELECT {"".join(f"{key}, " for key in keys)} sum(photos) AS n
                      FROM photos WHERE {condition}
                      GROUP BY {"".join(f"{key}, " for key in keys)} {identity})
                GROUP BY ALL ORDER BY ALL
                """
            ).fetchall():
                key = (source, split, species)
                found.setdefault(stage, {}).setdefault(key, {})[photos] = identities
    return found


def describe(histogram: Mapping[int, int]) -> dict[str, Any]:
    """Of identities by their photos (photos -> identities): the numbers of a `Line`.

    From whole sums, so that they are the same in every run. The median of an even number of
    identities is the mean of the middle two.
    """
    sizes = sorted(histogram)
    identities = sum(histogram.values())
    photos = sum(size * histogram[size] for size in sizes)
    squares = sum(size**2 * histogram[size] for size in sizes)
    at_most = np.cumsum([histogram[size] for size in sizes])
    middle = [
        sizes[int(np.searchsorted(at_most, place, side="right"))]
        for place in ((identities - 1) // 2, identities // 2)
    ]
    variance = Fraction(identities * squares - photos**2, identities * (identities - DDOF))
    return {
        "photos": photos,
        "identities": identities,
        "minimum": sizes[0],
        "maximum": sizes[-1],
        "mean": photos / identities,
        "median": sum(middle) / 2,
        "deviation": math.sqrt(variance),
    }


def _lines(histograms: dict[Stage, dict[_Key, dict[int, int]]]) -> list[Line]:
    return [
        Line(stage=stage, source=source, split=split, species=species, **describe(histogram))
        for stage, keyed in histograms.items()
        for (source, split, species), histogram in keyed.items()
    ]


def _bars(histograms: dict[Stage, dict[_Key, dict[int, int]]]) -> list[Bar]:
    return [
        Bar(stage=stage, source=source, photos=photos, identities=identities)
        for stage, keyed in histograms.items()
        for (source, split, species), histogram in keyed.items()
        if split is None and species is None
        for photos, identities in histogram.items()
    ]


def _attrition(database: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for source, reason, photos in database.execute(
        "SELECT source, coalesce(reason, 'kept'), CAST(sum(photos) AS BIGINT) FROM photos "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        counts.setdefault(source, {})[reason] = photos
    return {
        source: {
            "input": sum(taken.values()),
            **{reason: taken[reason] for reason in sorted(taken, key=_place) if reason != "kept"},
            "kept": taken.get("kept", 0),
        }
        for source, taken in counts.items()
    }


def _place(reason: str) -> tuple[int, str]:
    step = reason.partition(":")[0]
    return (STEPS.index(step) if step in STEPS else len(STEPS), reason)


def ordered_steps(attrition: dict[str, dict[str, int]]) -> list[str]:
    """Every step that took a photo of any source, in the order of the build."""
    found = {step for steps in attrition.values() for step in steps} - {"input", "kept"}
    return sorted(found, key=_place)


def shown_lines(stats: Stats) -> list[Line]:
    """Source by source: before the build by species, after it by split and species, sums first.

    Sums over the splits of a species, and all sources by species, are only in JSON and CSV.
    """
    found = []
    for source in [*stats.sources, None]:
        for stage in ("before", "after"):
            lines = [line for line in stats.lines if (line.stage, line.source) == (stage, source)]
            if source is None:
                lines = [line for line in lines if line.species is None]
            elif stage == "after":
                lines = [line for line in lines if line.split or not line.species]
            order = [None, *SPLITS]
            lines.sort(key=lambda line: (order.index(line.split), line.species or ""))
            found += lines
    return found


def _balance(database: duckdb.DuckDBPyConnection) -> list[Balance]:
    size = " ".join(f"WHEN n <= {most} THEN '{name}'" for most, name in _SIZES)
    found = []
    queries: tuple[tuple[Property, str], ...] = (
        ("source", "SELECT DISTINCT source AS value, split, identity_group FROM held"),
        ("species", "SELECT DISTINCT species AS value, split, identity_group FROM held"),
        (
            "photos per identity",
            f"SELECT CASE {size} ELSE '{_MORE}' END AS value, split FROM (SELECT split, "
            "identity_group, sum(photos) AS n FROM held GROUP BY ALL)",
        ),
    )
    for by, query in queries:
        rows = database.execute(
            f"""
            WITH held AS (SELECT * FROM photos WHERE reason IS NULL
                          AND split IN ('train', 'validation'))
            SELECT value, count(*) FILTER (split = 'train'),
                   count(*) FILTER (split = 'validation')
            FROM ({query}) GROUP BY value ORDER BY value
            """
        ).fetchall()
        if by == "photos per identity":
            order = [*(name for _, name in _SIZES), _MORE]
            rows.sort(key=lambda row: order.index(row[0]))
        found += [
            Balance(by=by, value=value, train=train, validation=validation)
            for value, train, validation in rows
        ]
    return found
