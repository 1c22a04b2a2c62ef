"""Whether a page or its response headers ask not to be used."""

from __future__ import annotations

from typing import Final

from crawlers.pages.document import Page

AGENT: Final = "petdata"
# The list that img2dataset obeys by default, and "none", which HTML defines as noindex, nofollow.
REFUSALS: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# Directives that carry a value of their own: their colon names no agent.
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def opts_out(directives: str) -> bool:
    """Whether a robots meta tag or one X-Robots-Tag header refuses.

    The value reads "noindex, noai" or "agent: noindex, noai"; what is addressed to another agent
    than ours does not count.
    """
    addressed = True
    for piece in directives.lower().split(","):
        agent, colon, directive = (part.strip() for part in piece.partition(":"))
        if colon and (agent in _VALUED or " " in agent):
            continue
        if colon:
            addressed = agent == AGENT
        if addressed and not REFUSALS.isdisjoint((directive if colon else agent).split()):
            return True
    return False


def page_opts_out(page: Page) -> bool:
    return any(
        opts_out(meta.attrib["content"])
        for meta in page.tree.xpath("//meta[@name and @content]")
        if meta.attrib["name"].strip().lower() in {"robots", AGENT}
    )
