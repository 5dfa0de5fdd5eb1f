"""Row 8.  A full disk, an I/O error, a locked database: 503 and clean recovery, never 200 and lost."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from interlock.engine.config import Config
from interlock.engine.errors import StoreUnavailable
from interlock.engine.flow import asker as truth
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.store import Work
from interlock.engine.store.sqlite import batch as sqlite
from interlock.engine.store.sqlite.store import SqliteStore
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.units.checkouts import buyer
from interlock.engine.units.evidence import Reading, take_answer
from tests.engine.conftest import make_config, read
from tests.faults.processes import Life, Nursery, settings_in
from tests.faults.traffic import Market, Postman
from tests.kit.bodies import T0, Sub, body_of
from tests.kit.bodies import Life as Told
from tests.kit.process import Served, crowd_client
from tests.kit.scale import Figure
from tests.kit.settings import bearer, sign
from tests.kit.stripe import StandIn

Obj = dict[str, Any]
PATIENCE: Final = 5.0
"""How long the engine waits for another's lock."""
CROWD: Final = 200


# --- a disk that takes no more ---------------------------------------------------------------------------


class Trouble:
    """A service before, in and after a fault of its store: what it answers, and how long that takes."""

    def __init__(self, service: Served, stand_in: StandIn, seed: int) -> None:
        self.service = service
        self.postman = Postman(random.Random(seed))
        self.market = Market(stand_in, random.Random(seed), "d")
        self.refused = 0
        self.slowest = 0.0
        self.stand_in = stand_in

    def happen(self, users: int) -> list[Obj]:
        for _ in range(users):
            self.market.grow()
            self.market.change()
        return self.postman.shuffle(self.stand_in.news())

    def deliver_until_refused(self) -> None:
        """Deliver; what is taken is remembered, and in the end one is refused."""
        for _ in range(40):
            self.postman.deliver(self.service, self.happen(4))
            if self.postman.undelivered:
                break
        assert self.postman.undelivered, "the fault was never met"

    def look(self, known: str) -> None:
        """In the midst of it: writing is refused at once and politely; reading and living go on."""
        for event in list(self.postman.undelivered.values())[:10]:
            begun = time.monotonic()
            refused = self.service.deliver(event)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            assert refused.status_code == 503, refused.text
            assert refused.headers["Retry-After"] == "1"
            assert refused.json()["type"] == "urn:interlock:store-unavailable"
            self.refused += 1
        assert self.service.state(known)["state"] != "none"
        assert self.service.client.get("/health/live").status_code == 200

    def recover(self, folder: Path) -> None:
        """Afterwards: all is taken, all is as at Stripe, and nothing that was acknowledged is gone."""
        begun = time.monotonic()
        self.service.await_ready(10)
        self.postman.resend(self.service)
        self.service.await_settled(20)
        assert self.market.drift(self.service) == []
        assert time.monotonic() - begun < 20
        with contextlib.closing(sqlite3.connect(folder / "interlock.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = {row[0] for row in database.execute("SELECT event_id FROM event")}
        assert self.postman.acknowledged.keys() <= kept


def test_the_kernel_takes_no_more(tmp_path: Path, stand_in: StandIn, figure: Figure) -> None:
    """`interlock serve` whose every write to a file fails (EFBIG: an I/O error of SQLite's) says 503 and recovers."""
    service = Served(settings_in(tmp_path / "s", stand_in.url), tmp_path / "log").start()
    try:
        trouble = Trouble(service, stand_in, 1)
        known = trouble.market.grow()
        trouble.postman.deliver(service, trouble.happen(2))
        service.await_settled()
        infinite = resource.RLIM_INFINITY
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (4096, infinite))
        trouble.deliver_until_refused()
        trouble.look(known)
        assert service.client.get("/health/ready").status_code == 503
        assert service.checkout("somebody_new").status_code == 503
        assert stand_in.everything("checkout/sessions") == []
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (infinite, infinite))
        trouble.recover(tmp_path / "s")
    finally:
        service.close()
    figure(8, f"I/O error on every write: {trouble.refused} × 503 in ≤ {trouble.slowest * 1000:.0f} ms, reads answered")


