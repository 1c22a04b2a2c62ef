"""What differs between two releases: photos and identities, and why.

Two data files of one fingerprint say the same, so only rows of files that the other release lacks
are compared. All of it is DuckDB over the releases' own tables; no pixel is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from dataset_builder.manifest import read_revoked
from dataset_builder.options import PETFACE
from petdata.errors import CorruptFile, StorageFailure
from petdata.manifest import read_manifest

KINDS: Final = ("added", "removed", "changed", "moved")
MOST_NAMED: Final = 1_000  # photos and identities that are named one by one
MEMORY_LIMIT: Final = "2GB"
_PIXELS: Final = ("image", "thumbnail")
_KEYS: Final = ("photo_id", "identity_id", "source")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`photos` and `identities`: source -> kind -> number."""

    before: str
    after: str
    photos: dict[str, dict[str, int]]
    identities: dict[str, dict[str, int]]
    reasons: list[dict[str, Any]]  # of photos: source, kind, reason, photos
    changes: list[dict[str, Any]]  # of photos, the first MOST_NAMED
    changed_identities: list[dict[str, Any]]
    revoked: list[str]  # photos of the first release that were taken down since
    notes: list[str]

    @property
    def is_empty(self) -> bool:
        return not any(n for counts in self.photos.values() for n in counts.values())


def compare(before: Path, after: Path, output: Path | None = None) -> Difference:
    """Compare two releases; `output` gets every change of a photo, as Parquet.

    Raises CorruptFile where one of them is not whole.
    """
    manifests = read_manifest(before), read_manifest(after)
    with _database() as database:
        try:
            for name, release, manifest in zip("ab", (before, after), manifests, strict=True):
                _load(database, name, release, manifest, _own_files(manifests, name))
            _find_changes(database, manifests[1], read_revoked(after))
            if output is not None:
                _write(database, output)
            return _summary(database, manifests)
        except duckdb.Error as error:
            text = str(error).splitlines()[0]
            raise CorruptFile(
                f"{before} and {after} cannot be compared ({text}): petdata verify says which of "
                "them is not whole"
            ) from error


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT}) as database:
        yield database


def _own_files(manifests: tuple[dict[str, Any], dict[str, Any]], name: str) -> list[str]:
    """Data files that say something that no file of the other release says."""
    own, other = manifests if name == "a" else reversed(manifests)
    known = {entry.get("fingerprint") for entry in other["files"].values()}
    return [
        path
        for path, entry in own["files"].items()
        if path.startswith("data/") and entry.get("fingerprint") not in known
    ]


def _load(
    database: duckdb.DuckDBPyConnection,
    name: str,
    release: Path,
    manifest: dict[str, Any],
    own_files: list[str],
) -> None:
    """Tables <name>_rows (every input row), <name>_kept, <name>_content (rows of own files)."""
    attrition = str(release / "metadata" / "attrition.parquet")
    database.execute(
        f"CREATE TABLE {name}_rows AS SELECT * FROM read_parquet($path)", {"path": attrition}
    )
    database.execute(
        f"CREATE TABLE {name}_kept AS SELECT * FROM {name}_rows WHERE split IS NOT NULL"
    )
    data = own_files or [path for path in manifest["files"] if path.startswith("data/")][:1]
    database.execute(
        f"CREATE TABLE {name}_content AS SELECT * EXCLUDE ({', '.join(_PIXELS)}) "
        "FROM read_parquet($paths, union_by_name = true, hive_partitioning = false)"
        + ("" if own_files else " LIMIT 0"),
        {"paths": [str(release / path) for path in data]},
    )


def _find_changes(
    database: duckdb.DuckDBPyConnection, after: dict[str, Any], revoked: list[str]
) -> None:
    """Table `changes`: source, kind, photo_id, identity_id, reason; before_id where it moved."""
    database.execute(
        "CREATE TABLE revoked AS SELECT unnest(CAST($hashes AS VARCHAR[])) AS sha256",
        {"hashes": revoked},
    )
    # A version that was replaced says nothing of why the photo is not there now.
    for name in "ab":
        database.execute(
            f"CREATE TABLE {name}_reasons AS SELECT photo_id, "
            "arg_min(reason, (reason = 'superseded', reason)) AS reason "
            f"FROM {name}_rows WHERE split IS NULL GROUP BY photo_id"
        )
    database.execute(
        """
        CREATE TABLE gone AS SELECT a.*, sha256
        FROM (FROM a_kept ANTI JOIN b_kept USING (photo_id)) a
        LEFT JOIN (SELECT photo_id, sha256 FROM a_content) USING (photo_id);
        CREATE TABLE new AS SELECT b.*, sha256
        FROM (FROM b_kept ANTI JOIN a_kept USING (photo_id)) b
        LEFT JOIN (SELECT photo_id, sha256 FROM b_content) USING (photo_id);
        CREATE TABLE moved AS SELECT new.source, new.photo_id, new.identity_id,
               gone.photo_id AS before_id, gone.identity_id AS before_identity
        FROM new JOIN gone USING (sha256);
        """
    )
    options = after["options"]
    database.execute(
        f"""
        CREATE TABLE changes AS
        SELECT source, 'moved' AS kind, photo_id, identity_id,
               'stood in ' || before_identity AS reason, before_id
        FROM moved
        UNION ALL BY NAME
        SELECT source, 'added' AS kind, photo_id, identity_id,
               coalesce('was ' || r.reason, 'new') AS reason
        FROM (FROM new ANTI JOIN moved USING (photo_id)) LEFT JOIN a_reasons r USING (photo_id)
        UNION ALL BY NAME
        SELECT g.source, 'removed' AS kind, g.photo_id, g.identity_id,
               CASE WHEN g.sha256 IN (FROM revoked) THEN 'taken_down'
                    WHEN r.reason IS NOT NULL THEN r.reason
                    WHEN list_contains($exclude, g.source)
                         OR g.source = '{PETFACE}' AND $petface = 'train'
                            AND coalesce(g.source_split, '') != 'train' THEN 'left_out_by_options'
                    ELSE 'not_in_the_workspace' END AS reason
        FROM (SELECT gone.* FROM gone ANTI JOIN moved ON gone.photo_id = moved.before_id) g
        LEFT JOIN b_reasons r USING (photo_id)
        UNION ALL BY NAME
        SELECT b.source, 'changed' AS kind, b.photo_id, b.identity_id,
               concat_ws(', ',
                   CASE WHEN a.split != b.split THEN 'split' END,
                   CASE WHEN a.identity_group != b.identity_group THEN 'group' END,
                   nullif(c.columns, '')) AS reason
        FROM a_kept a JOIN b_kept b USING (photo_id) LEFT JOIN ({_contents(database)}) c
             USING (photo_id)
        WHERE a.split != b.split OR a.identity_group != b.identity_group OR c.columns != ''
        """,
        {"exclude": options["exclude"], "petface": options["petface"]},
    )


