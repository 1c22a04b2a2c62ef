"""The kernel of petdata: the record, shards, the ledger, and the command line above them."""

__version__ = "0.1.0"
