"""A user's invoices, read through from Stripe: nothing of them is stored, and never another user's.

The links are paths of ours.  Stripe's own links to the page and the PDF of an invoice open without a login and die
after some weeks, so they are fetched when somebody follows ours.  A listed path carries a signature that opens it
for an hour, so that it works in a plain `<a href>`, which sends no token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import Struct

from interlock.engine.core.catalogue import Catalogue, Memory
from interlock.engine.core.states import Item
from interlock.engine.core.view import rfc3339
from interlock.engine.errors import NotAccepted
from interlock.engine.read.cache import ShortCache
from interlock.engine.wire import billing
from interlock.engine.wire.client import NoSuchObject, StripeClient, decoded

LinkKind: TypeAlias = Literal["page", "pdf"]

Remember: TypeAlias = Callable[[set[str]], Awaitable[Memory]]
"""Returns the plans of those prices that the catalogue does not name itself."""

LINK_SECONDS: Final = 3600
MOST_CUSTOMERS: Final = 5
"""Customers of one user whose invoices are listed: each costs a call."""
_PAGES: Final = 3
"""Pages of Stripe's that are read for one of ours, which drafts may have thinned."""


class InvoiceShown(Struct, frozen=True):
    """One invoice.  `total` and `due` (what remains to be paid) in the currency's smallest unit; `created` RFC 3339.

    `plan` is the key of the plan that it is for.  `page` and `pdf` are paths under the API's own root; None before
    the invoice has such a page.
    """

    id: str
    number: str | None
    created: str
    status: str
    total: int
    due: int
    currency: str
    plan: str | None
    page: str | None
    pdf: str | None


class InvoicePage(Struct, frozen=True):
    """Invoices, newest first; `next` goes into `after` for the older ones, None at the end."""

    items: tuple[InvoiceShown, ...]
    next: str | None


class Links:
    """Makes and proves the signed paths."""

    def __init__(self, secret: str, clock: Callable[[], float]) -> None:
        self._key = hashlib.sha256(b"interlock invoice links\0" + secret.encode()).digest()
        self._clock = clock

    def path(self, invoice_id: str, kind: LinkKind) -> str:
        """Return the path of an invoice's page or PDF, open to whoever has it for the next hour."""
        expires = int(self._clock()) + LINK_SECONDS
        signature = self._sign(invoice_id, kind, expires)
        return f"/invoices/{quote(invoice_id, safe='')}/{kind}?expires={expires}&signature={signature}"

    def proves(self, invoice_id: str, kind: LinkKind, expires: int, signature: str) -> bool:
        """Whether a path was listed by us, for its owner, within the last hour."""
        right = hmac.compare_digest(self._sign(invoice_id, kind, expires).encode(), signature.encode())
        return right and self._clock() < expires

    def _sign(self, invoice_id: str, kind: str, expires: int) -> str:
        said = msgspec.json.encode((invoice_id, kind, expires))
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()[:40]


class Invoices:
    """Reads invoices of customers that are known to be one user's."""

    def __init__(self, stripe: StripeClient, cache: ShortCache, links: Links, memory: Remember) -> None:
        self._stripe = stripe
        self._memory = memory
        self._cache = cache
        self._links = links

    async def page(
        self,
        user_id: str,
        customers: tuple[str, ...],
        catalogue: Catalogue,
        *,
        limit: int,
        after: str | None,
    ) -> InvoicePage:
        """Return a user's invoices, newest first, older than the invoice `after`; drafts are left out.

        Raises StripeRefused, StripeUnavailable, and NotAccepted (`not_found`) where `after` is not theirs.
        """
        start = await self.one(after, customers) if after is not None else None
        found = await self._cache.get(
            (user_id, "invoices", customers, limit, after), lambda: self._newest(customers, limit + 1, start)
        )
        memory = await self._memory({line.price_id or "" for one in found for line in billing.price_lines(one)})
        shown = tuple(self._shown(one, catalogue, memory) for one in found[:limit])
        return InvoicePage(shown, shown[-1].id if len(found) > limit else None)

    async def one(self, invoice_id: str, customers: Iterable[str]) -> billing.Invoice:
        """Return one invoice of these customers; raise NotAccepted (`not_found`) where it is nobody's of them."""
        invoice = await self.any(invoice_id)
        if invoice.customer_id not in set(customers):
            raise NotAccepted("not_found", "There is no such invoice.")
        return invoice

    async def any(self, invoice_id: str) -> billing.Invoice:
        """Return an invoice, whoever's; for paths whose signature was proven."""
        try:
            answer = await self._stripe.get(f"invoices/{quote(invoice_id, safe='')}")
        except NoSuchObject as error:
            raise NotAccepted("not_found", "There is no such invoice.") from error
        return decoded(answer.body, billing.Invoice)

    async def _newest(
        self, customers: tuple[str, ...], wanted: int, start: billing.Invoice | None
    ) -> list[billing.Invoice]:
        found: list[billing.Invoice] = []
        for customer in customers[:MOST_CUSTOMERS]:
            found += await self._of_customer(customer, wanted, start)
        found.sort(key=_order, reverse=True)
        return found[:wanted]

    async def _of_customer(self, customer: str, wanted: int, start: billing.Invoice | None) -> list[billing.Invoice]:
        """Read a customer's invoices before `start`: by its time, since it may be another customer's."""
        found: list[billing.Invoice] = []
        cursor: dict[str, str] = {}
        until = {} if start is None else {"created": {"lte": start.created}}
        most = min(100, wanted + 5)
        for _ in range(_PAGES):
            answer = await self._stripe.get("invoices", customer=customer, limit=most, **until, **cursor)
            page = decoded(answer.body, billing.InvoiceList)
            older = (one for one in page.data if start is None or _order(one) < _order(start))
            found += [one for one in older if one.status not in (None, "draft")]
            if not page.has_more or len(found) >= wanted:
                break
            cursor = {"starting_after": page.data[-1].id}
        return found[:wanted]

    def _shown(self, invoice: billing.Invoice, catalogue: Catalogue, memory: Memory) -> InvoiceShown:
        return InvoiceShown(
            id=invoice.id,
            number=invoice.number,
            created=rfc3339(invoice.created) or "",
            status=invoice.status or "",
            total=invoice.total,
            due=invoice.amount_remaining,
            currency=invoice.currency,
            plan=_plan_of(invoice, catalogue, memory),
            page=self._links.path(invoice.id, "page") if invoice.hosted_invoice_url else None,
            pdf=self._links.path(invoice.id, "pdf") if invoice.invoice_pdf else None,
        )


def _order(invoice: billing.Invoice) -> tuple[int, str]:
    return invoice.created, invoice.id


def _plan_of(invoice: billing.Invoice, catalogue: Catalogue, memory: Memory) -> str | None:
    keys = (
        catalogue.plan_key(Item(line.price_id or "", product=line.product), memory)
        for line in billing.price_lines(invoice)
    )
    return next((key for key in keys if key is not None), None)
