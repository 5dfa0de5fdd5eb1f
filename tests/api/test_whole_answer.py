"""The server's way of writing an answer: one write for what is whole, uvicorn's own way for all else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from api.server import listen, server_config
from tests.conftest import free_port

PLAIN = (b"content-type", b"text/plain")
Said = list[tuple[str, Any]]
ANSWERS: dict[str, Said] = {
    "/whole": [("start", (200, [PLAIN, (b"content-length", b"5")])), ("body", (b"hello", False))],
    "/pieces": [
        ("start", (200, [PLAIN, (b"content-length", b"5")])),
        ("body", (b"he", True)),
        ("body", (b"llo", False)),
    ],
    "/chunks": [("start", (200, [PLAIN])), ("body", (b"he", True)), ("body", (b"llo", False))],
    "/unchanged": [("start", (304, [(b"etag", b'"7"')])), ("body", (b"", False))],
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
    for kind, told in ANSWERS[scope["path"]]:
        if kind == "start":
            await send({"type": "http.response.start", "status": told[0], "headers": told[1]})
        else:
            await send({"type": "http.response.body", "body": told[0], "more_body": told[1]})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server of ours before that application."""
    number = free_port()
    bound = listen("127.0.0.1", number)
    server = uvicorn.Server(server_config(application))
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
    assert ask(port, "/whole", "/pieces", "/whole").count(b"\r\n\r\nhello") == 3


@pytest.mark.parametrize(
    ("path", "ending"),
    [("/pieces", b"\r\n\r\nhello"), ("/chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), ("/unchanged", b"\r\n\r\n")],
)
def test_other_answers(port: int, path: str, ending: bytes) -> None:
    """In pieces, of unknown length, without a body: as the application says it, and the connection stays."""
    assert ask(port, path, "/whole").count(b"HTTP/1.1 ") == 2
    assert ask(port, path).endswith(ending)


@pytest.mark.parametrize("path", ["/whole", "/unchanged", "/pieces"])
def test_a_question_for_the_head(port: int, path: str) -> None:
    """HEAD is answered with the same head, and no body."""
    head, asked = ask(port, path, method="HEAD"), ask(port, path)
    assert headers(head) == headers(asked)
    assert head.endswith(b"\r\n\r\n")


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
    if path == "/short":
        assert b"content-length: 9" in answer
    else:
        assert answer.startswith(b"HTTP/1.1 500") or answer == b"<closed>"
