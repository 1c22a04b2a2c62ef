"""Table 2 of the paper that this project follows, to stand beside our own counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CITATION: Final = (
    "V. Kudryavtsev, K. Borodin, G. Berezin, K. Bubenchikov, G. Mkrtchian, A. Ryzhkov: From Visual "
    "to Multimodal: Systematic Ablation of Encoders and Fusion Strategies in Animal "
    "Identification. Journal of Imaging 2026, 12(1), 30. doi:10.3390/jimaging12010030"
)
DOI: Final = "10.3390/jimaging12010030"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperCount:
    photos: int
    identities: int
    minimum: int | None = None  # photos of an identity, where the text says so
    maximum: int | None = None
    remark: str = ""

    @property
    def mean(self) -> float:
        return self.photos / self.identities


TABLE_2: Final[Mapping[str, PaperCount]] = {
    "cat_individual_images": PaperCount(
        photos=13_542, identities=518, remark="others count 13,536 without repeated files"
    ),
    "dogfacenet": PaperCount(
        photos=8_363, identities=2_483, remark="the data set's authors count 1,393 dogs"
    ),
    "pet911": PaperCount(photos=65_961, identities=22_050, minimum=2, maximum=8),
    "telegram": PaperCount(photos=131_698, identities=73_101),
    "lcw": PaperCount(photos=381_267, identities=140_732),
    "dogs_world": PaperCount(photos=301_342, identities=200_458),
    "petface": PaperCount(
        photos=1_001_532, identities=257_349, remark="of all 13 families, not of cats and dogs"
    ),
}
TOTAL: Final = PaperCount(
    photos=1_904_157,
    identities=695_091,
    remark="as printed; the rows of the table sum to 1,903,705 and 696,691",
)
