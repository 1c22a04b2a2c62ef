"""What licences of data and of base models mean for the weights that came out of them.

This is a reading for a card, by the strictest of all that went in; it is no legal advice, and says
so there. Nothing here widens what a source or a base model allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NON_COMMERCIAL: Final = re.compile(r"non-?commercial|\bNC\b", re.IGNORECASE)
_NOT_GRANTED: Final = re.compile(r"^$|none|unknown|not known|not declared", re.IGNORECASE)
_OPEN: Final = re.compile(r"(Apache-2\.0|MIT|CC0-1\.0|CC BY 4\.0|CC-BY-4\.0)(?![\w-])")
_PUBLIC_DINOV3: Final = "https://ai.meta.com/resources/models-and-libraries/dinov3-license"


@dataclass(frozen=True, kw_only=True)
class ModelLicence:
    """`hub` is the Hub's key; with "other" a name stands beside it."""

    hub: str
    name: str | None = None
    link: str | None = None
    meaning: tuple[str, ...] = ()  # sentences for the card


def model_licence(data: Mapping[str, str | None], bases: Mapping[str, str | None]) -> ModelLicence:
    """Of a network trained on sources {title: licence}, from base models {name: licence}."""
    all_of_them = {**data, **bases}
    closed = [name for name, text in all_of_them.items() if _NON_COMMERCIAL.search(text or "")]
    silent = [
        name
        for name, text in all_of_them.items()
        if name not in closed and _NOT_GRANTED.search(text or "")
    ]
    gated = [name for name, text in bases.items() if "DINOv3" in (text or "")]
    others = [
        name
        for name, text in all_of_them.items()
        if name not in (*closed, *silent, *gated) and not _OPEN.match(text or "")
    ]
    meaning = _sentences(closed, silent, gated, others, all_of_them)
    meaning += [f"{name} asks for attribution (CC BY)." for name in data if _asks_name(data[name])]
    if closed:
        only_cc = all((all_of_them[name] or "").startswith("CC-BY-NC-4.0") for name in closed)
        if only_cc and not (silent or gated or others):
            return ModelLicence(hub="cc-by-nc-4.0", meaning=tuple(meaning))
        return ModelLicence(hub="other", name="non-commercial-research", meaning=tuple(meaning))
    if silent:
        return ModelLicence(hub="unknown", meaning=tuple(meaning))
    if gated:
        return ModelLicence(
            hub="other", name="dinov3-license", link=_PUBLIC_DINOV3, meaning=tuple(meaning)
        )
    if others:
        return ModelLicence(hub="other", name="per-source", meaning=tuple(meaning))
    if not bases:
        meaning.append("The network began with random weights, so no base model's licence holds.")
        return ModelLicence(hub="unknown", meaning=tuple(meaning))
    is_mit = all((text or "").startswith("MIT") for text in bases.values())
    meaning.append("Nothing that went in forbids commercial use; the base model's licence holds.")
    return ModelLicence(hub="mit" if is_mit else "apache-2.0", meaning=tuple(meaning))


def _asks_name(licence: str | None) -> bool:
    return (licence or "").replace("-", " ").startswith("CC BY 4.0")


def _sentences(
    closed: list[str],
    silent: list[str],
    gated: list[str],
    others: list[str],
    licences: Mapping[str, str | None],
) -> list[str]:
    said = []
    if closed:
        named = ", ".join(f"{name} ({licences[name]})" for name in closed)
        said.append(f"**Not for commercial use**: that is the licence of {named}.")
    if silent:
        named = ", ".join(silent)
        said.append(
            f"No licence is granted by {named}, or none is known. Whether weights learnt from "
            "what bears no licence may be used, and for what, is for the law where you are to "
            "say; this card grants nothing that those did not."
        )
    if gated:
        said.append(f"{', '.join(gated)} is under the DINOv3 licence, which holds for this, too.")
    if others:
        named = ", ".join(f"{name} ({licences[name]})" for name in others)
        said.append(f"Read before use: {named}.")
    return said
