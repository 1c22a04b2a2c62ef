"""One connection to a local Hub: bodies in, answers out, and what the fault plan spoils of them."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import Final, Protocol

from petdata.demo.servers.hub_calls import Account, Answer, Call, HubState, Upload, pieces
from petdata.demo.servers.hub_faults import Fault, FaultPlan, LoggedRequest
from petdata.demo.servers.hub_routes import Route, find_route, without_ticket
from petdata.demo.servers.local_server import LoopbackConnection, LoopbackListener

_PIECE: Final = 2**16
_TO_FILE: Final = frozenset({"lfs_upload", "lfs_part"})
_upload_numbers = count()


class HubOwner(Protocol):
    """What connections need of the Hub that they belong to."""

    state: HubState
    faults: FaultPlan
    stopping: threading.Event

    def account(self, token: str) -> Account | None: ...
    def answer(self, call: Call) -> Answer: ...
    def log(self, request: LoggedRequest) -> None: ...


class HubListener(LoopbackListener):
    owner: HubOwner

    def __init__(self, port: int) -> None:
        super().__init__(port, HubConnection)


class _Dropped(Exception):
    pass


class HubConnection(LoopbackConnection, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    listener: HubListener
    wbufsize = -1  # head and short bodies leave together

    def setup(self) -> None:
        super().setup()
        self.owner = self.listener.owner

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the client is gone

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _serve(self) -> None:
        route = find_route(self.command, self.path)
        fault = self.owner.faults.next(route.kind)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        user = self.owner.account(token) if token else None
        ticket = self.owner.state.tickets.get(route.ticket)
        logged = LoggedRequest(
            kind=route.kind,
            method=self.command,
            target=without_ticket(self.path),
            user=user.name if user is not None else None,
            status=None,
            received_bytes=0,
            range=self.headers.get("Range"),
            oid=ticket.sha256 if ticket is not None else None,
        )
        self.received = 0
        answer: Answer | None = None
        try:
            answer = self._carry_out(route, fault, user, has_bad_token=bool(token) and user is None)
        except _Dropped:
            self._reset()
        finally:  # before the answer: who has it finds its request in the log
            is_whole = answer is not None and fault.drop_answer_at is None
            status = answer.status if answer is not None and is_whole else None
            self.owner.log(replace(logged, status=status, received_bytes=self.received))
        if answer is not None:
            try:
                self._send(answer, fault)
            except _Dropped:
                self._reset()

    def _carry_out(
        self, route: Route, fault: Fault, user: Account | None, *, has_bad_token: bool
    ) -> Answer:
        if fault.before is not None:
            fault.before()
        if fault.delay_s and self.owner.stopping.wait(fault.delay_s):
            raise _Dropped
        body, upload = b"", None
        if route.kind in _TO_FILE and fault.status is None:
            upload = self._receive_file(fault)
        else:
            body = b"".join(self._body(fault))
        if fault.status is not None:
            return _refusal(fault)
        call = Call(
            route=route,
            method=self.command,
            user=user,
            has_bad_token=has_bad_token,
            body=body,
            upload=upload,
            range=self.headers.get("Range"),
            is_corrupted=fault.corrupt,
        )
        answer = self.owner.answer(call)
        if fault.after is not None:
            fault.after()
        return answer

    # Bodies

    def _body(self, fault: Fault) -> Iterator[bytes]:
        left = fault.drop_request_at
        for piece in self._body_pieces():
            self.received += len(piece)
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    raise _Dropped
            yield piece
        if left is not None:
            raise _Dropped

    def _body_pieces(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while length := int(self.rfile.readline().split(b";")[0], 16):
                yield from self._exactly(length)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
        else:
            yield from self._exactly(int(self.headers.get("Content-Length", "0")))

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self.rfile.read(min(length, _PIECE))
            if not piece:
                raise _Dropped  # by the client
            length -= len(piece)
            yield piece

    def _receive_file(self, fault: Fault) -> Upload:
        path = self.owner.state.store.temporary(f"{next(_upload_numbers)}")
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("wb") as file:
                for piece in self._body(fault):
                    if fault.corrupt and size == 0:
                        piece = bytes([piece[0] ^ 1]) + piece[1:]
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
        except (_Dropped, OSError):
            path.unlink(missing_ok=True)
            raise
        return Upload(path, digest.hexdigest(), size)

    # Answers

    def _send(self, answer: Answer, fault: Fault) -> None:
        value = answer.value
        if fault.alter is not None:
            value = fault.alter(value)
        body = b"" if value is None else json.dumps(value).encode()
        length = answer.content.length if answer.content is not None else len(body)
        self.send_response(answer.status)
        for name, text in answer.headers:
            self.send_header(name, text.encode("latin-1", "replace").decode("latin-1"))
        kind = "application/octet-stream" if answer.content is not None else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            content = iter([body])
            if answer.content is not None:
                content = pieces(answer.content, corrupt=fault.corrupt)
            self._write(content, fault.drop_answer_at)
        elif fault.drop_answer_at is not None:
            raise _Dropped
        self.wfile.flush()

    def _write(self, content: Iterator[bytes], drop_at: int | None) -> None:
        for piece in content:
            if drop_at is not None and len(piece) >= drop_at:
                self.wfile.write(piece[:drop_at])
                self.wfile.flush()
                raise _Dropped
            self.wfile.write(piece)
            drop_at = drop_at - len(piece) if drop_at is not None else None
        if drop_at is not None:
            raise _Dropped

    def _reset(self) -> None:
        """Shutting down what has been sent lets it arrive; the length that is missing tells."""
        self.close_connection = True
        self.listener.connections.discard(self.connection)
        if self.command in ("PUT", "POST"):
            linger = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client is gone


def _refusal(fault: Fault) -> Answer:
    assert fault.status is not None
    headers: tuple[tuple[str, str], ...] = (("X-Error-Message", fault.message),)
    if fault.retry_after_s is not None:
        headers += (("Retry-After", str(fault.retry_after_s)),)
    return Answer(status=fault.status, value={"error": fault.message}, headers=headers)
