"""Row 13: hostile bodies, signed and unsigned, end as an answer below 500; what was answered 200 is stored."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.attack.conftest import StartVictim
from tests.attack.mutate import mutant
from tests.attack.victim import Obj, Victim, bearer, closed_by_the_server
from tests.kit.bodies import event, fresh, subscription_event
from tests.kit.hose import Answer, Line, ask, pour, webhook
from tests.kit.scale import Figure, first_seed, size
from tests.kit.settings import sign

MIB = 1024 * 1024
MUTANTS = size("MUTANTS", 10_000, 1_000_000)
"""Half of the 20,000 of row 13 at each commit, for the time; INTERLOCK_MUTANTS=20000 takes them all."""
MEMORY = 160
"""MiB that the service may grow by while it is fuzzed."""
FINDS: dict[str, str] = json.loads((Path(__file__).parent / "finds.json").read_text("utf-8"))


def stored(victim: Victim, ids: set[str]) -> set[str]:
    """Return those of the ids that are in the database."""
    return ids & {row[0] for row in victim.query("SELECT event_id FROM event")}


def is_well(victim: Victim) -> None:
    """All that the attack left behind can still be read, and nothing inside has failed."""
    users = [row[0] for row in victim.query("SELECT user_id FROM users")]
    with victim.line() as line:
        for user in users:
            for path in ("/subscription", "/subscription/history?limit=100", "/subscription/diagram"):
                line.send(ask("GET", path, *bearer(user)))
                answer = line.answer()
                assert answer.status == 200, (user, path, answer)
    assert victim.errors() == []
    assert victim.get("/health/ready").status == 200


def test_mutants(start_victim: StartVictim, figure: Figure) -> None:
    """Stripe's events spoiled in every place: 0 × 5xx, every id that was answered 200 is stored, memory is bounded."""
    victim = start_victim()
    seed = first_seed()
    begun = victim.resident() // 2**20
    statuses: Counter[int] = Counter()
    outcomes: Counter[str] = Counter()
    promised: set[str] = set()

    def requests() -> Iterator[bytes]:
        for number in range(MUTANTS):
            body = mutant(seed, number)
            yield webhook(body, sign(body))

    for number, answer in enumerate(pour(victim.port, requests())):
        statuses[answer.status] += 1
        told = f"INTERLOCK_FIRST_SEED={seed}, mutant {number}: {answer}: {mutant(seed, number)[:2000]!r}"
        assert answer.status in (200, 400, 413), told
        if answer.status == 200:
            said = answer.json()
            promised.add(said["id"])
            outcomes[said["outcome"]] += 1
    assert stored(victim, promised) == promised, f"seed {seed}"
    assert statuses[200] > MUTANTS / 2, "most mutants are still events, or little is tried"
    is_well(victim)
    grown = victim.resident() // 2**20 - begun
    assert grown < MEMORY, f"{grown} MiB more, seed {seed}"
    figure(
        13,
        f"{MUTANTS:,} mutants (seed {seed}): 0 × 5xx; {statuses[200]:,} taken and all {len(promised):,} ids stored, "
        f"{statuses[400]:,} × 400, {statuses[413]} × 413; outcomes {dict(outcomes.most_common())}; {grown} MiB more",
    )


@pytest.mark.parametrize("name", FINDS)
def test_finds(victim: Victim, name: str) -> None:
    """What once went wrong, or nearly did, goes right for ever: an answer below 500, and what is 200 is stored."""
    body = FINDS[name].encode("utf-8", "surrogatepass")
    answer = victim.deliver(body)
    assert answer.status in (200, 400), answer
    if answer.status == 200:
        assert stored(victim, {answer.json()["id"]})
    is_well(victim)


