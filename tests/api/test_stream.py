"""The live state: at once, at each change, never twice the same, and an end that is clean."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from interlock.api.routes import stream
from interlock.api.runtime import STREAMS_EACH
from tests.kit.bodies import subscription_event
from tests.kit.service import Service, StartService
from tests.kit.settings import make_token


@contextmanager
def following(service: Service, user: str, **claims: Any) -> Generator[Iterator[tuple[str, str, dict[str, Any]]]]:
    """Follow a user's state; yields an iterator of (id, event, state)."""
    headers = {"Authorization": f"Bearer {make_token(user, **claims)}"}
    with (
        httpx.Client(base_url=service.url, timeout=20, trust_env=False) as client,
        client.stream("GET", "/subscription/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
        elif name:
            fields[name] = value


def test_each_change_once(service: Service, new_user: Callable[[], str]) -> None:
    """The state comes at once and again when a webhook changed it; what changes nothing sends nothing."""
    user = new_user()
    created = int(time.time()) - 100
    event = subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}", created=created)
    with following(service, user) as events:
        version, name, state = next(events)
        assert (name, state["state"], state["version"]) == ("subscription", "none", int(version))
        assert service.deliver(event).status_code == 200
        began = time.monotonic()
        later, _, state = next(events)
        assert time.monotonic() - began < 1
        assert int(later) == state["version"] > int(version)
        assert state["state"] == "active"
        assert service.deliver(event).json()["outcome"] == "duplicate"
        gone = json.loads(json.dumps(event))
        gone |= {"id": f"evt_{user}_gone", "type": "customer.subscription.deleted", "created": created + 10}
        gone["data"]["object"] |= {"status": "canceled", "ended_at": created + 10}
        assert service.deliver(gone).json()["outcome"] == "applied"
        last, _, state = next(events)
        assert int(last) > int(later)
        assert state["state"] == "canceled"
    assert json.loads(service.get("/subscription", user).content) == state


def test_no_one_hears_of_another(service: Service, new_user: Callable[[], str]) -> None:
    """A change of A's is not told to B."""
    mine, other = new_user(), new_user()
    with following(service, mine) as events:
        next(events)
        service.deliver(subscription_event(other, sub_id=f"sub_{other}", event_id=f"evt_{other}"))
        service.deliver(subscription_event(mine, sub_id=f"sub_{mine}", event_id=f"evt_{mine}"))
        assert next(events)[2]["user_id"] == mine


def test_it_ends_with_its_token(service: Service, new_user: Callable[[], str]) -> None:
    """When the token expires the stream ends, as a whole answer does."""
    began = time.time()
    with following(service, new_user(), exp=int(began) + 2) as events:
        assert len(list(events)) == 1
    assert 0.5 < time.time() - began < 6


def test_it_pings(service: Service, new_user: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, a comment comes now and then, so that a dead connection is noticed."""
    monkeypatch.setattr(stream, "PING_EVERY", 0.2)
    headers = {"Authorization": f"Bearer {make_token(new_user())}"}
    with service.client.stream("GET", "/subscription/stream", headers=headers) as answer:
        pings = 0
        for line in answer.iter_lines():
            pings += line == ": ping"
            assert not (pings and line.startswith("data"))
            if pings == 3:
                break


def test_streams_of_one_user_are_bounded(service: Service, new_user: Callable[[], str]) -> None:
    """The 21st stream of a user is a 429; one that is closed makes room again."""
    user = new_user()
    head = (
        f"GET /subscription/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {make_token(user)}\r\n\r\n"
    ).encode()
    opened = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(STREAMS_EACH)]
    try:
        for connection in opened:
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        answer = service.get("/subscription/stream", user)
        assert answer.status_code == 429
        assert answer.headers["retry-after"]
    finally:
        for connection in opened:
            connection.close()
    until = time.monotonic() + 10
    while True:
        headers = {"Authorization": f"Bearer {make_token(user)}"}
        with service.client.stream("GET", "/subscription/stream", headers=headers) as again:
            if again.status_code == 200:
                break
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_stop_ends_streams_cleanly(start_service: StartService) -> None:
    """A service that stops ends its streams as whole answers, and does not wait for their readers."""
    service = start_service()
    heard: list[int] = []

    def follow(user: str) -> None:
        with following(service, user) as events:
            heard.append(len(list(events)))

    readers = [threading.Thread(target=follow, args=(f"u_{number}",), daemon=True) for number in range(5)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + 10
    while service.app.runtime.streams.slots.total < len(readers):
        assert time.monotonic() < until
        time.sleep(0.02)
    began = time.monotonic()
    service.begin_stop()
    for reader in readers:
        reader.join(5)
    assert time.monotonic() - began < 4
    assert heard == [1] * len(readers)
