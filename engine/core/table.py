"""Every change of state that exists.  Data only: the machine, the diagrams and the tests are made from it.

A row says: in `source`, the trigger leads to `destination` if every guard agrees.  No pair of trigger and
source stands twice.  Ended states have no row: nothing leads out of them.  A destination of `None` means
"whatever Stripe answered": `adopt` takes up a subscription that was first seen somewhere in mid-life, and
`correct` is any change between states that no single step of Stripe's makes; events were lost, and only an
authoritative answer may do it.  `vanish` ends what Stripe no longer has.  A guard that refuses never loses a
customer: from `none` it only turns the trigger into `adopt`, from a living state it only turns "apply" into "ask".

The rows follow Stripe's lifecycle (docs.stripe.com/billing/subscriptions/overview, /pause,
/billing/revenue-recovery/smart-retries); `events` are the webhooks that announce each.
"""

from __future__ import annotations

from typing import Final

import msgspec

from interlock.engine.core.guards import (
    Guard,
    charges_automatically,
    is_terminal,
    proven_next,
    stripe_has_it_no_more,
    stripe_was_asked,
    trial_ahead,
)
from interlock.engine.core.states import State


class Transition(msgspec.Struct, frozen=True):
    """One row: `trigger` leads from `source` to `destination` when all `guards` agree."""

    trigger: str
    source: State
    destination: State | None
    guards: tuple[Guard, ...]
    events: tuple[str, ...]
    why: str


CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"
PAUSED = "customer.subscription.paused"
RESUMED = "customer.subscription.resumed"
PAID = "invoice.paid"
PAYMENT_FAILED = "invoice.payment_failed"
ACTION_REQUIRED = "invoice.payment_action_required"
UNCOLLECTIBLE = "invoice.marked_uncollectible"
OVERDUE = "invoice.overdue"
VOIDED = "invoice.voided"

NONE, INCOMPLETE, INCOMPLETE_EXPIRED, TRIALING, ACTIVE, PAST_DUE, UNPAID, PAUSED_STATE, CANCELED = State

# fmt: off
_FROM_THE_START: Final = (
    Transition("start_trial", NONE, TRIALING, (trial_ahead,), (CREATED,),
               "created with a trial; nothing is owed until it ends"),
    Transition("activate", NONE, ACTIVE, (), (CREATED, PAID),
               "created and paid, or nothing to pay, or paid by a bill that is sent"),
    Transition("await_payment", NONE, INCOMPLETE, (charges_automatically,), (CREATED, PAYMENT_FAILED, ACTION_REQUIRED),
               "created, but the first payment failed or waits for the customer"),
    Transition("adopt", NONE, None, (), (CREATED, UPDATED, DELETED),
               "first seen in mid-life: earlier events were lost, or came before Interlock"),
)

_INCOMPLETE: Final = (
    Transition("activate", INCOMPLETE, ACTIVE, (proven_next,), (UPDATED, PAID),
               "the first invoice was paid within 23 hours"),
    Transition("start_trial", INCOMPLETE, TRIALING, (proven_next, trial_ahead), (UPDATED, PAID),
               "what was due up front was paid; the trial begins"),
    Transition("expire", INCOMPLETE, INCOMPLETE_EXPIRED, (is_terminal,), (UPDATED, VOIDED),
               "the first invoice was not paid within 23 hours"),
    Transition("cancel", INCOMPLETE, CANCELED, (is_terminal,), (DELETED,), "canceled before the first payment"),
)

_TRIALING: Final = (
    Transition("activate", TRIALING, ACTIVE, (proven_next,), (UPDATED, PAID), "the trial ended and was paid"),
    Transition("fail_payment", TRIALING, PAST_DUE, (proven_next,), (UPDATED, PAYMENT_FAILED),
               "the trial ended and its first charge failed"),
    Transition("pause", TRIALING, PAUSED_STATE, (proven_next, charges_automatically), (PAUSED, UPDATED),
               "the trial ended without a payment method, and its settings say pause"),
    Transition("cancel", TRIALING, CANCELED, (is_terminal,), (DELETED,),
               "canceled, or the trial ended without a payment method and its settings say cancel"),
)