def _contents(database: duckdb.DuckDBPyConnection) -> str:
    """SQL: for each photo in both, the columns in which its rows differ."""
    of = {
        name: [row[0] for row in database.execute(f"DESCRIBE {name}_content").fetchall()]
        for name in "ab"
    }
    both = [column for column in of["a"] if column in of["b"] and column not in _KEYS]
    cases = [f"CASE WHEN a.{c} IS DISTINCT FROM b.{c} THEN '{c}' END" for c in both]
    return (
        f"SELECT photo_id, concat_ws(', ', {', '.join(cases)}) AS columns "
        "FROM a_content a JOIN b_content b USING (photo_id)"
    )


_IDENTITIES: Final = """
CREATE TABLE identity_changes AS
WITH before AS (SELECT DISTINCT source, identity_id FROM a_kept),
     after AS (SELECT DISTINCT source, identity_id FROM b_kept),
     touched AS (
         SELECT identity_id, kind, reason FROM changes
         UNION ALL SELECT before_identity, 'moved away', 'moved to ' || identity_id FROM moved),
     why AS (
         SELECT identity_id, mode(reason ORDER BY reason) AS reason,
                string_agg(DISTINCT kind, ', ' ORDER BY kind) AS kinds,
                count(*) FILTER (kind = 'moved away') > 0 AS has_moved
         FROM touched GROUP BY identity_id)
SELECT coalesce(before.source, after.source) AS source,
       CASE WHEN before.identity_id IS NULL THEN 'added'
            WHEN after.identity_id IS NULL THEN if(has_moved, 'moved', 'removed')
            ELSE 'changed' END AS kind,
       identity_id,
       if(before.identity_id IS NOT NULL AND after.identity_id IS NOT NULL,
          'photos ' || kinds, why.reason) AS reason
FROM before FULL JOIN after USING (identity_id) JOIN why USING (identity_id)
"""


def _summary(
    database: duckdb.DuckDBPyConnection, manifests: tuple[dict[str, Any], dict[str, Any]]
) -> Difference:
    database.execute(_IDENTITIES)
    before, after = (f"{m['name']} {m['version']}" for m in manifests)
    return Difference(
        before=before,
        after=after,
        photos=_counts(database, "changes"),
        identities=_counts(database, "identity_changes"),
        reasons=_records(
            database,
            # one reason for all moves; those of additions and removals as they are
            "SELECT source, kind, if(kind = 'moved', 'other identity', reason) AS reason, "
            "count(*) AS photos FROM changes GROUP BY ALL ORDER BY source, kind, photos DESC, 3",
        ),
        changes=_records(
            database,
            f"SELECT * FROM changes ORDER BY source, kind, photo_id LIMIT {MOST_NAMED}",
        ),
        changed_identities=_records(
            database,
            f"SELECT * FROM identity_changes ORDER BY ALL LIMIT {MOST_NAMED}",
        ),
        revoked=[
            row[0]
            for row in database.execute(
                "SELECT photo_id FROM changes WHERE kind = 'removed' AND reason = 'taken_down' "
                "ORDER BY 1"
            ).fetchall()
        ],
        notes=list(_notes(*manifests)),
    )


def _counts(database: duckdb.DuckDBPyConnection, table: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for source, kind, number in database.execute(
        f"SELECT source, kind, count(*) FROM {table} GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        found.setdefault(str(source), dict.fromkeys(KINDS, 0))[kind] = number
    return found


def _records(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = database.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in cursor.fetchall()
    ]


def _notes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    keys = [m.get("inputs", {}).get("pseudonym_key") for m in (before, after)]
    own = [bool(m["options"]["keep_source_ids"]) for m in (before, after)]
    if own[0] != own[1] or (keys[0] != keys[1] and not all(own)):
        yield (
            "the two releases name the identities of collected sources differently, so those all "
            "count as moved"
        )


def _write(database: duckdb.DuckDBPyConnection, output: Path) -> None:
    try:
        database.execute(
            "COPY (SELECT * FROM changes ORDER BY source, kind, photo_id) "
            f"TO '{str(output).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)"
        )
    except duckdb.IOException as error:
        raise StorageFailure(f"cannot write {output}: {str(error).splitlines()[0]}") from error
