"""croissant.json of a release: Croissant 1.1 with the fields for responsible use (RAI 1.0).

Files are named relative to this one, so that the description serves a folder and a repository on
the Hub alike. Every config is a record set; a record is a photo.

`datePublished` is the day on which the newest photo was fetched: a build knows no clock, since
equal builds have equal bytes. It is absent where no photo says when it was fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.card import Facts, facts_of
from dataset_builder.database import open_database
from dataset_builder.front_matter import ordered_configs
from dataset_builder.manifest import tables_of
from dataset_builder.metadata import write_json
from dataset_builder.paper import CITATION
from dataset_builder.plan import SPLITS, Plan
from dataset_builder.stats import Stats, ordered_steps
from petdata.records import SHARD_SCHEMA
from petdata.sources import Source

CROISSANT: Final = "croissant.json"
CONFORMS_TO: Final = (
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/RAI/1.0",
)
LICENCE_PAGES: Final = {
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
PARQUET: Final = "application/x-parquet"  # the name that mlcroissant knows
_SPLIT_SET: Final = "splits"

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_croissant(release: Path, plan: Plan, manifest: Mapping[str, Any], facts: Facts) -> None:
    """Beside the card of a build whose files and metadata are written."""
    sources = {level.source.name: level.source for level in plan.rows.levels}
    write_json(croissant(release, manifest, sources, facts), release / CROISSANT)


def croissant(
    release: Path,
    manifest: Mapping[str, Any],
    sources: Mapping[str, Source],
    facts: Facts | None = None,
) -> dict[str, Any]:
    """The description of a release, of any variant, out of its own files."""
    facts = facts or facts_of(release, manifest)
    stats = facts.stats
    own = [sources[name] for name in stats.sources if name in sources]
    total = stats.line("after")
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": str(manifest["name"]),
        "version": manifest["version"],
        "description": (
            f"{total.photos if total else 0:,} photos of {total.identities if total else 0:,} "
            "identity groups of pets, for re-identification; README.md is the card."
        ),
        "url": "README.md",
        "license": sorted({_licence(source) for source in own}),
        "creator": [{"@type": "sc:Organization", "name": source.title} for source in own],
        "isBasedOn": [source.terms for source in own if source.terms.startswith("http")],
        "keywords": ["re-identification", "pets", "animals", "metric learning"],
        "citeAs": CITATION,
        "isLiveDataset": False,
        "distribution": [*_files(manifest), *_file_sets(manifest)],
        "recordSet": [
            _splits(),
            *(_records(name) for name in ordered_configs(manifest)),
            *(
                _table_records(release, name, table["splits"])
                for name, table in tables_of(manifest).items()
            ),
        ],
        **_responsible_use(stats, manifest, own, facts.bases),
    }
    day = _newest_day(release, manifest)
    return document | ({"datePublished": day} if day else {})


def _licence(source: Source) -> str:
    if source.licence is None:
        return f"none granted ({source.name}): {source.terms or 'no terms declared'}"
    return LICENCE_PAGES.get(source.licence, f"{source.licence} ({source.name}): {source.terms}")


def _data_files(manifest: Mapping[str, Any]) -> list[str]:
    return sorted(path for path, entry in manifest["files"].items() if "fingerprint" in entry)


def _newest_day(release: Path, manifest: Mapping[str, Any]) -> str | None:
    paths = [str(release / path) for path in _data_files(manifest)]
    if not paths:
        return None
    with open_database() as database:
        row = database.execute(
            "SELECT strftime(max(fetched_at AT TIME ZONE 'UTC'), '%Y-%m-%d') "
            "FROM read_parquet($paths)",
            {"paths": paths},
        ).fetchone()
    return row[0] if row else None


# Files and records


def _files(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{manifest['files'][path]['bytes']} B",
            "encodingFormat": PARQUET,
            "sha256": manifest["files"][path]["sha256"],
        }
        for path in [*_data_files(manifest), *_table_files(manifest)]
    ]


def _table_files(manifest: Mapping[str, Any]) -> list[str]:
    splits = [table["splits"] for table in tables_of(manifest).values()]
    return sorted(path for found in splits for paths in found.values() for path in paths)


def _file_sets(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = {name: table["splits"] for name, table in tables_of(manifest).items()}
    configs = manifest["configs"] | tables
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}/files",
            "name": f"{name}/files",
            "encodingFormat": PARQUET,
            "includes": [path for split in SPLITS for path in configs[name].get(split, ())],
        }
        for name in [*ordered_configs(manifest), *tables]
    ]


def _splits() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": _SPLIT_SET,
        "name": _SPLIT_SET,
        "dataType": "cr:Split",
        "key": {"@id": f"{_SPLIT_SET}/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{_SPLIT_SET}/name",
                "name": "name",
                "dataType": "sc:Text",
            }
        ],
        "data": [{f"{_SPLIT_SET}/name": split} for split in SPLITS],
    }


def _records(config: str) -> dict[str, Any]:
    fields = [_split_field(config)]
    for column in SHARD_SCHEMA:
        if not pa.types.is_binary(column.type):  # the thumbnail; Croissant has no type for bytes
            fields.append(_field(config, column))
    return _record_set(config, "photo_id", fields)


def _table_records(release: Path, name: str, splits: Mapping[str, list[str]]) -> dict[str, Any]:
    """Of a side table the plain columns: lists and structs are for Parquet's own readers."""
    schema = pq.read_schema(release / next(iter(splits.values()))[0])
    columns = [column for column in schema if not pa.types.is_nested(column.type)]
    fields = [_split_field(name), *(_field(name, column) for column in columns)]
    return _record_set(name, "sha256", fields)


