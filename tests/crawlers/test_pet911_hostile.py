"""Every bad page has its documented outcome, in bounded time and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.pages import PageNotUnderstood
from crawlers.pages.document import MAX_PAGE_CHARACTERS
from crawlers.pages.pet911 import parse_catalog, parse_listing_with_notes
from hostile_pages import GOOD, GOOD_ID, HostilePage, hostile_pages
from petdata.listing import listing_from_json, listing_to_json

HOSTILE = hostile_pages()
SECONDS = 5.0  # of processor time; the slowest takes 0.5
MEBIBYTES = 400


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE.keys())
def test_outcome(page: HostilePage) -> None:
    started = time.process_time()
    if page.refused:
        with pytest.raises(PageNotUnderstood, match=page.refused) as caught:
            parse_listing_with_notes(page.html, page.url)
        assert page.url in str(caught.value)
    else:
        parsed = parse_listing_with_notes(page.html, page.url)
        listing = parsed.listing
        assert {name: getattr(listing, name) for name in page.fields} == page.fields
        assert tuple(url.rpartition("/")[2] for url in listing.photo_urls) == page.photos
        assert [photo.position for photo in listing.photos] == list(range(len(page.photos)))
        assert parsed.disagreements == page.disagreements
        stored = listing_to_json(listing)
        assert listing_from_json(stored) == listing
        assert not [text for text in page.absent if text in stored]
        stored.encode("utf-8")
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_catalogue_parser_survives_them_too(page: HostilePage) -> None:
    if len(page.html) > MAX_PAGE_CHARACTERS:
        with pytest.raises(PageNotUnderstood, match="characters"):
            parse_catalog(page.html, page.url)
        return
    catalog = parse_catalog(page.html, page.url)
    assert catalog.next_url is None
    assert all(link.url.startswith("https://pet911.ru/") for link in catalog.listings)


def test_memory_stays_bounded() -> None:
    """The costliest page of the size that is still read, in a process of its own."""
    program = (
        "from crawlers.pages.pet911 import parse_listing; from peak_memory import peak_mebibytes;"
        "parse_listing('<p a>' * 200_000, 'https://pet911.ru/lost/cat/rl900001');"
        "print(peak_mebibytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1] / "petdata",  # where peak_memory is
    )
    peak = int(done.stdout)
    assert peak < MEBIBYTES, f"{peak} MiB"


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(GOOD)),
    length=st.integers(0, 3_000),
    junk=st.text(max_size=30)
    | st.sampled_from(["<", '"', "</div>", "<script>", "<!--", "{", "</p></h1>", "\ud800"]),
)
def test_a_damaged_page_gives_a_listing_or_a_refusal(start: int, length: int, junk: str) -> None:
    html = GOOD[:start] + junk + GOOD[start + length :]
    url = f"https://pet911.ru/moskva/lost/cat/{GOOD_ID}"
    try:
        listing = parse_listing_with_notes(html, url).listing
    except PageNotUnderstood:
        return
    assert listing.source_id == GOOD_ID
    assert not [each for each in listing.photo_urls if "foreign" in each or "comment" in each]
    listing_to_json(listing).encode("utf-8")


@settings(max_examples=100, deadline=None)
@given(html=st.text(max_size=300), url=st.text(max_size=100))
def test_any_text_at_any_address(html: str, url: str) -> None:
    with suppress(PageNotUnderstood):
        parse_listing_with_notes(html, url)
    parse_catalog(html, url)
