"""The pages as a table: what each is about, what it shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.people import checkout, hosted_invoice, portal


class Page(NamedTuple):
    """`view` and the buttons' functions are called with the ledger and the id, the functions also with fields of
    what the page sends, by the names of their parameters."""

    kind: str
    letter: str
    view: Callable[..., Obj]
    buttons: Mapping[str, Callable[..., Any]]


PAGES: dict[str, Page] = {
    "checkout": Page("checkout.session", "c", checkout.view, {
        "pay": checkout.pay, "authenticate": checkout.authenticate, "promotion_code": checkout.apply_promotion,
    }),
    "portal": Page("billing_portal.session", "p", portal.view, {
        "payment_method": portal.add_card, "cancel": portal.cancel, "renew": portal.renew, "update": portal.update,
        "pause": portal.pause, "resume": portal.resume, "pay": portal.pay, "authenticate": portal.authenticate,
    }),
    "invoice": Page("invoice", "i", hosted_invoice.view, {
        "pay": hosted_invoice.pay_hosted, "authenticate": hosted_invoice.authenticate_hosted,
    }),
}  # fmt: skip