def test_the_disk_is_full(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """A database that may not grow (SQLITE_FULL, by max_page_count) takes what fits, says 503, and recovers."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log").start()
    try:
        trouble = Trouble(service, stand_in, 2)
        known = trouble.market.grow()
        trouble.postman.deliver(service, trouble.happen(2))
        service.await_settled()
        service.order(pages=1)  # SQLite takes the present size for it: full from now on
        trouble.deliver_until_refused()
        taken = len(trouble.postman.acknowledged)
        trouble.look(known)
        service.order(pages=1_000_000)
        trouble.recover(tmp_path / "s")
    finally:
        service.close()
    figure(8, f"disk full: {taken} events taken before, {trouble.refused} × 503 in ≤ {trouble.slowest * 1000:.0f} ms")


# --- a database that another holds -----------------------------------------------------------------------

HOLD: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_sqlite(database: Path) -> Generator[None]:
    """Another process is inside a transaction."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.communicate(timeout=10)


@contextlib.contextmanager
def held_by_a_command(database: Path) -> Generator[None]:
    """A command of Interlock's holds the turn to write."""
    file = os.open(f"{database}-lock", os.O_RDWR)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
        yield
    finally:
        os.close(file)


async def crowd(service: Served, bodies: list[Obj], known: str) -> tuple[list[tuple[int, float]], float, int]:
    """Deliver all at once, reading and asking for life meanwhile; returns (status, seconds) of each, the slowest
    sign of life, and how many reads were answered."""
    slowest, reads = 0.0, 0
    async with crowd_client(service.url) as client:

        async def one(event: Obj) -> tuple[int, float]:
            body = body_of(event)
            begun = time.monotonic()
            got = await client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)})
            if got.status_code == 503:
                assert got.headers["Retry-After"] == "1"
            return got.status_code, time.monotonic() - begun

        under_way = [asyncio.create_task(one(event)) for event in bodies]
        while not all(task.done() for task in under_way):
            begun = time.monotonic()
            assert (await client.get("/health/live")).status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
            assert (await client.get("/subscription", headers=bearer(known))).status_code == 200
            reads += 1
            await asyncio.sleep(0.1)
        return [task.result() for task in under_way], slowest, reads


