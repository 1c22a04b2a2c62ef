"""Crawls of a local site for tests that kill them; each crawl's requests bear its own contact."""

from __future__ import annotations

from pathlib import Path

from kill_matrix import HIDE_PANDAS, Command, assert_whole, durable_addresses

from crawling import COMMAND, environment
from petdata.demo.servers.site import Site
from petdata.demo.servers.site_config import NO_FAULTS, SiteConfig

# Three cats of three photos, 92, 120 and 265 kB: in any order there is a shard before the last one.
SMALL_SITE = SiteConfig(
    listings=3,
    promoted=0,
    photo_counts=(0, 0, 0, 1),
    species=(1, 0, 0, 0),
    photo_pool=16,
    faults=NO_FAULTS,
)
SMALL_SHARDS = ("--set", "PETDATA_SHARD_BYTES=200000")


def crawl(root: Path, site: Site, *options: str, again: bool = False) -> Command:
    variables = environment(
        root, PETDATA_CONTACT=contact(root, again=again), PYTHONPATH=HIDE_PANDAS
    )
    return Command([*COMMAND, "--base-url", site.url, *options], root, variables)


def contact(root: Path, *, again: bool) -> str:
    return f"{'second' if again else 'first'} crawl into {root}"


def asked(site: Site, root: Path, *, again: bool) -> list[str]:
    """The addresses that this crawl asked for, in the order of the answers."""
    mark = f"+{contact(root, again=again)})"
    return [
        site.url + request.target for request in site.server.requests if mark in request.user_agent
    ]


def go_on(uninterrupted: Path, site: Site, options: tuple[str, ...], root: Path) -> None:
    """Crawl once more: nothing durable is asked for again, and in the end all is there."""
    durable = durable_addresses(root)
    done = crawl(root, site, *options, again=True).run()
    assert done.returncode == 0, f"{root}: {done.stderr}"
    again = durable.intersection(asked(site, root, again=True))
    assert not again, f"{root}: {again} asked for again"
    assert_whole(root, uninterrupted)
