"""A crawl of a site that serves real pages with real photos, compared with facts read by hand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from crawling import collected, crawl_well
from petdata.demo.servers.local_server import LocalServer, Request, Response
from petdata.records import Species, Status

# Read off the pages by hand: species, status, closed, and how many photos the gallery shows. The
# two listings without photos (rl518678 of both eras) must not be there.
LISTINGS = {
    "rf492825": (Species.DOG, Status.FOUND, False, 3),
    "rl546939": (Species.DOG, Status.LOST, False, 1),
    "rf494610": (Species.DOG, Status.FOUND, True, 2),  # found a new home
    "rf518209": (Species.DOG, Status.FOUND, False, 1),
    "rl518787": (Species.CAT, Status.LOST, False, 7),
    "rl537200": (Species.CAT, Status.LOST, True, 2),  # was found
}


class RealSite:
    """Saved pages under their own addresses; each photo address shows another real photo."""

    def __init__(self, real_data: Path, form: str) -> None:
        self.form = form
        self.url = ""
        self.pages = {
            path.stem.partition("_")[0]: path.read_text(encoding="utf-8")
            for era in ("2022-04", "2022-07", "2024-01")
            for path in sorted((real_data / "pet911-pages" / era).glob("r*.html"))
        }
        self.unused = iter(sorted((real_data / "real-pets").rglob("images/*/*.jp*g")))
        self.shown: dict[str, Path] = {}  # photo path on the site -> the real photo behind it

    def answer(self, request: Request) -> Response:
        if request.path == "/robots.txt":
            return Response(body=b"User-agent: *\nAllow: /\n", content_type="text/plain")
        if request.path == "/catalog":
            cards = "".join(f"<a href='/x/lost/cat/{name}'></a>" for name in self.pages)
            return Response(body=cards.encode())
        if (name := request.path.rpartition("/")[2]) in self.pages:
            page = re.sub(r"https://(cdn\.)?pet911\.ru", self.url, self.pages[name])
            return Response(body=page.encode())
        if re.search(r"\.(webp|jpe?g|png)$", request.path):
            self.shown.setdefault(request.path, next(self.unused))
            return Response(body=self.encoded(self.shown[request.path]), content_type="image/any")
        return Response(status=404)

    def encoded(self, path: Path) -> bytes:
        if self.form == "JPEG":
            return path.read_bytes()
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        content = io.BytesIO()
        upright.save(content, "WEBP", quality=90)
        return content.getvalue()


@pytest.fixture(params=["JPEG", "WEBP"])
def real_site(real_data: Path, request: pytest.FixtureRequest) -> Iterator[RealSite]:
    site = RealSite(real_data, request.param)
    with LocalServer(site.answer) as server:
        site.url = server.url
        yield site


def gallery(site: RealSite, source_id: str) -> list[str]:
    """The paths of the photos in a page's gallery, read by a regular expression."""
    inside = site.pages[source_id].partition('class="card-slider"')[2].partition("card__inner")[0]
    links = re.findall(r'href="https://(?:cdn\.)?pet911\.ru(/[^"]+)"', inside)
    return [link for link in links if not link.endswith(".svg")]


def test_real_pages_with_real_photos_end_in_right_shards(
    real_site: RealSite, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    crawl_well(home, real_site.url, "--min-photos", "1", "--species", "cat,dog")
    found = collected(home)
    assert set(found) == set(LISTINGS)
    for source_id, photos in found.items():
        species, status, closed, count = LISTINGS[source_id]
        for photo in photos:
            assert (photo.species, photo.status, photo.closed) == (species, status, closed)
        paths = gallery(real_site, source_id)
        assert [photo.position for photo in photos] == list(range(count))
        for photo, path in zip(photos, paths, strict=True):
            assert photo.image is not None
            assert_same_pixels(photo.image, real_site.shown[path], real_site.form)


def assert_same_pixels(kept: bytes, shown: Path, form: str) -> None:
    """Upright and unharmed: bit for bit where it came as an upright JPEG, else within coding."""
    with Image.open(shown) as picture:
        is_upright = picture.getexif().get(0x0112, 1) == 1
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), np.int16)
    with Image.open(io.BytesIO(kept)) as picture:
        actual = np.asarray(picture.convert("RGB"), np.int16)
    assert actual.shape == expected.shape
    if form == "JPEG" and is_upright:
        assert np.array_equal(actual, expected)
    else:
        assert np.abs(actual - expected).mean() < 4
