"""What can go wrong, each with the words that its caller is shown.  `api.problems` gives each its HTTP status."""

from __future__ import annotations

import traceback


class InterlockError(Exception):
    """Something that a caller caused or must know; its text is safe to show."""


class BadSignature(InterlockError):
    """The Stripe-Signature header does not prove that Stripe sent this body now."""


class BadEvent(InterlockError):
    """The body is signed, but it is not a Stripe event."""


class StoreUnavailable(InterlockError):
    """The database can't take it now; nothing was stored, send it again."""


class UnknownPlan(InterlockError):
    """The plan catalogue has no plan of that name."""


class UnknownPromotionCode(InterlockError):
    """Stripe knows no active promotion code of that name, or does not take it for this customer and plan."""


class AlreadySubscribed(InterlockError):
    """A subscription lives; the portal is where it is changed."""


class NoCustomer(InterlockError):
    """There is no Stripe customer for this user yet; a checkout makes one."""


class StripeRefused(InterlockError):
    """Stripe answered, and the answer was no; `param` is the parameter that it names, where it names one."""

    def __init__(self, words: str, param: str | None = None) -> None:
        super().__init__(words)
        self.param = param


class StripeUnavailable(InterlockError):
    """Stripe could not be reached in time."""


class BadConfiguration(InterlockError):
    """A setting, the plan catalogue or the database's schema does not fit; the text names it."""


def place_of(error: BaseException) -> str:
    """Return the kind of an unexpected error and where it arose, for a log: its own words may quote a secret."""
    trace = traceback.extract_tb(error.__traceback__)
    frames = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(trace[-6:]))
    return f"{type(error).__name__} at {frames}"
