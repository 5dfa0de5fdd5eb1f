"""The rows that are no request load: `decide` by itself, and a server that starts and rests."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from interlock.engine.core import machine as engine_machine
from interlock.engine.core.states import Outcome, Subscription
from interlock.engine.wire.events import Event, read
from tests.bench import machine, traffic
from tests.bench.subjects import ROOT, Subject

_SUBSCRIPTIONS: Final = 500


class Deciding(msgspec.Struct, frozen=True):
    """Microseconds for one decision, and events a second rebuilding a history of bytes into states."""

    decide_us: float
    rebuilt_per_second: float


def deciding(history: int) -> Deciding:
    """Rebuild a history of so many events, and see what part of it `decide` takes alone."""
    known = {number: Subscription(subscription_id=traffic.subscription(number)) for number in range(_SUBSCRIPTIONS)}
    decide_seconds: list[float] = []
    rebuild_seconds: list[float] = []
    for step in range(max(1, history // _SUBSCRIPTIONS)):
        bodies = [traffic.event(number, step) for number in known]
        begun = time.process_time()
        events: list[Event] = [read(body) for body in bodies]
        between = time.process_time()
        decisions = [_decide(known[number], event) for number, event in zip(known, events, strict=True)]
        ended = time.process_time()
        assert all(decision.outcome is Outcome.APPLIED for decision in decisions)
        known = {number: decision.after for number, decision in zip(known, decisions, strict=True)}
        decide_seconds.append((ended - between) / _SUBSCRIPTIONS)
        rebuild_seconds.append((ended - begun) / _SUBSCRIPTIONS)
    return Deciding(statistics.median(decide_seconds) * 1e6, 1 / statistics.mean(rebuild_seconds))


def _decide(known: Subscription, event: Event) -> engine_machine.Decision:
    assert event.evidence is not None
    return engine_machine.decide(known, event.evidence, event.facts)


def deciding_apart(history: int) -> Deciding:
    """The same in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.inside", str(history)], cwd=ROOT, capture_output=True, check=True
    )
    return msgspec.json.decode(run.stdout, type=Deciding)


class Start(msgspec.Struct, frozen=True):
    """Seconds from the command to the first 200, CPU seconds of it, and MiB held at rest."""

    seconds: float
    cpu: float
    memory: float


def start(
    launch: Callable[[Path], contextlib.AbstractContextManager[Subject]], folder: Path, path: str, rest: float
) -> Start:
    """Start a server; it has started once it answers 200."""
    begun = time.perf_counter()
    with launch(folder) as subject:
        while not _answers(f"http://127.0.0.1:{subject.port}{path}"):
            time.sleep(0.005)
        taken, cpu = time.perf_counter() - begun, machine.cpu_seconds(subject.processes)
        time.sleep(rest)
        return Start(taken, cpu, machine.memory(subject.processes) / 2**20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    print(msgspec.json.encode(deciding(int(sys.argv[1]))).decode())
