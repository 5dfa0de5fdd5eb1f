"""Rows 12 and 13, over a socket: what is not Stripe's event is 400 or 413, and never a 5xx."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.kit.bodies import subscription_event
from tests.kit.service import Service, StartService
from tests.kit.settings import sign

MIB = 1024 * 1024


def raw(service: Service, head: bytes, chunks: Iterable[bytes] = (), wait: float = 20) -> bytes:
    """Speak HTTP by hand: send a head and chunks until the service answers, and return the answer's head and body."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=wait) as connection:
        connection.sendall(head)
        connection.settimeout(wait)
        for chunk in chunks:
            try:
                connection.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                break
        return _until_a_body(connection)


def _until_a_body(connection: socket.socket) -> bytes:
    answer = b""
    while b"}" not in answer:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        answer += more
    return answer


def head(*lines: str | bytes) -> bytes:
    first = [b"POST /webhooks/stripe HTTP/1.1", b"Host: localhost"]
    return b"\r\n".join([*first, *(line if isinstance(line, bytes) else line.encode() for line in lines), b"", b""])


def chunked(size: int, piece: int = 65536) -> Iterator[bytes]:
    block = b"x" * piece
    for _ in range(size // piece):
        yield b"%x\r\n%b\r\n" % (piece, block)
    yield b"0\r\n\r\n"


def test_a_signed_event_is_taken(service: Service, new_user: Callable[[], str]) -> None:
    """A signed event is answered 200 with its id and outcome; a second time it is a duplicate."""
    user = new_user()
    event = subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")
    answer = service.deliver(event)
    assert (answer.status_code, answer.json()) == (200, {"id": f"evt_{user}", "outcome": "applied"})
    assert answer.headers["content-type"] == "application/json"
    assert service.deliver(event).json() == {"id": f"evt_{user}", "outcome": "duplicate"}
    assert service.get("/subscription", user).json()["state"] == "active"


PAYLOAD = json.dumps(subscription_event("u_forged", sub_id="sub_forged", event_id="evt_forged")).encode()
GOOD = sign(PAYLOAD)
BAD_HEADERS: dict[str, str | bytes] = {
    "empty": "",
    "nonsense": "hello",
    "no time": GOOD.partition(",")[2],
    "no signature": GOOD.partition(",")[0],
    "v0 alone": GOOD.replace("v1=", "v0="),
    "another secret": sign(PAYLOAD, "whsec_another_0123456789abcdef"),
    "an empty secret": sign(PAYLOAD, ""),
    "stale": sign(PAYLOAD, t=time.time() - 302),
    "future": sign(PAYLOAD, t=time.time() + 9_000),
    "time is no number": GOOD.replace("t=", "t=x"),
    "time is huge": GOOD.replace("t=", "t=9" * 400),
    "time is negative": GOOD.replace("t=", "t=-"),
    "not ASCII": "t=1,v1=ü".encode(),
    "not UTF-8": b"t=1,v1=\xff\xfe",
    "arabic digits": "t=١٢٣,v1=abc".encode(),
    "ten thousand signatures": GOOD.partition(",")[0] + ",v1=" + ",v1=".join(["0" * 64] * 10_000),
    "not hexadecimal": GOOD[:-4] + "zzzz",
    "cut off": GOOD[:-1],
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_signatures(service: Service, name: str) -> None:
    """A header that does not prove that Stripe sent this now: 400, whatever is in it, and nothing is stored."""
    value = BAD_HEADERS[name]
    lines = [b"Stripe-Signature: " + (value if isinstance(value, bytes) else value.encode())]
    answer = raw(service, head(*lines, f"Content-Length: {len(PAYLOAD)}") + PAYLOAD)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"urn:interlock:bad-signature" in answer
    assert service.get("/subscription", "u_forged").json()["state"] == "none"


def test_no_signature_or_two(service: Service) -> None:
    """Without the header, and with two of them, nothing is proven."""
    length = f"Content-Length: {len(PAYLOAD)}"
    signature = f"Stripe-Signature: {GOOD}"
    assert b" 400 " in raw(service, head(length) + PAYLOAD)[:20]
    assert b" 400 " in raw(service, head(signature, signature, length) + PAYLOAD)[:20]


def test_each_flipped_byte_of_the_body_is_noticed(service: Service) -> None:
    """The signature is of the exact bytes: one changed bit anywhere is a 400."""
    for place in range(0, len(PAYLOAD), 41):
        changed = bytearray(PAYLOAD)
        changed[place] ^= 1
        assert service.deliver(bytes(changed), GOOD).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b"[]",
        b'"evt_1"',
        b"{}",
        b"{",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"id": "evt_1"}',
        b'{"type": "customer.created"}',
        b'{"id": 5, "type": "customer.created"}',
        b'{"id": "evt_1", "type": null}',
        b'{"id": "", "type": "customer.created"}',
        b'{"id": "evt_\\u0000", "type": "customer.created"}',
        b'{"id": "' + b"x" * 100_000 + b'", "type": "customer.created"}',
        b'{"id": "evt_deep", "type": "a", "data": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"id": "evt_nan", "type": "a", "created": NaN}',
        b'{"id": "evt_bytes", "type": "\xff"}',
    ],
)
def test_signed_bodies_that_are_no_event(service: Service, body: bytes) -> None:
    """Even with a right signature: not UTF-8, not an object, too deep, no `id` or `type`: 400."""
    answer = service.deliver(body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_exactly_one_mebibyte_is_taken(service: Service) -> None:
    """A body of 1 MiB is an event like any other; with one byte more it is 413."""
    start, end = b'{"id": "evt_large", "type": "product.created", "pad": "', b'"}'
    body = start + b"x" * (MIB - len(start) - len(end)) + end
    assert len(body) == MIB
    assert service.deliver(body).json() == {"id": "evt_large", "outcome": "ignored"}
    answer = service.deliver(body + b" ")
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:interlock:too-large"
    assert service.deliver(b"x" * 2 * MIB).status_code == 413


def test_a_body_without_an_end_is_cut_off(service: Service) -> None:
    """A chunked body says no length: it is refused at the limit, long before it has all been sent."""
    answer = raw(service, head(f"Stripe-Signature: {GOOD}", "Transfer-Encoding: chunked"), chunked(64 * MIB))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert service.get("/health/ready").status_code == 200


def test_a_chunked_event_is_taken(service: Service, new_user: Callable[[], str]) -> None:
    """Within the limit a chunked body is as good as any."""
    user = new_user()
    body = json.dumps(subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")).encode()
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    answer = raw(service, head(f"Stripe-Signature: {sign(body)}", "Transfer-Encoding: chunked") + pieces)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_body_that_lies_about_its_length(service: Service) -> None:
    """An announced length beyond the limit is refused before a byte is read; one that is no number is no request."""
    assert raw(service, head(f"Content-Length: {10**15}")).startswith(b"HTTP/1.1 413 ")
    for length in ("-1", "x", "1e3"):
        assert raw(service, head(f"Content-Length: {length}")).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_an_end_is_cut_off(service: Service) -> None:
    """Request headers are bounded too: httptools by itself would collect them for ever."""
    endless = (b"X-Filler: " + b"x" * 65000 + b"\r\n" for _ in range(100))
    answer = raw(service, b"POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\n", endless)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert service.get("/health/ready").status_code == 200


def test_a_sender_that_leaves(service: Service) -> None:
    """A request that breaks off leaves the service well."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(head("Content-Length: 1000") + b"x" * 10)
    assert service.get("/health/ready").status_code == 200


def test_a_rotated_secret(start_service: StartService) -> None:
    """While secrets rotate, an event signed with either is taken, and with a third is not."""
    first, second = "whsec_first_0123456789abcdef", "whsec_second_0123456789abcdef"
    service = start_service(STRIPE_WEBHOOK_SECRET=f"{first},{second}")
    for number, secret in enumerate((first, second)):
        body = json.dumps({"id": f"evt_{number}", "type": "product.created"}).encode()
        assert service.deliver(body, sign(body, secret)).status_code == 200
        assert service.deliver(body, sign(body)).status_code == 400
