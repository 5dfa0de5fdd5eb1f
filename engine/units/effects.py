"""The context of one transaction: what a unit of work is given, and the effects that it notes.

A unit has three beats: it loads typed records, decides (pure), and notes effects here.  The runner then ends every
unit alike, in this order: subscriptions are saved, users projected, decisions entered in the ledger, questions
queued, COMMIT; and only then streams and the asker are woken.  What a unit writes at once is what it was told:
the event, an invoice, a customer, a checkout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.counting import Alert
from interlock.engine.core.states import Decision, Facts, Outcome, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.records import EventName, LedgerEntry, StoredSubscription
from interlock.engine.wire.events import Event

ASK_AFTER_MS: Final = 100
"""How long to wait before asking Stripe: a burst about one subscription then makes one call."""


@dataclass(slots=True)
class Unit:
    """A transaction's inputs (time, plans, mode) and the effects that it collects.

    `touched` are the users to project, each with the customers that they may come to manage in the portal;
    `newcomers` are (customer, user) where a subscription came to a user; `released` the customers whose portal
    is to be given anew; `questions` the subscriptions to ask about, each with the milliseconds to wait before;
    `changed` the users whose shown state the projection has changed; `first_seen` (price, subscription) where a price
    was seen for the first time that no plan sells or sold; `alerts` the users who came near to a limit, or reached it.
    """

    now: float
    catalogue: Catalogue
    livemode: bool
    touched: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    newcomers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    released: list[str] = field(default_factory=list[str])
    questions: dict[str, int] = field(default_factory=dict[str, int])
    ledger: list[LedgerEntry] = field(default_factory=list[LedgerEntry])
    changed: set[str] = field(default_factory=set[str])
    first_seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    alerts: list[tuple[str, Alert]] = field(default_factory=list[tuple[str, Alert]])
    _stored: dict[str, StoredSubscription] = field(default_factory=dict[str, StoredSubscription])
    _noted: dict[str, StoredSubscription] = field(default_factory=dict[str, StoredSubscription])

    def subscription(self, subscription_id: str) -> Work[StoredSubscription]:
        """Load one subscription, locked; where this unit has noted it already, as it was noted."""
        if subscription_id not in self._noted:
            found = yield from records.subscription(subscription_id)
            self._stored[subscription_id] = self._noted[subscription_id] = found
        return self._noted[subscription_id]

    def put(self, after: Subscription, user_id: str | None) -> None:
        """Note what a subscription is from now on, and whose.  It was loaded before."""
        assert after.subscription_id in self._stored, "a subscription is locked before it is changed"
        unknown_prices = self._noted[after.subscription_id].unknown_prices
        self._noted[after.subscription_id] = StoredSubscription(after, user_id, unknown_prices)

    def put_stored(self, after: StoredSubscription) -> None:
        """Note a subscription as it is to be stored."""
        self._noted[after.known.subscription_id] = after

    def touch(self, user_id: str, customer_id: str | None = None) -> None:
        """Note that a user's state may have changed; `customer_id` is a customer that may have become theirs."""
        candidates = self.touched.setdefault(user_id, [])
        if customer_id is not None and customer_id not in candidates:
            candidates.append(customer_id)

    def release(self, customer_id: str) -> None:
        """Note that whose portal opens a customer must be found anew."""
        if customer_id not in self.released:
            self.released.append(customer_id)

    def ask(self, subscription_id: str, after_ms: int = ASK_AFTER_MS) -> None:
        """Note that Stripe must be asked about a subscription, `after_ms` milliseconds from now."""
        self.questions[subscription_id] = min(after_ms, self.questions.get(subscription_id, after_ms))

    def record(
        self,
        event: Event | EventName | None,
        source: str,
        user_id: str | None,
        subscription_id: str | None,
        *,
        decision: Decision | None = None,
        before: Facts | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Note an entry for the ledger; `before` are the facts that were known before the decision."""
        moved = decision is not None and decision.outcome is Outcome.APPLIED
        facts = decision.after.facts if decision is not None and moved else None
        entry = LedgerEntry(
            at=int(self.now),
            event_id=event.id if event else None,
            event_type=event.type if event else None,
            source=source,
            user_id=user_id,
            subscription_id=subscription_id,
            fired=decision.trigger if decision else None,
            from_state=decision.before.value if decision and moved else None,
            to_state=decision.after.state.value if decision and moved else None,
            outcome=(decision.outcome if decision else outcome or Outcome.IGNORED).value,
            guard=decision.guard if decision else None,
            facts=msgspec.json.encode(facts) if facts else None,
            changed=_changed(before, facts) if facts and before else None,
        )
        self.ledger.append(entry)

    def noted(self) -> list[tuple[StoredSubscription, StoredSubscription]]:
        """The subscriptions that were changed, each as it is stored and as it is to be."""
        pairs = ((self._stored[subscription_id], after) for subscription_id, after in self._noted.items())
        return [(before, after) for before, after in pairs if before != after]


def _changed(before: Facts, after: Facts) -> str:
    """Name the facts that differ."""
    return ",".join(name for name in Facts.__struct_fields__ if getattr(before, name) != getattr(after, name))
