"""Checkout: the page of Stripe's on which a user subscribes.

A checkout is made once per intent.  The intent is what the user asked for and which of their checkouts this is;
it is the idempotency key, so doubled clicks, two tabs and a lost answer all get the one session.  A user has at
most one open session and one customer (the store's UNIQUE), and none while a subscription lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from typing import Any

import msgspec
from msgspec import Struct

from interlock.engine.config import Config
from interlock.engine.core.plans import Plan
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import (
    AlreadySubscribed,
    StripeRefused,
    StripeUnavailable,
    UnknownPlan,
    UnknownPromotionCode,
)
from interlock.engine.flow.runner import Runner
from interlock.engine.read.offers import Offers
from interlock.engine.read.prices import price_id
from interlock.engine.units import checkouts
from interlock.engine.units.checkouts import Buyer
from interlock.engine.units.owners import note_customer
from interlock.engine.units.records import OpenCheckout
from interlock.engine.wire import objects as wire
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded
from interlock.engine.wire.reports import CustomerReport


class CheckoutSession(Struct, frozen=True):
    """Where to send the user to pay; `expires_at` is RFC 3339."""

    id: str
    url: str
    expires_at: str


class Wish(Struct, frozen=True, kw_only=True):
    """What a user wants to buy: a plan by its key, how many, and what they typed."""

    plan: str
    quantity: int = 1
    promotion_code: str | None = None
    email: str | None = None

    @property
    def intent(self) -> str:
        """What is compared to tell whether an open session is for the same."""
        return f"{self.plan}:{self.quantity}:{self.promotion_code or ''}"


class _CustomerGone(Exception):
    """Stripe no longer has the customer that the checkout was to be for."""

    def __init__(self, customer_id: str) -> None:
        super().__init__(customer_id)
        self.customer_id = customer_id


class Checkout:
    """Makes checkout sessions for users."""

    def __init__(self, runner: Runner, stripe: StripeClient, config: Config) -> None:
        self._runner = runner
        self._stripe = stripe
        self._config = config
        self._offers = Offers(stripe, config.clock)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def create(self, user_id: str, wish: Wish) -> CheckoutSession:
        """Return the open session for what a user wants to buy, made if need be.  Errors as in `Interlock.checkout`."""
        plan = self._config.catalogue.plans.get(wish.plan)
        if plan is None:
            raise UnknownPlan(f"there is no plan {wish.plan!r}")
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        try:
            # The limit covers waiting for the lock and every Stripe call.
            async with asyncio.timeout(self._config.whole_seconds), turn:
                try:
                    return await self._create(user_id, wish, plan)
                except _CustomerGone as gone:
                    await self._forget_customer(gone.customer_id)
                    return await self._create(user_id, wish, plan, second_try=True)
        except TimeoutError as error:
            raise StripeUnavailable("Stripe did not answer in time") from error

    async def _create(self, user_id: str, wish: Wish, plan: Plan, *, second_try: bool = False) -> CheckoutSession:
        buyer = await self._buyer(user_id)
        session = await self._still_open(user_id, buyer)
        _refuse(buyer, wish.plan, session_is_open=session is not None)
        if session is not None and (session.intent == wish.intent or any(one.lives for one in buyer.holding.ours)):
            return _shown(session)
        if session is not None:
            await self._expire(user_id, session.session_id)
        if buyer.open_session is not None:  # closing it raised `checkout_serial`
            buyer = await self._buyer(user_id)
            _refuse(buyer, wish.plan, session_is_open=False)
        promotion = await self._offers.promotion_code(wish.promotion_code) if wish.promotion_code is not None else None
        customer_id = await self._customer(user_id, buyer, wish.email)
        price = await price_id(self._stripe, plan)
        params = self._session_params(user_id, customer_id, price, wish.quantity, promotion)
        if plan.trial_days and not buyer.holding.trial_used:
            params["subscription_data"]["trial_period_days"] = plan.trial_days
            params["subscription_data"]["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
        try:
            made = await self._make(user_id, buyer, params)
        except NoSuchObject as error:
            if error.param != "customer" or second_try:
                raise
            raise _CustomerGone(customer_id) from error
        return await self._keep(user_id, made, wish.intent)

    async def _make(self, user_id: str, buyer: Buyer, params: dict[str, Any]) -> wire.CheckoutSession:
        key = _digest("checkout", user_id, buyer.checkout_serial, params)
        try:
            return await self._stripe.post("checkout/sessions", wire.CheckoutSession, params, idempotency_key=key)
        except StripeRefused as error:
            if "discounts" in params and error.param is not None and "promotion_code" in error.param:
                raise UnknownPromotionCode("this promotion code can't be used for this purchase") from error
            raise

    async def _keep(self, user_id: str, made: wire.CheckoutSession, intent: str) -> CheckoutSession:
        if made.url is None:
            raise StripeRefused("Stripe made a checkout session without an address")
        session = OpenCheckout(made.id, intent, made.url, made.expires_at)
        if not await self._runner.run(lambda unit: checkouts.keep_session(user_id, session, unit), about=(user_id,)):
            await self._expire(user_id, made.id)
            raise AlreadySubscribed("another checkout was opened at the same moment; try again")
        return _shown(session)

    async def _buyer(self, user_id: str) -> Buyer:
        return await self._runner.run(lambda unit: checkouts.buyer(user_id, unit), about=(user_id,))

    async def _forget_customer(self, customer_id: str) -> None:
        """The customer was deleted in Stripe, and no event has said so: the next checkout makes another."""
        report, now = CustomerReport(customer_id, None, deleted=True), int(self._config.clock())
        await self._runner.run(lambda unit: note_customer(report, now, unit, authoritative=True), about=(customer_id,))

    async def _still_open(self, user_id: str, buyer: Buyer) -> OpenCheckout | None:
        session = buyer.open_session
        if session is None or session.expires_at > self._config.clock():
            return session
        await self._close(user_id, session.session_id)
        return None

    async def _close(self, user_id: str, session_id: str) -> None:
        await self._runner.run(lambda unit: checkouts.close_session(user_id, session_id, unit), about=(user_id,))

    async def _expire(self, user_id: str, session_id: str) -> None:
        """Close a session that is no longer wanted, so that nobody pays twice.  A completed one refuses."""
        try:
            await self._stripe.post(f"checkout/sessions/{session_id}/expire", wire.Ref, {}, idempotency_key=None)
        except StripeRefused as error:
            session = decoded((await self._stripe.get(f"checkout/sessions/{session_id}")).body, wire.CheckoutSession)
            if session.status == "complete":
                raise AlreadySubscribed("the checkout was just completed; its subscription is on its way") from error
        await self._close(user_id, session_id)

    async def _customer(self, user_id: str, buyer: Buyer, email: str | None) -> str:
        """Return the user's customer; made at most once, for its idempotency key is the user and a serial."""
        if buyer.customer_id is not None:
            return buyer.customer_id
        params: dict[str, Any] = {"metadata": {self._config.user_metadata_keys[0]: user_id}}
        if email:
            params["email"] = email
        key = _digest("customer", user_id, buyer.customer_serial)
        made = await self._stripe.post("customers", wire.Ref, params, idempotency_key=key)
        await self._runner.run(lambda unit: checkouts.keep_customer(user_id, made.id, unit), about=(made.id, user_id))
        return made.id

    def _session_params(
        self, user_id: str, customer_id: str, price: str, quantity: int, promotion: str | None
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
        if promotion is None:
            params["allow_promotion_codes"] = True
        else:
            params["discounts"] = [{"promotion_code": promotion}]
        return params


def _shown(session: OpenCheckout) -> CheckoutSession:
    return CheckoutSession(session.session_id, session.url, rfc3339(session.expires_at) or "")


def _refuse(buyer: Buyer, plan_key: str, *, session_is_open: bool) -> None:
    if buyer.refusal(plan_key, session_is_open=session_is_open) is not None:
        raise AlreadySubscribed("a subscription lives already; change it in the portal: POST /portal")


def _digest(*parts: object) -> str:
    """Return an idempotency key that is the same for the same intent."""
    return "interlock-" + hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:40]