def _record_set(config: str, key: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "key": {"@id": f"{config}/{key}"},
        "field": fields,
    }


def _split_field(config: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "name": "split",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"{config}/files"},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": rf"^.*/({'|'.join(SPLITS)})-\d+\.parquet$"},
        },
        "references": {"field": {"@id": f"{_SPLIT_SET}/name"}},
    }


def _field(config: str, column: pa.Field) -> dict[str, Any]:
    source: dict[str, Any] = {
        "fileSet": {"@id": f"{config}/files"},
        "extract": {"column": column.name},
    }
    if column.name == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{config}/{column.name}",
        "name": column.name,
        "dataType": _data_type(column),
        "source": source,
    }


def _data_type(column: pa.Field) -> str:
    if column.name == "image":
        return "sc:ImageObject"
    if pa.types.is_boolean(column.type):
        return "sc:Boolean"
    if pa.types.is_integer(column.type):
        return "sc:Integer"
    if pa.types.is_floating(column.type):
        return "sc:Float"
    if pa.types.is_timestamp(column.type):
        return "sc:DateTime"
    return "sc:Date" if pa.types.is_date(column.type) else "sc:Text"


# Responsible use


def _responsible_use(
    stats: Stats,
    manifest: Mapping[str, Any],
    sources: Sequence[Source],
    asserted: Iterable[tuple[str, str, int]],
) -> dict[str, Any]:
    collected = [source.title for source in sources if source.kind == "collected"]
    datasets = [source.title for source in sources if source.kind != "collected"]
    basis = ", ".join(
        f"{photos:,} of {source}: {name or 'none'}" for source, name, photos in asserted
    )
    taken = [
        f"{step} {sum(steps.get(step, 0) for steps in stats.attrition.values()):,}"
        for step in ordered_steps(stats.attrition)
    ]
    text = "included, scrubbed" if manifest["options"].get("keep_text") else "left out"
    return {
        "rai:dataCollection": (
            f"Collected: {'; '.join(collected) or 'nothing'}. Out of datasets: "
            f"{'; '.join(datasets) or 'none'}. Rights of use asserted by whoever collected: "
            f"{basis or 'none'}."
        ),
        "rai:dataCollectionType": [
            *(["Web Scraping"] if collected else []),
            *(["Secondary Data Analysis"] if datasets else []),
        ],
        "rai:dataPreprocessingProtocol": [
            "Photos decoded whole, turned upright, stored as JPEG without metadata.",
            f"Dropped, with a reason each: {', '.join(taken) or 'nothing'}.",
            "Test sources never train; training photos that match a test photo are removed.",
        ],
        "rai:dataAnnotationProtocol": (
            "Identities are announcements or folders of a dataset; those that share a photo are "
            "one identity group. Species, status and breed are what the announcement says."
        ),
        "rai:dataUseCases": [
            "Training and evaluating re-identification of cats and dogs.",
            "Not for identifying people, nor for finding where somebody lives.",
        ],
        "rai:dataLimitations": [
            "Two announcements of one animal that share no photo stay two identities.",
            "Photos of one announcement often share day, place and light, so that background "
            "alone tells identities apart.",
            "Near duplicates are found by whole pictures, not by crops.",
        ],
        "rai:dataBiases": [
            "Towns, shelters and photo sites that the sources cover are no sample of all pets.",
            "Labels of scraped datasets are noisy.",
        ],
        "rai:personalSensitiveInformation": [
            f"Free text: {text}. Names are missed in one text of ten that has any; README.md has "
            "all figures.",
            "People, homes and plates may be seen in photos and are not removed.",
            "Places are rounded to 0.1 degree; ids of collected sources are pseudonyms."
            if not manifest["options"].get("keep_source_ids")
            else "Places are rounded to 0.1 degree; ids lead to the announcements.",
        ],
        "rai:dataSocialImpact": (
            "Lost pets may be found sooner; the same methods could tie an animal, and with it its "
            "owner, to a place."
        ),
        "rai:dataReleaseMaintenancePlan": (
            "Versions are semantic. What somebody asks to be forgotten is not in the next one, and "
            "metadata/revoked.txt names it by hash."
        ),
    }
