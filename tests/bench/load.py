"""The client: keep-alive connections on raw sockets in a process of its own, as cheap as Python gets.

Reads a Traffic on stdin, prepares every request, says `ready`, waits for a line, drives, prints a Result.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Final

import msgspec

from tests.bench.traffic import Traffic, conditional, requests

OUTCOMES: Final = (b'"applied"', b'"duplicate"', b'"pending"', b'"unchanged"', b'"unlinked"', b'"ignored"')


class Result(msgspec.Struct, frozen=True):
    """What came of a slice, in all and how far each share got; latencies in milliseconds."""

    done: int
    shares: list[int]
    seconds: float
    p50: float
    p99: float
    statuses: dict[str, int]
    outcomes: dict[str, int]


class _Connection:
    """One request at a time, of those that its share holds."""

    def __init__(self, port: int, upcoming: Iterator[bytes]) -> None:
        self._upcoming = upcoming
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.answer = b""

    def send_next(self) -> bool:
        """Send the next request; False where there is none."""
        request = next(self._upcoming, None)
        if request is None:
            return False
        self.answer = b""
        self.begun = time.perf_counter()
        self.socket.sendall(request)
        return True

    def receive(self) -> bool:
        """Take what has come; True once the answer is whole."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed a connection that it should have kept")
        self.answer = self.answer + piece if self.answer else piece
        return whole(self.answer)


def whole(answer: bytes) -> bool:
    """Whether an answer has come with all of its body."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    if answer[9:12] == b"304":
        return True
    at = answer.find(b"ontent-", 0, head)
    while at >= 0 and answer[at + 7 : at + 14].lower() != b"length:":
        at = answer.find(b"ontent-", at + 7, head)
    if at < 0:
        raise ConnectionError("an answer without a content-length")
    return len(answer) - head - 4 >= int(answer[at + 14 : answer.find(b"\r", at)])


def drive(
    ports: Sequence[int],
    upcoming: Sequence[Iterator[bytes]],
    connections: int,
    seconds: float,
    on_answer: Callable[[bytes], None],
) -> list[float]:
    """Send all that is prepared, or what fits into `seconds`; return the latencies.

    The connections go to the ports in turn, and each takes its requests of its port's share.
    """
    poll = select.epoll()
    open_connections: dict[int, _Connection] = {}
    for turn in range(connections):
        connection = _Connection(ports[turn % len(ports)], upcoming[turn % len(ports) % len(upcoming)])
        open_connections[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    waiting = sum(connection.send_next() for connection in open_connections.values())
    end = time.perf_counter() + seconds
    while waiting:
        for number, _ in poll.poll():
            connection = open_connections[number]
            if not connection.receive():
                continue
            now = time.perf_counter()
            latencies.append(now - connection.begun)
            on_answer(connection.answer)
            if now >= end or not connection.send_next():
                waiting -= 1
    for connection in open_connections.values():
        connection.socket.close()
    return latencies


def main() -> None:
    traffic = msgspec.json.decode(sys.stdin.readline(), type=Traffic)
    shares = [requests(traffic, share) for share in range(traffic.shares)]
    if traffic.kind == "unchanged":
        shares = [_knowing_their_version(traffic, shares[0])]
    answers: list[bytes] = []
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    upcoming = [iter(share) for share in shares]
    latencies = drive(traffic.ports, upcoming, traffic.connections, traffic.seconds, answers.append)
    taken = time.perf_counter() - begun
    latencies.sort()
    result = Result(
        done=len(latencies),
        shares=[len(share) - length_hint(rest) for share, rest in zip(shares, upcoming, strict=True)],
        seconds=taken,
        p50=latencies[len(latencies) // 2] * 1000,
        p99=latencies[int(len(latencies) * 0.99)] * 1000,
        statuses=Counter(answer[9:12].decode() for answer in answers),
        outcomes=Counter(next((o.decode() for o in OUTCOMES if o in answer), "other") for answer in answers),
    )
    print(msgspec.json.encode(result).decode(), flush=True)


def _knowing_their_version(traffic: Traffic, prepared: list[bytes]) -> list[bytes]:
    """Read everybody once, over one connection so that the answers come in order, and ask again with its ETag."""
    first = prepared[: traffic.subscriptions]
    etags: list[bytes] = []

    def note(answer: bytes) -> None:
        at = answer.index(b"etag: ") + 6
        etags.append(answer[at : answer.index(b"\r", at)])

    drive(traffic.ports, [iter(first)], 1, 60, note)
    knowing = [conditional(request, etag) for request, etag in zip(first, etags, strict=True)]
    return [knowing[position % len(knowing)] for position in range(len(prepared))]


if __name__ == "__main__":
    main()
