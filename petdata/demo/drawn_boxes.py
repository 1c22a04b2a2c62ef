"""Where the animals of the demo's photos are: the drawing knows it, so no detector is asked.

Detectors are not downloaded in the demo. Their side table is made nevertheless, as `petdata detect`
makes it, by a producer that says what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from petdata.demo.pets import Box
from petdata.demo.servers.site_photos import Boxes
from petdata.side_table_kinds import BOXES, SEVERAL, Producer
from petdata.side_tables import BOXES_TABLE, append_rows, known_sha256, table_folder

_COLUMNS = ("sha256", "photo_id", "original_sha256", "species")


def write_drawn_boxes(root: Path, shards: Sequence[Path], sent: Mapping[str, Boxes]) -> int:
    """`sent`: by the SHA-256 of what was sent. Returns how many photos have a row then."""
    folder = table_folder(root, BOXES_TABLE)
    known = set(known_sha256(folder).to_pylist())
    photos = pa.concat_tables([pq.read_table(path, columns=list(_COLUMNS)) for path in shards])
    found = {row["sha256"]: row for row in _rows(photos.to_pylist(), sent)}
    rows = [row for sha256, row in found.items() if sha256 not in known]
    if rows:
        producer = Producer(model="drawn", settings={"note": "by the drawing, not by a network"})
        append_rows(folder, BOXES, producer, rows, extra=[SEVERAL])
    return len(known) + len(rows)


def _rows(
    photos: Sequence[Mapping[str, Any]], sent: Mapping[str, Boxes]
) -> Iterator[Mapping[str, Any]]:
    """The animal, which is chosen, and its head, which is a box that is not."""
    for photo in photos:
        if (found := sent.get(photo["original_sha256"])) is not None:
            yield {
                "sha256": photo["sha256"],
                "photo_id": photo["photo_id"],
                "boxes": [_box(photo["species"], found.animal), _box("head", found.head)],
                "chosen": 0,
                SEVERAL.name: False,
            }


def _box(name: str, corners: Box) -> Mapping[str, Any]:
    return {"class": name, "score": 1.0} | dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
