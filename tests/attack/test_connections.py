"""Connections used strangely: half closed, never read, one too many.  Each ends with an answer, or ends in time."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from tests.attack.conftest import StartVictim
from tests.attack.victim import Victim, bearer, closed_by_the_server
from tests.kit.bodies import fresh, subscription_event
from tests.kit.hose import ask, webhook
from tests.kit.settings import sign

MIB = 1024 * 1024


def until_the_end(connection: socket.socket) -> bytes:
    """Read all that comes until the other side hangs up."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            said += more
    return said


def half_closed(victim: Victim, request: bytes) -> bytes:
    """Send it, say that nothing more will come, and read to the end."""
    with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return until_the_end(connection)


def test_who_has_no_more_to_say_is_answered(victim: Victim) -> None:
    """A sender that closes its side once its request is out still gets every answer, and the end of the connection."""
    body = json.dumps(subscription_event(fresh("u"), sub_id=fresh("sub"), event_id=fresh("evt"))).encode()
    asked = ask("GET", "/subscription", *bearer(fresh("u")))
    for request, answers in ((webhook(body, sign(body)), 1), (asked, 1), (asked * 5, 5), (ask("GET", "/none"), 1)):
        assert half_closed(victim, request).count(b"HTTP/1.1 ") == answers
    assert half_closed(victim, webhook(body, sign(body))[:-1]) == b"", "what is not whole is no request"


def test_a_reader_who_leaves_frees_its_stream(victim: Victim) -> None:
    """A stream whose reader closes its side ends at once: its place is for the next."""
    user = fresh("u")
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
            connection.sendall(ask("GET", "/subscription/stream", *bearer(user)))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
            connection.shutdown(socket.SHUT_WR)
            until_the_end(connection)


@pytest.mark.parametrize("behind", [0, 1, 3])
def test_a_reader_who_is_gone_frees_its_stream(victim: Victim, behind: int) -> None:
    """Nor does it stay where requests wait behind the stream: it was the last of them that heard of the end."""
    user = fresh("u")
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
            connection.sendall(ask("GET", "/subscription/stream", *bearer(user)) + ask("GET", "/plans") * behind)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.02)
    until = time.monotonic() + 5
    while victim.figure("interlock_streams_open") > 0:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert victim.errors() == []


UNREAD = {
    "answers": ask("GET", "/schema/openapi.json") * 300,
    "answers, and then no request": ask("GET", "/schema/openapi.json") * 300 + b"nonsense\r\n\r\n",
    "answers before a megabyte": ask("GET", "/schema/openapi.json") * 300 + webhook(b"x" * MIB, "t=1,v1=00"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_who_does_not_read_is_left(start_victim: StartVictim, name: str) -> None:
    """Answers that nobody takes, and what waits behind them, are kept only so long; then the connection ends."""
    victim = start_victim(bounds={"unread": 1.0})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", victim.port))
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            connection.sendall(UNREAD[name])
        time.sleep(3)
        connection.settimeout(20)
        assert until_the_end(connection).count(b"HTTP/1.1 200 ") < 300
    assert victim.errors() == []


def test_one_connection_too_many_is_told_so(cramped: Victim) -> None:
    """Beyond the bound the answer is a problem as any other: its kind, when to come again, and every safe header."""
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", cramped.port), timeout=10))
            stack.callback(closed_by_the_server, idle, 6)
        for method in ("GET", "POST", "HEAD"):
            answer = cramped.request(method, "/plans")
            assert (answer.status, answer.header("retry-after")) == (503, "1")
            assert answer.header("content-type") == "application/problem+json"
            assert answer.header("cache-control") == "no-store"
            assert answer.header("x-content-type-options") == "nosniff"
            assert answer.header("connection") == "close"
            if method != "HEAD":
                assert answer.json()["type"] == "urn:interlock:overloaded"
