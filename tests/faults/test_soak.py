"""Row 21.  Mixed load and kills for a given time: memory, files, threads and tasks stay flat, and nothing drifts."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from tests.faults.processes import Life, Nursery, settings_in
from tests.faults.traffic import Market, Postman
from tests.kit.process import client_of, command
from tests.kit.scale import Figure, first_seed, size
from tests.kit.settings import bearer
from tests.kit.stripe import StandIn

MIB: Final = 1024 * 1024
GROWTH: Final = 16 * MIB
"""What a service may grow by after its warm-up, beside pages of the database: connections and prepared statements
still fill.  A leak of 200 bytes a request would be over it in an hour's load."""
CACHED: Final = 3 * 64 * MIB
"""Three connections keep 64 MiB of pages each; by as much as the database grows, so may they."""
WARM_UP: Final = 0.4
"""The part of a life after which it counts as warm, at most a minute."""


class Size(NamedTuple):
    """What a service holds."""

    memory: int
    files: int
    threads: int
    tasks: int


def size_of(service: Life) -> Size:
    return Size(service.resident(), service.files(), service.threads(), service.tasks())


class Users:
    """They read, they hold streams open for a moment, they begin checkouts; whatever they are told is counted."""

    def __init__(self, service: Life, names: list[str], seed: int) -> None:
        self.asked = 0
        self.wrong: list[str] = []
        self._service = service
        self._names = names
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(seed + n,)) for n in range(2)]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _live(self, seed: int) -> None:
        rng = random.Random(seed)
        with client_of(self._service.url) as client:
            while not self._over.wait(0.01):
                with suppress(httpx.TransportError, httpx.StreamError):  # it was killed; they try again
                    self._do(client, rng)

    def _do(self, client: httpx.Client, rng: random.Random) -> None:
        user = rng.choice(self._names)
        what = rng.choice(("read", "read", "history", "stream", "checkout"))
        if what == "stream":
            with client.stream("GET", "/subscription/stream", headers=bearer(user)) as answer:
                next(answer.iter_lines())
            status = answer.status_code
        elif what == "checkout":
            who = f"soak_buyer_{rng.randrange(50)}"
            status = client.post(
                "/checkout", json={"plan": rng.choice(("pro", "starter"))}, headers=bearer(who)
            ).status_code
        else:
            path = "/subscription" if what == "read" else "/subscription/history"
            status = client.get(path, headers=bearer(user)).status_code
        self.asked += 1
        if status not in (200, 201, 429):
            self.wrong.append(f"{what}: {status}")


def test_soak(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """After the load and the kills: everything as at Stripe, and the last life no bigger than when it was warm."""
    seed, seconds = first_seed(), size("SOAK_SECONDS", 20, 4 * 3600)
    lives = max(3, seconds // 600)
    print(f"seed {seed}, {seconds} s, {lives} lives")
    rng = random.Random(seed)
    settings = settings_in(tmp_path / "s", stand_in.url, RECONCILE_EVERY="2")
    market, postman = Market(stand_in, rng, "soak"), Postman(rng)
    for _ in range(5):
        market.grow()
    service = Life(nursery, settings, tmp_path / "log").start()
    postman.deliver(service, postman.shuffle(stand_in.news()))
    database = tmp_path / "s" / "interlock.db"
    asked, kills, growth, bound, stored = 0, 0, 0, GROWTH, 0
    begun = time.monotonic()
    try:
        for life in range(lives):
            last = life == lives - 1
            # Half of the time is the last life's where there are few; it is the one that is measured to the end.
            share = seconds / 2 if last and lives == 3 else (seconds / 4 if lives == 3 else seconds / lives)
            users = Users(service, sorted(market.owner.values()), seed + life)
            end = time.monotonic() + share
            warm_at = end - share + min(60, WARM_UP * share)
            warm: Size | None = None
            while time.monotonic() < end:
                if rng.random() < 0.1 and len(market.owner) < 200:
                    market.grow()
                for _ in range(4):
                    market.change()
                postman.deliver(service, postman.shuffle(stand_in.news()))
                if warm is None and time.monotonic() > warm_at:
                    warm, stored = size_of(service), database.stat().st_size
            if not last:
                killer = threading.Timer(rng.uniform(0, 0.3), service.kill)
                killer.start()
                market.change()
                postman.deliver(service, postman.shuffle(stand_in.news()))
                killer.join()
                kills += 1
            users.leave()
            asked += users.asked
            assert users.wrong == [], users.wrong[:5]
            if warm is not None and last:
                service.await_settled(20)
                time.sleep(1)  # those who left are noticed
                cold = size_of(service)
                growth = cold.memory - warm.memory
                bound = GROWTH + min(CACHED, 3 * (database.stat().st_size - stored))
                assert growth < bound, f"{growth / MIB:.1f} MiB more after {share:.0f} s"
                assert cold.threads <= warm.threads + 1, (warm, cold)
                assert cold.files <= warm.files + 2, (warm, cold)
                assert cold.tasks <= warm.tasks + 2, (warm, cold)
            if not last:
                service.start()
                postman.resend(service)
        postman.resend(service)
        service.await_settled(20)
        drift = market.drift(service)
        assert drift == [], drift
        compared = command(settings, "reconcile", "--all", "--dry-run")
        assert (compared.returncode, compared.stdout.strip()) == (0, "Nothing differs."), compared.stdout
    finally:
        service.close()
    figure(
        21,
        f"{time.monotonic() - begun:.0f} s, {kills} kills: {postman.sent:,} deliveries, {asked:,} reads, streams and "
        f"checkouts; memory {growth / MIB:+.1f} MiB after warm-up (bound {bound // MIB}); files, threads, tasks flat; "
        f"0 drift over {len(market.owner)} subscriptions",
    )
