"""Connections used strangely: half closed, never read, one too many.  Each ends with an answer, or ends in time."""

from __future__ import annotations

import contextlib
import socket

from tests.attack.victim import Victim, closed_by_the_server

MIB = 1024 * 1024


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
                assert answer.json()["type"] == "urn:interlock:busy"
