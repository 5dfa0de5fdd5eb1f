"""Quick judges, each of one promise: what a mutant of the engine must break (row 20).

`python -m tests.reliability.promises NAME…` judges the engine of the folder it is run in.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

import interlock
from interlock.engine.core.access import DAY, access
from interlock.engine.core.catalogue import AccessPolicy
from interlock.engine.core.invoices import Invoice, merge
from interlock.engine.core.machine import decide
from interlock.engine.core.states import ENDED, Kind, Outcome, State
from interlock.engine.core.table import TRANSITIONS
from interlock.engine.errors import BadSignature
from interlock.engine.flow.answers import reading_of
from interlock.engine.flow.asker import claim
from interlock.engine.flow.runner import whole
from interlock.engine.store import Work
from interlock.engine.store.opening import open_store
from interlock.engine.store.statements import STATEMENTS
from interlock.engine.units.effects import Unit
from interlock.engine.units.evidence import Reading, take, take_answer
from interlock.engine.units.records import Question
from interlock.engine.wire import events as webhooks
from interlock.engine.wire import objects as wire
from interlock.engine.wire import reading, signature
from tests.reliability.bodies import MONTH, START, VERSIONS, customer, event, invoice, subscription
from tests.reliability.cells import cells, known_in
from tests.reliability.crowd import CATALOGUE, Crowd
from tests.reliability.explore import Exploration
from tests.reliability.histories import histories, seconds, story
from tests.reliability.laboratory import Laboratory
from tests.reliability.lifecycles import LIFECYCLES
from tests.reliability.lite import commit, connect, table

UPDATED, CREATED = "customer.subscription.updated", "customer.subscription.created"
SINGLE_STEPS: Final = """
none>trialing none>active none>incomplete incomplete>active incomplete>trialing incomplete>incomplete_expired
incomplete>canceled trialing>active trialing>past_due trialing>paused trialing>canceled active>past_due active>trialing
active>unpaid active>paused active>canceled past_due>active past_due>unpaid past_due>paused past_due>canceled
unpaid>active unpaid>paused unpaid>canceled paused>active paused>past_due paused>canceled
"""
"""Stripe's single steps between states, from its lifecycle, apart from the engine's table."""
_ENDINGS: Final = frozenset(step for step in SINGLE_STEPS.split() if step.endswith(("canceled", "expired")))


def the_table_is_stripes_lifecycle() -> None:
    """The table has exactly Stripe's single steps, each behind the guards that its kind needs."""
    rows = [row for row in TRANSITIONS if row.destination and row.trigger not in ("update", "vanish")]
    steps = [f"{row.source}>{row.destination}" for row in rows]
    assert sorted(steps) == sorted(SINGLE_STEPS.split())
    for row in TRANSITIONS:
        names = {guard.__name__ for guard in row.guards}
        ends = row.destination in ENDED
        assert ends or row.source is State.NONE or names & {"proven_next", "stripe_was_asked"}, row
        assert (row.trigger != "start_trial") or "trial_ahead" in names, row
        assert (row.trigger not in ("pause", "await_payment")) or "charges_automatically" in names, row
        assert (row.trigger == "correct") == ("stripe_was_asked" in names), row
        assert (row.trigger == "vanish") == ("stripe_has_it_no_more" in names), row


def every_cell_is_weighed_by_the_rule() -> None:
    """The README's rule of weighing, over a share of all cells of `decide`."""
    for known, heard, facts in itertools.islice(cells(), 0, None, 5):
        decision = decide(known, heard, facts)
        asked, after = heard.kind in (Kind.ANSWER, Kind.ABSENCE), decision.after
        applied = decision.outcome is Outcome.APPLIED
        if known.state in ENDED:
            assert after == known
            assert decision.outcome in (Outcome.REFUSED, Outcome.STALE, Outcome.UNCHANGED)
            continue
        if asked and heard.evidence_at_ask != known.evidence:
            assert decision.outcome is Outcome.PENDING, decision
            continue
        assert after.evidence == known.evidence + (not (asked and decision.outcome is Outcome.PENDING)), decision
        assert after.as_of >= known.as_of
        if facts is None:
            fits = known.state in heard.consistent_with and not asked
            assert (decision.outcome is Outcome.UNCHANGED) == fits, decision
            continue
        assert applied or f"{known.state}>{facts.status}" not in _ENDINGS, "an end needs no proof"
        later = heard.created > known.as_of and heard.previous == known.facts
        free = known.unknown_status is None or facts.status in ENDED
        assert not applied or asked or (free and (known.state is State.NONE or later or after.state in ENDED)), decision
        assert not applied or after.facts == facts
        assert not applied or after.as_of == max(known.as_of, heard.created)
        ahead = facts.trial_end is not None and facts.trial_end > heard.created
        assert decision.trigger != "start_trial" or ahead
        assert decision.trigger not in ("pause", "await_payment") or facts.charges_automatically
        assert after.unknown_status in (None, known.unknown_status) or asked


