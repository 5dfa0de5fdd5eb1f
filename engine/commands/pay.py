"""Pay an open invoice with the payment method that is charged by default."""

from __future__ import annotations

from msgspec import Struct

from interlock.engine.flow.verbs import Turn, VerbRunner
from interlock.engine.read.invoices import Invoices
from interlock.engine.wire.payments import pay_invoice


class PayBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The invoice to pay."""

    invoice_id: str


class Pay:
    """The verb."""

    def __init__(self, verbs: VerbRunner, invoices: Invoices) -> None:
        self._verbs = verbs
        self._stripe = verbs.stripe
        self._invoices = invoices

    async def run(self, user_id: str, body: PayBody, key: str | None = None) -> None:
        """Pay one of the user's invoices.  Raises NotAccepted, StripeRefused, StripeUnavailable.

        `payment_method_required` where the payment is declined, `payment_action_required` where the bank wants
        the user; both have the `url` of the invoice's page.
        """
        await self._verbs.run(user_id, "pay", body, lambda turn: self._run(turn, body), key)

    async def _run(self, turn: Turn, body: PayBody) -> str | None:
        invoice = await self._invoices.one(body.invoice_id, turn.holding.customers)
        if invoice.status != "open":
            return None  # it is paid, or there is nothing to pay any more
        await pay_invoice(self._stripe, invoice, turn.key("pay"))
        shown = turn.holding.shown
        return shown.known.subscription_id if shown else None
