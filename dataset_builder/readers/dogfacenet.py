"""DogFaceNet: after_4_bis/<class id>/<class id>.<n>.jpg, from GitHub, Zenodo or a Parquet mirror.

Class ids are not contiguous. classes_train.txt and classes_test.txt repeat a class id for each of
its photos; they lie inside the archive, or beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.archives import Files, Member, is_archive, open_files
from dataset_builder.reading import Published, Reading, identity_key, stem_of
from petdata.bulk_intake import Original
from petdata.errors import CorruptFile, Reason
from petdata.records import Species

PUBLISHED: Final = (
    Published(by="Kudryavtsev et al. 2026", photos=8_363, identities=2_483),
    Published(by="DogFaceNet release, WildlifeDatasets", photos=8_363, identities=1_393),
)
# Aligned photos first; the others hold the same dogs unaligned, with more photos.
FOLDERS: Final = ("after_4_bis", "images", "images_2")
_LISTS: Final = {"classes_train.txt": "train", "classes_test.txt": "test"}
_SPECIES: Final = Species.DOG
_ROWS_AT_ONCE: Final = 64


def read(root: Path, reading: Reading) -> Iterator[Original]:
    if mirror := _parquet_files(root):
        yield from _read_parquet(mirror, reading)
        return
    files = _open(root, reading)
    folder = _photo_folder(files)
    splits, lines = _read_lists(files, root)
    if not splits:
        reading.warnings.append(
            f"no classes_train.txt and classes_test.txt in or beside {files.path}: "
            "source_split stays null"
        )
    found: Counter[str] = Counter()
    for member in files.members(folder):
        if not reading.is_photo(member.path):
            continue
        name, _, rest = member.path.partition("/")
        if not rest:
            reading.counts["photos outside of any dog's folder"] += 1
            continue
        found[name] += 1
        nested = (Reason.NESTED_FOLDER, "deeper than a dog's folder") if "/" in rest else None
        yield reading.original(
            member,
            source_id=identity_key(name),
            species=_SPECIES,
            source_split=splits.get(name),
            refused=nested,
        )
    if splits:
        _compare(found, lines, reading)
    reading.finish(files)


def _open(root: Path, reading: Reading) -> Files:
    if not root.is_dir():
        return open_files(root)
    folder = open_files(root)
    if any(folder.find_folder(name) is not None for name in FOLDERS):
        return folder
    archives = sorted(path for path in root.iterdir() if is_archive(path.name) and path.is_file())
    aligned = [path for path in archives if "224" in path.name]
    chosen = aligned[0] if aligned else archives[0] if archives else None
    if chosen is None:
        return folder
    if len(archives) > 1:
        others = ", ".join(path.name for path in archives if path != chosen)
        reading.warnings.append(f"{chosen.name} is read; to read {others} instead, give its path")
    return open_files(chosen)


def _photo_folder(files: Files) -> str:
    for name in FOLDERS:
        if (folder := files.find_folder(name)) is not None:
            return folder
    return ""


def _read_lists(files: Files, root: Path) -> tuple[dict[str, str], Counter[str]]:
    """Class id -> train or test; class id -> how often the lists name it."""
    splits: dict[str, str] = {}
    lines: Counter[str] = Counter()
    for name, member in _lists(files, root):
        for line in member.read_text().split():
            if splits.setdefault(line, _LISTS[name]) != _LISTS[name]:
                raise CorruptFile(f"class {line} is in classes_train.txt and classes_test.txt")
            lines[line] += 1
    return splits, lines


def _lists(files: Files, root: Path) -> Iterator[tuple[str, Member]]:
    inside = False
    for member in files.members():
        name = member.path.rpartition("/")[2]
        if name in _LISTS:
            inside = True
            yield name, member
    beside = files.path.parent if files.path.is_file() or root != files.path else None
    if not inside and beside is not None:
        for name in _LISTS:
            path = beside / name
            if path.is_file():
                yield name, Member(name, path.stat().st_size, path.read_bytes)


def _compare(found: Counter[str], lines: Counter[str], reading: Reading) -> None:
    reading.counts["photos on no class list"] += sum(
        count for name, count in found.items() if name not in lines
    )
    reading.counts["classes with another number of photos than their list says"] += sum(
        found[name] != count for name, count in lines.items()
    )


# The mirrors on the Hub: image struct and label


def _parquet_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == ".parquet" else []
    return sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")])


def _read_parquet(paths: list[Path], reading: Reading) -> Iterator[Original]:
    reading.warnings.append("the mirror has no class lists: source_split stays null")
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            names = _label_names(file.schema_arrow)
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=["image", "label"])
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows):
                yield _original(path.name, number, row, names, reading)
        except (pa.ArrowException, OSError, KeyError, IndexError, TypeError) as error:
            raise CorruptFile(f"{path} is no mirror of DogFaceNet ({error})") from error


def _label_names(schema: pa.Schema) -> list[str] | None:
    """What a class label's numbers stand for, where the file says it."""
    text = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(text)["info"]["features"] if text else {}
    names = features.get("label", {}).get("names")
    return list(names) if names else None


def _original(
    file: str, number: int, row: dict[str, Any], names: list[str] | None, reading: Reading
) -> Original:
    image, label = row["image"], row["label"]
    if image is None or image["bytes"] is None or label is None:
        raise KeyError(f"row {number} lacks its image or label")
    name = str(label)
    if names is not None and isinstance(label, int):
        name = names[label]
    raw: bytes = image["bytes"]
    path = image.get("path") or f"{number}.jpg"
    member = Member(f"{file}/{number}/{path.rpartition('/')[2]}", len(raw), lambda: raw)
    class_of_path = stem_of(path.rpartition("/")[2]).partition(".")
    if names is None and class_of_path[0].isdigit() and class_of_path[1]:
        name = class_of_path[0]  # "999.3.jpg": the label only counts from 0
    return reading.original(member, source_id=identity_key(name), species=_SPECIES)
