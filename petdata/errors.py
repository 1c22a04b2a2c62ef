"""Everything that petdata raises on purpose.

PetdataError                  exit code 1
├── MissingSetting            exit code 2: a setting that the user must give is absent
├── TryLater                  exit code 75 (EX_TEMPFAIL): waiting mends it
│   └── LedgerBusy            another process collects this source
├── RejectedPhoto             one photo is refused; carries a Reason and is counted, never fatal
├── CorruptFile               a file of ours does not hold what it promises
├── UnknownSource             no source of that name
├── StorageFailure            the disk is full or broken; what is committed stays resumable
├── MarkupChanged             the site no longer looks as the parser expects
├── crawlers.pages.PageNotUnderstood   one page is not what its address promises; it lives there
└── trainer.strict_loading.CheckpointMismatch   weights do not fit a network; it lives there
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

INTERRUPTED: Final = 130  # exit code after Ctrl-C, as shells have it


class Reason(StrEnum):
    """Why a photo was not kept. Closed: the ledger, the reports and the docs know them all."""

    # found in the bytes, by petdata.jpeg
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_FEW_PIXELS = "too_few_pixels"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_BYTES = "too_many_bytes"
    UNSUPPORTED = "unsupported"
    # found at intake
    DUPLICATE_IN_IDENTITY = "duplicate_in_identity"
    TAKEN_DOWN = "taken_down"
    OVER_MAX_PHOTOS = "over_max_photos"
    # found on the way
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    OPTED_OUT = "opted_out"
    LISTING_DROPPED = "listing_dropped"
    SUPERSEDED = "superseded"  # the listing changed before its photos were in a shard
    # found in a data set's own lists and folders
    SEVERAL_IDENTITIES = "several_identities"
    NO_IDENTITY = "no_identity"
    NESTED_FOLDER = "nested_folder"  # deeper than the data set's layout goes


class ListingReason(StrEnum):
    """Why a listing was not kept."""

    TOO_FEW_PHOTOS = "too_few_photos"
    SPECIES_NOT_WANTED = "species_not_wanted"
    FUNDRAISING = "fundraising"
    ADVERTISEMENT = "advertisement"
    OPTED_OUT = "opted_out"
    NOT_UNDERSTOOD = "not_understood"
    UNREACHABLE = "unreachable"
    TAKEN_DOWN = "taken_down"


class PetdataError(Exception):
    """Base of every error that is reported as one line."""

    exit_code = 1


class MissingSetting(PetdataError):
    exit_code = 2


class TryLater(PetdataError):
    exit_code = 75


class LedgerBusy(TryLater):
    pass


class RejectedPhoto(PetdataError):
    """One photo is refused: `reason` for counting, `detail` for reading."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class CorruptFile(PetdataError):
    pass


class UnknownSource(PetdataError):
    pass


class StorageFailure(PetdataError):
    pass


class MarkupChanged(PetdataError):
    pass
