"""Every hostile photo has its documented outcome, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile_photos import HOSTILE_PHOTOS, Colours
from petdata.errors import RejectedPhoto
from petdata.jpeg import canonicalise
from photo_makers import HEIGHT, SECRET, WIDTH, segments_of

MEMORY_LIMIT_MIB = 512
ALLOWED_MARKERS = {0x00, 0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE}


def test_the_table_is_as_long_as_promised() -> None:
    assert len(HOSTILE_PHOTOS) >= 60


@pytest.mark.parametrize(
    "name", [name for name, photo in HOSTILE_PHOTOS.items() if photo.reason is not None]
)
def test_refused_with_its_reason(name: str) -> None:
    with pytest.raises(RejectedPhoto) as refusal:
        canonicalise(HOSTILE_PHOTOS[name].make())
    assert refusal.value.reason is HOSTILE_PHOTOS[name].reason
    assert refusal.value.detail


@pytest.mark.parametrize(
    "name", [name for name, photo in HOSTILE_PHOTOS.items() if photo.reason is None]
)
def test_kept_upright_in_srgb_without_metadata(name: str) -> None:
    photo = HOSTILE_PHOTOS[name]
    canonical = canonicalise(photo.make())
    assert (canonical.width, canonical.height) == photo.size
    assert canonical.reencoded is photo.reencoded
    assert SECRET[:12] not in canonical.jpeg
    assert {marker for marker, _ in segments_of(canonical.jpeg)} <= ALLOWED_MARKERS
    with Image.open(BytesIO(canonical.jpeg)) as image:
        assert image.size == photo.size
        assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(image.info)
        assert not image.getexif()
        if photo.colours is not None:
            _assert_quadrants(np.asarray(image.convert("RGB")), photo.colours)


def _assert_quadrants(pixels: np.ndarray, colours: Colours) -> None:
    """The mean of each quadrant, without its borders, is the colour within 4 levels of 255."""
    half_height, half_width = HEIGHT // 2, WIDTH // 2
    for number, colour in enumerate(colours):
        top, left = number // 2 * half_height, number % 2 * half_width
        inside = pixels[top + 8 : top + half_height - 8, left + 8 : left + half_width - 8]
        assert inside.mean(axis=(0, 1)) == pytest.approx(colour, abs=4), f"quadrant {number}"


# The child that decodes AVIF and HEIC, with its peak written down at its end.
MEASURED_DECODER = """
import sys
sys.path.insert(0, {folder!r})
from peak_memory import peak_mebibytes
from petdata.isolated_decoder import main
try:
    main()
finally:
    with open({peaks!r}, "a") as peaks:
        print(peak_mebibytes(), "in the child", *sys.argv[1:2], file=peaks)
"""

MEMORY_PROGRAM = """
import sys
from pathlib import Path
from hostile_photos import HOSTILE_PHOTOS
from peak_memory import peak_mebibytes
from petdata import isolated_decoder
from petdata.errors import RejectedPhoto
from petdata.jpeg import canonicalise

isolated_decoder._CHILD = (sys.executable, "-P", "-c", sys.argv[1])

for name, photo in HOSTILE_PHOTOS.items():
    raw = photo.make()
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak: making the file is not it
    try:
        canonicalise(raw)
    except RejectedPhoto:
        pass
    print(peak_mebibytes(), name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_stays_bounded_over_all_of_them(tmp_path: Path) -> None:
    """A process of its own, because the peak of this one is other tests' as well."""
    peaks_of_children = tmp_path / "peaks"
    folder = Path(__file__).parent
    decoder = MEASURED_DECODER.format(folder=str(folder), peaks=str(peaks_of_children))
    process = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, decoder],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    for peaks in (process.stdout, peaks_of_children.read_text()):
        peak, _, name = max(
            (line.partition(" ") for line in peaks.splitlines()), key=lambda line: int(line[0])
        )
        assert 100 < int(peak) < MEMORY_LIMIT_MIB, f"{name}: {peak} MiB"
