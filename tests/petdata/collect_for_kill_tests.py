"""A small collection for tests that kill it, or break its disk: run as a script, again to go on.

    python collect_for_kill_tests.py WORKSPACE SITE

Three listings of three photos. The first changes once two are in a shard: it is written again with
a fourth photo, the other three come from that shard. So shards are written in the middle and at
the end. SITE is a folder beside the workspace: a line in `fetched` for every photo asked for, and
`changed` once the first listing has changed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from petdata.errors import PetdataError
from petdata.intake import Intake, IntakeConfig
from petdata.listing import Listing, PhotoRef
from petdata.records import Species, Status
from petdata.workspace import Workspace
from pictures_for_tests import jpeg

HOST = "https://pet911.ru"


def make_listing(number: int, photos: int = 3) -> Listing:
    source_id = f"rl{100000 + number}"
    return Listing(
        source="pet911",
        source_id=source_id,
        url=f"{HOST}/moskva/lost/cat/{source_id}",
        status=Status.LOST,
        closed=False,
        species=Species.CAT,
        photos=tuple(
            PhotoRef(position=position, address=f"{HOST}/cdn/{10 * number + position}")
            for position in range(photos)
        ),
        title=f"Пропала кошка {number}",
        city="moskva",
    )


def picture_at(address: str) -> bytes:
    return jpeg(int(address.rpartition("/")[2]))


def collect(intake: Intake, site: Path, listing: Listing) -> None:
    for wanted in intake.take_listing(listing):
        with (site / "fetched").open("a") as log:
            log.write(f"{wanted.address}\n")
        intake.keep_photo(wanted.key, intake.examine(picture_at(wanted.address)))


def collect_all(workspace: Workspace, site: Path) -> None:
    first, second, third = (make_listing(number) for number in (1, 2, 3))
    changed = replace(make_listing(1, photos=4), closed=True)
    # One listing does not fill a shard, four photos do.
    full = 1 + sum(len(picture_at(address)) for address in first.photo_urls)
    with Intake(workspace, "pet911", IntakeConfig(shard_bytes=full), command="collect") as intake:
        if not (site / "changed").exists():
            collect(intake, site, first)
            collect(intake, site, second)
            (site / "changed").touch()
        collect(intake, site, changed)
        collect(intake, site, second)
        collect(intake, site, third)


def main() -> None:
    root, site = map(Path, sys.argv[1:])
    site.mkdir(exist_ok=True)
    try:
        collect_all(Workspace(root=root), site)
    except PetdataError as error:  # as petdata.cli does
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
