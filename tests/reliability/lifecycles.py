"""Named lifecycles of at most six events, as Stripe tells them (its lifecycle table), in any API version.

Each is written as a small story: what changes when, and which events tell of it.  The subscription ids in the
bodies are places to be filled, so that thousands of users can live through the same story in one database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from interlock.engine.wire import objects as wire
from tests.reliability.bodies import MONTH, NEW, START, Obj, event, invoice, subscription

DAY: Final = 86_400
HOUR: Final = 3600
PLACE: Final = "%%PLACE%%"
"""Stands in every id for what makes it one user's own."""


@dataclass
class Moment:
    """At `at` the subscription and an invoice change so, and these events tell of it."""

    at: int
    events: tuple[str, ...]
    sub: Obj = field(default_factory=dict[str, Any])
    bill: Obj = field(default_factory=dict[str, Any])


@dataclass
class Lifecycle:
    """A story, and what its user must be shown at `seen_at`: the state, whether access is granted, and why."""

    name: str
    moments: tuple[Moment, ...]
    state: str
    granted: bool
    reason: str
    seen_at: int
    expected: Obj = field(default_factory=dict[str, Any])

    def told(self, versions: tuple[str, ...]) -> list[bytes]:
        """Return its events in Stripe's order; the n-th in the n-th version, around again."""
        events: list[bytes] = []
        for number, (at, kind, now, before) in enumerate(self._happenings()):
            version = versions[number % len(versions)]
            shape = _invoice if kind.startswith("invoice.") else _subscription
            was = shape(version, before) if kind.endswith(".updated") else None
            id_ = f"evt_{PLACE}_{number}"
            events.append(event(kind, at, shape(version, now), id=id_, before=was, version=version))
        return events

    def truth(self) -> wire.Subscription:
        """Return what Stripe answers at the end, with the places still open."""
        sub: Obj = {}
        bills: dict[str, Obj] = {}
        for moment in self.moments:
            sub |= moment.sub
            if moment.bill:
                bills[moment.bill["id"]] = {**bills.get(moment.bill["id"], {}), **moment.bill}
        latest = sub.get("latest_invoice")
        whole: Obj = sub | ({"latest_invoice": _invoice(NEW, bills[latest])} if latest in bills else {})
        return msgspec.json.decode(msgspec.json.encode(_subscription(NEW, whole)), type=wire.Subscription)

    def _happenings(self) -> list[tuple[int, str, Obj, Obj]]:
        """Return when, which event, and what changed of its object: as it is, and as it was before."""
        found: list[tuple[int, str, Obj, Obj]] = []
        sub: Obj = {}
        bills: dict[str, Obj] = {}
        for moment in self.moments:
            before, sub = sub, {**sub, **moment.sub}
            if moment.bill:
                bills[moment.bill["id"]] = {**bills.get(moment.bill["id"], {}), **moment.bill}
            for kind in moment.events:
                now = bills[moment.bill["id"]] if kind.startswith("invoice.") else sub
                found.append((START + moment.at, kind, now, before))
        assert len(found) <= 6, self.name
        return found


def _subscription(version: str, changes: Obj) -> Obj:
    latest = changes.get("latest_invoice")
    more = changes | ({"latest_invoice": f"{latest}_{PLACE}"} if isinstance(latest, str) else {})
    whole: Obj = {"id": f"sub_{PLACE}", "customer": f"cus_{PLACE}", "user": f"u_{PLACE}", **more}
    return subscription(version, **whole)


def _invoice(version: str, changes: Obj) -> Obj:
    bill: Obj = {"subscription": f"sub_{PLACE}", "customer": f"cus_{PLACE}", **changes}
    bill["id"] = f"{changes['id']}_{PLACE}"
    bill["created"] = START + changes["created"]
    return invoice(version, **bill)


CREATED, UPDATED, DELETED = (f"customer.subscription.{name}" for name in ("created", "updated", "deleted"))
PAUSED, RESUMED, TRIAL_ENDS = (f"customer.subscription.{name}" for name in ("paused", "resumed", "trial_will_end"))
PAID, FAILED, ACTION = (f"invoice.{name}" for name in ("paid", "payment_failed", "payment_action_required"))
UNCOLLECTIBLE, VOIDED, OVERDUE = (f"invoice.{name}" for name in ("marked_uncollectible", "voided", "overdue"))


def _bill(name: str, status: str, created: int, attempts: int = 1) -> Obj:
    return {"id": name, "status": status, "created": created, "attempts": attempts}


_ACTIVE: Final = Moment(0, (CREATED,), {"status": "active", "latest_invoice": "in_a"}, _bill("in_a", "paid", 0))
_RENEWED: Final = {"latest_invoice": "in_b", "period_end": START + 2 * MONTH}

