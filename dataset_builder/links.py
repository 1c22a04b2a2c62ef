"""Pairs of identities that share a photo: what a build found, and what somebody decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.decisions import Decisions, decide, read_decisions
from dataset_builder.pseudonyms import key_path, pseudonym, read_key, real_id
from petdata.byte_index import PhotoReader
from petdata.errors import CorruptFile, PetdataError
from petdata.inspection import collected_sources
from petdata.ledger import Ledger
from petdata.workspace import Workspace

Decision = Literal["accepted", "rejected"]
_ORDER: Final = ("near", "exact", "accepted")  # what most needs eyes comes first


@dataclass(frozen=True, kw_only=True)
class LinkedPair:
    kind: str  # near, exact, accepted
    identity_a: str  # as the release has them
    identity_b: str
    photo_a: str
    photo_b: str
    joined: bool


def read_links(release: Path) -> list[LinkedPair]:
    """Near links first, then by id. Raises CorruptFile."""
    path = release / "metadata" / "identity_links.parquet"
    try:
        rows = pq.read_table(path, partitioning=None).to_pylist()
        links = [
            LinkedPair(**{name: row[name] for name in LinkedPair.__dataclass_fields__})
            for row in rows
        ]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}): petdata verify says more") from error
    return sorted(links, key=lambda link: (_ORDER.index(link.kind), link.photo_a, link.photo_b))


def decide_link(workspace: Workspace, first: str, second: str, decision: Decision) -> Decisions:
    """Record a decision by the ids of the workspace. Raises PetdataError for unknown ones."""
    pair = _require(workspace, first), _require(workspace, second)
    if pair[0] == pair[1]:
        raise PetdataError(f"{first} and {second} are one identity")
    return decide(workspace, pair, decision)


def _require(workspace: Workspace, published: str) -> str:
    found = real_id(workspace, published)
    if found is None:
        raise PetdataError(
            f"no identity {published!r} in {workspace.root}: give one as a release or a ledger "
            "has it, e.g. pet911/rl518787"
        )
    return found


def decisions_on(workspace: Workspace, links: Sequence[LinkedPair]) -> dict[LinkedPair, Decision]:
    """The last word on those pairs that somebody has looked at."""
    known = read_decisions(workspace)
    said: dict[frozenset[str], Decision] = {frozenset(pair): "accepted" for pair in known.accepted}
    said |= {frozenset(pair): "rejected" for pair in known.rejected}
    real = {name: name for pair in said for name in pair}
    if real and key_path(workspace).exists():
        key = read_key(workspace, create=False)
        real |= {pseudonym(key, name): name for name in list(real)}
    pairs = {
        link: frozenset(real.get(name, name) for name in (link.identity_a, link.identity_b))
        for link in links
    }
    return {link: said[pair] for link, pair in pairs.items() if pair in said}


class PhotoFinder:
    """JPEGs of these photo ids out of the shards: a duplicate stands in no release."""

    def __init__(self, workspace: Workspace, photo_ids: Iterable[str]) -> None:
        self._places: dict[str, tuple[Path, int]] = {}  # start of the SHA-256 -> shard, row
        starts = sorted({_start(photo_id) for photo_id in photo_ids})
        for source in collected_sources(workspace):
            with Ledger(workspace.ledger(source), source=source, read_only=True) as ledger:
                for row in ledger.query(
                    "SELECT substr(sha256, 1, 12) AS start, name, row "
                    "FROM photos JOIN shards USING (shard_id) WHERE outcome = 'kept' "
                    "AND substr(sha256, 1, 12) IN (SELECT value FROM json_each(?))",
                    json.dumps(starts),
                ):
                    path = workspace.shards(source) / row["name"]
                    self._places[row["start"]] = path, row["row"]
        self.absent = len(starts) - len(self._places)
        paths = sorted({path for path, _ in self._places.values()})
        self._number = {path: number for number, path in enumerate(paths)}
        self._reader = PhotoReader(paths)

    def find(self, photo_id: str) -> bytes | None:
        """Its JPEG, from whichever identity; None where it is here no more."""
        place = self._places.get(_start(photo_id))
        if place is None:
            return None
        return self._reader.read(self._number[place[0]], place[1])


def _start(photo_id: str) -> str:
    return photo_id.rpartition("/")[2]
