"""Bad photos and bad pages through a whole crawl: each has its outcome, and costs only itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from crawling import (
    COMMAND,
    assert_log_has_no_errors,
    assert_verified,
    collected,
    environment,
)
from hostile_pages import GOOD, GOOD_ID, _with_slides, hostile_pages
from hostile_photos import HOSTILE_PHOTOS
from petdata.demo.servers.local_server import LocalServer, Request, Response
from petdata.inspection import source_status
from petdata.ledger import Ledger
from petdata.workspace import Workspace
from pictures_for_tests import jpeg

MEMORY_LIMIT_MIB = 512 * 10**6 // 2**20
TESTS = Path(__file__).parents[1]
MEASURED = (sys.executable, str(TESTS / "crawlers" / "measured_cli.py"))


def page(source_id: str, *photos: str) -> bytes:
    return _with_slides(*photos).replace(GOOD_ID, source_id).encode()


def catalogue(paths: list[str]) -> bytes:
    cards = "".join(f"<div class='catalog-item'><a href='{path}'></a></div>" for path in paths)
    return cards.encode()  # without a total: more than a page's worth stand on the only page


class HostileSite:
    """Every hostile photo stands between two good ones; hostile pages stand at their addresses."""

    def __init__(self) -> None:
        self.answers: dict[str, Response] = {}
        self.photo_owner: dict[str, str] = {}  # listing -> name of its hostile photo
        for number, (name, hostile) in enumerate(HOSTILE_PHOTOS.items()):
            source_id = f"rl92{number:04}"
            self.photo_owner[source_id] = name
            photos = [f"/cdn/{source_id}-{n}.jpg" for n in range(3)]
            bodies = [jpeg(2 * number), hostile.make(), jpeg(2 * number + 1)]
            for path, body in zip(photos, bodies, strict=True):
                self.answers[path] = Response(body=body, content_type="image/jpeg", kind="photo")
            self.answers[f"/moskva/lost/cat/{source_id}"] = Response(body=page(source_id, *photos))
        for hostile_page in hostile_pages().values():
            path = urlsplit(hostile_page.url).path
            self.answers[path] = Response(body=hostile_page.html.encode("utf-8", "replace"))
        # Spread over the catalogue: a run of bad pages would, rightly, look like new markup.
        listings = [path for path in self.answers if not path.startswith("/cdn/")]
        spread = [listings[n * 89 % len(listings)] for n in range(len(listings))]
        assert set(spread) == set(listings)
        self.answers["/catalog"] = Response(body=catalogue(spread))

    def answer(self, request: Request) -> Response:
        return self.answers.get(request.path, Response(status=404))


def crawl_measured(home: Path, url: str) -> int:
    """Crawl, one request at a time as by default, and return the peak of its memory in MiB."""
    peak_file = home.parent / "peak"
    subprocess.run(
        [*MEASURED, *COMMAND[3:], "--base-url", url, "-s", "RETRY_TIMES=1", "--min-photos", "1"],
        env=environment(home, PEAK_FILE=str(peak_file), PYTHONPATH=str(TESTS / "petdata")),
        cwd=home.parent,
        stdout=sys.stderr,
        check=True,
    )
    return int(peak_file.read_text())


def test_each_bad_photo_and_page_costs_only_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    site = HostileSite()
    with LocalServer(site.answer) as server:
        peak = crawl_measured(home, server.url)
    assert peak < MEMORY_LIMIT_MIB, f"the crawl's peak is {peak} MiB"
    assert_verified(home)
    assert_log_has_no_errors(home)
    found = collected(home)
    with Ledger(home / "ledgers/pet911.sqlite", source="pet911", read_only=True) as ledger:
        for source_id, name in site.photo_owner.items():
            hostile = HOSTILE_PHOTOS[name]
            positions = [photo.position for photo in found[source_id]]
            [row] = [row for row in ledger.photos_of(source_id, 1) if row["position"] == 1]
            if hostile.reason is None:
                assert positions == [0, 1, 2], name
                assert (row["width"], row["height"]) == hostile.size, name
            else:
                assert positions == [0, 2], name
                assert row["reason"] == hostile.reason, name
        unsettled = ledger.query("SELECT source_id FROM listings WHERE outcome = 'pending'")
    bare = {urlsplit(page.url).path.rpartition("/")[2] for page in hostile_pages().values()}
    assert {row["source_id"] for row in unsettled} <= bare
    refused = Counter(h.reason for h in HOSTILE_PHOTOS.values() if h.reason is not None)
    dropped = source_status(Workspace(root=home), "pet911").dropped
    assert all(dropped[reason] >= count for reason, count in refused.items())


def test_bytes_that_are_no_text_are_no_page(tmp_path: Path) -> None:
    home = tmp_path / "home"
    good = [f"/cdn/a-{n}.jpg" for n in range(2)]
    answers = {path: Response(body=jpeg(n)) for n, path in enumerate(good)}
    answers |= {
        "/moskva/lost/cat/rl930001": Response(body=os.urandom(5000), content_type="image/png"),
        "/moskva/lost/cat/rl930002": Response(body=b"", content_type="application/octet-stream"),
        "/moskva/lost/cat/rl930003": Response(body=page("rl930003", *good)),
        "/moskva/lost/cat/rl930004": Response(body=GOOD.encode("cp1251", "replace")),
    }
    listings = [path for path in answers if not path.startswith("/cdn/")]
    answers["/catalog"] = Response(body=catalogue(listings))
    with LocalServer(lambda request: answers.get(request.path, Response(status=404))) as server:
        crawl_measured(home, server.url)
    assert list(collected(home)) == ["rl930003"]
