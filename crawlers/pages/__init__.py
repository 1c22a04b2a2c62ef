"""Pure page parsing: HTML in, listings out; no network, no Scrapy."""

from petdata.errors import PetdataError


class PageNotUnderstood(PetdataError):
    """A page is not what its address promises; the message names the address and the reason."""
