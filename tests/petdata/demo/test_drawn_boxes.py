"""Boxes that the demo's drawing knows of, on photos as they were kept."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from petdata.demo.drawn_boxes import write_drawn_boxes
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import NO_FAULTS, SiteConfig
from petdata.intake import Intake
from petdata.jpeg import canonicalise
from petdata.shards import read_photos
from petdata.side_tables import read_side_table, table_folder
from petdata.workspace import Workspace
from test_intake import make_listing

CONFIG = SiteConfig(seed=7, listings=12, faults=NO_FAULTS, exif=0.8)
PHOTOS = 3  # of make_listing


def test_rows_say_where_the_animal_is_on_what_was_kept(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    site = Site(config=CONFIG)
    photos = [photo for n in range(12) for photo in site.truth(n).photos]
    turned = sorted(photos, key=lambda photo: photo.picture.orientation)[-PHOTOS:]
    assert all(photo.picture.orientation > 4 for photo in turned)  # width and height change places
    shown = {}
    with Intake(workspace, "pet911") as intake:
        keys = [photo.key for photo in intake.take_listing(make_listing())]
        for key, photo in zip(keys, turned, strict=True):
            raw = site.photos.respond(photo).body
            intake.keep_photo(key, intake.examine(raw))
            kept = canonicalise(raw).jpeg
            shown[hashlib.sha256(kept).hexdigest()] = kept, site.photos.drawn(photo.picture)
    shards = sorted(workspace.shards("pet911").glob("part-*.parquet"))
    assert write_drawn_boxes(tmp_path, shards, site.photos.sent) == len(turned)
    assert write_drawn_boxes(tmp_path, shards, {}) == len(turned)  # the next run has sent nothing
    table = read_side_table(table_folder(tmp_path, "boxes"))
    assert table.producer.model == "drawn"
    assert {photo.sha256 for photo in read_photos(shards)} == set(shown)
    for row in table.rows.to_pylist():
        jpeg, drawn = shown[row["sha256"]]
        kept = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.int16)
        right = np.asarray(drawn.image, np.int16)
        assert np.abs(kept - right).mean() < 12  # the same way up, pixel on pixel
        animal, head = row["boxes"]
        assert (row["chosen"], animal["class"]) == (0, "cat")  # as make_listing says
        for box, known in ((animal, drawn.box), (head, drawn.head_box)):
            assert tuple(box[name] for name in ("x0", "y0", "x1", "y1")) == known


def test_photos_that_the_site_has_not_sent_have_no_row(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path)
    with Intake(workspace, "pet911") as intake:
        for number, photo in enumerate(intake.take_listing(make_listing())):
            picture = Image.new("RGB", (320, 240), (number * 40, 90, 90))
            out = io.BytesIO()
            picture.save(out, "JPEG")
            intake.keep_photo(photo.key, intake.examine(out.getvalue()))
    shards = sorted(workspace.shards("pet911").glob("part-*.parquet"))
    assert write_drawn_boxes(tmp_path, shards, {}) == 0
    assert not table_folder(tmp_path, "boxes").exists()
