"""Whole crawls of the local site; the site's own `truth` says what must be in the shards."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from crawling import ROOT, collected, crawl, crawl_well, environment
from petdata.demo.servers.adverts import Advert
from petdata.demo.servers.local_server import Request, Response, redirect_to
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import Faults, SiteConfig, plain_config
from petdata.ledger import Ledger
from petdata.records import Species
from petdata.takedowns import add_takedown

PETS = (Species.CAT, Species.DOG)


def expected(adverts: Iterator[Advert], min_photos: int = 2) -> dict[str, list[int]]:
    """Identity -> positions that must be in the shards: a second, plain reading of the rules."""
    kept = {}
    for advert in adverts:
        positions = [photo.position for photo in advert.photos[:8] if photo.outcome is None]
        if advert.species in PETS and not advert.noindex and len(positions) >= min_photos:
            kept[advert.source_id] = positions
    return kept


def positions(home: Path) -> dict[str, list[int | None]]:
    return {name: [photo.position for photo in photos] for name, photos in collected(home).items()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def site() -> Iterator[Site]:
    """Thirty listings without faults."""
    with Site(plain_config(30, seed=3, photo_pool=24)) as site:
        yield site


def asked(site: Site, kind: str) -> list[str]:
    return [request.target for request in site.server.requests if request.kind == kind]


def test_everything_that_is_true_of_the_site_stands_in_the_shards(home: Path) -> None:
    faults = Faults(
        truncated=0.05, html=0.05, empty=0.03, missing=0.05, duplicate=0.08, noindex=0.1
    )
    with Site(SiteConfig(listings=60, seed=11, faults=faults, photo_pool=24)) as site:
        report = crawl_well(home, site.url)
        truth = {advert.source_id: advert for advert in site.truths()}
        assert positions(home) == expected(site.truths())
        dropped = Counter(
            photo.outcome
            for advert in truth.values()
            if advert.species in PETS and not advert.noindex and len(advert.photos) >= 2
            for photo in advert.photos[:8]
            if photo.outcome is not None
        )
        found = {name: n for name, n in report["photos"].items() if name in set(dropped)}
        assert found == dict(dropped)
    for name, photos in collected(home).items():
        advert = truth[name]
        for photo in photos:
            assert (photo.species, photo.status) == (advert.species, advert.status)
            assert photo.closed == (advert.closed is not None)
            assert (photo.posted_on, photo.event_on) == (advert.posted_on, advert.event_on)
            assert photo.sex == advert.sex
            assert photo.source_url is not None
            assert photo.source_url.endswith(name)
    assert report["walked"] == 60


def test_no_personal_data_of_the_site_is_stored(home: Path) -> None:
    with Site(SiteConfig(listings=60, seed=5, photo_pool=24)) as site:
        crawl_well(home, site.url)
        secrets = {person.text for advert in site.truths() for person in advert.personal}
        assert not asked(site, "phone")
    assert secrets
    stored = b"".join(path.read_bytes() for path in (home / "ledgers").glob("pet911.sqlite*"))
    text = stored.decode(errors="ignore") + "".join(
        f"{photo.title} {photo.description} {photo.attributes}"
        for photos in collected(home).values()
        for photo in photos
    )
    assert [secret for secret in sorted(secrets) if secret in text] == []


def test_a_second_crawl_fetches_only_what_is_new(home: Path, site: Site) -> None:
    crawl_well(home, site.url)
    site.server.forget_requests()
    crawl_well(home, site.url)
    assert asked(site, "listing") == asked(site, "photo") == []
    new = site.add_listings(7)
    site.server.forget_requests()
    crawl_well(home, site.url, "--known-stop", "5")
    wanted = [advert for advert in new if advert.species in PETS]
    assert sorted(asked(site, "listing")) == sorted(advert.path for advert in wanted)
    assert len(asked(site, "catalogue")) == 1  # known listings ended the walk on the first page
    assert positions(home) == expected(site.truths())


def test_promoted_listings_do_not_end_a_walk(home: Path) -> None:
    with Site(
        SiteConfig(listings=45, promoted=5, seed=2, photo_pool=24, faults=Faults(flaky=0))
    ) as site:
        crawl_well(home, site.url)
        site.add_listings(30)  # more than a page: old promoted ones stand before them
        crawl_well(home, site.url, "--known-stop", "3")
        assert positions(home) == expected(site.truths())


def test_a_walk_loses_nothing_while_pages_shift(home: Path) -> None:
    """Before each catalogue page listings are removed from its start, and sometimes added."""
    with Site(plain_config(120, seed=4, photo_pool=24)) as site:
        removed: list[str] = []

        def shift(request: Request) -> None:
            if not request.path.startswith("/catalog"):
                return
            newest = [a for a in reversed(list(site.truths())) if a.source_id not in removed]
            for advert in newest[:3]:
                site.remove(advert.source_id)
                removed.append(advert.source_id)
            if len(removed) % 4 == 0:
                site.add_listings(1)

        site.server.before_request = shift
        crawl_well(home, site.url)
        site.server.before_request = None
        assert len(removed) > 20
        first_120 = [a for a in map(site.truth, range(120)) if a.source_id not in removed]
        still_there = expected(iter(first_120))
        assert still_there.items() <= positions(home).items()


def test_recheck_sees_what_changed_closed_and_went(home: Path, site: Site) -> None:
    crawl_well(home, site.url)
    before = positions(home)
    edited, closed, gone = [name for name in sorted(before) if not site.truth_of(name).closed][:3]
    site.edit(edited, description="Приметы: белый кончик хвоста.", more_photos=1)
    site.close(closed)
    site.remove(gone)
    site.server.forget_requests()
    report = crawl_well(home, site.url, "--recheck", "0")
    after = collected(home)
    assert set(after) == set(before) - {gone}
    assert {photo.listing_version for photo in after[edited]} == {2}
    assert len(after[edited]) == min(8, len(before[edited]) + 1)
    assert all("белый кончик" in (photo.description or "") for photo in after[edited])
    assert all(photo.closed and photo.listing_version == 2 for photo in after[closed])
    assert report["listings"]["gone"] == 1
    assert len(asked(site, "photo")) <= 1  # only the added one
    untouched = set(after) - {edited, closed}
    assert all(photo.listing_version == 1 for name in untouched for photo in after[name])
    site.server.forget_requests()
    crawl_well(home, site.url, "--recheck", "0")
    visited = {target.rpartition("/")[2] for target in asked(site, "listing")}
    assert not visited & {closed, gone}  # their search has ended


def test_max_listings_goes_on_where_it_stopped(home: Path, site: Site) -> None:
    wanted = sum(advert.species in PETS for advert in site.truths())
    found = []
    while not found or found[-1]:
        report = crawl_well(home, site.url, "--max-listings", "9")
        found.append(report["listings"]["found"])
    assert found == [9, 9, 9, wanted - 27, 0]
    assert positions(home) == expected(site.truths())


def test_species_city_and_photo_counts_are_obeyed(home: Path, site: Site) -> None:
    crawl_well(home, site.url, "--species", "cat", "--min-photos", "3", "--max-photos", "4")
    cats = {a.source_id: a for a in site.truths() if a.species is Species.CAT}
    wanted = {n: list(range(len(a.photos[:4]))) for n, a in cats.items() if len(a.photos) >= 3}
    assert positions(home) == wanted
    assert all("animal%5D=2" in target for target in asked(site, "catalogue"))
    city = next(a.city.slug for a in site.truths() if a.city and a.species in PETS)
    other = home.with_name("other")
    crawl_well(other, site.url, "--city", city, "--min-photos", "1")
    in_city = {a.source_id for a in site.truths() if a.city and a.city.slug == city}
    assert set(positions(other)) == in_city & set(expected(site.truths(), min_photos=1))


def test_the_site_is_told_who_crawls_it_and_robots_txt_is_read_first(
    home: Path, site: Site
) -> None:
    crawl_well(home, site.url, "--max-listings", "2")
    assert site.server.requests[0].target == "/robots.txt"
    agents = {request.user_agent for request in site.server.requests}
    assert len(agents) == 1
    assert "me@example.org" in agents.pop()


def test_robots_txt_is_obeyed(home: Path, site: Site) -> None:
    robots = b"User-agent: *\nDisallow: /upload/\nDisallow: /cdn/\n"
    site.server.override("/robots.txt", Response(body=robots, content_type="text/plain"))
    report = crawl_well(home, site.url)
    assert asked(site, "photo") == []
    assert report["photos"]["forbidden"] > 10
    site.server.override(
        "/robots.txt",
        Response(body=b"User-agent: petdata\nDisallow: /\n", content_type="text/plain"),
    )
    site.server.restore("/robots.txt")
    site.server.override(
        "/robots.txt",
        Response(body=b"User-agent: petdata\nDisallow: /\n", content_type="text/plain"),
    )
    site.server.forget_requests()
    done = crawl(home.with_name("other"), site.url)
    assert done.code == 1
    assert "robots.txt" in done.stderr
    assert [request.target for request in site.server.requests] == ["/robots.txt"]


def test_who_opts_out_is_left_out(home: Path, site: Site) -> None:
    listing, photo_owner = sorted(expected(site.truths()))[:2]
    page = site.truth_of(listing).path
    photo = site.truth_of(photo_owner).photos[0].path
    refusal = (("X-Robots-Tag", "noai, noimageai"),)
    site.server.override(page, lambda r: Response(body=r.body, headers=refusal))
    site.server.override(
        photo, lambda r: Response(body=r.body, content_type=r.content_type, headers=refusal)
    )
    crawl_well(home, site.url)
    found = positions(home)
    assert listing not in found
    assert 0 not in found.get(photo_owner, [])


def test_foreign_hosts_are_never_asked(home: Path, site: Site) -> None:
    with Site(plain_config(10, photo_pool=24)) as foreign:
        photo_owner, moved = sorted(expected(site.truths()))[:2]
        target = site.truth_of(photo_owner).photos[0].path
        site.server.override(target, redirect_to(f"{foreign.url}/cdn/x.webp"))
        site.server.override(site.truth_of(moved).path, redirect_to(f"{foreign.url}/catalog"))
        report = crawl_well(home, site.url)
        assert foreign.server.requests == ()
    assert report["photos"]["forbidden"] == 1
    assert 0 not in positions(home).get(photo_owner, [])


def test_a_listing_that_leads_elsewhere_stays_as_it_is(home: Path, site: Site) -> None:
    """Maintenance redirects every page to the start: that says nothing of the listings."""
    crawl_well(home, site.url)
    before = positions(home)
    for name in before:
        site.server.override(site.truth_of(name).path, redirect_to(f"{site.url}/catalog"), times=1)
    crawl_well(home, site.url, "--recheck", "0")
    assert positions(home) == before
    crawl_well(home, site.url, "--recheck", "0")
    assert positions(home) == before


def test_what_is_gone_and_shown_again_comes_back(home: Path, site: Site) -> None:
    crawl_well(home, site.url)
    before = positions(home)
    name = next(name for name in sorted(before) if not site.truth_of(name).closed)
    site.server.override(site.truth_of(name).path, Response(status=404), times=1)
    crawl_well(home, site.url, "--recheck", "0")  # gone, then met in the catalogue again
    assert positions(home) == before
    assert {photo.listing_version for photo in collected(home)[name]} == {2}


def test_a_narrower_recheck_takes_nothing_away(home: Path, site: Site) -> None:
    crawl_well(home, site.url)
    before = positions(home)
    crawl_well(home, site.url, "--species", "cat", "--recheck", "0")
    crawl_well(home, site.url, "--min-photos", "4", "--recheck", "0")
    assert positions(home) == before


def test_a_wider_crawl_keeps_what_a_narrower_one_did_not_want(home: Path, site: Site) -> None:
    crawl_well(home, site.url, "--min-photos", "5")
    assert len(positions(home)) < len(expected(site.truths()))
    crawl_well(home, site.url, "--recheck", "0")
    assert positions(home) == expected(site.truths())


def test_pending_listings_of_another_scope_wait_for_it(home: Path, site: Site) -> None:
    dogs = [a for a in site.truths() if a.species is Species.DOG]
    for advert in dogs:
        site.server.override(advert.path, Response(status=404), times=0)
        site.server.override(advert.path, lambda r: Response(status=500), times=2)
    crawl_well(home, site.url)
    crawl_well(home, site.url, "--species", "cat")
    crawl_well(home, site.url)
    assert positions(home) == expected(site.truths())


def test_a_known_scope_ends_a_walk_that_another_scope_made(home: Path) -> None:
    with Site(plain_config(90, seed=9, photo_pool=24)) as site:
        crawl_well(home, site.url, "--species", "cat", "--known-stop", "5")
        crawl_well(home, site.url, "--known-stop", "5")  # to the end: dogs are new
        assert positions(home) == expected(site.truths())
        site.server.forget_requests()
        crawl_well(home, site.url, "--known-stop", "5")
        assert len(asked(site, "catalogue")) == 1


def test_lost_pagination_is_no_end(home: Path) -> None:
    with Site(plain_config(70, seed=6, photo_pool=24)) as site:
        site.server.override(
            "/catalog", lambda r: Response(body=r.body.replace(b"pagination", b"pages")), times=1
        )
        done = crawl(home, site.url)
        assert done.code == 1
        assert "no listings behind" in done.stderr
        crawl_well(home, site.url)
        assert positions(home) == expected(site.truths())


def test_a_maintenance_page_where_a_walk_goes_on_is_no_end(home: Path) -> None:
    with Site(plain_config(70, seed=6, photo_pool=24)) as site:
        site.server.override("/catalog/page-3", Response(status=502), times=2)
        assert crawl(home, site.url).code == 75
        page = Response(body=b"<html><body>maintenance</body></html>")
        site.server.override("/catalog/page-3", page, times=1)
        assert crawl(home, site.url).code == 1
        crawl_well(home, site.url)
        assert positions(home) == expected(site.truths())


def test_a_catalogue_that_became_shorter_is_walked_anew(home: Path) -> None:
    with Site(plain_config(70, seed=6, photo_pool=24)) as site:
        site.server.override("/catalog/page-3", Response(status=502), times=2)
        assert crawl(home, site.url).code == 75
        site.add_listings(3)
        site.server.override("/catalog/page-3", Response(status=404), times=1)
        crawl_well(home, site.url)
        assert positions(home) == expected(site.truths())


def test_a_catalogue_page_that_is_too_large_fails_the_run(home: Path, site: Site) -> None:
    site.server.override("/catalog", lambda r: Response(body=r.body + b"<p>" * 400_000), times=1)
    done = crawl(home, site.url)
    assert done.code == 1
    crawl_well(home, site.url)
    assert positions(home) == expected(site.truths())


def test_a_ban_ends_the_run_and_costs_nothing(home: Path, site: Site) -> None:
    paths = [photo.path for advert in site.truths() for photo in advert.photos]
    for path in paths:
        site.server.override(path, Response(status=403))
    done = crawl(home, site.url)
    assert done.code == 75
    assert "the site refuses" in done.stderr
    for path in paths:
        site.server.restore(path)
    crawl_well(home, site.url)
    assert positions(home) == expected(site.truths())


def test_a_listing_that_never_answers_is_given_up_after_three_runs(home: Path, site: Site) -> None:
    name = sorted(expected(site.truths()))[0]
    site.server.override(site.truth_of(name).path, Response(status=500))
    for run in (1, 2, 3):
        report = crawl_well(home, site.url)
        assert report["listings"].get("unreachable", 0) == (run == 3)
    site.server.forget_requests()
    crawl_well(home, site.url)
    assert asked(site, "listing") == []


def test_a_catalogue_without_listings_of_the_kind_is_empty_not_broken(home: Path) -> None:
    config = SiteConfig(listings=10, species=(1, 0, 0, 0), photo_pool=24)
    with Site(config) as site:
        report = crawl_well(home, site.url, "--species", "bird")
        assert report["listings"].get("found", 0) == 0


def test_what_fails_today_is_fetched_tomorrow(home: Path, site: Site) -> None:
    first, second, third = sorted(expected(site.truths()))[:3]
    broken = site.truth_of(first).photos[0].path
    site.server.override(broken, Response(status=503))
    late = site.truth_of(second).photos[0].path
    site.server.override(late, lambda r: Response(body=r.body, reset_after=300))
    site.server.override(site.truth_of(third).path, Response(status=500))
    crawl_well(home, site.url)
    assert not {first, second, third} & set(positions(home))
    for target in (broken, late, site.truth_of(third).path):
        site.server.restore(target)
    site.server.forget_requests()
    crawl_well(home, site.url)
    assert positions(home) == expected(site.truths())
    assert len(asked(site, "listing")) == 1
    assert sorted(asked(site, "photo"))[:2] != []
    assert len(asked(site, "photo")) == 2 + len(site.truth_of(third).photos[:8])


def test_a_response_over_the_limit_costs_only_itself(home: Path, site: Site) -> None:
    name = sorted(expected(site.truths()))[0]
    site.server.override(
        site.truth_of(name).photos[0].path,
        Response(body=b"\xff\xd8\xff" + bytes(3_000_000), content_type="image/jpeg"),
    )
    report = crawl_well(home, site.url, "-s", "DOWNLOAD_MAXSIZE=2000000")
    assert report["photos"]["too_many_bytes"] == 1
    assert set(positions(home)) >= set(expected(site.truths())) - {name}


def test_a_catalogue_that_cannot_be_read_says_try_later_and_goes_on_there(home: Path) -> None:
    with Site(plain_config(70, seed=6, photo_pool=24)) as site:
        site.server.override("/catalog/page-3", Response(status=502))
        done = crawl(home, site.url)
        assert done.code == 75
        assert "/catalog/page-3" in done.stderr
        assert "HTTP 502" in done.stderr
        site.server.restore("/catalog/page-3")
        site.server.forget_requests()
        crawl_well(home, site.url)
        assert asked(site, "catalogue")[0] == "/catalog/page-3"
        assert positions(home) == expected(site.truths())


def test_new_markup_fails_the_run_and_what_it_refused_is_read_again(home: Path) -> None:
    with Site(plain_config(90, seed=8, photo_pool=24)) as site:

        def without_photos(response: Response) -> Response:
            return Response(body=response.body.replace(b"card-slider", b"gallery"), kind="listing")

        for advert in site.truths():
            site.server.override(advert.path, without_photos)
        done = crawl(home, site.url)
        assert done.code == 1
        assert "markup has changed" in done.stderr
        for advert in site.truths():
            site.server.restore(advert.path)
        crawl_well(home, site.url)
        assert positions(home) == expected(site.truths())


def test_an_empty_catalogue_fails_the_run(home: Path, site: Site) -> None:
    site.server.override("/catalog", Response(body=b"<html><body>hello</body></html>"))
    done = crawl(home, site.url)
    assert done.code == 1
    assert "no listings behind" in done.stderr


def forget(home: Path, target: str) -> None:
    home.mkdir(exist_ok=True)
    add_takedown(home / "takedowns.toml", target, "asked", date(2026, 1, 1))


def test_takedowns_are_not_even_asked_for(home: Path, site: Site) -> None:
    listing, by_photo = sorted(expected(site.truths()))[:2]
    forget(home, f"https://pet911.ru{site.truth_of(listing).path}")
    photo = site.truth_of(by_photo).photos[0].path
    forget(home, f"{site.url}{photo}")
    crawl_well(home, site.url)
    assert site.truth_of(listing).path not in asked(site, "listing")
    assert photo not in asked(site, "photo")
    assert listing not in positions(home)
    assert 0 not in positions(home).get(by_photo, [])
    crawl_well(home, site.url, "--recheck", "0")
    assert site.truth_of(listing).path not in asked(site, "listing")


def test_a_takedown_between_two_runs_stops_what_is_pending(home: Path, site: Site) -> None:
    unread, unfetched = sorted(expected(site.truths()))[:2]
    site.server.override(site.truth_of(unread).path, Response(status=500), times=2)
    last = site.truth_of(unfetched).photos[:8][-1].path
    site.server.override(last, Response(status=503), times=2)
    crawl_well(home, site.url)
    forget(home, f"pet911/{unread}")
    forget(home, f"pet911/{unfetched}")
    site.server.forget_requests()
    crawl_well(home, site.url)
    assert asked(site, "listing") == asked(site, "photo") == []
    assert set(positions(home)) == set(expected(site.truths())) - {unread, unfetched}
    with Ledger(home / "ledgers/pet911.sqlite", source="pet911", read_only=True) as ledger:
        assert list(ledger.pending_listings()) == []


def test_a_second_crawl_of_the_same_source_is_told_to_wait(home: Path, site: Site) -> None:
    with Ledger(home / "ledgers" / "pet911.sqlite", source="pet911"):
        done = crawl(home, site.url)
    assert done.code == 75
    assert "is being collected by process" in done.stderr


def scrapy(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scrapy", *arguments],
        env=environment(home, **more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_scrapy_crawl_is_the_same_thing(home: Path, site: Site, tmp_path: Path) -> None:
    feed = tmp_path / "listings.jsonl"
    done = scrapy(home, "crawl", "pet911", "-a", f"base_url={site.url}", "-O", f"{feed}:jsonlines")
    assert done.returncode == 0, done.stderr
    assert "listings: kept" in done.stderr
    assert positions(home) == expected(site.truths())
    assert feed.read_text().count('"source_id"') >= len(expected(site.truths()))


def test_scrapy_crawl_without_a_contact_is_one_line(home: Path, site: Site) -> None:
    done = scrapy(home, "crawl", "pet911", "-a", f"base_url={site.url}", PETDATA_CONTACT="")
    assert done.returncode == 2
    assert "PETDATA_CONTACT" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert site.server.requests == ()


def test_elsewhere_than_on_loopback_the_crawl_is_polite(tmp_path: Path) -> None:
    code = (
        "from crawlers.run import project_settings\n"
        "from crawlers.spiders.pet911 import Pet911Spider\n"
        "from scrapy.crawler import Crawler\n"
        "for url in ('https://pet911.ru', 'http://127.0.0.1:9'):\n"
        "    crawler = Crawler(Pet911Spider, project_settings())\n"
        "    Pet911Spider.from_crawler(crawler, base_url=url)\n"
        "    s = crawler.settings\n"
        "    print(s.getfloat('DOWNLOAD_DELAY'), s.getbool('AUTOTHROTTLE_ENABLED'),\n"
        "          s.getint('CONCURRENT_REQUESTS_PER_DOMAIN'), s.getbool('ROBOTSTXT_OBEY'),\n"
        "          s.getbool('TELNETCONSOLE_ENABLED'), s.getbool('REMOTE_CONTROL_ENABLED'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    remote, loopback = done.stdout.splitlines()
    assert remote == "2.0 True 1 True False False"
    assert loopback == "0.0 False 1 True False False"
