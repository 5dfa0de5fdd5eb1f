"""What a user is shown, drawn from all that is stored of them; written only where it is new.

The runner projects each user that a unit touched, once, after the unit's subscriptions were saved.
"""

from __future__ import annotations

from typing import Final

import msgspec

from interlock.engine.core import view
from interlock.engine.core.features import supplies
from interlock.engine.core.holding import Holding
from interlock.engine.core.view import UserState
from interlock.engine.store import Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.holdings import holding_of
from interlock.engine.units.records import Projected, UserToProject
from interlock.engine.wire.values import usable_user

_shown: Final = msgspec.json.Decoder(UserState)


def touch(user_id: str, unit: Unit) -> Work[None]:
    """The unit of work that does nothing but project a user anew."""
    unit.touch(user_id)
    yield from ()


def ask(subscription_id: str, unit: Unit) -> Work[None]:
    """The unit of work that does nothing but have Stripe asked about a subscription."""
    unit.ask(subscription_id)
    yield from ()


def project_all(unit: Unit) -> Work[None]:
    """Settle whose portal opens which customer, and project every user that the unit touched."""
    for customer_id, newcomer in unit.newcomers:
        if (yield from _is_shared(customer_id, newcomer)):
            unit.release(customer_id)
    for customer_id in unit.released:
        for user_id in (yield from records.users_of_customer(customer_id)):
            yield from records.drop_customer(user_id)
            unit.touch(user_id, customer_id)
    for user_id in sorted(unit.touched):
        yield from _project(user_id, unit)


def _project(user_id: str, unit: Unit) -> Work[None]:
    """Draw a user's state; the version rises exactly when something shown changed."""
    assert usable_user(user_id) == user_id, "a user id was checked where it came in"
    user = yield from records.user_for_projection(user_id)
    holding = yield from holding_of(user_id, user, user.subscriptions, unit, candidates=unit.touched[user_id])
    state = view.view(holding)
    version, shown, updated_at = user.version, user.shown, user.updated_at
    if state != _before(user_id, user, unit):
        version, updated_at = version + 1, int(unit.now)
        shown = view.encode(state, version, updated_at)
        unit.changed.add(user_id)
    projected = Projected(
        user_id=user_id,
        version=version,
        shown=shown,
        shown_until=holding.changes_at,
        catalogue=unit.catalogue.digest,
        supplies=msgspec.json.encode(supplies(holding)),
        updated_at=updated_at,
        customer_id=holding.portal_customer,
        trial_used_at=user.trial_used_at or _first_trial(holding),
    )
    yield from records.save_projection(projected, user)


def _before(user_id: str, user: UserToProject, unit: Unit) -> UserState | None:
    """What the user was shown before; None where an older program drew it in another shape."""
    if user.shown is None:
        return view.nobody(user_id, unit.catalogue)
    try:
        return _shown.decode(user.shown)
    except msgspec.MsgspecError:
        return None


def _is_shared(customer_id: str, newcomer: str) -> Work[bool]:
    """If several users share the customer, none of them may open its portal."""
    users = yield from records.users_sharing_customer(customer_id)
    customer = yield from records.customer(customer_id)
    owner = customer.owner if customer else None
    return users | {owner or newcomer} != {newcomer}


def _first_trial(holding: Holding) -> int | None:
    facts = (one.known.facts for one in holding.ours)
    trials = [one.trial_end for one in facts if one is not None and one.trial_end is not None]
    return min(trials, default=None)
