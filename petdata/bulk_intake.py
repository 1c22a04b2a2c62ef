"""The way of photos that lie on this machine into shards: canonical on all cores, in order.

Unlike petdata.intake, which must not ask a site twice, this keeps no photo by itself: the originals
stay where they are. A shard and the outcomes of all photos that it ends become durable together.
A run that is killed loses at most the shard it was filling, and the next one fills it again with
the same photos, so the shards of many runs are those of one.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from types import TracebackType

from petdata.decoding_pool import DecodingPool, Examine, Refusal, Submitted, examine
from petdata.errors import (
    ListingReason,
    PetdataError,
    Reason,
    RejectedPhoto,
    StorageFailure,
)
from petdata.jpeg import CanonicalJpeg, Limits
from petdata.ledger import Ledger
from petdata.ledger_imports import (
    ImportedPhoto,
    KnownIdentity,
    known_identity,
    record_batch,
)
from petdata.ledger_tables import ShardRecord
from petdata.purging import finish_rewrites
from petdata.records import Photo, Sex, Species, Status
from petdata.shards import write_shard
from petdata.sources import find_source
from petdata.takedowns import read_takedowns
from petdata.unfinished_shard import shard_name, unfinished_shard
from petdata.workspace import Workspace, make_folder


@dataclass(frozen=True, kw_only=True)
class BulkConfig:
    shard_bytes: int = 64 * 2**20  # of JPEG in a shard; docs/record.md says why
    shard_outcomes: int = 50_000  # photos, dropped ones too, that wait for one commit
    workers: int | None = None  # None: one a core; 0: none, this process decodes
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.shard_bytes < 1 or self.shard_outcomes < 1:
            raise ValueError("shard_bytes and shard_outcomes must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """A photo as it lies in a data set. `read` is called, if at all, before the next is asked for.

    Its key is (source_id, address): a photo that the ledger has is not read again.
    """

    source_id: str  # the identity's key inside the source; no slash, no space
    address: str  # where it lies inside the data set, whatever holds that
    species: Species
    read: Callable[[], bytes]  # may raise RejectedPhoto
    refused: Refusal | None = None  # what the reader found against it, without reading it
    source_split: str | None = None
    title: str | None = None  # scrubbed, as the description
    description: str | None = None
    status: Status | None = None
    breed: str | None = None
    sex: Sex | None = None
    city: str | None = None
    event_on: date | None = None
    posted_on: date | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """What one commit writes."""

    outcomes: list[ImportedPhoto] = field(default_factory=list)
    identities: dict[str, KnownIdentity] = field(default_factory=dict)
    bytes: int = 0


class BulkIntake:
    """Open for one run of one source; a context manager."""

    def __init__(
        self,
        workspace: Workspace,
        source: str,
        config: BulkConfig | None = None,
        *,
        command: str = "",
        examine: Examine = examine,
    ) -> None:
        self.source = find_source(source, workspace)
        if self.source.kind == "collected":
            raise PetdataError(f"{source} is collected, not imported: petdata --help says how")
        self.config = config or BulkConfig()
        self.takedowns = read_takedowns(workspace.takedowns)
        self.counts: Counter[str] = Counter()  # "photo/kept", "photo/truncated", "known", "bytes"
        self.on_progress: Callable[[], None] = lambda: None
        self._examine = examine
        self.shards = workspace.shards(source)
        self._batch = _Batch()
        self._last = ("", KnownIdentity())
        self.ledger = Ledger(workspace.ledger(source), source=source)
        try:
            make_folder(self.shards)
            self.run_id = self.ledger.start_run(command)
            self._recover()
        except OSError as error:
            self.ledger.close()
            raise StorageFailure(f"cannot prepare {error.filename}: {error.strerror}") from error
        except BaseException:
            self.ledger.close()
            raise

    def __enter__(self) -> BulkIntake:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close("finished" if kind is None else kind.__name__)

    def close(self, outcome: str = "finished", report: str = "{}") -> None:
        try:
            if outcome != StorageFailure.__name__:
                self.ledger.finish_run(self.run_id, outcome, report)
        finally:
            self.ledger.close()

    def take(self, originals: Iterable[Original]) -> None:
        """Judge all photos that the ledger does not know, and write shards of those kept."""
        config = self.config
        with DecodingPool(config.workers, config.limits, self._examine) as pool:
            judged = self._judged(originals, pool)
            while self._write_batch(judged):
                pass

    # From originals to outcomes, in their order

    def _judged(
        self, originals: Iterable[Original], pool: DecodingPool
    ) -> Iterator[tuple[Original, CanonicalJpeg | Refusal]]:
        waiting: deque[tuple[Original, Submitted | Refusal]] = deque()
        for original in originals:
            self.on_progress()
            if original.address in self._identity(original.source_id).addresses:
                self.counts["known"] += 1
                continue
            while pool.is_full:
                yield _settled(waiting.popleft(), pool)
            waiting.append((original, self._begin(original, pool)))
        while waiting:
            self.on_progress()
            yield _settled(waiting.popleft(), pool)

    def _begin(self, original: Original, pool: DecodingPool) -> Submitted | Refusal:
        if self.takedowns.forbids_identity(f"{self.source.name}/{original.source_id}"):
            return Reason.TAKEN_DOWN, "its identity is in takedowns.toml"
        if original.refused is not None:
            return original.refused
        try:
            return pool.submit(original.read())
        except RejectedPhoto as rejected:
            return rejected.reason, rejected.detail

    def _identity(self, source_id: str) -> KnownIdentity:
        if source_id in self._batch.identities:
            return self._batch.identities[source_id]
        if source_id != self._last[0]:
            self._last = source_id, known_identity(self.ledger, source_id)
        return self._last[1]

    # From outcomes to shards

    def _write_batch(self, judged: Iterator[tuple[Original, CanonicalJpeg | Refusal]]) -> bool:
        """Fill and commit one shard. False: there was nothing left."""
        photos = self._kept(judged)
        first = next(photos, None)
        shard = None
        if first is not None:
            shard_id = len(self.ledger.shards())
            path = self.shards / shard_name(shard_id)
            info = write_shard(path, chain([first], photos))
            shard = ShardRecord(
                shard_id=shard_id,
                name=info.name,
                rows=info.rows,
                bytes=info.bytes,
                fingerprint=info.fingerprint,
            )
            self.counts["shards"] += 1
        if not self._batch.outcomes:
            return False
        record_batch(self.ledger, self.run_id, shard, self._batch.outcomes)
        self._batch = _Batch()
        self._last = ("", KnownIdentity())
        return True

    def _kept(self, judged: Iterator[tuple[Original, CanonicalJpeg | Refusal]]) -> Iterator[Photo]:
        """The photos of one shard; their outcomes and those between them go into the batch."""
        batch = self._batch
        for original, found in judged:
            known = self._identity(original.source_id)
            batch.identities[original.source_id] = known
            position = known.next_position
            verdict = self._verdict(original, found, known)
            canonical = found if isinstance(found, CanonicalJpeg) else None
            batch.outcomes.append(_outcome(original, known, verdict, canonical))
            if verdict is None and canonical is not None:
                known.add(original.address, canonical.sha256)
                self.counts["photo/kept"] += 1
                self.counts["bytes"] += len(canonical.jpeg)
                batch.bytes += len(canonical.jpeg)
                yield self._photo(original, position, canonical)
            elif verdict is not None:
                known.add(original.address, None)
                self.counts[f"photo/{verdict[0]}"] += 1
            if (
                batch.bytes >= self.config.shard_bytes
                or len(batch.outcomes) >= self.config.shard_outcomes
            ):
                return

    def _verdict(
        self, original: Original, found: CanonicalJpeg | Refusal, known: KnownIdentity
    ) -> Refusal | None:
        """What speaks against keeping a photo."""
        if not isinstance(found, CanonicalJpeg):
            return found
        forbids = self.takedowns.forbids_bytes
        photo_id = f"{self.source.name}/{original.source_id}/{found.sha256[:12]}"
        if forbids(found.sha256) or forbids(found.original_sha256):
            return Reason.TAKEN_DOWN, "its hash is in takedowns.toml"
        if self.takedowns.forbids_photo(photo_id):
            return Reason.TAKEN_DOWN, f"{photo_id} is in takedowns.toml"
        if found.sha256 in known.kept:
            return Reason.DUPLICATE_IN_IDENTITY, "the same bytes stand before it"
        return None

    def _photo(self, original: Original, position: int, canonical: CanonicalJpeg) -> Photo:
        identity_id = f"{self.source.name}/{original.source_id}"
        # fetched_at stays null: the same data set gives the same shards on any day.
        return Photo(
            photo_id=f"{identity_id}/{canonical.sha256[:12]}",
            identity_id=identity_id,
            source=self.source.name,
            source_split=original.source_split,
            species=original.species,
            position=position,
            image=canonical.jpeg,
            width=canonical.width,
            height=canonical.height,
            sha256=canonical.sha256,
            original_sha256=canonical.original_sha256,
            phash=canonical.phash,
            thumbnail=canonical.thumbnail,
            title=original.title,
            description=original.description,
            status=original.status,
            breed=original.breed,
            sex=original.sex,
            city=original.city,
            event_on=original.event_on,
            posted_on=original.posted_on,
            licence=self.source.licence,
            attributes=json.dumps(
                {"path": original.address, **original.attributes},
                ensure_ascii=False,
                sort_keys=True,
            ),
        )

    # Recovery

    def _recover(self) -> None:
        """Bring the folder back to what the ledger says, whenever the last run ended."""
        for leftover in self.shards.glob(".*.tmp"):
            leftover.unlink()
        finish_rewrites(self.ledger, self.shards)
        unfinished = unfinished_shard(self.ledger, self.shards)
        if unfinished is not None:
            unfinished.unlink()
        for entry in self.takedowns.entries:
            source, _, source_id = entry.value.partition("/")
            if entry.kind == "identity" and source == self.source.name:
                state = self.ledger.listing_state(source_id)
                if state is not None and state.reason != ListingReason.TAKEN_DOWN:
                    self.ledger.drop_listing(source_id, state.url, ListingReason.TAKEN_DOWN)


def _settled(
    waiting: tuple[Original, Submitted | Refusal], pool: DecodingPool
) -> tuple[Original, CanonicalJpeg | Refusal]:
    original, begun = waiting
    return original, pool.result(begun) if isinstance(begun, Submitted) else begun


def _outcome(
    original: Original,
    known: KnownIdentity,
    verdict: Refusal | None,
    canonical: CanonicalJpeg | None,
) -> ImportedPhoto:
    reason, detail = verdict or (None, None)
    photo = ImportedPhoto(
        source_id=original.source_id,
        position=known.next_position,
        address=original.address,
        reason=reason,
        detail=detail,
        is_retried=original.address in known.retried,
    )
    if canonical is None or reason is Reason.TAKEN_DOWN:  # of those no hash is kept
        return photo
    return replace(
        photo,
        original_sha256=canonical.original_sha256,
        sha256=canonical.sha256,
        phash=f"{canonical.phash:016x}",
        width=canonical.width,
        height=canonical.height,
        bytes=len(canonical.jpeg),
    )
