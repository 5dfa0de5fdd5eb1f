"""Payment methods: add one, make one the default, take one away."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Struct

from interlock.engine.core.holding import Holding
from interlock.engine.core.states import State
from interlock.engine.errors import NotAccepted
from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.read.payment_methods import PaymentMethods
from interlock.engine.wire import billing
from interlock.engine.wire.payments import pay_invoice


class CardBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The payment method."""

    method_id: str


class NewCard(Struct, frozen=True, omit_defaults=True):
    """Where a payment method is added: a page of Stripe's, or the secret for a form of one's own."""

    url: str | None = None
    client_secret: str | None = None


class Cards:
    """The verbs."""

    def __init__(self, verbs: VerbRunner, methods: PaymentMethods, back: str) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe
        self._methods = methods
        self._back = back

    async def add(self, user_id: str, *, embedded: bool) -> NewCard:
        """Return where the user may add a payment method.  Raises NotAccepted (`no_customer`)."""
        customer = (await self._verbs.holding(user_id)).portal_customer
        if customer is None:
            raise NotAccepted("no_customer")
        if embedded:
            wanted: dict[str, Any] = {
                "customer": customer,
                "usage": "off_session",
                "automatic_payment_methods": {"enabled": True},
            }
            intent = await self._stripe.post("setup_intents", billing.SetupIntent, wanted, idempotency_key=None)
            return NewCard(client_secret=intent.client_secret)
        params: dict[str, Any] = {
            "customer": customer,
            "return_url": self._back,
            "flow_data": {"type": "payment_method_update"},
        }
        page = await self._stripe.post("billing_portal/sessions", billing.PageUrl, params, idempotency_key=None)
        return NewCard(url=page.url)

    async def make_default(self, user_id: str, body: CardBody, key: str | None = None) -> None:
        """Charge one of the user's payment methods from now on, and pay with it what is open.

        The customer's default and the subscription's own are both set, so that one truth is left.  Where the open
        invoice can't be paid with it the default stays set: NotAccepted with the `url` of the invoice.
        """
        await self._verbs.run(user_id, "default", body, lambda turn: self._make_default(turn, body), key)

    async def remove(self, user_id: str, body: CardBody, key: str | None = None) -> None:
        """Take a payment method away for good.  NotAccepted (`in_use`): the only one of a living subscription."""
        await self._verbs.run(user_id, "remove", body, lambda turn: self._remove(turn, body), key)

    async def _make_default(self, turn: Turn, body: CardBody) -> str | None:
        customer = turn.holding.portal_customer
        method = await self._methods.one(body.method_id, customer)
        settings = {"invoice_settings": {"default_payment_method": method.id}}
        path = f"customers/{quote(customer or '', safe='')}"
        await self._stripe.post(path, billing.Reference, settings, idempotency_key=turn.key("customer"))
        subscription_id = _living(turn.holding, customer)
        if subscription_id is None:
            return None
        path = f"subscriptions/{quote(subscription_id, safe='')}"
        own = {"default_payment_method": method.id}
        await self._stripe.post(path, billing.Reference, own, idempotency_key=turn.key("subscription"))
        subscription = await self._verbs.subscription(subscription_id)
        if subscription.status in (State.PAST_DUE, State.UNPAID, State.INCOMPLETE) and subscription.open_invoice:
            await pay_invoice(self._stripe, subscription.open_invoice, turn.key("pay"))
        return subscription_id

    async def _remove(self, turn: Turn, body: CardBody) -> str | None:
        customer = turn.holding.portal_customer
        method = await self._methods.one(body.method_id, customer)
        subscription_id = _living(turn.holding, customer)
        listed, default = await self._methods.read(customer or "", subscription_id)
        if subscription_id is not None and (len(listed) == 1 or method.id == default):
            raise NotAccepted("in_use", "A living subscription is charged to it; make another one the default first.")
        path = f"payment_methods/{quote(method.id, safe='')}/detach"
        await self._stripe.post(path, billing.Reference, {}, idempotency_key=turn.key("detach"))
        return None


def _living(holding: Holding, customer: str | None) -> str | None:
    """The shown subscription, where it lives and is this customer's."""
    shown = holding.shown
    if shown is None or not shown.lives or shown.customer_id != customer:
        return None
    return shown.known.subscription_id
