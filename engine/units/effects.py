"""The context of one transaction: what a unit of work is given, and the effects that it notes.

A unit has three beats: it loads typed records, decides (pure), and notes effects here.  The runner then ends every
unit alike, in this order: subscriptions are saved, users projected, decisions entered in the ledger, questions
queued, COMMIT; and only then streams and the asker are woken.  What a unit writes at once is what it was told:
the event, an invoice, a customer, a checkout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from interlock.engine.core.catalogue import Catalogue
from interlock.engine.core.states import Decision, Outcome, Subscription
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.records import EventName, LedgerEntry, StoredSubscription
from interlock.engine.wire.events import Event


@dataclass(slots=True)
class Unit:
    """A transaction's inputs (time, plans, mode) and the effects that it collects.

    `touched` are the users to project, each with the customers that they may come to manage in the portal;
    `newcomers` are (customer, user) where a subscription came to a user; `released` the customers whose portal
    is to be given anew; `changed` the users whose shown state the projection has changed.
    """

    now: float
    catalogue: Catalogue
    livemode: bool
    touched: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    newcomers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    released: list[str] = field(default_factory=list[str])
    questions: list[str] = field(default_factory=list[str])
    ledger: list[LedgerEntry] = field(default_factory=list[LedgerEntry])
    changed: set[str] = field(default_factory=set[str])
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
        self._noted[after.subscription_id] = StoredSubscription(after, user_id)

    def touch(self, user_id: str, customer_id: str | None = None) -> None:
        """Note that a user's state may have changed; `customer_id` is a customer that may have become theirs."""
        candidates = self.touched.setdefault(user_id, [])
        if customer_id is not None and customer_id not in candidates:
            candidates.append(customer_id)

    def release(self, customer_id: str) -> None:
        """Note that whose portal opens a customer must be found anew."""
        if customer_id not in self.released:
            self.released.append(customer_id)

    def ask(self, subscription_id: str) -> None:
        """Note that Stripe must be asked about a subscription."""
        if subscription_id not in self.questions:
            self.questions.append(subscription_id)

    def record(
        self,
        event: Event | EventName | None,
        source: str,
        user_id: str | None,
        subscription_id: str | None,
        *,
        decision: Decision | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Note an entry for the ledger."""
        moved = decision is not None and decision.outcome is Outcome.APPLIED
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
        )
        self.ledger.append(entry)

    def save_subscriptions(self) -> Work[None]:
        """Write the subscriptions that were changed."""
        for subscription_id, after in self._noted.items():
            before = self._stored[subscription_id]
            if after != before:
                yield from records.save_subscription(after.known, after.user_id, before)