_ACTIVE: Final = (
    Transition("fail_payment", ACTIVE, PAST_DUE, (proven_next,), (UPDATED, PAYMENT_FAILED, ACTION_REQUIRED, OVERDUE),
               "a renewal failed, needs the customer, or its due date passed"),
    Transition("start_trial", ACTIVE, TRIALING, (proven_next, trial_ahead), (UPDATED,),
               "a trial was given to a running subscription"),
    Transition("mark_unpaid", ACTIVE, UNPAID, (proven_next,), (UPDATED,),
               "a payment failed, and the account retries nothing and marks unpaid"),
    Transition("pause", ACTIVE, PAUSED_STATE, (proven_next, charges_automatically), (PAUSED, UPDATED),
               "paused by request, by schedule, or at the first failed renewal"),
    Transition("cancel", ACTIVE, CANCELED, (is_terminal,), (DELETED,), "canceled now, or its cancellation date came"),
)

_PAST_DUE: Final = (
    Transition("recover", PAST_DUE, ACTIVE, (proven_next,), (UPDATED, PAID, UNCOLLECTIBLE),
               "the latest invoice was paid, or was given up as uncollectible"),
    Transition("mark_unpaid", PAST_DUE, UNPAID, (proven_next,), (UPDATED,),
               "all retries failed, and the account marks unpaid"),
    Transition("pause", PAST_DUE, PAUSED_STATE, (proven_next, charges_automatically), (PAUSED, UPDATED),
               "paused by request, or all retries failed and the account pauses"),
    Transition("cancel", PAST_DUE, CANCELED, (is_terminal,), (DELETED,),
               "canceled, or all retries failed and the account cancels"),
)

_UNPAID: Final = (
    Transition("recover", UNPAID, ACTIVE, (proven_next,), (UPDATED, PAID),
               "the most recent invoice was paid"),
    Transition("pause", UNPAID, PAUSED_STATE, (proven_next, charges_automatically), (PAUSED, UPDATED),
               "paused by request"),
    Transition("cancel", UNPAID, CANCELED, (is_terminal,), (DELETED,), "canceled, or its cancellation date came"),
)

_PAUSED: Final = (
    Transition("resume", PAUSED_STATE, ACTIVE, (proven_next,), (RESUMED, UPDATED, PAID, UNCOLLECTIBLE),
               "resumed, and what the resumption cost was paid"),
    Transition("fail_payment", PAUSED_STATE, PAST_DUE, (proven_next,), (UPDATED, PAYMENT_FAILED),
               "resumed on a payment attempt that failed"),
    Transition("cancel", PAUSED_STATE, CANCELED, (is_terminal,), (DELETED,), "canceled while paused"),
)

_LIVING: Final = (INCOMPLETE, TRIALING, ACTIVE, PAST_DUE, UNPAID, PAUSED_STATE)

_EVERYWHERE: Final = tuple(
    row
    for state in _LIVING
    for row in (
        Transition("update", state, state, (proven_next,), (UPDATED,),
                   "plan, quantity, period, trial, cancellation date or paused collection changed"),
        Transition("vanish", state, CANCELED, (stripe_has_it_no_more,), (),
                   "Stripe no longer has it: deleted test data, or another account's key"),
        Transition("correct", state, None, (stripe_was_asked,), (),
                   "Stripe was asked, and its answer is no single step from what was known"),
    )
)

TRANSITIONS: Final[tuple[Transition, ...]] = (
    *_FROM_THE_START, *_INCOMPLETE, *_TRIALING, *_ACTIVE, *_PAST_DUE, *_UNPAID, *_PAUSED, *_EVERYWHERE,
)
