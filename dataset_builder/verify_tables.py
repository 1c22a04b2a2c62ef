"""A release's rows and its tables, held to each other: each check is one query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import duckdb

from petdata.sources import SOURCES

MOST_NAMED: Final = 10  # of one kind; the rest is counted

# A query, and the sentence that each row of its answer means.
_CHECKS: Final = (
    (
        "SELECT path, file_row_number, photo_id FROM photos WHERE sha256 IN (FROM revoked)",
        "{0}, row {1}: {2} is in metadata/revoked.txt",
    ),
    (
        "SELECT path, file_row_number, photo_id FROM photos "
        "WHERE photo_id != identity_id || '/' || left(sha256, 12)",
        "{0}, row {1}: photo_id {2} is not the identity's id and the start of sha256",
    ),
    (
        "SELECT path, file_row_number, identity_id, source FROM photos "
        "WHERE NOT starts_with(identity_id, source || '/')",
        "{0}, row {1}: identity_id {2} does not begin with its source {3}",
    ),
    (
        "SELECT path, source, count(*) FROM photos "
        "WHERE NOT starts_with(path, 'data/' || source || '/') GROUP BY ALL",
        "{0} holds {2} photos of {1}",
    ),
    (
        "SELECT path FROM photos WHERE split NOT IN ('train', 'validation', 'test') GROUP BY 1",
        "{0}: its name says no split",
    ),
    (
        "SELECT sha256, count(*), min(photo_id), max(photo_id) FROM photos "
        "GROUP BY 1 HAVING count(*) > 1",
        "one photo stands {1} times in the release: {2} and {3}",
    ),
    (
        "SELECT identity_group, string_agg(DISTINCT p.split, ', ' ORDER BY p.split) "
        "FROM photos p JOIN (FROM identity_groups WHERE config = 'all') g USING (identity_id) "
        "GROUP BY 1 HAVING count(DISTINCT p.split) > 1",
        "identity group {0} stands in several splits: {1}",
    ),
    (
        "SELECT DISTINCT identity_id FROM photos "
        "ANTI JOIN (FROM identity_groups WHERE config = 'all') USING (identity_id)",
        "identity {0} is in no group of metadata/identity_groups.parquet",
    ),
    (
        "SELECT config, identity_id FROM identity_groups GROUP BY ALL HAVING count(*) > 1",
        "metadata/identity_groups.parquet: {1} stands twice in config {0}",
    ),
    (
        "SELECT identity_id, g.identity_group, a.identity_group "
        "FROM (SELECT DISTINCT identity_id, identity_group FROM attrition WHERE split NOT NULL) a "
        "JOIN (FROM identity_groups WHERE config = 'all') g USING (identity_id) "
        "WHERE a.identity_group != g.identity_group",
        "identity {0}: group {1} in identity_groups, {2} in attrition",
    ),
    (
        "SELECT photo_id FROM attrition WHERE (split IS NULL) = (reason IS NULL)",
        "metadata/attrition.parquet: {0} is neither kept nor dropped, or both",
    ),
    (
        "SELECT photo_id, source FROM (FROM attrition WHERE split NOT NULL) "
        "ANTI JOIN photos USING (photo_id, source)",
        "metadata/attrition.parquet: {0} was kept, and no data file has it",
    ),
    (
        "SELECT path, file_row_number, photo_id FROM photos "
        "ANTI JOIN (FROM attrition WHERE split NOT NULL) USING (photo_id, source)",
        "{0}, row {1}: {2} is not among the photos that were kept",
    ),
    (
        "SELECT photo_id, p.split, a.split FROM photos p "
        "JOIN (FROM attrition WHERE split NOT NULL) a USING (photo_id) WHERE p.split != a.split",
        "{0} stands in {1}, metadata/attrition.parquet says {2}",
    ),
)


def table_problems(
    database: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], leakage: Mapping[str, Any]
) -> Iterator[str]:
    """`database` has photos, attrition, identity_groups, identity_links and revoked."""
    for query, sentence in _CHECKS:
        yield from named(database, query, sentence)
    yield from _attrition_sums(database, manifest["attrition"])
    yield from _leak_counts(database, leakage)
    yield from _config_groups(database, manifest["configs"])
    yield from _private_columns(database, manifest["options"])


def named(database: duckdb.DuckDBPyConnection, query: str, sentence: str) -> Iterator[str]:
    """The sentence for each row that the query finds, MOST_NAMED at most, and how many more."""
    rows = database.execute(f"SELECT * FROM ({query}) ORDER BY ALL LIMIT {MOST_NAMED}").fetchall()
    for row in rows:
        yield sentence.format(*row)
    if len(rows) == MOST_NAMED:
        count = database.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]
        if count > MOST_NAMED:
            yield f"and {count - MOST_NAMED:,} more like this"


def _attrition_sums(
    database: duckdb.DuckDBPyConnection, attrition: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Input is what was kept and what each step took; the table, and the data files, agree."""
    found: dict[str, dict[str, int]] = {}
    for source, reason, number in database.execute(
        "SELECT source, coalesce(reason, 'kept'), count(*) FROM attrition GROUP BY ALL"
    ).fetchall():
        found.setdefault(source, {"kept": 0})[reason] = number
    rows = dict(database.execute("SELECT source, count(*) FROM photos GROUP BY 1").fetchall())
    for source in sorted(attrition.keys() | found.keys() | rows.keys()):
        steps = dict(attrition.get(source, {}))
        given = steps.pop("input", 0)
        if given != sum(steps.values()):
            yield f"{source}: {given:,} photos came in, {sum(steps.values()):,} are accounted for"
        listed = found.get(source)
        if {name: n for name, n in steps.items() if n or name == "kept"} != listed:
            yield f"{source}: the manifest says {steps}, metadata/attrition.parquet {listed}"
        if steps.get("kept", 0) != rows.get(source, 0):
            yield f"{source}: {steps.get('kept', 0):,} kept, {rows.get(source, 0):,} rows in files"


