"""The card that a person types on any of the pages."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import CARDS, DECLINES, Card
from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.objects import payments


def card_given(number: str) -> Card:
    """The test card of this number. One that Stripe would not attach is refused, and nothing of the click stays."""
    card = CARDS.get(number.replace(" ", ""))
    error = None if card is None else card.setup
    if card is None or error in DECLINES:
        refusal = payments.refusal(error or "incorrect_number")
        refusal.keep = False
        raise refusal
    return card


def attach(w: Ledger, card: Card, customer: str, email: str | None) -> Obj:
    """The card as a payment method of this customer."""
    return payments.attach(w, payments.new_method(w, card, {"email": email}), customer)
