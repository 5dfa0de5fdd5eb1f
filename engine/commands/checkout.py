"""Checkout and portal: the two pages of Stripe's that a user is sent to.

A checkout is made once per intent.  The intent is what the user asked for and which of their checkouts this is;
it is the idempotency key, so doubled clicks, two tabs and a lost answer all get the one session.  A user has at
most one open session and one customer (the store's UNIQUE), and none while a subscription lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from typing import Any, Final

import msgspec
from msgspec import Struct

from interlock.engine.config import Config
from interlock.engine.core.actions import checkout_of
from interlock.engine.core.catalogue import is_price_id
from interlock.engine.core.holding import Holder, Holding, hold
from interlock.engine.core.plans import Plan
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import (
    AlreadySubscribed,
    NoCustomer,
    StripeRefused,
    StripeUnavailable,
    UnknownPlan,
    UnknownPromotionCode,
)
from interlock.engine.flow.runner import Inbox
from interlock.engine.store import Store, Work
from interlock.engine.units import records
from interlock.engine.units.effects import Unit
from interlock.engine.units.owners import customer_for, note_customer, redraw
from interlock.engine.units.records import Customer, OpenCheckout
from interlock.engine.wire import objects as wire
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded
from interlock.engine.wire.reports import CustomerReport
from interlock.engine.wire.values import Id

FLOWS: Final = frozenset({"payment_method_update", "subscription_cancel", "subscription_update", "subscription_pause"})
_NEEDS_SUBSCRIPTION: Final = FLOWS - {"payment_method_update"}


class CheckoutSession(Struct, frozen=True):
    """Where to send the user to pay; `expires_at` is RFC 3339."""

    id: str
    url: str
    expires_at: str


class _Buyer(Struct):
    """What the store knows of who wants to buy.  `current` is the living subscription that is shown of them."""

    customer_id: str | None
    customer_serial: int
    checkout_serial: int
    trial_used: bool
    holding: Holding
    current: str | None
    open_session: OpenCheckout | None


class _Url(Struct):
    url: str


class _Promotion(Struct):
    id: Id
    active: bool


class _Listed(Struct):
    data: list[wire.Ref]


def _buyer(user_id: str, unit: Unit) -> Work[_Buyer]:
    yield from redraw(user_id, unit)
    user = yield from records.user_locked(user_id)
    assert user is not None, "a user who was drawn is stored"
    subscriptions = yield from records.subscriptions_of_user(user_id)
    customer_id = user.customer_id
    for owned in (yield from records.customers_of_user(user_id)):
        customer_id = customer_id or (yield from customer_for(user_id, owned))
    session = yield from records.open_checkout(user_id)
    holder = Holder(
        user_id=user_id,
        subscriptions=subscriptions,
        customer_id=customer_id,
        trial_used=user.trial_used_at is not None,
        checkout_until=session.expires_at if session else None,
    )
    holding = hold(holder, unit.catalogue, unit.now)
    current = holding.shown if holding.shown is not None and holding.shown.lives else None
    return _Buyer(
        customer_id=customer_id,
        customer_serial=user.customer_serial,
        checkout_serial=user.checkout_serial,
        trial_used=holding.trial_used,
        holding=holding,
        current=current.known.subscription_id if current else None,
        open_session=session,
    )


def _keep_customer(user_id: str, customer_id: str, unit: Unit) -> Work[None]:
    known = (yield from records.customer(customer_id)) or Customer(customer_id)
    yield from records.save_customer(msgspec.structs.replace(known, checkout_user_id=user_id))
    yield from records.set_customer(user_id, customer_id)
    yield from redraw(user_id, unit)


def _keep_session(user_id: str, made: OpenCheckout, unit: Unit) -> Work[bool]:
    """Store an open session; False where another one is open."""
    session = yield from records.open_checkout(user_id)
    if session is not None and session.session_id != made.session_id:
        return False
    yield from records.add_checkout(user_id, made)
    yield from redraw(user_id, unit)
    return True


def _close_session(user_id: str, session_id: str, unit: Unit) -> Work[None]:
    if (yield from records.close_checkout(session_id, "expired")) is not None:
        yield from records.next_checkout(user_id)
    yield from redraw(user_id, unit)


def _shared_customer(user_id: str, customer_id: str) -> Work[bool]:
    return bool((yield from records.users_sharing_customer(customer_id)) - {user_id})


class Checkout:
    """Makes checkout and portal sessions for users."""

    def __init__(self, store: Store, inbox: Inbox, stripe: StripeClient, config: Config) -> None:
        self._store = store
        self._inbox = inbox
        self._stripe = stripe
        self._config = config
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def create(
        self, user_id: str, *, plan: str, quantity: int, promotion_code: str | None, email: str | None
    ) -> CheckoutSession:
        """Return the open session for what a user wants to buy, made if need be.  Errors as in `Interlock.checkout`."""
        chosen = self._config.catalogue.plans.get(plan)
        if chosen is None:
            raise UnknownPlan(f"there is no plan {plan!r}")
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        try:
            async with asyncio.timeout(self._config.whole_seconds), turn:  # for all its calls, and those before it
                return await self._create(user_id, plan, chosen, quantity, promotion_code, email)
        except TimeoutError as error:
            raise StripeUnavailable("Stripe did not answer in time") from error

    async def _create(
        self,
        user_id: str,
        key: str,
        plan: Plan,
        quantity: int,
        promotion_code: str | None,
        email: str | None,
        *,
        second_try: bool = False,
    ) -> CheckoutSession:
        wanted = f"{key}:{quantity}:{promotion_code or ''}"
        buyer = await self._inbox.work(lambda unit: _buyer(user_id, unit), about=(user_id,))
        session = await self._still_open(user_id, buyer)
        self._refuse(buyer, key, has_open_session=session is not None)
        if session is not None and (session.intent == wanted or any(one.lives for one in buyer.holding.ours)):
            return CheckoutSession(session.session_id, session.url, rfc3339(session.expires_at) or "")
        if session is not None:
            await self._expire(user_id, session.session_id)
        if buyer.open_session is not None:  # its end made this the next intent
            buyer = await self._inbox.work(lambda unit: _buyer(user_id, unit), about=(user_id,))
            self._refuse(buyer, key, has_open_session=False)
        discount = await self._discount(promotion_code)
        customer_id = await self._customer(user_id, buyer, email)
        params = self._session_params(user_id, customer_id, plan, await self.price_id(plan), quantity, discount)
        if plan.trial_days and not buyer.trial_used:
            params["subscription_data"]["trial_period_days"] = plan.trial_days
            params["subscription_data"]["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
        intent = _digest("checkout", user_id, buyer.checkout_serial, params)
        try:
            made = await self._stripe.post("checkout/sessions", wire.CheckoutSession, params, idempotency_key=intent)
        except StripeRefused as error:
            if discount is not None and error.param is not None and "promotion_code" in error.param:
                raise UnknownPromotionCode("this promotion code can't be used for this purchase") from error
            if not isinstance(error, NoSuchObject) or error.param != "customer" or second_try:
                raise
            await self._forget_customer(customer_id)
            return await self._create(user_id, key, plan, quantity, promotion_code, email, second_try=True)
        if made.url is None:
            raise StripeRefused("Stripe made a checkout session without an address")
        session = OpenCheckout(made.id, wanted, made.url, made.expires_at)
        if not await self._inbox.work(lambda unit: _keep_session(user_id, session, unit), about=(user_id,)):
            await self._expire(user_id, made.id)
            raise AlreadySubscribed("another checkout was opened at the same moment; try again")
        return CheckoutSession(made.id, made.url, rfc3339(made.expires_at) or "")

    async def _forget_customer(self, customer_id: str) -> None:
        """The customer was deleted in Stripe, and no event has told: the next checkout makes another."""
        report, now = CustomerReport(customer_id, None, deleted=True), int(self._config.clock())
        await self._inbox.work(lambda unit: note_customer(report, now, unit, authoritative=True), about=(customer_id,))

    async def _still_open(self, user_id: str, buyer: _Buyer) -> OpenCheckout | None:
        session = buyer.open_session
        if session is not None and session.expires_at <= self._config.clock():
            await self._inbox.work(lambda unit: _close_session(user_id, session.session_id, unit), about=(user_id,))
            return None
        return session

    def _refuse(self, buyer: _Buyer, key: str, *, has_open_session: bool) -> None:
        holding = buyer.holding
        if not has_open_session:
            holding = hold(msgspec.structs.replace(holding.holder, checkout_until=None), holding.catalogue, holding.now)
        if checkout_of(holding, key) is not None:
            raise AlreadySubscribed("a subscription lives already; change it in the portal: POST /portal")

    async def _expire(self, user_id: str, session_id: str) -> None:
        """Close a session that is no longer wanted, so that nobody pays twice.  A completed one refuses."""
        try:
            await self._stripe.post(f"checkout/sessions/{session_id}/expire", wire.Ref, {}, idempotency_key=None)
        except StripeRefused as error:
            session = decoded((await self._stripe.get(f"checkout/sessions/{session_id}")).body, wire.CheckoutSession)
            if session.status == "complete":
                raise AlreadySubscribed("the checkout was just completed; its subscription is on its way") from error
        await self._inbox.work(lambda unit: _close_session(user_id, session_id, unit), about=(user_id,))

    async def _customer(self, user_id: str, buyer: _Buyer, email: str | None) -> str:
        """Return the user's customer; made at most once, for its idempotency key is the user and a serial."""
        if buyer.customer_id is not None:
            return buyer.customer_id
        params: dict[str, Any] = {"metadata": {self._config.user_metadata_keys[0]: user_id}}
        if email:
            params["email"] = email
        key = _digest("customer", user_id, buyer.customer_serial)
        made = await self._stripe.post("customers", wire.Ref, params, idempotency_key=key)
        await self._inbox.work(lambda unit: _keep_customer(user_id, made.id, unit), about=(made.id, user_id))
        return made.id

    def _session_params(
        self, user_id: str, customer_id: str, plan: Plan, price: str, quantity: int, discount: dict[str, str] | None
    ) -> dict[str, Any]:
        app = self._config.app_url.rstrip("/")
        params: dict[str, Any] = {
            "mode": "subscription",
            "customer": customer_id,
            "client_reference_id": user_id,
            "line_items": [{"price": price, "quantity": quantity}],
            "subscription_data": {"metadata": {self._config.user_metadata_keys[0]: user_id}},
            "success_url": f"{app}/?checkout=success&session_id={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{app}/?checkout=cancel",
        }
        if discount is None:
            params["allow_promotion_codes"] = True
        else:
            params["discounts"] = [discount]
        return params

    async def price_id(self, plan: Plan) -> str:
        """Return the Stripe price of a plan, the first of several; looked up where the plan names a lookup key."""
        if plan.price is not None:
            return plan.price
        name = plan.lookup_key or next(iter(plan.prices.values()), "")
        if plan.lookup_key is None and is_price_id(name):
            return name
        answer = await self._stripe.get("prices", lookup_keys=[name], active=True, limit=1)
        found = decoded(answer.body, _Listed).data
        if not found:
            raise StripeRefused(f"Stripe has no active price with the lookup key {name!r}")
        return found[0].id

    async def _discount(self, promotion_code: str | None) -> dict[str, str] | None:
        """Return the discount of a promotion code: an id, or what a customer types."""
        if promotion_code is None:
            return None
        if promotion_code.startswith("promo_"):
            try:
                answer = await self._stripe.get(f"promotion_codes/{_segment(promotion_code)}")
            except StripeRefused as error:
                raise UnknownPromotionCode("there is no such promotion code") from error
            promotion = decoded(answer.body, _Promotion)
            if not promotion.active:
                raise UnknownPromotionCode("this promotion code is no longer active")
            return {"promotion_code": promotion.id}
        answer = await self._stripe.get("promotion_codes", code=promotion_code, active=True, limit=1)
        found = decoded(answer.body, _Listed).data
        if not found:
            raise UnknownPromotionCode("there is no such promotion code")
        return {"promotion_code": found[0].id}

    async def portal(self, user_id: str, *, flow: str | None) -> str:
        """Return the address of the user's portal, opened at a flow where one is named."""
        buyer = await self._inbox.work(lambda unit: _buyer(user_id, unit), about=(user_id,))
        customer_id = buyer.customer_id
        if customer_id is None or await self._store.read(lambda: _shared_customer(user_id, customer_id)):
            raise NoCustomer("there is no Stripe customer for this user yet; a checkout makes one")
        app = self._config.app_url.rstrip("/")
        params: dict[str, Any] = {"customer": customer_id, "return_url": f"{app}/?portal=return"}
        if flow is not None:
            params["flow_data"] = {"type": flow, **self._flow_target(flow, buyer)}
        return (await self._stripe.post("billing_portal/sessions", _Url, params, idempotency_key=None)).url

    def _flow_target(self, flow: str, buyer: _Buyer) -> dict[str, Any]:
        if flow not in _NEEDS_SUBSCRIPTION:
            return {}
        if buyer.current is None:
            raise NoCustomer("there is no living subscription for this")
        return {flow: {"subscription": buyer.current}}


def _segment(value: str) -> str:
    """Let only what can be an id into a path."""
    if not value.replace("_", "").isalnum() or not value.isascii():
        raise UnknownPromotionCode("there is no such promotion code")
    return value


def _digest(*parts: object) -> str:
    """Return an idempotency key that is the same for the same intent."""
    return "interlock-" + hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:40]
