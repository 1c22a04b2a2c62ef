"""What a kill between a shard's rename and the ledger's commit leaves behind."""

from __future__ import annotations

from pathlib import Path

from petdata.errors import CorruptFile
from petdata.ledger import Ledger


def shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def unfinished_shard(ledger: Ledger, folder: Path, *, may_be: bool = True) -> Path | None:
    """The next shard, where it stands in the folder and the ledger does not know it.

    Raises CorruptFile for any other shard that the ledger does not know, and for that one too
    where it cannot be (`may_be`): the ledger belongs to other shards.
    """
    known = {shard.name for shard in ledger.shards()}
    unknown = {path.name for path in folder.glob("part-*.parquet")} - known
    expected = {shard_name(len(known))} if may_be else set()
    if strangers := sorted(unknown - expected):
        raise CorruptFile(
            f"{folder} holds {', '.join(strangers[:3])}, which the ledger {ledger.path} does not "
            "know: restore the ledger that belongs to these shards, or move the shards away"
        )
    return folder / unknown.pop() if unknown else None
