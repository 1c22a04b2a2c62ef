"""A Telegram server on 127.0.0.1 for unmodified Telethon clients, which can also misbehave.

    with TelegramServer([channel]) as server:
        session = server.write_session(folder / "account")
        ...  # TelegramClient(str(session), 1, "hash", receive_updates=False)

It speaks whatever layer the installed Telethon speaks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from telethon.crypto import AuthKey
from telethon.sessions import (
    MemorySession,
    SQLiteSession,
)
from telethon.tl import functions, types
from telethon.tl.tlobject import TLRequest

from petdata.demo.servers.telegram_answers import Answers, History
from petdata.demo.servers.telegram_channels import HOME_DC, StubChannel, StubMessage
from petdata.demo.servers.telegram_faults import LoggedRequest, TelegramFaults
from petdata.demo.servers.telegram_login import Account, Login
from petdata.demo.servers.telegram_objects import RequestFailed
from petdata.demo.servers.telegram_requests import logged, serialise, unwrap
from petdata.demo.servers.telegram_wire import KEY_BYTES, Received, Wire

_ALLOWED_BEFORE_LOGIN: Final = functions.help.GetConfigRequest


class TelegramServer:
    """A context manager; port, key and sessions are valid from its creation on.

    All methods may be called while it serves.
    """

    def __init__(
        self,
        channels: Iterable[StubChannel],
        *,
        faults: TelegramFaults | None = None,
        account: Account | None = None,
        authorised: bool = True,
        auth_key: bytes | None = None,
    ) -> None:
        self.auth_key = auth_key or os.urandom(KEY_BYTES)
        self.account = account or Account()
        self._faults = faults or TelegramFaults()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._login = Login(self.account, authorised)
        self._answers = Answers(channels, self._faults, self.port, self.account.user)
        self._lock = threading.RLock()
        self._log: list[LoggedRequest] = []
        self._calls: Counter[str] = Counter()
        self._failure: Exception | None = None
        self._wires: set[Wire] = set()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    # For clients

    def session(self) -> Any:
        """In memory, for a client of this process."""
        return self._point_here(MemorySession())

    def write_session(self, path: Path) -> Path:
        """A session file for a client of any process. Telethon adds ".session" to its name."""
        path = path if path.suffix == ".session" else path.with_name(f"{path.name}.session")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        path.chmod(0o600)
        session = self._point_here(SQLiteSession(str(path)))
        session.save()
        session.close()
        return path

    def _point_here(self, session: Any) -> Any:
        session.set_dc(HOME_DC, "127.0.0.1", self.port)
        session.auth_key = AuthKey(data=self.auth_key)
        return session

    # What changes

    def put(self, channel_id: int, message: StubMessage) -> None:
        """Add a message, or put it in the place of the one with its id."""
        with self._lock:
            self._history(channel_id).put(message)

    def delete(self, channel_id: int, *message_ids: int) -> None:
        with self._lock:
            for message_id in message_ids:
                self._history(channel_id).delete(message_id)

    def messages(self, channel_id: int) -> list[StubMessage]:
        """As they are now, the oldest first."""
        with self._lock:
            history = self._history(channel_id)
            found = [history.get(message_id) for message_id in history.ids]
            return [message for message in found if message is not None]

    def expire(self, *media_ids: int) -> None:
        """Make the file references of photos or documents expire once more."""
        with self._lock:
            for media_id in media_ids:
                self._answers.references.expire(media_id)

    def set_faults(self, faults: TelegramFaults) -> None:
        """From now on; the calls are counted anew. Expired references come on top of earlier ones,
        and listed sizes stay as they were."""
        with self._lock:
            self._faults = faults
            self._calls.clear()
            for media_id, times in faults.expired.items():
                self.expire(*[media_id] * times)

    @property
    def is_authorised(self) -> bool:
        return self._login.authorised

    def revoke(self) -> None:
        """Sign the account out, as its owner may from another device."""
        with self._lock:
            self._login.authorised = False

    def drop_connections(self) -> None:
        self._loop.call_soon_threadsafe(self._abort_all)

    # What was asked

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """In the order of their answers; without pings and acknowledgements."""
        with self._lock:
            return tuple(self._log)

    def requests_of(self, name: str) -> list[LoggedRequest]:
        return [request for request in self.requests if request.name == name]

    def forget_requests(self) -> None:
        """The log only: faults go on counting."""
        with self._lock:
            self._log.clear()

    def photo_requests(self) -> Counter[int]:
        """How often each photo was fetched to its end, in whatever size."""
        return Counter(
            request.photo_id
            for request in self.requests
            if request.photo_id is not None and request.is_last_part
        )

    # The server's thread

    def _history(self, channel_id: int) -> History:
        return self._answers.histories[channel_id]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stopping.wait()
        server.close()
        self._abort_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _abort_all(self) -> None:
        for wire in self._wires:
            wire.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, self.auth_key)
        self._wires.add(wire)
        try:
            while True:
                for received in await wire.receive():
                    await self._respond(wire, received)
                await wire.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client is gone, or speaks something else
        except asyncio.CancelledError:
            return  # the server stops
        finally:
            self._wires.discard(wire)
            writer.close()

    async def _respond(self, wire: Wire, received: Received) -> None:
        request, name = unwrap(received.request)
        if isinstance(request, functions.PingRequest | functions.PingDelayDisconnectRequest):
            pong = types.Pong(received.message_id, request.ping_id)
            wire.send(received.session_id, bytes(pong))
            return
        if not isinstance(request, TLRequest):
            return  # an acknowledgement
        if name in self._faults.delays_s:
            await asyncio.sleep(self._faults.delays_s[name])
        with self._lock:
            self._calls[name] += 1
            is_dropped = (name, self._calls[name]) in self._faults.dropped
            result, outcome = self._answer(request, name)
            is_last = (
                outcome == "ok"
                and isinstance(result, types.upload.File)
                and len(result.bytes) < request.limit
            )
            self._log.append(
                logged(
                    request,
                    name=name,
                    outcome="dropped" if is_dropped else outcome,
                    is_last_part=is_last and not is_dropped,
                )
            )
        wire.send_result(
            received.session_id, received.message_id, serialise(result), half=is_dropped
        )

    def _answer(self, request: Any, name: str) -> tuple[Any, str]:
        """The answer, and in a word what became of the request."""
        try:
            seconds = self._faults.floods.get((name, self._calls[name]))
            if seconds is not None:
                raise RequestFailed(420, f"FLOOD_WAIT_{seconds}")
            result = self._login.answer(request)
            if result is None:
                if not (self._login.authorised or isinstance(request, _ALLOWED_BEFORE_LOGIN)):
                    raise RequestFailed(401, "AUTH_KEY_UNREGISTERED")
                result = self._answers.answer(request)
            return result, "ok"
        except RequestFailed as failure:
            return types.RpcError(failure.code, failure.text), failure.text
        except Exception as error:  # noqa: BLE001 - ours; the client gets an answer, __exit__ raises
            self._failure = error
            return types.RpcError(400, "SERVER_FAILED"), "SERVER_FAILED"
