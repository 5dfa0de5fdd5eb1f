"""What a user may do next: one predicate an action, shared by `available_actions` and by the verbs themselves.

Each predicate takes a `Holding` and returns None where the action would be accepted, else the `Refusal` that the
verb answers with.  What only Stripe or a moment can say (a card that is missing, a price that changed, another
verb under way) is not in here.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from interlock.engine.core.held import Held
from interlock.engine.core.holding import Holding
from interlock.engine.core.plans import Plan
from interlock.engine.core.states import State


class Refusal(StrEnum):
    """Why an action is not accepted; the `code` of the problem.  `not_offered` is a 403, all others are 409."""

    NO_SUBSCRIPTION = "no_subscription"
    """Nothing of theirs lives that it could be done to."""
    ALREADY_SUBSCRIBED = "already_subscribed"
    """A main plan lives already (or this add-on), and a second one would be paid twice."""
    NO_PLAN = "no_plan"
    """An add-on is sold beside a main plan that gives access, and there is none."""
    NOT_SOLD = "not_sold"
    """The plan is retired."""
    NO_CUSTOMER = "no_customer"
    """There is no Stripe customer yet; a checkout makes one."""
    ENDING = "ending"
    """It is canceled for later; that must be undone first."""
    PAST_DUE = "past_due"
    """An invoice is open; it must be paid first."""
    PAUSED = "paused"
    """The subscription, or its collection, is paused; it must be resumed first."""
    CHANGE_PENDING = "change_pending"
    """A change waits for its payment; it must be paid or undone first."""
    FOREIGN_SCHEDULE = "foreign_schedule"
    """Somebody else's schedule is attached; Stripe lets nobody change what it plans."""
    SEVERAL_ITEMS = "several_items"
    """There are several main plans in the subscription, and which is meant is not clear."""
    IN_TRIAL = "in_trial"
    """Stripe pauses no trial."""
    NOTHING_TO_RESUME = "nothing_to_resume"
    """Nothing is canceled or paused."""
    NOTHING_TO_UNDO = "nothing_to_undo"
    """No change waits."""
    NOTHING_TO_PAY = "nothing_to_pay"
    """No invoice is open."""
    NOT_OFFERED = "not_offered"
    """The catalogue's policy says no, or Stripe can't do it for this kind of subscription."""


Verdict: TypeAlias = Refusal | None
"""None: it would be accepted."""


def checkout(holding: Holding) -> Verdict:
    """Refuse where neither a main plan nor an add-on could be bought, nor an open checkout be finished."""
    verdicts = [checkout_of(holding, key) for key in holding.catalogue.offers]
    if not verdicts:
        return Refusal.NOT_SOLD
    return None if None in verdicts else verdicts[0]


def checkout_of(holding: Holding, key: str) -> Verdict:
    """Refuse the checkout of one plan of the catalogue.

    A living subscription bars it, but for one that is `incomplete` while its session is open: that is finished.
    """
    plan = holding.catalogue.plans[key]
    if not plan.sold:
        return Refusal.NOT_SOLD
    barring = [one for one in holding.ours if _bars(one, key, plan)]
    finished_there = holding.finishable and all(one.known.state is State.INCOMPLETE for one in barring)
    if barring and not finished_there:
        return Refusal.ALREADY_SUBSCRIBED
    if plan.addon and not any(one.access.granted and one.main is not None for one in holding.ours):
        return Refusal.NO_PLAN
    return None


def _bars(one: Held, key: str, plan: Plan) -> bool:
    if not plan.addon:
        return one.lives_as_main
    return one.lives and any(item.place is not None and item.place.key == key for item in one.items)


def portal(holding: Holding) -> Verdict:
    """Refuse where there is no customer whose portal could be opened."""
    return None if holding.portal_customer else Refusal.NO_CUSTOMER


def change_plan(holding: Holding) -> Verdict:
    """Refuse a change of plan, interval or quantity."""
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    facts = one.known.facts
    assert facts is not None, "what is shown has facts"
    if one.known.state is State.PAUSED or facts.collection_paused:
        return Refusal.PAUSED
    if one.known.state not in (State.TRIALING, State.ACTIVE):
        return Refusal.PAST_DUE
    if one.several_mains:
        return Refusal.SEVERAL_ITEMS
    return _foreign(one) or _waiting(one) or _ending(one)


