"""A small import for tests that kill it, or break its disk: run as a script, again to go on.

    python import_for_kill_tests.py WORKSPACE DATA [slowly]

DATA is a PetFace of cats. Shards are written in the middle and at the end, then the table of pairs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dataset_builder.importing import import_and_print, petface_families
from dataset_builder.reading import Reading
from petdata.bulk_intake import Original
from petdata.errors import PetdataError
from petdata.workspace import Workspace

SHARD_MB = 0.01
Read = Callable[[Reading], Iterator[Original]]


def slowly(read: Read) -> Read:
    """As from a slow disk, so that whoever waits for a moment in the middle does not miss it."""

    def slow(reading: Reading) -> Iterator[Original]:
        for original in read(reading):
            time.sleep(0.3)
            yield original

    return slow


def main() -> None:
    root, data = map(Path, sys.argv[1:3])
    job = replace(petface_families(data, ["cat"]), workspace=Workspace(root=root))
    if "slowly" in sys.argv:
        job = replace(job, read=slowly(job.read))
    try:
        import_and_print(job, workers=0, shard_mb=SHARD_MB, as_json=True)
    except PetdataError as error:  # as petdata.cli does
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
