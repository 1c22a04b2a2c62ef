"""How large a photo may be, checked from its header before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from PIL import Image

from petdata.errors import Reason, RejectedPhoto

MAX_JPEG_SIDE: Final = 65_500  # libjpeg's JPEG_MAX_DIMENSION


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_bytes: int = 32 * 1024 * 1024  # where Scrapy begins to warn (DOWNLOAD_WARNSIZE)
    max_pixels: int = 50_000_000  # the largest common phone picture: 8160 x 6120
    min_side: int = 32  # the thumbnail that verifies duplicates is 32 x 32
    # Together with the interpreter and the file below 512 MB. It refuses pictures within
    # `max_pixels` whose format is costly to decode, such as a WebP of 20 megapixels.
    max_decoding_bytes: int = 320 * 1024 * 1024

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise ValueError(f"{limit.name} is {getattr(self, limit.name)}, at least 1 needed")
        pillow_limit = Image.MAX_IMAGE_PIXELS
        if pillow_limit is not None and self.max_pixels > pillow_limit:
            raise ValueError(f"max_pixels is {self.max_pixels:,}, Pillow opens {pillow_limit:,}")

    def check_bytes(self, count: int) -> None:
        if count > self.max_bytes:
            raise RejectedPhoto(
                Reason.TOO_MANY_BYTES, f"{count:,} bytes, at most {self.max_bytes:,} allowed"
            )

    def check_size(self, width: int, height: int, decoding_bytes: int = 0) -> None:
        """Judge a picture by its size and the memory that decoding takes; raises RejectedPhoto."""
        size = f"{width:,} x {height:,} px"
        if min(width, height) < self.min_side:
            raise RejectedPhoto(
                Reason.TOO_FEW_PIXELS, f"{size}, at least {self.min_side} a side needed"
            )
        if width * height > self.max_pixels or max(width, height) > MAX_JPEG_SIDE:
            raise RejectedPhoto(
                Reason.TOO_MANY_PIXELS,
                f"{size}, at most {self.max_pixels:,} px and {MAX_JPEG_SIDE:,} a side allowed",
            )
        if decoding_bytes > self.max_decoding_bytes:
            raise RejectedPhoto(
                Reason.TOO_MANY_PIXELS,
                f"{size} take {decoding_bytes:,} bytes to decode in this format, "
                f"at most {self.max_decoding_bytes:,} allowed",
            )
