from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from html import unescape
from http.client import HTTPConnection
from itertools import chain
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image, ImageOps

from petdata.demo.servers.adverts import Advert, Fault
from petdata.demo.servers.local_server import Request
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import Faults, SiteConfig, plain_config
from petdata.records import Species, Status

CARD = re.compile(r'<a href="([^"]+)" class="catalog-item__title">')
NEXT = re.compile(r'pagination__active">\d+</span>\n<a class="pagination__item" href="([^"]+)"')
SLIDE = re.compile(r'<a href="([^"]+)" class="card-slider__slide js-card-slide">')

FAULTY = SiteConfig(
    seed=10,  # one with every fault, orientation and both forms
    listings=16,
    webp=0.3,
    exif=0.9,
    faults=Faults(
        truncated=0.08,
        html=0.08,
        empty=0.08,
        missing=0.08,
        duplicate=0.3,
        opted_out=0.05,
        flaky=0.1,
        slow=0.05,
        slow_s=0.01,
        noindex=0.1,
    ),
)


class Client:
    """A browser without a memory: one kept-alive connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connection = HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)

    def get(self, address: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(address)
        self.connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = self.connection.getresponse()
        return response.status, dict(response.headers), response.read()

    def page(self, address: str) -> str:
        status, _, body = self.get(address)
        if status == 503:
            status, _, body = self.get(address)
        assert status == 200
        return body.decode()

    def walk(self, address: str) -> list[list[str]]:
        """The ids on every page of a catalogue, following the link to the next."""
        pages = []
        while True:
            html = self.page(address)
            pages.append([href.rpartition("/")[2] for href in CARD.findall(html)])
            following = NEXT.search(html)
            if following is None:
                return pages
            address = unescape(following[1])

    def ids(self, address: str) -> list[str]:
        return list(chain.from_iterable(self.walk(address)))


@pytest.fixture(scope="module")
def faulty() -> Iterator[Site]:
    with Site(FAULTY) as site:
        yield site


@pytest.fixture
def plain() -> Iterator[Site]:
    with Site(plain_config(listings=103, photo_pool=11)) as site:
        yield site


def number(source_id: str) -> int:
    return int(source_id[2:])


def test_the_catalogue_shows_every_listing_once_newest_first(plain: Site) -> None:
    pages = Client(plain.url).walk(f"{plain.url}/catalog")
    shown = [source_id for page in pages for source_id in page]
    assert [len(page) for page in pages] == [20, 20, 20, 20, 20, 3]
    assert sorted(shown) == sorted(advert.source_id for advert in plain.truths())
    promoted = [s for s in shown if plain.is_promoted(plain.truth_of(s))]
    assert len(promoted) == 5
    assert shown[:5] == promoted  # they stand first although most are old
    numbers = [number(source_id) for source_id in shown[5:]]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("listings", [1, 10, 20, 21])
def test_small_catalogues(listings: int) -> None:
    with Site(plain_config(listings)) as site:
        client = Client(site.url)
        pages = client.walk(f"{site.url}/catalog")
        assert sorted(chain.from_iterable(pages)) == sorted(a.source_id for a in site.truths())
        html = client.page(f"{site.url}/catalog")
        assert f"Найдено {listings} объявлений" in html
        assert ("pagination" in html) == (listings > 20)


def test_filters_divide_the_catalogue(plain: Site) -> None:
    client = Client(plain.url)
    by_species = {
        species: client.ids(f"{plain.url}/catalog?PetsSearch%5Banimal%5D={code}")
        for code, species in (("1", Species.DOG), ("2", Species.CAT), ("3", Species.BIRD))
    }
    for species, shown in by_species.items():
        expected = [a.source_id for a in plain.truths() if a.species is species]
        assert sorted(shown) == sorted(expected)
    assert len(by_species[Species.CAT]) > 20  # so that the filter went on to a second page
    lost = client.ids(f"{plain.url}/catalog?PetsSearch[type]=1")
    assert sorted(lost) == sorted(a.source_id for a in plain.truths() if a.status is Status.LOST)
    in_city = client.ids(f"{plain.url}/catalog/propavshie-koshki-moskva")
    assert sorted(in_city) == sorted(
        a.source_id for a in plain.truths() if a.path.startswith("/moskva/lost/cat/")
    )
    assert in_city
    found_dogs = client.ids(f"{plain.url}/found-dogs")
    assert sorted(found_dogs) == sorted(
        a.source_id for a in plain.truths() if "/found/dog/" in a.path
    )


def test_beyond_the_last_page_stands_the_last_page(plain: Site) -> None:
    client = Client(plain.url)
    assert client.page(f"{plain.url}/catalog/page-99") == client.page(f"{plain.url}/catalog/page-6")


def check_photo(site: Site, advert: Advert, position: int, client: Client) -> None:
    """The answer to one photo address is what the truth says of it."""
    photo = advert.photos[position]
    status, headers, body = client.get(photo.path)
    if photo.flaky:
        assert status == 503
        status, headers, body = client.get(photo.path)
    if photo.fault is Fault.MISSING:
        assert status == 404
        return
    assert status == 200
    if photo.fault is Fault.EMPTY:
        assert body == b""
    elif photo.fault is Fault.HTML:
        assert body.startswith(b"<!DOCTYPE html>")
    elif photo.fault is Fault.TRUNCATED:
        with pytest.raises(OSError, match=r"trunc|decod|read"):
            Image.open(io.BytesIO(body)).load()
    else:
        assert headers["Content-Type"] == f"image/{photo.picture.form.lower()}"
        with Image.open(io.BytesIO(body)) as image:
            assert image.format == photo.picture.form
            assert image.getexif().get(0x0112, 1) == photo.picture.orientation
            assert bool(image.getexif().get_ifd(0x8825)) == (photo.picture.gps is not None)
            upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.int16)
        drawn = np.asarray(site.photos.drawn(photo.picture).image, np.int16)
        assert upright.shape == drawn.shape
        assert np.abs(upright - drawn).mean() < 12
    assert ("X-Robots-Tag" in headers) == (photo.fault is Fault.OPTED_OUT)


def test_photos_are_what_the_truth_says(faulty: Site) -> None:
    client, seen = Client(faulty.url), Counter[Fault]()
    orientations: set[int] = set()
    for advert in faulty.truths():
        for photo in advert.photos:
            check_photo(faulty, advert, photo.position, client)
            seen[photo.fault] += 1
            orientations.add(photo.picture.orientation)
    assert set(seen) == set(Fault)
    assert orientations == set(range(1, 9))


def test_kept_photos_of_a_listing_differ_and_duplicates_repeat_one(faulty: Site) -> None:
    for advert in faulty.truths():
        kept = {faulty.photos.encoded(photo.picture) for photo in advert.kept_photos}
        assert len(kept) == len(advert.kept_photos)
        for photo in advert.photos:
            if photo.fault is Fault.DUPLICATE:
                assert faulty.photos.encoded(photo.picture) in kept


def test_pages_show_the_photos_in_order_and_nothing_else_in_the_slider(faulty: Site) -> None:
    client = Client(faulty.url)
    for advert in faulty.truths():
        html = client.page(advert.path)
        assert SLIDE.findall(html) == [faulty.url + photo.path for photo in advert.photos]
        assert ('content="noindex' in html) == advert.noindex
        assert ("card-notice__title" in html) == (advert.closed is not None)
        assert ("no-photo-1.svg" in html.partition("Похожие")[0]) == (not advert.photos)
        for personal in advert.personal:
            assert personal.text in unescape(html)


def test_flaky_pages_fail_once() -> None:
    config = SiteConfig(listings=5, photo_pool=11, faults=Faults(flaky=1.0))
    with Site(config) as site:
        client = Client(site.url)
        paths = [site.truth(0).path, site.truth(1).path, site.truth(0).path]
        assert [client.get(path)[0] for path in paths] == [503, 503, 200]
        photo = next(p for a in site.truths() for p in a.photos if p.fault is Fault.NONE)
        assert [client.get(photo.path)[0] for _ in range(2)] == [503, 200]


def test_two_sites_of_one_config_are_the_same() -> None:
    config = SiteConfig(seed=4, listings=25)
    with Site(config) as first, Site(config) as second, Site(config, seed=5) as other:
        for path in ("/catalog", "/catalog/page-2", first.truth(3).path):
            pages = [
                Client(site.url).page(path).replace(urlsplit(site.url).netloc, "")
                for site in (first, second)
            ]
            assert pages[0] == pages[1]
        photo = next(p for a in first.truths() for p in a.kept_photos)
        bodies = [Client(site.url).get(photo.path)[2] for site in (first, second)]
        assert bodies[0] == bodies[1]
        assert other.truth(3) != first.truth(3)


def test_new_listings_come_first(plain: Site) -> None:
    client = Client(plain.url)
    before = client.ids("/catalog")
    new = [advert.source_id for advert in plain.add_listings(3)]
    after = client.ids("/catalog")
    assert after[:5] == before[:5]
    assert after[5:8] == new[::-1]
    assert after[8:] == before[5:]
    assert SLIDE.findall(client.page(plain.truth_of(new[0]).path))


def test_pages_that_shift_during_a_walk(plain: Site) -> None:
    """What a hook is for: the last listing of page 1 stands on page 2 when that is asked for."""

    def publish(request: Request) -> None:
        if request.target == "/catalog/page-2":
            plain.add_listings(1)

    plain.server.before_request = publish
    first, second, *_ = Client(plain.url).walk("/catalog")
    assert first[-1] == second[0]


def test_removed_listings_are_gone(plain: Site) -> None:
    client = Client(plain.url)
    gone, forgotten = plain.truth(50), plain.truth(51)
    plain.remove(gone.source_id)
    plain.remove(forgotten.source_id, status=404)
    assert client.get(gone.path)[0] == 410
    assert client.get(forgotten.path)[0] == 404
    shown = client.ids("/catalog")
    assert len(shown) == 101
    assert not {gone.source_id, forgotten.source_id} & set(shown)
    assert "Найдено 101 объявлений" in client.page("/catalog")
    assert len(list(plain.truths())) == 101


def test_a_closed_search_says_so(plain: Site) -> None:
    advert = next(a for a in plain.truths() if a.closed is None and a.status is Status.LOST)
    plain.close(advert.source_id)
    assert plain.truth_of(advert.source_id).closed == "Питомец нашелся."
    assert "Питомец нашелся." in Client(plain.url).page(advert.path)


def test_an_edit_changes_the_text_and_appends_photos(plain: Site) -> None:
    advert = next(a for a in plain.truths() if len(a.photos) == 3)
    edited = plain.edit(advert.source_id, description="Нашли след <у реки>", more_photos=1)
    plain.edit(advert.source_id, more_photos=1)
    client = Client(plain.url)
    html = client.page(advert.path)
    assert "Нашли след &lt;у реки&gt;" in html
    assert edited.photos[:3] == advert.photos
    photos = plain.truth_of(advert.source_id).photos
    assert SLIDE.findall(html) == [plain.url + photo.path for photo in photos]
    assert len({client.get(photo.path)[2] for photo in photos}) == 5


def test_what_does_not_exist_is_not_found(plain: Site) -> None:
    client, advert = Client(plain.url), plain.truth(7)
    photo = advert.photos[0].path
    wrong_kind = "rf" if advert.status is Status.LOST else "rl"
    for path in (
        f"/moskva/lost/cat/rl{advert.number + 500_000}",
        f"/moskva/lost/cat/{wrong_kind}{advert.number}",
        re.sub(r"\.00", ".77", photo, count=1),
        photo[:-9] + "x" + photo[-8:],
        "/catalog/propavshie-koshki-nigde",
        "/index.php",
    ):
        assert client.get(path)[0] == 404, path
    with pytest.raises(KeyError):
        plain.remove(f"{wrong_kind}{advert.number}")
    with pytest.raises(IndexError):
        plain.truth(103)


def test_a_listing_answers_under_any_address_with_its_id(plain: Site) -> None:
    advert = plain.truth(7)
    old = f"/%D0%9A%D0%B0%D0%B7%D0%B0%D0%BD%D1%8C/%D1%81/{advert.source_id}"
    html = Client(plain.url).page(old)
    assert f'<link href="{plain.url}{advert.path}" rel="canonical">' in html


def test_the_phone_stands_behind_an_address_that_robots_may_not_ask_for(plain: Site) -> None:
    client, advert = Client(plain.url), plain.truth(9)
    assert "Disallow: /pet/show-phone/" in client.page("/robots.txt")
    assert f"{plain.url}/pet/show-phone/{advert.number}" in client.page(advert.path)
    answer = json.loads(client.page(f"/pet/show-phone/{advert.number}"))
    assert answer["html"] == advert.phone
    assert plain.server.stats()["kinds"] == {"robots": 1, "listing": 1, "phone": 1}


def test_thumbnails_are_small_versions(plain: Site) -> None:
    found = re.search(r'src="([^"]*thumb_[^"]*)"', Client(plain.url).page("/catalog"))
    assert found is not None
    with Image.open(io.BytesIO(Client(plain.url).get(found[1])[2])) as image:
        assert max(image.size) == 196


def test_a_hundred_thousand_listings_need_no_memory() -> None:
    config = plain_config(100_000)
    tracemalloc.start()
    with Site(config) as site:
        client, started = Client(site.url), time.process_time()
        for page in (1, 2_500, 5_000):
            assert len(CARD.findall(client.page(f"/catalog/page-{page}"))) == 20
        assert "Найдено 100\N{NO-BREAK SPACE}000 объявлений" in client.page("/catalog")
        assert client.page(site.truth(99_999).path)
        assert time.process_time() - started < 3
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "petdata.demo.servers.site", "--listings", "21", "--plain"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        client = Client(url)
        assert [len(page) for page in client.walk(f"{url}/catalog")] == [20, 1]
        assert json.loads(client.page("/__stats__"))["kinds"] == {"catalogue": 2}
    finally:
        process.terminate()
        process.communicate(timeout=10)
