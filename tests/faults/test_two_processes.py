"""Row 9 on SQLite.  One service a file; commands beside it repair, are heard at once, and may be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.processes import Life, Nursery, settings_in
from tests.faults.traffic import Market, Postman
from tests.kit.bodies import Life as Told
from tests.kit.bodies import Sub
from tests.kit.process import Served, client_of, command
from tests.kit.scale import Figure, first_seed, size
from tests.kit.settings import COMMAND, ROOT, bearer, free_port, process_environment
from tests.kit.stripe import StandIn

Obj = dict[str, Any]


@contextmanager
def following(service: Served, user: str) -> Generator[list[tuple[float, Obj]]]:
    """Follow a user's stream; yields what it said so far, each with when."""
    heard: list[tuple[float, Obj]] = []
    client = client_of(service.url)

    def follow() -> None:
        try:
            with client.stream("GET", "/subscription/stream", headers=bearer(user)) as answer:
                heard.extend(
                    (time.monotonic(), json.loads(line[6:]))
                    for line in answer.iter_lines()
                    if line.startswith("data: ")
                )
        except (httpx.TransportError, httpx.StreamError):
            return  # the service was killed, or the test is over

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield heard
    finally:
        service.close()
        thread.join(20)
        client.close()


def until(what: Any, seconds: float = 20) -> float:
    """Wait until something is so; return when."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
    return time.monotonic()


def test_a_second_service_is_refused(tmp_path: Path, stand_in: StandIn, figure: Figure) -> None:
    """A second `interlock serve` on the same SQLite file ends with code 1 and one line, and does the first no harm."""
    settings = settings_in(tmp_path / "s", stand_in.url)
    service = Served(settings, tmp_path / "log").start()
    try:
        second = command(settings, "serve", "--port", str(free_port()))
        assert (second.returncode, second.stdout) == (1, "")
        lines = second.stderr.strip().splitlines()
        assert len(lines) == 1, second.stderr
        assert "another interlock service runs on this SQLite file" in lines[0]
        assert service.deliver(Told(Sub()).create()).json()["outcome"] == "applied"
        service.kill()  # a lock that outlived its process would keep the next one out
        service.start()
        assert service.state("u_1")["state"] == "active"
    finally:
        service.close()
    figure(9, "SQLite: a second serve on the file: exit code 1, one line; the file is free after kill -9")


def test_a_second_service_by_another_name_is_refused(tmp_path: Path, stand_in: StandIn) -> None:
    """A link to the file is the same file: its service and its turns to write are one."""
    settings = settings_in(tmp_path / "s", stand_in.url)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "s" / "interlock.db")
    service = Served(settings, tmp_path / "log").start()
    try:
        second = command(settings | {"DATABASE_URL": f"sqlite:///{link}"}, "serve", "--port", str(free_port()))
        assert second.returncode == 1
        assert "another interlock service runs on this SQLite file" in second.stderr
    finally:
        service.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_reconcile_beside_a_service_is_heard(
    tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure, busy: bool
) -> None:
    """What `interlock reconcile` repairs beside a live service its streams hear within about a second."""
    settings = settings_in(tmp_path / "s", stand_in.url)
    service = Life(nursery, settings, tmp_path / "log").start()
    market = Market(stand_in, random.Random(9))
    user = market.grow()
    Postman(random.Random(9)).deliver(service, stand_in.news())
    service.await_settled()
    over = threading.Event()

    def load() -> None:
        teller = Told(Sub(id="sub_busy", customer="cus_busy", user="busy"))
        with client_of(service.url) as client:
            service.deliver(teller.create(), client)
            for second in range(1, 10_000):
                if over.wait(0.05):
                    return
                event = teller.update(teller.sub.created + second, cancel_at=teller.sub.created + 10_000 + second)
                assert service.deliver(event, client).status_code == 200

    with following(service, user) as heard:
        working = threading.Thread(target=load)
        if busy:
            working.start()
        until(lambda: heard)
        time.sleep(1)
        stand_in.cancel(next(iter(market.owner)))  # and no webhook tells of it
        changed: list[float] = []

        def watch() -> None:
            with closing(sqlite3.connect(tmp_path / "s" / "interlock.db")) as database:
                query = "SELECT state FROM subscription WHERE user_id = ?"
                while database.execute(query, (user,)).fetchone() != ("canceled",):
                    time.sleep(0.01)
            changed.append(time.monotonic())

        watching = threading.Thread(target=watch)
        watching.start()
        repaired = command(settings, "reconcile", "--user", user)
        assert repaired.returncode == 0, repaired.stderr
        assert "canceled" in repaired.stdout
        watching.join(20)
        told = until(lambda: heard[-1][1]["state"] == "canceled") - changed[0]
        over.set()
        if busy:
            working.join()
    assert told < 2.5, f"the stream heard after {told:.1f} s"
    figure(9, f"SQLite, {'busy' if busy else 'idle'}: the stream hears of `interlock reconcile` after {told:.2f} s")


def test_kills_with_a_command_beside_the_service(
    tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure
) -> None:
    """The service and `reconcile --all` write one file, and now one, now the other is killed: 0 lost, 0 doubled."""
    seed, kills = first_seed(), size("COMMAND_KILLS", 3, 200)
    print(f"seed {seed}")
    rng = random.Random(seed)
    settings = settings_in(tmp_path / "s", stand_in.url)
    market, postman = Market(stand_in, rng, "c"), Postman(rng)
    service = Life(nursery, settings, tmp_path / "log").start()
    repaired = 0
    try:
        begun = time.monotonic()
        assert command(settings, "reconcile", "--all").returncode == 0
        usual = time.monotonic() - begun
        for number in range(kills):
            for _ in range(3):
                market.grow()
                market.change()
            unheard = market.grow()  # no event of this one arrives: the command has to find it
            events = postman.shuffle(stand_in.news())
            lost = {f'"{sub_id}"' for sub_id, user in market.owner.items() if user == unheard}
            missing = {event["id"] for event in events if any(word in json.dumps(event) for word in lost)}
            beside = subprocess.Popen(
                [*COMMAND, "reconcile", "--all"],
                cwd=ROOT,
                env=process_environment(settings),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            delay = rng.uniform(0.3, 1) * usual
            print(f"kill {number} after {delay:.3f} s: {'the service' if number % 2 else 'the command'}")
            victim = service.pid if number % 2 else beside.pid
            killer = threading.Timer(delay, os.kill, (victim, signal.SIGKILL))
            killer.start()
            postman.deliver(service, [event for event in events if event["id"] not in missing])
            killer.join()
            beside.wait(30)
            if victim == service.pid:
                assert service.await_end() == -9
                service.start()
            postman.resend(service)
            after = command(settings, "reconcile", "--all")
            assert after.returncode == 0, after.stderr
            repaired += after.stdout.count("yes")
            service.await_settled(20)
            assert market.drift(service) == []
        with closing(sqlite3.connect(tmp_path / "s" / "interlock.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = {row[0] for row in database.execute("SELECT event_id FROM event")}
        assert postman.acknowledged.keys() <= kept
        compared = command(settings, "reconcile", "--all", "--dry-run")
        assert (compared.returncode, compared.stdout.strip()) == (0, "Nothing differs.")
    finally:
        service.close()
    figure(
        9,
        f"SQLite: {kills} kills of a service and of `reconcile --all` beside it: {len(postman.acknowledged)} events, "
        f"0 lost, 0 doubled, {repaired} differences repaired, 0 left",
    )
