"""One seed, one world: clock, network, Stripe, our service and its crashes, in virtual time and always the same.

A `Plan` says what people do and when, and how bad the world is; it can be made smaller by hand or by `shrink`.
What the network does to each delivery and which step fails is drawn from the plan's seed.  Our side is the
engine's own: `Runner.receive`, `Truth.run` and `Sweep.sweep` on a real SQLite that outlives every crash.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec

from interlock.api.sandbox.core.outbox import Delivery
from interlock.api.sandbox.http.carrier import signature
from interlock.engine.config import Config
from interlock.engine.core import catalogue
from interlock.engine.core.states import ENDED, Facts, State
from interlock.engine.errors import InterlockError, StoreUnavailable, StripeUnavailable
from interlock.engine.flow.asker import Asker
from interlock.engine.flow.runner import Runner
from interlock.engine.flow.streams import Hub
from interlock.engine.flow.sweep import Sweep
from interlock.engine.store import Work
from tests.reliability.bodies import START
from tests.reliability.lite import LiteStore, T, commit, connect, drive
from tests.reliability.plans import USERS, Broken, Happening, Plan
from tests.reliability.stripe_world import DEEDS, Stripe, WorldClient, facts_in
from tests.reliability.virtual import run

QUIET: Final = 0.5


class Process(LiteStore):
    """One life of our service: the store as this process sees it, its parts, and its tasks."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.database)
        self.alive = True
        self._simulation = simulation
        self._tasks: set[asyncio.Task[Any]] = set()
        config = Config(
            stripe_key="sk_test_0",
            webhook_secrets=(simulation.stripe.secret,),
            database_url="",
            catalogue=_selling(simulation.stripe.prices),
            app_url="https://app.example",
            clock=simulation.clock,
        )
        client: Any = WorldClient(simulation.stripe.world, self._around_stripe)
        self.inbox = Runner(self, Hub(), config)
        self.truth = Asker(self, self.inbox, client, config)
        self.reconciler = Sweep(self, self.inbox, self.truth, client)

    def start(self) -> None:
        """Begin as the service does on SQLite."""
        self.spawn(self._serve())

    async def _serve(self) -> None:
        while True:
            try:
                await self.truth.free_leases()
                await self.truth.run()
            except InterlockError:
                await asyncio.sleep(1)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something that ends with this process."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def kill(self) -> None:
        """End at once: nothing that was begun does anything more."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()

    def _check_alive(self) -> None:
        if not self.alive:
            raise asyncio.CancelledError

    async def write(self, work: Callable[[], Work[T]], *, about: tuple[str, ...] = ()) -> T:
        """Commit a unit of work; the process may die right before it, or right after, and nobody hears of it."""
        await asyncio.sleep(self._simulation.draw(0.02))
        self._check_alive()
        if self._simulation.fault("the database refuses"):
            raise StoreUnavailable("the disk is full")
        self._dies("before a commit")
        result = commit(self.connection, work())
        self._simulation.observe()
        self._dies("after a commit")
        return result

    async def read(self, work: Callable[[], Work[T]]) -> T:
        """Read."""
        await asyncio.sleep(self._simulation.draw(0.01))
        self._check_alive()
        return drive(self.connection, work())

    def _dies(self, when: str) -> None:
        if self._simulation.fault(f"the process dies {when}", among=3):
            self._simulation.crash()
            raise asyncio.CancelledError

    async def _around_stripe(self, what: str) -> None:
        await asyncio.sleep(self._simulation.draw(1.5 if self._simulation.rough else 0.05))
        self._check_alive()
        if self._simulation.fault(f"Stripe does not answer ({what})"):
            raise StripeUnavailable("Stripe could not be reached")


class Simulation:
    """Runs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rough = True
        self.trace: list[str] = []
        self.database: sqlite3.Connection = connect()
        self.stripe = Stripe(plan.seed, USERS)
        self.steps = 0
        self.crashes = 0
        self._rng = random.Random(f"chance/{plan.seed}")
        self._leaped = 0
        self._held: dict[str, tuple[State, bytes | None, int]] = {}
        self._versions: dict[str, int] = {}
        self._sending: set[int] = set()
        self._process: Process | None = None
        self._failure: Broken | None = None
        self._tasks: list[asyncio.Task[None]] = []
        chances = {"drop": plan.lost, "duplicate": plan.replayed, "delay": plan.delayed / 3, "reorder": plan.delayed}
        self.stripe.world.outbox.set_mischief({**chances, "twin": plan.twins, "seed": plan.seed})

    # --- chance, time, telling ---------------------------------------------------------------------------

    def clock(self) -> float:
        """Return the time, ours and Stripe's."""
        return START + self._leaped + asyncio.get_running_loop().time()

    def draw(self, most: float) -> float:
        """Draw a delay."""
        return self._rng.random() * most

    def fault(self, what: str, among: int = 1) -> bool:
        """Draw whether a fault happens now."""
        happens = self.rough and self._rng.random() < self.plan.faults / among
        if happens:
            self.tell(what)
        return happens

    def tell(self, what: str) -> None:
        """Add to the trace."""
        self.trace.append(f"{asyncio.get_running_loop().time():8.3f} {what}")

    # --- what must hold at each step ---------------------------------------------------------------------

    def observe(self) -> None:
        """After each commit: ended stays ended, versions never fall, and nothing goes back in Stripe's time."""
        self.steps += 1
        for id_, state, facts in self.database.execute("SELECT subscription_id, state, facts FROM subscription"):
            before = self._held.get(id_, (State.NONE, None, 0))
            if facts == before[1]:
                continue
            self.tell(f"we hold {id_[:12]} {before[0]} → {state}")
            if before[0] in ENDED and state != before[0]:
                raise Broken("an ended subscription lives", self.trace)
            self._held[id_] = (State(state), facts, self._position(id_, facts, before[2]))
        for user, version in self.database.execute("SELECT user_id, version FROM users"):
            if version < self._versions.get(user, 0):
                raise Broken("a version fell", self.trace)
            self._versions[user] = version

    def _position(self, subscription_id: str, encoded: bytes, since: int) -> int:
        facts = msgspec.json.decode(encoded, type=Facts)
        timeline = self.stripe.timelines[subscription_id]
        for position in range(since, len(timeline)):
            if timeline[position] == facts.completed_by(timeline[position]):  # an old version leaves things out
                return position
        raise Broken("what is held went back to something older, or was never so at Stripe", self.trace)

    # --- Stripe, the network and our process ---------------------------------------------------------------

    def start(self) -> None:
        """Begin a new life of the process."""
        if self._process is None or not self._process.alive:
            self._process = Process(self)
            self._process.start()

    def crash(self) -> None:
        """End the process; it comes back after a while."""
        if self._process is not None and self._process.alive:
            self.crashes += 1
            self.tell("our process is gone")
            self._process.kill()
            asyncio.get_running_loop().call_later(0.2 + self.draw(4), self.start)

    async def _network(self) -> None:
        """Deliver what is due, again and again."""
        world = self.stripe.world
        under_way: set[asyncio.Task[None]] = set()
        while True:
            self.stripe.advance(int(self.clock()))
            for delivery in world.outbox.due(self.clock()):
                if delivery.id not in self._sending:
                    self._sending.add(delivery.id)
                    under_way.add(asyncio.get_running_loop().create_task(self._deliver(delivery)))
            for task in [task for task in under_way if task.done()]:
                under_way.discard(task)
                task.result()
            await asyncio.sleep(0.25)

    async def _deliver(self, delivery: Delivery) -> None:
        world = self.stripe.world
        event = world.event_for(delivery.event, delivery.endpoint)
        assert event is not None
        await asyncio.sleep(self.draw(0.3))
        body = json.dumps(event).encode()
        header = signature(body, world.secrets_of(delivery.endpoint), int(self.clock())).encode()
        status = await self._post(body, header, f"{event['type']} {event['id'][:8]}")
        self._sending.discard(delivery.id)
        if world.outbox.done(delivery, self.clock(), status, str(event["type"])):
            world.delivered(delivery.event)

    async def _post(self, body: bytes, header: bytes, name: str) -> int | None:
        process = self._process
        if process is None or not process.alive:
            return None
        task = process.spawn(process.inbox.receive(body, header))
        await asyncio.wait([task])
        if task.cancelled():
            return None
        error = task.exception()
        if error is None:
            self.tell(f"{name}: {task.result().outcome}")
            return 200
        if isinstance(error, StoreUnavailable):
            return 503
        raise error

    # --- from beginning to end ---------------------------------------------------------------------------

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._network()))
        self.start()
        for happening in self.plan.happenings:
            await asyncio.sleep(max(0.0, happening.at - loop.time()))
            self._happen(happening)
        await asyncio.sleep(2)
        self.rough = False
        self.tell("the world is calm")
        await self._settled()
        assert self._process is not None
        await self._process.reconciler.sweep()
        self.tell("swept")
        await self._settled()
        self._process.kill()
        self._check_end()

    def _happen(self, happening: Happening) -> None:
        if happening.what == "deed":
            self.stripe.advance(int(self.clock()))
            rng = random.Random(f"{self.plan.seed}/{happening.at}/{happening.deed}/{happening.user}")
            done = DEEDS[happening.deed](self.stripe, happening.user, rng)
            self.tell(f"user {happening.user} {done}")
        elif happening.what == "clock":
            self._leaped += happening.seconds
            self.tell(f"{happening.seconds / 3600:.1f} hours pass")
        elif happening.what == "crash":
            self.crash()
        elif self._process is not None and self._process.alive:
            self.tell("a sweep begins")
            self._process.spawn(self._sweep(self._process))

    async def _sweep(self, process: Process) -> None:
        with suppress(InterlockError):
            await process.reconciler.sweep()

    async def _settled(self) -> None:
        """Wait until nothing is under way; everything must be settled within two virtual minutes."""
        outbox = self.stripe.world.outbox
        for _ in range(240):
            if self._failure is not None:
                raise self._failure
            outbox.hurry(self.clock())
            await asyncio.sleep(QUIET)
            alive = self._process is not None and self._process.alive
            asks = self.database.execute("SELECT count(*) FROM queue").fetchone()[0]
            if alive and not asks and not self._sending and not outbox.pending:
                return
        raise Broken("something is never settled", self.trace)

    def _check_end(self) -> None:
        """The state equals Stripe's, for every subscription and user; nothing waits; no event is applied twice."""
        held = dict(self.database.execute("SELECT subscription_id, facts FROM subscription"))
        for id_, truth in self.stripe.truth().items():
            ours = msgspec.json.decode(held[id_], type=Facts) if held.get(id_) else None
            if ours is None or ours.completed_by(truth) != truth:
                raise Broken(f"{id_}: held {ours}, Stripe says {truth}", self.trace)
        waiting = self.database.execute("SELECT event_id FROM event WHERE outcome = 'pending'").fetchall()
        if waiting:
            raise Broken(f"these still wait: {waiting}", self.trace)
        for user in range(USERS):
            self._check_user(user)

    def _check_user(self, user: int) -> None:
        rows = self.database.execute("SELECT shown FROM users WHERE user_id = ?", (f"u_{user}",)).fetchall()
        shown: dict[str, Any] = msgspec.json.decode(rows[0][0]) if rows and rows[0][0] else {"state": "none"}
        theirs = {str(sub["id"]): facts_in(sub) for sub in self.stripe.subscriptions_of(user)}
        living = [facts.status for facts in theirs.values() if facts.status not in ENDED]
        expected = theirs[shown["subscription_id"]].status if shown.get("subscription_id") else "none"
        if shown["state"] != expected or (bool(theirs) and shown["state"] == "none"):
            raise Broken(f"user {user} is shown {shown['state']}, Stripe says {expected}", self.trace)
        if living and shown["state"] in ENDED:
            raise Broken(f"user {user} is shown {shown['state']} while {living} lives", self.trace)

    def run(self) -> list[str]:
        """Run to the end; returns the trace.  Raises Broken."""
        global_state = random.getstate()
        random.seed(self.plan.seed)  # the asker spreads its pauses with the module's own generator
        try:
            with _silent():
                run(self._main(), self._heard)
        except Exception as error:
            self._heard(error)
        finally:
            random.setstate(global_state)
            self.database.close()
        if self._failure is not None:
            raise self._failure
        return self.trace

    def _heard(self, error: BaseException) -> None:
        """Keep the first error of any task that is not the weather; the engine's tasks may not tell of theirs."""
        if isinstance(error, InterlockError) or self._failure is not None:
            return
        said = f"{type(error).__name__}: {error}"
        self._failure = error if isinstance(error, Broken) else Broken(said, list(self.trace))


def _selling(prices: list[str]) -> catalogue.Catalogue:
    plans = {f"plan_{number}": catalogue.Plan(name=price, price=price) for number, price in enumerate(prices)}
    return catalogue.Catalogue(plans=plans)


@contextmanager
def _silent() -> Generator[None]:
    """The engine warns of what fails; here that is the weather."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(previous)
