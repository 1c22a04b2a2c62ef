"""Which request a method and a path are: the addresses that huggingface_hub and datasets use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

KINDS_OF_REPOSITORY: Final = ("datasets", "models", "spaces")
_REPOSITORY: Final = r"(?P<repository>[^/]+/[^/]+?)"
_API: Final = rf"/api/(?P<type>datasets|models|spaces)/{_REPOSITORY}"
_PAGE: Final = rf"/(?:(?P<type>datasets|spaces)/)?{_REPOSITORY}"  # models have no prefix

# (kind, methods, pattern of the path, still percent-encoded); the first that fits counts.
_TABLE: Final = tuple(
    (kind, methods.split(), re.compile(pattern))
    for kind, methods, pattern in (
        ("whoami", "GET", "/api/whoami-v2"),
        ("create_repo", "POST", "/api/repos/create"),
        ("delete_repo", "DELETE", "/api/repos/delete"),
        ("validate_yaml", "POST", "/api/validate-yaml"),
        ("settings", "PUT", f"{_API}/settings"),
        ("repo_info", "GET", f"{_API}(?:/revision/(?P<revision>[^/]+))?"),
        ("tree", "GET", f"{_API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
        ("paths_info", "POST", f"{_API}/paths-info/(?P<revision>[^/]+)"),
        ("refs", "GET", f"{_API}/refs"),
        ("commits", "GET", f"{_API}/commits/(?P<revision>[^/]+)"),
        ("preupload", "POST", f"{_API}/preupload/(?P<revision>[^/]+)"),
        ("commit", "POST", f"{_API}/commit/(?P<revision>[^/]+)"),
        ("tag", "POST", f"{_API}/tag/(?P<revision>[^/]+)"),
        ("delete_tag", "DELETE", f"{_API}/tag/(?P<revision>[^/]+)"),
        ("branch", "POST", f"{_API}/branch/(?P<revision>[^/]+)"),
        ("delete_branch", "DELETE", f"{_API}/branch/(?P<revision>[^/]+)"),
        ("squash", "POST", f"{_API}/super-squash/(?P<revision>[^/]+)"),
        ("xet_token", "GET", f"{_API}/xet-(?:read|write)-token/(?P<revision>[^/]+)"),
        ("lfs_batch", "POST", rf"{_PAGE}\.git/info/lfs/objects/batch"),
        ("lfs_verify", "POST", rf"{_PAGE}\.git/info/lfs/verify"),
        ("resolve", "GET HEAD", f"{_PAGE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
        ("lfs_upload", "PUT", "/storage/(?P<ticket>[^/]+)"),
        ("lfs_part", "PUT", "/storage/(?P<ticket>[^/]+)/(?P<part>[0-9]+)"),
        ("lfs_complete", "POST", "/storage/(?P<ticket>[^/]+)"),
        ("lfs_download", "GET HEAD", "/storage/(?P<ticket>[^/]+)"),
    )
)
KINDS: Final = tuple(kind for kind, _, _ in _TABLE)


@dataclass(frozen=True, slots=True)
class Route:
    kind: str  # "other": no address of a Hub
    type: str = "models"
    repository: str = ""
    revision: str = "main"
    path: str = ""
    ticket: str = ""
    part: int = 0
    query: dict[str, str] = field(default_factory=dict)


def find_route(method: str, target: str) -> Route:
    path, _, query = target.partition("?")
    values = {name: found[-1] for name, found in parse_qs(query).items()}
    for kind, methods, pattern in _TABLE:
        if method in methods and (match := pattern.fullmatch(path)):
            named = {name: unquote(text) for name, text in match.groupdict().items() if text}
            part = int(named.pop("part", "0"))
            return Route(kind, query=values, part=part, **named)
    return Route("other", query=values)


def without_ticket(target: str) -> str:
    return re.sub(r"^/storage/[^/?]+", "/storage/…", target)
