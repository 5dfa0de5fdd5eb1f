"""Those who begin a webhook and do not go on, however many and however they begin, keep out none of Stripe's."""

from __future__ import annotations

import contextlib
import json
import select
import time

import pytest

from tests.attack.conftest import StartVictim
from tests.attack.victim import Victim
from tests.kit.bodies import fresh, subscription_event
from tests.kit.hose import Line, ask

MIB = 1024 * 1024
ROOM = {"waiting": 16, "bytes": 8 * MIB}
"""What is exhausted here, in less than a service has; how long a sender may take is as ever."""
ANNOUNCED = ask("POST", "/webhooks/stripe", "Stripe-Signature: t=1,v1=00", f"Content-Length: {MIB}")
CHUNKED = ask("POST", "/webhooks/stripe", "Stripe-Signature: t=1,v1=00", "Transfer-Encoding: chunked")
NEARLY = b"x" * (MIB - 1)
CROWDS = {
    "one byte": ANNOUNCED + b"x",
    "one byte of a chunk": CHUNKED + b"1\r\nx\r\n",
    "all but a byte": ANNOUNCED + NEARLY,
    "all but the last chunk": CHUNKED + b"%x\r\n%b\r\n" % (len(NEARLY), NEARLY),
}


def an_event(size: int = 0) -> bytes:
    told = subscription_event(fresh("u"), sub_id=fresh("sub"), event_id=fresh("evt"))
    told["data"]["object"]["description"] = "x" * size
    return json.dumps(told).encode()


def crowd(victim: Victim, stack: contextlib.ExitStack, size: int, start: bytes) -> list[Line]:
    """Open so many connections, each of which begins like that."""
    lines = [stack.enter_context(victim.line()) for _ in range(size)]
    for line in lines:
        line.send(start)
    return lines


def test_who_announces_and_sends_nothing_takes_no_room(victim: Victim) -> None:
    """130 senders that announce a megabyte each and are silent: the next webhook is taken at once."""
    with contextlib.ExitStack() as stack:
        crowd(victim, stack, 130, ANNOUNCED)
        time.sleep(0.3)
        for _ in range(20):
            assert victim.deliver(an_event()).status == 200


@pytest.mark.parametrize("name", CROWDS)
def test_who_stops_sending_gives_up_its_room(start_victim: StartVictim, name: str) -> None:
    """Room taken by those that stopped is free for others after a second, though they may be silent for fifteen."""
    victim = start_victim(bounds=ROOM)
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        lines = crowd(victim, stack, 24, CROWDS[name])
        time.sleep(0.3)
        first = victim.deliver(an_event())
        if first.status == 503:  # what is nearly all taken may have room for a small one
            assert (first.header("retry-after"), first.json()["type"]) == ("1", "urn:interlock:overloaded")
        time.sleep(max(0.0, begun + 1.5 - time.monotonic()))
        for _ in range(20):
            assert victim.deliver(an_event(900_000)).status == 200
        assert time.monotonic() - begun < 8, "they were ended because room was short, not because their time was up"
        told, _, _ = select.select([line.socket for line in lines], [], [], 0)
        statuses = {line.answer().status for line in lines if line.socket in told}
        assert statuses - {503} == {408}, "those that were ended are told why"
    assert victim.errors() == []


def test_drips_do_not_keep_room(start_victim: StartVictim) -> None:
    """Who sends a byte now and then is as slow as who sends none: its room goes to the next all the same."""
    victim = start_victim(bounds=ROOM)
    with contextlib.ExitStack() as stack:
        lines = crowd(victim, stack, 16, ANNOUNCED + b"x")
        for _ in range(12):
            time.sleep(0.1)
            for line in lines:
                line.send(b"x")
        assert victim.deliver(an_event()).status == 200


def test_a_crowd_fills_no_memory(start_victim: StartVictim) -> None:
    """However many send a megabyte but its end, what is held stays within what all of them together may have."""
    victim = start_victim(bounds=ROOM)
    begun = victim.resident() // 2**20
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            crowd(victim, stack, 60, CROWDS["all but a byte"])
            time.sleep(1.1)
            crowd(victim, stack, 60, CROWDS["all but the last chunk"])
        grown = victim.resident() // 2**20 - begun
    assert grown < 60, f"{grown} MiB more"
    assert victim.deliver(an_event()).status == 200
