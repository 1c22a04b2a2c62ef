"""What an address of pet911.ru says; needs nothing but the standard library.

A listing stands at /<city>/<lost|found>/<animal>/<id>, the city may be absent, and until 2022 the
words were Russian: /Чебоксары/найдена/собака/rf434545. The id alone identifies it: city and
species in the address change when its author corrects them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urljoin, urlsplit, urlunsplit

from petdata.records import Species

MAX_URL_CHARACTERS: Final = 2_000

_SPECIES_BY_WORD = {
    "cat": Species.CAT,
    "кошка": Species.CAT,
    "кошки": Species.CAT,
    "dog": Species.DOG,
    "собака": Species.DOG,
    "собаки": Species.DOG,
    "bird": Species.BIRD,
    "птица": Species.BIRD,
    "птицы": Species.BIRD,
    "ferret": Species.FERRET,
    "хорек": Species.FERRET,
    "хорьки": Species.FERRET,
    "other": Species.OTHER,
    "другое": Species.OTHER,
    "другие": Species.OTHER,
}
_STATUS_WORDS = frozenset({"lost", "found", "пропала", "найдена"})

_SOURCE_ID = re.compile(r"(?:^|/)(r[lf][0-9]{5,9})/?$", re.IGNORECASE)
_PAGE_IN_PATH = re.compile(r"/page-([0-9]{1,7})/?$")
_SLUG = re.compile(r"(?!.*[0-9]{5})[a-z0-9]+(?:-[a-z0-9]+)*")
_KEPT_BY_QUOTE = "/%:@!$&'()*+,;=~-._"

# The site's own spelling (simplified BGN/PCGN): Нижний Новгород is nizhny-novgorod, Раменское
# ramenskoye, Щёлково shchelkovo, Бийск bysk.
_LATIN = str.maketrans("абвгдеёзийклмнопрстуфыэ", "abvgdeeziyklmnoprstufye") | str.maketrans(
    {
        "ж": "zh",
        "х": "kh",
        "ц": "ts",
        "ч": "ch",
        "ш": "sh",
        "щ": "shch",
        "ъ": "",
        "ь": "",
        "ю": "yu",
        "я": "ya",
    }
)
_YE = re.compile(r"(^|[^а-яё]|[аеёиоуыэюяъь])е")
_LONG_Y = re.compile(r"[иы]й")


def source_id_of(url: str) -> str | None:
    """The id of the listing that an address or a bare id names: "rl518787"."""
    try:
        match = _SOURCE_ID.search(urlsplit(url.strip()).path)
    except ValueError:
        return None
    return match[1].lower() if match else None


def species_named(word: str) -> Species | None:
    """The species behind a word of the site: in an address, a breadcrumb or the JSON-LD."""
    return _SPECIES_BY_WORD.get(word.strip().casefold().replace("ё", "е"))


def species_of(url: str) -> Species | None:
    words = _listing_words(url)
    return species_named(words[-1]) if words else None


def city_of(url: str) -> str | None:
    words = _listing_words(url)
    return city_slug(words[0]) if len(words) == 3 else None


def _listing_words(url: str) -> list[str]:
    """[city,] status and animal out of the address of a listing; empty for any other."""
    if source_id_of(url) is None:
        return []
    path = unicodedata.normalize("NFC", unquote(urlsplit(url.strip()).path)).casefold()
    words = [word for word in path.split("/") if word][-4:-1]
    return words if len(words) >= 2 and words[-2] in _STATUS_WORDS else []


def city_slug(name: str) -> str | None:
    """A place as the site's addresses spell it: "Нижний Новгород" becomes "nizhny-novgorod"."""
    name = unicodedata.normalize("NFC", name).casefold()
    name = _LONG_Y.sub("y", _YE.sub(r"\1ye", name))
    slug = "-".join(re.findall(r"[^\W_]+", name.translate(_LATIN)))
    return slug if len(slug) <= 60 and _SLUG.fullmatch(slug) else None


def absolute_url(href: str, base: str) -> str | None:
    """`href` resolved, in ASCII and without fragment; None unless it is plain http or https."""
    try:
        parts = urlsplit(urljoin(base, href.strip()))
        well_formed = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    if not well_formed or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        return None
    path = quote(parts.path, safe=_KEPT_BY_QUOTE, errors="replace")
    query = quote(parts.query, safe=_KEPT_BY_QUOTE + "?", errors="replace")
    url = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
    return url if len(url) <= MAX_URL_CHARACTERS and url.isascii() else None


def same_site(url: str, other: str) -> bool:
    """Whether two absolute addresses share their host and port, www. aside."""
    first, second = (urlsplit(each).netloc.lower().removeprefix("www.") for each in (url, other))
    return first == second


def photo_url(href: str, base: str) -> str | None:
    """The full-size photo behind `href`; None for stubs, icons, listings and other schemes."""
    url = absolute_url(href, base)
    if url is None or source_id_of(url) is not None:
        return None
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    if not name or name.lower().endswith(".svg") or parts.path.startswith("/img/"):
        return None
    if name.startswith("Pet_thumb_"):  # 2021
        name = "Pet_" + name.removeprefix("Pet_thumb_")
    name = name.removeprefix("thumb_")
    return urlunsplit(parts._replace(path=f"{folder}/{name}"))


def page_number(url: str) -> int:
    """Which page of a catalogue: /catalog/page-3, ?page=3 and &page=3; 1 where none is named."""
    parts = urlsplit(url)
    in_path = _PAGE_IN_PATH.search(parts.path)
    number = in_path[1] if in_path else parse_qs(parts.query).get("page", ["1"])[0]
    return int(number) if re.fullmatch(r"[0-9]{1,7}", number) else 1
