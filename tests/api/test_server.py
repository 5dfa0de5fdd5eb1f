"""The server beneath the service: its answers, its own problems, and what it does without a uvicorn that it knows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Generator, Iterator
from importlib.metadata import requires
from typing import Any

import pytest
import uvicorn

from interlock.api.http.server import TESTED, bounded_protocol, listen, server_config
from tests.kit.settings import free_port

PLAIN = (b"content-type", b"text/plain")
Said = list[tuple[str, Any]]
ANSWERS: dict[str, Said] = {
    "/whole": [("start", (200, [PLAIN, (b"content-length", b"5")])), ("body", (b"hello", False))],
    "/last": [("start", (200, [(b"connection", b"close"), (b"content-length", b"5")])), ("body", (b"hello", False))],
    "/short": [("start", (200, [(b"content-length", b"9")])), ("body", (b"hello", False))],
    "/split": [
        ("start", (200, [(b"x", b"a\r\nset-cookie: b"), (b"content-length", b"5")])),
        ("body", (b"hello", False)),
    ],
    "/nothing": [("start", (200, [(b"content-length", b"5")]))],
}  # fmt: skip


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Say what ANSWERS has for a path."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    if scope["path"] == "/fails":
        raise ZeroDivisionError
    for kind, told in ANSWERS[scope["path"]]:
        if kind == "start":
            await send({"type": "http.response.start", "status": told[0], "headers": told[1]})
        else:
            await send({"type": "http.response.body", "body": told[0], "more_body": told[1]})


class Server(uvicorn.Server):
    """A server of ours before that application."""

    def __init__(self, stop_within: int = 10, version: str = uvicorn.__version__) -> None:
        config = server_config(application, version=version)
        config.timeout_graceful_shutdown = stop_within
        super().__init__(config)


@contextlib.contextmanager
def serving(server: Server) -> Generator[int]:
    """Run it, and tell its port."""
    number = free_port()
    bound = listen("127.0.0.1", number)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield number
    server.should_exit = True
    thread.join(10)
    bound.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Server(stop_within=10)) as number:
        yield number


def ask(port: int, *paths: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Send requests one after the other at once, and return all that comes until it is silent or hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        connection.sendall(b"".join(f"{method} {path} HTTP/{version}\r\nHost: a\r\n\r\n".encode() for path in paths))
        got = b""
        try:
            while piece := connection.recv(65_536):
                got += piece
        except TimeoutError:
            return got
    return got + b"<closed>"


def headers(answer: bytes) -> list[bytes]:
    """The header lines of an answer but its date."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    return [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"date:")]


def test_a_whole_answer(port: int) -> None:
    """Status, headers in their order, a date, the body; and the connection stays for the next."""
    answer = ask(port, "/whole")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert headers(answer) == [b"content-type: text/plain", b"content-length: 5"]
    assert answer.endswith(b"\r\n\r\nhello")
    assert ask(port, "/whole", "/whole", "/whole").count(b"\r\n\r\nhello") == 3


def test_the_last_answer_of_a_connection(port: int) -> None:
    """The application's `connection: close`, and HTTP/1.0's, end the connection after the answer."""
    assert ask(port, "/last").endswith(b"hello<closed>")
    assert ask(port, "/whole", version="1.0").endswith(b"hello<closed>")


@pytest.mark.parametrize("path", ["/short", "/split", "/nothing"])
def test_what_is_no_answer(port: int, path: str) -> None:
    """A length that is not kept, a header that would be two, and half an answer never pass for a good one."""
    answer = ask(port, path)
    assert b"set-cookie" not in answer
    assert answer.endswith(b"<closed>")
    assert answer.count(b"hello") <= answer.count(b"content-length: 9")


def test_an_application_that_fails(port: int) -> None:
    """The server's own 500 is a problem that says nothing of what happened."""
    answer = ask(port, "/fails")
    assert answer.startswith(b"HTTP/1.1 500")
    is_a_problem(answer)


def is_a_problem(answer: bytes) -> None:
    """It has the form, and the headers, of every other error."""
    assert b"content-type: application/problem+json\r\n" in answer
    assert b"x-content-type-options: nosniff\r\n" in answer
    assert b"connection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2].removesuffix(b"<closed>"))["status"] == int(answer[9:12])


def test_what_is_given_up_when_the_server_stops() -> None:
    """A request that outlasts the stop is told to come again, as a problem, and not that something went wrong."""
    server = Server(stop_within=1)
    with serving(server) as number, socket.create_connection(("127.0.0.1", number), timeout=10) as connection:
        connection.sendall(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        server.should_exit = True
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer
    is_a_problem(answer)


def test_a_uvicorn_that_was_not_tested(caplog: pytest.LogCaptureFixture) -> None:
    """It serves all the same, by its own connections, and the log says which bounds are missing."""
    assert isinstance(bounded_protocol(), type)
    with serving(Server(version="9.0.0")) as number:
        assert ask(number, "/whole").endswith(b"hello")
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "uvicorn 9.0.0 was not tested" in line
    assert "put a proxy" in line


def test_the_requirement_is_what_was_tested() -> None:
    """pyproject.toml lets in the minors of uvicorn that the server was tested with, and no other."""
    (needed,) = [line for line in requires("interlock") or () if line.startswith("uvicorn")]
    (oldest, newest) = TESTED
    assert f">=0.{oldest[1]}" in needed
    assert f"<0.{newest[1] + 1}" in needed
