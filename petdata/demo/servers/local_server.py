"""An HTTP/1.1 server on 127.0.0.1 that can also misbehave, and remembers what it was asked.

It hands every GET and HEAD to one function. Answers may come late, drop by drop, or break off, and
a test may put other answers in the place of real ones.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler, StreamRequestHandler, TCPServer
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import unquote

MAX_LINE: Final = 65_536
MAX_HEADERS: Final = 100
LOG_LENGTH: Final = 500_000  # requests remembered; older ones are only counted
DROP_S: Final = 0.02  # between two pieces of an answer that drips
STATS_PATH: Final = "/__stats__"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str  # path and query as sent
    user_agent: str

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = ()  # a Content-Length here replaces the true one
    kind: str = "other"  # for the counts
    delay_s: float = 0.0  # before the first byte
    drip: int | None = None  # bytes every DROP_S seconds; None: all at once
    reset_after: int | None = None  # bytes (head included) after which the connection is reset


def redirect_to(url: str, status: int = 302) -> Response:
    return Response(status=status, headers=(("Location", url),))


Override = Response | Callable[[Response], Response]


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    method: str
    target: str
    user_agent: str
    status: int
    kind: str


@dataclass(slots=True)
class _Planned:
    override: Override
    times: int | None  # None: for ever


@dataclass(slots=True)
class _Record:
    """What was asked so far."""

    log: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)


class LocalServer:
    """Use it as a context manager; `url` is valid from its creation on."""

    def __init__(self, answer: Callable[[Request], Response], port: int = 0) -> None:
        self.before_request: Callable[[Request], None] | None = None
        self._answer = answer
        self._lock = threading.Lock()
        self._record = _Record()
        self._planned: dict[str, list[_Planned]] = {}
        self._stopping = threading.Event()
        self._listener = _Listener(port, _Connection)
        self._listener.owner = self

    @property
    def url(self) -> str:
        return self._listener.url

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._listener.stop()

    def override(self, target: str, override: Override, times: int | None = None) -> None:
        """Answer the next `times` requests for `target` (path and query) in another way.

        A function gets the real response and returns the one to send. Overrides of one target
        are used up one after the other; with `times=None` it stays until `restore`.
        """
        with self._lock:
            self._planned.setdefault(target, []).append(_Planned(override, times))

    def restore(self, target: str) -> None:
        with self._lock:
            self._planned.pop(target, None)

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """In the order of their answers, the latest LOG_LENGTH."""
        with self._lock:
            return tuple(self._record.log)

    def forget_requests(self) -> None:
        with self._lock:
            self._record = _Record()

    def stats(self) -> dict[str, object]:
        with self._lock:
            return {
                "requests": self._record.statuses.total(),
                "statuses": {str(code): n for code, n in sorted(self._record.statuses.items())},
                "kinds": dict(sorted(self._record.kinds.items())),
            }

    def respond(self, request: Request) -> Response:
        if request.path == STATS_PATH:
            return self._stats_response(with_log=request.query == "log=1")
        if self.before_request is not None:
            self.before_request(request)
        override = self._next_override(request.target)
        if isinstance(override, Response):
            response = override
        else:
            response = self._answer(request)
            if override is not None:
                response = override(response)
        with self._lock:
            self._record.log.append(
                LoggedRequest(
                    request.method,
                    request.target,
                    request.user_agent,
                    response.status,
                    response.kind,
                )
            )
            self._record.statuses[response.status] += 1
            self._record.kinds[response.kind] += 1
        return response

    def wait(self, seconds: float) -> bool:
        """False if the server stops meanwhile."""
        return not self._stopping.wait(seconds)

    def _next_override(self, target: str) -> Override | None:
        if not self._planned:
            return None
        with self._lock:
            for planned in self._planned.get(target, ()):
                if planned.times is None:
                    return planned.override
                if planned.times > 0:
                    planned.times -= 1
                    return planned.override
        return None

    def _stats_response(self, with_log: bool) -> Response:
        stats = self.stats()
        if with_log:
            stats["log"] = [asdict(entry) for entry in self.requests]
        return Response(body=json.dumps(stats).encode(), content_type="application/json")


class LoopbackListener(ThreadingHTTPServer):
    """Serves in a thread of its own, with one more for each connection; can drop them all."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, handler: type[BaseRequestHandler]) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.drop_connections()
        self._thread.join()

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own looks its address up in DNS

    def drop_connections(self) -> None:
        """Kept-alive connections would go on being served."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed meanwhile


class LoopbackConnection(StreamRequestHandler):
    """Its listener knows it as long as it lasts."""

    disable_nagle_algorithm = True
    listener: LoopbackListener

    def setup(self) -> None:
        super().setup()
        self.listener = cast(LoopbackListener, self.server)
        self.listener.connections.add(self.connection)

    def finish(self) -> None:
        self.listener.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            return  # the client is gone


class _Listener(LoopbackListener):
    owner: LocalServer


class _BadRequest(Exception):
    pass


class _Connection(LoopbackConnection):
    """Reads requests itself: http.server's parsing would be the slowest part of every answer."""

    listener: _Listener

    def handle(self) -> None:
        try:
            while self._handle_one():
                pass
        except OSError:
            return  # the client is gone

    def _handle_one(self) -> bool:
        """Whether the connection stays open."""
        try:
            request, keep = self._read_request()
        except _BadRequest:
            self._send(Response(status=400), Request("GET", "", ""), keep=False)
            return False
        if request is None:
            return False
        if request.method not in ("GET", "HEAD"):
            self._send(Response(status=405), request, keep=False)
            return False
        response = self.listener.owner.respond(request)
        return self._send(response, request, keep) and keep

    def _read_request(self) -> tuple[Request | None, bool]:
        line = self.rfile.readline(MAX_LINE)
        if not line:
            return None, False
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[1].startswith("/"):
            raise _BadRequest
        keep, user_agent = parts[2] == "HTTP/1.1", ""
        for _ in range(MAX_HEADERS):
            line = self.rfile.readline(MAX_LINE)
            if line in (b"\r\n", b"\n", b""):
                return Request(parts[0], parts[1], user_agent), keep
            name, _, value = line.decode("latin-1").partition(":")
            name = name.lower()
            if name == "user-agent":
                user_agent = value.strip()
            elif name == "connection":
                keep = value.strip().lower() != "close"
        raise _BadRequest

    def _send(self, response: Response, request: Request, keep: bool) -> bool:
        """False if the connection broke off, as the response wanted."""
        server = self.listener.owner
        if response.delay_s and not server.wait(response.delay_s):
            return False
        head = _head(response, keep)
        answer = head if request.method == "HEAD" else head + response.body
        if response.reset_after is not None:
            answer = answer[: response.reset_after]
        step = response.drip or len(answer) or 1
        for start in range(0, len(answer), step):
            self.connection.sendall(answer[start : start + step])
            if response.drip is not None and not server.wait(DROP_S):
                return False
        if response.reset_after is not None:
            self._reset()
            return False
        return True

    def _reset(self) -> None:
        """With a linger time of 0, closing sends RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.listener.connections.discard(self.connection)
        self.rfile.close()
        self.connection.close()


def _head(response: Response, keep: bool) -> bytes:
    reason = http.client.responses.get(response.status, "")
    lines = [f"HTTP/1.1 {response.status} {reason}", f"Content-Type: {response.content_type}"]
    if not any(name.lower() == "content-length" for name, _ in response.headers):
        lines.append(f"Content-Length: {len(response.body)}")
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append("Connection: keep-alive" if keep else "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
