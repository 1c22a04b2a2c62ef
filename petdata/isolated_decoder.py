"""AVIF and HEIC, decoded in a process of their own under the kernel's limits.

Their containers state one size and the coded picture inside may have another, which only the
decoder sees; and HEIC decoders have a long record of memory errors on hostile files. So a child
decodes and encodes one photo, and what breaks there breaks alone. The formats are rare on the
sites that petdata reads: starting the child for each is affordable.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import asdict
from io import BytesIO
from typing import Final

from PIL import Image

from petdata.errors import Reason, RejectedPhoto
from petdata.exif import exif_orientation
from petdata.limits import Limits
from petdata.pictures import (
    DECODER_ERRORS,
    Picture,
    SourceFormat,
    check_size,
    encode_jpeg,
    refusal,
    upright_srgb,
)
from petdata.srgb import profile_of_code_points

MAX_MEMORY_BYTES: Final = 448 * 1024 * 1024  # writable memory of the child
MAX_CPU_SECONDS: Final = 20  # a HEIC of 48 megapixels takes 2
_MAX_SECONDS: Final = 60  # the same on a busy machine

_MAX_BOXES: Final = 1_000
_CHILD: Final = (sys.executable, "-P", "-m", "petdata.isolated_decoder")
_INHERITED: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME")  # to find its modules
_REJECTED: Final = 65  # EX_DATAERR: the last line on stderr is [reason, detail] in JSON
_COLOUR_BOX = re.compile(rb"colrnclx(..)(..)", re.DOTALL)  # ISO/IEC 23008-12


def decode_isolated(
    raw: bytes, kind: SourceFormat, limits: Limits, *, cpu_seconds: int = MAX_CPU_SECONDS
) -> bytes:
    """The AVIF or HEIC photo as an upright sRGB JPEG; raises RejectedPhoto."""
    _check_whole(raw, kind)
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        child = subprocess.run(
            [*_CHILD, kind, json.dumps(asdict(limits)), str(cpu_seconds)],
            input=raw,
            capture_output=True,
            timeout=_MAX_SECONDS,
            check=False,
            env={**inherited, "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(kind, f"{_MAX_SECONDS} s") from error
    if child.returncode == 0:
        return child.stdout
    said = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if child.returncode == _REJECTED:
        reason, detail = json.loads(said)
        raise RejectedPhoto(Reason(reason), detail)
    if child.returncode == -signal.SIGXCPU:
        raise _too_slow(kind, f"{cpu_seconds} CPU seconds")
    raise RejectedPhoto(
        Reason.CORRUPT, f"{kind.upper()}: the decoder ended with {child.returncode}: {said}"
    )


def _check_whole(raw: bytes, kind: SourceFormat) -> None:
    """Refuse a file whose last box (ISO/IEC 14496-12) reaches beyond its end."""
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > len(raw):
            return
        size = int.from_bytes(raw[position : position + 4])
        if size == 1:
            size = int.from_bytes(raw[position + 8 : position + 16])
        if size < 8:  # 0 means "to the end"; the rest is for the decoder to judge
            return
        position += size
        if position > len(raw):
            raise RejectedPhoto(
                Reason.TRUNCATED, f"{kind.upper()} of {position:,} bytes in {len(raw):,}"
            )


def _too_slow(kind: SourceFormat, limit: str) -> RejectedPhoto:
    return RejectedPhoto(Reason.UNSUPPORTED, f"{kind.upper()}: decoding takes over {limit}")


def _open(raw: bytes, kind: SourceFormat) -> Picture:
    # The decoders are loaded here, because only the child needs them.
    if kind == "avif":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        image = Image.open(BytesIO(raw), formats=["AVIF"])
        # Pillow writes the container's rotation and mirroring into the EXIF data.
        orientation = exif_orientation(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    else:
        import pi_heif

        pi_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
        image = Image.open(BytesIO(raw), formats=["HEIF"])
        orientation = 1  # libheif has turned it by then; EXIF's word does not count in HEIC
    profile = image.info.get("icc_profile")
    colours = _COLOUR_BOX.search(raw)
    if not profile and colours is not None:
        primaries, transfer = (int.from_bytes(number) for number in colours.groups())
        profile = profile_of_code_points(primaries, transfer)
    return Picture(image=image, kind=kind, orientation=orientation, icc_profile=profile)


def _decode(raw: bytes, kind: SourceFormat, limits: Limits) -> bytes:
    try:
        picture = _open(raw, kind)
    except DECODER_ERRORS as error:
        raise refusal(kind, error) from error
    check_size(limits, picture.image.size, kind)
    return encode_jpeg(upright_srgb(picture))


def main() -> None:
    """The child: a photo on stdin, its JPEG on stdout."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    cpu_seconds = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))  # SIGXCPU, then SIGKILL
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kind: SourceFormat = "avif" if sys.argv[1] == "avif" else "heic"
    try:
        jpeg = _decode(sys.stdin.buffer.read(), kind, Limits(**json.loads(sys.argv[2])))
    except RejectedPhoto as rejected:
        sys.stderr.write("\n" + json.dumps([rejected.reason, rejected.detail]))
        sys.exit(_REJECTED)
    sys.stdout.buffer.write(jpeg)


if __name__ == "__main__":
    main()
