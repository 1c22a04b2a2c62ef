"""What a network finds without the animal, and without what is around it.

Background alone found the right cat in 79 to 90 % of searches among Cat Individual Images: an
encoder that knows sofas looks like one that knows cats.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.embeddings import Embeddings
from evaluation.metrics import BoolArray
from evaluation.opened import Opened
from petdata.errors import PetdataError
from petdata.releases import Release
from petdata.side_tables import part_files, read_kind, table_folder, table_names
from trainer.photo_set import BoxUse, PhotoSet, open_photos

BACKGROUND: Final = "background alone"
ANIMAL: Final = "animal alone"
BOXED: Final = "photos with a box"  # as they are: what the two others are to be held against
HALVES: Final = (BACKGROUND, ANIMAL, BOXED)
_USES: Final[dict[str, BoxUse]] = {BACKGROUND: "background", ANIMAL: "animal"}


def half_hidden(opened: Opened) -> tuple[str, dict[str, PhotoSet]]:
    """The table of boxes, and the photos without animals and without backgrounds.

    Texts stay: the question is what the picture adds. Raises PetdataError where there are no boxes,
    or where the network sees nothing but what they hold.
    """
    if opened.crop is not None:
        raise PetdataError(
            f"photos are cut to the boxes of {opened.crop}, so there is no background to see"
        )
    photos = opened.photos
    name = table_of_boxes(photos.release)
    found = {
        control: open_photos(
            photos.release, photos.split, texts=opened.text_from, boxes=name, box_use=use
        )
        for control, use in _USES.items()
    }
    if not boxed(found[BACKGROUND]).any():
        raise PetdataError(f"side table {name} has no box of a photo of split {photos.split}")
    return name, found


def table_of_boxes(release: Release) -> str:
    """The first by name of the release, else of the workspace. Raises PetdataError."""
    stated = release.manifest.get("side_tables") or {}
    for name in sorted(stated):
        if stated[name]["kind"] == "boxes":
            return str(name)
    root = release.workspace.root
    for name in table_names(root):
        if read_kind(part_files(table_folder(root, name))[0])[0].name == "boxes":
            return name
    raise PetdataError(
        f"neither {release.reference} nor the workspace has a side table of boxes: "
        "petdata detect makes one"
    )


def boxed(photos: PhotoSet) -> BoolArray:
    """(N,): has this photo a box?"""
    assert photos.boxes is not None
    found: BoolArray = ~np.isnan(photos.boxes[:, 0])
    return found


def with_box(embeddings: Embeddings, photos: PhotoSet) -> Embeddings:
    """Those of photos that have a box; of the others nothing is hidden."""
    rows = pc.index_in(embeddings.photo_ids, value_set=pa.array(photos.photo_ids))
    return embeddings.take(np.flatnonzero(boxed(photos)[rows.to_numpy()]))
