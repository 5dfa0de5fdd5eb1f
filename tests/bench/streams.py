"""Open streams: what each costs in memory, and how soon after a COMMIT the last one has heard.

Twenty streams a user, as many as one may have.  A webhook changes one user; from the moment it is sent (so its
own COMMIT lies within) until the last of the user's streams has the new state, while all the others stay open.
"""

from __future__ import annotations

import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from typing import Any, Final

import msgspec

from tests.bench import machine, traffic
from tests.bench.load import whole
from tests.bench.subjects import ROOT, Subject
from tests.bench.traffic import Traffic

EACH: Final = 20
_SPARE: Final = 200
_USERS: Final = 2000


class Heard(msgspec.Struct, frozen=True):
    """How many streams were open, KiB each, milliseconds from the webhook to its user's last stream.

    `all_ms`: every user's state changes at once; from the first webhook to the last stream of all.
    """

    streams: int
    kib: float
    one_ms: float
    worst_ms: float
    all_ms: float


class _Wanted(msgspec.Struct, frozen=True):
    port: int
    streams: int
    changes: int


class Listeners:
    """All streams, by one poll."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._of: dict[int, tuple[socket.socket, int]] = {}
        self.events: dict[int, int] = {}

    def open(self, count: int) -> int:
        """Open as many streams as can be had; return how many were answered 200 with a first event."""
        for position in range(count):
            number = position // EACH
            connection = socket.create_connection(("127.0.0.1", self._port))
            token = traffic.token(traffic.user(number))
            connection.sendall(
                f"GET /subscription/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            )
            self._of[connection.fileno()] = connection, number
            self._poll.register(connection.fileno(), select.EPOLLIN)
            if position % 50 == 49:
                self.hear(lambda asked=position: self.total >= asked - 400, 30)
        self.hear(lambda: self.total >= count, 60)
        return self.total

    @property
    def total(self) -> int:
        return sum(self.events.values())

    def hear(self, enough: Any, seconds: float) -> float:
        """Take what comes until it is enough; return when the last of it came."""
        end, last = time.perf_counter() + seconds, time.perf_counter()
        while not enough() and time.perf_counter() < end:
            for descriptor, _ in self._poll.poll(0.2):
                connection, number = self._of[descriptor]
                piece = connection.recv(65536)
                if not piece or piece.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
                    self._poll.unregister(descriptor)
                    connection.close()
                    continue
                last = time.perf_counter()
                self.events[number] = self.events.get(number, 0) + piece.count(b"event: subscription")
        return last


def _post(connection: socket.socket, port: int, number: int, step: int) -> None:
    sent = Traffic(kind="webhook", path="/webhooks/stripe", ports=(port,), subscriptions=_USERS)
    sent = msgspec.structs.replace(sent, starts=(step * _USERS + number,), count=1)
    connection.sendall(traffic.requests(sent)[0])


def _answered(connection: socket.socket) -> None:
    answer = b""
    while not whole(answer):
        answer += connection.recv(65536)
    if b'"applied"' not in answer:
        raise SystemExit(f"a webhook was not applied: {answer[-200:]!r}")


def main() -> None:
    wanted = msgspec.json.decode(sys.stdin.readline(), type=_Wanted)
    sender = socket.create_connection(("127.0.0.1", wanted.port))
    users = -(-wanted.streams // EACH)
    for number in range(users):
        _post(sender, wanted.port, number, 0)
        _answered(sender)
    print("ready", flush=True)
    sys.stdin.readline()
    listeners = Listeners(wanted.port)
    reached = listeners.open(wanted.streams)
    print(reached, flush=True)
    sys.stdin.readline()
    told = dict(listeners.events)
    taken = [
        _one_change(listeners, sender, wanted.port, n % users, 1 + n // users, told) for n in range(wanted.changes)
    ]
    before = listeners.total
    begun = time.perf_counter()
    for number in range(users):
        _post(sender, wanted.port, number, 1 + len(range(number, wanted.changes, users)))
        _answered(sender)
    last = listeners.hear(lambda: listeners.total >= before + reached, 60)
    print(msgspec.json.encode([statistics.median(taken), max(taken), (last - begun) * 1000]).decode(), flush=True)


def _one_change(
    listeners: Listeners, sender: socket.socket, port: int, number: int, step: int, told: dict[int, int]
) -> float:
    """Change one user; return the milliseconds until all of that user's streams have heard."""
    heard, streams = listeners.events.get(number, 0), told.get(number, 0)
    begun = time.perf_counter()
    _post(sender, port, number, step)
    last = listeners.hear(lambda: listeners.events.get(number, 0) >= heard + streams, 10)
    _answered(sender)
    time.sleep(0.01)
    return (last - begun) * 1000


def measure(subject: Subject, count: int, changes: int = 40) -> Heard:
    """Open the streams in a process of their own, and see what the server's memory grew by."""
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.streams"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:

        def ask(words: bytes) -> str:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(words.decode() + "\n")
            client.stdin.flush()
            return client.stdout.readline()

        ask(msgspec.json.encode(_Wanted(subject.port, min(count, room), changes)))
        before = machine.memory(subject.processes)
        reached = int(ask(b""))
        grown = machine.memory(subject.processes) - before
        one, worst, everyone = msgspec.json.decode(ask(b""), type=tuple[float, float, float])
    return Heard(reached, grown / 1024 / max(1, reached), one, worst, everyone)


if __name__ == "__main__":
    main()
