"""The rows, driven in turns, and the table they make."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import fill, inside, machine, streams, subjects
from tests.bench.subjects import Slice, Subject
from tests.bench.traffic import Traffic

Tell = Callable[[str], None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for."""

    rows: tuple[str, ...]
    rounds: int
    seconds: float
    million: int
    history: int
    cache: Path
    python: Path | None = None
    node: Path | None = None
    connections: int = 32
    streams: tuple[int, ...] = (1_000, 10_000)
    subscriptions: int = 2000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line: which subject is sent what.  Rates are divided by those of the row `of`, in the same round.

    `rival`: what it needs, `python` or `node`.  `connections`: to each node; the run's own number where it is 0.
    """

    label: str
    subject: str = ""
    kind: str = "webhook"
    path: str = "/webhooks/stripe"
    of: str = "bare-post"
    rival: str = ""
    connections: int = 0
    apart: bool = False
    owners: int = 0
    subscriptions: int | None = None
    stored: bool = False
    first: int = 0


DJ_STRIPE: Final = "/webhooks/0c1b6d5e-6d5d-4b52-9d4c-2d1c8f3a9b10"
ROWS: Final[dict[str, Row]] = {
    "bare-post": Row(label="bare Litestar POST that reads the body", subject="bare", path="/bare"),
    "decoding": Row(label="the same, plus signature and decoding", subject="bare", path="/decoding"),
    "sqlite": Row(label="**Interlock, SQLite** (WAL, FULL)", subject="sqlite"),
    "million": Row(label="the same at {million} stored subscriptions", subject="million", stored=True),
    "postgres": Row(label="**Interlock, PostgreSQL**", subject="postgres"),
    "postgres-2": Row(label="the same, two workers", subject="postgres-2"),
    "sync-engine": Row(label="stripe-sync-engine, PostgreSQL", subject="sync-engine", rival="node"),
    "sqlite-lone": Row(label="**SQLite**, one connection", subject="sqlite", connections=1, first=100_000),
    "postgres-lone": Row(label="**PostgreSQL**, one connection", subject="postgres", connections=1, first=100_000),
    "node": Row(label="one node held to 30 % of a core, PostgreSQL", subject="node"),
    "nodes": Row(label="two such nodes, customers apart", subject="nodes", apart=True, of="node"),
    "nodes-shared": Row(
        label="two such nodes, 200 customers at both", subject="nodes", owners=200, of="node", first=100_000
    ),
    "lean": Row(label="handwritten FastAPI + sqlite3, lean", subject="lean", rival="python"),
    "handwritten": Row(label="handwritten FastAPI + construct_event + sqlite3", subject="handwritten", rival="python"),
    "dj-stripe": Row(label="dj-stripe", subject="dj-stripe", path=DJ_STRIPE, rival="python", subscriptions=20),
    "bare-get": Row(label="bare Litestar GET", subject="bare", kind="read", path="/bare", of="bare-get"),
    "read": Row(
        label="**GET /subscription** with a JWT", subject="sqlite", kind="read", path="/subscription", of="bare-get"
    ),
    "unchanged": Row(
        label="the same, answered 304", subject="sqlite", kind="unchanged", path="/subscription", of="bare-get"
    ),
    "streams": Row(label="open streams", of="streams"),
    "decide": Row(label="decide", of="decide"),
    "start": Row(label="start-up and rest", of="start"),
}
_NO_LOAD: Final = ("streams", "decide", "start")


def _launch(name: str, options: Options, folder: Path) -> AbstractContextManager[Subject]:
    match name:
        case "bare":
            return subjects.bare(folder)
        case "sqlite":
            return subjects.on_sqlite(folder)
        case "million":
            database = fill.copied(fill.filled(options.cache, options.million), folder / "million.db")
            return subjects.interlock(folder, f"sqlite:///{database}")
        case "postgres" | "postgres-2":
            return subjects.on_postgres(folder, 2 if name == "postgres-2" else 1)
        case "node" | "nodes":
            return subjects.on_postgres(folder, nodes=2 if name == "nodes" else 1, share=0.3)
        case "sync-engine":
            assert options.node is not None
            return subjects.sync_engine(folder, options.node)
        case "dj-stripe":
            assert options.python is not None
            return subjects.dj_stripe(folder, options.python)
        case _:
            assert options.python is not None
            return subjects.handwritten(folder, options.python, name)


class _Lane:
    """One row in the run: where its traffic stands, and what each round brought."""

    def __init__(self, row: Row, subject: Subject, options: Options) -> None:
        self.row = row
        self.slices: list[Slice] = []
        self._subject = subject
        self._options = options
        self._rate = 2000.0
        self._subscriptions = row.subscriptions or options.subscriptions
        ports = (subject.port, *subject.others)
        self._sent = Traffic(
            kind=row.kind,
            path=row.path,
            ports=ports,
            apart=row.apart,
            owners=row.owners,
            first=row.first,
            subscriptions=self._subscriptions,
            stored=options.million if row.stored else 0,
            connections=(row.connections or options.connections) * len(ports),
        )
        self._next = [self._subscriptions if row.stored else 0] * self._sent.shares

    def warm(self) -> None:
        """Let every subscription begin, and every token be seen once; what is measured after it is what goes on."""
        if not self.row.stored:
            self._take(self._subscriptions, 120)

    def turn(self) -> None:
        seconds = self._options.seconds
        self.slices.append(self._take(max(64, int(self._rate * seconds * 1.5)), seconds))

    def _take(self, count: int, seconds: float) -> Slice:
        sent = msgspec.structs.replace(self._sent, starts=tuple(self._next), count=count, seconds=seconds)
        taken = subjects.drive(self._subject, sent)
        self._next = [before + done for before, done in zip(self._next, taken.result.shares, strict=True)]
        self._rate = taken.rate
        return taken


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _line(lane: _Lane, base: _Lane, options: Options) -> str:
    def ratio(of: Callable[[Slice], float]) -> float:
        return _median(of(its) / max(1e-9, of(theirs)) for its, theirs in zip(lane.slices, base.slices, strict=True))

    def middle(of: Callable[[Slice], float]) -> float:
        return _median(of(its) for its in lane.slices)

    label = lane.row.label.format(million=f"{options.million:,}")
    cells = [
        label,
        f"{middle(lambda s: s.rate):,.0f}",
        f"{ratio(lambda s: s.rate):.3g}",
        f"{middle(lambda s: s.cpu):,.0f}",
        f"{1 / ratio(lambda s: s.cpu):.3g}",
        f"{middle(lambda s: s.result.p50):.1f}",
        f"{middle(lambda s: s.result.p99):.1f}",
        f"{ratio(lambda s: s.result.p99):.1f}",
    ]
    return f"| {' | '.join(cells)} |{_amiss(lane)}"


def _amiss(lane: _Lane) -> str:
    """What was not answered as it should have been, in words; a figure for the wrong work is none."""
    wanted = "304" if lane.row.kind == "unchanged" else "200"
    done = sum(s.result.done for s in lane.slices)
    good = sum(s.result.statuses.get(wanted, 0) for s in lane.slices)
    is_ours = lane.row.path == "/webhooks/stripe" and not lane.row.rival
    applied = sum(s.result.outcomes.get('"applied"', 0) for s in lane.slices) if is_ours else done
    return "" if good == applied == done else f" of {done}: {good} answered {wanted}, {applied} applied"


def run(options: Options, folder: Path, tell: Tell) -> Iterator[str]:
    """Measure; yields the lines of the report."""
    names = [name for name in options.rows if name not in _NO_LOAD]
    names = [name for name in ROWS if name in names or any(ROWS[other].of == name for other in names)]
    if not subjects.has_postgres():
        names = [name for name in names if not name.startswith("postgres")]
    rounds = f"{options.connections} connections, {options.rounds} rounds of {options.seconds} s"
    yield f"{machine.description()}.  {rounds}."
    if names:
        yield from _table(names, options, folder, tell)
    if "streams" in options.rows:
        yield from _streams(options, folder, tell)
    if "decide" in options.rows:
        found = [inside.deciding_apart(options.history // options.rounds) for _ in range(options.rounds)]
        decide, rebuilt = (_median(iter(column)) for column in zip(*map(msgspec.structs.astuple, found), strict=True))
        yield f"\n`decide` alone: {decide:.1f} µs.  Rebuilding {options.history:,} events: {rebuilt:,.0f} a second."
    if "start" in options.rows:
        yield from _starts(options, folder)


def _table(names: list[str], options: Options, folder: Path, tell: Tell) -> Iterator[str]:
    with contextlib.ExitStack() as servers:
        up: dict[str, Subject] = {}
        for name in {ROWS[name].subject: None for name in names}:
            tell(f"starting {name}")
            up[name] = servers.enter_context(_launch(name, options, folder))
        if "sqlite" in up and "sqlite" not in names:
            _Lane(ROWS["sqlite"], up["sqlite"], options).warm()
        lanes = {name: _Lane(ROWS[name], up[ROWS[name].subject], options) for name in names}
        for name, lane in lanes.items():
            tell(f"warming {name}")
            lane.warm()
        for turn in range(options.rounds):
            for name, lane in lanes.items():
                tell(f"round {turn + 1} of {options.rounds}: {name}")
                lane.turn()
    tell("")
    yield "\n| row | req/s | × bare | CPU µs | CPU × bare | p50 ms | p99 ms | p99 × bare |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for lane in lanes.values():
        yield _line(lane, lanes[lane.row.of], options)


def _streams(options: Options, folder: Path, tell: Tell) -> Iterator[str]:
    yield "\n| open streams | KiB each | webhook to the user's last of 20, ms | slowest | all users changed, ms |"
    yield "|--:|--:|--:|--:|--:|"
    for count in options.streams:
        tell(f"{count:,} streams")
        database = f"sqlite:///{folder}/streams-{count}.db"
        with subjects.interlock(folder, database) as subject:
            heard = streams.measure(subject, count)
        tell("")
        short = "" if heard.streams == count else f" of {count:,} asked for"
        cells = [f"{heard.streams:,}{short}", f"{heard.kib:.1f}"]
        cells += [f"{ms:.1f}" for ms in (heard.one_ms, heard.worst_ms, heard.all_ms)]
        yield f"| {' | '.join(cells)} |"


def _starts(options: Options, folder: Path) -> Iterator[str]:
    ready = functools.partial(subjects.interlock, database=f"sqlite:///{folder}/start.db")
    for label, launch, path in (("Interlock", ready, "/health/ready"), ("bare Litestar", subjects.bare, "/bare")):
        found = [inside.start(launch, folder, path, rest=1.0) for _ in range(options.rounds)]
        seconds, cpu, held = (
            _median(iter(column)) for column in zip(*map(msgspec.structs.astuple, found), strict=True)
        )
        yield f"\n{label} starts in {seconds:.2f} s ({cpu:.2f} s of CPU) and rests at {held:.0f} MiB."
