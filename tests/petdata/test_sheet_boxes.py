"""Boxes on a contact sheet: the numbers of the table, in the photo's own pixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from petdata.intake import Intake
from petdata.presentation import print_contact_sheet
from petdata.shards import read_photos
from petdata.side_table_kinds import BOXES, VALUES, Producer
from petdata.side_tables import append_rows, table_folder
from petdata.workspace import Workspace
from test_intake import fetch_all, make_listing

YOLO = Producer(model="yolo<12>")
CAT = {"class": "cat", "score": 0.875, "x0": 10.0, "y0": 20.0, "x1": 110.0, "y1": 70.5}
SOFA = {"class": "<sofa>", "score": 0.5, "x0": 0.0, "y0": 0.0, "x1": 320.0, "y1": 240.0}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(root=tmp_path)
    with Intake(workspace, "pet911") as intake:
        fetch_all(intake, make_listing())
    return workspace


def sheet(workspace: Workspace) -> str:
    print_contact_sheet(workspace, "pet911", None, 60)
    return (workspace.root / "runs" / "contact-sheet-pet911.html").read_text()


def mark(workspace: Workspace, *rows: dict[str, Any]) -> None:
    """The first photos of the source, in the order of the page."""
    shards = sorted(workspace.shards("pet911").glob("part-*.parquet"))
    photos = list(read_photos(shards, with_image=False))
    said = [{"sha256": p.sha256} | row for p, row in zip(photos, rows, strict=False)]
    append_rows(table_folder(workspace.root, "boxes"), BOXES, YOLO, said)


def test_the_chosen_box_is_solid_and_others_are_dashed(workspace: Workspace) -> None:
    mark(workspace, {"boxes": [CAT, SOFA], "chosen": 0}, {"boxes": [SOFA], "chosen": None})
    page = sheet(workspace)
    rects = re.findall(r"<rect class='(chosen|other)' (x='[^>]*')>", page)
    cat = "x='10.0' y='20.0' width='100.0' height='50.5'"
    sofa = "x='0.0' y='0.0' width='320.0' height='240.0'"
    # The large one first: the pointer is to find the cat on the sofa.
    assert rects == [("other", sofa), ("chosen", cat), ("other", sofa)]
    assert "viewBox='0 0 320 240'" in page
    assert "cat 0.88" in page
    assert "&lt;sofa&gt; 0.50" in page
    assert "no animal found" in page
    assert "made by yolo&lt;12&gt;: 2 photos looked at, 1 without an animal" in page


def test_a_photo_that_does_not_decode_has_no_box(workspace: Workspace) -> None:
    mark(workspace, {"problem": "cannot be decoded"})
    page = sheet(workspace)
    assert "could not be looked at" in page
    assert "class='shot'" in page
    assert "<rect class='under'" not in page


def test_without_boxes_of_these_photos_the_page_has_no_legend(workspace: Workspace) -> None:
    assert "class='legend'" not in sheet(workspace)
    append_rows(
        table_folder(workspace.root, "boxes"),
        BOXES,
        YOLO,
        [{"sha256": "e" * 64, "boxes": [CAT], "chosen": 0}],
    )
    assert "class='legend'" not in sheet(workspace)


def test_another_kind_of_table_is_not_drawn(workspace: Workspace) -> None:
    append_rows(table_folder(workspace.root, "boxes"), VALUES, YOLO, [{"sha256": "e" * 64}])
    assert "class='legend'" not in sheet(workspace)