@pytest.mark.parametrize("held", [held_by_sqlite, held_by_a_command])
def test_locked_by_another_process(
    tmp_path: Path,
    stand_in: StandIn,
    nursery: Nursery,
    figure: Figure,
    held: Callable[[Path], contextlib.AbstractContextManager[None]],
) -> None:
    """A crowd of webhooks while another process holds the lock: each hears 503 in time, and none is lost."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log").start()
    try:
        told = Told(Sub(id="sub_known", user="known"))
        assert service.deliver(told.create()).status_code == 200
        events = [Told(Sub(id=f"sub_{n}", customer=f"cus_{n}", user=f"u_{n}")).create() for n in range(CROWD)]
        idle = [Told(Sub(id=f"idle_{n}", customer=f"cus_i{n}", user=f"i_{n}")).create() for n in range(CROWD)]
        at_ease, _, _ = asyncio.run(crowd(service, idle, "known"))
        usual = max(seconds for _, seconds in at_ease)
        with held(tmp_path / "s" / "interlock.db"):
            answers, slowest, reads = asyncio.run(crowd(service, events, "known"))
        assert {status for status, _ in answers} == {503}
        longest = max(seconds for _, seconds in answers)
        # Batch after batch of 64 they would wait 20 s.  A busy machine is measured by what it usually takes.
        assert longest < PATIENCE + 2 + 2 * usual, f"the last of {CROWD} heard after {longest:.1f} s"
        assert slowest < 0.5 + 2 * usual, f"a sign of life took {slowest:.1f} s: the event loop was blocked"
        service.await_ready(10)
        again, _, _ = asyncio.run(crowd(service, events, "known"))
        assert {status for status, _ in again} == {200}
        assert all(service.state(f"u_{n}")["state"] == "active" for n in range(0, CROWD, 20))
        # A lock that is let go within the patience costs time and nothing else.
        late = [Told(Sub(id=f"late_{n}", customer=f"cus_l{n}", user=f"l_{n}")).create() for n in range(20)]
        with contextlib.ExitStack() as holding:
            holding.enter_context(held(tmp_path / "s" / "interlock.db"))
            letting_go = threading.Timer(1.0, holding.pop_all().close)
            letting_go.start()
            patient, _, _ = asyncio.run(crowd(service, late, "known"))
            letting_go.join()
        assert {status for status, _ in patient} == {200}
    finally:
        service.close()
    words = held.__name__.replace("_", " ")
    figure(
        8, f"locked ({words}): {CROWD} × 503 in ≤ {longest:.1f} s, {reads} reads and signs of life ≤ {slowest:.2f} s"
    )


@pytest.mark.anyio
async def test_a_new_file_that_another_is_writing_is_waited_for(tmp_path: Path) -> None:
    """Two that start on one new file at once both start: SQLite itself would not wait here."""
    path = tmp_path / "interlock.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # in the journal mode of a file that was never opened before
        opening = asyncio.create_task(SqliteStore.open(path))
        done, _ = await asyncio.wait({opening}, timeout=0.5)
        assert not done
        other.execute("ROLLBACK")
        store = await opening
    await store.close()


# --- the n-th statement of every unit of work --------------------------------------------------------------


class Failing:
    """A connection whose n-th statement fails, before it is done or after."""

    def __init__(self, connection: sqlite3.Connection, at: int, *, after: bool, seen: list[str]) -> None:
        self._connection = connection
        self._left = at
        self._after = after
        self._seen = seen

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, arguments: Any = ()) -> Any:
        return self._run(self._connection.execute, sql, arguments)

    def executemany(self, sql: str, many: Any) -> Any:
        return self._run(self._connection.executemany, sql, many)

    def _run(self, execute: Callable[[str, Any], sqlite3.Cursor], sql: str, arguments: Any) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            return execute(sql, arguments)
        self._left -= 1
        self._seen.append(sql)
        if self._left == 0:
            if self._after:
                execute(sql, arguments).fetchall()
            raise sqlite3.OperationalError("disk I/O error")
        return execute(sql, arguments)


def dump(path: Path) -> list[str]:
    """What the file holds, its payloads unpacked: one body may be packed in more than one way."""

    def unpacked(packed: re.Match[str]) -> str:
        return repr(zlib.decompress(bytes.fromhex(packed[1])))

    with contextlib.closing(sqlite3.connect(path)) as database:
        lines = [line for line in database.iterdump() if "sqlite_sequence" not in line]
    return [re.sub(r"X'(78(?:01|5E|9C|DA)[0-9A-F]+)'", unpacked, line) for line in lines]


_told: Final = Told(Sub())
_created: Final = _told.create()
_updated: Final = _told.update(T0 + 10, cancel_at=T0 + 90)
_failed: Final = _told.bill("payment_failed", T0 + 20, status="open", attempts=1)
_other: Final = Told(Sub(id="sub_2", customer="cus_2", user="u_2"))
_gap: Final = [_other.create(), _other.update(T0 + 5, cancel_at=T0 + 50), _other.update(T0 + 9, cancel_at=T0 + 90)]

Doing = Callable[[SqliteStore, Runner, Config], Any]


async def _take(inbox: Runner, event: Obj) -> str:
    return (await inbox.submit(body_of(event))).outcome.value


UNITS: Final[dict[str, tuple[list[Obj], Doing]]] = {
    "a first event": ([], lambda store, inbox, config: _take(inbox, _created)),
    "an event that follows": ([_created], lambda store, inbox, config: _take(inbox, _updated)),
    "a failed payment": ([_created, _updated], lambda store, inbox, config: _take(inbox, _failed)),
    "an event that must be asked about": (_gap[:1], lambda store, inbox, config: _take(inbox, _gap[2])),
    "a question claimed": (
        [_gap[0], _gap[2]],
        lambda store, inbox, config: store.write(lambda: truth.claim(int(config.clock() * 1000) + 5_000, 8)),
    ),
    "an answer": (
        [_gap[0], _gap[2]],
        lambda store, inbox, config: inbox.run(
            lambda moment: take_answer(
                Reading(subscription_id="sub_2", facts=read(_other.sub), date=T0 + 60, evidence_at_ask=2), moment
            )
        ),
    ),
    "a checkout's first look": ([_created], lambda store, inbox, config: inbox.run(lambda unit: buyer("u_new", unit))),
}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Let the n-th statement of each transaction fail; returns the statements that were seen."""
    transact: Any = vars(sqlite)["_transact"]

    def fail(at: int, *, after: bool = False) -> list[str]:
        seen: list[str] = []

        def failing_transact(connection: sqlite3.Connection, locks: Any, jobs: list[Any]) -> list[Any]:
            wrapped = Failing(connection, at, after=after, seen=seen)
            return transact(cast("sqlite3.Connection", wrapped), locks, jobs)

        monkeypatch.setattr(sqlite, "_transact", failing_transact)
        return seen

    yield fail
    monkeypatch.undo()


def _settings(folder: Path) -> Config:
    return make_config(folder, clock=cast("Any", lambda: T0 + 60.0))


