"""HTTP spoken by hand: kept-alive connections, many requests in flight, nothing tidied up on the way."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One answer, as it came."""

    status: int
    head: bytes
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return a header's value; two of one name are a fault."""
        found = [line.partition(b":")[2].strip() for line in self.head.split(b"\r\n")[1:]
                 if line.partition(b":")[0].strip().lower() == name.lower().encode()]  # fmt: skip
        assert len(found) < 2, f"{name} twice: {self.head!r}"
        return found[0].decode("latin-1") if found else None


GONE = Answer(0, b"", b"")
"""The other side hung up without a word."""


class Line:
    """One connection; it is opened again where the other side has hung up."""

    def __init__(self, port: int, wait: float = 30) -> None:
        self._port = port
        self._wait = wait
        self._buffer = b""
        self._method = b""
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=self._wait)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        return connection

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, request: bytes) -> None:
        """Send it; a server that has heard enough may have hung up before the end."""
        self._method = request[:5]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(request)

    def answer(self) -> Answer:
        """Read one answer; GONE where the other side hung up instead."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return GONE
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        answer = Answer(int(head[9:12]), head, b"")
        length = 0 if answer.status == 304 or self._method == b"HEAD " else int(answer.header("content-length") or 0)
        while len(self._buffer) < length:
            if not self._more():
                break
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        if answer.header("connection") == "close":
            self.close()
            self.socket = self._connect()
        return answer._replace(body=body)

    def _more(self) -> bool:
        try:
            more = self.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        self._buffer += more
        if not more:
            self.close()
            self.socket = self._connect()
        return bool(more)


def pour(port: int, requests: Iterable[bytes], width: int = 16) -> Iterator[Answer]:
    """Send requests over `width` connections, each with one in flight; yield the answers in order."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(port)) for _ in range(width)]
        waiting = iter(requests)
        batch = list(islice(waiting, width))
        while batch:
            for line, request in zip(lines, batch, strict=False):
                line.send(request)
            behind = list(islice(waiting, width))  # made while these are answered
            for line, _ in zip(lines, batch, strict=False):
                yield line.answer()
            batch = behind


def ask(method: str, path: str, *headers: str | bytes, body: bytes | None = None) -> bytes:
    """Write a request; a body brings its own length, unless a header says another."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost"]
    lines += [line if isinstance(line, bytes) else line.encode() for line in headers]
    said = {line.partition(b":")[0].lower() for line in lines}
    if body is not None and not said & {b"content-length", b"transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + (body or b"")


def webhook(body: bytes, *signatures: str | bytes) -> bytes:
    """Write a webhook with its Stripe-Signature header, or with none, or with several."""
    signed = [b"Stripe-Signature: " + (s if isinstance(s, bytes) else s.encode()) for s in signatures]
    return ask("POST", "/webhooks/stripe", *signed, body=body)
