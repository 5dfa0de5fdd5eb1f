"""The account page's part of the engine's face: every verb, and what is read through from Stripe."""

from __future__ import annotations

from interlock.engine.commands.cancel import Cancel, CancelBody, CancelPreview
from interlock.engine.commands.cards import CardBody, Cards, NewCard
from interlock.engine.commands.change import Change, ChangeBody, UndoBody
from interlock.engine.commands.pause import Pause, PauseBody
from interlock.engine.commands.pay import Pay, PayBody
from interlock.engine.commands.resume import Resume, ResumeBody
from interlock.engine.config import Config
from interlock.engine.core.holding import Holding
from interlock.engine.errors import NotAccepted
from interlock.engine.flow.verbs import VerbRunner
from interlock.engine.read.cache import ShortCache
from interlock.engine.read.changes import ChangePreview, ChangePreviews
from interlock.engine.read.invoices import InvoicePage, Invoices, LinkKind, Links
from interlock.engine.read.offers import Offers
from interlock.engine.read.payment_methods import PaymentMethods, PaymentMethodShown
from interlock.engine.read.planning import Conflicts, Planner


class Account:
    """What a user does to their subscription, their invoices and their payment methods.

    Every verb returns once Stripe's answer is committed.  Errors: NotAccepted (with the API's `code`), UnknownPlan,
    UnknownPromotionCode, StripeRefused, StripeUnavailable, StoreUnavailable.
    """

    def __init__(self, verbs: VerbRunner, config: Config, conflicts: Conflicts | None = None) -> None:
        stripe, cache = verbs.stripe, ShortCache(config.clock)
        offers, methods = Offers(stripe, config.clock), PaymentMethods(stripe, cache)
        self._verbs = verbs
        self._cache = cache
        self._links = Links(config.stripe_key, config.clock)
        self._invoices = Invoices(stripe, cache, self._links, verbs.memory)
        self._methods = methods
        self._previews = ChangePreviews(stripe)
        self._change = Change(verbs, Planner(offers, methods, conflicts), self._previews)
        self._cancel = Cancel(verbs)
        self._resume = Resume(verbs, methods)
        self._pause = Pause(verbs)
        self._pay = Pay(verbs, self._invoices)
        self._cards = Cards(verbs, methods, config.app_url)

    async def preview_change(self, user_id: str, body: ChangeBody) -> ChangePreview:
        """Say what a change leads to and costs, by Stripe; `same_plan` where it is so already."""
        return await self._change.preview(user_id, body)

    async def change(self, user_id: str, body: ChangeBody, *, key: str | None = None) -> None:
        """Change plan, interval or quantity.  One that is not paid waits, and leaves the plan as it was."""
        await self._change.run(user_id, body, key)
        self._cache.forget(user_id)

    async def undo_change(self, user_id: str, *, key: str | None = None) -> None:
        """Undo the change that waits."""
        await self._change.undo(user_id, UndoBody(), key)

    async def preview_cancel(self, user_id: str, body: CancelBody) -> CancelPreview:
        """Say when the subscription would end, and what that does to an open invoice."""
        return await self._cancel.preview(user_id, body)

    async def cancel(self, user_id: str, body: CancelBody, *, key: str | None = None) -> None:
        """End the subscription, at the period's end or now."""
        await self._cancel.run(user_id, body, key)
        self._cache.forget(user_id)

    async def resume(self, user_id: str, body: ResumeBody | None = None, *, key: str | None = None) -> None:
        """Undo a planned end, resume what is paused, or collect again."""
        await self._resume.run(user_id, body or ResumeBody(), key)

    async def pause(self, user_id: str, body: PauseBody | None = None, *, key: str | None = None) -> None:
        """Pause the subscription by Stripe's own pause."""
        await self._pause.run(user_id, body or PauseBody(), key)

    async def invoices(self, user_id: str, *, limit: int, after: str | None) -> InvoicePage:
        """Return the user's invoices, newest first, older than the invoice `after`."""
        holding = await self._verbs.holding(user_id)
        customers = _customers(holding)
        return await self._invoices.page(user_id, customers, holding.catalogue, limit=limit, after=after)

    async def upcoming_invoice(self, user_id: str) -> ChangePreview | None:
        """Return what the next renewal will cost, by Stripe; None when none will come."""
        holding = await self._verbs.holding(user_id)
        shown = holding.shown
        if shown is None or not shown.lives:
            return None
        subscription = await self._verbs.subscription(shown.known.subscription_id)
        return await self._previews.upcoming(holding, subscription)

    async def invoice_link(self, user_id: str | None, invoice_id: str, kind: LinkKind) -> str:
        """Return Stripe's present link to an invoice's page or PDF.

        `user_id` None: the path's signature was proven (`proves_invoice_link`), which said whose it is.
        """
        if user_id is None:
            invoice = await self._invoices.any(invoice_id)
        else:
            invoice = await self._invoices.one(invoice_id, _customers(await self._verbs.holding(user_id)))
        url = invoice.hosted_invoice_url if kind == "page" else invoice.invoice_pdf
        if url is None:
            raise NotAccepted("not_found", "This invoice has no such page.")
        return url

    def proves_invoice_link(self, invoice_id: str, kind: LinkKind, expires: int, signature: str) -> bool:
        """Whether a path was listed here, for its owner, within the last hour."""
        return self._links.proves(invoice_id, kind, expires, signature)

    async def pay(self, user_id: str, invoice_id: str, *, key: str | None = None) -> None:
        """Pay one of the user's open invoices with the default payment method."""
        await self._pay.run(user_id, PayBody(invoice_id), key)
        self._cache.forget(user_id)

    async def payment_methods(self, user_id: str) -> tuple[PaymentMethodShown, ...]:
        """Return the user's payment methods, the default first."""
        holding = await self._verbs.holding(user_id)
        shown = holding.shown
        facts = shown.known.facts if shown is not None and shown.lives else None
        own = facts is not None and facts.customer_id == holding.portal_customer
        return await self._methods.all(
            user_id,
            holding.portal_customer,
            facts.subscription_id if facts and own else None,
            facts.current_period_end if facts else None,
        )

    async def add_payment_method(self, user_id: str, *, embedded: bool = False) -> NewCard:
        """Return where a payment method is added: a page of Stripe's, or the secret for a form of one's own."""
        self._cache.forget(user_id)
        return await self._cards.add(user_id, embedded=embedded)

    async def make_default(self, user_id: str, method_id: str, *, key: str | None = None) -> None:
        """Charge a payment method from now on, and pay with it what is open."""
        await self._cards.make_default(user_id, CardBody(method_id), key)
        self._cache.forget(user_id)

    async def remove_payment_method(self, user_id: str, method_id: str, *, key: str | None = None) -> None:
        """Take a payment method away for good; `in_use` for the one that a living subscription is charged to."""
        await self._cards.remove(user_id, CardBody(method_id), key)
        self._cache.forget(user_id)


def _customers(holding: Holding) -> tuple[str, ...]:
    """The customers that are this user's alone."""
    return tuple(one for one in holding.customers if one not in holding.holder.barred)