def deep(field: str, depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """Return an event with one field nested so deep."""
    told = json.dumps({"id": fresh("evt"), "type": "customer.subscription.updated"})[:-1]
    return f'{told}, "{field}": {opening * depth}1{closing * depth}}}'.encode()


def test_depths(victim: Victim) -> None:
    """Whatever is nested, and however deep, up to half a million brackets: 200 or 400, at each step of the way."""
    depths = [*range(1, 30, 9), *range(150, 1100, 10), *range(980, 1010), 5_000, 100_000, 500_000]
    fields = ("account", "context", "created", "livemode", "data", "deep")
    bodies = [deep(field, depth) for field in fields for depth in depths if depth <= 5_000 or field in ("data", "deep")]
    bodies += [deep(field, depth, '{"a":', "}") for field in fields for depth in depths if depth <= 5_000]
    bodies += [b"[" * (MIB - 1), b"{" * MIB, b'{"a":' * (MIB // 5), b"[" * 500_000 + b"]" * 500_000]
    answers = list(pour(victim.port, (webhook(body, sign(body)) for body in bodies)))
    assert {answer.status for answer in answers} == {200, 400}
    is_well(victim)


def test_numbers(victim: Victim) -> None:
    """Numbers of any length, in any field that is read, are no fault: 200 or 400."""
    numbers = ["9" * n for n in (18, 19, 20, 39, 309, 310, 4_299, 4_300, 4_301, 40_000)]
    numbers += ["-" + number for number in numbers] + ["1e400", "-1e400", "1e-400", "1" + "0" * 5_000 + "e-5000", "-0"]
    numbers += ["NaN", "Infinity", "-Infinity", "nan", "01", "+1", "1.", ".5", "0x1", "1_0", "1e", "--1"]
    template = json.dumps(
        subscription_event("u_numbers", sub_id="sub_numbers", event_id="evt_ID", created=1_790_000_000)
    )
    fields = ("1790000000", "1792592000", '"quantity": 1', "false", "null")
    bodies: list[bytes] = []
    for field in fields:
        for number in numbers:
            value = f'"quantity": {number}' if "quantity" in field else number
            bodies.append(template.replace("evt_ID", fresh("evt")).replace(field, value).encode())
    assert max(map(len, bodies)) <= MIB
    answers = list(pour(victim.port, (webhook(body, sign(body)) for body in bodies)))
    assert {answer.status for answer in answers} == {200, 400}
    is_well(victim)


def test_an_id_of_a_megabyte(victim: Victim) -> None:
    """A signed event whose id, or any id in it, is a megabyte long, or no text: 400 or kept, and never cut short."""
    long = "evt_" + "x" * (MIB - 200)
    ids: tuple[Any, ...] = (long, "x" * 256, "", "\0", "a\0b", "\ud800", None, 5, True, [], {"id": "evt_1"})
    for event_id in ids:
        before = victim.rows()
        body = json.dumps({"id": event_id, "type": "customer.created"}).encode()
        answer = victim.deliver(body)
        assert answer.status == 400, (str(event_id)[:20], answer)
        assert len(answer.body) < 2_000, "the answer does not repeat it"
        assert victim.rows() == before
    for place in ("id", "customer", "status"):
        told = subscription_event("u_long", sub_id="sub_long", event_id=fresh("evt"))
        told["data"]["object"][place] = "x" * 900_000
        assert victim.deliver(told).status == 200
    longest = event("product.created", {"id": "x"}) | {"id": "e" * 255}
    assert victim.deliver(longest).json() == {"id": "e" * 255, "outcome": "ignored"}
    is_well(victim)


def hostile() -> dict[str, bytes]:
    """Bodies that are no event whoever signs them."""
    good = json.dumps(subscription_event("u_hostile", sub_id="sub_hostile", event_id="evt_hostile")).encode()
    return {
        "empty": b"", "a space": b" ", "null": b"null", "true": b"true", "number": b"1", "text": b'"evt_1"',
        "array": b"[" + good + b"]", "empty array": b"[]", "empty object": b"{}",
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"), "UTF-32": good.decode().encode("utf-32"),
        "latin-1": b'{"id": "\xe9", "type": "a"}',
        "overlong": b'{"id": "\xc0\xaf", "type": "a"}', "surrogates as UTF-8": b'{"id": "\xed\xa0\x80", "type": "a"}',
        "lone surrogate": b'{"id": "\\ud800", "type": "a"}', "trailing comma": good[:-1] + b",}",
        "comment": b"/**/" + good,
        "two objects": good + good, "a NUL behind": good + b"\0", "cut off": good[:-1], "form": b"id=evt_1&type=a",
        "NaN": b'{"id": NaN, "type": "a"}', "gzip": b"\x1f\x8b\x08\0" + bytes(40),
        "random": random.Random(7).randbytes(3_000),
    }  # fmt: skip


def test_bodies_that_are_no_event(victim: Victim) -> None:
    """Signed or not, what is no event is 400 and leaves no row."""
    before = victim.rows()
    for name, body in hostile().items():
        for signature in ([sign(body)], [], ["t=1,v1=00"]):
            with victim.line() as line:
                line.send(webhook(body, *signature))
                assert line.answer().status == 400, (name, signature)
    assert victim.rows() == before


def test_one_event_twice_in_one_body(victim: Victim) -> None:
    """Duplicate keys: one of them is taken, the same one for what is answered, stored and told apart."""
    first, second = fresh("evt"), fresh("evt")
    body = f'{{"id": "{first}", "type": "product.created", "id": "{second}"}}'.encode()
    answer = victim.deliver(body)
    assert answer.status == 200
    assert stored(victim, {first, second}) == {answer.json()["id"]}
    assert victim.deliver(body).json()["outcome"] == "duplicate"


def lengths() -> Iterator[tuple[str, bytes, set[int]]]:
    """Yield requests whose body is too long, or whose length is a lie, and how they may be answered."""
    body = b'{"id": "evt_lie", "type": "product.created"}'
    signature = f"Stripe-Signature: {sign(body)}"
    chunk = b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
    chunked = ask("POST", "/webhooks/stripe", signature, "Transfer-Encoding: chunked")

    def announced(length: object) -> bytes:
        return ask("POST", "/webhooks/stripe", signature, f"Content-Length: {length}")

    yield "one byte too many", webhook(b" " * (MIB + 1), "t=1,v1=0"), {413}
    yield "announced, never sent", announced(10**12), {413}
    yield "announced beyond any number", announced("9" * 30), {400, 413}
    yield "chunks beyond the limit", chunked + chunk + chunk, {413}
    yield "tiny chunks beyond the limit", chunked + b"1\r\nx\r\n" * (MIB + 1), {413}
    yield "a chunk of 2⁶⁴", chunked + b"10000000000000000\r\n", {400}
    yield "a negative chunk", chunked + b"-1\r\n", {400}
    yield "shorter than announced, then another request", announced(10) + body, {400}
    yield (
        "two lengths",
        ask("POST", "/webhooks/stripe", signature, "Content-Length: 4", "Content-Length: 44") + body,
        {400},
    )
    for wrong in ("-1", "+44", "4 4", "0x2c", "44.0", "", "44, 44"):
        yield f"length {wrong!r}", announced(wrong) + body, {400}


def test_lengths(victim: Victim) -> None:
    """Over the limit is 413, said at once; a length that can't be is 400; nothing of it is stored."""
    before = victim.rows()
    for name, request, allowed in lengths():
        with victim.line() as line:
            line.send(request)
            answer = line.answer()
        assert answer.status in allowed, (name, answer)
        assert answer.header("content-type") == "application/problem+json"
    assert victim.rows() == before


FLOOD = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 500) for number in range(120))
FLOODS = {
    "a head": (b"GET /plans HTTP/1.1\r\nHost: a\r\n", FLOOD),
    "one header": (b"GET /plans HTTP/1.1\r\nHost: a\r\nX: ", b"y" * 65_536),
    "an address": (b"GET /", b"y" * 65_536),
    "trailers": (ask("POST", "/webhooks/stripe", "Transfer-Encoding: chunked") + b"0\r\n", FLOOD),
    "a chunk's extension": (ask("POST", "/webhooks/stripe", "Transfer-Encoding: chunked") + b"1;", b"y" * 65_536),
    "a chunk's leading zeros": (ask("POST", "/webhooks/stripe", "Transfer-Encoding: chunked"), b"0" * 65_536),
    "a body that nobody reads": (ask("POST", "/checkout", "Content-Length: 99999999999"), b"y" * 65_536),
}


@pytest.mark.parametrize("name", [*FLOODS, "a head behind a stream"])
def test_floods(victim: Victim, name: str) -> None:
    """What has no end is cut off before it fills the memory, wherever in a request it comes.  (Trailers once did.)"""
    begun = victim.resident() // 2**20
    if name in FLOODS:
        start, piece = FLOODS[name]
    else:
        start, piece = ask("GET", "/subscription/stream", *bearer(fresh("u"))) + b"GET /plans HTTP/1.1\r\n", FLOOD
    sent, most = 0, 128 * MIB
    with socket.create_connection(("127.0.0.1", victim.port), timeout=20) as connection:
        try:
            connection.sendall(start)
            while sent < most:
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < most, "nobody cut it off"
    assert victim.resident() // 2**20 - begun < 40, f"{victim.resident() // 2**20 - begun} MiB more"
    assert victim.get("/health/ready").status == 200


def test_slow_senders(cramped: Victim) -> None:
    """A head or a body that drips in is given up in time, by 408 or by hanging up, with or without a token."""
    victim = cramped
    token = bearer("u_slow")
    drips = {
        "nothing": b"",
        "half a head": b"GET /plans HTTP/1.1\r\nHost: a\r\nX: ",
        "a webhook": ask("POST", "/webhooks/stripe", "Stripe-Signature: t=1,v1=0", "Content-Length: 5000") + b"{",
        "a chunked webhook": ask("POST", "/webhooks/stripe", "Transfer-Encoding: chunked") + b"1388\r\n{",
        "a checkout": ask("POST", "/checkout", *token, "Content-Length: 5000") + b"{",
        "a checkout of nobody": ask("POST", "/checkout", "Content-Length: 5000") + b"{",
        "behind an answer": ask("GET", "/plans") + b"GET /pl",
    }
    open_: dict[str, socket.socket] = {}
    for name, start in drips.items():
        open_[name] = socket.create_connection(("127.0.0.1", victim.port), timeout=10)
        open_[name].sendall(start)
    for _ in range(8):  # one byte now and then: no timer is put off by it
        time.sleep(0.3)
        for connection in open_.values():
            with contextlib.suppress(OSError):
                connection.send(b"x")
    for name, connection in open_.items():
        assert closed_by_the_server(connection, 5), f"{name}: still open"
        connection.close()
    with Line(victim.port) as line:
        line.send(drips["a webhook"])
        assert line.answer().status == 408
    is_well(victim)


def test_senders_that_leave(victim: Victim) -> None:
    """A request that breaks off anywhere leaves nothing behind: no row, no waiting, no fault."""
    before = victim.rows()
    body = json.dumps(subscription_event("u_left", sub_id="sub_left", event_id="evt_left")).encode()
    whole = webhook(body, sign(body))
    for length in range(0, len(whole) - 1, 23):
        with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
            connection.sendall(whole[:length])
    is_well(victim)
    assert victim.rows() == before


def answered(victim: Victim, requests: list[bytes]) -> list[Answer]:
    return list(pour(victim.port, requests))


def test_fields_missing_and_mistyped(victim: Victim) -> None:
    """Each field of an event, taken away or of each other type, one at a time: 200 or 400, and stored where 200."""
    wrong: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "x", "\0", [], [None], {}, {"id": 5}]
    bodies: list[bytes] = []
    told = subscription_event("u_typed", sub_id="sub_typed", event_id="evt_ID")

    def walk(holder: Any) -> None:
        keys: list[Any] = list(cast("Obj", holder)) if isinstance(holder, dict) else list(range(len(holder)))
        for key in keys:
            kept = cast("Any", holder)[key]
            for value in wrong:
                holder[key] = value
                bodies.append(json.dumps(told).replace("evt_ID", fresh("evt")).encode())
            holder[key] = kept
            if isinstance(holder, dict):
                del holder[key]
                bodies.append(json.dumps(told).replace("evt_ID", fresh("evt")).encode())
                holder[key] = kept
            if isinstance(kept, dict | list):
                walk(cast("Any", kept))

    walk(told)
    answers = answered(victim, [webhook(body, sign(body)) for body in bodies])
    assert {answer.status for answer in answers} == {200, 400}
    taken = {answer.json()["id"] for answer in answers if answer.status == 200}
    assert stored(victim, taken) == taken
    is_well(victim)
