"""`Listing` lives in the kernel, where the ledger keeps it; crawlers know it by this name."""

from petdata.listing import Listing, PhotoRef

__all__ = ["Listing", "PhotoRef"]
