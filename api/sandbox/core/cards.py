"""Stripe's test cards and bank accounts: what each does when attached, and when charged. Data, no branches."""

from __future__ import annotations

from typing import NamedTuple

OK = "ok"
AUTHENTICATE = "authenticate"
PROCESSING = "processing"

# decline code → (error code, message); the decline codes that Stripe never tries again are marked below
DECLINES: dict[str, tuple[str, str]] = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "stolen_card": ("card_declined", "Your card was declined."),
    "do_not_honor": ("card_declined", "Your card was declined."),
    "card_velocity_exceeded": ("card_declined", "Your card was declined for making repeated attempts too "
                               "frequently or exceeding its amount limit."),
    "fraudulent": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": ("processing_error",
                         "An error occurred while processing your card. Try again in a little bit."),
    "authentication_required": ("authentication_required",
                                "Your card was declined. This transaction requires authentication."),
    "authentication_failed": ("payment_intent_authentication_failure",
                              "We are unable to authenticate your payment method. Please choose a different "
                              "payment method and try again."),
    "account_closed": ("account_closed", "The customer's bank account has been closed."),
    "no_account": ("no_account", "The bank account could not be located."),
    "debit_not_authorized": ("debit_not_authorized",
                             "The customer has notified their bank that this payment was unauthorized."),
}  # fmt: skip

HARD_DECLINES = frozenset(
    {"incorrect_number", "lost_card", "pickup_card", "stolen_card", "revocation_of_authorization",
     "revocation_of_all_authorizations", "authentication_required", "highest_risk_level",
     "transaction_not_allowed"}
)  # fmt: skip


class Card(NamedTuple):
    """One test card, or bank account. `setup`, `first` (customer present) and `later` (off session) are OK,
    AUTHENTICATE, PROCESSING, or a decline code; `authenticated` is what a passed 3-D Secure leads to,
    `settled` what a delayed payment comes to."""

    number: str
    brand: str
    label: str
    setup: str = OK
    first: str = OK
    later: str = OK
    authenticated: str = OK
    funding: str = "credit"
    country: str = "US"
    settled: str = OK
    type: str = "card"

    @property
    def outcome(self) -> str:
        """One word for the page that offers the card."""
        if self.first == AUTHENTICATE:
            return "authenticate"
        if self.setup != OK:
            return "decline"
        return "succeed" if self.later == OK else "fails_later"


def _declining(number: str, brand: str, label: str, code: str) -> Card:
    return Card(number, brand, label, setup=code, first=code, later=code)


def _account(number: str, label: str, settled: str = OK) -> Card:
    return Card(number, "", label, first=PROCESSING, later=PROCESSING, settled=settled, type="us_bank_account")


CARDS: dict[str, Card] = {
    card.number: card
    for card in (
        Card("4242424242424242", "visa", "Payment succeeds"),
        Card("5555555555554444", "mastercard", "Payment succeeds"),
        Card("378282246310005", "amex", "Payment succeeds"),
        Card("6011111111111117", "discover", "Payment succeeds"),
        Card("4000056655665556", "visa", "Payment succeeds (debit)", funding="debit"),
        Card("4000008260000000", "visa", "Payment succeeds (UK)", country="GB"),
        Card("4000000000000341", "visa", "Attaches, then every charge fails",
             first="generic_decline", later="generic_decline"),
        _declining("4000000000000002", "visa", "Card declined", "generic_decline"),
        _declining("4000000000009995", "visa", "Insufficient funds", "insufficient_funds"),
        _declining("4000000000009987", "visa", "Lost card", "lost_card"),
        _declining("4000000000009979", "visa", "Stolen card", "stolen_card"),
        _declining("4000000000000069", "visa", "Expired card", "expired_card"),
        _declining("4000000000000127", "visa", "Incorrect CVC", "incorrect_cvc"),
        _declining("4000000000000119", "visa", "Processing error", "processing_error"),
        _declining("4000000000006975", "visa", "Velocity limit exceeded", "card_velocity_exceeded"),
        _declining("4100000000000019", "visa", "Always blocked as fraudulent", "fraudulent"),
        Card("4000002500003155", "visa", "3-D Secure once, then succeeds", setup=AUTHENTICATE,
             first=AUTHENTICATE),
        Card("4000002760003184", "visa", "3-D Secure on every payment", setup=AUTHENTICATE,
             first=AUTHENTICATE, later=AUTHENTICATE),
        Card("4000003800000446", "visa", "Already set up; 3-D Secure on session", first=AUTHENTICATE),
        Card("4000000000003220", "visa", "3-D Secure 2 required", setup=AUTHENTICATE, first=AUTHENTICATE,
             later=AUTHENTICATE),
        Card("4000008400001629", "visa", "3-D Secure, then declined", setup=AUTHENTICATE,
             first=AUTHENTICATE, later=AUTHENTICATE, authenticated="generic_decline"),
        Card("4000008260003178", "visa", "3-D Secure, then insufficient funds", setup=AUTHENTICATE,
             first=AUTHENTICATE, later="insufficient_funds", authenticated="insufficient_funds",
             country="GB"),
    )
}  # fmt: skip
BANK_ACCOUNTS: dict[str, Card] = {
    account.number: account
    for account in (
        _account("000123456789", "Debited after days"),
        _account("000111111113", "Closed", "account_closed"),
        _account("000111111116", "Not found", "no_account"),
        _account("000222222227", "Insufficient funds", "insufficient_funds"),
        _account("000333333335", "Debits are not authorized", "debit_not_authorized"),
    )
}
ROUTING_NUMBER = "110000000"

# The name after `pm_card_` or `tok_` → the number.
TOKENS: dict[str, str] = {
    "visa": "4242424242424242",
    "us": "4242424242424242",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "visa_debit": "4000056655665556",
    "gb": "4000008260000000",
    "bypassPending": "4242424242424242",
    "chargeCustomerFail": "4000000000000341",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "visa_chargeDeclinedFraudulent": "4100000000000019",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureRequired": "4000000000003220",
    "threeDSecureRequiredChargeDeclined": "4000008400001629",
}

# The name after `pm_usBankAccount_` → the number.
ACCOUNT_TOKENS: dict[str, str] = {
    "success": "000123456789",
    "accountClosed": "000111111113",
    "noAccount": "000111111116",
    "insufficientFunds": "000222222227",
    "debitNotAuthorized": "000333333335",
}

# What the checkout and portal pages offer, in this order.
OFFERED = (
    "4242424242424242", "5555555555554444", "4000002500003155", "4000002760003184",
    "4000000000000002", "4000000000009995", "4000000000000341",
)  # fmt: skip

# The outcome that the control panel's "next payment" switch stands for.
SWITCHED = {"succeed": OK, "fail": "generic_decline", "authenticate": AUTHENTICATE}


def of_token(token: str) -> Card | None:
    """`pm_card_visa`, `tok_visa`, `pm_usBankAccount_success` → the card or account they stand for."""
    if token.startswith("pm_usBankAccount"):
        number = ACCOUNT_TOKENS.get(token.removeprefix("pm_usBankAccount").removeprefix("_") or "success")
        return BANK_ACCOUNTS[number] if number else None
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix):
            number = TOKENS.get(token.removeprefix(prefix))
            return CARDS[number] if number else None
    return None


def offered() -> list[dict[str, str]]:
    """The cards as the pages list them."""
    return [{"number": number, "label": CARDS[number].label, "outcome": CARDS[number].outcome}
            for number in OFFERED]  # fmt: skip