def undo_change(holding: Holding) -> Verdict:
    """Refuse to undo where no change waits; the schedule of somebody else is not ours to undo."""
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    if _waiting(one):
        return None
    if _schedule_ahead(one) is None:
        return Refusal.NOTHING_TO_UNDO
    return _foreign(one)


def cancel(holding: Holding) -> Verdict:
    """Refuse where there is nothing to end, or no way to end it that `[cancel]` allows."""
    if all(cancel_at(holding, when) for when in ("period_end", "now")):
        return cancel_at(holding, "period_end")
    return None


def cancel_at(holding: Holding, when: str) -> Verdict:
    """Refuse to end at the `period_end`, or `now`.

    What is overdue ends as `[cancel] overdue` says, and `now` is always allowed where nothing was ever paid.
    Under another's schedule Stripe only ends at once.
    """
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    if when not in allowed_ends(holding):
        return Refusal.NOT_OFFERED
    if when == "now":
        return None
    return _foreign(one) or _ending(one)


def allowed_ends(holding: Holding) -> tuple[str, ...]:
    """Return the allowed ends of the shown subscription, of `period_end` and `now`; the first is the default.

    Under another's schedule Stripe ends only at once, so that is allowed then: nobody is kept from leaving.
    """
    shown = holding.shown
    state = shown.known.state if shown else State.NONE
    if state in (State.INCOMPLETE, State.PAUSED):
        return ("now",)  # no period is paid for that could be left to run out
    if state in (State.PAST_DUE, State.UNPAID):
        allowed: tuple[str, ...] = (holding.catalogue.cancel.overdue,)
    else:
        allowed = holding.catalogue.cancel.when
    return (*allowed, "now") if shown is not None and _foreign(shown) and "now" not in allowed else allowed


def resume(holding: Holding) -> Verdict:
    """Refuse where nothing is to be resumed: no planned end, no pause, no paused collection."""
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    facts = one.known.facts
    assert facts is not None, "what is shown has facts"
    if _ending(one) is None and one.known.state is not State.PAUSED and not facts.collection_paused:
        return Refusal.NOTHING_TO_RESUME
    return _foreign(one)


def pause(holding: Holding) -> Verdict:
    """Refuse Stripe's pause.  Stripe: flexible billing mode, charged automatically, no trial, no schedule."""
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    facts = one.known.facts
    assert facts is not None, "what is shown has facts"
    if not holding.catalogue.pause.allowed or facts.billing_mode != "flexible" or not facts.charges_automatically:
        return Refusal.NOT_OFFERED
    if one.known.state is State.TRIALING:
        return Refusal.IN_TRIAL
    if one.known.state is State.INCOMPLETE:
        return Refusal.PAST_DUE
    if one.known.state is State.PAUSED:
        return Refusal.PAUSED
    return _foreign(one) or _waiting(one) or _ending(one)


def pay(holding: Holding) -> Verdict:
    """Refuse where no invoice of the shown subscription is open."""
    one = holding.acting
    if one is None:
        return Refusal.NO_SUBSCRIPTION
    return None if one.known.billing.open_invoice is not None else Refusal.NOTHING_TO_PAY


Action: TypeAlias = Literal["checkout", "portal", "change_plan", "undo_change", "cancel", "resume", "pause", "pay"]
ACTIONS: Final[dict[Action, Callable[[Holding], Verdict]]] = {
    "checkout": checkout,
    "portal": portal,
    "change_plan": change_plan,
    "undo_change": undo_change,
    "cancel": cancel,
    "resume": resume,
    "pause": pause,
    "pay": pay,
}
"""Every action by its name in `available_actions`, in the order in which they are listed."""


def available_actions(holding: Holding) -> list[Action]:
    """Return the actions that would be accepted now."""
    return [name for name, refuses in ACTIONS.items() if refuses(holding) is None]


def _foreign(one: Held) -> Verdict:
    schedule = one.known.facts.schedule if one.known.facts else None
    return Refusal.FOREIGN_SCHEDULE if schedule is not None and not schedule.ours else None


def _waiting(one: Held) -> Verdict:
    return Refusal.CHANGE_PENDING if one.known.facts and one.known.facts.pending_update else None


def _ending(one: Held) -> Verdict:
    return Refusal.ENDING if one.known.facts and one.known.facts.cancel_at is not None else None


def _schedule_ahead(one: Held) -> object | None:
    """The attached schedule, where it has a phase to come."""
    schedule = one.known.facts.schedule if one.known.facts else None
    return schedule if schedule is not None and schedule.phases is not None and len(schedule.phases) > 1 else None