async def _run(folder: Path, unit: Doing) -> Any:
    config = _settings(folder)
    store = await SqliteStore.open(folder / "interlock.db")
    try:
        return await unit(store, Runner(store, Hub(), config), config)
    finally:
        await store.close()


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.anyio
async def test_the_nth_statement_fails(
    tmp_path: Path, failing: Callable[..., list[str]], figure: Figure, name: str
) -> None:
    """Whichever statement fails, BEGIN and COMMIT too, nothing is left of the unit, and doing it again does it."""
    before, unit = UNITS[name]
    base = tmp_path / "base"
    base.mkdir()
    for event in before:
        await _run(base, lambda store, inbox, config, event=event: _take(inbox, event))
    untouched = dump(base / "interlock.db") if before else None
    count, places = 0, 1
    expected: list[str] = []
    result: Any = None
    at = 0
    while at < places:
        for after in (False, True):
            folder = tmp_path / f"{at}{after}"
            shutil.copytree(base, folder)
            failing(0)
            if at == 0 and not after:  # undisturbed: what it should come to
                undisturbed = tmp_path / "undisturbed"
                shutil.copytree(base, undisturbed)
                seen = failing(0)
                result = await _run(undisturbed, unit)
                places = len(seen)
                expected = dump(undisturbed / "interlock.db")
            store = await SqliteStore.open(folder / "interlock.db")
            try:
                config = _settings(folder)
                inbox = Runner(store, Hub(), config)
                seen = failing(at + 1, after=after)
                with pytest.raises(StoreUnavailable):
                    await unit(store, inbox, config)
                durable = after and seen[-1] == "COMMIT"
                left = dump(folder / "interlock.db")
                assert left == (expected if durable else untouched or left), f"statement {at + 1}, after={after}"
                failing(0)
                again = await unit(store, inbox, config)
                if not durable:
                    assert again == result
                    assert dump(folder / "interlock.db") == expected
            finally:
                await store.close()
            count += 1
        at += 1
    assert places >= 4
    figure(8, f"{name}: fails at each of {places} statements, before and after: {count} × nothing left, then done")


async def _three_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> tuple[list[str], list[int], int]:
    """Take three events while one statement fails, once; their outcomes, the batches' sizes, how many statements."""
    seen: list[str] = []
    batches: list[int] = []

    def failing_once(connection: sqlite3.Connection, locks: Any, jobs: list[Any]) -> list[Any]:
        wrapped = Failing(connection, 0 if batches else at, after=False, seen=seen)
        batches.append(len(jobs))
        return transact(cast("sqlite3.Connection", wrapped), locks, jobs)

    transact: Any = vars(sqlite)["_transact"]
    await asyncio.to_thread(folder.mkdir)
    store = await SqliteStore.open(folder / "interlock.db")
    inbox = Runner(store, Hub(), _settings(folder))
    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "_transact", failing_once)
        outcomes = await asyncio.gather(*(_take(inbox, event) for event in (_created, _gap[0], _failed)))
        await store.close()
    return outcomes, batches, len(seen)


@pytest.mark.anyio
async def test_the_nth_statement_of_a_batch_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """Units that run in lockstep leave nothing either, whichever statement fails; then each is done, alone."""
    expected, batches, places = await _three_at_once(tmp_path / "undisturbed", monkeypatch, 0)
    assert (batches, places > 8) == ([3], True)
    for at in range(2, places + 1):  # where BEGIN fails, trying each alone would wait as long for the same
        outcomes, batches, _ = await _three_at_once(tmp_path / str(at), monkeypatch, at)
        assert (outcomes, batches) == (expected, [3, 1, 1, 1])
    figure(8, f"three units in lockstep: each of {places} statements fails once: all three done, each alone")


@pytest.mark.anyio
async def test_one_bad_unit_takes_no_other_with_it(tmp_path: Path) -> None:
    """Units that share a transaction do not share a failure: the others of the batch are committed."""
    store = await SqliteStore.open(tmp_path / "interlock.db")
    config = _settings(tmp_path)
    inbox = Runner(store, Hub(), config)

    def bad() -> Work[None]:
        yield STATEMENTS["users_ensure"], ("u_bad",)
        raise RuntimeError("a fault of ours")

    tellers = [Told(Sub(id=f"sub_{n}", customer=f"cus_{n}", user=f"u_{n}")) for n in range(10)]
    events = [_take(inbox, teller.create()) for teller in tellers]
    try:
        results = await asyncio.gather(*events[:5], store.write(bad), *events[5:], return_exceptions=True)
    finally:
        await store.close()
    assert [str(result) for result in results] == [*["applied"] * 5, "a fault of ours", *["applied"] * 5]
    assert not any("u_bad" in line for line in dump(tmp_path / "interlock.db"))
