"""What can go wrong, each with its code and the words that its caller is shown.  The API gives each its status."""

from __future__ import annotations

import traceback
from typing import Any


class InterlockError(Exception):
    """Something that a caller caused or must know; its text is safe to show.

    `code` names the kind, for programs.  `members` are shown beside the words, such as the `url` of an open invoice.
    """

    code: str = "internal"

    def __init__(self, words: str = "", **members: Any) -> None:
        super().__init__(*((words,) if words else ()))
        self.members = members

    @property
    def detail(self) -> str:
        """What happened, for a person: the error's own words, else what its class says of itself."""
        return str(self) or (type(self).__doc__ or "").strip()


class BadSignature(InterlockError):
    """The Stripe-Signature header does not prove that Stripe sent this body now."""

    code = "bad_signature"


class BadEvent(InterlockError):
    """The body is signed, but it is not a Stripe event."""

    code = "bad_event"


class StoreUnavailable(InterlockError):
    """The database can't take it now; nothing was stored, send it again."""

    code = "store_unavailable"


class UnknownPlan(InterlockError):
    """The plan catalogue has no plan of that name."""

    code = "unknown_plan"


class UnknownFeature(InterlockError):
    """The plan catalogue has no feature of that name."""

    code = "unknown_feature"


class UnknownHold(InterlockError):
    """There is no hold of that id."""

    code = "not_found"


class UnknownPromotionCode(InterlockError):
    """Stripe knows no active promotion code of that name, or does not take it for this customer and plan."""

    code = "unknown_promotion_code"


class AlreadySubscribed(InterlockError):
    """A subscription lives; the portal is where it is changed."""

    code = "already_subscribed"


class NoCustomer(InterlockError):
    """There is no Stripe customer for this user yet; a checkout makes one."""

    code = "no_customer"


class NotAccepted(InterlockError):
    """What was asked for can't be done now; `code` says why, in the API's words for it."""

    def __init__(self, code: str, words: str = "", **members: Any) -> None:
        super().__init__(words, **members)
        self.code = code


class StripeRefused(InterlockError):
    """Stripe answered, and the answer was no.

    `param` is the parameter that Stripe names, `reason` its code, `said` its words, which are for operators.
    """

    code = "stripe_refused"

    def __init__(
        self,
        words: str,
        param: str | None = None,
        *,
        reason: str | None = None,
        said: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(words)
        self.param = param
        self.reason = reason
        self.said = said
        self.request_id = request_id


class KeyRefused(StripeRefused):
    """Stripe refused the API key: it is wrong, or has not the right to do this."""


class CardDeclined(StripeRefused):
    """A payment was declined; `decline_code` is the bank's reason in Stripe's words, where there is one."""

    def __init__(self, words: str, param: str | None = None, *, decline_code: str | None = None, **said: Any) -> None:
        super().__init__(words, param, **said)
        self.decline_code = decline_code


class StripeUnavailable(InterlockError):
    """Stripe could not be reached in time."""

    code = "stripe_unavailable"


class StripeFailed(StripeUnavailable):
    """Stripe answered with an error of its own.  It keeps that answer under the call's idempotency key."""


class StripeBusy(StripeUnavailable):
    """Stripe takes no more requests now; the member `retry_after` is in seconds."""

    code = "stripe_busy"


class BadConfiguration(InterlockError):
    """A setting, the plan catalogue or the database's schema does not fit; the text names it."""

    code = "bad_configuration"


def place_of(error: BaseException) -> str:
    """Return the kind of an unexpected error and where it arose, for a log: its own words may quote a secret."""
    trace = traceback.extract_tb(error.__traceback__)
    frames = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(trace[-6:]))
    return f"{type(error).__name__} at {frames}"
