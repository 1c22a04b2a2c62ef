from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection, IncompleteRead
from urllib.parse import urlsplit

import pytest

from petdata.demo.servers.local_server import LocalServer, Request, Response, redirect_to


def echo(request: Request) -> Response:
    return Response(body=request.path.encode(), kind="echo")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(echo) as running:
        yield running


def connect(server: LocalServer, timeout: float = 10) -> HTTPConnection:
    parts = urlsplit(server.url)
    return HTTPConnection(parts.hostname or "", parts.port or 0, timeout=timeout)


def get(server: LocalServer, target: str) -> tuple[int, bytes]:
    connection = connect(server)
    connection.request("GET", target, headers={"User-Agent": "tests/1"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_one_connection_carries_many_requests(server: LocalServer) -> None:
    connection = connect(server)
    connection.connect()
    first_socket = connection.sock
    for number in range(20):
        connection.request("GET", f"/page/{number}")
        assert connection.getresponse().read() == f"/page/{number}".encode()
        assert connection.sock is first_socket
    connection.close()


def test_requests_are_logged_in_order_with_agent_and_status(server: LocalServer) -> None:
    server.override("/b?x=1", Response(status=503))
    for target in ("/a", "/b?x=1", "/%D0%BA%D0%BE%D1%82"):
        get(server, target)
    logged = [(r.target, r.user_agent, r.status, r.kind) for r in server.requests]
    assert logged == [
        ("/a", "tests/1", 200, "echo"),
        ("/b?x=1", "tests/1", 503, "other"),
        ("/%D0%BA%D0%BE%D1%82", "tests/1", 200, "echo"),
    ]
    _, body = get(server, "/__stats__?log=1")
    stats = json.loads(body)
    assert stats["requests"] == 3
    assert stats["statuses"] == {"200": 2, "503": 1}
    assert stats["kinds"] == {"echo": 2, "other": 1}
    assert [entry["target"] for entry in stats["log"]] == [target for target, *_ in logged]
    server.forget_requests()
    assert json.loads(get(server, "/__stats__")[1])["requests"] == 0


def test_addresses_are_decoded(server: LocalServer) -> None:
    assert get(server, "/%D0%BA%D0%BE%D1%82?a=%20b") == (200, "/кот".encode())


def test_overrides_are_used_up_in_order(server: LocalServer) -> None:
    server.override("/a", Response(status=503), times=2)
    server.override("/a", Response(status=404), times=1)
    assert [get(server, "/a")[0] for _ in range(5)] == [503, 503, 404, 200, 200]
    server.override("/a", Response(status=410))
    assert [get(server, "/a")[0] for _ in range(3)] == [410, 410, 410]
    server.restore("/a")
    assert get(server, "/a") == (200, b"/a")


def test_an_override_may_alter_the_real_answer(server: LocalServer) -> None:
    server.override("/a", lambda real: replace(real, body=real.body * 3, status=203), times=1)
    assert get(server, "/a") == (203, b"/a/a/a")


def test_a_redirect_names_its_goal(server: LocalServer) -> None:
    server.override("/a", redirect_to("http://elsewhere.example/x", 301))
    connection = connect(server)
    connection.request("GET", "/a")
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (301, "http://elsewhere.example/x")
    connection.close()


def test_the_hook_runs_before_the_answer(server: LocalServer) -> None:
    def shift(request: Request) -> None:
        server.override("/a", Response(body=b"changed by the hook"))

    server.before_request = shift
    assert get(server, "/a") == (200, b"changed by the hook")


def test_a_late_answer_is_late(server: LocalServer) -> None:
    server.override("/a", lambda real: replace(real, delay_s=0.2))
    started = time.monotonic()
    assert get(server, "/a")[1] == b"/a"
    assert time.monotonic() - started >= 0.2


def test_a_dripping_answer_arrives_whole(server: LocalServer) -> None:
    server.override("/a", Response(body=b"drop" * 20, drip=64))
    assert get(server, "/a")[1] == b"drop" * 20


def test_a_reset_before_the_answer_and_one_within_it(server: LocalServer) -> None:
    server.override("/a", lambda real: replace(real, reset_after=0))
    with pytest.raises(ConnectionResetError):
        get(server, "/a")
    server.override("/b", Response(body=b"x" * 100_000, reset_after=5_000))
    with pytest.raises((ConnectionResetError, IncompleteRead)):
        get(server, "/b")
    assert get(server, "/c")[0] == 200


def test_a_false_content_length_is_sent_as_it_is(server: LocalServer) -> None:
    server.override("/a", Response(body=b"short", headers=(("Content-Length", "500"),)))
    connection = connect(server, timeout=0.3)
    connection.request("GET", "/a")
    response = connection.getresponse()
    assert response.headers["Content-Length"] == "500"
    with pytest.raises((IncompleteRead, TimeoutError)):
        response.read()
    connection.close()


def test_head_sends_no_body(server: LocalServer) -> None:
    connection = connect(server)
    connection.request("HEAD", "/abc")
    response = connection.getresponse()
    assert (response.headers["Content-Length"], response.read()) == ("4", b"")
    connection.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GARBAGE\r\n\r\n", b"400", id="not HTTP"),
        pytest.param(b"POST /a HTTP/1.1\r\nHost: x\r\n\r\n", b"405", id="not a GET"),
        pytest.param(b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 200, b"400", id="endless head"),
    ],
)
def test_what_is_no_request_is_refused(server: LocalServer, sent: bytes, status: bytes) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(4096).split()[1] == status


def test_stopping_ends_hanging_answers_and_open_connections() -> None:
    with LocalServer(echo) as server:
        server.override("/hang", Response(delay_s=600))
        waiting = connect(server)
        waiting.request("GET", "/hang")
        idle = connect(server)
        idle.request("GET", "/a")
        idle.getresponse().read()
        time.sleep(0.1)  # until the hanging request has been read
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert idle.sock is not None
    assert idle.sock.recv(1) == b""
    waiting.close()