LIFECYCLES: Final = (
    Lifecycle("checkout paid after a challenge", (
        Moment(0, (CREATED, ACTION), {"status": "incomplete", "latest_invoice": "in_a"}, _bill("in_a", "open", 0)),
        Moment(40, (PAID, UPDATED), {"status": "active"}, _bill("in_a", "paid", 0)),
        Moment(DAY, (UPDATED,), {"quantity": 3}),
        Moment(2 * DAY, (UPDATED,), {"cancel_at": START + MONTH}),
    ), "active", True, "ending", START + 3 * DAY),
    Lifecycle("trial that is paid", (
        Moment(0, (CREATED, PAID), {"status": "trialing", "trial_end": START + 14 * DAY, "latest_invoice": "in_a",
                                    "period_end": START + 14 * DAY}, _bill("in_a", "paid", 0, 0)),
        Moment(11 * DAY, (TRIAL_ENDS,)),
        Moment(14 * DAY, (UPDATED, PAID), {"status": "active", "latest_invoice": "in_b",
                                           "period_end": START + 44 * DAY}, _bill("in_b", "paid", 14 * DAY)),
        Moment(15 * DAY, (UPDATED,), {"price": "price_team"}),
    ), "active", True, "paid", START + 16 * DAY),
    Lifecycle("trial without a card, paused and resumed", (
        Moment(0, (CREATED,), {"status": "trialing", "trial_end": START + 7 * DAY, "period_end": START + 7 * DAY}),
        Moment(7 * DAY, (PAUSED, UPDATED), {"status": "paused"}),
        Moment(9 * DAY, (PAID, RESUMED, UPDATED), {"status": "active", "latest_invoice": "in_b",
                                                   "period_end": START + 39 * DAY}, _bill("in_b", "paid", 9 * DAY)),
    ), "active", True, "paid", START + 10 * DAY),
    Lifecycle("renewal that fails and recovers", (
        Moment(0, (CREATED, PAID), _ACTIVE.sub, _ACTIVE.bill),
        Moment(MONTH, (UPDATED, FAILED), {"status": "past_due"} | _RENEWED, _bill("in_b", "open", MONTH)),
        Moment(MONTH + 2 * DAY, (PAID, UPDATED), {"status": "active"}, _bill("in_b", "paid", MONTH, 2)),
    ), "active", True, "paid", START + MONTH + 3 * DAY),
    Lifecycle("renewal that fails, in its grace", (
        Moment(0, (CREATED, PAID), _ACTIVE.sub, _ACTIVE.bill),
        Moment(MONTH, (UPDATED,), _RENEWED, _bill("in_b", "draft", MONTH, 0)),
        Moment(MONTH + HOUR, (FAILED, UPDATED), {"status": "past_due"}, _bill("in_b", "open", MONTH)),
        Moment(MONTH + 3 * DAY, (FAILED,), {}, _bill("in_b", "open", MONTH, 2)),
    ), "past_due", True, "grace_period", START + MONTH + 4 * DAY),
    Lifecycle("all retries fail: unpaid, then canceled", (
        Moment(0, (CREATED,), _ACTIVE.sub, _ACTIVE.bill),
        Moment(MONTH, (UPDATED, FAILED), {"status": "past_due"} | _RENEWED, _bill("in_b", "open", MONTH)),
        Moment(MONTH + 5 * DAY, (FAILED, UPDATED), {"status": "unpaid"}, _bill("in_b", "open", MONTH, 4)),
        Moment(MONTH + 9 * DAY, (DELETED,), {"status": "canceled", "ended_at": START + MONTH + 9 * DAY}),
    ), "canceled", False, "canceled", START + MONTH + 10 * DAY),
    Lifecycle("first payment never made", (
        Moment(0, (CREATED, FAILED), {"status": "incomplete", "latest_invoice": "in_a"}, _bill("in_a", "open", 0)),
        Moment(60, (FAILED,), {}, _bill("in_a", "open", 0, 2)),
        Moment(23 * HOUR, (VOIDED, UPDATED), {"status": "incomplete_expired", "ended_at": START + 23 * HOUR},
               _bill("in_a", "void", 0, 2)),
    ), "incomplete_expired", False, "expired", START + DAY),
    Lifecycle("collection paused and taken up again", (
        Moment(0, (CREATED, PAID), _ACTIVE.sub, _ACTIVE.bill),
        Moment(DAY, (UPDATED,), {"pause": {"behavior": "void", "resumes_at": None}}),
        Moment(2 * DAY, (UPDATED,), {"pause": None}),
        Moment(2 * DAY, (UPDATED,), {"pause": {"behavior": "void", "resumes_at": START + 9 * DAY}}),
    ), "active", False, "collection_paused", START + 3 * DAY),
    Lifecycle("there and back within a second", (
        Moment(0, (CREATED,), _ACTIVE.sub, _ACTIVE.bill),
        Moment(DAY, (UPDATED,), {"cancel_at": START + MONTH}),
        Moment(DAY, (UPDATED,), {"cancel_at": None}),
        Moment(DAY, (UPDATED,), {"cancel_at": START + MONTH}),
        Moment(DAY, (UPDATED,), {"cancel_at": None}),
        Moment(DAY + 1, (UPDATED,), {"quantity": 5}),
    ), "active", True, "paid", START + 2 * DAY),
    Lifecycle("bills by mail, one given up", (
        Moment(0, (CREATED,), {"status": "active", "method": "send_invoice", "latest_invoice": "in_a"},
               _bill("in_a", "open", 0, 0)),
        Moment(0, ("invoice.finalized",), {}, _bill("in_a", "open", 0, 0)),
        Moment(15 * DAY, (OVERDUE, UPDATED), {"status": "past_due"}, _bill("in_a", "open", 0, 0)),
        Moment(20 * DAY, (UNCOLLECTIBLE, UPDATED), {"status": "active"}, _bill("in_a", "uncollectible", 0, 0)),
    ), "active", True, "paid", START + 21 * DAY),
    Lifecycle("everything in the second of its end", (
        Moment(0, (CREATED,), _ACTIVE.sub, _ACTIVE.bill),
        Moment(MONTH, (UPDATED, FAILED), {"status": "past_due"} | _RENEWED, _bill("in_b", "open", MONTH)),
        Moment(MONTH, (UPDATED, PAID), {"status": "active"}, _bill("in_b", "paid", MONTH)),
        Moment(MONTH, (DELETED,), {"status": "canceled", "ended_at": START + MONTH}),
    ), "canceled", False, "canceled", START + MONTH + DAY),
)  # fmt: skip
