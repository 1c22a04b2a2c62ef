"""The child that decodes AVIF and HEIC is stopped at its limits."""

from __future__ import annotations

from pathlib import Path

import pytest

import photo_makers as make
from petdata.errors import Reason, RejectedPhoto
from petdata.isolated_decoder import decode_isolated
from petdata.limits import Limits

PLAIN_HEIC = Path(__file__).parent / "photos" / "plain.heic"


def test_cpu_time_is_limited() -> None:
    """A grid whose 22,500 tiles take seconds to look up, one by one, again and again."""
    raw = make.grid_of(
        make.encoded(make.quadrants(), "AVIF"), columns=150, rows=150, width=6_000, height=6_000
    )
    with pytest.raises(RejectedPhoto, match="over 1 CPU seconds") as refusal:
        decode_isolated(raw, "avif", Limits(), cpu_seconds=1)
    assert refusal.value.reason is Reason.UNSUPPORTED


def test_a_child_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that a hostile file crashes; this one crashes on every file."""
    (tmp_path / "pi_heif.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RejectedPhoto, match="decoder ended with -6") as refusal:
        decode_isolated(PLAIN_HEIC.read_bytes(), "heic", Limits())
    assert refusal.value.reason is Reason.CORRUPT


def test_the_child_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert decode_isolated(PLAIN_HEIC.read_bytes(), "heic", Limits()).startswith(b"\xff\xd8")
    assert not [*tmp_path.iterdir()]
