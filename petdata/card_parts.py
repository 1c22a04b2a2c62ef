"""What the cards of data sets and of models share: where templates lie, rows of tables."""

from __future__ import annotations

from pathlib import Path


def template_path(name: str) -> Path:
    """In cards/ of the checkout, or its copy inside the installed package."""
    package = Path(__file__).parent
    installed = package / "cards" / name
    return installed if installed.is_file() else package.parent / "cards" / name


def table_row(*cells: object) -> str:
    """Of Markdown, one line whatever the cells hold."""
    texts = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"
