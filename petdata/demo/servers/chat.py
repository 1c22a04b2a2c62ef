"""A vision-language model's server on 127.0.0.1, as OpenAI's API has it, with faults on demand.

It sees nothing: the answer about a photo is drawn from the photo's SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, Self

from petdata.demo.servers.local_server import LoopbackConnection, LoopbackListener

PATH: Final = "/v1/chat/completions"
MAX_REQUEST_BYTES: Final = 32 * 2**20
PROMPT_TOKENS: Final = 100  # of every request
ANSWER_TOKENS: Final = 20
COATS: Final = {"en": ("red", "gray", "black"), "ru": ("рыжий", "серый", "чёрный")}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request; what is left out goes as usual."""

    delay_s: float = 0.0  # before the answer
    status: int | None = None
    retry_after_s: int | None = None
    body: bytes | None = None  # the whole answer
    says: str | None = None  # instead of the description
    cut_off: bool = False  # the answer reached its longest


USUAL: Final = Fault()


@dataclass(frozen=True, kw_only=True)
class Asked:
    sha256: str  # of the photo
    question: str
    model: str
    key: str | None
    at: float  # monotonic seconds


@dataclass(kw_only=True)
class ChatServer:
    """Use it as a context manager. `key`: what a client must show."""

    port: int = 0
    key: str | None = None
    faults: deque[Fault] = field(default_factory=deque)  # of the next requests, one each
    always: Callable[[str], Fault] = lambda sha256: USUAL  # of a photo, where no fault is planned
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._at_once = 0
        self._stopping = threading.Event()
        self._listener = _Listener(self.port, _Connection)
        self._listener.owner = self

    @property
    def url(self) -> str:
        """What a client calls its base URL."""
        return f"{self._listener.url}/v1"

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

    def answer(self, request: dict[str, Any], key: str | None) -> tuple[int, int | None, bytes]:
        """Status, Retry-After, body."""
        if self.key is not None and key != self.key:
            return 401, None, _error(f"wrong key {key}")
        sha256, question = _photo_and_question(request)
        with self._lock:
            asked = Asked(
                sha256=sha256,
                question=question,
                model=str(request.get("model")),
                key=key,
                at=time.monotonic(),
            )
            self.asked.append(asked)
            fault = self.faults.popleft() if self.faults else self.always(sha256)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self._stopping.wait(fault.delay_s)
        finally:
            with self._lock:
                self._at_once -= 1
        if fault.status is not None:
            return fault.status, fault.retry_after_s, fault.body or _error("out of order")
        if fault.body is not None:
            return 200, None, fault.body
        language = "ru" if "in Russian" in question else "en"
        text = description(sha256, language) if fault.says is None else fault.says
        return 200, None, _completion(asked.model, text, fault.cut_off)


def description(sha256: str, language: str = "en") -> str:
    """What the server says of a photo."""
    coat = COATS[language][int(sha256, 16) % 3]
    said = {
        "species": ("cat", "dog")[int(sha256, 16) % 2],
        **{"breed": "", "age_class": "adult", "coat": coat, "marks": ""},
    }
    return json.dumps(said, ensure_ascii=False)


def _photo_and_question(request: dict[str, Any]) -> tuple[str, str]:
    content = request["messages"][0]["content"]
    (picture,) = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    (question,) = [part["text"] for part in content if part["type"] == "text"]
    photo = base64.b64decode(picture.removeprefix("data:image/jpeg;base64,"), validate=True)
    return hashlib.sha256(photo).hexdigest(), question


def _completion(model: str, text: str, cut_off: bool) -> bytes:
    said = {
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "length" if cut_off else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": ANSWER_TOKENS,
            "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
        },
    }
    return json.dumps(said).encode()


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


class _Listener(LoopbackListener):
    owner: ChatServer


class _Connection(LoopbackConnection, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    listener: _Listener

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != PATH or not 0 < length <= MAX_REQUEST_BYTES:
            self.close_connection = True
            return self._send(404, None, _error(f"there is only POST {PATH}"))
        shown = self.headers.get("Authorization")
        key = shown.removeprefix("Bearer ") if shown else None
        try:
            found = self.listener.owner.answer(json.loads(self.rfile.read(length)), key)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            found = (400, None, _error(f"not a question about one photo: {error!r}"))
        return self._send(*found)

    def _send(self, status: int, retry_after_s: int | None, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after_s is not None:
                self.send_header("Retry-After", str(retry_after_s))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client is gone

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `asked`."""
