"""Telethon's requests and results on a server's side: their names, what is logged, their bytes."""

from __future__ import annotations

import struct
from typing import Any, Final

from telethon.tl import functions, types
from telethon.tl.core import GzipPacked

from petdata.demo.servers.telegram_faults import LoggedRequest

_WRAPPERS: Final = (
    functions.InvokeWithLayerRequest,
    functions.InitConnectionRequest,
    functions.InvokeWithoutUpdatesRequest,
    functions.InvokeAfterMsgRequest,
)
_VECTOR: Final = 0x1CB5C415


def unwrap(request: Any) -> tuple[Any, str]:
    """The request itself, and its name in Telegram's documentation."""
    while isinstance(request, _WRAPPERS):
        request = request.query
    kind = type(request)
    group = kind.__module__.rpartition(".")[2]
    name = kind.__name__.removesuffix("Request")
    name = name[:1].lower() + name[1:]
    return request, name if group == "functions" else f"{group}.{name}"


def serialise(result: Any) -> bytes:
    if isinstance(result, list):
        parts = b"".join(bytes(part) for part in result)
        return struct.pack("<Ii", _VECTOR, len(result)) + parts
    packed: bytes = bytes(result)
    if isinstance(result, types.upload.File | types.RpcError):
        return packed
    compressed: bytes = GzipPacked.gzip_if_smaller(True, packed)
    return compressed


def logged(request: Any, *, name: str, outcome: str, is_last_part: bool) -> LoggedRequest:
    channel = getattr(request, "channel", None) or getattr(request, "peer", None)
    location: Any = getattr(request, "location", None)
    is_photo = isinstance(location, types.InputPhotoFileLocation)
    ids = getattr(request, "id", ()) if name == "channels.getMessages" else ()
    return LoggedRequest(
        name=name,
        outcome=outcome,
        channel_id=getattr(channel, "channel_id", None),
        ids=tuple(getattr(asked, "id", 0) for asked in ids),
        offset_id=getattr(request, "offset_id", None),
        add_offset=getattr(request, "add_offset", None),
        limit=getattr(request, "limit", None),
        min_id=getattr(request, "min_id", None),
        max_id=getattr(request, "max_id", None),
        handle=getattr(request, "username", None),
        photo_id=location.id if is_photo else None,
        document_id=location.id if location is not None and not is_photo else None,
        size=getattr(location, "thumb_size", None),
        offset=getattr(request, "offset", None),
        is_last_part=is_last_part,
    )