def the_store_keeps_an_end() -> None:
    """Whatever the program said: the row of an ended subscription stays ended, however it is written."""
    connection = connect()
    nothing = (None,) * 4
    ended = ("canceled", 9, 2, 9, None, None, b"{}", *nothing)
    alive = ("active", 10, 3, 10, None, None, b"{}", *nothing)

    def write(*queries: tuple[str, tuple[Any, ...]]) -> Work[None]:
        for query in queries:
            _ = yield STATEMENTS[query[0]], query[1]

    commit(connection, write(("subscription_put", ("sub_1", "cus_1", None, *ended))))
    commit(connection, write(("subscription_put", ("sub_1", "cus_1", None, *alive))))
    commit(connection, write(("subscription_update", (*alive, "sub_1"))))
    assert table(connection, "SELECT state FROM subscription") == [("canceled",)]


def small_histories_converge() -> None:
    """Two and three changes, told twice or once, two askers, crashes: at rest Stripe's word is held."""
    laboratory = Laboratory()
    there_and_back = (story("ABA", times, 1) for times in seconds(3))
    for each in (*there_and_back, *histories(2, "AB", "A", 2), story("ABAB", (0, 1, 2, 3), 1)):
        way, _ = Exploration(laboratory, each, 2).run()
        assert way is None, way


def _whole(work: Callable[[Unit], Work[Outcome]], now: float = START) -> Work[Outcome]:
    unit = Unit(now=now, catalogue=CATALOGUE, livemode=False)
    return whole(unit, work(unit))


def _take(connection: sqlite3.Connection, body: bytes, now: float = START) -> Outcome:
    return commit(connection, _whole(lambda unit: take(webhooks.read(body), body, unit), now))


def _answer(connection: sqlite3.Connection, question: Question, body: dict[str, Any], date: int) -> Outcome:
    read = msgspec.json.decode(msgspec.json.encode(body), type=wire.Subscription)
    return commit(connection, _whole(lambda unit: take_answer(reading_of(read, date, question, "reconcile"), unit)))


def what_waits_is_asked_and_settled() -> None:
    """A webhook that proves nothing waits; one asker at a time asks; the answer decides all that waited, once."""
    connection = connect()
    active, due = subscription(), subscription(status="past_due")
    assert _take(connection, event(CREATED, START, active, id="evt_1")) is Outcome.APPLIED
    assert _take(connection, event(CREATED, START, active, id="evt_1")) is Outcome.DUPLICATE
    for number in (2, 3):
        assert _take(connection, event(UPDATED, START + number, due, id=f"evt_{number}")) is Outcome.PENDING
    (question,) = commit(connection, claim(START * 1000 + 1000, 8))
    assert commit(connection, claim(START * 1000 + 1000, 8)) == [], "it is leased"
    assert _take(connection, event(UPDATED, START + 4, due, id="evt_4")) is Outcome.PENDING
    assert _answer(connection, question, active, START + 3) is Outcome.PENDING, "overtaken"
    (question,) = commit(connection, claim(START * 1000 + 60_000, 8))
    assert _answer(connection, question, due, START + 9) is Outcome.APPLIED
    assert table(connection, "SELECT * FROM queue") == []
    outcomes = dict(table(connection, "SELECT event_id, outcome FROM event"))
    assert outcomes == {"evt_1": "applied", "evt_2": "stale", "evt_3": "stale", "evt_4": "applied"}
    applied = table(connection, "SELECT event_id FROM decision WHERE outcome = 'applied' ORDER BY seq")
    assert applied == [("evt_1",), ("evt_4",)]
    assert table(connection, "SELECT version FROM users") == [(2,)]