def _leak_counts(database: duckdb.DuckDBPyConnection, leakage: Mapping[str, Any]) -> Iterator[str]:
    rows = database.execute(
        "SELECT reason[6:], count(*) FROM attrition WHERE reason LIKE 'leak:%' GROUP BY 1"
    ).fetchall()
    stated = {name: n for name, n in leakage.get("removed_from_training", {}).items() if n}
    if dict(rows) != stated:
        yield f"metadata/leakage.json says {stated} were removed, attrition says {dict(rows)}"
    if leakage.get("left") != 0:
        yield f"metadata/leakage.json says {leakage.get('left')} leaks are left"


def _config_groups(
    database: duckdb.DuckDBPyConnection, configs: Mapping[str, Mapping[str, list[str]]]
) -> Iterator[str]:
    """A configuration's groups are those of the identities in its files."""
    database.execute("CREATE TABLE config_files (config VARCHAR, path VARCHAR)")
    files = [(c, path) for c, splits in configs.items() for p in splits.values() for path in p]
    database.executemany("INSERT INTO config_files VALUES (?, ?)", files or [("", "")])
    for config, identity, there in database.execute(
        "WITH shown AS (SELECT DISTINCT config, identity_id FROM photos JOIN config_files "
        "USING (path)) SELECT config, identity_id, s.config NOT NULL AS there "
        "FROM shown s FULL JOIN identity_groups g USING (config, identity_id) "
        f"WHERE s.config IS NULL OR g.config IS NULL ORDER BY ALL LIMIT {MOST_NAMED}"
    ).fetchall():
        what = "has no group" if there else "has a group and no photo"
        yield f"config {config}: identity {identity} {what}"


def _private_columns(
    database: duckdb.DuckDBPyConnection, options: Mapping[str, Any]
) -> Iterator[str]:
    """Collected identities have pseudonyms, and nothing that leads back to an announcement."""
    if not options["keep_text"]:
        yield from named(
            database,
            "SELECT path, file_row_number FROM photos WHERE title NOT NULL OR description NOT NULL",
            "{0}, row {1}: has text, and the release was built without",
        )
    if options["keep_source_ids"]:
        return
    collected = ", ".join(f"'{s.name}'" for s in SOURCES.values() if s.kind == "collected")
    yield from named(
        database,
        "SELECT path, file_row_number FROM photos "
        f"WHERE source IN ({collected}) AND (source_url NOT NULL OR original_sha256 NOT NULL "
        "OR attributes NOT NULL)",
        "{0}, row {1}: source_url, original_sha256 or attributes lead to an announcement",
    )
    for table, column in (
        ("photos", "identity_id"),
        ("attrition", "identity_id"),
        ("attrition", "identity_group"),
        ("identity_groups", "identity_group"),
        ("identity_links", "identity_a"),
        ("identity_links", "identity_b"),
    ):
        yield from named(
            database,
            f"SELECT DISTINCT {column} FROM {table} "
            f"WHERE split_part({column}, '/', 1) IN ({collected}) "
            f"AND NOT regexp_full_match(split_part({column}, '/', 2), '[0-9a-f]{{16}}')",
            f"{table} has {{0}} as {column}, which is no pseudonym",
        )
