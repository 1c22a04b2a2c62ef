"""Models that answer a question about one photo: behind an OpenAI-compatible server, or here."""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from petdata.errors import MissingSetting, PetdataError, TryLater
from trainer.describe_prompt import MAX_ANSWER_TOKENS

API_KEY: Final = "PETDATA_DESCRIBE_KEY"  # environment variable
MAX_ANSWER_BYTES: Final = 256 * 2**10
_TRIES: Final = 6  # of one request, where the server is busy or silent
_FIRST_PAUSE_S: Final = 0.5  # then twice as long each time
_LONGEST_PAUSE_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    text: str
    prompt_tokens: int
    answer_tokens: int
    cut_off: bool  # it would have been longer


class RefusedPhoto(Exception):
    """The server does not want this photo; another one it may."""


class Backend(Protocol):
    @property
    def model(self) -> str: ...

    @property
    def model_hash(self) -> str: ...

    @property
    def most_at_once(self) -> int | None:
        """None: as many as the user wants."""

    def answer(self, jpeg: bytes, question: str) -> Answer:
        """Raises RefusedPhoto, TryLater, and PetdataError where no photo would fare better."""

    def stop(self) -> None:
        """No more answers are wanted; one that is under way may still come."""

    def close(self) -> None: ...


class OpenAICompatible:
    """POST {base_url}/chat/completions, from any number of threads."""

    most_at_once: int | None = None
    model_hash = ""

    def __init__(
        self, base_url: str, model: str, *, key: str | None = None, timeout_s: float = 120.0
    ) -> None:
        import httpx2

        _require_safe(base_url, key)
        self.model = model
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._key = key
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0  # monotonic: a busy server is left alone by all threads
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx2.Timeout(timeout_s, connect=10.0)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx2.Client(headers=headers, timeout=timeout, limits=limits)
        self._transport_errors = httpx2.TransportError

    def stop(self) -> None:
        """Requests that wait for their turn end with TryLater."""
        self._stopping.set()

    def close(self) -> None:
        self._client.close()

    def answer(self, jpeg: bytes, question: str) -> Answer:
        asked = self._request(jpeg, question)
        why = ""
        for attempt in range(_TRIES):
            self._wait()
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
            try:
                status, retry_after, body = self._post(asked)
            except self._transport_errors as error:
                why = f"{type(error).__name__}"
                self._pause(pause)
                continue
            if status == 200:
                return _understand(body)
            why = f"HTTP {status}{self._said(body)}"
            if status not in (408, 425, 429) and status < 500:
                raise self._refusal(status, why)
            self._pause(pause if retry_after is None else retry_after)
        raise TryLater(f"{self._url} did not answer in {_TRIES} tries ({why}): start again later")

    def _request(self, jpeg: bytes, question: str) -> bytes:
        picture = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        content = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": question},
        ]
        request = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": MAX_ANSWER_TOKENS,
            "temperature": 0,
        }
        return json.dumps(request).encode()

    def _post(self, asked: bytes) -> tuple[int, float | None, bytes]:
        headers = {"Content-Type": "application/json"}
        with self._client.stream("POST", self._url, content=asked, headers=headers) as got:
            body = b""
            for piece in got.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    break
            return got.status_code, _seconds(got.headers.get("retry-after")), body

    def _refusal(self, status: int, why: str) -> Exception:
        if status in (400, 413, 422):
            return RefusedPhoto(why)
        if status in (401, 403):
            return MissingSetting(f"{self._url}: {why}: put a key that it accepts into {API_KEY}")
        return PetdataError(f"{self._url}: {why}: check --base-url and --model")

    def _said(self, body: bytes) -> str:
        """The start of an error's body, for people; without the key, should a server repeat it."""
        text = " ".join(body[:2000].decode(errors="replace").split())
        if self._key:
            text = text.replace(self._key, "***")
        text = "".join(letter for letter in text[:200] if letter.isprintable())
        return f", {text}" if text else ""

    def _pause(self, seconds: float) -> None:
        with self._lock:
            until = time.monotonic() + min(seconds, _LONGEST_PAUSE_S)
            self._not_before = max(self._not_before, until)

    def _wait(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0 and not self._stopping.is_set():
            self._stopping.wait(left)
        if self._stopping.is_set():
            raise TryLater("stopped")


def _require_safe(base_url: str, key: str | None) -> None:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise PetdataError(
            "--base-url must be like https://host/v1, without a name or password in it; keys are "
            f"read from {API_KEY}"
        )
    if key and not key.isascii():
        raise PetdataError(f"{API_KEY} holds what is no key: letters, digits and signs of ASCII")
    if key and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise PetdataError(
            f"{API_KEY} is set and --base-url is plain http: the key would be readable on its way; "
            "use https"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(value: str | None) -> float | None:
    """Of Retry-After; a date counts as not said."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _understand(body: bytes) -> Answer:
    """What is no completion gives an empty text, which is refused like any wrong answer."""
    try:
        said = json.loads(body)
        choice = said["choices"][0]
        usage = said.get("usage") or {}
        return Answer(
            text=str(choice["message"]["content"] or ""),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            answer_tokens=int(usage.get("completion_tokens") or 0),
            cut_off=choice.get("finish_reason") == "length",
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        too_long = len(body) > MAX_ANSWER_BYTES
        return Answer(text="", prompt_tokens=0, answer_tokens=0, cut_off=too_long)


class Transformers:
    """A vision-language model of the transformers library, in this process."""

    most_at_once: int | None = 1

    def __init__(self, model: str, device: str = "auto") -> None:
        from trainer.hub_models import load_processor, load_whole, model_folder
        from trainer.weights_hash import weights_hash

        folder, self.model = model_folder(model)
        self.model_hash = weights_hash(folder)
        self._processor = load_processor("AutoProcessor", folder)
        self._network = load_whole("AutoModelForImageTextToText", folder, device)

    def answer(self, jpeg: bytes, question: str) -> Answer:
        import torch
        from PIL import Image

        with Image.open(io.BytesIO(jpeg)) as opened:
            picture = opened.convert("RGB")
        content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._network.device, dtype=self._network.dtype)
        asked = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            tokens = self._network.generate(
                **inputs, max_new_tokens=MAX_ANSWER_TOKENS, do_sample=False
            )[0, asked:]
        return Answer(
            text=self._processor.decode(tokens, skip_special_tokens=True),
            prompt_tokens=asked,
            answer_tokens=len(tokens),
            cut_off=len(tokens) >= MAX_ANSWER_TOKENS,
        )

    def stop(self) -> None:
        """A photo that is being looked at is looked at to the end."""

    def close(self) -> None:
        """Its memory goes with it."""