def a_404_is_fenced() -> None:
    """Stripe knew no such subscription, but something was heard of it since: asked again, not given up."""
    connection = connect()
    _take(connection, event(UPDATED, START, subscription(status="odd"), id="evt_1"))
    (question,) = commit(connection, claim(START * 1000 + 1000, 8))
    _take(connection, event(CREATED, START, subscription(), id="evt_2"))
    nothing = Reading(subscription_id="sub_1", facts=None, date=0, evidence_at_ask=question.evidence)
    assert commit(connection, _whole(lambda unit: take_answer(nothing, unit))) is Outcome.PENDING
    assert table(connection, "SELECT count(*) FROM queue") == [(1,)]


def others_events_touch_nothing() -> None:
    """Another account's, or the other mode's: kept, ignored, no state touched."""
    ours = msgspec.json.decode(event(CREATED, START, subscription()))
    for change in ({"account": "acct_other"}, {"livemode": True}):
        connection = connect()
        assert _take(connection, msgspec.json.encode(ours | change)) is Outcome.IGNORED
        assert table(connection, "SELECT * FROM subscription") == []


def grace_runs_from_the_failure() -> None:
    """However late it is received, and however often it fails, grace runs from the first failure's `created`."""
    for order in itertools.permutations((100, 300, 500)):
        connection = connect()
        _take(connection, event(CREATED, START, subscription(latest_invoice="in_1"), id="evt_0"))
        for at in order:
            body = invoice(status="open", created=START, attempts=at // 100)
            _take(connection, event("invoice.payment_failed", START + at, body, id=f"evt_{at}"), START + 9000)
        assert table(connection, "SELECT unpaid_since FROM subscription") == [(START + 100,)]


def invoices_merge_in_any_order() -> None:
    """Every order of some words about one invoice leads to the same bill."""
    rng = random.Random(1)
    for _ in range(60):
        words = [
            Invoice(
                invoice_id="in_1",
                subscription_id="sub_1",
                status=rng.choice(("draft", "open", "paid", "void", "uncollectible")),
                attempt_count=rng.randrange(3),
                failed_at=rng.choice((None, 10, 20)),
                finalized_at=rng.choice((None, 5)),
                reported_at=rng.randrange(30),
            )
            for _ in range(3)
        ]
        merged: set[Invoice | None] = set()
        for order in itertools.permutations(words):
            bill: Invoice | None = None
            for word in order:
                bill = merge(bill, word)
            merged.add(bill)
        failures = [word.failed_at for word in words if word.failed_at is not None]
        assert len(merged) == 1
        assert next(iter(merged)) is not None
        assert all(bill is not None and bill.failed_at == min(failures, default=None) for bill in merged)


def access_follows_the_rules() -> None:
    """Cancellation dates, paused collection, grace and unknown statuses deny what the status would grant."""
    policy, now = AccessPolicy(past_due_grace_days=7), START
    active, due = known_in(State.ACTIVE), known_in(State.PAST_DUE)
    assert active.facts is not None
    assert access(active, policy, now).granted
    for change in ({"cancel_at": now}, {"collection_paused": True}):
        assert not access(replace(active, facts=replace(active.facts, **change)), policy, now).granted
    assert not access(replace(active, unknown_status="odd"), policy, now).granted
    assert access(replace(due, unpaid_since=now - 7 * DAY + 1), policy, now).granted
    assert not access(replace(due, unpaid_since=now - 7 * DAY), policy, now).granted
    assert not access(replace(due, unpaid_since=now - 8 * DAY), policy, now).granted
    assert not any(access(known_in(state), policy, now).granted for state in (State.UNPAID, State.PAUSED, *ENDED))


def _refused(body: bytes, header: str, secrets: tuple[bytes, ...], now: float) -> bool:
    try:
        signature.verify(body, header.encode(), secrets, now)
    except BadSignature:
        return True
    return False


def only_stripe_can_sign() -> None:
    """A good signature passes; an empty secret, another body, a v0 alone, too old or too new do not."""

    def header(secret: bytes, body: bytes, at: int, name: str = "v1") -> str:
        return f"t={at},{name}={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"

    body, secret, now = b"{}", b"whsec_0123456789", START
    assert not _refused(body, header(secret, body, now), (b"other_secret", secret), now)
    assert not _refused(body, header(secret, body, now - 300), (secret,), now)
    for at in (now - 301, now + 301):
        assert _refused(body, header(secret, body, at), (secret,), now)
    assert _refused(body, header(b"", body, now), (b"", secret), now)
    assert _refused(body, header(secret, b"{ }", now), (secret,), now)
    assert _refused(body, header(secret, body, now, "v0"), (secret,), now)
    assert _refused(body, header(secret, body, now - 1).replace(f"t={now - 1}", f"t={now}"), (secret,), now)


def every_version_says_the_same() -> None:
    """One subscription in three API versions gives one set of facts; the earliest end counts, and both ways to end."""
    pause = {"behavior": "void", "resumes_at": START + 9}
    shapes = [subscription(version, cancel_at=START + MONTH, pause=pause, quantity=3) for version in VERSIONS]
    facts = [reading.facts_of(msgspec.convert(shape, wire.Subscription)) for shape in shapes]
    assert {each.completed_by(facts[-1]) for each in facts} == {facts[-1]}, "what an old version leaves out is kept"
    one = shapes[-1]
    later = {**one["items"]["data"][0], "id": "si_2", "current_period_end": START + 2 * MONTH}
    two = {**one, "cancel_at": None, "items": {**one["items"], "data": [later, one["items"]["data"][0]]}}
    read = reading.facts_of(msgspec.convert(two, wire.Subscription))
    assert (read.current_period_end, read.cancel_at) == (START + MONTH, START + MONTH)
    owed = {reading.invoice_of(msgspec.convert(invoice(v), wire.Invoice), reported_at=1) for v in VERSIONS}
    assert len(owed) == 1
    assert None not in owed


def what_is_acknowledged_is_committed() -> None:
    """Once `submit` returns, another connection to the file sees the event."""

    async def submit(path: Path) -> int:
        store = await open_store(f"sqlite:///{path}", service=True)
        try:
            crowd = Crowd(store, LIFECYCLES[0])
            await crowd.live("a", 2, [0], settle_between=False)
            with sqlite3.connect(path) as other:
                seen: int = other.execute("SELECT count(*) FROM event").fetchone()[0]
            other.close()
            return seen
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(submit(Path(folder) / "interlock.db")) == 1


def a_sweep_heals_what_was_lost() -> None:
    """No webhook arrives at all; one sweep, and everything is as Stripe says."""
    from tests.reliability.plans import Happening, Plan
    from tests.reliability.simulation import Simulation  # a second's import, for this judge alone

    for seed in range(3):
        deeds = tuple(Happening(0.5 + at, "deed", at % 2, deed) for at, deed in enumerate((0, 0, 1, 2, 7)))
        plan = Plan(seed=seed, happenings=deeds, lost=1.0, replayed=0.0, delayed=0.0, twins=0.0, faults=0.0)
        Simulation(plan).run()


def a_customers_user_is_learned() -> None:
    """A subscription that names nobody is its customer's user's, as soon as that is known."""
    connection = connect()
    assert _take(connection, event(CREATED, START, subscription(user=None), id="evt_1")) is Outcome.UNLINKED
    _take(connection, event("customer.updated", START, customer(user="u_7"), id="evt_2"))
    assert table(connection, "SELECT user_id FROM subscription") == [("u_7",)]
    assert table(connection, "SELECT outcome FROM event WHERE event_id = 'evt_1'") == [("applied",)]
    assert table(connection, "SELECT user_id FROM users") == [("u_7",)]


PROMISES: Final[dict[str, Callable[[], None]]] = {
    function.__name__: function
    for function in (
        the_table_is_stripes_lifecycle, every_cell_is_weighed_by_the_rule, the_store_keeps_an_end,
        small_histories_converge, what_waits_is_asked_and_settled, a_404_is_fenced, others_events_touch_nothing,
        grace_runs_from_the_failure,
        invoices_merge_in_any_order, access_follows_the_rules, only_stripe_can_sign, every_version_says_the_same,
        what_is_acknowledged_is_committed, a_sweep_heals_what_was_lost, a_customers_user_is_learned,
    )
}  # fmt: skip


if __name__ == "__main__":
    here = Path(interlock.__file__).parent.parent
    assert here == Path.cwd(), f"judges {here}, not {Path.cwd()}"
    for name in sys.argv[1:]:
        PROMISES[name]()
