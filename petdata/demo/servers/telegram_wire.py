"""The server's end of MTProto over TCP: frames, encryption, message ids; Telethon's own parts.

The key is agreed on beforehand, so that no handshake is needed. Messages of a server have odd ids.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from zlib import crc32

from telethon.crypto import AES, AuthKey
from telethon.extensions import BinaryReader
from telethon.network.mtprotostate import (
    MTProtoState,
)
from telethon.tl.core import (
    GzipPacked,
    MessageContainer,
    RpcResult,
)

KEY_BYTES: Final = 256
MOST_FRAME_BYTES: Final = 2**24
UNKNOWN_KEY: Final = struct.pack("<i", -404)  # the whole answer to a key nobody knows
HEADER: Final = struct.Struct("<qqqii")  # salt, session, message id, sequence number, length


@dataclass(frozen=True, slots=True)
class Received:
    session_id: int
    message_id: int
    request: Any


class Wire:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, auth_key: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._key = auth_key
        self._key_id = struct.pack("<Q", AuthKey(data=auth_key).key_id)
        self._frames_sent = 0
        self._last_message_id = 0

    async def receive(self) -> list[Received]:
        """The requests of the next frame; none if it came under another key."""
        (length,) = struct.unpack("<i", await self._reader.readexactly(4))
        if not 12 <= length <= MOST_FRAME_BYTES:
            raise ConnectionError(f"a frame of {length} bytes")
        packet = (await self._reader.readexactly(length - 4))[4:-4]
        if packet[:8] != self._key_id:
            self._send_frame(UNKNOWN_KEY)
            return []
        message_key = packet[8:24]
        plain = AES.decrypt_ige(
            packet[24:], *MTProtoState._calc_key(self._key, message_key, client=True)
        )
        if sha256(self._key[88:120] + plain).digest()[8:24] != message_key:
            raise ConnectionError("a message that is not what its key says")
        _, session_id, message_id, _, length = HEADER.unpack_from(plain)
        body = plain[HEADER.size : HEADER.size + length]
        return [
            Received(session_id, inner_id, request) for inner_id, request in _open(message_id, body)
        ]

    def send(self, session_id: int, body: bytes) -> None:
        self._send_frame(self._encrypt(session_id, body))

    def send_result(
        self, session_id: int, message_id: int, result: bytes, *, half: bool = False
    ) -> None:
        """With `half`, the connection breaks off in the middle."""
        body = struct.pack("<Iq", RpcResult.CONSTRUCTOR_ID, message_id) + result
        frame = self._frame(self._encrypt(session_id, body))
        if half:
            self._writer.write(frame[: len(frame) // 2])
            self.abort()
        else:
            self._writer.write(frame)

    def abort(self) -> None:
        self._writer.transport.abort()

    async def drain(self) -> None:
        await self._writer.drain()

    def _encrypt(self, session_id: int, body: bytes) -> bytes:
        now = time.time_ns()
        fraction = (now % 10**9 << 32) // 10**9
        self._last_message_id = max(
            self._last_message_id + 4, (now // 10**9 << 32 | fraction) & ~3 | 1
        )
        data = HEADER.pack(0, session_id, self._last_message_id, 1, len(body)) + body
        data += os.urandom(-(len(data) + 12) % 16 + 12)
        message_key = sha256(self._key[96:128] + data).digest()[8:24]
        secrets = MTProtoState._calc_key(self._key, message_key, client=False)
        encrypted: bytes = AES.encrypt_ige(data, *secrets)
        return self._key_id + message_key + encrypted

    def _frame(self, packet: bytes) -> bytes:
        frame = struct.pack("<ii", len(packet) + 12, self._frames_sent) + packet
        self._frames_sent += 1
        return frame + struct.pack("<I", crc32(frame))

    def _send_frame(self, packet: bytes) -> None:
        self._writer.write(self._frame(packet))


def _open(message_id: int, body: bytes) -> Iterator[tuple[int, Any]]:
    """What stands in containers and compressed packages, one by one."""
    with BinaryReader(body) as reader:
        request = reader.tgread_object()
    messages = (
        [(inner.msg_id, inner.obj) for inner in request.messages]
        if isinstance(request, MessageContainer)
        else [(message_id, request)]
    )
    for inner_id, inner in messages:
        if isinstance(inner, GzipPacked):
            yield from _open(inner_id, inner.data)
        else:
            yield inner_id, inner
